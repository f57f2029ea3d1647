// Package history remembers the graph of a run, and tells in the words of the
// script what is different in the next one: which argument, file, package or
// tool, and the way from there to a target.
//
// Two graphs are compared from their targets downwards: targets pair up by name,
// inputs by the name under which their action knows them. So a script whose lines
// moved is still compared with itself.
package history

import (
	"encoding/json"
	"fmt"

	"github.com/labstar/labstar/action"
)

// Graph is what is remembered of one evaluation.
type Graph struct {
	Targets []Target `json:"targets"`
	Nodes   []Node   `json:"nodes"`
}

// Target is a named artifact of the script.
type Target struct {
	Name string `json:"name"`
	Node int    `json:"node"` // index into Graph.Nodes
}

// Node is one action or source.
type Node struct {
	// Definition is hexadecimal; of what depends on secrets, with their results.
	Definition string `json:"definition"`
	Op         string `json:"op"`
	// Size completes Definition for an op with a preview, whose result is looked up.
	Size    int64           `json:"size,omitempty"`
	Version int             `json:"version,omitempty"`
	Title   string          `json:"title"`
	Params  json.RawMessage `json:"params,omitempty"` // tokens replaced by names
	Source  *Source         `json:"source,omitempty"`
	Secrets []string        `json:"secrets,omitempty"` // names
	Site    []action.Frame  `json:"site,omitempty"`
	Inputs  []Edge          `json:"inputs,omitempty"`
	// Outputs is a hash of what the action left, "" if the run did not come to
	// know it (it was below something that was found).
	Outputs string `json:"outputs,omitempty"`
	Ran     bool   `json:"ran,omitempty"` // in the run that is remembered
	Millis  int64  `json:"millis,omitempty"`
}

// Source is a local file or tree.
type Source struct {
	Path   string        `json:"path"`
	Tree   bool          `json:"tree,omitempty"`
	Digest action.Digest `json:"digest"`
}

// Edge leads from an action to one of its inputs.
type Edge struct {
	Name string `json:"name"`
	Node int    `json:"node"`
}

// Named is an artifact under its target's name.
type Named struct {
	Name     string
	Artifact *action.Artifact
}

// Run is what a build came to know, by the definitions of actions. Nil functions
// know nothing.
type Run struct {
	Ran    func(definition action.Digest) bool
	Result func(definition action.Digest) *action.Result
}

// Capture makes the record of a graph.
func Capture(targets []Named, run Run) *Graph {
	c := capture{graph: &Graph{}, index: map[action.Digest]int{}, run: run}
	for _, t := range targets {
		c.graph.Targets = append(c.graph.Targets, Target{Name: t.Name, Node: c.node(t.Artifact.Action)})
	}
	return c.graph
}

type capture struct {
	graph *Graph
	index map[action.Digest]int
	run   Run
}

func (c *capture) node(a *action.Action) int {
	def := a.Definition()
	if i, ok := c.index[def]; ok {
		return i
	}
	n := Node{Definition: c.name(a), Title: a.Title, Site: a.Site, Secrets: a.Secrets}
	if src := a.Source; src != nil {
		n.Op = "source"
		n.Source = &Source{Path: src.Path, Tree: src.Kind == action.Tree, Digest: src.Digest}
	} else {
		n.Op, n.Version = a.Op.Name, a.Op.Version
		if a.Op.Preview {
			n.Size = def.Size
		}
		n.Params = json.RawMessage(a.Scope().Readable(string(a.Params)))
		if !json.Valid(n.Params) { // a title with a quote in it
			n.Params = nil
		}
	}
	for _, in := range a.Inputs {
		n.Inputs = append(n.Inputs, Edge{Name: in.Name, Node: c.node(in.Artifact.Action)})
	}
	for i, r := range a.Refs {
		n.Inputs = append(n.Inputs, Edge{Name: fmt.Sprintf("reference %d", i+1), Node: c.node(r.Artifact.Action)})
	}
	if c.run.Ran != nil {
		n.Ran = c.run.Ran(def)
	}
	if c.run.Result != nil {
		if res := c.run.Result(def); res != nil {
			n.Millis, n.Outputs = res.Millis, hashOutputs(res)
		}
	}
	i := len(c.graph.Nodes)
	c.graph.Nodes = append(c.graph.Nodes, n)
	c.index[def] = i
	return i
}

// name is the definition, with what the secrets below gave in that run.
func (c *capture) name(a *action.Action) string {
	name := a.Definition().Hex()
	for _, b := range a.Bound() {
		if c.run.Result == nil {
			break
		}
		if res := c.run.Result(b.Definition()); res != nil {
			name += " " + hashOutputs(res)
		}
	}
	return name
}

// hashOutputs hashes what the outputs are, and not how long they took.
func hashOutputs(r *action.Result) string {
	bare := action.Result{Outputs: r.Outputs}
	return action.Of(bare.Encode()).Hex()
}

// Encode writes the record.
func (g *Graph) Encode() ([]byte, error) { return json.Marshal(g) }

// Decode reads what Encode wrote.
func Decode(b []byte) (*Graph, error) {
	g := &Graph{}
	if err := json.Unmarshal(b, g); err != nil {
		return nil, fmt.Errorf("decoding the record of the last run: %w", err)
	}
	for _, t := range g.Targets {
		if t.Node < 0 || t.Node >= len(g.Nodes) {
			return nil, fmt.Errorf("decoding the record of the last run: target %q names no node", t.Name)
		}
	}
	for i, n := range g.Nodes {
		for _, e := range n.Inputs {
			if e.Node < 0 || e.Node >= i {
				return nil, fmt.Errorf("decoding the record of the last run: node %d has input %d", i, e.Node)
			}
		}
	}
	return g, nil
}

// Find returns the node of the target called name.
func (g *Graph) Find(name string) (*Node, bool) {
	for _, t := range g.Targets {
		if t.Name == name {
			return &g.Nodes[t.Node], true
		}
	}
	return nil, false
}
