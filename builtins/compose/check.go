package compose

import (
	"reflect"
	"slices"
	"strings"
	"sync"

	"github.com/compose-spec/compose-go/v2/types"
	"go.starlark.net/starlark"

	"github.com/labstar/labstar/action"
	"github.com/labstar/labstar/internal/pattern"
	"github.com/labstar/labstar/starlark/schema"
)

// Patterns are compiled when the first call needs them, not when the program starts.
var (
	label       = pattern.New(`^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$`)
	projectName = pattern.New(`^[a-z0-9][a-z0-9_-]*$`)
)

// serviceKeys are the keys of a service, from the library's own type.
var serviceKeys = sync.OnceValue(func() []string {
	var keys []string
	t := reflect.TypeFor[types.ServiceConfig]()
	for i := range t.NumField() {
		if name, _, _ := strings.Cut(t.Field(i).Tag.Get("yaml"), ","); name != "" && name != "-" {
			keys = append(keys, name)
		}
	}
	return keys
})

func (k *checker) project() {
	if !projectName().MatchString(k.a.Name) {
		k.fail("name", "", "got %q, want lower-case letters, digits, '-' and '_'", k.a.Name)
	}
	if len(k.a.Services) == 0 {
		k.fail("services", "", "got none, want at least one service")
	}
	if v, _ := k.a.Services.Get("services"); v != nil {
		if d, ok := v.(schema.Dict[any]); ok && !slices.Contains(names(d), "image") {
			k.fail(key("services", "services"), "give compose the services themselves, and networks, volumes, secrets and configs as arguments", "got a whole compose file, want its services")
			return
		}
	}
	k.host = map[string]string{}
	for _, s := range k.a.Services {
		k.service(key("services", s.Key), s.Key, s.Value)
	}
	for i, n := range k.a.Scalable {
		k.undeclared(index("scalable", i), "service", n, "services", names(k.a.Services))
	}
	k.external("networks", k.a.Networks)
	k.external("volumes", k.a.Volumes)
	for _, c := range k.a.Configs {
		k.config(key("configs", c.Key), c.Value)
	}
	if len(k.problems) == 0 {
		k.addresses()
	}
}

func (k *checker) service(at, name string, v any) {
	s, ok := v.(schema.Dict[any])
	if !ok {
		k.fail(at, "", "got %s, want a dict", schema.KindOf(v))
		return
	}
	if !label().MatchString(name) {
		hint := ""
		if low := strings.Trim(strings.ReplaceAll(strings.ToLower(name), "_", "-"), "-"); label().MatchString(low) {
			hint = "did you mean \"" + low + "\"?"
		}
		k.fail(at, hint, "got the service name %q, want lower-case letters, digits and '-', at most 63: it is the host name for the others", name)
	}
	for _, e := range s {
		if !slices.Contains(serviceKeys(), e.Key) && !strings.HasPrefix(e.Key, "x-") {
			hint := ""
			if near := schema.Suggest(e.Key, serviceKeys()); near != "" {
				hint = "did you mean \"" + near + "\"?"
			}
			k.fail(key(at, e.Key), hint, "a service has no %q", e.Key)
		}
	}
	if _, ok := s.Get("build"); ok {
		k.fail(key(at, "build"), "make the image with oci_image and give its ref as image", "nothing is built on the way to a container: the same file would start another image tomorrow")
	} else if image, _ := s.Get("image"); image == nil || image == "" {
		k.fail(at, "", "service %q has no image", name)
	}
	k.references(at, name, s)
	k.scale(at, name, s)
	k.hostPorts(at, name, s)
	k.starting(at, s)
	k.strings(at, s)
}

// references checks what a service names of the rest.
func (k *checker) references(at, name string, s schema.Dict[any]) {
	services := names(k.a.Services)
	for _, p := range listed(s, at, "depends_on") {
		if p.name == name {
			k.fail(p.at, "", "service %q depends on itself", name)
			continue
		}
		k.undeclared(p.at, "service", p.name, "services", services)
	}
	networks := names(k.a.Networks)
	for _, p := range listed(s, at, "networks") {
		if p.name != "default" {
			k.undeclared(p.at, "network", p.name, "networks", networks)
		}
	}
	for _, p := range listed(s, at, "volumes") {
		source, _, mapped := strings.Cut(p.name, ":")
		if strings.HasSuffix(p.at, `["source"]`) {
			mapped = true
		}
		if mapped && source != "" && !isPath(source) && !k.late(source) {
			k.undeclared(p.at, "volume", source, "volumes", names(k.a.Volumes))
		}
	}
	for _, p := range listed(s, at, "secrets") {
		k.undeclared(p.at, "secret", p.name, "secrets", names(k.a.Secrets))
	}
	for _, p := range listed(s, at, "configs") {
		k.undeclared(p.at, "config", p.name, "configs", names(k.a.Configs))
	}
	if mode, _ := s.Get("network_mode"); mode != nil {
		text, _ := mode.(string)
		if other, ok := strings.CutPrefix(text, "service:"); ok {
			k.undeclared(key(at, "network_mode"), "service", other, "services", services)
		}
	}
	for _, alias := range []string{"container_name", "hostname"} {
		if v, _ := s.Get(alias); v != nil && v != name && slices.Contains(services, asString(v)) {
			k.fail(key(at, alias), "", "got %q, which is the name of another service: the others would reach either", v)
		}
	}
}

func asString(v any) string {
	s, _ := v.(string)
	return s
}

// external reports what says at once that somebody else made it, and how to make it.
func (k *checker) external(arg string, all schema.Dict[any]) {
	for _, e := range all {
		d, ok := e.Value.(schema.Dict[any])
		if !ok {
			if e.Value != nil {
				k.fail(key(arg, e.Key), "", "got %s, want a dict, {} for the defaults", schema.KindOf(e.Value))
			}
			continue
		}
		if ext, _ := d.Get("external"); ext != true {
			continue
		}
		for _, f := range d {
			if f.Key != "external" && f.Key != "name" {
				k.fail(key(key(arg, e.Key), f.Key), "leave one of them out",
					"got external and %s: what is external exists already, and docker compose only looks it up", f.Key)
			}
		}
	}
}

// config checks that a config is a text or a file.
func (k *checker) config(at string, v starlark.Value) {
	switch v := v.(type) {
	case starlark.String:
		k.secretIn(at, string(v))
		refs, _ := k.scope.Refs(string(v)) // a damaged one is reported with the action
		for _, r := range refs {
			if r.Kind == action.Path {
				k.fail(at, "", "an artifact has no path here: the text holds that of %s", r.Artifact.Describe())
			}
		}
	case *schema.Artifact:
		if v.Kind() != action.File {
			k.fail(at, "", "got a %s, want a file or a string", v.Type())
		}
	default:
		k.fail(at, "", "got %s, want a file or a string", v.Type())
	}
}

// strings looks through all values of a service for what has no place in a file.
func (k *checker) strings(at string, v any) {
	switch v := v.(type) {
	case string:
		k.secretIn(at, v)
	case []any:
		for i, e := range v {
			k.strings(index(at, i), e)
		}
	case schema.Dict[any]:
		for _, e := range v {
			k.strings(key(at, e.Key), e.Value)
		}
	}
}

func (k *checker) secretIn(at, text string) {
	for _, n := range action.SecretTokens(text) {
		k.fail(at, "declare it in secrets, and let the program read /run/secrets/NAME",
			"got secret %q, which would be in the compose file for all to read", n)
	}
}
