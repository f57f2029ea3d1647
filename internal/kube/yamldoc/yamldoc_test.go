package yamldoc

import (
	"encoding/json"
	"reflect"
	"strings"
	"testing"

	"sigs.k8s.io/yaml"
)

const sample = `# a comment
apiVersion: v1
kind: List
items:
- {name: "a", on: yes, mode: 0644, n: 1_000, f: 1.50, d: 2026-01-02, e: ~, 80: x}
- text: |
    two
    lines
  folded: >-
    one
    line
  base: &base {a: 1, b: 2}
  more: {<<: *base, b: 3}
---
---
second: [1, [2, 3], é日本: {x: y}]
`

func plain(n *Node) any {
	switch n.Kind {
	case Map:
		m := map[string]any{}
		for i, k := range n.Keys {
			m[k.Value.(string)] = plain(n.Items[i])
		}
		return m
	case List:
		l := []any{}
		for _, e := range n.Items {
			l = append(l, plain(e))
		}
		return l
	}
	return n.Value
}

// What is read is what Kubernetes reads.
func TestValues(t *testing.T) {
	docs, err := Parse([]byte(sample))
	if err != nil || len(docs) != 2 {
		t.Fatalf("got %d documents, %v", len(docs), err)
	}
	same(t, sample[:strings.Index(sample, "---")], docs[0])
}

func same(t *testing.T, text string, n *Node) {
	t.Helper()
	j, err := json.Marshal(plain(n))
	if err != nil {
		t.Fatal(err)
	}
	var got, want any
	if err := json.Unmarshal(j, &got); err != nil {
		t.Fatal(err)
	}
	if err := yaml.Unmarshal([]byte(text), &want); err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got  %v\nwant %v", got, want)
	}
}

func TestPlaces(t *testing.T) {
	docs, err := Parse([]byte(sample))
	if err != nil {
		t.Fatal(err)
	}
	first := docs[0].Field("items").Items[0]
	for key, want := range map[string][3]int{"name": {5, 10, 13}, "true": {5, 19, 22}, "mode": {5, 30, 34}} {
		n := first.Field(key)
		if got := [3]int{n.Line, n.Col, n.EndCol}; got != want {
			t.Errorf("%s: got %v, want %v", key, got, want)
		}
	}
	if n := docs[1].Field("second").Items[1].Items[1]; n.Line != 16 || n.Col != 17 {
		t.Errorf("got %d:%d", n.Line, n.Col)
	}
	if n := docs[0].Field("kind"); n == nil || docs[0].Key("kind").Line != 3 {
		t.Errorf("got %+v", n)
	}
}

func TestErrors(t *testing.T) {
	for text, want := range map[string]string{
		"a: 1\na: 2\n":                "line 2: got the key \"a\" twice: line 1 has it already",
		"a: [1\n":                     "line 1: did not find expected ',' or ']'",
		"a:\n\tb: 1\n":                "line 2: found character that cannot start any token",
		"{[1]: 2}":                    "line 1: got a key that is no string",
		strings.Repeat("[", 300) + "": "",
	} {
		if _, err := Parse([]byte(text)); err == nil || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("%q: got %v, want %s", text, err, want)
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add([]byte(sample))
	f.Add([]byte("a: &a [*a]"))
	f.Fuzz(func(_ *testing.T, data []byte) {
		_, _ = Parse(data) // no panic, and it ends
	})
}
