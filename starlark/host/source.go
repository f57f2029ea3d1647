package host

import (
	"fmt"
	"unicode/utf8"

	"go.starlark.net/starlark"
)

// Bounds on what a source file may nest. The parser, the resolver and the
// compiler are recursive: without them a file of brackets would overflow the
// stack, which no Go program survives.
const (
	maxBrackets   = 200
	maxExpression = 64 << 10 // characters between two commas or lines, strings not counted
	maxElifs      = 5000
)

// nesting is a scan over the source that knows strings, comments and brackets
// and nothing else.
type nesting struct {
	src       []byte
	i         int
	line, col int
	open      []int // characters so far, in each open bracket
	lines     []int // where each was opened
	total     int   // sum of open
	elifs     int
}

// checkSource reports a source that is no text, or nested too deep to be read.
func checkSource(m *module) error {
	n := nesting{src: m.source, line: 1, col: 1, open: make([]int, 1, 16)}
	if msg := n.scan(); msg != "" {
		return Errors{m.errorAt(n.line, n.col, n.col+1, msg)}
	}
	return nil
}

func (n *nesting) scan() string {
	for n.i < len(n.src) {
		c := n.src[n.i]
		switch {
		case c == 0:
			return "this is no text: it has a NUL character"
		case c == '\n':
			if len(n.open) == 1 {
				n.comma()
			}
			n.next()
			n.countElif()
			continue
		case c == '\\' && n.i+1 < len(n.src):
			n.next()
		case c == '#':
			for n.i < len(n.src) && n.src[n.i] != '\n' {
				n.next()
			}
			continue
		case c == '"' || c == '\'':
			n.str(c)
			n.count()
			continue
		case c == '(' || c == '[' || c == '{':
			n.count()
			n.lines = append(n.lines, n.line)
			if n.open = append(n.open, 0); len(n.open) > maxBrackets {
				return fmt.Sprintf("brackets nested more than %d deep", maxBrackets)
			}
		case c == ')' || c == ']' || c == '}':
			if len(n.open) > 1 {
				n.comma()
				n.open = n.open[:len(n.open)-1]
				n.lines = n.lines[:len(n.lines)-1]
			}
			n.count()
		case c == ',' || c == ';':
			n.comma()
		case c != ' ' && c != '\t' && c != '\r':
			n.count()
		}
		if n.total > maxExpression {
			return fmt.Sprintf("expression of more than %d characters: split it", maxExpression)
		}
		if n.elifs > maxElifs {
			return fmt.Sprintf("more than %d elif", maxElifs)
		}
		n.next()
	}
	return ""
}

// unclosed returns the line of the innermost bracket that is never closed, or 0.
func (m *module) unclosed() int {
	n := nesting{src: m.source, line: 1, col: 1, open: make([]int, 1, 16)}
	if n.scan() != "" || len(n.lines) == 0 {
		return 0
	}
	return n.lines[len(n.lines)-1]
}

// next goes on by one character.
func (n *nesting) next() {
	if n.src[n.i] == '\n' {
		n.line++
		n.col = 1
		n.i++
		return
	}
	_, size := utf8.DecodeRune(n.src[n.i:])
	n.i += size
	n.col++
}

func (n *nesting) count() {
	n.open[len(n.open)-1]++
	n.total++
}

// comma starts a new expression in the innermost bracket.
func (n *nesting) comma() {
	n.total -= n.open[len(n.open)-1]
	n.open[len(n.open)-1] = 0
}

// countElif looks at the first word of a line.
func (n *nesting) countElif() {
	j := n.i
	for j < len(n.src) && (n.src[j] == ' ' || n.src[j] == '\t') {
		j++
	}
	if j+4 <= len(n.src) && string(n.src[j:j+4]) == "elif" {
		n.elifs++
	}
}

// str skips a string literal that starts here.
func (n *nesting) str(q byte) {
	triple := n.i+2 < len(n.src) && n.src[n.i+1] == q && n.src[n.i+2] == q
	n.next()
	if triple {
		n.next()
		n.next()
	}
	for n.i < len(n.src) {
		switch c := n.src[n.i]; {
		case c == '\\' && n.i+1 < len(n.src):
			n.next()
		case c == '\n' && !triple:
			return
		case c == q && !triple:
			n.next()
			return
		case c == q && n.i+2 < len(n.src) && n.src[n.i+1] == q && n.src[n.i+2] == q:
			n.next()
			n.next()
			n.next()
			return
		}
		n.next()
	}
}

// Bounds on the values that a module leaves: freezing them is recursive too.
const (
	maxValueDepth = 10_000
	maxVisits     = 20_000_000
)

// checkFreezable reports globals nested so deep, or so often inside each other,
// that freezing them would not end.
func checkFreezable(m *module, globals starlark.StringDict) error {
	f := freezing{lists: map[starlark.Value]bool{}}
	for name, v := range globals {
		if msg := f.visit(v, 0); msg != "" {
			return Errors{m.errorAtGlobal(name, name+": "+msg)}
		}
	}
	return nil
}

type freezing struct {
	lists  map[starlark.Value]bool // those that freezing would not enter again
	visits int
}

func (f *freezing) visit(v starlark.Value, depth int) string {
	if depth > maxValueDepth {
		return fmt.Sprintf("value nested more than %d deep", maxValueDepth)
	}
	if f.visits++; f.visits > maxVisits {
		return "value with too many elements, or the same ones too often"
	}
	switch v := v.(type) {
	case *starlark.List:
		return f.once(v, func() string { return f.elements(v, depth) })
	case starlark.Tuple:
		return f.elements(v, depth)
	case *starlark.Dict:
		return f.once(v, func() string {
			for k, x := range v.Entries() {
				if msg := f.visit(k, depth+1); msg != "" {
					return msg
				}
				if msg := f.visit(x, depth+1); msg != "" {
					return msg
				}
			}
			return ""
		})
	case *starlark.Set:
		return f.once(v, func() string {
			for x := range v.Elements() {
				if msg := f.visit(x, depth+1); msg != "" {
					return msg
				}
			}
			return ""
		})
	case *starlark.Function:
		return f.function(v, depth)
	case *starlark.Builtin: // a method that was taken off its list
		if v.Receiver() != nil {
			return f.visit(v.Receiver(), depth+1)
		}
	}
	return ""
}

func (f *freezing) elements(v starlark.Indexable, depth int) string {
	for i := range v.Len() {
		if msg := f.visit(v.Index(i), depth+1); msg != "" {
			return msg
		}
	}
	return ""
}

func (f *freezing) once(v starlark.Value, visit func() string) string {
	if f.lists[v] {
		return ""
	}
	f.lists[v] = true
	return visit()
}

// function visits the defaults and what a closure holds. The interpreter does
// not mark functions as frozen: one that refers to itself from inside another
// function would be frozen for ever, and is refused.
func (f *freezing) function(fn *starlark.Function, depth int) string {
	for i := range fn.NumParams() {
		if d := fn.ParamDefault(i); d != nil {
			if msg := f.visit(d, depth+1); msg != "" {
				return msg
			}
		}
	}
	for i := range fn.NumFreeVars() {
		if _, v := fn.FreeVar(i); v != nil {
			if msg := f.visit(v, depth+1); msg != "" {
				return msg
			}
		}
	}
	return ""
}
