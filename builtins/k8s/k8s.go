// Package k8s writes Kubernetes manifests: the builtin `k8s_manifest`.
//
// Objects are plain dicts of the script. What an API server would refuse, and
// some of what it would take and should not, is an error at the call, before
// anything is built. Strings that are known only after a build, above all the
// reference of an image, are filled in when the manifest is written.
package k8s

import (
	"context"
	"errors"
	"fmt"

	"go.starlark.net/starlark"

	"github.com/labstar/labstar/action"
	"github.com/labstar/labstar/starlark/schema"
)

// Builtins returns the builtins of this group.
func Builtins() []*schema.Builtin { return []*schema.Builtin{Manifest} }

type manifestArgs struct {
	Objects schema.Any `star:"objects" doc:"a Kubernetes object as a dict, or a list of them; strings in it may be image.ref and the like"`
	Name    string     `star:"name,keyword" default:"\"manifest\"" doc:"what messages call it"`
}

// Manifest is the builtin `k8s_manifest`.
var Manifest = schema.New("k8s_manifest", `k8s_manifest writes Kubernetes objects as YAML, a file.

Each object needs apiVersion, kind and metadata.name. Names, labels, ports,
containers, environments and image references are checked here, at the line of
the script. Image references belong into it as image.ref, which is NAME@sha256:…:
a tag can stand for another image tomorrow.

	load("@stdlib//k8s.star", "deployment", "service")

	manifests = k8s_manifest([
	    deployment("web", image = image.ref, port = 8080),
	    service("web", port = 80, target_port = 8080),
	])`, callManifest, schema.Returns("manifests, a file"))

func callManifest(c *schema.Call, a *manifestArgs) (starlark.Value, error) {
	var list []any
	single := false
	switch o := a.Objects.(type) {
	case []any:
		list = o
	case schema.Dict[any]:
		list, single = []any{o}, true
	default:
		return nil, c.ArgErrorf("objects", "got %s, want a dict or a list of dicts", kindOf(a.Objects))
	}
	v := validator{scope: c.Session().Scope}
	for i, o := range list {
		at := fmt.Sprintf("[%d]", i)
		if single {
			at = ""
		}
		v.object(at, o)
	}
	if len(list) == 0 {
		return nil, c.ArgErrorf("objects", "got none, want at least one object")
	}
	if len(v.problems) > 0 {
		var errs []error
		for _, p := range v.problems {
			errs = append(errs, c.ArgErrorf("objects"+p.at, "%s", p.msg).WithHint(p.hint))
		}
		return nil, errors.Join(errs...)
	}
	act, err := c.Action(action.Spec{
		Op: manifestOp, Title: a.Name,
		Params:  manifestParams{Objects: list},
		Outputs: []action.Output{{Name: "manifest", Kind: action.File}},
	})
	if err != nil {
		return nil, err
	}
	return schema.NewArtifact(act.Output("manifest"), "manifests", nil), nil
}

func kindOf(v any) string {
	switch v.(type) {
	case nil:
		return "None"
	case bool:
		return "bool"
	case int64:
		return "int"
	case float64:
		return "float"
	case string:
		return "string"
	case []any:
		return "list"
	}
	return "dict"
}

type manifestParams struct {
	Objects []any `json:"objects"`
}

// manifestOp writes the objects as YAML documents.
var manifestOp = &action.Op{Name: "k8s/manifest", Version: 1, Check: true, Run: runManifest}

func runManifest(_ context.Context, env action.Env) error {
	var p struct {
		Objects []schema.Dict[any] `json:"objects"`
	}
	if err := env.Params(&p); err != nil {
		return err
	}
	b, err := writeYAML(p.Objects)
	if err != nil {
		return err
	}
	return env.WriteFile("manifest", b)
}
