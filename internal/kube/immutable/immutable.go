// Package immutable knows which fields of Kubernetes' objects can't be changed once the
// object is there, and tells which of them two versions of an object differ in.
//
//	for _, c := range immutable.Changes(live, is) {
//		fmt.Println(c.Field, c.Old, c.New) // spec.selector.matchLabels.app web shop
//	}
//
// The API server has no list of them: each kind's validation says it in its own way. So
// the list here (rules.go, service.go) explains and warns; whether a change is refused is
// the server's word. The new version is what a script says, in which a field that is not
// said is left as it is, or as the server fills it in. The old one is what the cluster
// has (Changes), or what the script said before (Since): of that, a field which is said no
// more is taken away.
package immutable

import (
	"slices"
	"strings"
)

// Change is a field that can't be changed, and differs.
type Change struct {
	Path     []any  // keys and indexes in the new version, as far as it has them
	Field    string // the whole path, as people write it
	Old, New string // what was and what is, "" for nothing
	// Kept is set where the server takes the object, and keeps the old value.
	Kept bool
}

func (c Change) String() string {
	switch {
	case c.Old == "":
		return c.Field + ": " + c.New + " (new)"
	case c.Kept:
		return c.Field + ": " + c.Old + " (removed, and kept)"
	case c.New == "":
		return c.Field + ": " + c.Old + " (removed)"
	}
	return c.Field + ": " + c.Old + " → " + c.New
}

// NotShown stands for a value of a Secret.
const NotShown = "(a value that is not shown)"

// Changes are the fields of an object in a cluster that can't be changed and in which its
// new version differs. Values of Secrets are not in them.
func Changes(live, now map[string]any) []Change { return changes(live, now, false) }

// Since is Changes for what the script said of the object before.
func Since(was, now map[string]any) []Change { return changes(was, now, true) }

func changes(old, now map[string]any, said bool) []Change {
	group, kind := Kind(now)
	if group == "" && kind == "Service" {
		return service(old, now)
	}
	c := comparison{secret: group == "" && kind == "Secret", said: said}
	for _, r := range kinds[group+"/"+kind] {
		if r.when == nil || r.when(old, now) {
			c.apply(r, old, now)
		}
	}
	return c.found
}

// Kept are the changes that the server takes without making them.
func Kept(list []Change) []Change {
	return slices.DeleteFunc(slices.Clone(list), func(c Change) bool { return !c.Kept })
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
	case "apps/StatefulSet":
		return "give the new one another name, or have it removed and made anew with " + again + "; claims that its pods have already stay as they are"
	case "/ConfigMap", "/Secret":
		return "give the new one another name (k8s_hashed, config_map_from and secret_from make one of the content), or have it removed and made anew with " + again
	}
	return "give the new one another name, or have it removed and made anew with " + again
}
