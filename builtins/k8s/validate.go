package k8s

import (
	"fmt"
	"regexp"
	"strings"

	"k8s.io/apimachinery/pkg/util/validation"

	"github.com/labstar/labstar/action"
	"github.com/labstar/labstar/starlark/schema"
)

// problem is one thing wrong, at an element of the argument: `[0]["kind"]`.
type problem struct {
	at, msg, hint string
}

// validator gathers what is wrong with the objects of one call.
type validator struct {
	scope    *action.Scope
	problems []problem
	seen     map[string]bool // kind, namespace, name
	told     map[string]bool // names that were reported
}

func (v *validator) fail(at, hint, format string, args ...any) {
	v.problems = append(v.problems, problem{at, fmt.Sprintf(format, args...), hint})
}

func key(at, name string) string    { return fmt.Sprintf("%s[%q]", at, name) }
func index(at string, i int) string { return fmt.Sprintf("%s[%d]", at, i) }

// late reports whether s is known only after the build, so that it can't be
// checked now.
func (v *validator) late(s string) bool {
	if !action.MayHoldToken(s) {
		return false
	}
	refs, err := v.scope.Refs(s)
	return err != nil || len(refs) > 0
}

// str returns the string at name; missing or of another type is a problem if must.
func (v *validator) str(d schema.Dict[any], at, name string, must bool) (string, bool) {
	x, ok := d.Get(name)
	if !ok || x == nil {
		if must {
			v.fail(at, "", "%s is missing", name)
		}
		return "", false
	}
	s, ok := x.(string)
	if !ok {
		v.fail(key(at, name), "", "got %s, want a string", kindOf(x))
		return "", false
	}
	if s == "" && must {
		v.fail(key(at, name), "", "got an empty string")
		return "", false
	}
	return s, true
}

func (v *validator) dict(d schema.Dict[any], at, name string) (schema.Dict[any], bool) {
	x, ok := d.Get(name)
	if !ok || x == nil {
		return nil, false
	}
	sub, ok := x.(schema.Dict[any])
	if !ok {
		v.fail(key(at, name), "", "got %s, want a dict", kindOf(x))
	}
	return sub, ok
}

func (v *validator) list(d schema.Dict[any], at, name string) []any {
	x, ok := d.Get(name)
	if !ok || x == nil {
		return nil
	}
	l, ok := x.([]any)
	if !ok {
		v.fail(key(at, name), "", "got %s, want a list", kindOf(x))
	}
	return l
}

var kindName = regexp.MustCompile(`^[A-Z][A-Za-z0-9]*$`)

// object checks one object, whatever its kind, and what it knows of its kind.
func (v *validator) object(at string, o any) {
	d, ok := o.(schema.Dict[any])
	if !ok {
		v.fail(at, "", "got %s, want a dict", kindOf(o))
		return
	}
	v.fields(at, d)
	if s, ok := v.str(d, at, "apiVersion", true); ok {
		v.apiVersion(key(at, "apiVersion"), s)
	}
	kind, ok := v.str(d, at, "kind", true)
	if ok && !kindName.MatchString(kind) && !v.late(kind) {
		v.fail(key(at, "kind"), "", "got %q, want a name in capitals and small letters, as \"Deployment\"", kind)
	}
	meta, ok := v.dict(d, at, "metadata")
	if !ok {
		if x, given := d.Get("metadata"); !given || x == nil {
			v.fail(at, `give it "metadata": {"name": …}`, "metadata is missing")
		}
		return
	}
	v.metadata(key(at, "metadata"), kind, meta)
	v.twice(at, kind, meta)
	spec, ok := v.dict(d, at, "spec")
	if !ok {
		return
	}
	v.kind(key(at, "spec"), kind, spec)
}

// topFields are the fields that objects of the built-in kinds have.
var topFields = []string{"apiVersion", "kind", "metadata", "spec", "data", "stringData", "binaryData", "status", "type",
	"rules", "subjects", "roleRef", "immutable", "webhooks", "provisioner", "parameters", "value", "secrets", "subsets"}

// fields looks for misspelt ones among those that every object needs.
func (v *validator) fields(at string, d schema.Dict[any]) {
	for _, e := range d {
		for _, f := range topFields[:4] {
			if _, has := d.Get(f); e.Key != f && !has && schema.Suggest(e.Key, topFields) == f && strings.EqualFold(squash(e.Key), squash(f)) {
				v.fail(key(at, e.Key), "", "got the field %q (did you mean %q?)", e.Key, f)
			}
		}
	}
}

func squash(s string) string { return strings.NewReplacer("_", "", "-", "").Replace(s) }

func (v *validator) apiVersion(at, s string) {
	if v.late(s) {
		return
	}
	group, version, ok := strings.Cut(s, "/")
	if !ok {
		group, version = "", s
	}
	if group != "" && len(validation.IsDNS1123Subdomain(group)) > 0 || len(validation.IsDNS1035Label(version)) > 0 || ok && group == "" {
		v.fail(at, "", "got %q, want VERSION or GROUP/VERSION, as \"apps/v1\"", s)
	}
}

// labelKinds have names that are DNS labels of the older, stricter form, since
// they become host names.
func nameRules(kind string) (check func(string) []string, what string) {
	switch kind {
	case "Service":
		return validation.IsDNS1035Label, "lower-case letters, digits and '-', starting with a letter, at most 63"
	case "Namespace":
		return validation.IsDNS1123Label, "lower-case letters, digits and '-', at most 63"
	case "Role", "ClusterRole", "RoleBinding", "ClusterRoleBinding":
		return pathSegment, "no '/' and no '%'"
	}
	return validation.IsDNS1123Subdomain, "lower-case letters, digits, '-' and '.', starting and ending with a letter or digit"
}

func pathSegment(s string) []string {
	if s == "." || s == ".." || strings.ContainsAny(s, "/%") {
		return []string{"may not be . or .. or hold / or %"}
	}
	return nil
}

func (v *validator) metadata(at, kind string, meta schema.Dict[any]) {
	generated, _ := v.str(meta, at, "generateName", false)
	if name, ok := v.str(meta, at, "name", generated == ""); ok && name != "" {
		check, what := nameRules(kind)
		v.name(key(at, "name"), name, what, check)
	}
	if ns, ok := v.str(meta, at, "namespace", false); ok && ns != "" {
		v.name(key(at, "namespace"), ns, "lower-case letters, digits and '-', at most 63", validation.IsDNS1123Label)
	}
	v.labels(meta, at, "labels", true)
	v.labels(meta, at, "annotations", false)
}

// name checks s and says, where it can, what is probably meant.
func (v *validator) name(at, s, what string, check func(string) []string) {
	if v.late(s) || len(check(s)) == 0 || v.told[s] {
		return
	}
	if v.told == nil {
		v.told = map[string]bool{}
	}
	v.told[s] = true // a recipe puts one name into several fields
	if meant := repair(s); meant != s && len(check(meant)) == 0 {
		v.fail(at, "", "got the name %q, want %s (did you mean %q?)", s, what, meant)
		return
	}
	v.fail(at, "", "got the name %q, want %s", clip(s), what)
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

func clip(s string) string {
	if len(s) > 80 {
		return strings.ToValidUTF8(s[:77], "") + "…"
	}
	return s
}

// labels checks labels or annotations. Numbers and booleans are the usual
// mistake: the API server takes only strings.
func (v *validator) labels(d schema.Dict[any], at, name string, values bool) {
	m, ok := v.dict(d, at, name)
	if !ok {
		return
	}
	at = key(at, name)
	for _, e := range m {
		if msgs := validation.IsQualifiedName(strings.ToLower(e.Key)); len(msgs) > 0 {
			v.fail(key(at, e.Key), "", "got the key %q, want [PREFIX/]NAME of letters, digits, '-', '_' and '.', at most 63", clip(e.Key))
		}
		s, ok := e.Value.(string)
		switch {
		case !ok:
			v.fail(key(at, e.Key), "", "got %s, want a string: write %q", kindOf(e.Value), fmt.Sprint(e.Value))
		case values && !v.late(s) && len(validation.IsValidLabelValue(s)) > 0:
			v.fail(key(at, e.Key), "", "got the value %q, want at most 63 letters, digits, '-', '_' and '.', starting and ending with a letter or digit", clip(s))
		}
	}
}

// twice reports two objects of the same kind and name: the second would
// overwrite the first.
func (v *validator) twice(at, kind string, meta schema.Dict[any]) {
	name, _ := meta.Get("name")
	ns, _ := meta.Get("namespace")
	if name == nil {
		return
	}
	id := fmt.Sprint(kind, "\x00", ns, "\x00", name)
	if v.seen == nil {
		v.seen = map[string]bool{}
	}
	if v.seen[id] {
		v.fail(at, "", "got the %s %q twice: the second would overwrite the first", kind, name)
	}
	v.seen[id] = true
}
