package labstar

import (
	"context"

	"github.com/labstar/labstar/internal/lock"
	"github.com/labstar/labstar/starlark/host"
	"github.com/labstar/labstar/starlark/schema"
)

// Remark is what is to be said of a part of something that a script describes: of a
// field that a cluster does not take, say.
type Remark struct {
	schema.Part
	Label, Msg, Hint string // Label names the part
}

// Point says remarks at the lines of the script that made what they are about. It
// evaluates the script of the lab once more for that. What no target describes is said
// of the script as a whole.
func (l *Labstar) Point(ctx context.Context, lab *Lab, remarks []Remark) (host.Errors, error) {
	locked, err := l.readLock()
	if err != nil {
		return nil, err
	}
	cfg, end := l.hostConfig(lock.NewPins(locked), lab.File, lab.text)
	defer end()
	return host.Point(ctx, cfg, lab.File, func(mod *host.Module) []host.Remark {
		var list []host.Remark
		for _, r := range remarks {
			list = append(list, r.find(mod))
		}
		return list
	})
}

// find looks for the artifact that describes what the remark is about.
func (r Remark) find(mod *host.Module) host.Remark {
	for _, g := range mod.Globals {
		t, ok := newTarget(g)
		if !ok {
			continue
		}
		for _, item := range t.Items {
			v, _ := item.Artifact.Value.(*schema.Artifact)
			if v == nil {
				continue
			}
			if l, ok := v.Attrs().(schema.Locator); ok {
				if e := l.Locate(r.Part); e != nil {
					e.Label, e.Msg, e.Hint = r.Label, r.Msg, r.Hint
					return host.Remark{Error: e, Site: item.Artifact.Action.Site}
				}
			}
		}
	}
	return host.Remark{Error: &schema.Error{Label: r.Label, Msg: r.Msg, Hint: r.Hint}}
}
