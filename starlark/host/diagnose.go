package host

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"strings"
	"sync"

	"go.starlark.net/starlark"
	"go.starlark.net/syntax"

	"github.com/labstar/labstar/starlark/schema"
)

// diagnose makes Errors of what the interpreter returned. Tokens in messages are
// replaced by what they stand for.
func (ld *loader) diagnose(err error) error {
	var known Errors
	if errors.As(err, &known) {
		return known // of a module that was loaded
	}
	es := ld.explain(err)
	for _, e := range es {
		e.Msg, e.Hint = ld.session.Scope.Readable(e.Msg), ld.session.Scope.Readable(e.Hint)
	}
	return es
}

func (ld *loader) explain(err error) Errors {
	var eval *starlark.EvalError
	if !errors.As(err, &eval) {
		return Errors{{File: ld.main, Msg: err.Error(), Err: err}}
	}
	stack := eval.CallStack
	var deeper *starlark.EvalError
	if errors.As(eval.Unwrap(), &deeper) { // a builtin that called a function
		stack = deeper.CallStack
	}
	if r := ld.limit.reason.Load(); r != nil {
		e := ld.at(stack)
		e.Msg, e.Hint, e.Err = r.msg, r.hint, r
		return Errors{e}
	}
	if cause := context.Cause(ld.context()); cause != nil && errors.Is(eval, cause) {
		e := ld.at(stack)
		r := contextReason(ld.context())
		e.Msg, e.Err = r.msg, r
		return Errors{e}
	}
	if wrong := schemaErrors(eval.Unwrap()); wrong != nil {
		return ld.builtinErrors(stack, wrong)
	}
	if es := ld.signatureErrors(stack, eval.Msg); es != nil {
		return es
	}
	return Errors{ld.interpreterError(stack, eval)}
}

// schemaErrors flattens joined errors; those that a builtin did not make with
// its Call are wrapped. It is nil if there is no error of a builtin in err.
func schemaErrors(err error) []*schema.Error {
	var first *schema.Error
	if !errors.As(err, &first) {
		return nil
	}
	var out []*schema.Error
	var walk func(error)
	walk = func(err error) {
		switch x := err.(type) { //nolint:errorlint // this is the unwrapping itself
		case *schema.Error:
			out = append(out, x)
			return
		case interface{ Unwrap() []error }:
			for _, e := range x.Unwrap() {
				walk(e)
			}
			return
		case interface{ Unwrap() error }:
			if x.Unwrap() != nil && errors.As(x.Unwrap(), &first) {
				walk(x.Unwrap())
				return
			}
		}
		out = append(out, &schema.Error{Builtin: first.Builtin, Index: -1, Msg: err.Error(), Err: err})
	}
	walk(err)
	return out
}

func (ld *loader) builtinErrors(stack starlark.CallStack, wrong []*schema.Error) Errors {
	base := ld.at(stack)
	var c *syntax.CallExpr
	m, ok := ld.module(base.File)
	if ok {
		c = m.call(base.Line, base.Col)
	}
	es := make(Errors, 0, len(wrong))
	for _, w := range wrong {
		e := *base
		e.Msg, e.Hint, e.Builtin, e.Arg, e.Err = w.Error(), w.Hint, w.Builtin, w.Arg, w
		if c != nil {
			e.point(m, argument(c, w))
		}
		if w.Place != nil {
			e.show(&found{place: w.Place})
		} else if ld.trace != nil && w.Root != nil {
			if f := ld.locate(w.Root, w.RootElem, 0); f != nil {
				e.show(f)
			}
		}
		es = append(es, &e)
	}
	es.sort()
	return es
}

// What the interpreter says of a call of a function of the script.
var badCall = sync.OnceValue(func() *regexp.Regexp {
	return regexp.MustCompile(`^function (\S+) (got an unexpected keyword argument "?([^\s"]+)"?|missing \d+ arguments? \((.*)\)|accepts .*|got multiple values for parameter "?([^\s"]+)"?)$`)
})

// signatureErrors reports all that is wrong with the arguments of a function of
// the script. The interpreter stops at the first, inside the function.
func (ld *loader) signatureErrors(stack starlark.CallStack, msg string) Errors {
	match := badCall().FindStringSubmatch(msg)
	if match == nil || len(stack) < 2 || stack.At(0).Name != match[1] {
		return nil
	}
	callee := stack.At(0)
	base := ld.at(stack[:len(stack)-1])
	m, ok := ld.module(base.File)
	if !ok {
		return nil
	}
	c := m.call(base.Line, base.Col)
	if c == nil {
		return nil
	}
	params := ld.params(callee)
	report := func(w *schema.Error) *Error {
		e := *base
		w.Builtin = match[1]
		e.Msg, e.Hint, e.Arg = w.Error(), w.Hint, w.Arg
		e.point(m, argument(c, w))
		return &e
	}
	var es Errors
	given := map[string]bool{}
	for _, arg := range c.Args {
		kv, ok := arg.(*syntax.BinaryExpr)
		if !ok || kv.Op != syntax.EQ {
			continue
		}
		name := kv.X.(*syntax.Ident).Name
		given[name] = true
		if params != nil && !params.names[name] && !params.kwargs {
			es = append(es, report(unknownArgument(name, params, c)))
		}
	}
	switch {
	case match[3] != "" && len(es) == 0: // it came in by **kwargs
		es = append(es, report(unknownArgument(match[3], params, c)))
	case match[4] != "":
		for name := range strings.SplitSeq(match[4], ", ") {
			es = append(es, report(&schema.Error{Index: -1, Msg: fmt.Sprintf("missing argument %q", name), Hint: params.hint(match[1])}))
		}
	case match[5] != "":
		es = append(es, report(&schema.Error{Arg: match[5], Name: true, Index: -1, Msg: fmt.Sprintf("got argument %q twice, want it once", match[5])}))
	case len(es) == 0:
		text := strings.TrimPrefix(msg, "function "+match[1]+" ")
		index := -1
		if params != nil {
			index = params.positional
		}
		es = append(es, report(&schema.Error{Index: index, Msg: text, Hint: params.hint(match[1])}))
	}
	es.sort()
	return es
}

func unknownArgument(name string, p *signature, c *syntax.CallExpr) *schema.Error {
	w := &schema.Error{Arg: name, Name: true, Index: -1, Msg: fmt.Sprintf("unknown argument %q", name)}
	if p == nil {
		return w
	}
	if s := schema.Suggest(name, p.order); s != "" {
		w.Msg += fmt.Sprintf(" (did you mean %q?)", s)
	} else {
		w.Hint = p.hint(callName(c))
	}
	return w
}

func callName(c *syntax.CallExpr) string {
	if id, ok := callee(c).(*syntax.Ident); ok {
		return id.Name
	}
	return "it"
}

// signature is the parameters of a function of the script.
type signature struct {
	names      map[string]bool
	order      []string
	positional int
	kwargs     bool
}

func (s *signature) hint(name string) string {
	if s == nil {
		return ""
	}
	if len(s.order) == 0 {
		return name + " takes no arguments"
	}
	return name + " takes " + strings.Join(s.order, ", ")
}

// params finds the definition of the function of a frame.
func (ld *loader) params(fr starlark.CallFrame) *signature {
	m, ok := ld.module(fr.Pos.Filename())
	if !ok {
		return nil
	}
	line := int(fr.Pos.Line)
	n := m.find(func(n syntax.Node) bool {
		switch n := n.(type) {
		case *syntax.DefStmt:
			_, end := n.Span()
			return n.Name.Name == fr.Name && int(n.Def.Line) <= line && line <= int(end.Line)
		case *syntax.LambdaExpr:
			return fr.Name == "lambda" && int(n.Lambda.Line) == line
		}
		return false
	})
	var list []syntax.Expr
	switch n := n.(type) {
	case *syntax.DefStmt:
		list = n.Params
	case *syntax.LambdaExpr:
		list = n.Params
	default:
		return nil
	}
	s := &signature{names: map[string]bool{}}
	star := false
	add := func(x syntax.Expr) {
		if id, ok := x.(*syntax.Ident); ok {
			s.names[id.Name] = true
			s.order = append(s.order, id.Name)
			if !star {
				s.positional++
			}
		}
	}
	for _, p := range list {
		switch p := p.(type) {
		case *syntax.Ident:
			add(p)
		case *syntax.BinaryExpr:
			add(p.X)
		case *syntax.UnaryExpr:
			star = true
			s.kwargs = s.kwargs || p.Op == syntax.STARSTAR
		}
	}
	return s
}

// interpreterError is anything else: an operator, an attribute, an index, or a
// function of Starlark's own.
func (ld *loader) interpreterError(stack starlark.CallStack, eval *starlark.EvalError) *Error {
	e := ld.at(stack)
	e.Msg, e.Err = eval.Msg, eval.Unwrap()
	if top := stack.At(0); top.Name == "fail" && e.leaveStdlib() {
		e.Source, e.Msg = ld.line(e.File, e.Line), strings.TrimPrefix(e.Msg, "fail: ")
	} else if top.Pos.Line == 0 && !strings.HasPrefix(top.Name, "*") {
		e.Builtin = top.Name
		if !strings.HasPrefix(e.Msg, top.Name+":") && top.Name != "fail" {
			e.Msg = top.Name + ": " + e.Msg
		}
	}
	if rest, ok := strings.CutPrefix(e.Msg, "function "); ok && strings.HasSuffix(rest, "called recursively") {
		e.Hint = "labs have no recursion, so that every script ends: use a loop over a list"
	}
	m, ok := ld.module(e.File)
	if !ok {
		return e
	}
	if n := m.at(e.Line, e.Col); n != nil {
		e.point(m, n)
	} else if op := m.operator(e.Line, e.Col); op != "" {
		e.EndCol = e.Col + len(op)
	}
	return e
}

// operator returns the binary operator at a position, "" if there is none.
func (m *module) operator(line, col int) string {
	n, _ := m.find(func(n syntax.Node) bool {
		b, ok := n.(*syntax.BinaryExpr)
		return ok && samePos(b.OpPos, line, col)
	}).(*syntax.BinaryExpr)
	if n == nil {
		return ""
	}
	return n.Op.String()
}

// at finds the node that the interpreter names by a position: the callee of a
// call, the name of an attribute, an operator's whole expression, an index.
func (m *module) at(line, col int) syntax.Node {
	var best syntax.Node
	m.find(func(n syntax.Node) bool {
		switch n := n.(type) {
		case *syntax.CallExpr:
			if samePos(n.Lparen, line, col) && !isGuard(n) {
				best = callee(n)
			}
		case *syntax.DotExpr:
			if samePos(n.Dot, line, col) {
				best = n.Name
			}
		case *syntax.IndexExpr:
			if samePos(n.Lbrack, line, col) {
				best = n.Y
			}
		case *syntax.Ident:
			if samePos(n.NamePos, line, col) && best == nil && !strings.HasPrefix(n.Name, "*") {
				best = n
			}
		}
		return false
	})
	return best
}
