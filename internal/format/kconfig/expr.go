package kconfig

import "strings"

// Tri is the value of an expression: n, m or y.
type Tri uint8

// The three values, in their order.
const (
	No Tri = iota
	Mod
	Yes
)

func (t Tri) String() string { return [...]string{"n", "m", "y"}[t] }

func triOf(s string) Tri {
	switch s {
	case "y":
		return Yes
	case "m":
		return Mod
	}
	return No
}

// ExprOp says what an Expr is.
type ExprOp uint8

// The kinds of expressions.
const (
	ExprName    ExprOp = iota // an option, or one of y, m, n
	ExprConst                 // a string in quotes
	ExprUnknown               // a macro whose value is not known: Text is its source
	ExprNot
	ExprAnd
	ExprOr
	ExprEqual
	ExprUnequal
	ExprLess
	ExprLessEqual
	ExprGreater
	ExprGreaterEqual
)

// Expr is an expression over options. It is immutable; nil stands for y.
type Expr struct {
	Op   ExprOp
	Text string // of ExprName, ExprConst and ExprUnknown
	Sym  *Symbol
	L, R *Expr
}

var exprWords = map[ExprOp]string{
	ExprAnd: " && ", ExprOr: " || ", ExprEqual: "=", ExprUnequal: "!=", ExprLess: "<", ExprLessEqual: "<=",
	ExprGreater: ">", ExprGreaterEqual: ">=",
}

func (e *Expr) String() string {
	if e == nil {
		return "y"
	}
	switch e.Op {
	case ExprName, ExprUnknown:
		return e.Text
	case ExprConst:
		return Quote(e.Text)
	case ExprNot:
		return "!" + e.L.below(ExprNot)
	}
	return e.L.below(e.Op) + exprWords[e.Op] + e.R.below(e.Op)
}

// below writes e as an operand of op, in parentheses where they are needed.
func (e *Expr) below(op ExprOp) string {
	s := e.String()
	if e != nil && e.Op >= ExprAnd && (op == ExprNot || e.Op < ExprEqual && e.Op != op) {
		return "(" + s + ")"
	}
	return s
}

// names calls f for every option in e, with whether it stands below an odd
// number of "!".
func (e *Expr) names(negated bool, f func(e *Expr, negated bool)) {
	switch {
	case e == nil:
	case e.Op == ExprName:
		f(e, negated)
	case e.Op == ExprNot:
		e.L.names(!negated, f)
	case e.L != nil:
		e.L.names(negated, f)
		e.R.names(negated, f)
	}
}

// conjuncts cuts e at its outermost "&&".
func (e *Expr) conjuncts() []*Expr {
	if e == nil {
		return nil
	}
	if e.Op == ExprAnd {
		return append(e.L.conjuncts(), e.R.conjuncts()...)
	}
	return []*Expr{e}
}

// expr reads an expression from the tokens of a line.
func (p *reader) expr() *Expr { return p.or(0) }

func (p *reader) or(depth int) *Expr {
	e := p.and(depth)
	for p.tok().is("||") {
		p.at++
		e = &Expr{Op: ExprOr, L: e, R: p.and(depth)}
	}
	return e
}

func (p *reader) and(depth int) *Expr {
	e := p.not(depth)
	for p.tok().is("&&") {
		p.at++
		e = &Expr{Op: ExprAnd, L: e, R: p.not(depth)}
	}
	return e
}

func (p *reader) not(depth int) *Expr {
	if depth > maxDepth {
		p.fail("an expression nested more than %d deep", maxDepth)
		p.at = len(p.toks)
		return nil
	}
	t := p.tok()
	switch {
	case t.is("!"):
		p.at++
		return &Expr{Op: ExprNot, L: p.not(depth + 1)}
	case t.is("("):
		p.at++
		e := p.or(depth + 1)
		if !p.tok().is(")") {
			p.fail("no )")
			return e
		}
		p.at++
		return e
	}
	left := p.operand()
	if op, ok := compareOps[p.tok().op()]; ok {
		p.at++
		return &Expr{Op: op, L: left, R: p.operand()}
	}
	return left
}

var compareOps = map[string]ExprOp{
	"=": ExprEqual, "!=": ExprUnequal, "<": ExprLess, "<=": ExprLessEqual, ">": ExprGreater, ">=": ExprGreaterEqual,
}

func (p *reader) operand() *Expr {
	t := p.tok()
	if t.kind == tokOp || t.kind == tokEnd {
		p.fail("got %q, want an option or a value", t.text)
		return nil
	}
	p.at++
	return p.value(t)
}

// value makes a leaf of a word or of a string in quotes.
func (p *reader) value(t token) *Expr {
	switch {
	case strings.Contains(t.text, unknown):
		return &Expr{Op: ExprUnknown, Text: t.raw}
	case t.kind == tokString:
		return &Expr{Op: ExprConst, Text: t.text}
	case t.text == "y" || t.text == "m" || t.text == "n":
		return &Expr{Op: ExprName, Text: t.text}
	}
	return &Expr{Op: ExprName, Text: t.text, Sym: p.tree.symbol(t.text)}
}
