package k8s

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/util/validation"
)

// This file checks Services, Ingresses and network policies: what their schemas don't say.

func checkService(a at, d dict) {
	spec := sub(d, "spec")
	a = a.key("spec")
	typ := str(spec, "type")
	if typ == "" {
		typ = "ClusterIP"
	}
	a.labels(spec, "selector", true)
	headless := str(spec, "clusterIP") == "None"
	ports := list(spec, "ports")
	if len(ports) == 0 && !headless && typ != "ExternalName" {
		a.fail(`give it ports = [{"port": 80}], say`, "ports is missing or empty")
	}
	if ip := str(spec, "clusterIP"); ip != "" && !headless {
		a.key("clusterIP").ip(ip)
	}
	switch {
	case headless && (typ == "NodePort" || typ == "LoadBalancer"):
		a.key("clusterIP").fail("leave it out", "got \"None\" with type %q, which needs an address", typ)
	case typ == "ExternalName" && str(spec, "externalName") == "":
		a.fail("give it externalName, a DNS name", "externalName is missing")
	case typ == "ExternalName":
		a.key("externalName").name(strings.TrimSuffix(str(spec, "externalName"), "."), "a DNS name", validation.IsDNS1123Subdomain)
	}
	if has(spec, "externalTrafficPolicy") && typ != "NodePort" && typ != "LoadBalancer" && len(list(spec, "externalIPs")) == 0 {
		a.key("externalTrafficPolicy").fail("leave it out, or make the type \"NodePort\" or \"LoadBalancer\"", "got externalTrafficPolicy with type %q", typ)
	}
	a.serviceAddresses(spec)
	a.servicePorts(spec, typ)
}

func (a at) serviceAddresses(spec dict) {
	if n, ok := number(sub(spec, "sessionAffinityConfig", "clientIP"), "timeoutSeconds"); ok && (n < 1 || n > 86400) {
		a.keys("sessionAffinityConfig", "clientIP", "timeoutSeconds").fail("", "got %d, want 1 to 86400", n)
	}
	a.strings(spec, "loadBalancerSourceRanges", func(e at, s string) {
		s = strings.TrimSpace(s)
		e.network(s)
		if _, err := netip.ParsePrefix(s); err != nil && !a.c.late(s) {
			hint := ""
			if ip, err := netip.ParseAddr(s); err == nil {
				hint = fmt.Sprintf("write \"%s/%d\"", s, ip.BitLen())
			}
			e.fail(hint, "got %q, want a network such as \"10.0.0.0/8\"", clip(s))
		}
	})
	a.strings(spec, "externalIPs", func(e at, s string) {
		ip, err := netip.ParseAddr(s)
		switch {
		case err != nil:
			e.ip(s)
		case ip.IsLoopback() || ip.IsUnspecified() || ip.IsLinkLocalUnicast() || ip.IsLinkLocalMulticast():
			e.fail("", "got %q, want an address that other machines reach", s)
		}
	})
}

func (a at) servicePorts(spec dict, typ string) {
	names, nodePorts := map[string]bool{}, map[string]bool{} // a nodePort may be given once for each protocol
	many := len(list(spec, "ports")) > 1
	a.each(spec, "ports", func(p at, d dict) {
		p.port(d, "port")
		name := str(d, "name")
		switch {
		case name != "":
			p.key("name").name(name, dnsLabel, validation.IsDNS1123Label)
			if names[name] {
				p.key("name").fail("", "got the port name %q twice", name)
			}
			names[name] = true
		case many:
			p.fail("give each a name", "name is missing: a Service of several ports needs their names")
		}
		if t, ok := get[string](d, "targetPort"); ok {
			if t != "" && strings.Trim(t, "0123456789") == "" {
				p.key("targetPort").fail("write "+t+" without quotes", "got the string %q, which is the name of a port", t)
			} else {
				p.key("targetPort").name(t, "a number, or the name of a container's port", validation.IsValidPortName)
			}
		} else {
			p.port(d, "targetPort")
		}
		n, ok := number(d, "nodePort")
		if !ok || n == 0 {
			return
		}
		id := fmt.Sprint(n, " ", str(d, "protocol"))
		if str(d, "protocol") == "" {
			id += "TCP"
		}
		switch {
		case typ != "NodePort" && typ != "LoadBalancer":
			p.key("nodePort").fail("make the type \"NodePort\", or leave it out", "got a nodePort with type %q", typ)
		case n < 30000 || n > 32767:
			p.key("nodePort").fail("", "got %d, want a port from 30000 to 32767", n)
		case nodePorts[id]:
			p.key("nodePort").fail("", "got the nodePort %d twice", n)
		}
		nodePorts[id] = true
	})
}

func checkIngress(a at, d dict) {
	spec := sub(d, "spec")
	a = a.key("spec")
	if len(list(spec, "rules")) == 0 && !has(spec, "defaultBackend") {
		a.fail("give it rules, or a defaultBackend", "the ingress leads nowhere")
	}
	if has(spec, "defaultBackend") {
		a.key("defaultBackend").backend(sub(spec, "defaultBackend"))
	}
	a.each(spec, "rules", func(r at, d dict) {
		if host := str(d, "host"); host != "" && !a.c.late(host) {
			r.key("host").host(host)
		}
		r.key("http").each(sub(d, "http"), "paths", at.ingressPath)
	})
	a.each(spec, "tls", func(t at, d dict) {
		t.strings(d, "hosts", at.host)
	})
	a.key("ingressClassName").name(str(spec, "ingressClassName"), dnsSubdomain, validation.IsDNS1123Subdomain)
}

func (a at) host(host string) {
	if _, err := netip.ParseAddr(host); err == nil {
		a.fail("leave it out, and the rule is for all hosts", "got the address %q, want a DNS name", host)
		return
	}
	if strings.Contains(host, "*") {
		if len(validation.IsWildcardDNS1123Subdomain(host)) > 0 {
			a.fail("", "got the host %q, want a DNS name, or one that starts with \"*.\"", clip(host))
		}
		return
	}
	a.name(host, "a DNS name in small letters", validation.IsDNS1123Subdomain)
}

func (a at) ingressPath(d dict) {
	p, typ := str(d, "path"), str(d, "pathType")
	if (typ == "Exact" || typ == "Prefix") && !a.c.late(p) {
		switch {
		case !strings.HasPrefix(p, "/"):
			a.key("path").fail(fmt.Sprintf("write %q", "/"+p), "got the path %q, want one that starts with \"/\"", clip(p))
		case strings.Contains(p, "//") || slices.ContainsFunc(strings.Split(p, "/"), func(s string) bool { return s == "." || s == ".." }):
			a.key("path").fail("", "got the path %q, want one without \"//\", \".\" and \"..\"", clip(p))
		}
	}
	if b, ok := get[dict](d, "backend"); ok {
		a.key("backend").backend(b)
	}
}

func (a at) backend(d dict) {
	a.one(d, []string{"service", "resource"})
	s, ok := get[dict](d, "service")
	if !ok {
		return
	}
	port := sub(s, "port")
	if has(port, "name") == has(port, "number") {
		a.key("service").fail(`give it port = {"number": 80}, say`, "got %s, want a port with a number or a name", portWords(port))
	}
	a.keys("service", "port").port(port, "number")
}

func portWords(port dict) string {
	if has(port, "name") {
		return "a port with both"
	}
	return "no port"
}

func checkNetworkPolicy(a at, d dict) {
	spec := sub(d, "spec")
	a = a.key("spec")
	a.key("podSelector").labelSelector(sub(spec, "podSelector"))
	for field, peers := range map[string]string{"ingress": "from", "egress": "to"} {
		a.each(spec, field, func(r at, d dict) {
			r.each(d, peers, at.peer)
			r.each(d, "ports", func(p at, d dict) {
				p.port(d, "port")
				if s, ok := get[string](d, "port"); ok && s != "" && strings.Trim(s, "0123456789") == "" {
					p.key("port").fail("write "+s+" without quotes", "got the string %q, which is the name of a port", s)
				}
				low, ok := number(d, "port")
				if end, given := number(d, "endPort"); given && (!ok || end < low) {
					p.key("endPort").fail("", "got %d, want a port not below port, %d", end, low)
				}
			})
		})
	}
	types := list(spec, "policyTypes")
	for _, t := range []string{"Ingress", "Egress"} {
		if f := strings.ToLower(t); has(spec, f) && len(types) > 0 && !slices.Contains(types, any(t)) {
			a.key(f).fail(fmt.Sprintf("add %q to policyTypes", t), "got %s rules, and policyTypes does not have %q: they would have no effect", f, t)
		}
	}
}

// network reports a network that is written with the address of a machine in it, which
// servers refuse since 1.36.
func (a at) network(s string) {
	if p, err := netip.ParsePrefix(s); err == nil && p.Masked() != p && a.c.versions.Last() >= "1.36" {
		a.fail(fmt.Sprintf("write %q", p.Masked()), "got %q, which is the address of a machine in the network %s", clip(s), p.Masked())
	}
}

func (a at) peer(d dict) {
	if !has(d, "ipBlock") {
		if !has(d, "podSelector") && !has(d, "namespaceSelector") {
			a.fail("give it podSelector, namespaceSelector or ipBlock", "the peer is empty")
		}
		a.key("podSelector").labelSelector(sub(d, "podSelector"))
		a.key("namespaceSelector").labelSelector(sub(d, "namespaceSelector"))
		return
	}
	if has(d, "podSelector") || has(d, "namespaceSelector") {
		a.key("ipBlock").fail("make two peers of it", "got ipBlock and a selector in one peer, want one of them")
	}
	block := sub(d, "ipBlock")
	a = a.key("ipBlock")
	net, err := netip.ParsePrefix(str(block, "cidr"))
	if err != nil {
		a.key("cidr").fail("", "got %q, want a network such as \"10.0.0.0/8\"", clip(str(block, "cidr")))
		return
	}
	a.key("cidr").network(str(block, "cidr"))
	a.strings(block, "except", func(e at, s string) {
		e.network(s)
		if out, err := netip.ParsePrefix(s); err != nil || !net.Contains(out.Addr()) || out.Bits() <= net.Bits() {
			e.fail("", "got %q, want a network inside %s", clip(s), net)
		}
	})
}
