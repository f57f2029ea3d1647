package k8s

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// This file checks values in pods that are words to the schema and have a meaning to
// the server: paths of fields, weights, ports of the host.

var (
	podFieldPaths = []string{"metadata.name", "metadata.namespace", "metadata.uid", "spec.nodeName", "spec.serviceAccountName",
		"status.hostIP", "status.hostIPs", "status.podIP", "status.podIPs"}
	containerResources = []string{"limits.cpu", "limits.ephemeral-storage", "limits.memory",
		"requests.cpu", "requests.ephemeral-storage", "requests.memory"}
)

// podField checks what a variable has of the pod: a field, or a resource of a container.
func (a at) podField(from dict) {
	if p := str(sub(from, "fieldRef"), "fieldPath"); p != "" && !a.c.late(p) && !slices.Contains(podFieldPaths, p) {
		field, index, ok := strings.Cut(p, "[")
		whole := field == "metadata.labels" || field == "metadata.annotations"
		if !ok || !whole || len(index) < 4 || !strings.HasSuffix(index, "']") || index[0] != '\'' {
			hint := "it is one of " + strings.Join(podFieldPaths, ", ") + ", metadata.labels['NAME'], metadata.annotations['NAME']"
			if whole && !ok {
				hint = fmt.Sprintf("name one: %s['NAME']; all of them are in a file of a downwardAPI volume only", p)
			}
			a.keys("fieldRef", "fieldPath").fail(hint, "a variable can't have the pod's %q%s", clip(p), didYouMean(p, podFieldPaths))
		}
	}
	r := str(sub(from, "resourceFieldRef"), "resource")
	_, name, _ := strings.Cut(r, ".")
	if r != "" && !strings.HasPrefix(name, "hugepages-") && !slices.Contains(containerResources, r) && !a.c.late(r) {
		a.keys("resourceFieldRef", "resource").fail("", "got %q, want one of %s%s", clip(r), quoted(containerResources), didYouMean(r, containerResources))
	}
}

// hostPorts reports two containers of a pod on one port of the host.
func (a at) hostPorts(spec dict) {
	seen := map[string]string{}
	a.each(spec, "containers", func(c at, d dict) {
		c.each(d, "ports", func(p at, port dict) {
			n, ok := number(port, "hostPort")
			if !ok || n == 0 {
				return
			}
			protocol := str(port, "protocol")
			if protocol == "" {
				protocol = "TCP"
			}
			id := fmt.Sprintf("%s %s %d", protocol, str(port, "hostIP"), n)
			if first := seen[id]; first != "" {
				p.key("hostPort").fail("", "got port %d of the host, which container %q of the pod has already", n, first)
			}
			seen[id] = str(d, "name")
		})
	})
}

// placement checks the rules by which a pod finds its node.
func (a at) placement(spec dict) {
	const required, preferred = "requiredDuringSchedulingIgnoredDuringExecution", "preferredDuringSchedulingIgnoredDuringExecution"
	affinity := sub(spec, "affinity")
	for _, kind := range []string{"nodeAffinity", "podAffinity", "podAntiAffinity"} {
		here := a.keys("affinity", kind)
		here.each(sub(affinity, kind), preferred, func(t at, d dict) {
			if n, ok := number(d, "weight"); ok && (n < 1 || n > 100) {
				t.key("weight").fail("", "got %d, want 1 to 100", n)
			}
		})
	}
	node := sub(affinity, "nodeAffinity")
	here := a.keys("affinity", "nodeAffinity")
	here.key(required).each(sub(node, required), "nodeSelectorTerms", at.nodeTerm)
	here.each(node, preferred, func(t at, d dict) { t.key("preference").nodeTerm(sub(d, "preference")) })
	a.each(spec, "topologySpreadConstraints", func(t at, d dict) {
		if w := str(d, "whenUnsatisfiable"); has(d, "minDomains") && w == "ScheduleAnyway" {
			t.key("minDomains").fail("leave it out, or make whenUnsatisfiable \"DoNotSchedule\"", "got minDomains with whenUnsatisfiable %q, which it does nothing for", w)
		}
	})
}

func (a at) nodeTerm(d dict) {
	a.each(d, "matchExpressions", func(e at, d dict) {
		op, values := str(d, "operator"), list(d, "values")
		if e.among(op, values) || op != "Gt" && op != "Lt" {
			return
		}
		if len(values) != 1 {
			e.fail("", "got %d values with operator %q, want one", len(values), op)
		} else if s, ok := values[0].(string); ok && !a.c.late(s) {
			if _, err := strconv.ParseInt(s, 10, 64); err != nil {
				e.key("values").index(0).fail("", "got %q with operator %q, want a whole number in quotes", clip(s), op)
			}
		}
	})
}

// sleeps reports hooks that sleep longer than a pod has to end.
func (a at) sleeps(spec dict) {
	grace, ok := number(spec, "terminationGracePeriodSeconds")
	if !ok {
		grace = 30
	}
	a.each(spec, "containers", func(c at, d dict) {
		for _, f := range []string{"postStart", "preStop"} {
			if n, ok := number(sub(d, "lifecycle", f, "sleep"), "seconds"); ok && (n < 0 || n > grace) {
				c.keys("lifecycle", f, "sleep", "seconds").fail("", "got %d, want 0 to terminationGracePeriodSeconds, %d", n, grace)
			}
		}
	})
}
