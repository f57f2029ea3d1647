package compose

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/labstar/labstar/starlark/schema"
)

// scale reports what stands in the way of a service that is to run more than once.
func (k *checker) scale(at, name string, s schema.Dict[any]) {
	replicas := k.replicas(at, s)
	why := ""
	switch {
	case replicas > 1:
		why = fmt.Sprintf("the service has %d replicas", replicas)
	case slices.Contains(k.a.Scalable, name):
		why = "the service is to be scaled"
	default:
		return
	}
	if v, ok := s.Get("container_name"); ok {
		k.fail(key(at, "container_name"), "leave it out: the service's name is the host name, for all its containers",
			"got %q, but %s, and two containers can't have one name", v, why)
	}
	for _, p := range published(s, at) {
		if n := p.last - p.first + 1; n < max(replicas, 2) {
			k.fail(p.at, "publish a range, leave the port of the host to the engine, or put a proxy before it",
				"got port %s of the host, but %s, and two containers can't have one port", p, why)
		}
	}
}

func (k *checker) replicas(at string, s schema.Dict[any]) int64 {
	n, _ := s.Get("scale")
	if deploy := k.sub(s, at, "deploy"); n == nil {
		n, _ = deploy.Get("replicas")
	}
	count, _ := n.(int64)
	return count
}

// hostPort is what of the host a service takes: a range of ports, mostly of one.
type hostPort struct {
	ip          string
	first, last int64
	protocol    string
	at          string
}

func (p hostPort) String() string {
	if p.first != p.last {
		return fmt.Sprintf("%d-%d", p.first, p.last)
	}
	return strconv.FormatInt(p.first, 10)
}

// published reads the ports of a service in their short and long form. What is
// malformed is left to compose-go.
func published(s schema.Dict[any], at string) []hostPort {
	list, _ := s.Get("ports")
	ports, _ := list.([]any)
	var out []hostPort
	for i, e := range ports {
		p := hostPort{protocol: "tcp", at: index(key(at, "ports"), i)}
		text := ""
		switch e := e.(type) {
		case string:
			rest, protocol, ok := strings.Cut(e, "/")
			if ok {
				p.protocol = protocol
			}
			colon := strings.LastIndexByte(rest, ':')
			if colon < 0 {
				continue
			}
			text = rest[:colon]
			if colon = strings.LastIndexByte(text, ':'); colon >= 0 {
				p.ip, text = strings.Trim(text[:colon], "[]"), text[colon+1:]
			}
		case schema.Dict[any]:
			v, _ := e.Get("published")
			if v != nil {
				text = fmt.Sprint(v)
			}
			if proto, ok := e.Get("protocol"); ok {
				p.protocol = asString(proto)
			}
			ip, _ := e.Get("host_ip")
			p.ip = asString(ip)
		}
		first, last, isRange := strings.Cut(text, "-")
		if !isRange {
			last = first
		}
		var err1, err2 error
		p.first, err1 = strconv.ParseInt(first, 10, 32)
		p.last, err2 = strconv.ParseInt(last, 10, 32)
		if err1 == nil && err2 == nil && p.first > 0 && p.last >= p.first && p.last <= 65535 {
			out = append(out, p)
		}
	}
	return out
}

// hostPorts reports a port of the host that is taken already. A range is none: the
// engine takes a free one of it.
func (k *checker) hostPorts(at, name string, s schema.Dict[any]) {
	wild := func(ip string) bool { return ip == "" || ip == "0.0.0.0" || ip == "::" }
	for _, p := range published(s, at) {
		if p.first != p.last {
			continue
		}
		port := fmt.Sprintf("%s/%s", p, p.protocol)
		for taken, by := range k.host {
			ip, rest, _ := strings.Cut(taken, " ")
			if rest == port && (ip == p.ip || wild(ip) || wild(p.ip)) {
				k.fail(p.at, "", "got port %s of the host, which service %q has already", port, by)
			}
		}
		k.host[p.ip+" "+port] = name
	}
}
