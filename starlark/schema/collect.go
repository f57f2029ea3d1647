package schema

import (
	"reflect"

	"go.starlark.net/starlark"

	"github.com/labstar/labstar/action"
)

// Lists and dicts, and the plain values of Any.

// plural names a list's elements: "strings", "files or trees".
func plural(name string) string {
	switch name {
	case "string", "int", "bool", "float", "file", "tree", "artifact", "value", "any plain value", "any value", "function":
		return name + "s"
	}
	return name
}

func convertPointer(t reflect.Type, p *Param) (converter, string, error) {
	elem, name, err := converterOf(t.Elem(), p)
	if err != nil {
		return nil, "", err
	}
	return func(u *unpacker, v starlark.Value, dst reflect.Value, at *path) {
		ptr := reflect.New(t.Elem())
		elem(u, v, ptr.Elem(), at)
		dst.Set(ptr)
	}, name, nil
}

func convertSlice(t reflect.Type, p *Param) (converter, string, error) {
	elem, name, err := converterOf(t.Elem(), p)
	if err != nil {
		return nil, "", err
	}
	name = "list of " + plural(name)
	return func(u *unpacker, v starlark.Value, dst reflect.Value, at *path) {
		switch seq := v.(type) {
		case *starlark.List, starlark.Tuple:
			list := seq.(starlark.Indexable)
			n := list.Len()
			if n == 0 {
				dst.SetZero()
				return
			}
			out := reflect.MakeSlice(t, n, n)
			here := &path{up: at}
			for here.index = range n {
				elem(u, list.Index(here.index), out.Index(here.index), here)
			}
			dst.Set(out)
		case *starlark.Set:
			out := reflect.MakeSlice(t, seq.Len(), seq.Len())
			here := &path{up: at}
			for x := range seq.Elements() {
				elem(u, x, out.Index(here.index), here)
				here.index++
			}
			dst.Set(out)
		default:
			u.wrongType(at, v, name)
		}
	}, name, nil
}

// eachEntry calls f for each pair of a dict with string keys.
func eachEntry(u *unpacker, v starlark.Value, at *path, want string, f func(key string, v starlark.Value, at *path)) {
	d, ok := v.(*starlark.Dict)
	if !ok {
		u.wrongType(at, v, want)
		return
	}
	here := &path{up: at, index: -1}
	for k, x := range d.Entries() {
		s, ok := k.(starlark.String)
		if !ok {
			u.fail(at, "got %s as a key, want string", k.Type())
			continue
		}
		here.key = string(s)
		u.checkTokens(here, string(s), false)
		f(string(s), x, here)
	}
}

func convertMap(t reflect.Type, p *Param) (converter, string, error) {
	elem, name, err := converterOf(t.Elem(), p)
	if err != nil {
		return nil, "", err
	}
	name = "dict of " + plural(name)
	return func(u *unpacker, v starlark.Value, dst reflect.Value, at *path) {
		out := reflect.MakeMap(t)
		eachEntry(u, v, at, name, func(key string, x starlark.Value, at *path) {
			e := reflect.New(t.Elem()).Elem()
			elem(u, x, e, at)
			out.SetMapIndex(reflect.ValueOf(key).Convert(t.Key()), e)
		})
		dst.Set(out)
	}, name, nil
}

// convertValues is convertDict for any value, which needs no reflection.
func convertValues(u *unpacker, v starlark.Value, dst reflect.Value, at *path) {
	d, _ := v.(*starlark.Dict)
	if d == nil {
		u.wrongType(at, v, "dict of any values")
		return
	}
	out := make(Dict[starlark.Value], 0, d.Len())
	for k, x := range d.Entries() {
		key, ok := k.(starlark.String)
		if !ok {
			u.fail(at, "got %s as a key, want string", k.Type())
			continue
		}
		if suspicious(string(key)) {
			u.checkTokens(&path{up: at, index: -1, key: string(key)}, string(key), false)
		}
		out = append(out, Entry[starlark.Value]{string(key), x})
	}
	*dst.Addr().Interface().(*Dict[starlark.Value]) = out
}

func convertDict(t reflect.Type, p *Param) (converter, string, error) {
	if t == reflect.TypeFor[Dict[starlark.Value]]() {
		return convertValues, "dict of any values", nil
	}
	elem, name, err := converterOf(t.Elem().Field(1).Type, p)
	if err != nil {
		return nil, "", err
	}
	name = "dict of " + plural(name)
	return func(u *unpacker, v starlark.Value, dst reflect.Value, at *path) {
		d, _ := v.(*starlark.Dict)
		n := 0
		if d != nil {
			n = d.Len()
		}
		out := reflect.MakeSlice(t, n, n)
		i := 0
		eachEntry(u, v, at, name, func(key string, x starlark.Value, at *path) {
			e := out.Index(i)
			e.Field(0).SetString(key)
			elem(u, x, e.Field(1), at)
			i++
		})
		dst.Set(out)
	}, name, nil
}

// maxDepth bounds the nesting of plain values; a list can hold itself.
const maxDepth = 100

func convertAny(u *unpacker, v starlark.Value, dst reflect.Value, at *path) {
	if x := u.plain(v, at, 0); x != nil {
		dst.Set(reflect.ValueOf(x))
	}
}

func (u *unpacker) plain(v starlark.Value, at *path, depth int) any {
	if depth > maxDepth {
		if len(u.errs) == 0 {
			u.fail(nil, "got a value nested more than %d deep, want a plain one (does it hold itself?)", maxDepth)
		}
		return nil
	}
	switch v := v.(type) {
	case starlark.NoneType:
		return nil
	case starlark.Bool:
		return bool(v)
	case starlark.Int:
		n, ok := v.Int64()
		if !ok {
			u.fail(at, "got %s, want an int of at most 64 bits", clip(v.String()))
		}
		return n
	case starlark.Float:
		if f := float64(v); f-f != 0 {
			u.fail(at, "got %s, want a finite number", v)
			return nil
		}
		return float64(v)
	case starlark.String:
		u.checkTokens(at, string(v), true)
		return string(v)
	case *starlark.List:
		return u.plainList(v, at, depth)
	case starlark.Tuple:
		return u.plainList(v, at, depth)
	case *starlark.Dict:
		out := make(Dict[any], 0, v.Len())
		eachEntry(u, v, at, "dict", func(key string, x starlark.Value, at *path) {
			out = append(out, Entry[any]{key, u.plain(x, at, depth+1)})
		})
		return out
	case *Secret:
		if u.param.secrets {
			return action.SecretToken(v.Name)
		}
	case *Artifact:
		var s string
		convertLate(u, v, reflect.ValueOf(&s).Elem(), at)
		return s
	}
	u.fail(at, "got %s, want a plain value (None, bool, int, float, string, list, dict)", v.Type())
	return nil
}

func (u *unpacker) plainList(v starlark.Indexable, at *path, depth int) any {
	out := make([]any, v.Len())
	here := &path{up: at}
	for i := range out {
		if len(u.errs) > 20 {
			break
		}
		here.index = i
		out[i] = u.plain(v.Index(i), here, depth+1)
	}
	return out
}
