package k8s

import (
	"bytes"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/labstar/labstar/internal/kube/yamldoc"
	"github.com/labstar/labstar/starlark/schema"
)

// document is one document of a YAML file.
type document struct {
	file string
	text []byte // of the file
	root *yamldoc.Node
}

// place is where a value stands; a field that is not there is where it should be.
// An object as a whole is where its name is.
func (d *document) place(p *where, name bool) *schema.Place {
	n, key := d.root, (*yamldoc.Node)(nil)
	if p == nil {
		if m := n.Field("metadata").Field("name"); m != nil {
			n = m
		}
	}
	for _, s := range p.steps() {
		next, nextKey := (*yamldoc.Node)(nil), (*yamldoc.Node)(nil)
		if s.key != "" {
			next, nextKey = n.Field(s.key), n.Key(s.key)
		} else if n.Kind == yamldoc.List && s.index < len(n.Items) {
			next = n.Items[s.index]
		}
		if next == nil {
			break
		}
		n, key = next, nextKey
	}
	if name && key != nil || n.Kind != yamldoc.Scalar && key != nil || n.Kind == yamldoc.Scalar && n.Value == nil && key != nil {
		n = key // a whole block is pointed at by its name
	}
	return d.at(n.Line, n.Col, n.EndCol)
}

func (d *document) at(line, col, end int) *schema.Place {
	src := ""
	rest := d.text
	for i := 1; len(rest) > 0; i++ {
		row, after, _ := bytes.Cut(rest, []byte("\n"))
		if i == line {
			src = strings.TrimSuffix(string(row), "\r")
			break
		}
		rest = after
	}
	if width := utf8.RuneCountInString(src); end == 0 || end > width+1 {
		end = width + 1
	}
	if col == 0 {
		col = 1 + len(src) - len(strings.TrimLeft(src, " "))
	}
	return &schema.Place{File: d.file, Line: line, Col: col, EndCol: max(end, col+1), Source: src}
}

// placeBelow is place for an element, in the notation of package schema, of the
// value at p.
func (d *document) placeBelow(p *where, elem string) *schema.Place {
	for elem != "" {
		step, rest := schema.SplitElem(elem)
		if step == "" {
			break
		}
		if key, err := strconv.Unquote(step); err == nil {
			p = &where{up: p, key: key}
		} else if i, err := strconv.Atoi(step); err == nil {
			p = &where{up: p, index: i}
		}
		elem = rest
	}
	return d.place(p, false)
}

// plain is the value of a node.
func plainNode(n *yamldoc.Node) any {
	switch n.Kind {
	case yamldoc.Map:
		d := make(dict, len(n.Keys))
		for i, k := range n.Keys {
			d[i].Key, _ = k.Value.(string)
			d[i].Value = plainNode(n.Items[i])
		}
		return d
	case yamldoc.List:
		l := make([]any, len(n.Items))
		for i, e := range n.Items {
			l[i] = plainNode(e)
		}
		return l
	}
	return n.Value
}
