package engine

import (
	"context"
	"slices"

	"github.com/labstar/labstar/action"
	"github.com/labstar/labstar/internal/sandbox"
)

// mostLaid is how many entries are laid over another tree; more are shown as a tree.
const mostLaid = 2000

// treeMount lays the tree root at a path. A patched kernel has 80,000 files, of which
// all but a few are those of a tree that is shown already: then what differs is laid
// over that one, instead of a third copy of the names.
func (e *Engine) treeMount(ctx context.Context, r *action.Resolved, root action.Digest, target string) (sandbox.Mount, error) {
	st := e.opts.Store
	if !st.Shown(root) {
		for _, base := range e.ancestors(ctx, r.Action, root) {
			over, ok, err := action.Over(ctx, st, base, root, mostLaid, func(d *action.Directory) (action.Digest, error) { return st.PutDirectory(ctx, d) })
			if err != nil || !ok {
				continue // it is shown on its own, or the same error comes again
			}
			m := sandbox.Mount{Target: target}
			if m.Source, err = st.TreePath(ctx, base); err != nil || over.IsZero() {
				return m, err
			}
			p, err := st.TreePath(ctx, over)
			m.Over = []string{p}
			return m, err
		}
	}
	p, err := st.TreePath(ctx, root)
	return sandbox.Mount{Source: p, Target: target}, err
}

// ancestors returns the trees that are shown already and that native actions made the
// input root of, nearest first. Which they are is known where their results are.
func (e *Engine) ancestors(ctx context.Context, a *action.Action, root action.Digest) (shown []action.Digest) {
	const deepest = 10
	var level []*action.Artifact
	a.Deps(func(in *action.Artifact) {
		if in.Kind() == action.Tree && e.digestOf(ctx, in) == root {
			level = append(level, in)
		}
	})
	for range deepest {
		var next []*action.Artifact
		for _, made := range level {
			if made.Action.Source != nil || made.Action.Op == action.Exec {
				continue
			}
			made.Action.Deps(func(in *action.Artifact) {
				if in.Kind() == action.Tree && !slices.Contains(next, in) {
					next = append(next, in)
				}
			})
		}
		for _, in := range next {
			if d := e.digestOf(ctx, in); !d.IsZero() && e.opts.Store.Shown(d) {
				shown = append(shown, d)
			}
		}
		level = next
	}
	return shown
}

// digestOf returns what the store has of an artifact, zero if nothing.
func (e *Engine) digestOf(ctx context.Context, a *action.Artifact) action.Digest {
	if src := a.Action.Source; src != nil {
		return src.Digest
	}
	res, err := e.opts.Store.Result(ctx, a.Action.Definition())
	if err != nil {
		return action.Digest{}
	}
	out, _ := res.Output(a.Output().Name)
	return out.Digest
}
