package host

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/labstar/labstar/action"
)

// Error is one thing wrong with a script.
type Error struct {
	File   string `json:"file"`
	Line   int    `json:"line,omitempty"`   // 1-based; 0 if the file as a whole is meant
	Col    int    `json:"col,omitempty"`    // 1-based, in characters
	EndCol int    `json:"endcol,omitempty"` // after the last character, on the same line
	Msg    string `json:"message"`
	Hint   string `json:"hint,omitempty"` // what to do about it
	// Builtin and Arg are set for a wrong argument.
	Builtin string `json:"builtin,omitempty"`
	Arg     string `json:"arg,omitempty"`
	// Source is the line of the script.
	Source string `json:"source,omitempty"`
	// Stack is the calls that led here, innermost first, without the error's own
	// position: where the function was called or the module loaded, and what
	// function that is in.
	Stack []action.Frame `json:"stack,omitempty"`
	// Err is what caused it, if anything.
	Err error `json:"-"`

	in string // the function in which it happened
}

// Position is "lab.star:12:22".
func (e *Error) Position() string {
	switch {
	case e.Line == 0:
		return e.File
	case e.Col == 0:
		return fmt.Sprintf("%s:%d", e.File, e.Line)
	}
	return fmt.Sprintf("%s:%d:%d", e.File, e.Line, e.Col)
}

// Error is the first line of the rendering.
func (e *Error) Error() string { return e.Position() + ": " + e.Msg }

func (e *Error) Unwrap() error { return e.Err }

// because makes the error of a load statement; e is nil for the main file.
func (e *Error) because(format string, args ...any) Errors {
	err := fmt.Errorf(format, args...)
	out := Error{}
	if e != nil {
		out = *e
	}
	out.Msg, out.Err = err.Error(), err
	return Errors{&out}
}

// Errors is all that is wrong with a script, at least one. Encoded to JSON it is
// a list of objects.
type Errors []*Error

// Error renders all of them, without colour.
func (es Errors) Error() string {
	var b strings.Builder
	es.Render(&b, false)
	return strings.TrimSuffix(b.String(), "\n")
}

// Unwrap returns each of them.
func (es Errors) Unwrap() []error {
	out := make([]error, len(es))
	for i, e := range es {
		out[i] = e
	}
	return out
}

func (es Errors) withHint(hint string) Errors {
	for _, e := range es {
		e.Hint = hint
	}
	return es
}

// sort puts the errors of one file in the order of the source.
func (es Errors) sort() {
	slices.SortStableFunc(es, func(a, b *Error) int {
		return cmp.Or(cmp.Compare(a.Line, b.Line), cmp.Compare(a.Col, b.Col))
	})
}
