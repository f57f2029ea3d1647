// Package compose has the builtin compose: a compose file that `docker compose`
// starts.
//
//	file = compose({
//	    "web": {"image": web.ref, "ports": ["80:8080"], "depends_on": ["db"]},
//	    "db":  {"image": db.ref, "volumes": ["data:/var/lib/db"], "secrets": ["password"]},
//	}, volumes = {"data": {}}, secrets = {"password": secret("db")})
//
// A service is a plain dict with the keys of the compose specification. What two parts
// of the file contradict each other in is an error at the call: references that lead
// nowhere, what keeps a service from being scaled, two services on one port of the
// host. The rest is compose-go's, the library of docker compose itself, in the op that
// writes the file: its schema, its consistency checks, its canonical form.
package compose

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"go.starlark.net/starlark"

	"github.com/labstar/labstar/action"
	"github.com/labstar/labstar/internal/programs"
	"github.com/labstar/labstar/starlark/schema"
)

// Builtins returns the builtins of this group.
func Builtins() []*schema.Builtin { return []*schema.Builtin{Compose} }

type composeArgs struct {
	Services schema.Dict[any]            `star:"services" doc:"dict of names to services, each a dict with the keys of the compose specification; the image is image.ref, of one from elsewhere a reference"`
	Name     string                      `star:"name,keyword" default:"\"lab\"" doc:"of the project: the prefix of containers, networks and volumes"`
	Networks schema.Dict[any]            `star:"networks,keyword,optional" doc:"dict of names to dicts, as in the specification; without one, all services share the network default"`
	Volumes  schema.Dict[any]            `star:"volumes,keyword,optional" doc:"dict of names to dicts, as in the specification; {} is a volume of the engine's own"`
	Secrets  schema.Dict[*schema.Secret] `star:"secrets,keyword,optional" doc:"dict of names to secrets: docker compose takes the value from the environment, LABSTAR_SECRET_NAME as labstar does, and shows it as /run/secrets/NAME"`
	Configs  schema.Dict[starlark.Value] `star:"configs,keyword,optional" doc:"dict of names to texts or files, which become part of the compose file"`
	Scalable []string                    `star:"scalable,keyword,optional" doc:"services that will be started with --scale: nothing in them may stand in its way"`
	Images   string                      `star:"images,keyword" default:"\"load\"" enum:"load,pull" doc:"how the engine gets the images that the script makes: from docker load (or labstar load), or pulled from the registry in their names"`
}

// Compose is the builtin `compose`.
var Compose = schema.New("compose", `compose writes a compose file, which docker compose starts.

It is checked as docker compose would check it, and for what docker compose only
finds when it is too late: a service that is to be scaled (scalable, or more than one
replica) with a container_name or a fixed port of the host, a depends_on, network,
volume, secret or config that is not declared, two services on one port of the host, a
network that is external and has a driver, an address in an environment that names a
service which is not on the same network; and, of images that the script makes, a
command or a health check whose program is not in the image.

Images are named by their content. An engine that was given an image by docker load
does not know its digest, so with images = "load" the file has NAME:sha-DIGITS, the
name under which image.archive is loaded besides its own; with "pull" it has
NAME@sha256:…. What has a "$" stands as it is: nothing is filled in later.

	file = compose({
	    "web": {"image": web.ref, "ports": ["80:8080"], "depends_on": ["db"]},
	    "db":  {"image": db.ref, "volumes": ["data:/var/lib/db"], "secrets": ["password"]},
	}, name = "shop", volumes = {"data": {}}, secrets = {"password": secret("db")}, scalable = ["web"])`,
	callCompose, schema.Returns("a compose file"))

func callCompose(c *schema.Call, a *composeArgs) (starlark.Value, error) {
	k := &checker{scope: c.Session().Scope, a: a}
	k.project()
	if len(k.problems) > 0 {
		var errs []error
		for _, p := range k.problems {
			errs = append(errs, c.ArgErrorf(p.at, "%s", p.msg).WithHint(p.hint))
		}
		return nil, errors.Join(errs...)
	}
	p := composeParams{Name: a.Name, Services: a.Services, Networks: a.Networks, Volumes: a.Volumes, Load: a.Images == "load"}
	spec := action.Spec{Op: composeOp, Title: "compose file of " + a.Name, Outputs: []action.Output{{Name: "compose.yaml", Kind: action.File}}}
	for _, f := range a.Configs {
		if art, ok := f.Value.(*schema.Artifact); ok {
			spec.Inputs = append(spec.Inputs, action.Input{Name: f.Key, Artifact: art.Artifact})
			continue
		}
		p.Configs = append(p.Configs, schema.Entry[action.Late]{Key: f.Key, Value: action.Late(f.Value.(starlark.String))})
	}
	for _, s := range a.Secrets {
		p.Secrets = append(p.Secrets, schema.Entry[string]{Key: s.Key, Value: s.Value.Name})
	}
	for _, s := range a.Services {
		if image, _ := s.Value.(schema.Dict[any]).Get("image"); k.late(fmt.Sprint(image)) {
			p.Own = append(p.Own, s.Key)
		}
	}
	started, err := programs.Check(c, "programs of "+spec.Title, k.starts(c))
	if err != nil {
		return nil, err
	}
	if started != nil {
		spec.Inputs = append(spec.Inputs, action.Input{Name: startsInput, Artifact: started})
	}
	spec.Params = p
	act, err := c.Action(spec)
	if err != nil {
		return nil, err
	}
	noteParts(c, act, a.Services)
	return schema.NewArtifact(act.Output("compose.yaml"), "compose", nil), nil
}

// startsInput names the check of what services run; a config can't have the name.
const startsInput = "programs of services"

// problem is one thing wrong, at an element of an argument: `services["web"]["ports"]`.
type problem struct{ at, msg, hint string }

// checker gathers what is wrong with the arguments of one call.
type checker struct {
	scope    *action.Scope
	a        *composeArgs
	problems []problem
	host     map[string]string // what of the host is taken: "0.0.0.0:80/tcp", by which service
}

func (k *checker) fail(at, hint, format string, args ...any) {
	k.problems = append(k.problems, problem{at, fmt.Sprintf(format, args...), hint})
}

// late reports whether s is known only after the build.
func (k *checker) late(s string) bool {
	if !action.MayHoldToken(s) {
		return false
	}
	refs, err := k.scope.Refs(s)
	return err != nil || len(refs) > 0
}

func key(at, name string) string    { return fmt.Sprintf("%s[%q]", at, name) }
func index(at string, i int) string { return fmt.Sprintf("%s[%d]", at, i) }

// undeclared reports a name that is not among those declared as an argument.
func (k *checker) undeclared(at, what, name, arg string, declared []string) {
	if slices.Contains(declared, name) {
		return
	}
	hint := fmt.Sprintf("declare it: %s = {%q: …}", arg, name)
	if s := schema.Suggest(name, declared); s != "" {
		k.fail(at, "", "got the %s %q, which is not declared (did you mean %q?)", what, name, s)
		return
	}
	k.fail(at, hint, "got the %s %q, which is not declared", what, name)
}

func names[V any](d schema.Dict[V]) []string {
	out := make([]string, len(d))
	for i, e := range d {
		out[i] = e.Key
	}
	return out
}

// sub returns the dict at name, which may be missing.
func (k *checker) sub(d schema.Dict[any], at, name string) schema.Dict[any] {
	switch v, _ := d.Get(name); v := v.(type) {
	case schema.Dict[any]:
		return v
	case nil:
	default:
		k.fail(key(at, name), "", "got %s, want a dict", schema.KindOf(v))
	}
	return nil
}

// listed returns what is at name as a list of names with the places where they stand:
// of a list its strings or the sources of its dicts, of a dict its keys.
func listed(d schema.Dict[any], at, name string) (found []place) {
	switch v, _ := d.Get(name); v := v.(type) {
	case []any:
		for i, e := range v {
			switch e := e.(type) {
			case string:
				found = append(found, place{e, index(key(at, name), i)})
			case schema.Dict[any]:
				if s, ok := e.Get("source"); ok {
					source, _ := s.(string)
					found = append(found, place{source, key(index(key(at, name), i), "source")})
				}
			}
		}
	case schema.Dict[any]:
		for _, e := range v {
			found = append(found, place{e.Key, key(key(at, name), e.Key)})
		}
	}
	return found
}

type place struct{ name, at string }

// isPath reports whether the source of a mount is a folder of the host.
func isPath(s string) bool {
	return strings.HasPrefix(s, "/") || strings.HasPrefix(s, ".") || strings.HasPrefix(s, "~")
}
