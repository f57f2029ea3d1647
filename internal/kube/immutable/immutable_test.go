package immutable

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
)

func object(t *testing.T, text string) (o map[string]any) {
	t.Helper()
	if err := json.Unmarshal([]byte(text), &o); err != nil {
		t.Fatal(err)
	}
	return o
}

// What an API server refuses is held against one in examples (testFixedFields); this is
// about how it is told.
func TestChanges(t *testing.T) {
	const (
		job    = `{"apiVersion":"batch/v1","kind":"Job","spec":`
		config = `{"apiVersion":"v1","kind":"ConfigMap","immutable":true,`
		secret = `{"apiVersion":"v1","kind":"Secret","immutable":true,`
	)
	for _, tc := range []struct {
		was, is string
		want    []string
	}{
		{config + `"data":{"a":"1","gone":"x"}}`, config + `"data":{"a":"2","came.conf":"y"}}`,
			[]string{`data.a: "1" → "2" at [data a]`, `data["came.conf"]: "y" (new) at [data came.conf]`, `data.gone: "x" (removed) at [data gone]`}},
		{config + `"data":{"a":"1"}}`, `{"apiVersion":"v1","kind":"ConfigMap","data":{"a":"1"}}`, []string{`immutable: true → "false" at [immutable]`}},
		{secret + `"data":{"a":"MQ=="}}`, secret + `"data":{"a":"Mg=="}}`,
			[]string{"data.a: (a value that is not shown) → (a value that is not shown) at [data a]"}},
		{job + `{"template":{"spec":{"containers":[{"name":"a","image":"x"}],"dnsPolicy":"ClusterFirst"}}}}`,
			job + `{"template":{"spec":{"containers":[{"name":"a","image":"y"}]}}}}`,
			[]string{`spec.template.spec.containers[0].image: "x" → "y" at [spec template spec containers 0 image]`}},
		{job + `{"template":{"spec":{"containers":[{"name":"a"}]}}}}`, job + `{"template":{"spec":{"containers":[{"name":"a"},{"name":"b"}]}}}}`,
			[]string{`spec.template.spec.containers: [{"name":"a"}] → [{"name":"a"},{"name":"b"}] at [spec template spec containers]`}},
		{job + `{"template":{"spec":{"containers":[{"resources":{"requests":{"cpu":"1","memory":"1Gi"}}}]}}}}`,
			job + `{"template":{"spec":{"containers":[{"resources":{"requests":{"cpu":"1000m","memory":"2Gi"}}}]}}}}`,
			[]string{`spec.template.spec.containers[0].resources.requests.memory: "1Gi" → "2Gi" at [spec template spec containers 0 resources requests memory]`}},
		{job + `{"completionMode":"Indexed","completions":2}}`, job + `{"completionMode":"Indexed","completions":3,"parallelism":3}}`, nil},
		{job + `{"completionMode":"Indexed","completions":2}}`, job + `{"completionMode":"Indexed","completions":3}}`,
			[]string{`spec.completions: 2 → 3 at [spec completions]`}},
		{`{"apiVersion":"example.com/v1","kind":"Job","spec":{"template":1}}`, `{"apiVersion":"example.com/v1","kind":"Job","spec":{"template":2}}`, nil},
	} {
		var got []string
		for _, c := range Changes(object(t, tc.was), object(t, tc.is)) {
			got = append(got, fmt.Sprintf("%s at %v", c, c.Path))
		}
		if !slices.Equal(got, tc.want) {
			t.Errorf("%s\n%s: got\n%s\nwant\n%s", tc.was, tc.is, strings.Join(got, "\n"), strings.Join(tc.want, "\n"))
		}
	}
}

// Of what the script said before, what it says no more is taken away; the server's own
// values are not.
func TestSince(t *testing.T) {
	const (
		job     = `{"apiVersion":"batch/v1","kind":"Job","spec":{"template":{"spec":`
		claim   = `{"apiVersion":"v1","kind":"PersistentVolumeClaim","spec":`
		service = `{"apiVersion":"v1","kind":"Service","spec":`
	)
	for _, tc := range []struct {
		was, is string
		want    []string
	}{
		{job + `{"hostUsers":true,"dnsPolicy":"ClusterFirst","volumes":[]}}}}`, job + `{"schedulerName":"default-scheduler"}}}}`,
			[]string{`spec.template.spec.hostUsers: true (removed) at [spec template spec hostUsers]`}},
		{claim + `{"storageClassName":"a","resources":{"requests":{"storage":"2Gi"}}}}`, claim + `{"resources":{"requests":{"storage":"1Gi"}}}}`,
			[]string{`spec.storageClassName: "a" (removed) at [spec storageClassName]`, `spec.resources.requests.storage: "2Gi" → "1Gi" at [spec resources requests storage]`}},
		{claim + `{"resources":{"requests":{"storage":"1Gi"}}}}`, claim + `{"resources":{"requests":{"storage":"2Gi"}}}}`, nil},
		{service + `{"clusterIP":"None"}}`, service + `{}}`, []string{`spec.clusterIP: "None" (removed, and kept) at [spec clusterIP]`}},
		{service + `{"clusterIP":"None"}}`, service + `{"type":"NodePort"}}`, []string{`spec.clusterIP: "None" (removed) at [spec clusterIP]`}},
		{service + `{}}`, service + `{"clusterIPs":["None"]}}`, []string{`spec.clusterIPs[0]: an address of the cluster's choice → "None" at [spec clusterIPs 0]`}},
		{service + `{"clusterIP":"10.0.0.1"}}`, service + `{}}`, nil},
		{service + `{"type":"ExternalName"}}`, service + `{"clusterIP":"None"}}`, nil},
		{service + `{"ipFamilies":["IPv4"]}}`, service + `{"ipFamilies":["IPv6","IPv4"]}}`, []string{`spec.ipFamilies[0]: "IPv4" → "IPv6" at [spec ipFamilies 0]`}},
	} {
		var got []string
		for _, c := range Since(object(t, tc.was), object(t, tc.is)) {
			got = append(got, fmt.Sprintf("%s at %v", c, c.Path))
		}
		if !slices.Equal(got, tc.want) {
			t.Errorf("%s\n%s: got\n%s\nwant\n%s", tc.was, tc.is, strings.Join(got, "\n"), strings.Join(tc.want, "\n"))
		}
	}
}

func TestRemedy(t *testing.T) {
	for _, tc := range []struct{ group, kind, want string }{
		{"batch", "Job", "give the new one another name, or have it removed and made anew with --recreate"},
		{"", "Secret", "k8s_hashed, config_map_from and secret_from make one of the content"},
		{"", "PersistentVolumeClaim", "what it holds would be lost"},
	} {
		if got := Remedy(tc.group, tc.kind, "--recreate"); !strings.Contains(got, tc.want) {
			t.Errorf("%s: got %q, want %q in it", tc.kind, got, tc.want)
		}
	}
}
