package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"

	"github.com/spf13/pflag"

	"github.com/labstar/labstar"
	"github.com/labstar/labstar/action"
	"github.com/labstar/labstar/internal/term"
)

func graphCommand() command {
	return command{
		name: "graph", args: "[FILE] [TARGET…]",
		short: "show how targets are made: as text, DOT or JSON",
		long: `
Shows the actions that make the targets and what each reads. As text, every action
is shown once, under what needs it first; "^" marks one that is shown above.`,
		examples: `
labstar graph page
labstar graph --format dot | dot -Tsvg -o graph.svg
labstar graph --format json | jq '.nodes | length'`,
		setup: func(a *app, fs *pflag.FlagSet) runner {
			format := fs.String("format", "text", "`how` to write it: text, dot or json")
			return func(ctx context.Context, args []string) error {
				if err := oneOf("graph", "format", *format, "text", "dot", "json"); err != nil {
					return err
				}
				file, targets := splitFile(args)
				return a.graph(ctx, file, targets, *format)
			}
		},
	}
}

func (a *app) graph(ctx context.Context, file string, targets []string, format string) (err error) {
	ls, lab, err := a.load(ctx, file)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, ls.Close()) }()
	picked, err := lab.Pick(targets...)
	if err != nil {
		return err
	}
	g := newGraph(picked)
	return a.buffered(func(w io.Writer) error {
		switch format {
		case "dot":
			return g.dot(w)
		case "json":
			enc := json.NewEncoder(w)
			enc.SetEscapeHTML(false)
			return enc.Encode(g)
		}
		g.text(w, a.outTerm)
		return nil
	})
}

// graph is what `graph --format json` prints. Inputs come before what reads them.
type graph struct {
	Targets []graphTarget `json:"targets"`
	Nodes   []graphNode   `json:"nodes"`
	index   map[action.Digest]int
}

type graphTarget struct {
	Name   string `json:"name"`
	Item   string `json:"item,omitempty"` // key or index, of a target that is several
	Type   string `json:"type"`
	Node   int    `json:"node"`
	Output string `json:"output"`
}

type graphNode struct {
	ID     int          `json:"id"`
	Title  string       `json:"title"`
	Op     string       `json:"op"` // "source" for a local file or tree
	At     string       `json:"at,omitempty"`
	Def    string       `json:"definition"` // SHA-256
	Inputs []graphInput `json:"inputs,omitempty"`
}

type graphInput struct {
	Name   string `json:"name,omitempty"` // "" for one that is named in a string only
	Node   int    `json:"node"`
	Output string `json:"output"`
}

func newGraph(targets []labstar.Target) *graph {
	g := &graph{Targets: []graphTarget{}, Nodes: []graphNode{}, index: map[action.Digest]int{}}
	for _, t := range targets {
		for _, item := range t.Items {
			g.Targets = append(g.Targets, graphTarget{
				Name: t.Name, Item: item.Path, Type: t.Type, Node: g.add(item.Artifact.Action), Output: item.Artifact.Output().Name,
			})
		}
	}
	return g
}

// add adds an action and what it reads, and returns its number.
func (g *graph) add(act *action.Action) int {
	def := act.Definition()
	if i, ok := g.index[def]; ok {
		return i
	}
	n := graphNode{Title: act.Title, Op: "source", At: at(act), Def: def.Hex()}
	if act.Source == nil {
		n.Op = act.Op.Name
	}
	for _, in := range act.Inputs {
		n.Inputs = append(n.Inputs, graphInput{in.Name, g.add(in.Artifact.Action), in.Artifact.Output().Name})
	}
	for _, r := range act.Refs {
		n.Inputs = append(n.Inputs, graphInput{"", g.add(r.Artifact.Action), r.Artifact.Output().Name})
	}
	n.ID = len(g.Nodes)
	g.Nodes = append(g.Nodes, n)
	g.index[def] = n.ID
	return n.ID
}

func (g *graph) text(w io.Writer, t term.Term) {
	shown := make([]bool, len(g.Nodes))
	var show func(id, depth int, name string)
	show = func(id, depth int, name string) {
		n := g.Nodes[id]
		label := term.Clean(n.Title)
		if name != "" && name != n.Title {
			label = term.Clean(name) + " = " + label
		}
		mark := ""
		if shown[id] && len(n.Inputs) > 0 {
			mark = " ^"
		}
		info := n.Op
		if n.At != "" {
			info += "  " + n.At
		}
		fmt.Fprintf(w, "%s%s%s  %s\n", strings.Repeat("  ", depth), label, mark, t.Dim(info))
		if shown[id] {
			return
		}
		shown[id] = true
		for _, in := range n.Inputs {
			show(in.Node, depth+1, in.Name)
		}
	}
	for _, target := range g.Targets {
		name := target.Name
		if target.Item != "" {
			name += "/" + target.Item
		}
		fmt.Fprintf(w, "%s  %s\n", t.Bold(name), t.Dim(target.Type))
		show(target.Node, 1, "")
	}
}

func (g *graph) dot(w io.Writer) error {
	fmt.Fprint(w, "digraph lab {\n  rankdir = LR;\n  node [shape = box, fontname = \"sans-serif\"];\n")
	for _, n := range g.Nodes {
		style := ""
		if n.Op == "source" {
			style = ", style = dashed"
		}
		fmt.Fprintf(w, "  n%d [label = %s%s];\n", n.ID, strconv.Quote(term.Clean(n.Title)), style)
		for _, in := range n.Inputs {
			fmt.Fprintf(w, "  n%d -> n%d [label = %s];\n", in.Node, n.ID, strconv.Quote(in.Name))
		}
	}
	for i, t := range g.Targets {
		fmt.Fprintf(w, "  t%d [label = %s, shape = oval, style = bold];\n  n%d -> t%d;\n", i, strconv.Quote(strings.TrimSuffix(t.Name+"/"+t.Item, "/")), t.Node, i)
	}
	_, err := fmt.Fprint(w, "}\n")
	return err
}
