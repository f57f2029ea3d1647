package compose

import (
	"slices"
	"strings"

	"github.com/labstar/labstar/internal/pattern"
	"github.com/labstar/labstar/starlark/schema"
)

// address finds the host in a URL: after the scheme, and the user if there is one.
var address = pattern.New(`[a-z][a-z0-9+.-]*://(?:[^/@\s]*@)?([A-Za-z0-9_-]+)(?:[:/?\s]|$)`)

// addresses checks the names of services in the environments: one that leads nowhere
// is found when the program has been started, and it says only that the name is unknown.
func (k *checker) addresses() {
	services := names(k.a.Services)
	for _, s := range k.a.Services {
		d := s.Value.(schema.Dict[any])
		at := key("services", s.Key)
		for _, v := range values(d, at, "environment") {
			for _, m := range address().FindAllStringSubmatch(v.name, -1) {
				host := m[1]
				switch {
				case host == "localhost" || k.known(d, host):
				case slices.Contains(services, host):
					other, _ := k.a.Services.Get(host)
					if !k.together(d, other.(schema.Dict[any])) {
						k.fail(v.at, "put both on one network", "got the address of service %q, which is on no network with %q", host, s.Key)
					}
				default:
					if near := schema.Suggest(host, services); near != "" {
						k.fail(v.at, "", "got an address with the host %q, which is no service (did you mean %q?)", host, near)
					}
				}
			}
		}
	}
}

// values are the texts of an environment, which is a dict or a list of NAME=VALUE.
func values(d schema.Dict[any], at, name string) (found []place) {
	switch v, _ := d.Get(name); v := v.(type) {
	case schema.Dict[any]:
		for _, e := range v {
			found = append(found, place{asString(e.Value), key(key(at, name), e.Key)})
		}
	case []any:
		for i, e := range v {
			_, text, _ := strings.Cut(asString(e), "=")
			found = append(found, place{text, index(key(at, name), i)})
		}
	}
	return found
}

// known reports whether the service has the host by other means.
func (k *checker) known(d schema.Dict[any], host string) bool {
	for _, p := range append(listed(d, "", "extra_hosts"), listed(d, "", "external_links")...) {
		name, _, _ := strings.Cut(strings.Replace(p.name, "=", ":", 1), ":")
		if name == host || strings.HasSuffix(p.name, ":"+host) {
			return true
		}
	}
	return false
}

// together reports whether two services are on one network.
func (k *checker) together(a, b schema.Dict[any]) bool {
	on := func(d schema.Dict[any]) []string {
		if mode, _ := d.Get("network_mode"); mode != nil {
			return []string{"mode " + asString(mode)}
		}
		var list []string
		for _, p := range listed(d, "", "networks") {
			list = append(list, p.name)
		}
		if list == nil {
			return []string{"default"}
		}
		return list
	}
	mine := on(a)
	return slices.ContainsFunc(on(b), func(n string) bool { return slices.Contains(mine, n) })
}
