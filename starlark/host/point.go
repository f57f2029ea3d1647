package host

import (
	"context"

	"github.com/labstar/labstar/action"
	"github.com/labstar/labstar/starlark/schema"
)

// Remark is what is to be said of a part of a value that a script made.
type Remark struct {
	*schema.Error
	Site []action.Frame // of the call that took the value, if the part's own place is not known
}

// Point evaluates a script once more, as for an error about a part of a value, and
// returns what find has to say of what it made, each at the line that the part is from.
func Point(ctx context.Context, cfg Config, file string, find func(*Module) []Remark) (Errors, error) {
	cfg.Limits = cfg.Limits.withDefaults()
	if cfg.Dir == "" {
		cfg.Dir = dirOf(cfg.FS)
	}
	ld := newTraced(ctx, cfg)
	mod, err := ld.run(file)
	if err != nil {
		return nil, err
	}
	var es Errors
	for _, r := range find(mod) {
		e := mod.ErrorAt(r.Site, r.Error.Error())
		e.Hint, e.Err = r.Hint, r.Error
		if r.Place != nil {
			e.show(&found{place: r.Place})
		} else if f := ld.locate(r.Root, r.RootElem, 0); f != nil {
			e.show(f)
		}
		es = append(es, e)
	}
	es.sort()
	return es, nil
}
