// Package openapi knows what fields the objects of Kubernetes have, in each of the
// releases that it was made from (Versions).
//
//	set, err := openapi.Range("1.33..1.36")
//	k := openapi.Lookup("apps/v1", "Deployment")
//	t := k.Type()                        // of the object
//	spec := t.Field("spec").Type.Object  // DeploymentSpec
//	_ = spec.Field("replicas").In.Has(set)
//
// The data is schemas.zst, written by `go generate` from the releases' own OpenAPI
// files: all releases in one text, each kind and field with the set of the releases
// that have it (a set in hexadecimal, left out where it is that of all, or of the
// type). It is decompressed when the first kind is looked up, and of the types only
// those are parsed that are reached:
//
//	versions 1.36 1.37
//	k apps/v1 Deployment deployments n 68 [SET]    kind, plural, n(amespaced) or c(luster), number of the type
//	e Allow|Forbid|Replace                         a closed set of values; the first is number 0
//
//	Container                                      a type; the first is number 0
//	ports [@171#containerPort,protocol [SET]       a field, its code
//
// A code is one of s (string), i, l (int32, int64), n (number), b (bool), o (int or
// string), Q (quantity), t (time), y (base64), * (anything), eN (a value of set N),
// @N (an object of type N), [CODE (list), {CODE (dict with string keys); before it !
// if the field is required, after it #KEYS if the list is one by these fields, # if
// it is a set.
package openapi

//go:generate go run ./gen 1.31.14 1.32.13 1.33.13 1.34.4 1.35.4 1.36.3 1.37.2

import (
	_ "embed"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/klauspost/compress/zstd"
)

//go:embed schemas.zst
var compressed []byte

// Kind is a kind of objects that can be created.
type Kind struct {
	APIVersion, Name, Plural string
	Namespaced               bool
	In                       Set

	number int
	custom *Type
}

// Type is an object's type.
type Type struct {
	Name   string
	Fields []Field // sorted by name
	Open   bool    // takes further fields: x-kubernetes-preserve-unknown-fields
}

// Field is a field of an object.
type Field struct {
	Name     string
	Type     Schema
	Required bool
	In       Set // those releases of the type's own that have it
}

// Base is what a value is.
type Base byte

// The bases; the letters are those of the codes.
const (
	String      Base = 's'
	Int32       Base = 'i'
	Int64       Base = 'l'
	Number      Base = 'n'
	Bool        Base = 'b'
	IntOrString Base = 'o'
	Quantity    Base = 'Q'
	Time        Base = 't'
	Bytes       Base = 'y'
	Any         Base = '*'
	Enum        Base = 'e'
	Object      Base = '@'
	List        Base = '['
	Map         Base = '{'
)

// Schema is the type of a value.
type Schema struct {
	Base   Base
	Elem   *Schema  // of a List or Map
	Values []string // of an Enum
	Keys   []string // by which the elements of a List differ
	Set    bool     // a List whose elements differ
	// Of custom resources:
	Min, Max *float64
	Pattern  string

	object int
	typ    *Type
}

// Object is the type of a value whose Base is Object.
func (s *Schema) Object() *Type {
	if s.typ == nil {
		return load().typ(s.object)
	}
	return s.typ
}

// Field returns the field called name, or nil.
func (t *Type) Field(name string) *Field {
	i, ok := slices.BinarySearchFunc(t.Fields, name, func(f Field, n string) int { return strings.Compare(f.Name, n) })
	if !ok {
		return nil
	}
	return &t.Fields[i]
}

// Names returns the names of the fields.
func (t *Type) Names() []string {
	out := make([]string, len(t.Fields))
	for i := range t.Fields {
		out[i] = t.Fields[i].Name
	}
	return out
}

// Type is the type of the kind's objects.
func (k *Kind) Type() *Type {
	if k.custom != nil {
		return k.custom
	}
	return load().typ(k.number)
}

// Group is "" for the core kinds.
func (k *Kind) Group() string { return Group(k.APIVersion) }

// Group returns the group of an apiVersion.
func Group(apiVersion string) string {
	group, _, ok := strings.Cut(apiVersion, "/")
	if !ok {
		return ""
	}
	return group
}

// Lookup returns the kind that an object says it is, or nil.
func Lookup(apiVersion, kind string) *Kind { return load().kinds[apiVersion+" "+kind] }

// Kinds returns all kinds, by apiVersion and name.
func Kinds() []*Kind { return load().list }

// data is the decompressed text, indexed.
type data struct {
	versions []string
	list     []*Kind
	kinds    map[string]*Kind
	enums    [][]string
	blocks   []string // the text of each type

	mu    sync.Mutex
	types []*Type
}

var load = sync.OnceValue(func() *data {
	dec, err := zstd.NewReader(nil, zstd.WithDecoderConcurrency(1))
	if err != nil {
		panic(err)
	}
	defer dec.Close()
	b, err := dec.DecodeAll(compressed, make([]byte, 0, 1<<17))
	if err != nil {
		panic("schemas.zst: " + err.Error())
	}
	d := &data{kinds: map[string]*Kind{}}
	head, rest, _ := strings.Cut(string(b), "\n\n")
	for line := range strings.SplitSeq(head, "\n") {
		d.headLine(line)
	}
	d.blocks = strings.Split(strings.TrimSuffix(rest, "\n"), "\n\n")
	d.types = make([]*Type, len(d.blocks))
	return d
})

func (d *data) headLine(line string) {
	what, rest, _ := strings.Cut(line, " ")
	switch what {
	case "versions":
		d.versions = strings.Fields(rest)
	case "e":
		d.enums = append(d.enums, strings.Split(rest, "|"))
	case "k":
		f := strings.Fields(rest)
		n, _ := strconv.Atoi(f[4])
		k := &Kind{APIVersion: f[0], Name: f[1], Plural: f[2], Namespaced: f[3] == "n", number: n, In: d.all()}
		if len(f) > 5 {
			k.In = parseSet(f[5])
		}
		d.list = append(d.list, k)
		d.kinds[k.APIVersion+" "+k.Name] = k
	}
}

func (d *data) all() Set { return Set(1)<<len(d.versions) - 1 }

// typ parses the n-th type, once.
func (d *data) typ(n int) *Type {
	d.mu.Lock()
	defer d.mu.Unlock()
	if t := d.types[n]; t != nil {
		return t
	}
	name, fields, _ := strings.Cut(d.blocks[n], "\n")
	t := &Type{Name: name, Fields: make([]Field, 0, strings.Count(fields, "\n")+1)}
	for line := range strings.SplitSeq(fields, "\n") {
		name, rest, ok := strings.Cut(line, " ")
		if !ok {
			continue
		}
		code, set, limited := strings.Cut(rest, " ")
		f := Field{Name: name, In: d.all()}
		if limited {
			f.In = parseSet(set)
		}
		code, f.Required = strings.CutPrefix(code, "!")
		f.Type = d.schema(code)
		t.Fields = append(t.Fields, f)
	}
	d.types[n] = t
	return t
}

func (d *data) schema(code string) Schema {
	code, keys, listed := strings.Cut(code, "#")
	s := Schema{Base: Base(code[0])}
	switch s.Base {
	case List, Map:
		elem := d.schema(code[1:])
		s.Elem = &elem
		if keys != "" {
			s.Keys = strings.Split(keys, ",")
		}
		s.Set = listed && keys == ""
	case Enum:
		n, _ := strconv.Atoi(code[1:])
		s.Values = d.enums[n]
	case Object:
		s.object, _ = strconv.Atoi(code[1:])
	}
	return s
}

// Custom makes a kind of a CustomResourceDefinition.
func Custom(apiVersion, name, plural string, namespaced bool, t *Type) *Kind {
	return &Kind{APIVersion: apiVersion, Name: name, Plural: plural, Namespaced: namespaced, In: load().all(), custom: t}
}

// ObjectOf is the schema of objects of a type.
func ObjectOf(t *Type) Schema { return Schema{Base: Object, typ: t} }
