package k8s

import (
	"bytes"
	"fmt"
	"slices"

	"sigs.k8s.io/yaml"

	"github.com/labstar/labstar/starlark/schema"
)

// first is the order in which people write an object; the other fields follow,
// sorted.
var first = []string{"apiVersion", "kind", "metadata"}

// writeYAML writes one document for each object.
func writeYAML(objects []schema.Dict[any]) ([]byte, error) {
	var out bytes.Buffer
	for i, o := range objects {
		if i > 0 {
			out.WriteString("---\n")
		}
		for _, key := range order(o) {
			value, _ := o.Get(key)
			b, err := yaml.Marshal(map[string]any{key: plain(value)})
			if err != nil {
				return nil, fmt.Errorf("writing %s: %w", key, err)
			}
			out.Write(b)
		}
	}
	return out.Bytes(), nil
}

func order(o schema.Dict[any]) []string {
	var keys []string
	for _, k := range first {
		if _, ok := o.Get(k); ok {
			keys = append(keys, k)
		}
	}
	n := len(keys)
	for _, e := range o {
		if !slices.Contains(first, e.Key) {
			keys = append(keys, e.Key)
		}
	}
	slices.Sort(keys[n:])
	return keys
}

// plain turns ordered dicts into maps, which yaml sorts.
func plain(v any) any {
	switch v := v.(type) {
	case schema.Dict[any]:
		m := make(map[string]any, len(v))
		for _, e := range v {
			m[e.Key] = plain(e.Value)
		}
		return m
	case []any:
		out := make([]any, len(v))
		for i, e := range v {
			out[i] = plain(e)
		}
		return out
	}
	return v
}
