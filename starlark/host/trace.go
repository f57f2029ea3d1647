package host

import (
	"context"
	"errors"
	"strings"

	"go.starlark.net/starlark"
	"go.starlark.net/syntax"

	"github.com/labstar/labstar/action"
	"github.com/labstar/labstar/starlark/schema"
)

// An error of a builtin may be about a part of a large value: a port of a Service that
// a function of another module made. Values don't know where they were made, and to
// remember it would cost every script. So when there is such an error, the script,
// which is pure, is evaluated once more with a tracer, which notes the expression and
// the calls that made each dict and list; the error is the same, and now has its place.

// Names of the tracer's functions in the syntax tree.
const (
	traceMade   = "*made"
	traceJoined = "*joined"
)

// tracer knows where dicts and lists were made.
type tracer struct {
	nodes map[tracePos]syntax.Expr
	made  map[starlark.Value]made
}

type tracePos struct {
	guard, file string
	line, col   int32
}

// made is how a dict or list came to be.
type made struct {
	node  syntax.Expr
	stack []action.Frame
	x, y  starlark.Value // of a union
}

func newTracer() *tracer {
	return &tracer{nodes: map[tracePos]syntax.Expr{}, made: map[starlark.Value]made{}}
}

// worthTracing reports whether one of the errors is about a part of a value.
func worthTracing(err error) bool {
	var es Errors
	if !errors.As(err, &es) {
		return false
	}
	for _, e := range es {
		var s *schema.Error
		if errors.As(e.Err, &s) && s.Root != nil && (s.RootElem != "" || s.Label != "") {
			return true
		}
	}
	return false
}

// traced evaluates the script again for the places of its errors; err is returned if
// that does not fail.
func traced(ctx context.Context, cfg Config, name string, err error) error {
	if _, again := newTraced(ctx, cfg).run(name); again != nil && worthTracing(again) {
		return again
	}
	return err
}

// newTraced is a loader with a tracer, for a script that was evaluated before.
func newTraced(ctx context.Context, cfg Config) *loader {
	cfg.Print = nil
	if cfg.Pins != nil {
		cfg.Pins = knownPins{cfg.Pins}
	}
	ld := newLoader(ctx, cfg)
	ld.trace = newTracer()
	ld.predeclared[traceMade] = starlark.NewBuiltin(traceMade, ld.trace.record)
	ld.predeclared[traceJoined] = starlark.NewBuiltin(traceJoined, ld.trace.join)
	return ld
}

// knownPins asks for nothing a second time.
type knownPins struct{ schema.Pins }

func (knownPins) Want(string, string, []action.Frame) {}

func (t *tracer) record(thread *starlark.Thread, _ *starlark.Builtin, args starlark.Tuple, _ []starlark.Tuple) (starlark.Value, error) {
	t.note(thread, traceMade, args[0], nil, nil)
	return args[0], nil
}

func (t *tracer) join(thread *starlark.Thread, _ *starlark.Builtin, args starlark.Tuple, _ []starlark.Tuple) (starlark.Value, error) {
	v, err := starlark.Binary(syntax.PIPE, args[0], args[1])
	if err == nil {
		t.note(thread, traceJoined, v, args[0], args[1])
	}
	return v, err
}

func (t *tracer) note(thread *starlark.Thread, guard string, v, x, y starlark.Value) {
	switch v.(type) {
	case *starlark.Dict, *starlark.List:
	default:
		return
	}
	m := made{x: x, y: y}
	for i := 1; i < thread.CallStackDepth(); i++ {
		fr := thread.CallFrame(i)
		if fr.Pos.Line == 0 {
			continue
		}
		if m.node == nil {
			m.node = t.nodes[tracePos{guard, fr.Pos.Filename(), fr.Pos.Line, fr.Pos.Col}]
		}
		m.stack = append(m.stack, action.Frame{File: fr.Pos.Filename(), Line: int(fr.Pos.Line), Col: int(fr.Pos.Col), Func: fr.Name})
	}
	t.made[v] = m
}

// wrap leads the dicts and lists of a file through the tracer.
func (t *tracer) wrap(f *syntax.File) {
	w := wrapper{t}
	w.stmts(f.Stmts)
}

type wrapper struct{ t *tracer }

func (w wrapper) stmts(list []syntax.Stmt) {
	for _, s := range list {
		switch s := s.(type) {
		case *syntax.AssignStmt:
			w.expr(&s.RHS)
		case *syntax.DefStmt:
			w.exprs(s.Params)
			w.stmts(s.Body)
		case *syntax.ExprStmt:
			w.expr(&s.X)
		case *syntax.ForStmt:
			w.expr(&s.X)
			w.stmts(s.Body)
		case *syntax.IfStmt:
			w.expr(&s.Cond)
			w.stmts(s.True)
			w.stmts(s.False)
		case *syntax.ReturnStmt:
			if s.Result != nil {
				w.expr(&s.Result)
			}
		}
	}
}

func (w wrapper) exprs(list []syntax.Expr) {
	for i := range list {
		w.expr(&list[i])
	}
}

// expr wraps what is below an expression, and then itself.
func (w wrapper) expr(p *syntax.Expr) {
	switch x := (*p).(type) {
	case *syntax.BinaryExpr:
		if x.Op == syntax.EQ { // a named argument, or a parameter's default
			w.expr(&x.Y)
			return
		}
		w.expr(&x.X)
		w.expr(&x.Y)
		if x.Op == syntax.PIPE {
			w.call(p, traceJoined, x, x.X, x.Y)
		}
	case *syntax.CallExpr:
		if x.Fn != nil && !isGuard(x) {
			w.expr(&x.Fn)
		}
		w.exprs(x.Args)
	case *syntax.Comprehension:
		if e, ok := x.Body.(*syntax.DictEntry); ok {
			w.expr(&e.Value)
		} else {
			w.expr(&x.Body)
		}
		for _, c := range x.Clauses {
			switch c := c.(type) {
			case *syntax.ForClause:
				w.expr(&c.X)
			case *syntax.IfClause:
				w.expr(&c.Cond)
			}
		}
		w.call(p, traceMade, x, x)
	case *syntax.CondExpr:
		w.expr(&x.Cond)
		w.expr(&x.True)
		w.expr(&x.False)
	case *syntax.DictExpr:
		for _, e := range x.List {
			w.expr(&e.(*syntax.DictEntry).Value)
		}
		w.call(p, traceMade, x, x)
	case *syntax.ListExpr:
		w.exprs(x.List)
		w.call(p, traceMade, x, x)
	case *syntax.DotExpr:
		w.expr(&x.X)
	case *syntax.IndexExpr:
		w.expr(&x.X)
	case *syntax.LambdaExpr:
		w.expr(&x.Body)
	case *syntax.ParenExpr:
		w.expr(&x.X)
	case *syntax.TupleExpr:
		w.exprs(x.List)
	case *syntax.UnaryExpr:
		if x.X != nil {
			w.expr(&x.X)
		}
	}
}

func (w wrapper) call(p *syntax.Expr, guard string, node syntax.Expr, args ...syntax.Expr) {
	start, end := node.Span()
	w.t.nodes[tracePos{guard, start.Filename(), start.Line, start.Col}] = node
	*p = &syntax.CallExpr{Fn: &syntax.Ident{NamePos: start, Name: guard}, Lparen: start, Args: args, Rparen: end}
}

// isStdlib reports whether a file is none of the user's own.
func isStdlib(file string) bool { return strings.HasPrefix(file, "@") }
