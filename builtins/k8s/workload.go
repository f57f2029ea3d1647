package k8s

import (
	"fmt"
	"regexp"
	"strings"

	"k8s.io/apimachinery/pkg/util/validation"

	"github.com/labstar/labstar/starlark/schema"
)

// kind checks the spec of the kinds that are known here.
func (v *validator) kind(at, kind string, spec schema.Dict[any]) {
	switch kind {
	case "Pod":
		v.pod(at, spec)
	case "Deployment", "StatefulSet", "DaemonSet", "ReplicaSet":
		labels := v.template(at, spec)
		v.selector(at, spec, labels)
	case "Job":
		v.template(at, spec)
	case "CronJob":
		if job, ok := v.dict(spec, at, "jobTemplate"); ok {
			at = key(at, "jobTemplate")
			if jobSpec, ok := v.dict(job, at, "spec"); ok {
				v.template(key(at, "spec"), jobSpec)
			}
		}
	case "Service":
		v.service(at, spec)
	}
}

// template checks the pods of a workload and returns their labels.
func (v *validator) template(at string, spec schema.Dict[any]) schema.Dict[any] {
	template, ok := v.dict(spec, at, "template")
	if !ok {
		v.fail(at, "", "template is missing")
		return nil
	}
	at = key(at, "template")
	var labels schema.Dict[any]
	if meta, ok := v.dict(template, at, "metadata"); ok {
		v.labels(meta, key(at, "metadata"), "labels", true)
		v.labels(meta, key(at, "metadata"), "annotations", false)
		if x, _ := meta.Get("labels"); x != nil {
			labels, _ = x.(schema.Dict[any])
		}
	}
	if pod, ok := v.dict(template, at, "spec"); ok {
		v.pod(key(at, "spec"), pod)
	} else {
		v.fail(at, "", "spec is missing")
	}
	return labels
}

// selector checks that a workload selects the pods that it makes.
func (v *validator) selector(at string, spec, labels schema.Dict[any]) {
	sel, ok := v.dict(spec, at, "selector")
	if !ok {
		v.fail(at, `give it "selector": {"matchLabels": …} with labels of template.metadata.labels`, "selector is missing")
		return
	}
	at = key(at, "selector")
	match, ok := v.dict(sel, at, "matchLabels")
	if !ok {
		return
	}
	for _, e := range match {
		if got, ok := labels.Get(e.Key); !ok || got != e.Value {
			v.fail(key(key(at, "matchLabels"), e.Key), "add it to template.metadata.labels",
				"selects pods with %s=%v, which the template does not give them", e.Key, e.Value)
		}
	}
}

func (v *validator) pod(at string, spec schema.Dict[any]) {
	names := map[string]bool{}
	containers := v.list(spec, at, "containers")
	if len(containers) == 0 {
		v.fail(at, "", "containers is missing or empty")
	}
	v.containers(key(at, "containers"), containers, names)
	v.containers(key(at, "initContainers"), v.list(spec, at, "initContainers"), names)
}

func (v *validator) containers(at string, list []any, names map[string]bool) {
	for i, x := range list {
		here := index(at, i)
		c, ok := x.(schema.Dict[any])
		if !ok {
			v.fail(here, "", "got %s, want a dict", kindOf(x))
			continue
		}
		if name, ok := v.str(c, here, "name", true); ok {
			v.name(key(here, "name"), name, "lower-case letters, digits and '-', at most 63", validation.IsDNS1123Label)
			if names[name] {
				v.fail(key(here, "name"), "", "got the container name %q twice", name)
			}
			names[name] = true
		}
		if image, ok := v.str(c, here, "image", true); ok {
			v.image(key(here, "image"), image)
		}
		v.containerPorts(here, c)
		v.environment(here, c)
	}
}

// The grammar of an image reference (distribution/reference), without digest.
var (
	component = `[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*`
	domain    = `(?:[a-zA-Z0-9]|[a-zA-Z0-9][a-zA-Z0-9-]*[a-zA-Z0-9])(?:\.(?:[a-zA-Z0-9]|[a-zA-Z0-9][a-zA-Z0-9-]*[a-zA-Z0-9]))*(?::[0-9]+)?`
	reference = regexp.MustCompile(`^(?:` + domain + `/)?` + component + `(?:/` + component + `)*(?::[\w][\w.-]{0,127})?$`)
	digest    = regexp.MustCompile(`^sha256:[0-9a-f]{64}$`)
)

// image checks a reference. Of one with a late digest the name is checked.
func (v *validator) image(at, s string) {
	name, sum, hasDigest := strings.Cut(s, "@")
	switch {
	case v.late(s):
		// A token starts with "@" itself, so NAME@TOKEN has two. Of anything else
		// too little is known.
		if !strings.HasPrefix(sum, "@") {
			return
		}
	case hasDigest && !digest.MatchString(sum):
		v.fail(at, "", "got the digest %q, want sha256: and 64 hexadecimal digits", clip(sum))
		return
	}
	if reference.MatchString(name) {
		return
	}
	if low := strings.ToLower(name); low != name && reference.MatchString(low) {
		v.fail(at, "", "got the image %q, want lower case (did you mean %q?)", clip(name), low)
		return
	}
	v.fail(at, "", "got the image %q, want [REGISTRY/]NAME[:TAG][@DIGEST]", clip(name))
}

func (v *validator) containerPorts(at string, c schema.Dict[any]) {
	at2 := key(at, "ports")
	seen := map[string]bool{}
	for i, x := range v.list(c, at, "ports") {
		p, ok := x.(schema.Dict[any])
		if !ok {
			v.fail(index(at2, i), "", "got %s, want a dict with containerPort", kindOf(x))
			continue
		}
		v.port(p, index(at2, i), "containerPort", true)
		if name, ok := v.str(p, index(at2, i), "name", false); ok {
			v.name(key(index(at2, i), "name"), name, "lower-case letters, digits and '-', with a letter, at most 15", validation.IsValidPortName)
			if seen[name] {
				v.fail(key(index(at2, i), "name"), "", "got the port name %q twice", name)
			}
			seen[name] = true
		}
	}
}

// port checks a port number.
func (v *validator) port(d schema.Dict[any], at, name string, must bool) {
	x, ok := d.Get(name)
	if !ok || x == nil {
		if must {
			v.fail(at, "", "%s is missing", name)
		}
		return
	}
	n, ok := x.(int64)
	switch {
	case !ok:
		v.fail(key(at, name), "", "got %s, want a number", kindOf(x))
	case n < 1 || n > 65535:
		v.fail(key(at, name), "", "got %d, want a port from 1 to 65535", n)
	}
}

// environment checks names and that values are strings, not numbers.
func (v *validator) environment(at string, c schema.Dict[any]) {
	list := v.list(c, at, "env")
	at = key(at, "env")
	for i, x := range list {
		e, ok := x.(schema.Dict[any])
		if !ok {
			v.fail(index(at, i), "", `got %s, want a dict as {"name": …, "value": …}`, kindOf(x))
			continue
		}
		if name, ok := v.str(e, index(at, i), "name", true); ok && len(validation.IsEnvVarName(name)) > 0 && !v.late(name) {
			v.fail(key(index(at, i), "name"), "", "got the variable name %q, want letters, digits, '_', '-' and '.', not starting with a digit", clip(name))
		}
		if value, ok := e.Get("value"); ok && value != nil {
			if _, isString := value.(string); !isString {
				v.fail(key(index(at, i), "value"), "", "got %s, want a string: write %q", kindOf(value), fmt.Sprint(value))
			}
		}
	}
}

func (v *validator) service(at string, spec schema.Dict[any]) {
	v.labels(spec, at, "selector", true)
	ports := v.list(spec, at, "ports")
	at = key(at, "ports")
	for i, x := range ports {
		here := index(at, i)
		p, ok := x.(schema.Dict[any])
		if !ok {
			v.fail(here, "", "got %s, want a dict with port", kindOf(x))
			continue
		}
		v.port(p, here, "port", true)
		if name, ok := v.str(p, here, "name", len(ports) > 1); ok {
			v.name(key(here, "name"), name, "lower-case letters, digits and '-', at most 63", validation.IsDNS1123Label)
		}
		switch t, _ := p.Get("targetPort"); t := t.(type) {
		case string:
			v.name(key(here, "targetPort"), t, "a number, or the name of a container's port", validation.IsValidPortName)
		case nil:
		default:
			v.port(p, here, "targetPort", false)
		}
		if n, _ := p.Get("nodePort"); n != nil {
			if n, ok := n.(int64); !ok || n < 30000 || n > 32767 {
				v.fail(key(here, "nodePort"), "", "got %v, want a port from 30000 to 32767", n)
			}
		}
	}
}
