package k8s

import (
	"slices"
	"strings"

	"github.com/labstar/labstar/internal/kube/openapi"
)

// customKinds reads the schemas of the CustomResourceDefinitions among the objects.
func (c *checker) customKinds() {
	for _, o := range c.objects {
		if o.kind != "CustomResourceDefinition" || o.apiVersion != "apiextensions.k8s.io/v1" {
			continue
		}
		spec := sub(o.value, "spec")
		names := sub(spec, "names")
		for _, x := range list(spec, "versions") {
			v, ok := x.(dict)
			if !ok || str(v, "name") == "" {
				continue
			}
			t := customType(sub(v, "schema", "openAPIV3Schema"))
			if c.custom == nil {
				c.custom = map[string]*openapi.Kind{}
			}
			k := openapi.Custom(str(spec, "group")+"/"+str(v, "name"), str(names, "kind"), str(names, "plural"), str(spec, "scope") == "Namespaced", t)
			c.custom[k.APIVersion+" "+k.Name] = k
		}
	}
}

// customType is the type of a definition's objects: its schema, with what every
// object has.
func customType(s dict) *openapi.Type {
	t := customObject(s)
	meta := openapi.Lookup("v1", "ConfigMap").Type().Field("metadata")
	any := openapi.Schema{Base: openapi.Any}
	for _, f := range []openapi.Field{
		{Name: "apiVersion", Type: openapi.Schema{Base: openapi.String}, In: meta.In},
		{Name: "kind", Type: openapi.Schema{Base: openapi.String}, In: meta.In},
		*meta,
		{Name: "status", Type: any, In: meta.In},
	} {
		if old := t.Field(f.Name); old != nil {
			*old = f
			continue
		}
		i, _ := slices.BinarySearchFunc(t.Fields, f.Name, func(x openapi.Field, n string) int { return strings.Compare(x.Name, n) })
		t.Fields = slices.Insert(t.Fields, i, f)
	}
	return t
}

func customObject(s dict) *openapi.Type {
	t := &openapi.Type{Name: "object", Open: truth(s, "x-kubernetes-preserve-unknown-fields") || !has(s, "properties")}
	all := openapi.Lookup("v1", "ConfigMap").In
	required := list(s, "required")
	for _, e := range sub(s, "properties") {
		p, _ := e.Value.(dict)
		t.Fields = append(t.Fields, openapi.Field{Name: e.Key, Type: customSchema(p), Required: slices.Contains(required, any(e.Key)), In: all})
	}
	slices.SortFunc(t.Fields, func(a, b openapi.Field) int { return strings.Compare(a.Name, b.Name) })
	return t
}

func customSchema(s dict) openapi.Schema {
	out := openapi.Schema{Base: openapi.Any, Pattern: str(s, "pattern")}
	if truth(s, "x-kubernetes-int-or-string") {
		out.Base = openapi.IntOrString
		return out
	}
	for _, b := range []struct {
		field string
		to    **float64
	}{{"minimum", &out.Min}, {"maximum", &out.Max}} {
		if x, ok := s.Get(b.field); ok {
			switch x := x.(type) {
			case int64:
				f := float64(x)
				*b.to = &f
			case float64:
				*b.to = &x
			}
		}
	}
	switch str(s, "type") {
	case "string":
		out.Base = openapi.String
		for _, v := range list(s, "enum") {
			if v, ok := v.(string); ok {
				out.Base, out.Values = openapi.Enum, append(out.Values, v)
			}
		}
	case "integer":
		out.Base = openapi.Int64
	case "number":
		out.Base = openapi.Number
	case "boolean":
		out.Base = openapi.Bool
	case "array":
		elem := customSchema(sub(s, "items"))
		out.Base, out.Elem = openapi.List, &elem
		for _, k := range list(s, "x-kubernetes-list-map-keys") {
			if k, ok := k.(string); ok {
				out.Keys = append(out.Keys, k)
			}
		}
		out.Set = str(s, "x-kubernetes-list-type") == "set"
	case "object":
		if v, ok := get[dict](s, "additionalProperties"); ok && !has(s, "properties") {
			elem := customSchema(v)
			out.Base, out.Elem = openapi.Map, &elem
			return out
		}
		return openapi.ObjectOf(customObject(s))
	}
	if truth(s, "nullable") && out.Base == openapi.Enum {
		out.Values = append(out.Values, "")
	}
	return out
}

// checkDefinition checks a CustomResourceDefinition.
func checkDefinition(a at, d dict) {
	spec := sub(d, "spec")
	if want := str(sub(spec, "names"), "plural") + "." + str(spec, "group"); a.o.name != want && !a.c.late(a.o.name) {
		a.keys("metadata", "name").fail("", "got the name %q, want spec.names.plural and spec.group: %q", clip(a.o.name), want)
	}
	a = a.key("spec")
	stored := 0
	a.each(spec, "versions", func(v at, d dict) {
		if truth(d, "storage") {
			stored++
		}
		if !has(sub(d, "schema"), "openAPIV3Schema") {
			v.fail("", "schema.openAPIV3Schema is missing")
			return
		}
		v.keys("schema", "openAPIV3Schema").structural(sub(d, "schema", "openAPIV3Schema"))
	})
	if stored != 1 && has(spec, "versions") {
		a.key("versions").fail("", "got %d versions with storage = True, want one", stored)
	}
	if s := str(spec, "scope"); s != "" && s != "Namespaced" && s != "Cluster" {
		a.key("scope").fail("", "got %q, want \"Namespaced\" or \"Cluster\"", s)
	}
}

// structural checks that a definition's schema says of every value what it is: a server
// takes no other.
func (a at) structural(s dict) {
	if str(s, "type") == "" && !truth(s, "x-kubernetes-int-or-string") && !truth(s, "x-kubernetes-preserve-unknown-fields") {
		hint := "give it one of " + strings.Join(jsonTypes, ", ")
		if has(s, "properties") {
			hint = "give it type: object"
		}
		a.fail(hint, "type is missing")
	}
	if t := str(s, "type"); t != "" && !slices.Contains(jsonTypes, t) {
		a.key("type").fail("", "got %q, want one of %s%s", clip(t), quoted(jsonTypes), didYouMean(t, jsonTypes))
	}
	if str(s, "type") == "array" && !has(s, "items") {
		a.fail("give it items: the schema of an element", "items is missing")
	}
	for _, e := range sub(s, "properties") {
		if p, ok := e.Value.(dict); ok {
			a.keys("properties", e.Key).structural(p)
		}
	}
	for _, f := range []string{"items", "additionalProperties"} {
		if p, ok := get[dict](s, f); ok {
			a.key(f).structural(p)
		}
	}
}

var jsonTypes = []string{"array", "boolean", "integer", "number", "object", "string"}
