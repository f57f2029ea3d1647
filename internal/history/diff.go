package history

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/labstar/labstar/action"
)

// Cause is one first difference: something that the script, a file or the tool
// says otherwise, and not merely an input that is different for that reason.
type Cause struct {
	// Chain are the titles from the target down to what differs.
	Chain []string `json:"chain"`
	// What differs, one line each: `options.STATIC: false -> true`.
	What []string `json:"what"`
	// Site is the line of the script that set it.
	Site *action.Frame `json:"site,omitempty"`
	// Source is set when a local file or folder differs.
	Old, New *Source `json:"-"`
}

// Diff returns the causes for which target differs between two graphs; none if
// it does not. A target that only now has is a cause of its own.
func Diff(old, now *Graph, target string) []Cause {
	n, ok := now.Find(target)
	if !ok {
		return nil
	}
	d := differ{old: old, now: now, seen: map[[2]string]bool{}}
	if o, ok := old.Find(target); ok {
		d.compare(o, n, []string{target})
	} else {
		d.add(n, []string{target}, "new target")
	}
	return d.causes
}

type differ struct {
	old, now *Graph
	seen     map[[2]string]bool
	causes   []Cause
}

func (d *differ) add(n *Node, chain []string, what ...string) {
	c := Cause{Chain: slices.Clone(chain), What: what}
	if len(n.Site) > 0 {
		c.Site = &n.Site[0]
	}
	d.causes = append(d.causes, c)
}

func (d *differ) compare(o, n *Node, chain []string) {
	pair := [2]string{o.Definition, n.Definition}
	if o.Definition == n.Definition || d.seen[pair] {
		return
	}
	if o.Outputs != "" && o.Outputs == n.Outputs && len(chain) > 1 {
		return // made anew, and the same came out: nothing above is for its sake
	}
	d.seen[pair] = true
	if last := len(chain) - 1; n.Title != chain[last] {
		chain = append(slices.Clone(chain), n.Title)
	}
	if o.Op != n.Op {
		d.add(n, chain, fmt.Sprintf("made by %s instead of %s", n.Op, o.Op))
		return
	}
	if n.Source != nil && o.Source != nil {
		what := fmt.Sprintf("%s changed", n.Source.Path)
		if o.Source.Path != n.Source.Path {
			what = fmt.Sprintf("%s instead of %s", n.Source.Path, o.Source.Path)
		}
		d.add(n, chain, what)
		c := &d.causes[len(d.causes)-1]
		c.Old, c.New = o.Source, n.Source
		return
	}
	var what []string
	if o.Version != n.Version {
		what = append(what, fmt.Sprintf("labstar's %s: version %d -> %d", n.Op, o.Version, n.Version))
	}
	what = append(what, diffJSON(o.Params, n.Params)...)
	if len(what) == 0 && len(n.Secrets) > 0 {
		what = append(what, "the secret "+strings.Join(n.Secrets, ", ")+" changed")
	}
	type pairOf struct{ o, n *Node }
	var below []pairOf
	for _, e := range n.Inputs {
		i := slices.IndexFunc(o.Inputs, func(x Edge) bool { return x.Name == e.Name })
		if i < 0 {
			what = append(what, fmt.Sprintf("input %s is new: %s", e.Name, d.now.Nodes[e.Node].Title))
			continue
		}
		below = append(below, pairOf{&d.old.Nodes[o.Inputs[i].Node], &d.now.Nodes[e.Node]})
	}
	for _, e := range o.Inputs {
		if !slices.ContainsFunc(n.Inputs, func(x Edge) bool { return x.Name == e.Name }) {
			what = append(what, fmt.Sprintf("input %s is gone: %s", e.Name, d.old.Nodes[e.Node].Title))
		}
	}
	if len(what) > 0 {
		d.add(n, chain, what...)
	}
	for _, p := range below {
		d.compare(p.o, p.n, chain)
	}
}

// diffJSON compares two parameter values, naming each place by its path.
func diffJSON(a, b json.RawMessage) []string {
	if bytes.Equal(a, b) {
		return nil
	}
	var x, y any
	if json.Unmarshal(a, &x) != nil || json.Unmarshal(b, &y) != nil {
		return []string{"the parameters changed"}
	}
	var out []string
	diffValue("", x, y, &out)
	return out
}

func diffValue(path string, a, b any, out *[]string) {
	switch x := a.(type) {
	case map[string]any:
		if y, ok := b.(map[string]any); ok {
			diffMap(path, x, y, out)
			return
		}
	case []any:
		if y, ok := b.([]any); ok {
			diffList(path, x, y, out)
			return
		}
	case string:
		if y, ok := b.(string); ok && (strings.Contains(x, "\n") || strings.Contains(y, "\n")) {
			*out = append(*out, DiffLines(path, x, y)...)
			return
		}
	}
	if s, t := show(a), show(b); s != t {
		*out = append(*out, fmt.Sprintf("%s: %s -> %s", path, s, t))
	}
}

func diffMap(path string, x, y map[string]any, out *[]string) {
	keys := map[string]bool{}
	for k := range x {
		keys[k] = true
	}
	for k := range y {
		keys[k] = true
	}
	sorted := make([]string, 0, len(keys))
	for k := range keys {
		sorted = append(sorted, k)
	}
	slices.Sort(sorted)
	for _, k := range sorted {
		p := k
		if path != "" {
			p = path + "." + k
		}
		u, inOld := x[k]
		v, inNew := y[k]
		switch {
		case !inOld:
			*out = append(*out, fmt.Sprintf("%s: added %s", p, show(v)))
		case !inNew:
			*out = append(*out, fmt.Sprintf("%s: removed (was %s)", p, show(u)))
		default:
			diffValue(p, u, v, out)
		}
	}
}

func diffList(path string, x, y []any, out *[]string) {
	if len(x) == len(y) {
		for i := range x {
			diffValue(fmt.Sprintf("%s[%d]", path, i), x[i], y[i], out)
		}
		return
	}
	// Of different lengths: what is only in one of them.
	in := func(list []any, v any) bool {
		return slices.ContainsFunc(list, func(w any) bool { return show(w) == show(v) })
	}
	for _, v := range y {
		if !in(x, v) {
			*out = append(*out, fmt.Sprintf("%s: added %s", path, show(v)))
		}
	}
	for _, v := range x {
		if !in(y, v) {
			*out = append(*out, fmt.Sprintf("%s: removed %s", path, show(v)))
		}
	}
}

// show writes a value on one line, shortened.
func show(v any) string {
	b, err := action.Canonical(v)
	if err != nil {
		return fmt.Sprint(v)
	}
	if r := []rune(string(b)); len(r) > 80 {
		return string(r[:77]) + "…" + string(r[len(r)-1:])
	}
	return string(b)
}

func lines(s string) []string {
	if s == "" {
		return nil
	}
	return strings.Split(s, "\n")
}

// DiffLines tells the first lines in which two texts differ.
func DiffLines(path, a, b string) []string {
	const most = 3
	x, y := lines(a), lines(b)
	start := 0
	for start < len(x) && start < len(y) && x[start] == y[start] {
		start++
	}
	endX, endY := len(x), len(y)
	for endX > start && endY > start && x[endX-1] == y[endY-1] {
		endX--
		endY--
	}
	var out []string
	add := func(sign string, at int, list []string) {
		for i, l := range list[:min(most, len(list))] {
			out = append(out, strings.TrimSpace(fmt.Sprintf("%s line %d %s %s", path, at+i+1, sign, l)))
		}
		if n := len(list) - most; n > 0 {
			out = append(out, strings.TrimSpace(fmt.Sprintf("%s %s %d more lines", path, sign, n)))
		}
	}
	add("-", start, x[start:endX])
	add("+", start, y[start:endY])
	return out
}
