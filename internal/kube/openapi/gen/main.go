// Command gen writes schemas.zst, which package openapi reads, and docs.json.zst,
// from which the constructors of stdlib are written, from the releases' own files:
// the OpenAPI v3 documents in the modules k8s.io/kubernetes, and the closed sets of
// values ("+enum") in the sources of k8s.io/api.
//
//	go run ./gen 1.35.4 1.36.3
//
// It needs the Go module proxy; nothing of it runs in a build.
package main

import (
	"encoding/json"
	"fmt"
	"log"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/klauspost/compress/zstd"
)

func main() {
	log.SetFlags(0)
	u := &union{types: map[string]*typ{}, kinds: map[string]*kind{}, enums: map[string][]string{}}
	for i, v := range os.Args[1:] {
		u.versions = append(u.versions, v[:strings.LastIndexByte(v, '.')])
		if err := u.release(i, v); err != nil {
			log.Fatalf("%s: %v", v, err)
		}
	}
	text := u.text()
	write("schemas.zst", []byte(text))
	docs, err := json.Marshal(u.docs())
	if err != nil {
		log.Fatal(err)
	}
	write("../recipes/docs.json.zst", docs)
}

func write(name string, data []byte) {
	enc, err := zstd.NewWriter(nil, zstd.WithEncoderLevel(zstd.SpeedBestCompression), zstd.WithWindowSize(1<<20), zstd.WithEncoderCRC(false))
	if err != nil {
		log.Fatal(err)
	}
	out := enc.EncodeAll(data, nil)
	if err := os.WriteFile(name, out, 0o644); err != nil {
		log.Fatal(err)
	}
	log.Printf("%s: %d bytes, %d compressed", name, len(data), len(out))
}

// union is what all releases have, each thing with the set of those that have it.
type union struct {
	versions []string
	types    map[string]*typ
	kinds    map[string]*kind // by apiVersion and name
	enums    map[string][]string
}

type kind struct {
	apiVersion, name, plural, typ string
	namespaced                    bool
	in                            uint
}

type typ struct {
	name, doc string
	alias     string // code, for a type that is no object
	fields    map[string]*field
	in        uint
}

type field struct {
	code, doc string
	required  bool
	keys      []string // x-kubernetes-list-map-keys
	set       bool     // x-kubernetes-list-type: set
	in        uint
}

// openapi is the part of a schema that is kept.
type openapi struct {
	Ref         string              `json:"$ref"`
	AllOf       []openapi           `json:"allOf"`
	OneOf       []openapi           `json:"oneOf"`
	Type        string              `json:"type"`
	Format      string              `json:"format"`
	Description string              `json:"description"`
	Items       *openapi            `json:"items"`
	Values      *openapi            `json:"additionalProperties"`
	Properties  map[string]*openapi `json:"properties"`
	Required    []string            `json:"required"`
	ListType    string              `json:"x-kubernetes-list-type"`
	Keys        []string            `json:"x-kubernetes-list-map-keys"`
}

type document struct {
	Paths      map[string]map[string]json.RawMessage `json:"paths"`
	Components struct {
		Schemas map[string]*openapi `json:"schemas"`
	} `json:"components"`
}

type gvk struct{ Group, Kind, Version string }

func (g gvk) apiVersion() string { return strings.TrimPrefix(g.Group+"/"+g.Version, "/") }

func (u *union) release(bit int, version string) error {
	dir, err := download("k8s.io/kubernetes@v" + version)
	if err != nil {
		return err
	}
	api, err := download("k8s.io/api@v0" + strings.TrimPrefix(version, "1"))
	if err != nil {
		return err
	}
	enums, err := readEnums(api)
	if err != nil {
		return err
	}
	files, err := filepath.Glob(filepath.Join(dir, "api/openapi-spec/v3/api*_openapi.json"))
	if err != nil || len(files) < 20 {
		return fmt.Errorf("got %d OpenAPI files in %s (%v)", len(files), dir, err)
	}
	for _, f := range files {
		if strings.Contains(f, "internal.apiserver") {
			continue
		}
		b, err := os.ReadFile(f)
		if err != nil {
			return err
		}
		var doc document
		if err := json.Unmarshal(b, &doc); err != nil {
			return fmt.Errorf("reading %s: %w", f, err)
		}
		if err := u.document(uint(1)<<bit, &doc, enums); err != nil {
			return fmt.Errorf("reading %s: %w", f, err)
		}
	}
	return nil
}

func download(module string) (string, error) {
	out, err := exec.Command("go", "mod", "download", "-json", module).Output()
	if err != nil {
		return "", fmt.Errorf("downloading %s: %w", module, err)
	}
	var m struct{ Dir string }
	return m.Dir, json.Unmarshal(out, &m)
}

// document takes the kinds that can be created, and the types that they reach.
func (u *union) document(bit uint, doc *document, enums map[string][]string) error {
	for path, verbs := range doc.Paths {
		raw, ok := verbs["post"]
		if !ok {
			continue
		}
		var post struct {
			GVK gvk `json:"x-kubernetes-group-version-kind"`
		}
		if err := json.Unmarshal(raw, &post); err != nil {
			return err
		}
		last := path[strings.LastIndexByte(path, '/')+1:]
		rest := strings.TrimSuffix(path, "/"+last)
		if strings.HasSuffix(rest, "}") && !strings.HasSuffix(rest, "/{namespace}") {
			continue // a subresource
		}
		if post.GVK.Kind == "" {
			continue
		}
		name, ok := typeOf(doc, post.GVK)
		if !ok {
			continue
		}
		namespaced := strings.HasSuffix(rest, "/namespaces/{namespace}")
		id := post.GVK.apiVersion() + " " + post.GVK.Kind
		k := u.kinds[id]
		if k == nil {
			k = &kind{apiVersion: post.GVK.apiVersion(), name: post.GVK.Kind, plural: last}
			u.kinds[id] = k
		}
		k.in |= bit
		k.typ = name
		k.namespaced = k.namespaced || namespaced
		u.reach(bit, doc, name, enums, true)
	}
	return nil
}

// typeOf finds the schema of a kind: the only one whose own name and group say so.
func typeOf(doc *document, g gvk) (string, bool) {
	suffix := "." + g.Version + "." + g.Kind
	for name, s := range doc.Components.Schemas {
		if strings.HasSuffix(name, suffix) && s.Properties["metadata"] != nil {
			return name, true
		}
	}
	return "", false
}

// reach takes a type and those that its fields have.
func (u *union) reach(bit uint, doc *document, name string, enums map[string][]string, top bool) {
	t := u.types[name]
	if t == nil {
		t = &typ{name: name, fields: map[string]*field{}}
		u.types[name] = t
	}
	if t.in&bit != 0 {
		return
	}
	t.in |= bit
	s := doc.Components.Schemas[name]
	t.doc = s.Description
	if a := alias(name, s); a != "" {
		t.alias = a
		return
	}
	for _, f := range slices.Sorted(maps.Keys(s.Properties)) {
		p := s.Properties[f]
		fd := t.fields[f]
		if fd == nil {
			fd = &field{}
			t.fields[f] = fd
		}
		fd.in |= bit
		fd.doc, fd.required, fd.keys, fd.set = p.Description, slices.Contains(s.Required, f), p.Keys, p.ListType == "set"
		if top && f == "status" || f == "managedFields" {
			fd.code = "*" // the server's own
			continue
		}
		fd.code = u.code(bit, doc, p, enums, name+" "+f)
	}
}

// alias is the code of types that are no objects with fields.
func alias(name string, s *openapi) string {
	short := name[strings.LastIndexByte(name, '.')+1:]
	switch {
	case short == "Quantity":
		return "Q"
	case short == "IntOrString":
		return "o"
	case short == "Time" || short == "MicroTime":
		return "t"
	case short == "JSON" || strings.HasPrefix(short, "JSONSchemaPropsOr") || short == "FieldsV1" || short == "RawExtension":
		return "*"
	case len(s.Properties) == 0 && s.Type == "object":
		return ""
	case len(s.Properties) == 0:
		return "*"
	}
	return ""
}

// code writes a field's type: see package openapi.
func (u *union) code(bit uint, doc *document, p *openapi, enums map[string][]string, where string) string {
	ref := p.Ref
	if ref == "" && len(p.AllOf) == 1 {
		ref = p.AllOf[0].Ref
	}
	if ref != "" {
		name := ref[strings.LastIndexByte(ref, '/')+1:]
		u.reach(bit, doc, name, enums, false)
		if a := u.types[name].alias; a != "" {
			return a
		}
		return "@" + name + ";"
	}
	switch {
	case p.Type == "array":
		return "[" + u.code(bit, doc, p.Items, enums, where)
	case p.Type == "object" && p.Values != nil:
		return "{" + u.code(bit, doc, p.Values, enums, where)
	case p.Type == "object":
		return "*"
	case p.Type == "string" && p.Format == "byte":
		return "y"
	case p.Type == "string" && p.Format == "date-time":
		return "t"
	case p.Type == "string":
		if values := enums[where]; len(values) > 0 {
			key := strings.Join(values, "|")
			u.enums[key] = values
			return "e" + key + ";"
		}
		return "s"
	case p.Type == "integer" && p.Format == "int32":
		return "i"
	case p.Type == "integer":
		return "l"
	case p.Type == "number":
		return "n"
	case p.Type == "boolean":
		return "b"
	}
	return "*"
}

// text is the content of schemas.zst, described in package openapi.
func (u *union) text() string {
	all := uint(1)<<len(u.versions) - 1
	mask := func(m, of uint) string {
		if m == of {
			return ""
		}
		return " " + strconv.FormatUint(uint64(m), 16)
	}
	var b strings.Builder
	b.WriteString("versions " + strings.Join(u.versions, " ") + "\n")
	names := slices.Sorted(maps.Keys(u.types))
	names = slices.DeleteFunc(names, func(n string) bool { return u.types[n].alias != "" })
	number := map[string]int{}
	for i, n := range names {
		number[n] = i
	}
	enums := slices.Sorted(maps.Keys(u.enums))
	for _, id := range slices.Sorted(maps.Keys(u.kinds)) {
		k := u.kinds[id]
		scope := "c"
		if k.namespaced {
			scope = "n"
		}
		fmt.Fprintf(&b, "k %s %s %s %s %d%s\n", k.apiVersion, k.name, k.plural, scope, number[k.typ], mask(k.in, all))
	}
	for _, e := range enums {
		fmt.Fprintf(&b, "e %s\n", e)
	}
	for _, n := range names {
		t := u.types[n]
		fmt.Fprintf(&b, "\n%s\n", n[strings.LastIndexByte(n, '.')+1:])
		for _, f := range slices.Sorted(maps.Keys(t.fields)) {
			fd := t.fields[f]
			code := fd.code
			if i := strings.IndexByte(code, '@'); i >= 0 {
				code = code[:i+1] + strconv.Itoa(number[strings.TrimSuffix(code[i+1:], ";")])
			}
			if i := strings.IndexByte(code, 'e'); i >= 0 && strings.HasSuffix(code, ";") {
				code = code[:i+1] + strconv.Itoa(slices.Index(enums, strings.TrimSuffix(code[i+1:], ";")))
			}
			if fd.required {
				code = "!" + code
			}
			if len(fd.keys) > 0 {
				code += "#" + strings.Join(fd.keys, ",")
			} else if fd.set {
				code += "#"
			}
			b.WriteString(f + " " + code + mask(fd.in, t.in) + "\n")
		}
	}
	return b.String()
}

// docs are the descriptions, by type and field; the type's own is under "".
func (u *union) docs() map[string]map[string]string {
	out := map[string]map[string]string{}
	for name, t := range u.types {
		m := map[string]string{}
		if t.doc != "" {
			m[""] = brief(t.doc)
		}
		for f, fd := range t.fields {
			m[f] = brief(fd.doc)
		}
		out[name[strings.LastIndexByte(name, '.')+1:]] = m
	}
	return out
}

// brief is the first sentences of a description, some 200 characters.
func brief(s string) string {
	s = strings.Join(strings.Fields(s), " ")
	if i := strings.Index(s, " More info:"); i > 0 {
		s = s[:i]
	}
	out := ""
	for rest := s; rest != ""; {
		sentence, more, cut := strings.Cut(rest, ". ")
		if cut {
			sentence += "."
		}
		if out != "" && len(out)+len(sentence) > 200 {
			break
		}
		out = strings.TrimSpace(out + " " + sentence)
		rest = more
	}
	if len(out) > 400 {
		out = strings.ToValidUTF8(out[:397], "") + "…"
	}
	return out
}
