package schema

import (
	"errors"
	"fmt"
	"reflect"
	"strings"

	"go.starlark.net/starlark"

	"github.com/labstar/labstar/action"
)

// unpacker fills the fields of one call and gathers what is wrong with them.
// It is only made when the first argument needs it.
type unpacker struct {
	call  *Call
	param *Param
	index int // position of the argument being converted, -1 if by name
	errs  []error

	root   starlark.Value // the argument, or the part of it at prefix
	prefix string
}

// path is where in an argument a value stands, innermost first. One is used
// for all elements of a list in turn.
type path struct {
	up    *path
	key   string // of a dict, if index is -1
	index int
}

func (p *path) String() string {
	if p == nil {
		return ""
	}
	if p.index < 0 {
		return p.up.String() + "[" + starlark.String(p.key).String() + "]"
	}
	return fmt.Sprintf("%s[%d]", p.up, p.index)
}

// unpack converts all arguments, or returns everything that is wrong with them.
func (b *Builtin) unpack(c *Call, dst reflect.Value) error {
	d := b.declared()
	u := unpacker{call: c}
	var given uint64
	var unknown []string
	for i, v := range c.args {
		if i >= d.positional {
			u.errs = append(u.errs, b.tooMany(c))
			break
		}
		given |= 1 << i
		u.convert(&d.params[i], i, v, dst.Field(i))
	}
	for _, kv := range c.kwargs {
		name := string(kv[0].(starlark.String))
		i := d.find(name)
		switch {
		case i < 0:
			unknown = append(unknown, name)
		case given&(1<<i) != 0:
			u.errs = append(u.errs, &Error{Builtin: b.name, Arg: name, Index: -1, Name: true,
				Msg: fmt.Sprintf("got argument %q twice, want it once", name)})
		default:
			given |= 1 << i
			u.convert(&d.params[i], -1, kv[1], dst.Field(i))
		}
	}
	if missing := d.required &^ given; missing != 0 || unknown != nil {
		b.unknownAndMissing(&u, unknown, given)
	}
	return joinErrors(u.errs)
}

func joinErrors(errs []error) error {
	if len(errs) == 0 {
		return nil
	}
	return errors.Join(errs...)
}

// find is index for the common, short case.
func (d *declaration) find(name string) int {
	for i, n := range d.names {
		if n == name {
			return i
		}
	}
	return -1
}

func (b *Builtin) tooMany(c *Call) *Error {
	d := b.declared()
	e := &Error{Builtin: b.name, Index: d.positional}
	if d.positional == 0 {
		e.Msg = fmt.Sprintf("got %d positional arguments, want all by name", len(c.args))
	} else {
		e.Msg = fmt.Sprintf("got %d positional arguments, want at most %d", len(c.args), d.positional)
	}
	if d.positional < len(d.names) {
		e.Hint = "give these by name: " + strings.Join(d.names[d.positional:], ", ")
	}
	return e
}

// unknownAndMissing reports names that are not parameters, and parameters that
// were not given; one that an unknown name was meant to be is not reported again.
func (b *Builtin) unknownAndMissing(u *unpacker, unknown []string, given uint64) {
	for _, name := range unknown {
		var free []string
		for i, n := range b.declared().names {
			if given&(1<<i) == 0 {
				free = append(free, n)
			}
		}
		meant := Suggest(name, free)
		if i := b.index(meant); i >= 0 {
			given |= 1 << i
		} else {
			meant = Suggest(name, b.declared().names)
		}
		e := &Error{Builtin: b.name, Arg: name, Index: -1, Name: true, Msg: fmt.Sprintf("unknown argument %q", name)}
		if meant != "" {
			e.Msg += fmt.Sprintf(" (did you mean %q?)", meant)
		} else if len(b.declared().names) > 0 {
			e.Hint = b.name + " takes " + strings.Join(b.declared().names, ", ")
		} else {
			e.Hint = b.name + " takes no arguments"
		}
		u.errs = append(u.errs, e)
	}
	for i, p := range b.Params() {
		if p.Required && given&(1<<i) == 0 {
			u.errs = append(u.errs, &Error{Builtin: b.name, Index: -1,
				Msg:  fmt.Sprintf("missing argument %q (%s)", p.Name, p.Type),
				Hint: p.Name + ": " + p.Doc})
		}
	}
}

func (u *unpacker) convert(p *Param, index int, v starlark.Value, dst reflect.Value) {
	if p.optional && v == starlark.None {
		return
	}
	u.param, u.index, u.root = p, index, v
	p.convert(u, v, dst, nil)
}

// fail reports that the value at the path is wrong.
func (u *unpacker) fail(at *path, format string, args ...any) *Error {
	err := fmt.Errorf(format, args...)
	e := &Error{Builtin: u.call.builtin.name, Arg: u.param.Name, Elem: u.prefix + at.String(), Index: u.index, Root: u.root, RootElem: at.String(), Msg: err.Error(), Err: errors.Unwrap(err)}
	u.errs = append(u.errs, e)
	return e
}

// wrongType reports `got X, want Y`, and what to do where that is known.
func (u *unpacker) wrongType(at *path, v starlark.Value, want string) {
	got := v.Type()
	a, isArtifact := v.(*Artifact)
	if isArtifact {
		got = a.what()
	}
	if v == starlark.None {
		got = "None"
	}
	e := u.fail(at, "got %s, want %s", got, want)
	switch {
	case isArtifact && strings.HasSuffix(want, "string"):
		e.Hint = a.advice()
	case strings.HasPrefix(want, "list of") && isString(v):
		e.Hint = fmt.Sprintf("write [%s]", v)
	case want == "bool" && isString(v):
		e.Hint = "write True or False"
	}
}

func isString(v starlark.Value) bool { _, ok := v.(starlark.String); return ok }

// checkTokens reports a token where none, or none of a path, may stand.
func (u *unpacker) checkTokens(at *path, s string, late bool) {
	if u.checkSecrets(at, s) {
		return
	}
	scope := u.call.session.Scope
	if scope == nil || !suspicious(s) {
		return
	}
	refs, err := scope.Refs(s)
	var damaged *action.TokenError
	switch {
	case errors.As(err, &damaged):
		u.fail(at, "%w", damaged)
		return
	case err != nil:
		u.fail(at, "%w", err)
		return
	}
	for _, r := range refs {
		if !late {
			u.fail(at, "got a string that is known only after the build (it stands for %s), want one known now", r.Artifact.Describe())
			return
		}
		if r.Kind == action.Path && !u.param.Paths {
			e := u.fail(at, "an artifact has no path here: the string holds that of %s", r.Artifact.Describe())
			if a, ok := r.Artifact.Value.(*Artifact); ok {
				e.Hint = a.advice()
			}
			return
		}
	}
}

// suspicious reports whether s could hold a token or a piece of one: an "@", 16
// hexadecimal digits in a row, or 6 of them after the mark of a token's kind.
func suspicious(s string) bool {
	run := 0
	for i := range len(s) {
		c := s[i] | 0x20
		switch {
		case s[i] == '@':
			return true
		case s[i] >= '0' && s[i] <= '9' || c >= 'a' && c <= 'f':
			run++
			if run >= 16 || run >= 6 && marked(s, i-run) {
				return true
			}
		default:
			run = 0
		}
	}
	return false
}

// marked reports whether "p." or "t." ends at s[i].
func marked(s string, i int) bool {
	return i >= 1 && s[i] == '.' && (s[i-1]|0x20 == 'p' || s[i-1]|0x20 == 't')
}

// holds reports whether piece stands in a string of v.
func holds(v starlark.Value, piece string, depth int) bool {
	if depth > 20 {
		return false
	}
	switch v := v.(type) {
	case starlark.String:
		return strings.Contains(string(v), piece)
	case *starlark.Dict:
		for _, kv := range v.Items() {
			if holds(kv[0], piece, depth+1) || holds(kv[1], piece, depth+1) {
				return true
			}
		}
	case starlark.Indexable:
		for i := range v.Len() {
			if holds(v.Index(i), piece, depth+1) {
				return true
			}
		}
	}
	return false
}
