package k8s

import (
	"fmt"
	"strings"

	"github.com/labstar/labstar/internal/kube/openapi"
	"github.com/labstar/labstar/starlark/schema"
)

// This file says of a field that is not where it stands, or not yet or no longer there,
// which is meant, and where it belongs.

// otherVersion reports a field that not all of the wanted releases have.
func (a at) otherVersion(f *openapi.Field) {
	v := a.c.versions
	missing := v &^ f.In
	if missing.Last() == v.Last() { // the newest lacks it
		a.failName("leave it out", "Kubernetes %s has no field %q: it was removed after %s", v.Last(), f.Name, f.In.Last())
		return
	}
	a.failName(fmt.Sprintf("leave it out, or say k8s_version = %q", f.In.First()+".."+v.Last()),
		"the field %q came with Kubernetes %s, and this is for %s", f.Name, f.In.First(), v)
}

// unknownField says where a field belongs, or which is meant. What is meant counts
// as given.
func (a at) unknownField(t *openapi.Type, d dict, name string, meant map[string]bool) {
	here := a.key(name)
	what := a.placeName()
	if where := a.belongs(t, name); where != "" {
		here.failName("move it to "+where, "%s has no field %q: it belongs to %s", what, name, where)
		return
	}
	var free []string
	for _, f := range t.Names() {
		if !has(d, f) && !meant[f] {
			free = append(free, f)
		}
	}
	s := schema.Suggest(name, free)
	if s == "" {
		s = schema.Suggest(name, t.Names())
	}
	if s != "" {
		meant[s] = true
		here.failName("", "%s has no field %q (did you mean %q?)", what, name, s)
		return
	}
	if where := a.anywhere(t, name); where != "" {
		here.failName("move it to "+where, "%s has no field %q: it belongs to %s", what, name, where)
		return
	}
	hint := ""
	if len(t.Fields) <= 20 {
		hint = "its fields are " + strings.Join(t.Names(), ", ")
	}
	here.failName(hint, "%s has no field %q", what, name)
}

// placeName names the place for "X has no field".
func (a at) placeName() string {
	if a.p == nil {
		return "a " + a.o.kind
	}
	return a.p.String()
}

// typesOnPath are the types of the objects above a place, the object's own first.
func (a at) typesOnPath() (types []*openapi.Type, places []*where) {
	if a.o.api == nil {
		return nil, nil
	}
	s := openapi.Schema{Base: openapi.Object}
	t := a.o.api.Type()
	types, places = append(types, t), append(places, nil)
	for _, step := range a.p.steps() {
		if s.Base == openapi.List || s.Base == openapi.Map {
			s = *s.Elem
		} else {
			f := t.Field(step.key)
			if f == nil {
				return types, places
			}
			s = f.Type
		}
		if s.Base == openapi.Object {
			t = s.Object()
			types, places = append(types, t), append(places, step)
		}
	}
	return types, places
}

// belongs looks for a field of the name in what is around: the objects above, and
// those directly below.
func (a at) belongs(t *openapi.Type, name string) string {
	types, places := a.typesOnPath()
	for i := len(types) - 2; i >= 0; i-- {
		if types[i].Field(name) != nil && name != "apiVersion" && name != "kind" {
			if p := places[i].String(); p != "" {
				return p
			}
			return "the " + a.o.kind + " itself"
		}
	}
	for _, f := range t.Fields {
		if below := objectOf(&f.Type); below != nil && f.Name != "metadata" && f.Name != "status" && below.Field(name) != nil {
			return beneath(a, f)
		}
	}
	return ""
}

func beneath(a at, f openapi.Field) string {
	p := a.key(f.Name).p.String()
	if f.Type.Base == openapi.List {
		p += "[]"
	}
	return p
}

// objectOf is the type of the object that a schema holds, directly or in a list.
func objectOf(s *openapi.Schema) *openapi.Type {
	if s.Base == openapi.List {
		s = s.Elem
	}
	if s.Base != openapi.Object {
		return nil
	}
	return s.Object()
}

// anywhere looks for the field in the whole object, nearest to its top.
func (a at) anywhere(t *openapi.Type, name string) string {
	type step struct {
		t     *openapi.Type
		where string
	}
	if a.o.api == nil {
		return ""
	}
	seen := map[*openapi.Type]bool{}
	for next := []step{{t, a.p.String()}, {a.o.api.Type(), ""}}; len(next) > 0; next = next[1:] {
		s := next[0]
		if seen[s.t] {
			continue
		}
		seen[s.t] = true
		if s.t.Field(name) != nil && s.t != t && s.where != "" {
			return s.where
		}
		if strings.Count(s.where, ".") > 5 {
			continue
		}
		for _, f := range s.t.Fields {
			below := objectOf(&f.Type)
			if below == nil || f.Name == "metadata" && s.where != "" {
				continue
			}
			where := strings.TrimPrefix(s.where+"."+f.Name, ".")
			if f.Type.Base == openapi.List {
				where += "[]"
			}
			next = append(next, step{below, where})
		}
	}
	return ""
}
