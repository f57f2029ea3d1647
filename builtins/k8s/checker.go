package k8s

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"go.starlark.net/starlark"

	"github.com/labstar/labstar/action"
	"github.com/labstar/labstar/internal/kube/openapi"
	"github.com/labstar/labstar/starlark/schema"
)

type dict = schema.Dict[any]

// object is one object of a call, and where the script has it.
type object struct {
	value                             dict
	apiVersion, kind, name, namespace string
	root                              starlark.Value // the dict of the script; nil if source is set
	elem                              string         // where that is in the argument: `[2]`
	inside                            *where         // where the object is in root
	source                            *document      // of a YAML file
	api                               *openapi.Kind  // nil if unknown
	noticed                           bool           // in another set of manifests: it is there, and not checked again
}

// String names the object for people: "Deployment web".
func (o *object) String() string {
	kind, name := o.kind, o.name
	if kind == "" {
		kind = "object"
	}
	if name == "" {
		return kind
	}
	return kind + " " + name
}

// where is the place in an object at which a value stands, innermost step first.
type where struct {
	up    *where
	key   string
	index int // of a list, if key is ""
}

func (p *where) steps() []*where {
	var out []*where
	for ; p != nil; p = p.up {
		out = append(out, p)
	}
	slices.Reverse(out)
	return out
}

// String is as people write it: spec.ports[0].port.
func (p *where) String() string {
	var b strings.Builder
	for _, s := range p.steps() {
		switch {
		case s.key == "":
			fmt.Fprintf(&b, "[%d]", s.index)
		case strings.ContainsAny(s.key, "./[] \""):
			b.WriteString("[" + strconv.Quote(s.key) + "]")
		default:
			if b.Len() > 0 {
				b.WriteByte('.')
			}
			b.WriteString(s.key)
		}
	}
	return b.String()
}

// elem is as package schema writes it: ["spec"]["ports"][0]["port"].
func (p *where) elem() string {
	var b strings.Builder
	for _, s := range p.steps() {
		if s.key == "" {
			fmt.Fprintf(&b, "[%d]", s.index)
		} else {
			b.WriteString("[" + starlark.String(s.key).String() + "]")
		}
	}
	return b.String()
}

// at is a place: an object, and where in it.
type at struct {
	c *checker
	o *object
	p *where
}

func (a at) key(name string) at { return at{a.c, a.o, &where{up: a.p, key: name}} }

func (a at) keys(names ...string) at {
	for _, n := range names {
		a = a.key(n)
	}
	return a
}

func (a at) index(i int) at { return at{a.c, a.o, &where{up: a.p, index: i}} }

// problem is one thing wrong.
type problem struct {
	at   at
	msg  string
	hint string
	name bool // it is the name of the last field that is wrong
}

// fail reports what is wrong at a place, once.
func (a at) fail(hint, format string, args ...any) {
	a.c.problems = append(a.c.problems, problem{at: a, msg: fmt.Sprintf(format, args...), hint: hint})
}

// failName is fail for a name that is wrong, whatever its value.
func (a at) failName(hint, format string, args ...any) {
	a.fail(hint, format, args...)
	a.c.problems[len(a.c.problems)-1].name = true
}

// checker gathers what is wrong with the objects of one call.
type checker struct {
	scope    *action.Scope
	versions openapi.Set
	objects  []*object
	external externals
	nodes    []node
	alone    bool // each object by itself only
	problems []problem
	told     map[string]bool // names that were reported
	custom   map[string]*openapi.Kind
}

// run checks all objects: each by itself, then what is between them. The second is
// not worth a look while the first has faults.
func (c *checker) run() []problem {
	c.customKinds()
	seen := map[string]*object{}
	for _, o := range c.objects {
		if !o.noticed {
			c.object(o)
		}
		c.twice(seen, o)
	}
	if len(c.problems) == 0 && !c.alone {
		c.across()
	}
	return c.problems
}

// twice reports two objects of one kind and name: the second would overwrite the
// first.
func (c *checker) twice(seen map[string]*object, o *object) {
	if o.name == "" || o.kind == "" {
		return
	}
	id := openapi.Group(o.apiVersion) + " " + o.kind + " " + o.namespace + " " + o.name
	if first := seen[id]; first != nil && !o.noticed {
		at{c, o, nil}.fail("give it another name, or leave one of them out", "got the %s %q twice: the second would overwrite the first", o.kind, c.readable(o.name))
	}
	seen[id] = o
}

// late reports whether s is known only after the build, so that it can't be
// checked now.
func (c *checker) late(s string) bool {
	if !action.MayHoldToken(s) {
		return false
	}
	if len(action.SecretTokens(s)) > 0 {
		return true
	}
	refs, err := c.scope.Refs(s)
	return err != nil || len(refs) > 0
}

// readable is s for a message: tokens are named.
func (c *checker) readable(s string) string { return clip(c.scope.Readable(s)) }

func clip(s string) string {
	if len(s) > 80 {
		return strings.ToValidUTF8(s[:77], "") + "…"
	}
	return s
}

// Getters for what the schema has found to be well-formed: another type is as good
// as nothing.

func get[T any](d dict, name string) (v T, ok bool) {
	x, _ := d.Get(name)
	v, ok = x.(T)
	return v, ok
}

func str(d dict, name string) string { s, _ := get[string](d, name); return s }
func list(d dict, name string) []any { l, _ := get[[]any](d, name); return l }
func sub(d dict, names ...string) dict {
	for _, n := range names {
		d, _ = get[dict](d, n)
	}
	return d
}
func has(d dict, name string) bool { x, ok := d.Get(name); return ok && x != nil }

// number returns an int field; a float that is whole counts.
func number(d dict, name string) (int64, bool) {
	x, _ := d.Get(name)
	switch x := x.(type) {
	case int64:
		return x, true
	case float64:
		if x == float64(int64(x)) {
			return int64(x), true
		}
	}
	return 0, false
}

// each calls f for the dicts of a list.
func (a at) each(d dict, name string, f func(at, dict)) {
	for i, x := range list(d, name) {
		if e, ok := x.(dict); ok {
			f(a.key(name).index(i), e)
		}
	}
}

// strings calls f for the strings of a list.
func (a at) strings(d dict, name string, f func(at, string)) {
	for i, x := range list(d, name) {
		if s, ok := x.(string); ok {
			f(a.key(name).index(i), s)
		}
	}
}

func quoted(list []string) string {
	out := make([]string, len(list))
	for i, s := range list {
		out[i] = strconv.Quote(s)
	}
	return strings.Join(out, ", ")
}

func didYouMean(got string, candidates []string) string {
	if s := schema.Suggest(got, candidates); s != "" {
		return fmt.Sprintf(" (did you mean %q?)", s)
	}
	return ""
}

// names are those of the objects of a kind in a namespace, sorted.
func (c *checker) names(kind, namespace string) []string {
	var out []string
	for _, o := range c.objects {
		if o.kind == kind && (o.api == nil || !o.api.Namespaced || sameSpace(o.namespace, namespace)) {
			out = append(out, o.name)
		}
	}
	slices.SortFunc(out, cmp.Compare[string])
	return out
}

// find returns the object of a kind and name, nil if there is none.
func (c *checker) find(kind, namespace, name string) *object {
	for _, o := range c.objects {
		if o.kind == kind && o.name == name && (o.api == nil || !o.api.Namespaced || sameSpace(o.namespace, namespace)) {
			return o
		}
	}
	return nil
}

// sameSpace reports whether two namespaces are one: that of an object which names none
// is "default" mostly.
func sameSpace(a, b string) bool {
	return a == b || a == "" && b == "default" || a == "default" && b == ""
}
