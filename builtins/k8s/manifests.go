package k8s

import (
	"context"
	"slices"
	"sync"

	"go.starlark.net/starlark"

	"github.com/labstar/labstar/action"
	"github.com/labstar/labstar/internal/kube/openapi"
	"github.com/labstar/labstar/starlark/schema"
)

// attrs are the attributes of manifests, made when they are asked for.
type attrs struct {
	session *schema.Session
	objects []*object

	once sync.Once
	list *starlark.List
}

// AttrNames implements schema.Attrs.
func (a *attrs) AttrNames() []string { return []string{"objects"} }

// Attr implements schema.Attrs: objects is the objects as dicts, frozen. They keep
// where they come from.
func (a *attrs) Attr(name string) starlark.Value {
	if name != "objects" {
		return nil
	}
	a.once.Do(func() {
		elems := make([]starlark.Value, len(a.objects))
		for i, o := range a.objects {
			elems[i] = o.starlark(a.session)
		}
		a.list = starlark.NewList(elems)
		a.list.Freeze()
	})
	return a.list
}

// Locate implements schema.Locator. Objects are told apart by API group, kind, namespace
// and name; the namespace of one that names none is whatever it is applied to.
func (a *attrs) Locate(part schema.Part) *schema.Error {
	for _, o := range a.objects {
		if slices.Equal([]string{openapi.Group(o.apiVersion), o.kind, o.name}, []string{part.Object[0], part.Object[1], part.Object[3]}) &&
			(o.namespace == "" || o.namespace == part.Object[2]) {
			return at{o: o, p: o.reach(part.Path)}.part()
		}
	}
	return nil
}

// reach is the place of a path, as far as the object has it.
func (o *object) reach(path []any) *where {
	var p *where
	var x any = o.value
	for _, step := range path {
		switch step := step.(type) {
		case string:
			d, _ := x.(dict)
			next, ok := d.Get(step)
			if !ok {
				return p
			}
			p, x = &where{up: p, key: step}, next
		case int:
			l, _ := x.([]any)
			if step >= len(l) {
				return p
			}
			p, x = &where{up: p, index: step}, l[step]
		}
	}
	return p
}

// elemOf is a place in the object as an element of what it was made of.
func (o *object) elemOf(p *where) string { return o.inside.elem() + p.elem() }

// manifestsOf returns what is in manifests, nil for any other value.
func manifestsOf(v starlark.Value) *attrs {
	if art, ok := v.(*schema.Artifact); ok {
		m, _ := art.Attrs().(*attrs)
		return m
	}
	return nil
}

// starlark makes the dict of an object. Each dict and list in it keeps its origin,
// so that an error about it is told where the original is.
func (o *object) starlark(s *schema.Session) starlark.Value {
	var convert func(x any, p *where) starlark.Value
	convert = func(x any, p *where) starlark.Value {
		switch x := x.(type) {
		case dict:
			d := starlark.NewDict(len(x))
			for _, e := range x {
				_ = d.SetKey(starlark.String(e.Key), convert(e.Value, &where{up: p, key: e.Key}))
			}
			s.SetOrigin(d, o.origin(p))
			return d
		case []any:
			elems := make([]starlark.Value, len(x))
			for i, e := range x {
				elems[i] = convert(e, &where{up: p, index: i})
			}
			l := starlark.NewList(elems)
			s.SetOrigin(l, o.origin(p))
			return l
		case string:
			return starlark.String(x)
		case bool:
			return starlark.Bool(x)
		case int64:
			return starlark.MakeInt64(x)
		case float64:
			return starlark.Float(x)
		}
		return starlark.None
	}
	return convert(o.value, nil)
}

// origin tells where a part of the object comes from.
func (o *object) origin(p *where) schema.Origin {
	if o.source != nil {
		return schema.Origin{Place: func(elem string) *schema.Place { return o.source.placeBelow(p, elem) }}
	}
	return schema.Origin{Root: o.root, Elem: o.elemOf(p)}
}

type manifestParams struct {
	Objects []dict `json:"objects"`
}

// manifestOp writes the objects as YAML documents.
var manifestOp = &action.Op{Name: "k8s/manifest", Version: 2, Check: true, Run: runManifest}

func runManifest(_ context.Context, env action.Env) error {
	var p manifestParams
	if err := env.Params(&p); err != nil {
		return err
	}
	return env.WriteFile("manifest", writeYAML(p.Objects))
}
