package cluster

import (
	"slices"
	"strings"
	"testing"
)

func TestDifferences(t *testing.T) {
	for _, tc := range []struct {
		name, live, want string
		lines            []string
	}{
		{"what the server keeps for itself",
			"kind: ConfigMap\napiVersion: v1\nmetadata: {name: x, uid: a, generation: 1, resourceVersion: '1', managedFields: [{manager: m}], annotations: {kubectl.kubernetes.io/last-applied-configuration: '{}'}}\nstatus: {a: 1}",
			"kind: ConfigMap\napiVersion: v1\nmetadata: {name: x, uid: b, generation: 2, resourceVersion: '2', annotations: {kubectl.kubernetes.io/last-applied-configuration: ''}}", nil},
		{"elements that are told apart by name",
			"kind: Deployment\napiVersion: apps/v1\nmetadata: {name: x}\nspec: {replicas: 2, c: [{name: a, image: 'a:1'}, {name: b, image: 'b:1'}]}",
			"kind: Deployment\napiVersion: apps/v1\nmetadata: {name: x}\nspec: {replicas: 3, c: [{name: b, image: 'b:2'}, {name: c, image: 'c:1'}]}",
			[]string{"spec.c[b].image: b:1 → b:2", `spec.c[c]: {"image":"c:1","name":"c"} (new)`, `spec.c[a]: {"image":"a:1","name":"a"} (removed)`, "spec.replicas: 2 → 3"}},
		{"elements that are not",
			"kind: X\napiVersion: v1\nmetadata: {name: x}\nspec: {args: [a, b]}", "kind: X\napiVersion: v1\nmetadata: {name: x}\nspec: {args: [a, c, d]}",
			[]string{"spec.args[1]: b → c", "spec.args[2]: d (new)"}},
		{"labels", "kind: X\napiVersion: v1\nmetadata: {name: x}", "kind: X\napiVersion: v1\nmetadata: {name: x, labels: {app.kubernetes.io/name: web}}",
			[]string{`metadata.labels: {"app.kubernetes.io/name":"web"} (new)`}},
		{"an empty text", "kind: X\napiVersion: v1\nmetadata: {name: x}\ndata: {a: x}", "kind: X\napiVersion: v1\nmetadata: {name: x}\ndata: {a: ''}",
			[]string{`data.a: x → ""`}},
		{"a secret", "kind: Secret\napiVersion: v1\nmetadata: {name: x, labels: {a: b}}\ndata: {a: b2xk, gone: b2xk}",
			"kind: Secret\napiVersion: v1\nmetadata: {name: x, labels: {a: c}}\ndata: {a: bmV3, came: bmV3}",
			[]string{"data.a: (a value that is not shown) → (a value that is not shown)", "data.came: (a value that is not shown) (new)",
				"data.gone: (a value that is not shown) (removed)", "metadata.labels.a: b → c"}},
		{"a secret's whole data", "kind: Secret\napiVersion: v1\nmetadata: {name: x}", "kind: Secret\napiVersion: v1\nmetadata: {name: x}\ndata: {a: bmV3}",
			[]string{"data.a: (a value that is not shown) (new)"}},
	} {
		live, want := object(t, tc.live), object(t, tc.want)
		s := &Step{Verb: Change, Object: want, Live: live.Unstructured, Want: want.Unstructured, asked: true}
		var got []string
		for _, d := range s.Differences() {
			got = append(got, d.String())
		}
		if !slices.Equal(got, tc.lines) {
			t.Errorf("%s: got\n%s\nwant\n%s", tc.name, strings.Join(got, "\n"), strings.Join(tc.lines, "\n"))
		}
	}
}

// Of what is made anew, the server has not filled in the rest: only what the script
// says is compared.
func TestDifferencesOfReplaced(t *testing.T) {
	live := object(t, "kind: Job\napiVersion: batch/v1\nmetadata: {name: x}\nspec: {parallelism: 1, template: {spec: {c: [{name: a, image: 'a:1', pull: Always}]}}}")
	want := object(t, "kind: Job\napiVersion: batch/v1\nmetadata: {name: x}\nspec: {template: {spec: {c: [{name: a, image: 'a:2'}]}}}")
	s := &Step{Verb: Replace, Object: want, Live: live.Unstructured, Want: want.Unstructured}
	if got := s.Differences(); len(got) != 1 || got[0].String() != "spec.template.spec.c[a].image: a:1 → a:2" {
		t.Errorf("got %v", got)
	}
}

func TestLineDiff(t *testing.T) {
	for _, tc := range []struct{ a, b, want string }{
		{"a b c d", "a x c d", "- b|+ x"},
		{"a b c", "a b c d", "+ d"},
		{"a b c", "c", "- a|- b"},
		{"a b c d e", "b c e f", "- a|- d|+ f"},
		{"a", "a", ""},
	} {
		got := strings.Join(lineDiff(strings.Fields(tc.a), strings.Fields(tc.b)), "|")
		if got != tc.want {
			t.Errorf("%s, %s: got %s, want %s", tc.a, tc.b, got, tc.want)
		}
	}
}
