package immutable

// none is the address of a Service that has none, and leads to its pods by name.
const none = "None"

// chosen stands for the address that a cluster chose.
const chosen = "an address of the cluster's choice"

// service compares two versions of a Service. Of its addresses the first can't be changed;
// one that is said no more is kept, also None, which nobody else tells.
func service(old, now map[string]any) []Change {
	var c comparison
	kind := func(o map[string]any) string {
		s, _ := filled(follow(o, []string{"spec", "type"}), "ClusterIP").(string)
		return s
	}
	if kind(old) == "ExternalName" || kind(now) == "ExternalName" {
		return nil // it has no address, or has none any more
	}
	was, _ := address(old)
	is, at := address(now)
	switch {
	case is == nil && was == none:
		c.add(at, was, nil)
		c.found[0].Kept = kind(now) == "ClusterIP" // the other types can't have None
	case is == none && was == nil:
		c.add(at, nil, is)
		c.found[0].Old = chosen
	case was != nil && is != nil && was != is:
		c.add(at, was, is)
	}
	if was != none && is != none {
		c.entry(old, now, "ipFamilies", 0)
	}
	c.entry(old, now, "clusterIPs", 1)
	if kind(old) == "LoadBalancer" && kind(now) == "LoadBalancer" {
		c.apply(rule{field: "spec.loadBalancerClass", whole: true}, old, now)
		if local(old) && local(now) {
			c.apply(rule{field: "spec.healthCheckNodePort", moves: true}, old, now)
		}
	}
	return c.found
}

// address is the first address that a Service says, and where.
func address(o map[string]any) (any, place) {
	spec := place{}.in("spec")
	if ip := follow(o, []string{"spec", "clusterIP"}); ip != nil && ip != "" {
		return ip, spec.in("clusterIP")
	}
	if list, _ := follow(o, []string{"spec", "clusterIPs"}).([]any); len(list) > 0 {
		return list[0], spec.in("clusterIPs").at(0)
	}
	return nil, spec.in("clusterIP")
}

// entry compares one entry of lists which both have it.
func (c *comparison) entry(old, now map[string]any, field string, i int) {
	was, _ := follow(old, []string{"spec", field}).([]any)
	is, _ := follow(now, []string{"spec", field}).([]any)
	if i < len(was) && i < len(is) && was[i] != is[i] {
		c.add(place{}.in("spec", field).at(i), was[i], is[i])
	}
}

// local reports whether a Service leads to the pods of the node that it is asked at.
func local(o map[string]any) bool {
	return follow(o, []string{"spec", "externalTrafficPolicy"}) == "Local"
}

// add notes a change.
func (c *comparison) add(p place, old, now any) {
	c.found = append(c.found, Change{Path: p.path, Field: p.text, Old: c.show(old), New: c.show(now)})
}
