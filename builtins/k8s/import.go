package k8s

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"go.starlark.net/starlark"

	"github.com/labstar/labstar/internal/kube/openapi"
	"github.com/labstar/labstar/internal/kube/yamldoc"
	"github.com/labstar/labstar/starlark/schema"
)

type importArgs struct {
	Files    []string                `star:"files" doc:"YAML files beside the script, each with any number of documents"`
	Name     string                  `star:"name,keyword" default:"\"import\"" doc:"what messages call it"`
	Patches  schema.Dict[schema.Any] `star:"patches,keyword" default:"{}" doc:"dict of changes: by \"KIND/NAME\", a dict that is merged into the object; a list by which elements have names is merged by them, None removes a field"`
	Version  string                  `star:"k8s_version,keyword" default:"\"\"" doc:"as in k8s_manifest"`
	External []starlark.Value        `star:"external,keyword" default:"[]" doc:"as in k8s_manifest"`
	Nodes    starlark.Value          `star:"nodes,keyword" default:"None" doc:"as in k8s_manifest"`
	Across   bool                    `star:"across,keyword" default:"True" doc:"check the objects against each other; False if that is left to the k8s_manifest that takes them"`
}

// Import is the builtin `k8s_import`.
var Import = schema.New("k8s_import", `k8s_import reads Kubernetes objects from YAML files and checks them as k8s_manifest does.

Errors are told at the line of the YAML file. The result can be built as it is, or
put among the objects of a k8s_manifest; its attribute objects is the list of them as
dicts. Changes are made by patches, as kustomize's strategic merges do.

	database = k8s_import(["postgres.yaml"], across = False, patches = {
	    "StatefulSet/postgres": {"spec": {"replicas": 1}},
	})
	manifests = k8s_manifest([database, deployment("web", image = image.ref)])`, callImport,
	schema.Returns("manifests, a file, with the attribute objects (a list of dicts)"))

func callImport(c *schema.Call, a *importArgs) (starlark.Value, error) {
	versions, err := openapi.Range(a.Version)
	if err != nil {
		return nil, c.ArgErrorf("k8s_version", "%w", err)
	}
	if len(a.Files) == 0 {
		return nil, c.ArgErrorf("files", "got none, want at least one file")
	}
	ck := &checker{scope: c.Session().Scope, versions: versions, alone: !a.Across}
	for i, f := range a.Files {
		objects, err := readFile(c, fmt.Sprintf("files[%d]", i), f)
		if err != nil {
			return nil, err
		}
		ck.objects = append(ck.objects, objects...)
	}
	if len(ck.objects) == 0 {
		return nil, c.ArgErrorf("files", "got no objects in %s", strings.Join(a.Files, ", "))
	}
	own := slices.Clone(ck.objects)
	if err := patchAll(c, ck, a.Patches); err != nil {
		return nil, err
	}
	if err := ck.takeExternal(c, a.External); err != nil {
		return nil, err
	}
	if ck.nodes, err = takeNodes(c, a.Nodes); err != nil {
		return nil, err
	}
	if err := report(c, "files", ck.run()); err != nil {
		return nil, err
	}
	return newManifests(c, a.Name, own)
}

// readFile reads the objects of a file.
func readFile(c *schema.Call, arg, file string) ([]*object, error) {
	text, err := c.Session().Files.ReadFile(c, file)
	if err != nil {
		return nil, c.ArgErrorf(arg, "%w", err)
	}
	doc := &document{file: file, text: text}
	roots, err := yamldoc.Parse(text)
	var syntax *yamldoc.Error
	if errors.As(err, &syntax) {
		e := c.ArgErrorf(arg, "%s", syntax.Msg)
		e.Label = file
		e.Place = doc.at(syntax.Line, syntax.Col, 0)
		return nil, e
	}
	if err != nil {
		return nil, c.ArgErrorf(arg, "%w", err)
	}
	var out []*object
	var errs []error
	for _, root := range roots {
		d := &document{file: file, text: text, root: root}
		value, ok := plainNode(root).(dict)
		if !ok {
			e := c.ArgErrorf(arg, "got %s, want an object", schema.KindOf(plainNode(root)))
			e.Label, e.Place = file, d.place(nil, false)
			errs = append(errs, e)
			continue
		}
		for _, o := range newObjects(nil, "", value) {
			o.source = d
			out = append(out, o)
		}
	}
	return out, errors.Join(errs...)
}

// patchAll merges the patches into the objects that they name.
func patchAll(c *schema.Call, ck *checker, patches schema.Dict[schema.Any]) error {
	var errs []error
	for _, e := range patches {
		arg := fmt.Sprintf("patches[%q]", e.Key)
		kind, name, _ := strings.Cut(e.Key, "/")
		change, ok := e.Value.(dict)
		if !ok {
			errs = append(errs, c.ArgErrorf(arg, "got %s, want a dict", schema.KindOf(e.Value)))
			continue
		}
		found := false
		var names []string
		for _, o := range ck.objects {
			names = append(names, o.kind+"/"+o.name)
			if o.kind == kind && o.name == name {
				found = true
				*o = patched(o, change)
			}
		}
		if !found {
			errs = append(errs, c.ArgErrorf(arg, "there is no %q in the files%s", e.Key, didYouMean(e.Key, names)).WithHint("they have "+strings.Join(names, ", ")))
		}
	}
	return errors.Join(errs...)
}

func patched(o *object, change dict) object {
	var t *openapi.Type
	if k := openapi.Lookup(o.apiVersion, o.kind); k != nil {
		t = k.Type()
	}
	n := *newObject(mergeDict(o.value, change, t))
	n.source, n.inside = o.source, o.inside
	return n
}

// mergeDict returns d with the changes: dicts are merged, lists whose elements have
// keys (by the schema) by those, None removes, everything else replaces.
func mergeDict(d, change dict, t *openapi.Type) dict {
	out := slices.Clone(d)
	for _, e := range change {
		i := slices.IndexFunc(out, func(x schema.Entry[any]) bool { return x.Key == e.Key })
		switch {
		case e.Value == nil && i >= 0:
			out = slices.Delete(out, i, i+1)
		case e.Value == nil:
		case i < 0:
			out = append(out, e)
		default:
			var s *openapi.Schema
			if t != nil && t.Field(e.Key) != nil {
				s = &t.Field(e.Key).Type
			}
			out[i].Value = mergeValue(out[i].Value, e.Value, s)
		}
	}
	return out
}

func mergeValue(old, change any, s *openapi.Schema) any {
	switch c := change.(type) {
	case dict:
		if d, ok := old.(dict); ok {
			var t *openapi.Type
			if s != nil && s.Base == openapi.Object {
				t = s.Object()
			}
			return mergeDict(d, c, t)
		}
	case []any:
		if l, ok := old.([]any); ok && s != nil && s.Base == openapi.List && len(s.Keys) > 0 {
			return mergeList(l, c, s)
		}
	}
	return change
}

func mergeList(old, change []any, s *openapi.Schema) any {
	out := slices.Clone(old)
	for _, x := range change {
		c, ok := x.(dict)
		if !ok {
			return change
		}
		id, _ := listKey(s.Keys, c)
		i := slices.IndexFunc(out, func(y any) bool {
			d, ok := y.(dict)
			other, _ := listKey(s.Keys, d)
			return ok && id != "" && other == id
		})
		if i < 0 {
			out = append(out, x)
			continue
		}
		var t *openapi.Type
		if s.Elem.Base == openapi.Object {
			t = s.Elem.Object()
		}
		out[i] = mergeDict(out[i].(dict), c, t)
	}
	return out
}
