package host

import (
	"fmt"
	"math"
	"strings"

	"go.starlark.net/starlark"
	"go.starlark.net/syntax"
)

// The interpreter looks at its limits between steps. A few operations can take
// all memory, or hours, in one step: "ab" * 10**9, ",".join of a million large
// strings, "%s" % of a list that holds itself twice over forty times. They are
// led through the guards of this file, which refuse what would be too large:
//
//	x * y, x *= y           ->  x * guard(y)     see operand
//	x + y, x += y           ->  x + guard(y)     see operand; not if one is a literal
//	x % y                   ->  guard(x) % y     see text
//	x.join, x.replace, …    ->  guard(x).join    see text
//	str, range, zip, …      are predeclared here instead of Starlark's own
//
// The rewriting is done on the syntax tree (guardFile), under names that no
// script can write, and keeps all positions.

// Names of the guards in the syntax tree.
const (
	guardOperand   = "*operand"
	guardSum       = "*sum"
	guardGrowth    = "*growth"
	guardText      = "*text"
	guardFormatted = "*formatted"
)

// sizes bounds what one operation may make.
type sizes struct {
	bytes int // of a string
	items int // of a list
	bits  int // of an int
}

const maxBits = 1 << 20

func sizesFor(memory int64) sizes {
	n := int(min(max(memory/16, 1<<20), 1<<30))
	return sizes{bytes: n, items: n / 4, bits: maxBits}
}

var textMethods = map[string]bool{
	"join": true, "replace": true, "format": true, "split": true, "rsplit": true, "splitlines": true,
	"elems": true, "elem_ords": true, "codepoints": true, "codepoint_ords": true,
}

// guardFile leads the dangerous operations of a file through the guards. It
// also makes the position of a call that of the function's name, which is where
// people look, instead of that of the bracket.
func guardFile(f *syntax.File) {
	syntax.Walk(f, func(n syntax.Node) bool {
		switch n := n.(type) {
		case *syntax.CallExpr:
			switch fn := n.Fn.(type) {
			case *syntax.Ident:
				n.Lparen = fn.NamePos
			case *syntax.DotExpr:
				n.Lparen = fn.Name.NamePos
			}
		case *syntax.BinaryExpr:
			if n.Op == syntax.STAR && !small(n.X) && !small(n.Y) {
				n.Y = guardCall(guardOperand, n.Y)
			}
			if n.Op == syntax.PLUS && !literalExpr(n.X) && !literalExpr(n.Y) {
				n.Y = guardCall(guardSum, n.Y)
			}
			if n.Op == syntax.PERCENT && !small(n.Y) {
				n.X = guardCall(guardText, n.X)
			}
		case *syntax.AssignStmt:
			switch n.Op {
			case syntax.PLUS_EQ:
				if !literalExpr(n.RHS) {
					n.RHS = guardCall(guardGrowth, n.RHS)
				}
			case syntax.STAR_EQ:
				n.RHS = guardCall(guardOperand, n.RHS)
			case syntax.PERCENT_EQ:
				n.RHS = guardCall(guardFormatted, n.RHS)
			}
		case *syntax.DotExpr:
			if textMethods[n.Name.Name] {
				n.X = guardCall(guardText, n.X)
			}
		}
		return true
	})
}

// small reports whether x is a literal that makes a product harmless: a small
// int. (A small string is not: it may be repeated.)
func small(x syntax.Expr) bool {
	lit, ok := x.(*syntax.Literal)
	if !ok {
		return false
	}
	n, ok := lit.Value.(int64)
	return ok && n <= 16
}

// literalExpr reports whether x is written out: adding it can't double anything.
func literalExpr(x syntax.Expr) bool {
	switch x.(type) {
	case *syntax.Literal, *syntax.ListExpr, *syntax.TupleExpr, *syntax.DictExpr, *syntax.Comprehension:
		return true
	}
	return false
}

func guardCall(name string, x syntax.Expr) syntax.Expr {
	start, end := x.Span()
	return &syntax.CallExpr{
		Fn:     &syntax.Ident{NamePos: start, Name: name},
		Lparen: start, Args: []syntax.Expr{x}, Rparen: end,
	}
}

// isGuard reports whether the call was put there by guardFile.
func isGuard(c *syntax.CallExpr) bool {
	id, ok := c.Fn.(*syntax.Ident)
	return ok && strings.HasPrefix(id.Name, "*")
}

// operand is the right side of * or +: it lets the operation happen only when
// the result is of bounded size.
type operand struct {
	starlark.Value
	max *sizes
}

var _ starlark.HasBinary = operand{}

// Binary is called with the left side, whatever that is.
func (o operand) Binary(op syntax.Token, x starlark.Value, _ starlark.Side) (starlark.Value, error) {
	check := o.max.product
	if op == syntax.PLUS {
		check = o.max.sum
	}
	if err := check(x, o.Value); err != nil {
		return nil, err
	}
	return starlark.Binary(op, x, o.Value)
}

// sum checks x + y.
func (m *sizes) sum(x, y starlark.Value) error {
	limit := m.items
	switch x.(type) {
	case starlark.String, starlark.Bytes:
		limit = m.bytes
	}
	if n := max(0, starlark.Len(x)) + max(0, starlark.Len(y)); n > limit {
		return fmt.Errorf("%s of %d elements is too large: want at most %d", x.Type(), n, limit)
	}
	return nil
}

// product checks x * y.
func (m *sizes) product(x, y starlark.Value) error {
	if xi, ok := x.(starlark.Int); ok {
		if yi, ok := y.(starlark.Int); ok {
			return m.intProduct(xi, yi)
		}
		x, y = y, x
	}
	n, ok := y.(starlark.Int)
	if !ok {
		return nil
	}
	count, ok := n.Int64()
	if !ok {
		count = math.MaxInt32 // the interpreter refuses it
	}
	limit := m.items
	switch x.(type) {
	case starlark.String, starlark.Bytes:
		limit = m.bytes
	}
	if size := int64(max(0, starlark.Len(x))); size > 0 && count > int64(limit)/size {
		return fmt.Errorf("%s of %d times %d elements is too large: want at most %d in all", x.Type(), size, count, limit)
	}
	return nil
}

func (m *sizes) intProduct(x, y starlark.Int) error {
	bits := func(i starlark.Int) int {
		if n, ok := i.Int64(); ok && n < math.MaxInt32 && n > math.MinInt32 {
			return 32
		}
		return i.BigInt().BitLen()
	}
	if b := bits(x) + bits(y); b > m.bits {
		return fmt.Errorf("int of about %d bits is too large: want at most %d", b, m.bits)
	}
	return nil
}

// maxPrintDepth bounds the nesting of what is printed.
const maxPrintDepth = 1000

// printed returns about how many bytes str(v) has, times at most, or an error
// when they are too many.
func (m *sizes) printed(v starlark.Value, times int) (int, error) {
	p := printer{left: m.bytes / times}
	total := p.left
	if err := p.count(v, 0); err != nil {
		return 0, err
	}
	return total - p.left, nil
}

type printer struct{ left int }

func (p *printer) take(n int) error {
	if p.left -= n; p.left < 0 {
		return fmt.Errorf("the text is too large: it has too many elements, or the same large ones too often")
	}
	return nil
}

func (p *printer) count(v starlark.Value, depth int) error {
	if depth > maxPrintDepth {
		return fmt.Errorf("%s nested more than %d deep can't be printed", v.Type(), maxPrintDepth)
	}
	switch v := v.(type) {
	case starlark.String:
		return p.take(len(v))
	case starlark.Bytes:
		return p.take(len(v))
	case starlark.Int:
		if _, ok := v.Int64(); ok {
			return p.take(8)
		}
		return p.take(v.BigInt().BitLen() / 3)
	case *starlark.Dict:
		for k, x := range v.Entries() {
			if err := p.count(k, depth+1); err != nil {
				return err
			}
			if err := p.count(x, depth+1); err != nil {
				return err
			}
		}
		return p.take(2)
	case *starlark.Set:
		for x := range v.Elements() {
			if err := p.count(x, depth+1); err != nil {
				return err
			}
		}
		return p.take(2)
	case *starlark.List, starlark.Tuple:
		list := v.(starlark.Indexable)
		for i := range list.Len() {
			if err := p.count(list.Index(i), depth+1); err != nil {
				return err
			}
		}
		return p.take(2)
	}
	return p.take(8)
}
