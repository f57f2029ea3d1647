package k8s

import (
	"reflect"
	"testing"
	"unicode/utf8"

	"sigs.k8s.io/yaml"
)

var samples = []string{
	"", "a", "a b", "yes", "On", "null", "~", "1", "0644", "1e3", "1.5", ".5", "0x1f", "1_000", "2026-01-02", "12:30:45", "-", "- a", "a: b", "a:", "a #b", "#a", "a#b",
	"'", `"`, "\\", "\t", "a\tb", "two\nlines", "two\nlines\n", "two\n\n", "\nlead", " lead", "lead \n more\n", "a\r\nb", "\x00", "\x7f", "\u0085", "\u2028", "\ufeff", "é", "日本\n語\n",
	"{a}", "[a]", "*a", "&a", "!a", "%a", "@a", "`a", "|", ">", "?", "a?", "=", "<<", "---", "...", "--- a", "true", "y", "N", "Infinity", ".inf", ".NaN", "a\n- b\n", "key: |\n  x\n", "a\n\tb\n", "<b>&amp;</b>",
	"0o17", "+1", "1:2", "0b11", "nan", "x,y", "x]", "}", "lab/web@sha256:abc", "http://x:80/?a=b#c", "$(VAR)", "@labstar-secret:db@",
}

// What is written is read as the same by Kubernetes' own reader.
func TestWriteYAML(t *testing.T) {
	for _, s := range samples {
		roundTrip(t, s)
	}
	nested := dict{{Key: "a", Value: []any{[]any{int64(1), dict{{Key: "x", Value: dict{}}}}, []any{}, dict{{Key: "b", Value: []any{"c"}}, {Key: "a", Value: 1.5}}}}, {Key: "n", Value: nil}, {Key: "t", Value: true}}
	want := map[string]any{"a": []any{[]any{1.0, map[string]any{"x": map[string]any{}}}, []any{}, map[string]any{"b": []any{"c"}, "a": 1.5}}, "n": nil, "t": true}
	var got map[string]any
	if b := writeYAML([]dict{nested}); yaml.Unmarshal(b, &got) != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("got %v of\n%s", got, b)
	}
}

func roundTrip(t *testing.T, s string) {
	t.Helper()
	o := dict{{Key: "k", Value: s}, {Key: "l", Value: []any{s, dict{{Key: "x", Value: s}}}}, {Key: "m", Value: dict{{Key: "y" + s, Value: s}}}}
	want := map[string]any{"k": s, "l": []any{s, map[string]any{"x": s}}, "m": map[string]any{"y" + s: s}}
	b := writeYAML([]dict{o})
	var got map[string]any
	if err := yaml.Unmarshal(b, &got); err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("%q: got %q, %v of\n%s", s, got, err, b)
	}
}

func FuzzWriteYAML(f *testing.F) {
	for _, s := range samples {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if utf8.ValidString(s) {
			roundTrip(t, s)
		}
	})
}
