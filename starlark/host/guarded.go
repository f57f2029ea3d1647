package host

import (
	"fmt"
	"strconv"
	"strings"

	"go.starlark.net/starlark"
	"go.starlark.net/syntax"
)

// guards are the predeclared functions that stand before Starlark's own of the
// same name: each checks its arguments and then calls that.
var guards = map[string]func(m *sizes, args starlark.Tuple) error{
	"str":   checkPrinted,
	"repr":  checkPrinted,
	"print": checkPrinted,
	"fail":  checkPrinted,
	"range": checkRange,
	"zip":   checkZip,
	"int":   checkInt,
}

// guarded returns the predeclared functions that keep a script in bounds.
func guarded(memory int64) starlark.StringDict {
	m := sizesFor(memory)
	d := make(starlark.StringDict, len(guards)+3)
	for name, check := range guards {
		own := starlark.Universe[name].(*starlark.Builtin)
		d[name] = starlark.NewBuiltin(name, func(t *starlark.Thread, b *starlark.Builtin, args starlark.Tuple, kwargs []starlark.Tuple) (starlark.Value, error) {
			if err := check(&m, args); err != nil {
				return nil, fmt.Errorf("%s: %w", name, err)
			}
			return own.CallInternal(t, args, kwargs)
		})
	}
	d[guardOperand] = starlark.NewBuiltin(guardOperand, func(_ *starlark.Thread, _ *starlark.Builtin, args starlark.Tuple, _ []starlark.Tuple) (starlark.Value, error) {
		return operand{args[0], &m}, nil
	})
	d[guardSum] = starlark.NewBuiltin(guardSum, func(_ *starlark.Thread, _ *starlark.Builtin, args starlark.Tuple, _ []starlark.Tuple) (starlark.Value, error) {
		return m.summand(args[0], true), nil
	})
	d[guardGrowth] = starlark.NewBuiltin(guardGrowth, func(_ *starlark.Thread, _ *starlark.Builtin, args starlark.Tuple, _ []starlark.Tuple) (starlark.Value, error) {
		return m.summand(args[0], false), nil // list += list happens in place
	})
	d[guardText] = starlark.NewBuiltin(guardText, func(_ *starlark.Thread, _ *starlark.Builtin, args starlark.Tuple, _ []starlark.Tuple) (starlark.Value, error) {
		if _, ok := args[0].(starlark.String); ok {
			return text{args[0], &m}, nil
		}
		return args[0], nil
	})
	d[guardFormatted] = starlark.NewBuiltin(guardFormatted, func(_ *starlark.Thread, _ *starlark.Builtin, args starlark.Tuple, _ []starlark.Tuple) (starlark.Value, error) {
		if _, err := m.printed(args[0], 16); err != nil {
			return nil, err
		}
		return args[0], nil
	})
	getattr := starlark.Universe["getattr"].(*starlark.Builtin)
	d["getattr"] = starlark.NewBuiltin("getattr", func(t *starlark.Thread, _ *starlark.Builtin, args starlark.Tuple, kwargs []starlark.Tuple) (starlark.Value, error) {
		if len(args) >= 2 {
			_, isText := args[0].(starlark.String)
			name, _ := starlark.AsString(args[1])
			if isText && textMethods[name] {
				return text{args[0], &m}.Attr(name)
			}
		}
		return getattr.CallInternal(t, args, kwargs)
	})
	return d
}

// minSummand is from which size on a string or list is led through an operand.
const minSummand = 4096

func (m *sizes) summand(v starlark.Value, lists bool) starlark.Value {
	size := 0
	switch v := v.(type) {
	case starlark.String:
		size = len(v)
	case *starlark.List:
		if lists {
			size = v.Len()
		}
	case starlark.Tuple:
		if lists {
			size = len(v)
		}
	}
	if size < minSummand {
		return v
	}
	return operand{v, m}
}

func checkPrinted(m *sizes, args starlark.Tuple) error {
	for _, a := range args {
		if _, ok := a.(starlark.String); ok {
			continue
		}
		if _, err := m.printed(a, 1); err != nil {
			return err
		}
	}
	return nil
}

func checkRange(m *sizes, args starlark.Tuple) error {
	v, err := starlark.Call(new(starlark.Thread), starlark.Universe["range"], args, nil)
	if err != nil {
		return nil //nolint:nilerr // Starlark's own range says it better
	}
	if n := starlark.Len(v); n > m.items {
		return fmt.Errorf("got a range of %d elements, want at most %d", n, m.items)
	}
	return nil
}

func checkZip(m *sizes, args starlark.Tuple) error {
	total := 0
	for _, a := range args {
		if total += max(0, starlark.Len(a)); total > m.items {
			return fmt.Errorf("got more than %d elements, want fewer", m.items)
		}
	}
	return nil
}

// maxDigits bounds a number written as text: reading it takes quadratic time.
const maxDigits = 100_000

func checkInt(_ *sizes, args starlark.Tuple) error {
	if len(args) == 0 {
		return nil
	}
	if s, ok := args[0].(starlark.String); ok && len(s) > maxDigits {
		return fmt.Errorf("got a number of %d digits, want at most %d", len(s), maxDigits)
	}
	return nil
}

// text is a string of which one of textMethods is about to be taken, or that is
// about to be a format.
type text struct {
	starlark.Value // a String
	max            *sizes
}

func (t text) s() starlark.String { return t.Value.(starlark.String) }

var (
	_ starlark.HasBinary = text{}
	_ starlark.HasAttrs  = text{}
)

// AttrNames is for the did-you-mean of the interpreter.
func (t text) AttrNames() []string { return t.s().AttrNames() }

// Binary is called for text % y.
func (t text) Binary(op syntax.Token, y starlark.Value, _ starlark.Side) (starlark.Value, error) {
	if op == syntax.PERCENT {
		if s, ok := t.max.format(string(t.s()), y); ok {
			return starlark.String(s), nil
		}
		if _, err := t.max.printed(y, max(1, strings.Count(string(t.s()), "%"))); err != nil {
			return nil, err
		}
	}
	return starlark.Binary(op, t.s(), y)
}

// format is the usual case of format % y in short: %s of strings, %d of numbers
// of 64 bits. It leaves all else, and every error, to the interpreter.
func (m *sizes) format(format string, y starlark.Value) (string, bool) {
	one := [1]starlark.Value{y}
	args := one[:]
	if tuple, ok := y.(starlark.Tuple); ok {
		args = tuple
	}
	var short [64]byte
	b := short[:0]
	for {
		plain, rest, more := strings.Cut(format, "%")
		if b = append(b, plain...); !more {
			break
		}
		if rest == "" || len(args) == 0 {
			return "", false
		}
		switch v := args[0].(type) {
		case starlark.String:
			if rest[0] != 's' || len(b)+len(v) > m.bytes {
				return "", false
			}
			b = append(b, v...)
		case starlark.Int:
			n, ok := v.Int64()
			if rest[0] != 'd' || !ok {
				return "", false
			}
			b = strconv.AppendInt(b, n, 10)
		default:
			return "", false
		}
		format, args = rest[1:], args[1:]
	}
	return string(b), len(args) == 0 && len(b) <= m.bytes
}

// Attr returns the method with a check before it.
func (t text) Attr(name string) (starlark.Value, error) {
	v, err := t.s().Attr(name)
	method, ok := v.(*starlark.Builtin)
	if err != nil || !ok {
		return v, err
	}
	return starlark.NewBuiltin(name, func(th *starlark.Thread, _ *starlark.Builtin, args starlark.Tuple, kwargs []starlark.Tuple) (starlark.Value, error) {
		if err := t.check(name, args); err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		return method.CallInternal(th, args, kwargs)
	}).BindReceiver(t.s()), nil
}

func (t text) check(name string, args starlark.Tuple) error {
	s := string(t.s())
	size := len(s)
	switch name {
	case "join":
		return t.checkJoin(args)
	case "format":
		for _, a := range args {
			n, err := t.max.printed(a, max(1, strings.Count(s, "{")))
			if err != nil {
				return err
			}
			size += n * strings.Count(s, "{")
		}
	case "replace":
		if len(args) < 2 {
			return nil
		}
		old, _ := starlark.AsString(args[0])
		repl, _ := starlark.AsString(args[1])
		if len(repl) > len(old) {
			size += strings.Count(s, old) * (len(repl) - len(old))
		}
	default: // splitting: each piece is a string of its own
		size *= 4
	}
	if size > t.max.bytes {
		return fmt.Errorf("the result is too large: about %d bytes, want at most %d", size, t.max.bytes)
	}
	return nil
}

func (t text) checkJoin(args starlark.Tuple) error {
	if len(args) != 1 {
		return nil
	}
	list, ok := args[0].(starlark.Iterable)
	if !ok {
		return nil
	}
	size := 0
	for v := range starlark.Elements(list) {
		s, _ := starlark.AsString(v)
		if size += len(s) + len(t.s()); size > t.max.bytes {
			return fmt.Errorf("the result is larger than %d bytes", t.max.bytes)
		}
	}
	return nil
}
