package k8s

import (
	"fmt"
	"path"
	"slices"
	"strings"

	"github.com/labstar/labstar/internal/kube/openapi"
)

// This file, and those named across_*, check what is between objects: what an API
// server takes and what then never works.

// externals are objects that are in the cluster already: "Secret/db",
// "Secret/apps/db" with a namespace, with * for any text.
type externals []string

// has reports whether an object is one of them.
func (x externals) has(kind, namespace, name string) bool {
	for _, e := range x {
		parts := strings.Split(e, "/")
		if ok, _ := path.Match(parts[0], kind); !ok || len(parts) == 3 && !sameSpace(parts[1], namespace) {
			continue
		}
		want := parts[len(parts)-1]
		if ok, _ := path.Match(want, name); ok {
			return true
		}
		if ok, _ := path.Match(name, want); ok && strings.Contains(name, "*") {
			return true
		}
	}
	return false
}

// pods are the pods of a workload.
type pods struct {
	o        *object
	at       at // of the template
	template dict
	labels   dict
	spec     dict
	replicas int64
}

// gathered are what the checks across objects look at.
func (c *checker) allPods() []pods {
	var out []pods
	for _, o := range c.objects {
		a, t, ok := o.podTemplate(c)
		if !ok {
			continue
		}
		p := pods{o: o, at: a, template: t, labels: sub(t, "metadata", "labels"), spec: sub(t, "spec"), replicas: 1}
		if n, ok := number(sub(o.value, "spec"), "replicas"); ok && o.kind != "Pod" {
			p.replicas = n
		}
		if n, ok := number(sub(o.value, "spec"), "parallelism"); ok && o.kind == "Job" {
			p.replicas = n
		}
		out = append(out, p)
	}
	return out
}

// containers calls f for every container of the pods.
func (p pods) containers(f func(at, dict)) {
	for _, field := range []string{"initContainers", "containers"} {
		p.at.key("spec").each(p.spec, field, f)
	}
}

func (c *checker) across() {
	all := c.allPods()
	for _, o := range c.objects {
		if o.noticed || o.api == nil {
			continue
		}
		a := at{c, o, nil}
		a.namespace()
		switch o.kind {
		case "Service":
			a.selectsPods(all)
		case "Ingress":
			a.ingressBackends()
		case "PodDisruptionBudget", "NetworkPolicy":
			a.selectsSome(all)
		case "HorizontalPodAutoscaler":
			a.scales(all)
		case "RoleBinding", "ClusterRoleBinding":
			a.binds()
		case "ServiceAccount":
			a.accountSecrets()
		}
	}
	c.nodePorts()
	for _, p := range all {
		if p.o.noticed {
			continue
		}
		p.account()
		p.references()
	}
	c.storage(all)
	if len(c.nodes) > 0 {
		c.fits(all)
	}
}

// exists reports a reference to an object that is not there.
func (a at) exists(kind, name string) *object {
	return a.existsIn(kind, a.o.namespace, name)
}

func (a at) existsIn(kind, namespace, name string) *object {
	c := a.c
	if name == "" {
		return nil
	}
	if o := c.find(kind, namespace, name); o != nil {
		return o
	}
	if c.external.has(kind, namespace, name) {
		return nil
	}
	for _, o := range c.objects { // the same name, elsewhere
		if o.kind == kind && o.name == name {
			a.fail("an object refers only to those of its own namespace", "the %s %q is in the namespace %s, and this is in %s", kind, c.readable(name), space(o.namespace), space(namespace))
			return nil
		}
	}
	names := c.names(kind, namespace)
	hint := fmt.Sprintf("add it, or, if the cluster has it already, say external = [\"%s/%s\"]", kind, c.readable(name))
	a.fail(hint, "there is no %s %q%s", kind, c.readable(name), didYouMean(name, names))
	return nil
}

func space(ns string) string {
	if ns == "" {
		return "of the call"
	}
	return ns
}

// standing are the namespaces that every cluster has.
var standing = []string{"", "default", "kube-system", "kube-public", "kube-node-lease"}

func (a at) namespace() {
	if !slices.Contains(standing, a.o.namespace) && a.o.api.Namespaced {
		a.keys("metadata", "namespace").exists("Namespace", a.o.namespace)
	}
}

// matches reports whether a label selector selects the labels.
func matches(sel, labels dict) bool {
	for _, e := range sub(sel, "matchLabels") {
		if got, ok := labels.Get(e.Key); !ok || got != e.Value {
			return false
		}
	}
	for _, x := range list(sel, "matchExpressions") {
		d, ok := x.(dict)
		if !ok {
			return false
		}
		got, has := labels.Get(str(d, "key"))
		in := slices.Contains(list(d, "values"), got)
		switch str(d, "operator") {
		case "In":
			if !has || !in {
				return false
			}
		case "NotIn":
			if has && in {
				return false
			}
		case "Exists":
			if !has {
				return false
			}
		case "DoesNotExist":
			if has {
				return false
			}
		}
	}
	return true
}

// selected are the pods in the object's namespace whose labels are a superset.
func (a at) selected(all []pods, match dict) (out []pods) {
	for _, p := range all {
		if sameSpace(p.o.namespace, a.o.namespace) && matches(dict{{Key: "matchLabels", Value: match}}, p.labels) {
			out = append(out, p)
		}
	}
	return out
}

// words writes labels as people do: app=web,tier=front.
func (c *checker) words(labels dict) string {
	var out []string
	for _, e := range labels {
		out = append(out, e.Key+"="+c.readable(scalar(e.Value)))
	}
	return strings.Join(out, ",")
}

// nothingSelected says what there would be to select.
func (a at) nothingSelected(all []pods, match dict) string {
	best, most := "", 0
	for _, p := range all {
		if !sameSpace(p.o.namespace, a.o.namespace) {
			if a.c.words(p.labels) != "" && matches(dict{{Key: "matchLabels", Value: match}}, p.labels) {
				return fmt.Sprintf("%s has such pods, in the namespace %s", p.o, space(p.o.namespace))
			}
			continue
		}
		common := 0
		for _, e := range match {
			if got, ok := p.labels.Get(e.Key); ok {
				common++
				if got == e.Value {
					common++
				}
			}
		}
		if common > most || best == "" {
			best, most = fmt.Sprintf("the pods of %s have %s", p.o, a.c.words(p.labels)), common
		}
	}
	if best == "" {
		best = "there are no pods here"
	}
	return best + `; if the cluster has the pods already, say external = ["Pod/*"]`
}

func (a at) selectsPods(all []pods) {
	spec := sub(a.o.value, "spec")
	match := sub(spec, "selector")
	if len(match) == 0 || str(spec, "type") == "ExternalName" {
		return
	}
	a = a.key("spec")
	targets := a.selected(all, match)
	if len(targets) == 0 {
		if !a.c.external.has("Pod", a.o.namespace, "*") {
			a.key("selector").fail(a.nothingSelected(all, match), "selects nothing: no pods have %s", a.c.words(match))
		}
		return
	}
	a.each(spec, "ports", func(p at, d dict) {
		for _, t := range targets {
			p.targetPort(d, t)
		}
	})
}

// targetPort checks that the pods have the port.
func (a at) targetPort(d dict, t pods) {
	protocol := str(d, "protocol")
	if protocol == "" {
		protocol = "TCP"
	}
	var names []string
	var declared []string
	found := false
	n, isNumber := number(d, "targetPort")
	name := str(d, "targetPort")
	field := "targetPort"
	if !isNumber && name == "" {
		n, isNumber = number(d, "port")
		field = "port"
	}
	for _, x := range list(t.spec, "containers") {
		c, _ := x.(dict)
		for _, y := range list(c, "ports") {
			port, _ := y.(dict)
			own := str(port, "protocol")
			if own == "" {
				own = "TCP"
			}
			m, _ := number(port, "containerPort")
			if s := str(port, "name"); s != "" {
				names = append(names, s)
			}
			declared = append(declared, fmt.Sprint(m))
			if own == protocol && (isNumber && m == n || !isNumber && str(port, "name") == name) {
				found = true
			}
		}
	}
	switch {
	case found || a.c.late(name):
	case !isNumber:
		hint := "name a port of the container so, or write its number"
		if len(names) > 0 {
			hint = "its ports are " + strings.Join(names, ", ")
		}
		a.key(field).fail(hint, "no container of %s has a port named %q for %s%s", t.o, name, protocol, didYouMean(name, names))
	case len(declared) > 0:
		a.key(field).fail(fmt.Sprintf("write targetPort = %s, or declare the port in the container", declared[0]),
			"leads to port %d of %s, whose containers listen on %s", n, t.o, strings.Join(declared, ", "))
	}
}

// selectsSome is for policies and budgets, which without pods have no effect.
func (a at) selectsSome(all []pods) {
	field := "podSelector"
	if a.o.kind == "PodDisruptionBudget" {
		field = "selector"
	}
	sel := sub(a.o.value, "spec", field)
	if len(sel) == 0 || a.c.external.has("Pod", a.o.namespace, "*") {
		return
	}
	for _, p := range all {
		if sameSpace(p.o.namespace, a.o.namespace) && matches(sel, p.labels) {
			return
		}
	}
	match := sub(sel, "matchLabels")
	a.keys("spec", field).fail(a.nothingSelected(all, match), "selects nothing: no pods have %s", a.c.words(match))
}

func (a at) ingressBackends() {
	spec := sub(a.o.value, "spec")
	a = a.key("spec")
	a.key("defaultBackend").backendExists(sub(spec, "defaultBackend"))
	a.each(spec, "rules", func(r at, d dict) {
		r.key("http").each(sub(d, "http"), "paths", func(p at, d dict) { p.key("backend").backendExists(sub(d, "backend")) })
	})
	a.each(spec, "tls", func(t at, d dict) { t.key("secretName").exists("Secret", str(d, "secretName")) })
}

func (a at) backendExists(d dict) {
	s := sub(d, "service")
	a = a.key("service")
	o := a.key("name").exists("Service", str(s, "name"))
	if o == nil {
		return
	}
	var names, numbers []string
	for _, x := range list(sub(o.value, "spec"), "ports") {
		p, _ := x.(dict)
		if n := str(p, "name"); n != "" {
			names = append(names, n)
		}
		if n, ok := number(p, "port"); ok {
			numbers = append(numbers, fmt.Sprint(n))
		}
	}
	port := sub(s, "port")
	if name := str(port, "name"); name != "" && !slices.Contains(names, name) {
		a.keys("port", "name").fail("its ports are "+strings.Join(append(names, numbers...), ", "), "%s has no port named %q%s", o, name, didYouMean(name, names))
	}
	if n, ok := number(port, "number"); ok && !slices.Contains(numbers, fmt.Sprint(n)) {
		a.keys("port", "number").fail("its ports are "+strings.Join(numbers, ", "), "%s has no port %d", o, n)
	}
}

func (a at) scales(all []pods) {
	spec := sub(a.o.value, "spec")
	ref := sub(spec, "scaleTargetRef")
	kind, name := str(ref, "kind"), str(ref, "name")
	place := a.keys("spec", "scaleTargetRef", "name")
	if len(openapi.Named(kind, a.c.versions)) == 0 {
		return
	}
	o := place.exists(kind, name)
	if o == nil {
		return
	}
	for _, p := range all {
		if p.o != o {
			continue
		}
		a.key("spec").each(spec, "metrics", func(m at, d dict) {
			r := sub(d, "resource")
			res := str(r, "name")
			if str(sub(r, "target"), "type") != "Utilization" || res == "" {
				return
			}
			p.at.key("spec").each(p.spec, "containers", func(c at, d dict) {
				if !has(sub(d, "resources", "requests"), res) && !has(sub(d, "resources", "limits"), res) {
					m.keys("resource", "name").fail(fmt.Sprintf("give the container resources = {\"requests\": {%q: …}}", res),
						"scales by the share of requested %s, and container %s of %s requests none", res, str(d, "name"), o)
				}
			})
		})
	}
}

func (a at) binds() {
	ref := sub(a.o.value, "roleRef")
	kind, name := str(ref, "kind"), str(ref, "name")
	own := slices.Contains([]string{"cluster-admin", "admin", "edit", "view"}, name) || strings.HasPrefix(name, "system:")
	if kind != "" && !(kind == "ClusterRole" && own) {
		a.keys("roleRef", "name").exists(kind, name)
	}
	a.each(a.o.value, "subjects", func(s at, d dict) {
		if n := str(d, "name"); str(d, "kind") == "ServiceAccount" && n != "default" {
			if a.c.find("ServiceAccount", "", n) == nil { // which may be in any namespace
				s.key("name").existsIn("ServiceAccount", str(d, "namespace"), n)
			}
		}
	})
}

func (a at) accountSecrets() {
	for _, f := range []string{"secrets", "imagePullSecrets"} {
		a.each(a.o.value, f, func(s at, d dict) { s.key("name").exists("Secret", str(d, "name")) })
	}
}

// nodePorts are of the whole cluster: one twice is refused by the server.
func (c *checker) nodePorts() {
	seen := map[int64]*object{}
	for _, o := range c.objects {
		if o.kind != "Service" {
			continue
		}
		at{c, o, nil}.key("spec").each(sub(o.value, "spec"), "ports", func(p at, d dict) {
			n, ok := number(d, "nodePort")
			if !ok || n == 0 {
				return
			}
			if first := seen[n]; first != nil && first != o && !o.noticed {
				p.key("nodePort").fail("", "got the nodePort %d, which %s has already", n, first)
			}
			seen[n] = o
		})
	}
}
