package cluster

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/labstar/labstar/action"
)

func TestParse(t *testing.T) {
	list, err := Parse([]byte("# only a comment\n---\nkind: Service\napiVersion: v1\nmetadata: {name: a}\nspec: {ports: [{port: 80}]}\n---\n" +
		"kind: List\napiVersion: v1\nitems:\n- {kind: Job, apiVersion: batch/v1, metadata: {name: b, namespace: lab}}\n- {kind: Namespace, apiVersion: v1, metadata: {name: lab}}\n"))
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, o := range InOrder(list) {
		got = append(got, o.String())
	}
	if want := []string{"Namespace lab", "Job lab/b", "Service a"}; !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
	for text, want := range map[string]string{
		"kind: Service\n":                          "document 1: got an object without kind or metadata.name",
		"kind: A\nmetadata: {name: a}\n---\n- a\n": "document 2: got no Kubernetes object",
		"a: 1\na: 2\n":                             "already set",
	} {
		if _, err := Parse([]byte(text)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: got %v, want %q", text, err, want)
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add([]byte("kind: Service\napiVersion: v1\nmetadata: {name: a}\n---\n{}"))
	f.Fuzz(func(_ *testing.T, b []byte) {
		list, err := Parse(b)
		if err == nil {
			_ = FillSecrets(list, func(string) (string, error) { return "x", nil }) // any error but a panic
			for _, o := range list {
				statusOf(o)
				references(podSpec(o.ID().Kind, o.Object), "x")
			}
		}
	})
}

func TestOrder(t *testing.T) {
	var last phase
	for _, kind := range strings.Fields("Namespace CustomResourceDefinition.apiextensions.k8s.io StorageClass.storage.k8s.io StatefulSet.apps Ingress.networking.k8s.io Gadget.lab.example.com MutatingWebhookConfiguration.admissionregistration.k8s.io") {
		group, name := "", kind
		if k, g, ok := strings.Cut(kind, "."); ok {
			name, group = k, g
		}
		o := &Object{Unstructured: &unstructured.Unstructured{Object: map[string]any{"kind": name, "apiVersion": strings.TrimPrefix(group+"/v1", "/")}}}
		if p := phaseOf(o.ID().Kind); p < last || p == last && last != namespaces {
			t.Errorf("%s: got phase %d after %d", kind, p, last)
		} else {
			last = p
		}
	}
}

func TestFillSecrets(t *testing.T) {
	get := func(name string) (string, error) {
		if name == "db" {
			return "hunter2", nil
		}
		return "", errors.New("secret " + name + " is not given")
	}
	token := action.SecretToken("db")
	s := object(t, "kind: Secret\napiVersion: v1\nmetadata: {name: s}\nstringData: {url: 'pg://me:"+token+"@db'}\ndata: {pw: '"+token+"', plain: eA==}")
	if err := FillSecrets([]*Object{s}, get); err != nil {
		t.Fatal(err)
	}
	data, _, err := unstructured.NestedStringMap(s.Object, "data")
	if err != nil || data["url"] != "cGc6Ly9tZTpodW50ZXIyQGRi" || data["pw"] != "aHVudGVyMg==" || data["plain"] != "eA==" || len(data) != 3 {
		t.Errorf("got %v, %v", data, err)
	}
	if s.Object["stringData"] != nil {
		t.Errorf("stringData is still there")
	}
	for yaml, want := range map[string]string{
		"kind: ConfigMap\napiVersion: v1\nmetadata: {name: c}\ndata: {a: 'x" + token + "'}":                   `ConfigMap c: .data.a holds the secret "db", which everybody could read there`,
		"kind: Pod\napiVersion: v1\nmetadata: {name: c}\nspec: {args: ['" + token + "']}":                     `Pod c: .spec.args[0] holds`,
		"kind: Secret\napiVersion: v1\nmetadata: {name: c, labels: {a: '" + token + "'}}":                     `Secret c: .metadata.labels.a holds`,
		"kind: Secret\napiVersion: v1\nmetadata: {name: c}\ndata: {a: '" + action.SecretToken("other") + "'}": "Secret c: secret other is not given",
	} {
		if err := FillSecrets([]*Object{object(t, yaml)}, get); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v, want %q", yaml, err, want)
		}
	}
}

func TestReferences(t *testing.T) {
	o := object(t, `{kind: CronJob, apiVersion: batch/v1, metadata: {name: x}, spec: {jobTemplate: {spec: {template: {spec: {
		imagePullSecrets: [{name: pull}],
		volumes: [{configMap: {name: vol}}, {secret: {secretName: svol}}, {projected: {sources: [{configMap: {name: proj}}, {secret: {name: sproj}}]}}],
		initContainers: [{envFrom: [{configMapRef: {name: from}}, {secretRef: {name: sfrom}}]}],
		containers: [{env: [{valueFrom: {configMapKeyRef: {name: key, key: k}}}, {valueFrom: {secretKeyRef: {name: skey, key: k}}}]}]}}}}}}`)
	var got []string
	for _, id := range references(podSpec(o.ID().Kind, o.Object), "lab") {
		got = append(got, id.String())
	}
	slices.Sort(got)
	want := strings.Split("ConfigMap lab/from,ConfigMap lab/key,ConfigMap lab/proj,ConfigMap lab/vol,Secret lab/pull,Secret lab/sfrom,Secret lab/skey,Secret lab/sproj,Secret lab/svol", ",")
	if !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}
