// Package yamldoc reads YAML files of Kubernetes objects, and remembers where each
// value stands.
//
//	docs, err := yamldoc.Parse(data)
//	for _, d := range docs {
//		port := d.Field("spec").Field("ports").Items[0].Field("port")
//		fmt.Println(port.Line, port.Col, port.Value)
//	}
//
// Scalars mean what they mean to Kubernetes, which reads YAML 1.1: yes and on are
// booleans, 0644 is octal, a date is a string.
package yamldoc

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math"
	"regexp"
	"strconv"
	"strings"
	"unicode/utf8"

	"go.yaml.in/yaml/v3"
)

// Kind is what a node is.
type Kind uint8

// The kinds of nodes.
const (
	Scalar Kind = iota
	Map
	List
)

// Node is a value and where it stands.
type Node struct {
	Kind      Kind
	Value     any     // of a Scalar: nil, bool, int64, float64, string
	Keys      []*Node // of a Map: scalars that are strings, in order
	Items     []*Node // of a Map, the values; of a List, the elements
	Line, Col int     // 1-based, in characters
	EndCol    int     // after the last character on the line, where that is known; else 0
}

// Field returns the value of a Map's key, nil if there is none or n is no Map.
func (n *Node) Field(key string) *Node {
	if n == nil || n.Kind != Map {
		return nil
	}
	for i, k := range n.Keys {
		if k.Value == key {
			return n.Items[i]
		}
	}
	return nil
}

// Key returns the node of a Map's key itself.
func (n *Node) Key(key string) *Node {
	if n == nil || n.Kind != Map {
		return nil
	}
	for _, k := range n.Keys {
		if k.Value == key {
			return k
		}
	}
	return nil
}

// Error is something wrong with a file as YAML.
type Error struct {
	Line, Col int // Col is 0 if only the line is known
	Msg       string
}

func (e *Error) Error() string { return fmt.Sprintf("line %d: %s", e.Line, e.Msg) }

// Parse reads all documents; empty ones are left out.
func Parse(data []byte) ([]*Node, error) {
	var out []*Node
	for dec := yaml.NewDecoder(bytes.NewReader(data)); ; {
		var y yaml.Node
		err := dec.Decode(&y)
		if errors.Is(err, io.EOF) {
			return out, nil
		}
		if err != nil {
			return nil, syntaxError(err)
		}
		if len(y.Content) == 0 {
			continue
		}
		c := converter{}
		n, err := c.node(y.Content[0], 0)
		if err != nil {
			return nil, err
		}
		if n.Kind != Scalar || n.Value != nil {
			out = append(out, n)
		}
	}
}

var errorLine = regexp.MustCompile(`^yaml: line (\d+): (.*)$`)

func syntaxError(err error) error {
	msg := err.Error()
	if m := errorLine.FindStringSubmatch(msg); m != nil {
		line, _ := strconv.Atoi(m[1])
		return &Error{Line: line, Msg: m[2]}
	}
	return &Error{Line: 1, Msg: strings.TrimPrefix(msg, "yaml: ")}
}

// maxNodes bounds what aliases can blow up.
const (
	maxNodes = 1_000_000
	maxDepth = 200
)

type converter struct{ nodes int }

func (c *converter) node(y *yaml.Node, depth int) (*Node, error) {
	if c.nodes++; c.nodes > maxNodes || depth > maxDepth {
		return nil, &Error{y.Line, y.Column, "the document is too large, or nested too deep"}
	}
	n := &Node{Line: y.Line, Col: y.Column}
	switch y.Kind {
	case yaml.AliasNode:
		return c.node(y.Alias, depth+1)
	case yaml.MappingNode:
		n.Kind = Map
		return n, c.fields(n, y, depth)
	case yaml.SequenceNode:
		n.Kind = List
		for _, e := range y.Content {
			item, err := c.node(e, depth+1)
			if err != nil {
				return nil, err
			}
			n.Items = append(n.Items, item)
		}
		return n, nil
	}
	plain := y.Style&(yaml.DoubleQuotedStyle|yaml.SingleQuotedStyle|yaml.LiteralStyle|yaml.FoldedStyle) == 0
	width := utf8.RuneCountInString(y.Value)
	switch {
	case y.Style&(yaml.DoubleQuotedStyle|yaml.SingleQuotedStyle) != 0:
		n.EndCol = n.Col + width + 2
	case plain:
		n.EndCol = n.Col + width
	}
	if plain && y.Style&yaml.TaggedStyle == 0 {
		n.Value = resolve(y.Value)
	} else {
		n.Value = y.Value
	}
	return n, nil
}

// fields adds the pairs of a mapping; those of a merge key (<<) where the mapping
// has none of the name.
func (c *converter) fields(n *Node, y *yaml.Node, depth int) error {
	var merged []*yaml.Node
	for i := 0; i+1 < len(y.Content); i += 2 {
		k, v := y.Content[i], y.Content[i+1]
		if k.Kind == yaml.ScalarNode && k.Value == "<<" && k.Tag == "!!merge" {
			merged = append(merged, v)
			continue
		}
		if k.Kind != yaml.ScalarNode {
			return &Error{k.Line, k.Column, "got a key that is no string"}
		}
		name := keyName(k)
		key := &Node{Value: name, Line: k.Line, Col: k.Column, EndCol: k.Column + utf8.RuneCountInString(k.Value)}
		if n.Field(name) != nil {
			return &Error{k.Line, k.Column, fmt.Sprintf("got the key %q twice: line %d has it already", name, n.Key(name).Line)}
		}
		item, err := c.node(v, depth+1)
		if err != nil {
			return err
		}
		n.Keys, n.Items = append(n.Keys, key), append(n.Items, item)
	}
	for _, m := range merged {
		if err := c.merge(n, m, depth); err != nil {
			return err
		}
	}
	return nil
}

// keyName is the string that a key becomes in JSON: on, without quotes, is "true".
func keyName(k *yaml.Node) string {
	if k.Style&(yaml.DoubleQuotedStyle|yaml.SingleQuotedStyle|yaml.TaggedStyle) != 0 {
		return k.Value
	}
	switch v := resolve(k.Value).(type) {
	case string:
		return v
	case nil:
		return "null"
	default:
		return fmt.Sprint(v)
	}
}

func (c *converter) merge(n *Node, y *yaml.Node, depth int) error {
	from, err := c.node(y, depth+1)
	if err != nil {
		return err
	}
	sources := []*Node{from}
	if from.Kind == List {
		sources = from.Items
	}
	for _, s := range sources {
		for i, k := range s.Keys {
			if key, _ := k.Value.(string); n.Field(key) == nil {
				n.Keys, n.Items = append(n.Keys, k), append(n.Items, s.Items[i])
			}
		}
	}
	return nil
}

// resolve is the value of a plain scalar, as yaml.v2 and so Kubernetes reads it.
func resolve(s string) any {
	if s == "" {
		return nil
	}
	switch s[0] {
	case '~', 'n', 'N', 't', 'T', 'f', 'F', 'y', 'Y', 'o', 'O':
		switch s {
		case "~", "null", "Null", "NULL":
			return nil
		case "true", "True", "TRUE", "yes", "Yes", "YES", "on", "On", "ON", "y", "Y":
			return true
		case "false", "False", "FALSE", "no", "No", "NO", "off", "Off", "OFF", "n", "N":
			return false
		}
		return s
	case '.', '+', '-', '0', '1', '2', '3', '4', '5', '6', '7', '8', '9':
		return resolveNumber(s)
	}
	return s
}

func resolveNumber(s string) any {
	plain := strings.ReplaceAll(s, "_", "")
	if i, err := strconv.ParseInt(plain, 0, 64); err == nil {
		return i
	}
	if isFloat(plain) {
		if f, err := strconv.ParseFloat(plain, 64); err == nil && !math.IsInf(f, 0) {
			return f
		}
	}
	return s
}

// isFloat is yaml.v2's ^[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?$.
func isFloat(s string) bool {
	s = strings.TrimLeft(s, "+-")
	mantissa, exp, hasExp := strings.Cut(strings.ToLower(s), "e")
	whole, frac, point := strings.Cut(mantissa, ".")
	digits := func(s string) bool { return strings.Trim(s, "0123456789") == "" }
	if !digits(whole) || !digits(frac) || whole == "" && (!point || frac == "") {
		return false
	}
	if !hasExp {
		return true
	}
	exp = strings.TrimLeft(exp, "+-")
	return exp != "" && digits(exp)
}

// IsString reports whether a plain scalar is a string to every reader, of YAML 1.1 and
// of 1.2.
func IsString(s string) bool {
	if c := s[0]; c >= '0' && c <= '9' || c == '.' || c == '+' {
		switch strings.ToLower(strings.TrimLeft(s, "+.")) {
		case "inf", "nan":
			return false
		}
		// A date or a number of base 60 is a string to Kubernetes, and not to all.
		return strings.Trim(s, "0123456789:.-+_xXoOabcdefABCDEFTZ ") != ""
	}
	_, ok := resolve(s).(string)
	return ok
}
