package k8s

import (
	"fmt"
	"net/netip"
	"path"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/util/validation"
)

// This file checks pods as the API server does, in what schemas don't say
// (pkg/apis/core/validation of Kubernetes).

// pod checks a pod's spec. restart are the restart policies that its owner allows,
// nil for any.
func (a at) pod(spec dict, restart []string) {
	volumes := a.volumes(spec)
	names := map[string]bool{}
	if l := list(spec, "containers"); has(spec, "containers") && len(l) == 0 {
		a.key("containers").fail("", "got none, want at least one container")
	}
	for _, field := range []string{"initContainers", "containers"} {
		a.each(spec, field, func(c at, d dict) {
			if n := str(d, "name"); n != "" && field == "containers" && names[n] {
				c.key("name").fail("", "got the container name %q twice: an init container has it already", n)
			} else if n != "" {
				names[n] = field == "initContainers"
			}
			c.container(d, volumes, field == "initContainers")
			if truth(spec, "hostNetwork") {
				c.hostNetworkPorts(d)
			}
		})
	}
	a.restartPolicy(spec, restart)
	a.podFields(spec)
	if len(list(spec, "ephemeralContainers")) > 0 {
		a.key("ephemeralContainers").fail("leave it out: `kubectl debug` adds them", "got ephemeralContainers, which a pod can't be made with")
	}
	a.each(spec, "tolerations", at.toleration)
	a.labels(spec, "nodeSelector", true)
	a.podSecurity(spec)
	a.hostPorts(spec)
	a.sleeps(spec)
	a.placement(spec)
}

func truth(d dict, name string) bool { b, _ := get[bool](d, name); return b }

func (a at) restartPolicy(spec dict, allowed []string) {
	got := str(spec, "restartPolicy")
	if allowed == nil || slices.Contains(allowed, got) {
		return
	}
	if got != "" {
		a.key("restartPolicy").fail("", "got %q, want %s: a %s starts its pods itself", got, quotedOr(slices.DeleteFunc(slices.Clone(allowed), func(s string) bool { return s == "" })), a.o.kind)
	} else if !slices.Contains(allowed, "Always") {
		a.fail(fmt.Sprintf("give it restartPolicy = %q", allowed[0]), "restartPolicy is missing: the default is \"Always\", and a %s wants %s", a.o.kind, quotedOr(allowed))
	}
}

func quotedOr(list []string) string { return strings.ReplaceAll(quoted(list), ", ", " or ") }

func (a at) podFields(spec dict) {
	if n, ok := number(spec, "terminationGracePeriodSeconds"); ok && n < 0 {
		a.key("terminationGracePeriodSeconds").fail("", "got %d, want 0 or more", n)
	}
	if n, ok := number(spec, "activeDeadlineSeconds"); ok && n < 1 {
		a.key("activeDeadlineSeconds").fail("", "got %d, want 1 or more", n)
	}
	for _, f := range []string{"serviceAccountName", "serviceAccount", "priorityClassName", "runtimeClassName"} {
		a.key(f).name(str(spec, f), dnsSubdomain, validation.IsDNS1123Subdomain)
	}
	for _, f := range []string{"hostname", "subdomain"} {
		a.key(f).name(str(spec, f), dnsLabel, validation.IsDNS1123Label)
	}
	if str(spec, "dnsPolicy") == "None" && len(list(sub(spec, "dnsConfig"), "nameservers")) == 0 {
		a.key("dnsPolicy").fail("give it dnsConfig = {\"nameservers\": […]}", "got \"None\" without a name server in dnsConfig")
	}
	a.each(spec, "hostAliases", func(h at, d dict) {
		h.key("ip").ip(str(d, "ip"))
	})
	a.each(spec, "topologySpreadConstraints", func(t at, d dict) {
		if n, ok := number(d, "maxSkew"); ok && n < 1 {
			t.key("maxSkew").fail("", "got %d, want 1 or more", n)
		}
	})
}

func (a at) ip(s string) {
	if s == "" || a.c.late(s) {
		return
	}
	if _, err := netip.ParseAddr(s); err != nil {
		a.fail("", "got %q, want an IP address", clip(s))
	}
}

func (a at) toleration(d dict) {
	key, op, value := str(d, "key"), str(d, "operator"), str(d, "value")
	switch {
	case key == "" && op != "Exists":
		a.fail("give it a key, or operator \"Exists\" to tolerate everything", "got a toleration without key")
	case op == "Exists" && value != "":
		a.key("value").fail("leave it out, or use operator \"Equal\"", "got a value with operator \"Exists\"")
	}
	if has(d, "tolerationSeconds") && str(d, "effect") != "NoExecute" {
		a.key("tolerationSeconds").fail("", "got tolerationSeconds with effect %q, want \"NoExecute\"", str(d, "effect"))
	}
}

func (a at) podSecurity(spec dict) {
	ctx := sub(spec, "securityContext")
	for _, f := range []string{"runAsUser", "runAsGroup", "fsGroup"} {
		a.keys("securityContext", f).id(ctx, f)
	}
	a.key("securityContext").seccomp(ctx)
	a.each(spec, "containers", func(c at, d dict) {
		own := sub(d, "securityContext")
		c.key("securityContext").seccomp(own)
		c.capabilities(own)
		for _, f := range []string{"runAsUser", "runAsGroup"} {
			c.keys("securityContext", f).id(own, f)
		}
		if truth(own, "privileged") {
			if b, ok := get[bool](own, "allowPrivilegeEscalation"); ok && !b {
				c.keys("securityContext", "allowPrivilegeEscalation").fail("leave one of them out", "got False with privileged = True")
			}
		}
		nonRoot, said := get[bool](own, "runAsNonRoot")
		if !said {
			nonRoot = truth(ctx, "runAsNonRoot")
		}
		place, from := c.keys("securityContext", "runAsUser"), own
		if !has(own, "runAsUser") {
			place, from = a.keys("securityContext", "runAsUser"), ctx
		}
		if uid, ok := number(from, "runAsUser"); ok && uid == 0 && nonRoot {
			place.fail("give it another user, or leave runAsNonRoot out", "got user 0 with runAsNonRoot = True: the container would never start")
		}
	})
}

// capabilities reports names with the kernel's prefix: a server takes them, and runtimes
// know no CAP_CAP_….
func (a at) capabilities(ctx dict) {
	for _, f := range []string{"add", "drop"} {
		a.keys("securityContext", "capabilities").strings(sub(ctx, "capabilities"), f, func(e at, s string) {
			if short, ok := strings.CutPrefix(s, "CAP_"); ok {
				e.fail(fmt.Sprintf("write %q", short), "got %q, want the name without CAP_", clip(s))
			}
		})
	}
}

// seccomp checks a profile: the name of a file goes with type Localhost, and only with it.
func (a at) seccomp(ctx dict) {
	d := sub(ctx, "seccompProfile")
	a = a.key("seccompProfile")
	switch typ := str(d, "type"); {
	case typ == "Localhost" && str(d, "localhostProfile") == "":
		a.fail("", "localhostProfile is missing: type \"Localhost\" needs it")
	case typ != "" && typ != "Localhost" && has(d, "localhostProfile"):
		a.key("localhostProfile").fail("leave it out, or make the type \"Localhost\"", "got localhostProfile with type %q", typ)
	}
}

func (a at) id(d dict, f string) {
	if n, ok := number(d, f); ok && (n < 0 || n > 1<<31-1) {
		a.fail("", "got %d, want 0 to %d", n, 1<<31-1)
	}
}

func (a at) container(d dict, volumes map[string]bool, init bool) {
	a.key("name").name(str(d, "name"), dnsLabel, validation.IsDNS1123Label)
	if image, ok := get[string](d, "image"); ok {
		a.key("image").image(image)
	} else if !has(d, "image") {
		a.fail("give it image = IMAGE.ref", "image is missing")
	}
	a.containerPorts(d)
	a.environment(d)
	a.mounts(d, volumes)
	a.key("resources").resources(sub(d, "resources"))
	always := str(d, "restartPolicy") == "Always"
	for _, f := range []string{"livenessProbe", "readinessProbe", "startupProbe", "lifecycle"} {
		if has(d, f) && init && !always {
			a.key(f).fail("leave it out, or give the container restartPolicy = \"Always\", which makes it a sidecar", "got %s in an init container, which ends before the pod runs", f)
		}
	}
	for _, f := range []string{"livenessProbe", "readinessProbe", "startupProbe"} {
		if has(d, f) {
			a.key(f).probe(sub(d, f), d, f)
		}
	}
	for _, f := range []string{"postStart", "preStop"} {
		if h := sub(d, "lifecycle", f); has(sub(d, "lifecycle"), f) {
			a.keys("lifecycle", f).handler(h, d, []string{"exec", "httpGet", "tcpSocket", "sleep"})
		}
	}
}

func (a at) hostNetworkPorts(d dict) {
	a.each(d, "ports", func(p at, port dict) {
		h, ok := number(port, "hostPort")
		if c, _ := number(port, "containerPort"); ok && h != c {
			p.key("hostPort").fail(fmt.Sprintf("write %d, or leave it out", c), "got %d, want the containerPort: the pod is in the host's network", h)
		}
	})
}

// probe checks a probe: one handler, and numbers in their range.
func (a at) probe(d, container dict, kind string) {
	a.handler(d, container, []string{"exec", "httpGet", "tcpSocket", "grpc"})
	for _, f := range []string{"initialDelaySeconds", "timeoutSeconds", "periodSeconds", "successThreshold", "failureThreshold"} {
		if n, ok := number(d, f); ok && n < 0 {
			a.key(f).fail("", "got %d, want 1 or more", n)
		}
	}
	if n, ok := number(d, "successThreshold"); ok && n > 1 && kind != "readinessProbe" {
		a.key("successThreshold").fail("leave it out", "got %d, want 1: only a readinessProbe may want more", n)
	}
	if n, ok := number(d, "terminationGracePeriodSeconds"); ok {
		if kind == "readinessProbe" {
			a.key("terminationGracePeriodSeconds").fail("leave it out", "got it in a readinessProbe, which ends no container")
		} else if n < 1 {
			a.key("terminationGracePeriodSeconds").fail("", "got %d, want 1 or more", n)
		}
	}
}

// handler checks what a probe or a hook does: one thing.
func (a at) handler(d, container dict, kinds []string) {
	var given []string
	for _, k := range kinds {
		if has(d, k) {
			given = append(given, k)
		}
	}
	switch len(given) {
	case 1:
	case 0:
		a.fail("", "got none of %s, want one", strings.Join(kinds, ", "))
		return
	default:
		a.key(given[1]).fail("leave all but one out", "got %s, want one of them", strings.Join(given, " and "))
		return
	}
	h := sub(d, given[0])
	at := a.key(given[0])
	switch given[0] {
	case "exec":
		if len(list(h, "command")) == 0 {
			at.fail("", "command is missing or empty")
		}
	case "httpGet":
		at.handlerPort(h, container)
	case "tcpSocket", "grpc":
		at.handlerPort(h, container)
	}
}

func (a at) handlerPort(h, container dict) {
	name, ok := get[string](h, "port")
	if !ok {
		a.port(h, "port")
		return
	}
	var names []string
	for _, p := range list(container, "ports") {
		if p, ok := p.(dict); ok {
			names = append(names, str(p, "name"))
		}
	}
	if !slices.Contains(names, name) && !a.c.late(name) {
		hint := "give a port of the container that name"
		if name != "" && strings.Trim(name, "0123456789") == "" {
			hint = "write " + name + " without quotes: a string is a port's name"
		}
		a.key("port").fail(hint, "no port of the container is named %q%s", clip(name), didYouMean(name, names))
	}
}

// port checks a port number.
func (a at) port(d dict, name string) {
	if n, ok := number(d, name); ok && (n < 1 || n > 65535) {
		a.key(name).fail("", "got %d, want a port from 1 to 65535", n)
	}
}

func (a at) containerPorts(c dict) {
	seen := map[string]bool{}
	a.each(c, "ports", func(p at, d dict) {
		p.port(d, "containerPort")
		p.port(d, "hostPort")
		name := str(d, "name")
		if name == "" {
			return
		}
		p.key("name").name(name, "lower-case letters, digits and '-', with a letter, at most 15", validation.IsValidPortName)
		if seen[name] {
			p.key("name").fail("", "got the port name %q twice", name)
		}
		seen[name] = true
	})
}

var envSources = []string{"fieldRef", "resourceFieldRef", "configMapKeyRef", "secretKeyRef", "fileKeyRef"}

// environment checks names, and that each variable has one source.
func (a at) environment(c dict) {
	a.each(c, "env", func(e at, d dict) {
		name := str(d, "name")
		if has(d, "name") && (name == "" || strings.Contains(name, "=") || strings.ContainsFunc(name, func(r rune) bool { return r < ' ' || r > '~' })) && !a.c.late(name) {
			e.key("name").fail("", "got the variable name %q, want printable characters and no '='", clip(name))
		}
		if !has(d, "valueFrom") {
			return
		}
		from := sub(d, "valueFrom")
		if s, ok := get[string](d, "value"); ok && s != "" {
			e.key("value").fail("leave one of them out", "got value and valueFrom, want one of them")
		}
		e.key("valueFrom").one(from, envSources)
		e.key("valueFrom").podField(from)
		for _, f := range []string{"configMapKeyRef", "secretKeyRef"} {
			if has(from, f) && str(sub(from, f), "name") == "" {
				e.keys("valueFrom", f).fail("", "name is missing")
			}
		}
	})
	a.each(c, "envFrom", func(e at, d dict) { e.one(d, []string{"configMapRef", "secretRef"}) })
}

// one reports if not exactly one of the fields is given.
func (a at) one(d dict, fields []string) {
	var given []string
	for _, f := range fields {
		if has(d, f) {
			given = append(given, f)
		}
	}
	switch len(given) {
	case 0:
		a.fail("", "got none of %s, want one", strings.Join(fields, ", "))
	case 1:
	default:
		a.key(given[1]).fail("leave all but one out", "got %s, want one of them", strings.Join(given, " and "))
	}
}

// windowsPath is where containers of Windows have their volumes. A path without "/" at
// its beginning is one below "/" to the kubelet, of a mount as of a probe.
func windowsPath(p string) bool {
	return len(p) > 1 && p[1] == ':' && (p[0]|' ' >= 'a' && p[0]|' ' <= 'z') && !strings.Contains(p[2:], ":")
}

func (a at) mounts(c dict, volumes map[string]bool) {
	var names []string
	for n := range volumes {
		names = append(names, n)
	}
	slices.Sort(names)
	for _, field := range []string{"volumeMounts", "volumeDevices"} {
		a.each(c, field, func(m at, d dict) {
			if n := str(d, "name"); n != "" && !volumes[n] && !a.c.late(n) {
				hint := "the pod has no volumes: give it one of that name"
				if len(names) > 0 {
					hint = "the pod's volumes are " + strings.Join(names, ", ")
				}
				m.key("name").fail(hint, "no volume of the pod is named %q%s", clip(n), didYouMean(n, names))
			}
			if p, ok := get[string](d, "mountPath"); ok {
				switch {
				case p == "":
					m.key("mountPath").fail("", "got an empty string, want a path")
				case strings.Contains(p, ":") && !windowsPath(p) && !a.c.late(p):
					m.key("mountPath").fail("", "got %q, want a path without ':'", clip(p))
				}
			}
			if p := str(d, "subPath"); path.IsAbs(p) || slices.Contains(strings.Split(p, "/"), "..") {
				m.key("subPath").fail("", "got %q, want a path inside the volume", clip(p))
			}
			if has(d, "subPath") && has(d, "subPathExpr") {
				m.key("subPathExpr").fail("leave one of them out", "got subPath and subPathExpr, want one of them")
			}
		})
	}
}
