package engine

import (
	"context"
	"errors"
	"fmt"

	"github.com/labstar/labstar/action"
	"github.com/labstar/labstar/internal/store"
)

// Step is one action of a plan.
type Step struct {
	Action *action.Action
	// Sure is false when the action's inputs are not built yet, so that it may
	// turn out to be in the store (the early cutoff).
	Sure   bool
	Millis int64 // what it took before; 0 if that is not known
}

// Plan is what a build would do.
type Plan struct {
	Steps  []Step // what would run, inputs first
	Cached int    // actions that are there
	Total  int
}

// Plan finds out what Build would do, running nothing.
func (e *Engine) Plan(ctx context.Context, targets []*action.Artifact) (*Plan, error) {
	g, err := e.discover(ctx, targets)
	if err != nil {
		return nil, err
	}
	p := &Plan{Total: g.total}
	times := e.loadTimes()
	for _, n := range g.needed {
		step := Step{Action: n.action, Sure: true, Millis: times[timeName(n.action)]}
		res, err := e.lookAhead(ctx, n, g)
		switch {
		case err == nil:
			g.results[n.action.Definition()] = res
			continue
		case errors.Is(err, errInputs):
			step.Sure = false
		case !errors.Is(err, store.ErrNotFound):
			return nil, err
		}
		p.Steps = append(p.Steps, step)
	}
	p.Cached = p.Total - len(p.Steps)
	return p, nil
}

var errInputs = errors.New("inputs are not built")

// lookAhead looks an action up by its key, if its inputs are there.
func (e *Engine) lookAhead(ctx context.Context, n *node, g *graph) (*action.Result, error) {
	r, err := e.resolve(ctx, n.action, func(a *action.Artifact) (action.OutputDigest, error) {
		if src := a.Action.Source; src != nil {
			return action.OutputDigest{Name: a.Output().Name, Kind: src.Kind, Digest: src.Digest}, nil
		}
		if res := g.results[a.Action.Definition()]; res != nil {
			if out, ok := res.Output(a.Output().Name); ok {
				return out, nil
			}
		}
		return action.OutputDigest{}, fmt.Errorf("%s: %w", a.Describe(), errInputs)
	})
	if err != nil {
		return nil, err
	}
	key, err := e.key(ctx, r, func([]byte) {})
	if err != nil {
		return nil, err
	}
	res, err := e.opts.Store.Result(ctx, key)
	if err == nil && !hasOutputs(res, n.action) {
		return nil, store.ErrNotFound
	}
	return res, err
}
