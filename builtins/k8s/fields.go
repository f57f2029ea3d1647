package k8s

import (
	"encoding/base64"
	"fmt"
	"math"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/labstar/labstar/action"
	"github.com/labstar/labstar/internal/kube/openapi"
	"github.com/labstar/labstar/starlark/schema"
)

// This file holds an object against the schema of its kind.

// kindOf names a value's type for messages.
func kindOf(v any) string {
	switch v.(type) {
	case nil:
		return "None"
	case bool:
		return "bool"
	case int64:
		return "int"
	case float64:
		return "float"
	case string:
		return "string"
	case []any:
		return "list"
	}
	return "dict"
}

// value checks x, which is not nil.
func (a at) value(s *openapi.Schema, x any) {
	if text, ok := x.(string); ok && a.misplacedSecret(text) {
		return
	}
	if text, ok := x.(string); ok && a.c.late(text) && s.Base != openapi.Object && s.Base != openapi.List && s.Base != openapi.Map {
		if s.Base == openapi.String || s.Base == openapi.Quantity || s.Base == openapi.IntOrString || s.Base == openapi.Any || s.Base == openapi.Time {
			return
		}
	}
	switch s.Base {
	case openapi.String, openapi.Enum, openapi.Time, openapi.Bytes:
		a.text(s, x)
	case openapi.Int32, openapi.Int64, openapi.Number:
		a.numeric(s, x)
	case openapi.Bool:
		a.boolean(x)
	case openapi.IntOrString:
		switch x.(type) {
		case int64, string:
		default:
			a.fail("", "got %s, want a number or a string", kindOf(x))
		}
	case openapi.Quantity:
		a.quantityType(x)
	case openapi.Object:
		d, ok := x.(dict)
		if !ok {
			a.wrongContainer(x, "dict", s.Object().Names())
			return
		}
		a.fields(s.Object(), d)
	case openapi.Map:
		d, ok := x.(dict)
		if !ok {
			a.wrongContainer(x, "dict", nil)
			return
		}
		for _, e := range d {
			a.element(a.key(e.Key), s.Elem, e.Value)
		}
	case openapi.List:
		l, ok := x.([]any)
		if !ok {
			hint := ""
			if _, isDict := x.(dict); isDict {
				hint = "put it into a list: [{…}]"
			} else if text, isText := x.(string); isText {
				hint = fmt.Sprintf("write [%q]", clip(text))
			}
			a.fail(hint, "got %s, want a list", kindOf(x))
			return
		}
		for i, e := range l {
			a.element(a.index(i), s.Elem, e)
		}
		a.listKeys(s, l)
	}
}

func (a at) element(e at, s *openapi.Schema, x any) {
	if x == nil {
		if s.Base != openapi.Any {
			e.fail("leave it out", "got None, want %s", wanted(s))
		}
		return
	}
	e.value(s, x)
}

func (a at) wrongContainer(x any, want string, fields []string) {
	hint := ""
	if len(fields) > 0 && len(fields) <= 12 {
		hint = "its fields are " + strings.Join(fields, ", ")
	}
	a.fail(hint, "got %s, want a %s", kindOf(x), want)
}

// misplacedSecret reports a secret outside of a Secret.
func (a at) misplacedSecret(text string) bool {
	if len(action.SecretTokens(text)) == 0 {
		return false
	}
	if steps := a.p.steps(); a.o.kind == "Secret" && len(steps) == 2 && (steps[0].key == "stringData" || steps[0].key == "data") {
		return false
	}
	a.fail("make a Secret of it (secret_from of @stdlib//k8s.star) and refer to that: env = {NAME: from_secret(SECRET, KEY)}",
		"got a secret, which may stand only in the data of a Secret")
	return true
}

// wanted names a schema for people.
func wanted(s *openapi.Schema) string {
	switch s.Base {
	case openapi.String, openapi.Enum:
		return "a string"
	case openapi.Int32, openapi.Int64, openapi.Number:
		return "a number"
	case openapi.Bool:
		return "True or False"
	case openapi.IntOrString:
		return "a number or a string"
	case openapi.Quantity:
		return "a quantity"
	case openapi.Time:
		return "a time"
	case openapi.Bytes:
		return "base64"
	case openapi.List:
		return "a list"
	}
	return "a dict"
}

func (a at) text(s *openapi.Schema, x any) {
	text, ok := x.(string)
	if !ok {
		switch x.(type) {
		case int64, float64, bool:
			a.fail("", "got %s, want a string: write %q", kindOf(x), scalar(x))
		default:
			a.fail("", "got %s, want %s", kindOf(x), wanted(s))
		}
		return
	}
	switch s.Base {
	case openapi.Enum:
		if !slices.Contains(s.Values, text) {
			a.fail("", "got %q, want one of %s%s", clip(text), quoted(s.Values), didYouMean(text, s.Values))
		}
	case openapi.Time:
		if _, err := time.Parse(time.RFC3339, text); err != nil {
			a.fail("", "got %q, want a time such as \"2026-01-02T15:04:05Z\"", clip(text))
		}
	case openapi.Bytes:
		if _, err := base64.StdEncoding.DecodeString(text); err != nil && !a.c.late(text) {
			hint := ""
			if a.o.kind == "Secret" {
				hint = "plain text goes into stringData"
			}
			a.fail(hint, "got %q, want base64", clip(text))
		}
	case openapi.String:
		if s.Pattern != "" {
			if re, err := regexp.Compile(s.Pattern); err == nil && !re.MatchString(text) {
				a.fail("", "got %q, want a string that matches %s", clip(text), s.Pattern)
			}
		}
	}
}

// scalar writes a value as YAML does.
func scalar(x any) string {
	if f, ok := x.(float64); ok {
		return strconv.FormatFloat(f, 'g', -1, 64)
	}
	return fmt.Sprint(x)
}

func (a at) numeric(s *openapi.Schema, x any) {
	var f float64
	switch x := x.(type) {
	case int64:
		f = float64(x)
		if s.Base == openapi.Int32 && (x > math.MaxInt32 || x < math.MinInt32) {
			a.fail("", "got %d, want a number of at most 32 bits", x)
			return
		}
	case float64:
		f = x
		if s.Base != openapi.Number && x != math.Trunc(x) {
			a.fail("", "got %v, want a whole number", x)
			return
		}
	case string:
		hint := ""
		if _, err := strconv.ParseFloat(x, 64); err == nil {
			hint = "write " + x + " without quotes"
		}
		a.fail(hint, "got the string %q, want a number", a.c.readable(x))
		return
	default:
		a.fail("", "got %s, want a number", kindOf(x))
		return
	}
	if s.Min != nil && f < *s.Min {
		a.fail("", "got %v, want at least %v", x, *s.Min)
	}
	if s.Max != nil && f > *s.Max {
		a.fail("", "got %v, want at most %v", x, *s.Max)
	}
}

func (a at) boolean(x any) {
	switch x := x.(type) {
	case bool:
	case string:
		hint := ""
		switch strings.ToLower(x) {
		case "true", "yes", "on", "1":
			hint = "write True"
		case "false", "no", "off", "0":
			hint = "write False"
		}
		a.fail(hint, "got the string %q, want True or False", clip(x))
	default:
		a.fail("", "got %s, want True or False", kindOf(x))
	}
}

// fields checks the fields of an object of a type.
func (a at) fields(t *openapi.Type, d dict) {
	var unknown []string
	for _, e := range d {
		f := t.Field(e.Key)
		if f == nil {
			if !t.Open {
				unknown = append(unknown, e.Key)
			}
			continue
		}
		here := a.key(e.Key)
		if !f.In.Has(a.c.versions) {
			here.otherVersion(f)
		}
		if e.Value != nil {
			here.value(&f.Type, e.Value)
		}
	}
	meant := map[string]bool{}
	for _, name := range unknown {
		a.unknownField(t, d, name, meant)
	}
	for i := range t.Fields {
		f := &t.Fields[i]
		if f.Required && !has(d, f.Name) && !meant[f.Name] && f.In.Has(a.c.versions) {
			a.fail(requiredHint(f), "%s is missing", f.Name)
		}
	}
}

func requiredHint(f *openapi.Field) string {
	switch f.Type.Base {
	case openapi.Object:
		if names := f.Type.Object().Names(); len(names) <= 12 {
			return fmt.Sprintf("give it %s, a dict with %s", f.Name, strings.Join(names, ", "))
		}
		return fmt.Sprintf("give it %s, a dict", f.Name)
	case openapi.Enum:
		return fmt.Sprintf("give it %s: one of %s", f.Name, quoted(f.Type.Values))
	}
	return fmt.Sprintf("give it %s: %s", f.Name, wanted(&f.Type))
}

// otherVersion reports a field that not all of the wanted releases have.
func (a at) otherVersion(f *openapi.Field) {
	v := a.c.versions
	missing := v &^ f.In
	if missing.Last() == v.Last() { // the newest lacks it
		a.failName("leave it out", "Kubernetes %s has no field %q: it was removed after %s", v.Last(), f.Name, f.In.Last())
		return
	}
	a.failName(fmt.Sprintf("leave it out, or say k8s_version = %q", f.In.First()+".."+v.Last()),
		"the field %q came with Kubernetes %s, and this is for %s", f.Name, f.In.First(), v)
}

// unknownField says where a field belongs, or which is meant. What is meant counts
// as given.
func (a at) unknownField(t *openapi.Type, d dict, name string, meant map[string]bool) {
	here := a.key(name)
	what := a.placeName()
	if where := a.belongs(t, name); where != "" {
		here.failName("move it to "+where, "%s has no field %q: it belongs to %s", what, name, where)
		return
	}
	var free []string
	for _, f := range t.Names() {
		if !has(d, f) && !meant[f] {
			free = append(free, f)
		}
	}
	s := schema.Suggest(name, free)
	if s == "" {
		s = schema.Suggest(name, t.Names())
	}
	if s != "" {
		meant[s] = true
		here.failName("", "%s has no field %q (did you mean %q?)", what, name, s)
		return
	}
	if where := a.anywhere(t, name); where != "" {
		here.failName("move it to "+where, "%s has no field %q: it belongs to %s", what, name, where)
		return
	}
	hint := ""
	if len(t.Fields) <= 20 {
		hint = "its fields are " + strings.Join(t.Names(), ", ")
	}
	here.failName(hint, "%s has no field %q", what, name)
}

// placeName names the place for "X has no field".
func (a at) placeName() string {
	if a.p == nil {
		return "a " + a.o.kind
	}
	return a.p.String()
}

// typesOnPath are the types of the objects above a place, the object's own first.
func (a at) typesOnPath() (types []*openapi.Type, places []*where) {
	if a.o.api == nil {
		return nil, nil
	}
	s := openapi.Schema{Base: openapi.Object}
	t := a.o.api.Type()
	types, places = append(types, t), append(places, nil)
	for _, step := range a.p.steps() {
		if s.Base == openapi.List || s.Base == openapi.Map {
			s = *s.Elem
		} else {
			f := t.Field(step.key)
			if f == nil {
				return types, places
			}
			s = f.Type
		}
		if s.Base == openapi.Object {
			t = s.Object()
			types, places = append(types, t), append(places, step)
		}
	}
	return types, places
}

// belongs looks for a field of the name in what is around: the objects above, and
// those directly below.
func (a at) belongs(t *openapi.Type, name string) string {
	types, places := a.typesOnPath()
	for i := len(types) - 2; i >= 0; i-- {
		if types[i].Field(name) != nil && name != "apiVersion" && name != "kind" {
			if p := places[i].String(); p != "" {
				return p
			}
			return "the " + a.o.kind + " itself"
		}
	}
	for _, f := range t.Fields {
		if below := objectOf(&f.Type); below != nil && f.Name != "metadata" && f.Name != "status" && below.Field(name) != nil {
			return beneath(a, f)
		}
	}
	return ""
}

func beneath(a at, f openapi.Field) string {
	p := a.key(f.Name).p.String()
	if f.Type.Base == openapi.List {
		p += "[]"
	}
	return p
}

// objectOf is the type of the object that a schema holds, directly or in a list.
func objectOf(s *openapi.Schema) *openapi.Type {
	if s.Base == openapi.List {
		s = s.Elem
	}
	if s.Base != openapi.Object {
		return nil
	}
	return s.Object()
}

// anywhere looks for the field in the whole object, nearest to its top.
func (a at) anywhere(t *openapi.Type, name string) string {
	type step struct {
		t     *openapi.Type
		where string
	}
	if a.o.api == nil {
		return ""
	}
	seen := map[*openapi.Type]bool{}
	for next := []step{{t, a.p.String()}, {a.o.api.Type(), ""}}; len(next) > 0; next = next[1:] {
		s := next[0]
		if seen[s.t] {
			continue
		}
		seen[s.t] = true
		if s.t.Field(name) != nil && s.t != t && s.where != "" {
			return s.where
		}
		if strings.Count(s.where, ".") > 5 {
			continue
		}
		for _, f := range s.t.Fields {
			below := objectOf(&f.Type)
			if below == nil || f.Name == "metadata" && s.where != "" {
				continue
			}
			where := strings.TrimPrefix(s.where+"."+f.Name, ".")
			if f.Type.Base == openapi.List {
				where += "[]"
			}
			next = append(next, step{below, where})
		}
	}
	return ""
}

// listKeys reports elements that are one and the same to the server.
func (a at) listKeys(s *openapi.Schema, l []any) {
	if len(l) < 2 || len(s.Keys) == 0 && !s.Set {
		return
	}
	seen := make(map[string]int, len(l))
	for i, x := range l {
		id, what := "", ""
		if s.Set {
			id = fmt.Sprint(x)
			what = strconv.Quote(clip(id))
		} else {
			d, ok := x.(dict)
			if !ok {
				continue
			}
			id, what = listKey(s.Keys, d)
		}
		if id == "" {
			continue
		}
		if first, twice := seen[id]; twice {
			place := a.index(i)
			if len(s.Keys) > 0 && has(l[i].(dict), s.Keys[0]) {
				place = place.key(s.Keys[0])
			}
			place.fail("", "got %s twice: %s has it already", a.c.readable(what), a.index(first).p)
			continue
		}
		seen[id] = i
	}
}

func listKey(keys []string, d dict) (id, what string) {
	for i, k := range keys {
		x, _ := d.Get(k)
		if x == nil {
			if k != "protocol" {
				if i == 0 {
					return "", ""
				}
				continue
			}
			x = "TCP"
		}
		id += fmt.Sprint(x) + "\x00"
		if what != "" {
			what += ", "
		}
		if t, ok := x.(string); ok {
			what += k + " " + strconv.Quote(t)
		} else {
			what += k + " " + scalar(x)
		}
	}
	return id, what
}
