package host

import (
	"strconv"

	"go.starlark.net/starlark"
	"go.starlark.net/syntax"

	"github.com/labstar/labstar/action"
	"github.com/labstar/labstar/starlark/schema"
)

// This file finds, with what a tracer noted, the expression that made a part of a value.

// found is a place: a node, and the calls that led to it, its own function first.
type found struct {
	m     *module
	node  syntax.Node
	stack []action.Frame
	place *schema.Place // instead, if it is in a file that is no module
}

// step is one step into a value: the key of a dict, or the index of a list.
type step struct {
	container starlark.Value
	elem      string // what is left from here: ["spec"]["ports"]
	key       string
	index     int // -1 for a key
}

// maxCopies is how many copies of copies are followed.
const maxCopies = 20

// locate finds what made the element of root.
func (ld *loader) locate(root starlark.Value, elem string, depth int) *found {
	if depth > maxCopies || root == nil {
		return nil
	}
	steps, leaf := stepsInto(root, elem)
	for i := len(steps) - 1; i >= 0; i-- {
		s := steps[i]
		if o, ok := ld.session.Origin(s.container); ok {
			if o.Place != nil {
				return &found{place: o.Place(s.elem)}
			}
			return ld.locate(o.Root, o.Elem+s.elem, depth+1)
		}
		m, ok := ld.trace.made[s.container]
		if !ok || m.node == nil {
			continue
		}
		if m.x != nil { // a union: the right side wins
			side, expr := m.x, m.node.(*syntax.BinaryExpr).X
			if d, ok := m.y.(*starlark.Dict); ok && s.elem != "" {
				if _, has, _ := d.Get(starlark.String(s.key)); has {
					side, expr = m.y, m.node.(*syntax.BinaryExpr).Y
				}
			}
			if f := ld.locate(side, s.elem, depth+1); f != nil {
				return f
			}
			return ld.arrive(unguard(expr), m.stack, steps, leaf)
		}
		return ld.arrive(ld.inLiteral(m.node, s), m.stack, steps, leaf)
	}
	return nil
}

// stepsInto goes into a value as far as it has what elem names. The last step is that at
// which it ends; leaf is what is there.
func stepsInto(root starlark.Value, elem string) (steps []step, leaf starlark.Value) {
	leaf = root
	for {
		s := step{container: leaf, elem: elem, index: -1}
		text, rest := schema.SplitElem(elem)
		switch v := leaf.(type) {
		case *starlark.Dict:
			s.key, _ = strconv.Unquote(text)
			next, ok, _ := v.Get(starlark.String(s.key))
			steps = append(steps, s)
			if text == "" || !ok {
				return steps, leaf
			}
			leaf = next
		case starlark.Indexable:
			i, err := strconv.Atoi(text)
			s.index = i
			steps = append(steps, s)
			if err != nil || i >= v.Len() {
				return steps, leaf
			}
			leaf = v.Index(i)
		default:
			return steps, leaf
		}
		elem = rest
	}
}

// inLiteral is the expression of an element of a literal, or the literal.
func (ld *loader) inLiteral(node syntax.Expr, s step) syntax.Expr {
	if c, ok := node.(*syntax.Comprehension); ok {
		if e, ok := c.Body.(*syntax.DictEntry); ok && s.elem != "" {
			return unguard(e.Value)
		}
		if s.elem != "" {
			return unguard(c.Body)
		}
		return node
	}
	if x, ok := element(node, s.elem).(syntax.Expr); ok {
		return unguard(x)
	}
	return node
}

// arrive goes from an expression to where people wrote what it stands for: from a
// parameter to the argument, from the inside of the standard library to the call.
func (ld *loader) arrive(x syntax.Expr, stack []action.Frame, steps []step, leaf starlark.Value) *found {
	for len(stack) > 0 {
		m, ok := ld.module(stack[0].File)
		if !ok || m.file == nil {
			return nil
		}
		arg := ld.fromCaller(m, x, stack, isStdlib(stack[0].File))
		if arg == nil && !isStdlib(stack[0].File) {
			return &found{m: m, node: x, stack: stack}
		}
		if len(stack) < 2 {
			return nil
		}
		caller, ok := ld.module(stack[1].File)
		if !ok {
			return nil
		}
		call := caller.call(stack[1].Line, stack[1].Col)
		if arg == nil && call != nil && !isStdlib(stack[1].File) {
			arg = byContent(call, steps, leaf)
		}
		switch {
		case arg != nil:
			x = arg
		case call != nil:
			x = call
		default:
			return nil
		}
		stack = stack[1:]
	}
	return nil
}

// fromCaller returns the argument that a parameter stands for; if inside is set, of
// any parameter that the expression has.
func (ld *loader) fromCaller(m *module, x syntax.Expr, stack []action.Frame, inside bool) syntax.Expr {
	if len(stack) < 2 {
		return nil
	}
	caller, ok := ld.module(stack[1].File)
	if !ok {
		return nil
	}
	call := caller.call(stack[1].Line, stack[1].Col)
	def := m.enclosing(stack[0])
	if call == nil || def == nil {
		return nil
	}
	var names []string
	if id, ok := unparen(x).(*syntax.Ident); ok {
		names = append(names, id.Name)
	} else if _, isCall := x.(*syntax.CallExpr); inside && !isCall {
		switch x.(type) {
		case *syntax.DictExpr, *syntax.ListExpr, *syntax.Comprehension:
		default:
			syntax.Walk(x, func(n syntax.Node) bool {
				if id, ok := n.(*syntax.Ident); ok {
					names = append(names, id.Name)
				}
				return true
			})
		}
	}
	for _, name := range names {
		i := 0
		for _, p := range def.Params {
			pname, positional := paramName(p)
			if pname == name {
				if arg := given(call, name, i, positional); arg != nil {
					return arg
				}
			}
			i++
		}
	}
	return nil
}

func unparen(x syntax.Expr) syntax.Expr {
	for {
		p, ok := x.(*syntax.ParenExpr)
		if !ok {
			return unguard(x)
		}
		x = p.X
	}
}

func paramName(p syntax.Expr) (name string, positional bool) {
	switch p := p.(type) {
	case *syntax.Ident:
		return p.Name, true
	case *syntax.BinaryExpr:
		if id, ok := p.X.(*syntax.Ident); ok {
			return id.Name, true
		}
	}
	return "", false
}

// given returns the expression of an argument, nil if it was not given.
func given(c *syntax.CallExpr, name string, index int, positional bool) syntax.Expr {
	for i, a := range c.Args {
		if b, ok := a.(*syntax.BinaryExpr); ok && b.Op == syntax.EQ {
			if id, ok := b.X.(*syntax.Ident); ok && id.Name == name {
				return unguard(b.Y)
			}
			continue
		}
		if _, ok := a.(*syntax.UnaryExpr); !ok && positional && i == index {
			return unguard(a)
		}
	}
	return nil
}

// enclosing finds the function around a position.
func (m *module) enclosing(f action.Frame) *syntax.DefStmt {
	n, _ := m.find(func(n syntax.Node) bool {
		d, ok := n.(*syntax.DefStmt)
		if !ok || d.Name.Name != f.Func {
			return false
		}
		start, end := d.Span()
		return int(start.Line) <= f.Line && f.Line <= int(end.Line)
	}).(*syntax.DefStmt)
	return n
}

// byContent finds the argument of a call into the standard library from which a value
// comes: one that holds the very string or number, else one that has the name of a
// field on the way to it.
func byContent(c *syntax.CallExpr, steps []step, leaf starlark.Value) syntax.Expr {
	for _, a := range c.Args {
		if b, ok := a.(*syntax.BinaryExpr); ok && b.Op == syntax.EQ {
			a = b.Y
		}
		var same syntax.Expr
		syntax.Walk(a, func(n syntax.Node) bool {
			if lit, ok := n.(*syntax.Literal); ok && same == nil && equalLiteral(lit, leaf) {
				same = lit
			}
			return true
		})
		if same != nil {
			return same
		}
	}
	for i := len(steps) - 1; i >= 0; i-- {
		if arg := given(c, steps[i].key, -1, false); arg != nil && steps[i].key != "" {
			return arg
		}
	}
	return nil
}

func equalLiteral(lit *syntax.Literal, v starlark.Value) bool {
	switch x := lit.Value.(type) {
	case string:
		return v == starlark.String(x)
	case int64:
		eq, err := starlark.Equal(v, starlark.MakeInt64(x))
		return err == nil && eq
	}
	return false
}

// show points the error at the place.
func (e *Error) show(f *found) {
	if p := f.place; p != nil {
		caller := action.Frame{File: e.File, Line: e.Line, Col: e.Col, Func: e.in}
		e.Stack = append([]action.Frame{caller}, e.Stack...)
		e.File, e.Line, e.Col, e.EndCol, e.Source, e.in = p.File, p.Line, p.Col, p.EndCol, p.Source, ""
		return
	}
	e.point(f.m, f.node)
	e.in, e.Stack = f.stack[0].Func, f.stack[1:]
}
