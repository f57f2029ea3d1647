package cluster

import (
	"encoding/json"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"
)

// Difference is a field that is different.
type Difference struct {
	Path     string
	Old, New string   // as text; "" if there is none
	Lines    []string // of texts of several lines: those that differ, after "+ " or "- "
}

func (d Difference) String() string {
	switch {
	case d.Lines != nil:
		return d.Path + ":"
	case d.Old == "":
		return d.Path + ": " + d.New + " (new)"
	case d.New == "":
		return d.Path + ": " + d.Old + " (removed)"
	}
	return d.Path + ": " + d.Old + " → " + d.New
}

// hidden are fields that the server keeps for itself, and the copy of everything that
// `kubectl apply` keeps.
var hidden = []string{"status", "metadata.managedFields", "metadata.resourceVersion", "metadata.generation",
	"metadata.uid", "metadata.creationTimestamp", `metadata.annotations["kubectl.kubernetes.io/last-applied-configuration"]`}

// Differences are those between what there is and what there would be; of Secrets
// without any value. There are none if only the owner of fields changes.
func (s *Step) Differences() []Difference {
	if s.Live == nil || s.Want == nil || s.Verb == Remove || s.Verb == Leave {
		return nil
	}
	w := differ{secret: s.Object.ID().Kind == secretKind, partial: !s.asked}
	w.walk("", s.Live.Object, s.Want.Object)
	return w.found
}

// differ compares two objects.
type differ struct {
	secret  bool // the values of data are not shown
	partial bool // what the script does not say is left as it is
	found   []Difference
}

func (w *differ) walk(path string, old, want any) {
	if slices.Contains(hidden, path) || reflect.DeepEqual(old, want) {
		return
	}
	switch want := want.(type) {
	case map[string]any:
		if old, ok := old.(map[string]any); ok {
			w.maps(path, old, want)
			return
		}
	case []any:
		if old, ok := old.([]any); ok {
			w.lists(path, old, want)
			return
		}
	}
	w.add(path, old, want)
}

func (w *differ) maps(path string, old, want map[string]any) {
	keys := map[string]bool{}
	for k := range want {
		keys[k] = true
	}
	if !w.partial {
		for k := range old {
			keys[k] = true
		}
	}
	for _, k := range slices.Sorted(maps.Keys(keys)) {
		w.walk(field(path, k), old[k], want[k])
	}
}

func field(path, key string) string {
	switch {
	case strings.ContainsAny(key, "./ "):
		return fmt.Sprintf("%s[%q]", path, key)
	case path == "":
		return key
	}
	return path + "." + key
}

// keys are the fields by which elements of lists are told apart, as far as they are
// unique in both lists.
var keys = []string{"name", "mountPath", "containerPort", "port", "key", "type", "host", "path", "ip"}

func (w *differ) lists(path string, old, want []any) {
	for _, key := range keys {
		a, aOK := byKey(old, key)
		b, bOK := byKey(want, key)
		if !aOK || !bOK {
			continue
		}
		for _, e := range want {
			name := fmt.Sprint(e.(map[string]any)[key])
			w.walk(path+"["+name+"]", a[name], e)
		}
		for _, e := range old {
			if name := fmt.Sprint(e.(map[string]any)[key]); b[name] == nil {
				w.walk(path+"["+name+"]", e, nil)
			}
		}
		return
	}
	for i := range max(len(old), len(want)) {
		var a, b any
		if i < len(old) {
			a = old[i]
		}
		if i < len(want) {
			b = want[i]
		}
		w.walk(fmt.Sprintf("%s[%d]", path, i), a, b)
	}
}

func byKey(list []any, key string) (map[string]any, bool) {
	m := map[string]any{}
	for _, e := range list {
		o, ok := e.(map[string]any)
		if !ok || o[key] == nil {
			return nil, false
		}
		name := fmt.Sprint(o[key])
		if m[name] != nil {
			return nil, false
		}
		m[name] = e
	}
	return m, true
}

func (w *differ) add(path string, old, want any) {
	d := Difference{Path: path}
	if w.secret && (path == "data" || strings.HasPrefix(path, "data.") || strings.HasPrefix(path, "data[")) {
		w.found = append(w.found, secretDifferences(path, old, want)...)
		return
	}
	a, aText := old.(string)
	b, bText := want.(string)
	if aText && bText && (strings.Contains(a, "\n") || strings.Contains(b, "\n")) {
		d.Lines = lineDiff(strings.Split(a, "\n"), strings.Split(b, "\n"))
	} else {
		d.Old, d.New = text(old), text(want)
	}
	w.found = append(w.found, d)
}

// secretDifferences tells which keys of a Secret differ, and not in what.
func secretDifferences(path string, old, want any) []Difference {
	const value = "(a value that is not shown)"
	a, aMap := old.(map[string]any)
	b, bMap := want.(map[string]any)
	if aMap || bMap { // all of data came or went
		var list []Difference
		for _, k := range slices.Sorted(maps.Keys(b)) {
			list = append(list, Difference{Path: field(path, k), New: value})
		}
		for _, k := range slices.Sorted(maps.Keys(a)) {
			list = append(list, Difference{Path: field(path, k), Old: value})
		}
		return list
	}
	d := Difference{Path: path}
	if old != nil {
		d.Old = value
	}
	if want != nil {
		d.New = value
	}
	return []Difference{d}
}

// maxText is how much of a value is shown.
const maxText = 200

func text(v any) string {
	if v == nil {
		return ""
	}
	s, ok := v.(string)
	if !ok || s == "" {
		b, err := json.Marshal(v)
		if err != nil {
			return fmt.Sprint(v)
		}
		s = string(b)
	}
	s = strings.ReplaceAll(s, "\n", "\\n")
	if len(s) > maxText {
		return strings.ToValidUTF8(s[:maxText], "") + fmt.Sprintf("… (%d bytes)", len(s))
	}
	return s
}

// maxLines bounds the lines that are compared: the work grows with their product.
const maxLines = 2000

// lineDiff returns the lines that only one of the texts has, by their longest common
// subsequence.
func lineDiff(a, b []string) []string {
	for len(a) > 0 && len(b) > 0 && a[0] == b[0] {
		a, b = a[1:], b[1:]
	}
	for len(a) > 0 && len(b) > 0 && a[len(a)-1] == b[len(b)-1] {
		a, b = a[:len(a)-1], b[:len(b)-1]
	}
	if len(a) > maxLines || len(b) > maxLines {
		return []string{fmt.Sprintf("- %d lines", len(a)), fmt.Sprintf("+ %d lines", len(b))}
	}
	common := make([][]int, len(a)+1) // how many lines the rests have in common
	for i := range common {
		common[i] = make([]int, len(b)+1)
	}
	for i := len(a) - 1; i >= 0; i-- {
		for j := len(b) - 1; j >= 0; j-- {
			if a[i] == b[j] {
				common[i][j] = common[i+1][j+1] + 1
			} else {
				common[i][j] = max(common[i+1][j], common[i][j+1])
			}
		}
	}
	out := []string{}
	i, j := 0, 0
	for i < len(a) || j < len(b) {
		switch {
		case i < len(a) && j < len(b) && a[i] == b[j]:
			i, j = i+1, j+1
		case j == len(b) || i < len(a) && common[i+1][j] >= common[i][j+1]:
			out = append(out, "- "+a[i])
			i++
		default:
			out = append(out, "+ "+b[j])
			j++
		}
	}
	return out
}
