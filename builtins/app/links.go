package app

import (
	"encoding/json"
	"slices"

	"go.starlark.net/starlark"

	"github.com/labstar/labstar/action"
	"github.com/labstar/labstar/starlark/schema"
)

type linksArgs struct {
	Value starlark.Value `star:"value" doc:"strings, artifacts, endpoints, and lists and dicts of them"`
}

// LinksIn is the builtin `links_in`.
var LinksIn = schema.New("links_in", `links_in finds the endpoints whose addresses are in a value.

It looks into strings, and into what an artifact was made from: a configuration that
was written into an image is a link of that image.

	links_in({"DATABASE": "postgres://%s/chat" % database.address})   # ["database"]`,
	func(c *schema.Call, a *linksArgs) (starlark.Value, error) {
		f := &finder{scope: c.Session().Scope, seen: map[*action.Action]bool{}}
		if err := f.value(a.Value, 0); err != nil {
			return nil, c.ArgErrorf("value", "%w", err)
		}
		slices.Sort(f.found)
		var out []starlark.Value
		for _, n := range slices.Compact(f.found) {
			out = append(out, starlark.String(n))
		}
		return starlark.NewList(out), nil
	}, schema.Returns("a list of names, sorted"))

// finder gathers the names of endpoints.
type finder struct {
	scope *action.Scope
	seen  map[*action.Action]bool
	found []string
}

// maxDepth bounds the nesting of values; a list can hold itself.
const maxDepth = 100

func (f *finder) value(v starlark.Value, depth int) error {
	if depth > maxDepth {
		return nil
	}
	switch v := v.(type) {
	case starlark.String:
		return f.text(string(v))
	case *Endpoint:
		f.found = append(f.found, v.name)
	case *schema.Artifact:
		f.action(v.Action)
	case *starlark.Dict:
		for _, kv := range v.Items() {
			if err := f.value(kv[1], depth+1); err != nil {
				return err
			}
		}
	case starlark.Indexable:
		for i := range v.Len() {
			if err := f.value(v.Index(i), depth+1); err != nil {
				return err
			}
		}
	}
	return nil
}

func (f *finder) text(s string) error {
	if !action.MayHoldToken(s) {
		return nil
	}
	refs, err := f.scope.Refs(s)
	for _, r := range refs {
		f.action(r.Artifact.Action)
	}
	return err
}

// action looks at an action and at all that it was made from.
func (f *finder) action(a *action.Action) {
	if f.seen[a] {
		return
	}
	f.seen[a] = true
	if a.Op == linkOp {
		var p linkParams
		if json.Unmarshal(a.Params, &p) == nil {
			f.found = append(f.found, p.Endpoint)
		}
		return
	}
	a.Deps(func(d *action.Artifact) { f.action(d.Action) })
}
