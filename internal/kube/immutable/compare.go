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

// comparison gathers what differs.
type comparison struct {
	rule   rule
	secret bool
	said   bool // the old version is what the script said, and not what the server has
	found  []Change
}

// apply compares what a rule is about.
func (c *comparison) apply(r rule, old, now map[string]any) {
	c.rule = r
	path := strings.Split(r.field, ".")
	a, b := follow(old, path), follow(now, path)
	if r.moves && (a == nil || b == nil) {
		return
	}
	if r.fills != "" {
		a, b = filled(a, r.fills), filled(b, r.fills)
	}
	if b == nil && !r.whole && !r.goes && !c.said {
		return
	}
	if r.shrinks && !less(b, a) {
		return
	}
	c.walk(place{}.in(path...), "", a, b)
}

// walk compares two values; below is where they stand in the rule's field, without the
// indexes of lists.
func (c *comparison) walk(p place, below string, old, now any) {
	if slices.Contains(c.rule.but, below) || same(p.text, old, now) || isDefault(p, old, now) {
		return
	}
	switch now := now.(type) {
	case map[string]any:
		was, ok := old.(map[string]any)
		if !ok && old != nil {
			break
		}
		keys := maps.Clone(now)
		if c.rule.whole || c.said {
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
				c.walk(p.in(key), strings.TrimPrefix(below+"."+key, "."), old[key], nil)
			}
			return
		}
	}
	c.add(p, old, now)
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

// less reports whether a quantity is less than another.
func less(a, b any) bool {
	if !isScalar(a) || !isScalar(b) {
		return false
	}
	p, errP := resource.ParseQuantity(fmt.Sprint(a))
	q, errQ := resource.ParseQuantity(fmt.Sprint(b))
	return errP == nil && errQ == nil && p.Cmp(q) < 0
}

// isDefault reports whether one of two values is not said, and the other is what the
// server makes of that.
func isDefault(p place, a, b any) bool {
	if a == nil {
		a, b = b, a
	}
	if a == nil || b != nil {
		return false
	}
	switch a := a.(type) {
	case map[string]any:
		return len(a) == 0
	case []any:
		return len(a) == 0
	}
	key, _ := p.path[len(p.path)-1].(string)
	return slices.Contains(defaults[key], fmt.Sprint(a))
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
