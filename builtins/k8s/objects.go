package k8s

import (
	"fmt"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/util/validation"

	"github.com/labstar/labstar/internal/kube/openapi"
	"github.com/labstar/labstar/starlark/schema"
)

// This file checks what every object has: its kind and its metadata.

func isKindName(s string) bool {
	return s[0] >= 'A' && s[0] <= 'Z' && !strings.ContainsFunc(s, func(r rune) bool { return !(r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9') })
}

// object checks one object by itself.
func (c *checker) object(o *object) {
	a := at{c, o, nil}
	d := o.value
	for _, name := range []string{"apiVersion", "kind"} {
		x, _ := d.Get(name)
		if s, ok := x.(string); !ok && x != nil {
			a.key(name).fail("", "got %s, want a string", schema.KindOf(x))
			return
		} else if s == "" {
			a.missing(name)
		}
	}
	if o.apiVersion == "" || o.kind == "" {
		return
	}
	if !isKindName(o.kind) {
		a.key("kind").fail("", "got %q, want a name in capitals and small letters, as \"Deployment\"%s", clip(o.kind), didYouMean(o.kind, c.kindNames()))
		return
	}
	if !a.apiVersion() || !c.lookup(o) {
		return
	}
	a.fields(o.api.Type(), d)
	a.metadata()
	if check := checks[o.kind]; check != nil && c.custom[o.apiVersion+" "+o.kind] == nil {
		check(a, d)
	}
}

// missing reports apiVersion or kind, or what was written instead.
func (a at) missing(name string) {
	for _, e := range a.o.value {
		if e.Key != name && schema.Suggest(e.Key, []string{"apiVersion", "kind", "metadata"}) == name && strings.EqualFold(squash(e.Key), squash(name)) {
			a.key(e.Key).failName("", "got the field %q (did you mean %q?)", e.Key, name)
			return
		}
	}
	hint := `every object needs "apiVersion" and "kind"`
	if ks := openapi.Named(a.o.kind, a.c.versions); name == "apiVersion" && len(ks) > 0 {
		hint = fmt.Sprintf("a %s is of %q", a.o.kind, ks[len(ks)-1].APIVersion)
	}
	a.fail(hint, "%s is missing", name)
}

func squash(s string) string { return strings.NewReplacer("_", "", "-", "").Replace(s) }

func (a at) apiVersion() bool {
	s := a.o.apiVersion
	group, version, ok := strings.Cut(s, "/")
	if !ok {
		group, version = "", s
	}
	if group != "" && len(validation.IsDNS1123Subdomain(group)) > 0 || len(validation.IsDNS1035Label(version)) > 0 || ok && group == "" {
		a.key("apiVersion").fail("", "got %q, want VERSION or GROUP/VERSION, as \"apps/v1\"", clip(s))
		return false
	}
	return true
}

func (c *checker) kindNames() []string {
	var out []string
	for _, k := range openapi.Kinds() {
		if k.In.Has(c.versions) {
			out = append(out, k.Name)
		}
	}
	for _, k := range c.custom {
		out = append(out, k.Name)
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// lookup finds the kind's schema, or says why there is none.
func (c *checker) lookup(o *object) bool {
	a := at{c, o, nil}
	if k := c.custom[o.apiVersion+" "+o.kind]; k != nil {
		o.api = k
		return true
	}
	k := openapi.Lookup(o.apiVersion, o.kind)
	if k != nil && k.In.Has(c.versions) {
		o.api = k
		return true
	}
	if since, instead, ok := openapi.Removed(o.apiVersion, o.kind); ok {
		hint := fmt.Sprintf("write apiVersion %q, and look at what it has renamed", instead)
		if instead == "" {
			hint = "nothing replaces it but the admission of Pod Security: label the Namespace with pod-security.kubernetes.io/enforce"
		}
		a.key("apiVersion").fail(hint, "%s of %s is not served since Kubernetes %s", o.kind, o.apiVersion, since)
		return false
	}
	same := openapi.Named(o.kind, c.versions)
	hint := ""
	if len(same) > 0 {
		hint = fmt.Sprintf("write apiVersion %q", same[0].APIVersion)
		for _, s := range same {
			if !strings.Contains(s.APIVersion, "alpha") && !strings.Contains(s.APIVersion, "beta") {
				hint = fmt.Sprintf("write apiVersion %q", s.APIVersion)
			}
		}
	}
	switch {
	case k != nil && (c.versions&^k.In).Last() == c.versions.Last():
		a.key("apiVersion").fail(hint, "Kubernetes %s has no %s of %s: %s was the last with it", c.versions.Last(), o.kind, o.apiVersion, k.In.Last())
	case k != nil:
		a.key("apiVersion").fail(fmt.Sprintf("say k8s_version = %q", k.In.First()+".."+c.versions.Last()),
			"%s of %s came with Kubernetes %s, and this is for %s", o.kind, o.apiVersion, k.In.First(), c.versions)
	case len(same) > 0:
		a.key("apiVersion").fail(hint, "there is no %s of %s", o.kind, o.apiVersion)
	default:
		return c.unknownKind(o)
	}
	return false
}

// unknownKind is for kinds that Kubernetes itself does not have.
func (c *checker) unknownKind(o *object) bool {
	group := openapi.Group(o.apiVersion)
	a := at{c, o, nil}
	var kinds []string
	for _, k := range openapi.Kinds() {
		if k.APIVersion == o.apiVersion {
			kinds = append(kinds, k.Name)
		}
	}
	for _, k := range c.custom {
		if k.APIVersion == o.apiVersion {
			kinds = append(kinds, k.Name)
		}
	}
	own := group == "" || !strings.Contains(group, ".") || strings.HasSuffix(group, ".k8s.io")
	if len(kinds) > 0 || own {
		if s := schema.Suggest(o.kind, kinds); s == "" {
			kinds = c.kindNames()
		}
		a.key("kind").fail("", "there is no kind %q in %s%s", clip(o.kind), o.apiVersion, didYouMean(o.kind, kinds))
		return false
	}
	if c.external.has("CustomResourceDefinition", "", "*."+group) {
		a.metadata()
		return false
	}
	a.key("kind").fail(fmt.Sprintf("add its CustomResourceDefinition (k8s_import reads one from a file), or say external = [\"CustomResourceDefinition/*.%s\"]", group),
		"nothing defines the kind %s of %s", o.kind, o.apiVersion)
	return false
}

// nameRules are for kinds whose names are more than DNS subdomains, or less.
func nameRules(kind string) (check func(string) []string, what string) {
	switch kind {
	case "Service":
		return validation.IsDNS1035Label, "lower-case letters, digits and '-', starting with a letter, at most 63"
	case "Namespace":
		return validation.IsDNS1123Label, "lower-case letters, digits and '-', at most 63"
	case "Role", "ClusterRole", "RoleBinding", "ClusterRoleBinding":
		return pathSegment, "no '/' and no '%'"
	case "CronJob":
		return atMost(52, validation.IsDNS1123Subdomain), "lower-case letters, digits, '-' and '.', at most 52: its jobs' names have 11 more"
	case "Job", "StatefulSet":
		return atMost(63, validation.IsDNS1123Subdomain), "lower-case letters, digits, '-' and '.', at most 63: it is a label of its pods"
	}
	return validation.IsDNS1123Subdomain, "lower-case letters, digits, '-' and '.', starting and ending with a letter or digit"
}

func atMost(n int, check func(string) []string) func(string) []string {
	return func(s string) []string {
		if len(s) > n {
			return []string{fmt.Sprintf("longer than %d", n)}
		}
		return check(s)
	}
}

func pathSegment(s string) []string {
	if s == "." || s == ".." || strings.ContainsAny(s, "/%") {
		return []string{"may not be . or .. or hold / or %"}
	}
	return nil
}

const (
	dnsLabel     = "lower-case letters, digits and '-', at most 63"
	dnsSubdomain = "lower-case letters, digits, '-' and '.', starting and ending with a letter or digit"
)

func (a at) metadata() {
	o := a.o
	if x, ok := o.value.Get("metadata"); !ok || x == nil {
		a.fail(`give it "metadata": {"name": …}`, "metadata is missing")
		return
	}
	meta := sub(o.value, "metadata")
	m := a.key("metadata")
	switch {
	case o.name != "":
		check, what := nameRules(o.kind)
		m.key("name").name(o.name, what, check)
	case str(meta, "generateName") == "":
		if x, _ := meta.Get("name"); x == nil || x == "" {
			m.fail("", "name is missing")
		}
	default:
		m.key("generateName").fail("give it a name", "generateName makes a new object with each apply, and none that the next one would find")
	}
	if ns := str(meta, "namespace"); ns != "" {
		if o.api != nil && !o.api.Namespaced && o.source == nil { // others' charts have it, and kubectl passes over it
			m.key("namespace").fail("leave it out", "a %s is in no namespace", o.kind)
		}
		m.key("namespace").name(ns, dnsLabel, validation.IsDNS1123Label)
	}
	for _, f := range []string{"uid", "resourceVersion", "selfLink"} {
		if has(meta, f) {
			m.key(f).fail("leave it out: it is the server's, of an object that was exported", "got metadata.%s, which only a server sets", f)
		}
	}
	m.labels(meta, "labels", true)
	m.labels(meta, "annotations", false)
	m.strings(meta, "finalizers", func(f at, s string) {
		if len(validation.IsQualifiedName(s)) > 0 && !a.c.late(s) {
			f.fail("", "got the finalizer %q, want PREFIX/NAME", clip(s))
		}
	})
}

// name checks s and says, where it can, what is probably meant.
func (a at) name(s, what string, check func(string) []string) {
	c := a.c
	if s == "" || c.late(s) || len(check(s)) == 0 || c.told[s] {
		return
	}
	if c.told == nil {
		c.told = map[string]bool{}
	}
	c.told[s] = true // a recipe puts one name into several fields
	if meant := repair(s); meant != s && len(check(meant)) == 0 {
		a.fail("", "got the name %q, want %s (did you mean %q?)", clip(s), what, meant)
		return
	}
	a.fail("", "got the name %q, want %s", clip(s), what)
}

// repair makes a name of what someone wrote: My_App -> my-app.
func repair(s string) string {
	var b strings.Builder
	for _, r := range strings.ToLower(s) {
		if r >= 'a' && r <= 'z' || r >= '0' && r <= '9' || r == '.' {
			b.WriteRune(r)
		} else {
			b.WriteByte('-')
		}
	}
	return strings.Trim(b.String(), "-.")
}

// maxAnnotations is how many bytes the annotations of an object may have.
const maxAnnotations = 256 << 10

// labels checks the keys and values of labels, or the keys of annotations. That
// they are strings the schema says.
func (a at) labels(d dict, field string, values bool) {
	m := sub(d, field)
	a = a.key(field)
	size := 0
	for _, e := range m {
		s, _ := e.Value.(string)
		size += len(e.Key) + len(s)
		key := e.Key
		if !values {
			key = strings.ToLower(key)
		}
		switch {
		case a.c.late(e.Key):
		case len(validation.IsQualifiedName(key)) > 0:
			a.key(e.Key).fail("", "got the key %q, want [PREFIX/]NAME of letters, digits, '-', '_' and '.', at most 63", clip(e.Key))
		case values && !a.c.late(s) && len(validation.IsValidLabelValue(s)) > 0:
			hint := ""
			if field == "labels" {
				hint = "what is no label's value can be an annotation"
			}
			a.key(e.Key).fail(hint, "got the value %q, want at most 63 letters, digits, '-', '_' and '.', starting and ending with a letter or digit", clip(s))
		}
	}
	if !values && size > maxAnnotations {
		a.fail("put it into a ConfigMap", "got annotations of %d bytes, want at most %d", size, maxAnnotations)
	}
}
