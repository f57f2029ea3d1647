package engine

import (
	"context"
	"errors"

	"github.com/labstar/labstar/action"
	"github.com/labstar/labstar/internal/store"
)

// Measure says how large a target is, and what it took to make.
type Measure struct {
	Bytes  int64 // of the file, or of all files of the tree
	Files  int   // of a tree
	Millis int64 // of all actions below the target, each once, as long as it ran when it ran
	Built  bool  // the store has the target; the sizes are of it
	All    bool  // the store still knows all actions below, so Millis is the whole
}

// Measure measures targets from what the store has of them; it builds nothing. The
// items of one target are measured together.
func (e *Engine) Measure(ctx context.Context, targets [][]*action.Artifact) ([]Measure, error) {
	m := measurer{discovery: discovery{engine: e, graph: &graph{results: map[action.Digest]*action.Result{}}, nodes: map[action.Digest]*node{}},
		known: map[action.Digest]*action.Result{}, trees: map[action.Digest]Measure{}}
	list := make([]Measure, len(targets))
	for i, items := range targets {
		list[i] = Measure{Built: true, All: true}
		seen := map[action.Digest]bool{}
		for _, a := range items {
			if err := m.time(ctx, a.Action, seen, &list[i]); err != nil {
				return nil, err
			}
			if err := m.size(ctx, a, &list[i]); err != nil {
				return nil, err
			}
		}
	}
	return list, nil
}

type measurer struct {
	discovery
	known map[action.Digest]*action.Result // by definition; nil for what the store has not
	trees map[action.Digest]Measure
}

func (m *measurer) result(ctx context.Context, a *action.Action) (*action.Result, error) {
	def := a.Definition()
	if res, seen := m.known[def]; seen {
		return res, nil
	}
	res, err := m.lookUp(ctx, a)
	if errors.Is(err, store.ErrNotFound) {
		res, err = nil, nil
	}
	m.known[def] = res
	return res, err
}

func (m *measurer) time(ctx context.Context, a *action.Action, seen map[action.Digest]bool, sum *Measure) error {
	if a.Source != nil || seen[a.Definition()] {
		return nil
	}
	seen[a.Definition()] = true
	res, err := m.result(ctx, a)
	if err != nil {
		return err
	}
	if res == nil {
		sum.All = false
	} else {
		sum.Millis += res.Millis
	}
	a.Deps(func(in *action.Artifact) {
		if err == nil {
			err = m.time(ctx, in.Action, seen, sum)
		}
	})
	return err
}

func (m *measurer) size(ctx context.Context, a *action.Artifact, sum *Measure) error {
	digest := action.Digest{}
	if src := a.Action.Source; src != nil {
		digest = src.Digest
	} else if res, err := m.result(ctx, a.Action); err != nil {
		return err
	} else if res != nil {
		out, _ := res.Output(a.Output().Name)
		digest = out.Digest
	}
	switch {
	case digest == action.Digest{}:
		sum.Built = false
		return nil
	case a.Kind() == action.File:
		sum.Bytes += digest.Size
		return nil
	}
	tree, err := m.tree(ctx, digest)
	if errors.Is(err, store.ErrNotFound) { // a local folder that no build needed yet
		sum.Built = false
		return nil
	}
	sum.Bytes += tree.Bytes
	sum.Files += tree.Files
	return err
}

func (m *measurer) tree(ctx context.Context, d action.Digest) (Measure, error) {
	if t, ok := m.trees[d]; ok {
		return t, nil
	}
	dir, err := m.engine.opts.Store.Directory(ctx, d)
	if err != nil {
		return Measure{}, err
	}
	var t Measure
	for _, n := range dir.Nodes {
		switch n.Kind {
		case action.Regular:
			t.Bytes += n.Digest.Size
			t.Files++
		case action.Dir:
			below, err := m.tree(ctx, n.Digest)
			if err != nil {
				return Measure{}, err
			}
			t.Bytes += below.Bytes
			t.Files += below.Files
		}
	}
	m.trees[d] = t
	return t, nil
}
