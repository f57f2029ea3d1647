package schema

import (
	"fmt"
	"strings"

	"go.starlark.net/starlark"
)

// Error is one thing wrong with a call of a builtin, for the person who wrote
// the script. The host adds the position and the source line; several of one
// call are joined with errors.Join.
type Error struct {
	Builtin string // "busybox"
	Arg     string // the argument at fault; "" means the call as a whole
	Elem    string // the element of it: `[2]`, `["CONFIG_NET"]`, `[0].name`; "" means all of it
	Index   int    // position of the argument among the positional ones, from 0; -1 if given by name or not at all
	Name    bool   // the argument's name is wrong, not its value
	Msg     string // "got int, want string"
	Hint    string // what to do about it; "" if Msg says it
	Err     error  // what caused it, if anything

	Label string // what the error is about, for the message, instead of Arg and Elem
	// Root is the value in which RootElem is, where that is known: the host then
	// points at what made the element, wherever in the script that is.
	Root     starlark.Value
	RootElem string
	Place    *Place // where the error is, if in no script: a file that it read
}

func (e *Error) Error() string {
	var b strings.Builder
	if e.Builtin != "" {
		b.WriteString(e.Builtin)
		b.WriteString(": ")
	}
	switch {
	case e.Label != "":
		b.WriteString(e.Label)
		b.WriteString(": ")
	case e.Arg != "" && !e.Name:
		b.WriteString(e.Arg)
		b.WriteString(e.Elem)
		b.WriteString(": ")
	}
	b.WriteString(e.Msg)
	return b.String()
}

func (e *Error) Unwrap() error { return e.Err }

// WithHint sets what to do about the error and returns it.
func (e *Error) WithHint(hint string) *Error {
	e.Hint = hint
	return e
}

// Errorf makes an error about the call as a whole.
func (c *Call) Errorf(format string, args ...any) *Error {
	err := fmt.Errorf(format, args...)
	return &Error{Builtin: c.builtin.name, Index: -1, Msg: err.Error(), Err: err}
}

// ArgErrorf makes an error about one argument; the caret goes under it. An
// element is named as in a script: `packages[2]`, `options["CONFIG_NET"]`.
func (c *Call) ArgErrorf(arg, format string, args ...any) *Error {
	e := c.Errorf(format, args...)
	e.Arg = arg
	if i := strings.IndexByte(arg, '['); i > 0 {
		e.Arg, e.Elem = arg[:i], arg[i:]
		e.Root, e.RootElem = c.given(e.Arg), e.Elem
	}
	e.Index = c.positionOf(e.Arg)
	return e
}

// Hintf attaches a hint to err, which becomes an *Error if it is none.
func (c *Call) Hintf(err error, format string, args ...any) *Error {
	e, ok := err.(*Error) //nolint:errorlint // only the error itself can carry the hint
	if !ok {
		e = c.Errorf("%w", err)
	}
	return e.WithHint(fmt.Sprintf(format, args...))
}

// given returns the value of an argument, nil if there is none.
func (c *Call) given(arg string) starlark.Value {
	if i := c.positionOf(arg); i >= 0 {
		return c.args[i]
	}
	for _, kv := range c.kwargs {
		if kv[0] == starlark.String(arg) {
			return kv[1]
		}
	}
	return nil
}

// positionOf returns where among the positional arguments the parameter was
// given, or -1.
func (c *Call) positionOf(arg string) int {
	i := c.builtin.index(arg)
	if i < 0 || i >= len(c.args) || c.builtin.Params()[i].Keyword {
		return -1
	}
	return i
}
