package host

import (
	"strconv"
	"strings"

	"go.starlark.net/starlark"
	"go.starlark.net/syntax"

	"github.com/labstar/labstar/action"
	"github.com/labstar/labstar/starlark/schema"
)

// This file finds the place in the source that an error is about.

// at makes an error at the innermost script frame of a stack, with the calls
// that led there.
func (ld *loader) at(stack starlark.CallStack) *Error {
	e := &Error{}
	for i := range stack {
		fr := stack.At(i)
		if fr.Pos.Line == 0 {
			continue
		}
		f := action.Frame{File: fr.Pos.Filename(), Line: int(fr.Pos.Line), Col: int(fr.Pos.Col), Func: fr.Name}
		if e.File == "" {
			e.File, e.Line, e.Col, e.EndCol, e.in = f.File, f.Line, f.Col, f.Col+1, f.Func
			e.Source = ld.line(f.File, f.Line)
			continue
		}
		e.Stack = append(e.Stack, f)
	}
	return e
}

// leaveStdlib moves an error to the call into the standard library from outside of it:
// what a recipe's fail says is about its arguments. It reports whether there is one.
func (e *Error) leaveStdlib() bool {
	if !strings.HasPrefix(e.File, stdlibPrefix) {
		return false
	}
	for i, f := range e.Stack {
		if !strings.HasPrefix(f.File, stdlibPrefix) {
			e.File, e.Line, e.Col, e.EndCol, e.in, e.Stack = f.File, f.Line, f.Col, f.Col+1, f.Func, e.Stack[i+1:]
			return true
		}
	}
	return false
}

// ErrorAt makes an error about something that the script made: an action that
// failed, say. site is where it did, innermost call first.
func (m *Module) ErrorAt(site []action.Frame, msg string) *Error {
	e := &Error{File: m.File, Msg: msg}
	if len(site) == 0 {
		return e
	}
	f := site[0]
	e.File, e.Line, e.Col, e.EndCol, e.in, e.Stack = f.File, f.Line, f.Col, f.Col+1, f.Func, site[1:]
	if src, ok := m.loader.module(f.File); ok {
		e.Source = src.line(f.Line)
		if n := src.at(f.Line, f.Col); n != nil {
			e.point(src, n)
		}
	}
	return e
}

func (ld *loader) line(file string, n int) string {
	if m, ok := ld.module(file); ok {
		return m.line(n)
	}
	return ""
}

// line returns the n-th line, from 1.
func (m *module) line(n int) string {
	src := m.source
	for ; n > 1; n-- {
		i := indexNewline(src)
		if i < 0 {
			return ""
		}
		src = src[i+1:]
	}
	if i := indexNewline(src); i >= 0 {
		src = src[:i]
	}
	return strings.TrimSuffix(string(src), "\r")
}

func (m *module) errorAt(line, col, endcol int, msg string) *Error {
	return &Error{File: m.name(), Line: line, Col: col, EndCol: endcol, Msg: msg, Source: m.line(line)}
}

// errorAtNode points at a node, up to the end of its first line.
func (m *module) errorAtNode(n syntax.Node, msg string) *Error {
	e := m.errorAt(0, 0, 0, msg)
	e.point(m, n)
	return e
}

// point puts the error's caret under the node.
func (e *Error) point(m *module, n syntax.Node) {
	start, end := n.Span()
	e.File, e.Line, e.Col = m.name(), int(start.Line), int(start.Col)
	e.Source = m.line(e.Line)
	e.EndCol = int(end.Col)
	if end.Line != start.Line {
		e.EndCol = len([]rune(strings.TrimRight(e.Source, " \t"))) + 1
	} else if !inclusive(n) {
		e.EndCol++
	}
}

// inclusive reports whether the node's Span ends after its last character; for a
// few kinds of nodes it ends before it.
func inclusive(n syntax.Node) bool {
	switch n := n.(type) {
	case *syntax.IndexExpr, *syntax.SliceExpr:
		return false
	case *syntax.TupleExpr:
		return !n.Lparen.IsValid()
	}
	return true
}

// find returns the innermost node for which f is true.
func (m *module) find(f func(syntax.Node) bool) (found syntax.Node) {
	if m.file == nil {
		return nil
	}
	syntax.Walk(m.file, func(n syntax.Node) bool {
		if n != nil && f(n) {
			found = n
		}
		return true
	})
	return found
}

// call finds the call at a position.
func (m *module) call(line, col int) *syntax.CallExpr {
	n, _ := m.find(func(n syntax.Node) bool {
		c, ok := n.(*syntax.CallExpr)
		return ok && samePos(c.Lparen, line, col) && !isGuard(c)
	}).(*syntax.CallExpr)
	return n
}

func samePos(p syntax.Position, line, col int) bool { return int(p.Line) == line && int(p.Col) == col }

// callee is the name of what is called, as a node.
func callee(c *syntax.CallExpr) syntax.Node {
	if dot, ok := c.Fn.(*syntax.DotExpr); ok {
		return dot.Name
	}
	return c.Fn
}

// argument finds the node that an error of a builtin is about.
func argument(c *syntax.CallExpr, e *schema.Error) syntax.Node {
	if e.Arg == "" && e.Index < 0 {
		return callee(c)
	}
	var spread syntax.Node // *args or **kwargs, in which it may be hidden
	index := 0
	for _, arg := range c.Args {
		switch a := arg.(type) {
		case *syntax.BinaryExpr:
			if a.Op == syntax.EQ {
				if id, ok := a.X.(*syntax.Ident); ok && id.Name == e.Arg && e.Arg != "" {
					if e.Name {
						return id
					}
					return element(unguard(a.Y), e.Elem)
				}
				continue
			}
		case *syntax.UnaryExpr:
			if a.Op == syntax.STAR && e.Index >= index || a.Op == syntax.STARSTAR && e.Index < 0 {
				spread = a
			}
			if a.Op == syntax.STAR || a.Op == syntax.STARSTAR {
				index = 1 << 30
				continue
			}
		}
		if index == e.Index {
			return element(unguard(arg), e.Elem)
		}
		index++
	}
	if spread != nil {
		return spread
	}
	return callee(c)
}

func unguard(x syntax.Expr) syntax.Expr {
	if c, ok := x.(*syntax.CallExpr); ok && isGuard(c) && len(c.Args) == 1 {
		return c.Args[0]
	}
	return x
}

// element goes into list and dict literals: `[2]["name"]`.
func element(x syntax.Expr, elem string) syntax.Node {
	for elem != "" {
		end := strings.IndexByte(elem, ']')
		if elem[0] != '[' || end < 0 {
			return x
		}
		key := elem[1:end]
		if strings.HasPrefix(key, `"`) {
			q, err := strconv.QuotedPrefix(elem[1:])
			if err != nil {
				return x
			}
			key, end = q, len(q)+1
		}
		next := member(unguard(x), key)
		if next == nil || end >= len(elem) {
			return x
		}
		x, elem = unguard(next), elem[end+1:]
	}
	return unguard(x)
}

func member(x syntax.Expr, key string) syntax.Expr {
	var list []syntax.Expr
	switch x := x.(type) {
	case *syntax.ParenExpr:
		return member(x.X, key)
	case *syntax.ListExpr:
		list = x.List
	case *syntax.TupleExpr:
		list = x.List
	case *syntax.DictExpr:
		want, err := strconv.Unquote(key)
		if err != nil {
			return nil
		}
		for _, e := range x.List {
			entry := e.(*syntax.DictEntry)
			if lit, ok := entry.Key.(*syntax.Literal); ok && lit.Value == want {
				return entry.Value
			}
		}
		return nil
	}
	if i, err := strconv.Atoi(key); err == nil && i >= 0 && i < len(list) {
		return list[i]
	}
	return nil
}
