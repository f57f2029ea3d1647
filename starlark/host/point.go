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
		ld.showPart(e, r.Error, r.Site)
		es = append(es, e)
	}
	es.sort()
	return es, nil
}

// showPart points e at what w is about, a part of a value or an argument of the call at
// site, if that is found.
func (ld *loader) showPart(e *Error, w *schema.Error, site []action.Frame) bool {
	f := &found{place: w.Place}
	if w.Place == nil {
		f = ld.locate(w.Root, w.RootElem, 0)
	}
	if f != nil {
		e.show(f)
		return true
	}
	if w.Arg == "" || len(site) == 0 {
		return false
	}
	m, ok := ld.module(site[0].File)
	if !ok {
		return false
	}
	c := m.call(site[0].Line, site[0].Col)
	if c == nil {
		return false
	}
	n := argument(c, w)
	if n == callee(c) { // it was not given
		return false
	}
	e.point(m, n)
	return true
}

// placesOf returns what finds the parts of an action of a script: it evaluates the
// script once more.
func placesOf(cfg Config, name string) action.FindPlaces {
	cfg.StatCache = nil // it ends with the first evaluation
	return func(ctx context.Context, a *action.Action, parts []string) map[string]action.Place {
		places := map[string]action.Place{}
		ld := newTraced(ctx, cfg)
		ld.session.KeepParts()
		mod, err := ld.run(name)
		if err != nil {
			return places // the error is told without them
		}
		for _, part := range parts {
			w := ld.session.Part(a.Definition(), part)
			if e := mod.ErrorAt(a.Site, ""); w != nil && ld.showPart(e, w, a.Site) {
				here := action.Frame{File: e.File, Line: e.Line, Col: e.Col, Func: e.in}
				places[part] = action.Place{Site: append([]action.Frame{here}, e.Stack...), EndCol: e.EndCol}
			}
		}
		return places
	}
}
