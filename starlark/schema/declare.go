package schema

import (
	"fmt"
	"reflect"
	"slices"
	"strings"
	"sync"

	"go.starlark.net/starlark"
	"go.starlark.net/syntax"
)

// Builtin is a function of the language, declared by New. It is immutable and
// safe for use by several threads.
type Builtin struct {
	name, doc, returns string
	declared           func() *declaration
	invoke             func(*Call) (starlark.Value, error)
}

// declaration is what the struct of the arguments says. It is read when it is first
// needed: a run uses few of all the builtins.
type declaration struct {
	params     []Param
	names      []string // of all parameters
	positional int      // how many may be given by position
	required   uint64   // a bit for each parameter
}

var _ starlark.Callable = (*Builtin)(nil)

// Param describes one parameter.
type Param struct {
	Name     string
	Doc      string
	Type     string   // for people: "string", "list of strings", "tree"
	Default  string   // a Starlark literal; "" if required
	Enum     []string // the allowed values, if limited
	Kinds    []string // of an artifact: "file", "tree", or names of types
	Required bool
	Keyword  bool // can't be given by position
	Paths    bool // a string that may hold an artifact's path
	Text     bool // an artifact given instead of a string stands for its content

	secrets  bool // of Any: a secret stands for its token
	optional bool // None is the same as not given
	convert  converter
}

// Option adds to a declaration.
type Option func(*Builtin)

// Returns says what the builtin gives back: "a file artifact with the
// attributes ref (string) and digest (string)".
func Returns(doc string) Option { return func(b *Builtin) { b.returns = doc } }

// New declares a builtin. The fields of A are its parameters, see the package
// comment; doc starts with the name of the builtin, and its first sentence
// stands alone. The first use of a malformed declaration panics; rendering the
// reference page is one.
func New[A any](name, doc string, fn func(*Call, *A) (starlark.Value, error), opts ...Option) *Builtin {
	b := &Builtin{name: name, doc: strings.TrimSpace(doc)}
	var initial A
	b.declared = sync.OnceValue(func() *declaration { return b.declare(reflect.ValueOf(&initial).Elem()) })
	b.invoke = func(c *Call) (starlark.Value, error) {
		b.declared()
		a := new(A)
		*a = initial
		if err := b.unpack(c, reflect.ValueOf(a).Elem()); err != nil {
			return nil, err
		}
		return fn(c, a)
	}
	for _, o := range opts {
		o(b)
	}
	return b
}

// declare reads the tags of the struct and puts the defaults into it.
func (b *Builtin) declare(v reflect.Value) *declaration {
	var d declaration
	if !strings.HasPrefix(b.doc, b.name+" ") {
		panic(fmt.Sprintf("builtin %s: the docstring must start with %q, got %.40q", b.name, b.name+" ", b.doc))
	}
	if v.Kind() != reflect.Struct || v.NumField() > 64 {
		panic(fmt.Sprintf("builtin %s: arguments must be a struct of at most 64 fields, got %s", b.name, v.Type()))
	}
	for i := range v.NumField() {
		p, err := newParam(v.Type().Field(i))
		if err == nil && slices.Contains(d.names, p.Name) {
			err = fmt.Errorf("declared twice")
		}
		if err == nil && p.Default != "" && !p.optional {
			err = b.setDefault(&d, p, v.Field(i))
		}
		if err != nil {
			panic(fmt.Sprintf("builtin %s: field %s: %v", b.name, v.Type().Field(i).Name, err))
		}
		if !p.Keyword {
			if d.positional != i {
				panic(fmt.Sprintf("builtin %s: field %s: positional after keyword", b.name, v.Type().Field(i).Name))
			}
			d.positional++
		}
		if p.Required {
			d.required |= 1 << i
		}
		d.params = append(d.params, *p)
		d.names = append(d.names, p.Name)
	}
	return &d
}

// newParam reads one field's tags.
func newParam(f reflect.StructField) (*Param, error) {
	tag, ok := f.Tag.Lookup("star")
	if !ok || !f.IsExported() {
		return nil, fmt.Errorf("want an exported field with a star tag")
	}
	words := strings.Split(tag, ",")
	p := &Param{Name: words[0], Doc: f.Tag.Get("doc")}
	for _, w := range words[1:] {
		switch w {
		case "keyword":
			p.Keyword = true
		case "optional":
			p.optional = true
		case "paths":
			p.Paths = true
		case "text":
			p.Text = true
		default:
			return nil, fmt.Errorf("unknown word %q in the star tag", w)
		}
	}
	if p.Name == "" || p.Doc == "" {
		return nil, fmt.Errorf("want a name and a doc tag")
	}
	if s := f.Tag.Get("enum"); s != "" {
		p.Enum = strings.Split(s, ",")
	}
	if s := f.Tag.Get("kind"); s != "" {
		p.Kinds = strings.FieldsFunc(s, func(r rune) bool { return r == '|' || r == ',' })
	}
	def, hasDefault := f.Tag.Lookup("default")
	switch {
	case def == "None":
		p.optional, p.Default = true, def
	case hasDefault && def == "":
		return nil, fmt.Errorf(`empty default tag: want a Starlark literal, such as default:"\"\""`)
	case hasDefault:
		p.Default, p.optional = def, false
	case p.optional:
		p.Default = "None"
	default:
		p.Required = true
	}
	if p.optional {
		switch f.Type.Kind() {
		case reflect.Pointer, reflect.Slice, reflect.Map, reflect.Interface:
		default:
			return nil, fmt.Errorf("optional without a default: want a pointer, slice, map or Value, got %s", f.Type)
		}
	}
	conv, typ, err := converterOf(f.Type, p)
	if err != nil {
		return nil, err
	}
	p.convert, p.Type = conv, typ
	return p, nil
}

// setDefault puts the value of the default literal into dst; far is what was
// read of the declaration.
func (b *Builtin) setDefault(far *declaration, p *Param, dst reflect.Value) error {
	v, err := literal(p.Default)
	if err != nil {
		return fmt.Errorf("default %s: %w", p.Default, err)
	}
	v.Freeze()
	u := &unpacker{call: &Call{builtin: &Builtin{name: b.name, declared: func() *declaration { return far }}, session: &Session{}}, param: p}
	p.convert(u, v, dst, nil)
	if len(u.errs) > 0 {
		return fmt.Errorf("default %s: %w", p.Default, u.errs[0])
	}
	return nil
}

// literal evaluates a Starlark literal; the common ones without a parser,
// because every start of the program comes through here.
func literal(s string) (starlark.Value, error) {
	switch s {
	case "True":
		return starlark.True, nil
	case "False":
		return starlark.False, nil
	case "0":
		return starlark.MakeInt(0), nil
	case "1":
		return starlark.MakeInt(1), nil
	case "[]":
		return starlark.NewList(nil), nil
	case "{}":
		return new(starlark.Dict), nil
	}
	if n := len(s); n >= 2 && s[0] == '"' && s[n-1] == '"' && !strings.ContainsAny(s[1:n-1], "\\\"\n") {
		return starlark.String(s[1 : n-1]), nil
	}
	return starlark.EvalOptions(&syntax.FileOptions{}, new(starlark.Thread), "default", s, nil)
}

// Name returns the name of the builtin.
func (b *Builtin) Name() string { return b.name }

// Doc returns the docstring, in Markdown.
func (b *Builtin) Doc() string { return b.doc }

// Params returns the parameters in order. The caller must not change them.
func (b *Builtin) Params() []Param { return b.declared().params }

func (b *Builtin) index(name string) int { return slices.Index(b.declared().names, name) }

// String, Type, Freeze, Truth and Hash make it a value of the language.
func (b *Builtin) String() string { return "<builtin " + b.name + ">" }

// Type returns "builtin_function_or_method", as for Starlark's own.
func (b *Builtin) Type() string { return "builtin_function_or_method" }

// Freeze does nothing: a builtin is immutable.
func (b *Builtin) Freeze() {}

// Truth is true.
func (b *Builtin) Truth() starlark.Bool { return true }

// Hash is that of the name.
func (b *Builtin) Hash() (uint32, error) { return starlark.String(b.name).Hash() }
