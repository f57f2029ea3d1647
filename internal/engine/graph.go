package engine

import (
	"context"
	"encoding/binary"
	"errors"

	"github.com/labstar/labstar/action"
	"github.com/labstar/labstar/internal/store"
)

// node is an action that is not in the store under its definition.
type node struct {
	action     *action.Action
	waits      int     // inputs that are not built yet
	dependents []*node // each once
	priority   int64   // see schedule.go
	key        action.Digest
	state      nodeState
}

type nodeState uint8

const (
	waiting nodeState = iota
	done
	failed
	skipped
)

// graph is what the first pass found.
type graph struct {
	total   int                              // distinct actions below the targets, sources not counted
	needed  []*node                          // inputs before their dependents
	results map[action.Digest]*action.Result // of what is settled, by definition
}

// discover is the first pass: down from the targets, ending wherever the store
// knows the definition. Actions that are equal by definition are one node.
func (e *Engine) discover(ctx context.Context, targets []*action.Artifact) (*graph, error) {
	g := &graph{results: map[action.Digest]*action.Result{}}
	d := discovery{engine: e, graph: g, nodes: map[action.Digest]*node{}}
	for _, t := range targets {
		if _, err := d.visit(ctx, t.Action); err != nil {
			return nil, err
		}
	}
	g.total = countActions(targets)
	return g, nil
}

type discovery struct {
	engine *Engine
	graph  *graph
	nodes  map[action.Digest]*node // nil for what is settled
}

// visit returns the node of a, or nil if it is settled. The depth of the
// recursion is that of the graph; Go's stacks grow.
func (d *discovery) visit(ctx context.Context, a *action.Action) (*node, error) {
	if a.Source != nil {
		return nil, nil
	}
	def := a.Definition()
	if n, seen := d.nodes[def]; seen {
		return n, nil
	}
	res, err := d.lookUp(ctx, a)
	if err == nil && hasOutputs(res, a) {
		d.nodes[def] = nil
		d.graph.results[def] = res
		return nil, nil
	}
	if err != nil && !errors.Is(err, store.ErrNotFound) {
		return nil, err
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	n := &node{action: a}
	d.nodes[def] = n
	seen := map[*node]bool{}
	var depErr error
	a.Deps(func(in *action.Artifact) {
		if depErr != nil {
			return
		}
		dep, err := d.visit(ctx, in.Action)
		if err != nil {
			depErr = err
			return
		}
		if dep != nil && !seen[dep] {
			seen[dep] = true
			dep.dependents = append(dep.dependents, n)
			n.waits++
		}
	})
	d.graph.needed = append(d.graph.needed, n)
	return n, depErr
}

// lookUp finds what the store has of a. Secrets are bound here; one that is not
// given is told when the action runs, if anything needs it.
func (d *discovery) lookUp(ctx context.Context, a *action.Action) (*action.Result, error) {
	if len(a.Secrets) > 0 {
		res, err := d.engine.Bind(ctx, a)
		if err != nil {
			return nil, store.ErrNotFound
		}
		return res, nil
	}
	for _, b := range a.Bound() {
		if _, err := d.visit(ctx, b); err != nil {
			return nil, err
		}
	}
	name, ok := storeName(a, func(def action.Digest) *action.Result { return d.graph.results[def] })
	if !ok {
		return nil, store.ErrNotFound
	}
	return d.engine.opts.Store.Result(ctx, name)
}

// hasOutputs guards against results of a builtin that since got other outputs.
func hasOutputs(r *action.Result, a *action.Action) bool {
	for _, o := range a.Outputs {
		if got, ok := r.Output(o.Name); !ok || got.Kind != o.Kind {
			return false
		}
	}
	return true
}

// countActions counts the distinct actions below the targets.
func countActions(targets []*action.Artifact) int {
	seen := map[uint64]struct{}{} // by the first eight bytes of definitions, which are random enough
	var visit func(*action.Artifact)
	visit = func(t *action.Artifact) {
		a := t.Action
		if a.Source != nil {
			return
		}
		n := len(seen)
		hash := a.Definition().Hash
		if seen[binary.NativeEndian.Uint64(hash[:])] = struct{}{}; len(seen) > n {
			a.Deps(visit)
		}
	}
	for _, t := range targets {
		visit(t)
	}
	return len(seen)
}
