package history

import (
	"encoding/hex"
	"slices"

	"github.com/labstar/labstar/action"
)

// Pair is a node of the graph as it is, and the one that it was in the last run.
type Pair struct{ Old, New *Node }

// Previews returns the nodes below a target that have a preview and are not what
// they were.
func Previews(old, now *Graph, target string) []Pair {
	n, ok := now.Find(target)
	if !ok {
		return nil
	}
	o, ok := old.Find(target)
	if !ok {
		return nil
	}
	p := pairs{old: old, now: now, seen: map[[2]string]bool{}}
	p.visit(o, n)
	return p.list
}

// Targets returns the nodes of targets that op makes and that are not what they were.
func Targets(old, now *Graph, op string) []Pair {
	var list []Pair
	for _, t := range now.Targets {
		n := &now.Nodes[t.Node]
		if n.Op != op {
			continue
		}
		if o, ok := old.Find(t.Name); ok && o.Op == op && o.Definition != n.Definition {
			list = append(list, Pair{o, n})
		}
	}
	return list
}

// Has reports whether op makes one of the targets.
func (g *Graph) Has(op string) bool {
	return slices.ContainsFunc(g.Targets, func(t Target) bool { return g.Nodes[t.Node].Op == op })
}

type pairs struct {
	old, now *Graph
	seen     map[[2]string]bool
	list     []Pair
}

func (p *pairs) visit(o, n *Node) {
	key := [2]string{o.Definition, n.Definition}
	if o.Definition == n.Definition || p.seen[key] {
		return
	}
	p.seen[key] = true
	if n.Size > 0 && o.Size > 0 && o.Op == n.Op {
		p.list = append(p.list, Pair{o, n})
	}
	for _, e := range n.Inputs {
		if i := slices.IndexFunc(o.Inputs, func(x Edge) bool { return x.Name == e.Name }); i >= 0 {
			p.visit(&p.old.Nodes[o.Inputs[i].Node], &p.now.Nodes[e.Node])
		}
	}
}

// Key is the definition of a node with a preview.
func (n *Node) Key() (d action.Digest, ok bool) {
	b, err := hex.DecodeString(n.Definition)
	if err != nil || len(b) != len(d.Hash) || n.Size == 0 {
		return d, false
	}
	copy(d.Hash[:], b)
	d.Size = n.Size
	return d, true
}
