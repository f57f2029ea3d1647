package schema

import (
	"fmt"
	"reflect"
	"strings"

	"go.starlark.net/starlark"

	"github.com/labstar/labstar/action"
)

// converter puts v into dst, or reports to u why it can't.
type converter func(u *unpacker, v starlark.Value, dst reflect.Value, at *path)

var (
	artifactType = reflect.TypeFor[*Artifact]()
	lateType     = reflect.TypeFor[action.Late]()
	anyType      = reflect.TypeFor[Any]()
	emptyType    = reflect.TypeFor[any]()
	valueType    = reflect.TypeFor[starlark.Value]()
)

// converterOf returns the converter of a Go type and the type's name for people.
func converterOf(t reflect.Type, p *Param) (converter, string, error) {
	switch {
	case t == artifactType:
		return convertArtifact, kindNames(p.Kinds), nil
	case t == lateType:
		return convertLate, "string", nil
	case t == anyType || t == emptyType:
		return convertAny, "any plain value", nil
	case t == valueType:
		return func(_ *unpacker, v starlark.Value, dst reflect.Value, _ *path) { dst.Set(reflect.ValueOf(v)) }, "any value", nil
	case t.Implements(valueType):
		return convertValue(t)
	}
	switch t.Kind() {
	case reflect.String:
		if len(p.Enum) > 0 {
			return convertEnum, "string", nil
		}
		return convertString, "string", nil
	case reflect.Bool:
		return convertBool, "bool", nil
	case reflect.Int, reflect.Int64, reflect.Int32, reflect.Uint32, reflect.Uint16, reflect.Uint8:
		return convertInt, "int", nil
	case reflect.Float64:
		return convertFloat, "float", nil
	case reflect.Pointer:
		return convertPointer(t, p)
	case reflect.Slice:
		if e := t.Elem(); e.Kind() == reflect.Struct && e.NumField() == 2 && e.Field(0).Name == "Key" && e.Field(1).Name == "Value" {
			return convertDict(t, p)
		}
		return convertSlice(t, p)
	case reflect.Map:
		if t.Key().Kind() == reflect.String {
			return convertMap(t, p)
		}
	}
	return nil, "", fmt.Errorf("type %s can't be a parameter", t)
}

// kindNames names the kinds of artifacts: "file", "file or tree".
func kindNames(kinds []string) string {
	if len(kinds) == 0 {
		return "artifact"
	}
	return strings.Join(kinds, " or ")
}

func convertString(u *unpacker, v starlark.Value, dst reflect.Value, at *path) {
	s, ok := v.(starlark.String)
	if !ok {
		u.wrongType(at, v, "string")
		return
	}
	u.checkTokens(at, string(s), false)
	dst.SetString(string(s))
}

func convertEnum(u *unpacker, v starlark.Value, dst reflect.Value, at *path) {
	s, ok := v.(starlark.String)
	if !ok {
		u.wrongType(at, v, "string")
		return
	}
	for _, e := range u.param.Enum {
		if e == string(s) {
			dst.SetString(e)
			return
		}
	}
	u.fail(at, "got %s, want one of %s%s", clip(s.String()), quoted(u.param.Enum), didYouMean(string(s), u.param.Enum))
}

func convertLate(u *unpacker, v starlark.Value, dst reflect.Value, at *path) {
	switch v := v.(type) {
	case starlark.String:
		u.checkTokens(at, string(v), true)
		dst.SetString(string(v))
		return
	case *Artifact:
		switch {
		case u.param.Paths:
			dst.SetString(v.Token(action.Path))
			return
		case u.param.Text && v.Kind() == action.File:
			dst.SetString(v.Token(action.Text))
			return
		}
		e := u.fail(at, "an artifact has no path here: got %s, want string", v.what())
		e.Hint = v.advice()
		return
	}
	u.wrongType(at, v, "string")
}

func convertBool(u *unpacker, v starlark.Value, dst reflect.Value, at *path) {
	b, ok := v.(starlark.Bool)
	if !ok {
		u.wrongType(at, v, "bool")
		return
	}
	dst.SetBool(bool(b))
}

func convertInt(u *unpacker, v starlark.Value, dst reflect.Value, at *path) {
	i, ok := v.(starlark.Int)
	if !ok {
		u.wrongType(at, v, "int")
		return
	}
	n, ok := i.Int64()
	if dst.CanUint() {
		if !ok || n < 0 || dst.OverflowUint(uint64(n)) {
			u.fail(at, "got %s, want an int of 0 to %d", clip(i.String()), uint64(1)<<dst.Type().Bits()-1)
			return
		}
		dst.SetUint(uint64(n))
		return
	}
	if !ok || dst.OverflowInt(n) {
		u.fail(at, "got %s, want an int of at most %d bits", clip(i.String()), dst.Type().Bits())
		return
	}
	dst.SetInt(n)
}

func convertFloat(u *unpacker, v starlark.Value, dst reflect.Value, at *path) {
	f, ok := starlark.AsFloat(v)
	if !ok {
		u.wrongType(at, v, "float")
		return
	}
	dst.SetFloat(f)
}

func convertArtifact(u *unpacker, v starlark.Value, dst reflect.Value, at *path) {
	a, ok := v.(*Artifact)
	switch {
	case !ok && isString(v) && (len(u.param.Kinds) == 0 || u.param.Kinds[0] == "file"):
		e := u.fail(at, "got string, want %s", wantKind(u.param.Kinds))
		e.Hint = fmt.Sprintf("for a file beside the script write file(%s), for its text text(%[1]s)", clip(v.String()))
		return
	case !ok:
		u.wrongType(at, v, wantKind(u.param.Kinds))
		return
	case !a.is(u.param.Kinds):
		e := u.fail(at, "got %s, want %s", a.what(), wantKind(u.param.Kinds))
		if n := a.attrOfKind(u.param.Kinds); n != "" {
			e.Hint = "use its ." + n
		}
		return
	}
	dst.Set(reflect.ValueOf(a))
}

// attrOfKind returns the name of an attribute that is of one of the kinds.
func (a *Artifact) attrOfKind(kinds []string) string {
	for _, n := range a.AttrNames() {
		if part, ok := a.attrs.Attr(n).(*Artifact); ok && part.is(kinds) {
			return n
		}
	}
	return ""
}

func wantKind(kinds []string) string {
	if len(kinds) == 0 {
		return "an artifact"
	}
	named := make([]string, len(kinds))
	for i, k := range kinds {
		named[i] = article(k)
	}
	return strings.Join(named, " or ")
}

// convertValue takes one type of Starlark value, or whatever implements an
// interface of them, such as starlark.Callable.
func convertValue(t reflect.Type) (converter, string, error) {
	name := "value"
	switch {
	case t == reflect.TypeFor[starlark.Callable]():
		name = "function"
	case t.Kind() == reflect.Pointer:
		name = strings.ToLower(t.Elem().Name())
	case t.Name() != "":
		name = strings.ToLower(t.Name())
	}
	return func(u *unpacker, v starlark.Value, dst reflect.Value, at *path) {
		rv := reflect.ValueOf(v)
		if !rv.Type().AssignableTo(t) {
			u.wrongType(at, v, name)
			return
		}
		dst.Set(rv)
	}, name, nil
}

// clip shortens what a message quotes.
func clip(s string) string {
	if len(s) <= 80 {
		return s
	}
	return strings.ToValidUTF8(s[:77], "") + "…"
}

func quoted(list []string) string {
	out := make([]string, len(list))
	for i, s := range list {
		out[i] = starlark.String(s).String()
	}
	return strings.Join(out, ", ")
}
