// Package immutable knows which fields of Kubernetes' objects can't be changed once the
// object is there, and tells which of them two versions of an object differ in.
//
//	for _, c := range immutable.Changes(was, is) {
//		fmt.Println(c.Field, c.Old, c.New) // spec.selector.matchLabels.app web shop
//	}
//
// The API server has no list of them: each kind's validation says it in its own way. So
// the list here explains and warns; whether a change is refused is the server's word.
// The new version is what a script says, in which a field that is not said is left as
// it is, or as the server fills it in.
package immutable

import (
	"encoding/json"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/api/resource"
)

// Change is a field that can't be changed, and differs.
type Change struct {
	Path     []any  // keys and indexes in the new version, as far as it has them
	Field    string // the whole path, as people write it
	Old, New string // what was and what is, "" for nothing
}

func (c Change) String() string {
	switch {
	case c.Old == "":
		return c.Field + ": " + c.New + " (new)"
	case c.New == "":
		return c.Field + ": " + c.Old + " (removed)"
	}
	return c.Field + ": " + c.Old + " → " + c.New
}

// rule is about one field of a kind.
type rule struct {
	field string // dotted
	// whole is set where what is not said is gone, and not filled in by the server.
	whole bool
	// goes is set where the field itself is gone if it is not said.
	goes bool
	// but are the fields below it that may change.
	but []string
	// fills is what the server fills in where nothing is said.
	fills string
	// moves is set where a field that was not there may be added, or one may be left out.
	moves bool
	// when decides by the old object whether the rule holds.
	when func(old map[string]any) bool
}

// kinds are the rules, by "group/Kind".
var kinds = map[string][]rule{
	"apps/Deployment":  {{field: "spec.selector", whole: true}},
	"apps/DaemonSet":   {{field: "spec.selector", whole: true}},
	"apps/ReplicaSet":  {{field: "spec.selector", whole: true}},
	"apps/StatefulSet": {{field: "spec.selector", whole: true}, {field: "spec.serviceName", whole: true}, {field: "spec.podManagementPolicy", fills: "OrderedReady"}, {field: "spec.volumeClaimTemplates", goes: true}},
	"batch/Job": {{field: "spec.selector"}, {field: "spec.template"}, {field: "spec.completionMode", fills: "NonIndexed"},
		{field: "spec.completions", fills: "1", when: counted}, {field: "spec.podFailurePolicy", whole: true}, {field: "spec.backoffLimitPerIndex", whole: true}, {field: "spec.successPolicy", whole: true}},
	"/Pod":                                  {{field: "spec", but: []string{"containers[].image", "initContainers[].image", "tolerations", "activeDeadlineSeconds"}}},
	"/PersistentVolumeClaim":                {{field: "spec", but: []string{"resources", "volumeAttributesClassName", "volumeName"}}, {field: "spec.volumeName", moves: true}},
	"/PersistentVolume":                     {{field: "spec", but: []string{"capacity", "accessModes", "claimRef", "persistentVolumeReclaimPolicy", "storageClassName", "mountOptions", "volumeAttributesClassName", "nodeAffinity"}}},
	"/Service":                              {{field: "spec.clusterIP", moves: true, when: inside}},
	"/ConfigMap":                            {{field: "data", whole: true, when: marked}, {field: "binaryData", whole: true, when: marked}, {field: "immutable", when: marked, fills: "false"}},
	"/Secret":                               {{field: "type", fills: "Opaque"}, {field: "data", whole: true, when: marked}, {field: "stringData", whole: true, when: marked}, {field: "immutable", when: marked, fills: "false"}},
	"storage.k8s.io/StorageClass":           {{field: "provisioner"}, {field: "parameters", whole: true}, {field: "reclaimPolicy", fills: "Delete"}, {field: "volumeBindingMode", fills: "Immediate"}},
	"storage.k8s.io/VolumeAttributesClass":  {{field: "driverName"}, {field: "parameters", whole: true}},
	"rbac.authorization.k8s.io/RoleBinding": {{field: "roleRef"}},
	"rbac.authorization.k8s.io/ClusterRoleBinding":  {{field: "roleRef"}},
	"scheduling.k8s.io/PriorityClass":               {{field: "value", fills: "0"}, {field: "preemptionPolicy", fills: "PreemptLowerPriority"}},
	"node.k8s.io/RuntimeClass":                      {{field: "handler"}},
	"networking.k8s.io/IngressClass":                {{field: "spec.controller"}},
	"discovery.k8s.io/EndpointSlice":                {{field: "addressType"}},
	"apiextensions.k8s.io/CustomResourceDefinition": {{field: "spec.scope"}, {field: "spec.names.kind"}},
}

// marked reports whether a ConfigMap or Secret says of itself that it does not change.
func marked(old map[string]any) bool { on, _ := old["immutable"].(bool); return on }

// counted reports whether a Job's pods have no indexes: the number of those may change.
func counted(old map[string]any) bool {
	return follow(old, []string{"spec", "completionMode"}) != "Indexed"
}

// inside reports whether a Service has an address in the cluster.
func inside(old map[string]any) bool {
	return follow(old, []string{"spec", "type"}) != "ExternalName"
}

// NotShown stands for a value of a Secret.
const NotShown = "(a value that is not shown)"

// Changes are the fields of an object that can't be changed and in which its new
// version differs. Values of Secrets are not in them.
func Changes(old, now map[string]any) []Change {
	group, kind := Kind(now)
	c := comparison{secret: group == "" && kind == "Secret"}
	for _, r := range kinds[group+"/"+kind] {
		if r.when != nil && !r.when(old) {
			continue
		}
		c.rule = r
		path := strings.Split(r.field, ".")
		a, b := follow(old, path), follow(now, path)
		if r.moves && (a == nil || b == nil) {
			continue
		}
		if r.fills != "" {
			a, b = filled(a, r.fills), filled(b, r.fills)
		}
		if b == nil && !r.whole && !r.goes {
			continue
		}
		c.walk(place{}.in(path...), "", a, b)
	}
	return c.found
}

// filled is the value, or what the server makes of none.
func filled(v any, fill string) any {
	if v == nil {
		return fill
	}
	return v
}

func follow(v any, path []string) any {
	for _, key := range path {
		m, _ := v.(map[string]any)
		v = m[key]
	}
	return v
}

// place is where a value stands.
type place struct {
	path []any
	text string
}

func (p place) in(keys ...string) place {
	for _, key := range keys {
		p.path = append(slices.Clip(p.path), key)
		switch {
		case strings.ContainsAny(key, "./ "):
			p.text += fmt.Sprintf("[%q]", key)
		case p.text == "":
			p.text = key
		default:
			p.text += "." + key
		}
	}
	return p
}

func (p place) at(i int) place {
	return place{append(slices.Clip(p.path), i), fmt.Sprintf("%s[%d]", p.text, i)}
}

// comparison gathers what differs.
type comparison struct {
	rule   rule
	secret bool
	found  []Change
}

// walk compares two values; below is where they stand in the rule's field, without the
// indexes of lists.
func (c *comparison) walk(p place, below string, old, now any) {
	if slices.Contains(c.rule.but, below) || same(p.text, old, now) {
		return
	}
	switch now := now.(type) {
	case map[string]any:
		was, ok := old.(map[string]any)
		if !ok && old != nil {
			break
		}
		keys := maps.Clone(now)
		if c.rule.whole {
			maps.Copy(keys, was)
		}
		for _, key := range slices.Sorted(maps.Keys(keys)) {
			c.walk(p.in(key), strings.TrimPrefix(below+"."+key, "."), was[key], now[key])
		}
		return
	case []any:
		old, ok := old.([]any)
		if !ok || len(old) != len(now) {
			break
		}
		for i := range now {
			c.walk(p.at(i), below+"[]", old[i], now[i])
		}
		return
	case nil:
		if old, ok := old.(map[string]any); ok && len(old) > 0 {
			for _, key := range slices.Sorted(maps.Keys(old)) {
				c.walk(p.in(key), below, old[key], nil)
			}
			return
		}
	}
	c.found = append(c.found, Change{Path: p.path, Field: p.text, Old: c.show(old), New: c.show(now)})
}

// same compares what the server may write in another way: numbers that come from JSON
// or not, and quantities.
func same(path string, a, b any) bool {
	if reflect.DeepEqual(a, b) {
		return true
	}
	if !isScalar(a) || !isScalar(b) {
		return false
	}
	x, y := fmt.Sprint(a), fmt.Sprint(b)
	if x == y {
		return true
	}
	if !strings.Contains(path, ".resources.") && !strings.HasSuffix(path, ".sizeLimit") {
		return false
	}
	p, errP := resource.ParseQuantity(x)
	q, errQ := resource.ParseQuantity(y)
	return errP == nil && errQ == nil && p.Cmp(q) == 0
}

func isScalar(v any) bool {
	switch v.(type) {
	case nil, map[string]any, []any:
		return false
	}
	return true
}

// most is how much of a value is shown.
const most = 160

func (c *comparison) show(v any) string {
	if v == nil {
		return ""
	}
	if c.secret && c.rule.field != "type" && c.rule.field != "immutable" {
		return NotShown
	}
	b, err := json.Marshal(v)
	if err != nil {
		return fmt.Sprint(v)
	}
	s := string(b)
	if r := []rune(s); len(r) > most {
		return string(r[:most-1]) + "…"
	}
	return s
}

// Kind is an object's API group and kind.
func Kind(o map[string]any) (group, kind string) {
	version, _ := o["apiVersion"].(string)
	kind, _ = o["kind"].(string)
	group, _, ok := strings.Cut(version, "/")
	if !ok {
		group = ""
	}
	return group, kind
}

// Remedy says what to do about an object that can't be changed. again is what removes
// it and makes it anew: "labstar apply --recreate".
func Remedy(group, kind, again string) string {
	switch id := group + "/" + kind; id {
	case "/PersistentVolumeClaim", "/PersistentVolume", "apiextensions.k8s.io/CustomResourceDefinition":
		return "give the new one another name; what it holds would be lost if it were replaced, so do that by hand"
	case "/ConfigMap", "/Secret":
		return "give the new one another name (k8s_hashed, config_map_from and secret_from make one of the content), or have it removed and made anew with " + again
	}
	return "give the new one another name, or have it removed and made anew with " + again
}
