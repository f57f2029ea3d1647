package compose

import (
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"github.com/labstar/labstar/starlark/schema"
)

// This file checks what the specification's schema takes and an engine refuses when
// the services are started, or what one of the library's readers can't read.

// starting checks the values of a service that are words to the schema.
func (k *checker) starting(at string, s schema.Dict[any]) {
	if image, ok := s.Get("image"); ok {
		k.image(key(at, "image"), asString(image))
	}
	if v, ok := s.Get("restart"); ok {
		k.restart(key(at, "restart"), asString(v))
	}
	if v, ok := s.Get("environment"); ok {
		list, _ := v.([]any)
		for i, e := range list {
			if e, ok := e.(string); ok && (e == "" || strings.HasPrefix(e, "=")) {
				k.fail(index(key(at, "environment"), i), "", "got %q, want NAME=VALUE", e)
			}
		}
	}
	k.ports(at, s)
	k.targets(at, s)
	k.fixedAddresses(at, s)
}

// image checks the name of an image from elsewhere.
func (k *checker) image(at, image string) {
	if image == "" || k.late(image) {
		return
	}
	if strings.ContainsAny(image, "${} ") {
		k.fail(at, "nothing is filled in when the services are started: write the name, or put it together in the script", "got the image %q, want [REGISTRY/]NAME[:TAG][@DIGEST]", image)
		return
	}
	first, rest, found := strings.Cut(image, "/")
	if !found || !strings.ContainsAny(first, ".:") && first != "localhost" {
		first, rest = "", image
	} else {
		first += "/"
	}
	repository, _, _ := strings.Cut(rest, "@")
	if i := strings.LastIndexByte(repository, ':'); i > strings.LastIndexByte(repository, '/') {
		repository = repository[:i]
	}
	if low := strings.ToLower(repository); low != repository {
		k.fail(at, "", "got the image %q, want lower case (did you mean %q?)", image, first+low+rest[len(repository):])
	}
}

// ports checks the short forms: of one that the library can't read, it says of all that
// they are none.
func (k *checker) ports(at string, s schema.Dict[any]) {
	v, _ := s.Get("ports")
	list, _ := v.([]any)
	for i, e := range list {
		switch e := e.(type) {
		case string:
			if !k.late(e) && !isPort(e) {
				k.fail(index(key(at, "ports"), i), "", "got the port %q, want [[IP:]HOST:]CONTAINER[/udp] with numbers from 1 to 65535", e)
			}
		case int64:
			if e < 1 || e > 65535 {
				k.fail(index(key(at, "ports"), i), "", "got the port %d, want a number from 1 to 65535", e)
			}
		}
	}
}

func isPort(s string) bool {
	s, protocol, ok := strings.Cut(s, "/")
	if ok && !slices.Contains([]string{"tcp", "udp", "sctp"}, strings.ToLower(protocol)) {
		return false
	}
	host, container := "", s
	if i := strings.LastIndexByte(s, ':'); i >= 0 {
		host, container = s[:i], s[i+1:]
		if i = strings.LastIndexByte(host, ':'); i >= 0 { // after an address
			host = host[i+1:]
		}
	}
	return isRange(container, 1) && (host == "" || isRange(host, 0))
}

func isRange(s string, least uint64) bool {
	first, last, ok := strings.Cut(s, "-")
	if !ok {
		last = first
	}
	from, err1 := strconv.ParseUint(first, 10, 16)
	to, err2 := strconv.ParseUint(last, 10, 16)
	return err1 == nil && err2 == nil && from >= least && from <= to
}

var restarts = []string{"no", "always", "unless-stopped", "on-failure"}

func (k *checker) restart(at, policy string) {
	name, times, counted := strings.Cut(policy, ":")
	_, err := strconv.ParseUint(times, 10, 31)
	if policy == "" || slices.Contains(restarts, name) && (!counted || name == "on-failure" && err == nil) {
		return
	}
	hint := "it is one of no, always, unless-stopped, on-failure and on-failure:TIMES"
	if near := schema.Suggest(policy, restarts); near != "" {
		hint = "did you mean \"" + near + "\"?"
	}
	k.fail(at, hint, "got the restart policy %q, which no engine has", policy)
}

// targets checks where volumes are mounted: at absolute paths, each once, since of two
// the library drops one without a word.
func (k *checker) targets(at string, s schema.Dict[any]) {
	v, _ := s.Get("volumes")
	list, _ := v.([]any)
	seen := map[string]bool{}
	for i, e := range list {
		here, target := index(key(at, "volumes"), i), ""
		switch e := e.(type) {
		case string:
			target = mountTarget(e)
		case schema.Dict[any]:
			t, _ := e.Get("target")
			here, target = key(here, "target"), asString(t)
		}
		if target == "" || k.late(target) {
			continue
		}
		if !strings.HasPrefix(target, "/") && !drive(target) {
			k.fail(here, "write \"/"+target+"\"", "got the target %q, want an absolute path", target)
		}
		if clean := strings.TrimRight(target, "/"); seen[clean] {
			k.fail(here, "", "got two volumes at %q, of which docker compose would mount the last only", target)
		} else {
			seen[clean] = true
		}
	}
}

// mountTarget is the path in the container of a volume's short form, "" if that is not
// plain: the library reads the drives of Windows.
func mountTarget(volume string) string {
	parts := strings.Split(volume, ":")
	if len(parts) > 3 || slices.ContainsFunc(parts, func(p string) bool { return len(p) < 2 || strings.Contains(p, `\`) }) {
		return ""
	}
	if len(parts) == 1 {
		return parts[0]
	}
	return parts[1]
}

func drive(p string) bool { return len(p) > 1 && p[1] == ':' }

// fixedAddresses checks addresses of services against the subnets of their networks.
func (k *checker) fixedAddresses(at string, s schema.Dict[any]) {
	v, _ := s.Get("networks")
	networks, _ := v.(schema.Dict[any])
	for _, e := range networks {
		n, _ := e.Value.(schema.Dict[any])
		declared, _ := k.a.Networks.Get(e.Key)
		net, _ := declared.(schema.Dict[any])
		if ext, _ := net.Get("external"); ext == true {
			continue
		}
		subnets := subnetsOf(net)
		for _, f := range []string{"ipv4_address", "ipv6_address"} {
			text, ok := n.Get(f)
			ip, err := netip.ParseAddr(asString(text))
			if !ok || err != nil || slices.ContainsFunc(subnets, func(p netip.Prefix) bool { return p.Contains(ip) }) {
				continue
			}
			place := key(key(key(at, "networks"), e.Key), f)
			if len(subnets) == 0 {
				k.fail(place, "give it one: networks = {\""+e.Key+"\": {\"ipam\": {\"config\": [{\"subnet\": …}]}}}", "got the address %s on network %q, which has no subnet of its own", ip, e.Key)
			} else {
				k.fail(place, "", "got the address %s, which is not in the subnet %s of network %q", ip, subnets[0], e.Key)
			}
		}
	}
}

func subnetsOf(net schema.Dict[any]) (out []netip.Prefix) {
	v, _ := net.Get("ipam")
	ipam, _ := v.(schema.Dict[any])
	v, _ = ipam.Get("config")
	list, _ := v.([]any)
	for _, e := range list {
		c, _ := e.(schema.Dict[any])
		text, _ := c.Get("subnet")
		if p, err := netip.ParsePrefix(asString(text)); err == nil {
			out = append(out, p)
		}
	}
	return out
}
