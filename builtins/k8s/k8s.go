// Package k8s writes Kubernetes manifests: the builtins `k8s_manifest`,
// `k8s_import` and `k8s_hashed`.
//
// Objects are plain dicts of the script, or documents of YAML files. Each is held
// against the schema of its kind (fields.go; package openapi has the schemas of the
// releases), then against what schemas don't say and an API server checks
// (objects.go and a file for each group of kinds); then all are held against each
// other, which no server does (across.go). What is wrong is an error at the line that
// made the object or the field, before anything is built. Strings that are known only
// after a build, above all the reference of an image, are filled in when the manifest
// is written.
package k8s

import (
	"errors"
	"fmt"
	"strings"

	"go.starlark.net/starlark"

	"github.com/labstar/labstar/action"
	"github.com/labstar/labstar/internal/kube/openapi"
	"github.com/labstar/labstar/internal/programs"
	"github.com/labstar/labstar/starlark/schema"
)

// Builtins returns the builtins of this group.
func Builtins() []*schema.Builtin { return []*schema.Builtin{Manifest, Import, Hashed} }

type manifestArgs struct {
	Objects  starlark.Value   `star:"objects" doc:"a Kubernetes object as a dict, manifests, or a list of them, of any depth; strings in an object may be image.ref and the like"`
	Name     string           `star:"name,keyword" default:"\"manifest\"" doc:"what messages call it"`
	Version  string           `star:"k8s_version,keyword" default:"\"\"" doc:"the Kubernetes version that the objects are for, or a range such as \"1.33..1.36\"; the newest that is known if empty"`
	External []starlark.Value `star:"external,keyword" default:"[]" doc:"what is in the cluster already: \"KIND/NAME\" or \"KIND/NAMESPACE/NAME\", with * for any text; or other manifests of the script"`
	Nodes    starlark.Value   `star:"nodes,keyword" default:"None" doc:"dict of the cluster's nodes: by name, a dict with cpu, memory, ephemeral-storage (quantities) and labels"`
}

// Manifest is the builtin `k8s_manifest`.
var Manifest = schema.New("k8s_manifest", `k8s_manifest writes Kubernetes objects as YAML, a file.

The objects are checked here, at the line of the script that made them:

- fields, types and required fields by the schemas of the Kubernetes versions of
  k8s_version, and APIs that those no longer have; objects of a
  CustomResourceDefinition by its schema;
- what schemas don't say and an API server refuses: names, labels, ports, quantities,
  probes, selectors, volumes, image references, schedules;
- what a server takes and what then does not work: a Service that selects nothing, a
  ConfigMap, Secret, key, claim, service account or backend that is not there, a claim
  that nothing mounts or no volume can satisfy, an NFS path that two volumes have or
  that is mounted behind the back of its claim, replicas that share a ReadWriteOnce
  claim, and, with nodes, pods that no node can hold. What the cluster has already is
  named in external;
- of images that the script makes, when those are built: a command, a probe or a hook
  whose program is not in the image.

Image references belong into it as image.ref, which is NAME@sha256:…: a tag can stand
for another image tomorrow. @stdlib//k8s.star has a function for each kind.

	load("@stdlib//k8s.star", "deployment", "service")

	manifests = k8s_manifest([
	    deployment("web", image = image.ref, port = 8080),
	    service("web", port = 80, target_port = 8080),
	], k8s_version = "1.33..1.36")`, callManifest,
	schema.Returns("manifests, a file, with the attribute objects (a list of dicts)"))

func callManifest(c *schema.Call, a *manifestArgs) (starlark.Value, error) {
	versions, err := openapi.Range(a.Version)
	if err != nil {
		return nil, c.ArgErrorf("k8s_version", "%w", err)
	}
	ck := &checker{scope: c.Session().Scope, versions: versions}
	if ck.objects, err = gather(c, "objects", a.Objects); err != nil {
		return nil, err
	}
	if len(ck.objects) == 0 {
		return nil, c.ArgErrorf("objects", "got none, want at least one object")
	}
	own := ck.objects
	if err := ck.takeExternal(c, a.External); err != nil {
		return nil, err
	}
	if ck.nodes, err = takeNodes(c, a.Nodes); err != nil {
		return nil, err
	}
	if err := report(c, "objects", ck.run()); err != nil {
		return nil, err
	}
	return newManifests(c, a.Name, own)
}

// newManifests makes the artifact of objects that were checked.
func newManifests(c *schema.Call, name string, objects []*object) (starlark.Value, error) {
	list := make([]dict, len(objects))
	for i, o := range objects {
		list[i] = o.value
	}
	spec := action.Spec{
		Op: manifestOp, Title: name,
		Params:  manifestParams{Objects: list},
		Outputs: []action.Output{{Name: "manifest", Kind: action.File}},
	}
	checked, err := programs.Check(c, "programs of "+name, starts(c.Session().Scope, objects))
	if err != nil {
		return nil, err
	}
	if checked != nil {
		spec.Inputs = append(spec.Inputs, action.Input{Name: "programs", Artifact: checked})
	}
	act, err := c.Action(spec)
	if err != nil {
		return nil, err
	}
	return schema.NewArtifactWith(act.Output("manifest"), "manifests", &attrs{session: c.Session(), objects: objects}), nil
}

// gather flattens an argument: dicts, manifests, and lists of them.
func gather(c *schema.Call, arg string, v starlark.Value) ([]*object, error) {
	var out []*object
	var errs []error
	var walk func(v starlark.Value, elem string, depth int)
	walk = func(v starlark.Value, elem string, depth int) {
		switch x := v.(type) {
		case *starlark.Dict:
			value, err := plainObject(c, arg, elem, x)
			if err != nil {
				errs = append(errs, err)
				return
			}
			out = append(out, newObjects(x, elem, value)...)
		case *starlark.List, starlark.Tuple:
			if depth > 20 {
				errs = append(errs, c.ArgErrorf(arg+elem, "got lists nested more than 20 deep"))
				return
			}
			l := x.(starlark.Indexable)
			for i := range l.Len() {
				walk(l.Index(i), fmt.Sprintf("%s[%d]", elem, i), depth+1)
			}
		default:
			if m := manifestsOf(v); m != nil {
				out = append(out, m.objects...)
				return
			}
			want := "a dict"
			if elem == "" {
				want = "a dict or a list of dicts"
			}
			got := v.Type()
			if v == starlark.None {
				got = "None"
			}
			errs = append(errs, c.ArgErrorf(arg+elem, "got %s, want %s", got, want))
		}
	}
	walk(v, "", 0)
	return out, errors.Join(errs...)
}

// newObjects makes the object of a dict: several of a List.
func newObjects(root starlark.Value, elem string, value dict) []*object {
	if str(value, "kind") == "List" && str(value, "apiVersion") == "v1" {
		var out []*object
		for i, x := range list(value, "items") {
			if d, ok := x.(dict); ok {
				o := newObject(d)
				o.root, o.elem, o.inside = root, elem, &where{up: &where{key: "items"}, index: i}
				out = append(out, o)
			}
		}
		return out
	}
	o := newObject(value)
	o.root, o.elem = root, elem
	return []*object{o}
}

func newObject(value dict) *object {
	meta := sub(value, "metadata")
	return &object{value: value, apiVersion: str(value, "apiVersion"), kind: str(value, "kind"), name: str(meta, "name"), namespace: str(meta, "namespace")}
}

// report makes errors of problems.
func report(c *schema.Call, arg string, problems []problem) error {
	var errs []error
	for _, p := range problems {
		e := c.ArgErrorf(arg, "%s", p.msg).WithHint(p.hint)
		o, steps := p.at.o, p.at.p
		e.Label = o.String()
		if s := steps.String(); s != "" {
			e.Label += ": " + s
		}
		e.Label = c.Session().Scope.Readable(e.Label)
		if o.source != nil {
			e.Place = o.source.place(steps, p.name)
		} else {
			e.Elem, e.Root, e.RootElem = o.elem+o.elemOf(steps), o.root, o.elemOf(steps)
		}
		errs = append(errs, e)
	}
	return errors.Join(errs...)
}

// takeExternal reads the argument external.
func (c *checker) takeExternal(call *schema.Call, list []starlark.Value) error {
	var errs []error
	for i, v := range list {
		if m := manifestsOf(v); m != nil {
			for _, o := range m.objects {
				noticed := *o
				noticed.noticed = true
				noticed.api = openapi.Lookup(o.apiVersion, o.kind)
				c.objects = append(c.objects, &noticed)
			}
			continue
		}
		arg := fmt.Sprintf("external[%d]", i)
		s, ok := starlark.AsString(v)
		if !ok {
			errs = append(errs, call.ArgErrorf(arg, "got %s, want a string or manifests", v.Type()))
			continue
		}
		parts := strings.Split(s, "/")
		if len(parts) < 2 || len(parts) > 3 || parts[0] == "" || parts[len(parts)-1] == "" {
			errs = append(errs, call.ArgErrorf(arg, "got %q, want KIND/NAME or KIND/NAMESPACE/NAME, as \"Secret/registry\"", clip(s)))
			continue
		}
		if kinds := c.kindNames(); len(openapi.Named(parts[0], 0)) == 0 {
			if meant := schema.Suggest(parts[0], kinds); meant != "" {
				errs = append(errs, call.ArgErrorf(arg, "there is no kind %q (did you mean %q?)", parts[0], meant))
				continue
			}
		}
		c.external = append(c.external, s)
	}
	return errors.Join(errs...)
}

// takeNodes reads the argument nodes.
func takeNodes(c *schema.Call, v starlark.Value) ([]node, error) {
	if v == nil || v == starlark.None {
		return nil, nil
	}
	x, err := c.Plain("nodes", "", v)
	if err != nil {
		return nil, err
	}
	d, ok := x.(dict)
	if !ok {
		return nil, c.ArgErrorf("nodes", "got %s, want a dict of dicts", schema.KindOf(x))
	}
	var out []node
	var errs []error
	for _, e := range d {
		n := node{name: e.Key, room: map[string]*amount{}}
		fields, ok := e.Value.(dict)
		if !ok {
			errs = append(errs, c.ArgErrorf(fmt.Sprintf("nodes[%q]", e.Key), "got %s, want a dict with cpu and memory", schema.KindOf(e.Value)))
			continue
		}
		for _, f := range fields {
			arg := fmt.Sprintf("nodes[%q][%q]", e.Key, f.Key)
			switch f.Key {
			case "cpu", "memory", "ephemeral-storage":
				q, err := quantity(f.Value)
				if err != nil {
					errs = append(errs, c.ArgErrorf(arg, "got %v, want a quantity such as \"4\" or \"8Gi\"", f.Value))
					continue
				}
				n.room[f.Key] = q
			case "labels":
				n.labels, _ = f.Value.(dict)
			default:
				errs = append(errs, c.ArgErrorf(arg, "a node has no %q%s", f.Key, didYouMean(f.Key, []string{"cpu", "memory", "ephemeral-storage", "labels"})))
			}
		}
		out = append(out, n)
	}
	return out, errors.Join(errs...)
}
