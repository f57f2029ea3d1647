package schema

import (
	"encoding/binary"
	"fmt"
	"slices"
	"strings"

	"go.starlark.net/starlark"
	"go.starlark.net/syntax"

	"github.com/labstar/labstar/action"
)

// Artifact is an artifact as a value of the language: frozen, hashable, equal
// to any other with the same definition. In a string it is the token of its
// path.
type Artifact struct {
	*action.Artifact
	typ   string
	attrs Attrs
}

// Attrs are the attributes of an artifact, immutable. NewArtifact makes them of a
// dict; an own implementation makes each when it is asked for, where a script has
// very many of its kind.
type Attrs interface {
	// Attr returns the attribute called name, nil if there is none.
	Attr(name string) starlark.Value
	// AttrNames returns the names, sorted.
	AttrNames() []string
}

type dictAttrs starlark.StringDict

func (d dictAttrs) Attr(name string) starlark.Value { return d[name] }
func (d dictAttrs) AttrNames() []string             { return starlark.StringDict(d).Keys() }

var (
	_ starlark.HasAttrs   = (*Artifact)(nil)
	_ starlark.HasBinary  = (*Artifact)(nil)
	_ starlark.Comparable = (*Artifact)(nil)
)

// NewArtifact makes the value of a. The type's name is what the script sees
// ("file", "tree", "image"); attrs are extra attributes: other artifacts,
// strings, late-bound strings. They are frozen.
func NewArtifact(a *action.Artifact, typeName string, attrs starlark.StringDict) *Artifact {
	attrs.Freeze()
	return NewArtifactWith(a, typeName, dictAttrs(attrs))
}

// NewArtifactWith is NewArtifact with attributes that are made when asked for.
func NewArtifactWith(a *action.Artifact, typeName string, attrs Attrs) *Artifact {
	v := &Artifact{a, typeName, attrs}
	if a.Value == nil {
		a.Value = v
	}
	return v
}

// LateText is the string that a small file holds, as a token: it is filled in
// where the string is used.
func LateText(a *action.Artifact) starlark.String { return starlark.String(a.Token(action.Text)) }

// Attrs returns the attributes, as they were given to NewArtifactWith.
func (a *Artifact) Attrs() Attrs { return a.attrs }

func (a *Artifact) String() string { return a.Token(action.Path) }

// Type returns the name given to NewArtifact.
func (a *Artifact) Type() string { return a.typ }

// Freeze does nothing: an artifact is immutable.
func (a *Artifact) Freeze() {}

// Truth is true.
func (a *Artifact) Truth() starlark.Bool { return true }

// Hash comes from the definition.
func (a *Artifact) Hash() (uint32, error) {
	d := a.Action.Definition()
	return binary.LittleEndian.Uint32(d.Hash[:]) + uint32(a.Index), nil
}

// CompareSameType implements == and !=.
func (a *Artifact) CompareSameType(op syntax.Token, y starlark.Value, _ int) (bool, error) {
	b, ok := y.(*Artifact)
	same := ok && a.Equal(b.Artifact)
	switch op {
	case syntax.EQL:
		return same, nil
	case syntax.NEQ:
		return !same, nil
	}
	return false, fmt.Errorf("%s artifacts have no order", a.typ)
}

// Attr returns the attribute called name.
func (a *Artifact) Attr(name string) (starlark.Value, error) { return a.attrs.Attr(name), nil }

// AttrNames returns the names of the attributes, sorted.
func (a *Artifact) AttrNames() []string { return a.attrs.AttrNames() }

// Binary implements string + artifact and artifact + string.
func (a *Artifact) Binary(op syntax.Token, y starlark.Value, side starlark.Side) (starlark.Value, error) {
	s, ok := y.(starlark.String)
	if !ok || op != syntax.PLUS {
		return nil, nil
	}
	if side == starlark.Left {
		return starlark.String(a.String()) + s, nil
	}
	return s + starlark.String(a.String()), nil
}

// is reports whether the artifact is of one of the kinds: "file", "tree", or
// the name of a type.
func (a *Artifact) is(kinds []string) bool {
	return len(kinds) == 0 || slices.Contains(kinds, a.Kind().String()) || slices.Contains(kinds, a.typ)
}

// what names the artifact for messages: "a tree", "an image (a tree)".
func (a *Artifact) what() string {
	if k := a.Kind().String(); a.typ != k {
		return article(a.typ) + " (" + article(k) + ")"
	}
	return article(a.typ)
}

// advice names the attributes that could be meant where the artifact's path
// makes no sense.
func (a *Artifact) advice() string {
	var names []string
	for _, n := range a.attrs.AttrNames() {
		if _, ok := a.attrs.Attr(n).(starlark.String); ok {
			names = append(names, "."+n)
		}
	}
	if len(names) == 0 {
		return ""
	}
	return "use its " + strings.Join(names, " or ")
}

func article(noun string) string {
	if noun != "" && strings.IndexByte("aeiouAEIOU", noun[0]) >= 0 {
		return "an " + noun
	}
	return "a " + noun
}
