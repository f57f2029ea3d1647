package schema

import (
	"strings"

	"go.starlark.net/starlark"

	"github.com/labstar/labstar/action"
)

// Place is a place in a file that a script read.
type Place struct {
	File      string
	Line, Col int // 1-based, in characters
	EndCol    int // after the last character
	Source    string
}

// Origin says where a dict or a list comes from that a builtin made: it is a copy of
// the element Elem of Root, or, if Place is set, it was read from a file.
type Origin struct {
	Root starlark.Value
	Elem string
	// Place returns where in the file an element of it is; "" is the value itself.
	Place func(elem string) *Place
}

// SetOrigin records where a dict or list comes from.
func (s *Session) SetOrigin(v starlark.Value, o Origin) {
	if s.origins == nil {
		s.origins = map[starlark.Value]Origin{}
	}
	s.origins[v] = o
}

// Origin returns what SetOrigin recorded.
func (s *Session) Origin(v starlark.Value) (Origin, bool) {
	switch v.(type) {
	case *starlark.Dict, *starlark.List:
		o, ok := s.origins[v]
		return o, ok
	}
	return Origin{}, false
}

// Plain converts a value to what Any is, for builtins that take values of several
// kinds. It may hold secrets, which become their tokens (action.SecretToken). arg and
// elem name the place of v among the arguments.
func (c *Call) Plain(arg, elem string, v starlark.Value) (Any, error) {
	u := unpacker{call: c, param: &Param{Name: arg, secrets: true}, index: c.positionOf(arg), root: v, prefix: elem}
	x := u.plain(v, nil, 0)
	return x, joinErrors(u.errs)
}

// SplitElem cuts the first step from an element: `["a"][0]` is `"a"` and `[0]`.
func SplitElem(elem string) (step, rest string) {
	if elem == "" || elem[0] != '[' {
		return "", ""
	}
	end := strings.IndexByte(elem, ']')
	if strings.HasPrefix(elem, `["`) {
		for i := 2; i < len(elem); i++ {
			if elem[i] == '\\' {
				i++
			} else if elem[i] == '"' {
				end = i + 1
				break
			}
		}
	}
	if end < 0 || end >= len(elem) {
		return "", ""
	}
	return elem[1:end], elem[end+1:]
}

// Part names a field of one of the objects that an artifact describes: a port of a
// Service in manifests, say.
type Part struct {
	Object []string // what tells the object from others
	Path   []any    // keys and indexes
}

// partOf is a part of the action with a definition.
type partOf struct {
	action action.Digest
	part   string
}

// KeepParts has the session note what Call.Part is told, for an evaluation that looks
// for places.
func (s *Session) KeepParts() { s.parts = map[partOf]*Error{} }

// Part returns what Call.Part noted, nil if that is nothing.
func (s *Session) Part(definition action.Digest, part string) *Error {
	return s.parts[partOf{definition, part}]
}

// KeepsParts reports whether Part notes anything, for builtins with many.
func (c *Call) KeepsParts() bool { return c.session.parts != nil }

// Part notes the value of the script that an action.PartError of the action is about:
// e is an error about it, with Root or Place.
func (c *Call) Part(a *action.Action, part string, e *Error) {
	if c.KeepsParts() && e != nil {
		c.session.parts[partOf{a.Definition(), part}] = e
	}
}

// Locator is implemented by Attrs that know what their artifact describes, and of which
// values of the script that was made.
type Locator interface {
	// Locate returns an error about the part, with Label and Root or Place; nil if the
	// artifact describes no such object.
	Locate(part Part) *Error
}
