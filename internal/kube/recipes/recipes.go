// Package recipes writes stdlib/k8s.star and stdlib/k8s/types.star: a function for each
// kind of objects, with every field of its spec as an argument, and one for each type
// below them. What is written by hand is head.star and the table in kinds.go; the rest
// comes from the schemas of the newest release (package openapi) and the releases' own
// descriptions (docs.json.zst, written with the schemas).
//
//	go generate ./internal/kube/recipes
//
// Arguments are in snake_case, as everywhere in scripts; what they hold is as in YAML,
// in the API's own camelCase, so that it can be copied from any manifest.
package recipes

//go:generate go test . -run TestFresh -update

import (
	_ "embed"
	"encoding/json"
	"fmt"
	"os"
	"regexp"
	"slices"
	"strings"

	"github.com/klauspost/compress/zstd"

	"github.com/labstar/labstar/internal/kube/openapi"
)

//go:embed head.star
var head string

// docs are the descriptions of types and fields; see the generator of package openapi.
type docs map[string]map[string]string

// ReadDocs reads docs.json.zst.
func ReadDocs(file string) (docs, error) {
	b, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	dec, err := zstd.NewReader(nil)
	if err != nil {
		return nil, err
	}
	defer dec.Close()
	if b, err = dec.DecodeAll(b, nil); err != nil {
		return nil, fmt.Errorf("reading %s: %w", file, err)
	}
	d := docs{}
	return d, json.Unmarshal(b, &d)
}

// parameter is an argument of a function.
type parameter struct{ name, def, doc string }

// writer writes functions.
type writer struct {
	strings.Builder
	docs docs
}

func (w *writer) f(format string, args ...any) { fmt.Fprintf(w, format, args...) }

// function writes one; body is indented by four blanks already.
func (w *writer) function(name, doc string, positional, keyword []parameter, returns, body string) {
	w.f("\ndef %s(\n", name)
	write := func(p parameter) {
		if p.def == "" {
			w.f("        %s,\n", p.name)
		} else {
			w.f("        %s = %s,\n", p.name, p.def)
		}
	}
	for _, p := range positional {
		write(p)
	}
	if len(keyword) > 0 {
		w.f("        *,\n")
	}
	for _, p := range keyword {
		write(p)
	}
	s := strings.TrimSuffix(w.String(), ",\n")
	w.Reset()
	w.WriteString(s)
	w.f("):\n    \"\"\"%s\n\n    Args:\n", doc)
	for _, p := range slices.Concat(positional, keyword) {
		w.f("      %s: %s\n", p.name, p.doc)
	}
	w.f("\n    Returns:\n      %s\n    \"\"\"\n%s", returns, body)
}

// field is the argument of a field.
func (w *writer) field(t *openapi.Type, f *openapi.Field) parameter {
	doc := w.docs[t.Name][f.Name]
	if doc == "" {
		doc = "see the API."
	}
	doc = strings.NewReplacer(`\`, `\\`, `"""`, `'''`).Replace(doc)
	if kind := typeName(&f.Type); kind != "" {
		doc = kind + ". " + doc
	}
	if len(f.Type.Values) > 0 && len(f.Type.Values) <= 10 && !strings.Contains(doc, f.Type.Values[0]) {
		doc += " One of " + strings.Join(f.Type.Values, ", ") + "."
	}
	if missing := openapi.Newest(); f.In.First() != openapi.Versions()[0] && f.In.Has(missing) {
		doc += " Since " + f.In.First() + "."
	}
	return parameter{Snake(f.Name), "None", doc}
}

// typeName names a type for the reader of the reference.
func typeName(s *openapi.Schema) string {
	switch s.Base {
	case openapi.Object:
		return "A " + s.Object().Name
	case openapi.List:
		if s.Elem.Base == openapi.Object {
			return "A list of " + s.Elem.Object().Name
		}
		return "A list"
	case openapi.Map:
		return "A dict"
	case openapi.Int32, openapi.Int64, openapi.Number:
		return "A number"
	case openapi.Bool:
		return "True or False"
	case openapi.Quantity:
		return "A quantity"
	}
	return ""
}

// reserved are the words that can't be arguments.
var reserved = strings.Fields("and break continue def elif else for if in lambda load not or pass return as assert class del except finally from global import is nonlocal raise try while with yield")

var (
	acronym = regexp.MustCompile(`([A-Z]+)([A-Z][a-z])`)
	hump    = regexp.MustCompile(`([a-z0-9])([A-Z])`)
	plural  = regexp.MustCompile(`([A-Z]{2,})s($|[A-Z])`)
)

// Snake turns a field's name into an argument's: podIPs is pod_ips.
func Snake(name string) string {
	s := plural.ReplaceAllStringFunc(name, func(m string) string {
		i := strings.IndexByte(m, 's')
		return m[:1] + strings.ToLower(m[1:i]) + m[i:]
	})
	s = hump.ReplaceAllString(acronym.ReplaceAllString(s, "${1}_${2}"), "${1}_${2}")
	s = strings.ToLower(strings.NewReplacer("-", "_", "$", "").Replace(s))
	if slices.Contains(reserved, s) {
		s += "_"
	}
	return s
}

const generated = "# Written by `go generate ./internal/kube/recipes` from the API of Kubernetes %s: edit that.\n\n"

// Objects is stdlib/k8s.star.
func Objects(d docs) string {
	w := &writer{docs: d}
	w.f(`"""Kubernetes objects as dicts, for k8s_manifest.

    load("@stdlib//k8s.star", "deployment", "service")

    manifests = k8s_manifest([
        deployment("web", image = image.ref, port = 8080, replicas = 2),
        service("web", port = 80, target_port = 8080),
    ])

The functions fill in what has to agree between objects: the labels that a Service
selects are those that the Deployment of the same name puts on its pods; what is mounted
or referred to is given as a value, so that its name can't be wrong.

Every field of the API is an argument, in snake_case. What an argument holds is as in
YAML, in camelCase; k8s/types.star has a function for each of the types below.
"""

`)
	w.f(generated, openapi.Newest().String())
	w.WriteString(head)
	for _, k := range kinds {
		w.kind(k)
	}
	return w.String()
}

// kind writes the function of a kind.
func (w *writer) kind(k kind) {
	api := openapi.Lookup(k.apiVersion, k.name)
	top := api.Type()
	t := top
	if k.spec {
		t = top.Field("spec").Type.Object()
	}
	positional := append([]parameter{{"name", "", k.nameDoc()}}, k.positional...)
	keyword := slices.Clone(k.keyword)
	taken := map[string]bool{}
	for _, p := range slices.Concat(positional, keyword) {
		taken[p.name] = true
	}
	for _, p := range []parameter{
		{"labels", "None", "dict of labels."},
		{"annotations", "None", "dict of annotations."},
		{"namespace", "None", "None for the one that kubectl uses."},
	} {
		if !taken[p.name] && (p.name != "namespace" || api.Namespaced) {
			keyword = append(keyword, p)
			taken[p.name] = true
		}
	}
	var fields strings.Builder
	for i := range t.Fields {
		f := &t.Fields[i]
		if slices.Contains([]string{"apiVersion", "kind", "metadata", "status"}, f.Name) || !f.In.Has(openapi.Newest()) {
			continue
		}
		p := w.field(t, f)
		value := p.name
		if expr, ok := k.values[f.Name]; ok {
			value = expr
		}
		if value == p.name && !taken[p.name] || k.also[f.Name] {
			keyword = append(keyword, p)
		}
		fmt.Fprintf(&fields, "        %q: %s,\n", f.Name, value)
	}
	labels, namespace := "labels", "namespace"
	if k.labels != "" {
		labels = k.labels
	}
	if !api.Namespaced {
		namespace = "None"
	}
	body := indent(k.before)
	if k.spec {
		body += "    spec = _given({\n" + fields.String() + "    })\n"
		body += fmt.Sprintf("    return _object(%q, %q, name, %s, %s, annotations, {\"spec\": spec or None})\n", k.apiVersion, k.name, namespace, labels)
	} else {
		body += fmt.Sprintf("    return _object(%q, %q, name, %s, %s, annotations, {\n", k.apiVersion, k.name, namespace, labels) + fields.String() + "    })\n"
	}
	w.function(k.function, k.doc, positional, keyword, "the object as a dict.", body)
}

func indent(s string) string {
	if s == "" {
		return ""
	}
	return "    " + strings.ReplaceAll(strings.TrimSuffix(s, "\n"), "\n", "\n    ") + "\n"
}

// Types is stdlib/k8s/types.star: the types that are reached from the kinds.
func Types(d docs) string {
	w := &writer{docs: d}
	w.f(`"""The types inside Kubernetes objects, a function for each: what the arguments of
k8s.star hold.

    load("@stdlib//k8s/types.star", "container", "probe", "http_get_action")

    container(name = "web", image = image.ref, liveness_probe = probe(
        http_get = http_get_action(path = "/", port = 8080),
    ))

Each returns a plain dict of the fields that are given.
"""

`)
	w.f(generated, openapi.Newest().String())
	w.WriteString("def _given(fields):\n    return {k: v for k, v in fields.items() if v != None}\n")
	seen := map[string]*openapi.Type{}
	var reach func(t *openapi.Type, top bool)
	reach = func(t *openapi.Type, top bool) {
		if seen[t.Name] != nil {
			return
		}
		if !top {
			seen[t.Name] = t
		}
		for i := range t.Fields {
			s := &t.Fields[i].Type
			for s.Base == openapi.List || s.Base == openapi.Map {
				s = s.Elem
			}
			if s.Base == openapi.Object {
				reach(s.Object(), false)
			}
		}
	}
	for _, k := range kinds {
		t := openapi.Lookup(k.apiVersion, k.name).Type()
		reach(t, true)
	}
	var names []string
	for n, t := range seen {
		if len(t.Fields) > 0 {
			names = append(names, n)
		}
	}
	slices.Sort(names)
	for _, n := range names {
		w.typ(seen[n])
	}
	return w.String()
}

func (w *writer) typ(t *openapi.Type) {
	var params []parameter
	var fields strings.Builder
	for i := range t.Fields {
		f := &t.Fields[i]
		if !f.In.Has(openapi.Newest()) {
			continue
		}
		p := w.field(t, f)
		params = append(params, p)
		fmt.Fprintf(&fields, "        %q: %s,\n", f.Name, p.name)
	}
	doc := w.docs[t.Name][""]
	if doc == "" {
		doc = t.Name + "."
	}
	w.function(Snake(t.Name), strings.ReplaceAll(doc, `\`, `\\`), nil, params, "a "+t.Name+" as a dict.", "    return _given({\n"+fields.String()+"    })\n")
}
