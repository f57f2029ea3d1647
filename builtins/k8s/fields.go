package k8s

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/labstar/labstar/action"
	"github.com/labstar/labstar/internal/kube/openapi"
	"github.com/labstar/labstar/starlark/schema"
)

// This file holds an object against the schema of its kind.

// value checks x, which is not nil.
func (a at) value(s *openapi.Schema, x any) {
	if text, ok := x.(string); ok && a.misplacedSecret(text) {
		return
	}
	if text, ok := x.(string); ok && a.c.late(text) && s.Base != openapi.Object && s.Base != openapi.List && s.Base != openapi.Map {
		if s.Base == openapi.String || s.Base == openapi.Quantity || s.Base == openapi.IntOrString || s.Base == openapi.Any || s.Base == openapi.Time {
			return
		}
	}
	switch s.Base {
	case openapi.String, openapi.Enum, openapi.Time, openapi.Bytes:
		a.text(s, x)
	case openapi.Int32, openapi.Int64, openapi.Number:
		a.numeric(s, x)
	case openapi.Bool:
		a.boolean(x)
	case openapi.IntOrString:
		switch x.(type) {
		case int64, string:
		default:
			a.fail("", "got %s, want a number or a string", schema.KindOf(x))
		}
	case openapi.Quantity:
		a.quantityType(x)
	case openapi.Object:
		d, ok := x.(dict)
		if !ok {
			a.wrongContainer(x, "dict", s.Object().Names())
			return
		}
		a.fields(s.Object(), d)
	case openapi.Map:
		d, ok := x.(dict)
		if !ok {
			a.wrongContainer(x, "dict", nil)
			return
		}
		for _, e := range d {
			a.element(a.key(e.Key), s.Elem, e.Value)
		}
	case openapi.List:
		l, ok := x.([]any)
		if !ok {
			hint := ""
			if _, isDict := x.(dict); isDict {
				hint = "put it into a list: [{…}]"
			} else if text, isText := x.(string); isText {
				hint = fmt.Sprintf("write [%q]", clip(text))
			}
			a.fail(hint, "got %s, want a list", schema.KindOf(x))
			return
		}
		for i, e := range l {
			a.element(a.index(i), s.Elem, e)
		}
		a.listKeys(s, l)
	}
}

func (a at) element(e at, s *openapi.Schema, x any) {
	if x == nil {
		if s.Base != openapi.Any {
			e.fail("leave it out", "got None, want %s", wanted(s))
		}
		return
	}
	e.value(s, x)
}

func (a at) wrongContainer(x any, want string, fields []string) {
	hint := ""
	if len(fields) > 0 && len(fields) <= 12 {
		hint = "its fields are " + strings.Join(fields, ", ")
	}
	a.fail(hint, "got %s, want a %s", schema.KindOf(x), want)
}

// misplacedSecret reports a secret outside of a Secret.
func (a at) misplacedSecret(text string) bool {
	if len(action.SecretTokens(text)) == 0 {
		return false
	}
	if steps := a.p.steps(); a.o.kind == "Secret" && len(steps) == 2 && (steps[0].key == "stringData" || steps[0].key == "data") {
		return false
	}
	a.fail("make a Secret of it (secret_from of @stdlib//k8s.star) and refer to that: env = {NAME: from_secret(SECRET, KEY)}",
		"got a secret, which may stand only in the data of a Secret")
	return true
}

// wanted names a schema for people.
func wanted(s *openapi.Schema) string {
	switch s.Base {
	case openapi.String, openapi.Enum:
		return "a string"
	case openapi.Int32, openapi.Int64, openapi.Number:
		return "a number"
	case openapi.Bool:
		return "True or False"
	case openapi.IntOrString:
		return "a number or a string"
	case openapi.Quantity:
		return "a quantity"
	case openapi.Time:
		return "a time"
	case openapi.Bytes:
		return "base64"
	case openapi.List:
		return "a list"
	}
	return "a dict"
}

// fields checks the fields of an object of a type.
func (a at) fields(t *openapi.Type, d dict) {
	var unknown []string
	for _, e := range d {
		f := t.Field(e.Key)
		if f == nil {
			if !t.Open {
				unknown = append(unknown, e.Key)
			}
			continue
		}
		here := a.key(e.Key)
		if !f.In.Has(a.c.versions) {
			here.otherVersion(f)
		}
		if e.Value != nil {
			here.value(&f.Type, e.Value)
		}
	}
	meant := map[string]bool{}
	for _, name := range unknown {
		a.unknownField(t, d, name, meant)
	}
	for i := range t.Fields {
		f := &t.Fields[i]
		if f.Required && !has(d, f.Name) && !meant[f.Name] && f.In.Has(a.c.versions) {
			a.fail(requiredHint(f), "%s is missing", f.Name)
		}
	}
}

func requiredHint(f *openapi.Field) string {
	switch f.Type.Base {
	case openapi.Object:
		if names := f.Type.Object().Names(); len(names) <= 12 {
			return fmt.Sprintf("give it %s, a dict with %s", f.Name, strings.Join(names, ", "))
		}
		return fmt.Sprintf("give it %s, a dict", f.Name)
	case openapi.Enum:
		return fmt.Sprintf("give it %s: one of %s", f.Name, quoted(f.Type.Values))
	}
	return fmt.Sprintf("give it %s: %s", f.Name, wanted(&f.Type))
}

// listKeys reports elements that are one and the same to the server.
func (a at) listKeys(s *openapi.Schema, l []any) {
	if len(l) < 2 || len(s.Keys) == 0 && !s.Set {
		return
	}
	seen := make(map[string]int, len(l))
	for i, x := range l {
		id, what := "", ""
		if s.Set {
			id = fmt.Sprint(x)
			what = strconv.Quote(clip(id))
		} else {
			d, ok := x.(dict)
			if !ok {
				continue
			}
			id, what = listKey(s.Keys, d)
		}
		if id == "" {
			continue
		}
		if first, twice := seen[id]; twice {
			place := a.index(i)
			if len(s.Keys) > 0 && has(l[i].(dict), s.Keys[0]) {
				place = place.key(s.Keys[0])
			}
			place.fail("", "got %s twice: %s has it already", a.c.readable(what), a.index(first).p)
			continue
		}
		seen[id] = i
	}
}

func listKey(keys []string, d dict) (id, what string) {
	for i, k := range keys {
		x, _ := d.Get(k)
		if x == nil {
			if k != "protocol" {
				if i == 0 {
					return "", ""
				}
				continue
			}
			x = "TCP"
		}
		id += fmt.Sprint(x) + "\x00"
		if what != "" {
			what += ", "
		}
		if t, ok := x.(string); ok {
			what += k + " " + strconv.Quote(t)
		} else {
			what += k + " " + scalar(x)
		}
	}
	return id, what
}
