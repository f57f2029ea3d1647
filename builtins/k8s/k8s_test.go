package k8s

import (
	"errors"
	"os"
	"strings"
	"testing"

	"go.starlark.net/starlark"
	"go.starlark.net/syntax"

	"github.com/labstar/labstar/internal/buildtest"
	"github.com/labstar/labstar/starlark/schema"
)

// recipes are the functions of stdlib/k8s.star.
func recipes(t *testing.T) starlark.StringDict {
	t.Helper()
	src, err := os.ReadFile("../../stdlib/k8s.star")
	if err != nil {
		t.Fatal(err)
	}
	g, err := starlark.ExecFileOptions(&syntax.FileOptions{}, &starlark.Thread{}, "k8s.star", src, starlark.StringDict{"k8s_hashed": Hashed})
	if err != nil {
		t.Fatal(err)
	}
	return g
}

func eval(t *testing.T, script string) (*buildtest.Lab, starlark.Value, error) {
	t.Helper()
	lab := buildtest.New(t)
	more := recipes(t)
	digest := schema.LateText(lab.File("sha256:" + strings.Repeat("ab", 32)).Artifact)
	more["digest"] = digest
	more["image"] = schema.NewArtifact(lab.File("x").Artifact, "image", starlark.StringDict{
		"ref": starlark.String("lab/web@") + digest, "digest": digest})
	g, err := lab.TryEval(Builtins(), script, more)
	return lab, g["m"], err
}

const golden = `apiVersion: apps/v1
kind: Deployment
metadata:
  labels:
    app.kubernetes.io/name: web
  name: web
spec:
  replicas: 2
  selector:
    matchLabels:
      app.kubernetes.io/name: web
  template:
    metadata:
      labels:
        app.kubernetes.io/name: web
    spec:
      containers:
      - env:
        - name: A
          value: "1"
        image: lab/web@sha256:abababababababababababababababababababababababababababababababab
        name: web
        ports:
        - containerPort: 8080
          name: main
          protocol: TCP
        readinessProbe:
          httpGet:
            path: /
            port: main
---
apiVersion: v1
kind: Service
metadata:
  labels:
    app.kubernetes.io/name: web
  name: web
spec:
  ports:
  - name: main
    port: 80
    protocol: TCP
    targetPort: 8080
  selector:
    app.kubernetes.io/name: web
  type: ClusterIP
---
apiVersion: v1
kind: ConfigMap
metadata:
  name: c.onf
data:
  "on": "yes"
  text: |
    two
    lines
immutable: true
`

func TestManifest(t *testing.T) {
	lab, m, err := eval(t, `m = k8s_manifest([
    deployment("web", image = image.ref, port = 8080, replicas = 2, probe = "/", env = {"A": "1"}),
    service("web", port = 80, target_port = 8080),
    {"immutable": True, "data": {"text": "two\nlines\n", "on": "yes"}, "metadata": {"name": "c.onf"}, "kind": "ConfigMap", "apiVersion": "v1"},
])`)
	if err != nil {
		t.Fatal(err)
	}
	if got := lab.Text(m); got != golden {
		t.Errorf("got\n%s\nwant\n%s\nif that is meant, raise the Version of %s", got, golden, manifestOp.Name)
	}
}

func TestImages(t *testing.T) {
	for ref, ok := range map[string]bool{
		`image.ref`: true, `"lab/web@" + digest`: true, `"Lab/Web@" + digest`: false, `"lab/web:" + digest`: true, `digest`: true,
		`"nginx"`: true, `"registry.lan:5000/a/b:1.0"`: true, `"Nginx"`: false, `"ngi nx"`: false, `""`: false, `"nginx:"`: false,
		`"nginx@sha256:12"`: false, `"localhost/a__b"`: true, `"a@sha256:` + strings.Repeat("0", 64) + `"`: true,
	} {
		_, _, err := eval(t, `m = k8s_manifest(deployment("web", image = `+ref+`))`)
		if ok != (err == nil) {
			t.Errorf("%s: got %v", ref, err)
		}
	}
}

func TestErrors(t *testing.T) {
	for script, want := range map[string]string{
		`k8s_manifest([])`:  `objects: got none`,
		`k8s_manifest("x")`: `objects: got string, want a dict or a list`,
		`k8s_manifest([1])`: `objects[0]: got int, want a dict`,
		`k8s_manifest({"kind": "X", "metadata": {"name": "x"}})`:                              `apiVersion is missing`,
		`k8s_manifest({"apiversion": "v1", "kind": "X", "metadata": {"name": "x"}})`:          `(did you mean "apiVersion"?)`,
		`k8s_manifest({"apiVersion": "v1", "kind": "pod", "metadata": {"name": "x"}})`:        `kind: got "pod", want a name in capitals and small letters, as "Deployment" (did you mean "Pod"?)`,
		`k8s_manifest({"apiVersion": "v1", "kind": "Secret"})`:                                `metadata is missing`,
		`k8s_manifest({"apiVersion": "v1", "kind": "Secret", "metadata": {}})`:                `Secret: metadata: name is missing`,
		`k8s_manifest({"apiVersion": "v1/a/b", "kind": "Secret", "metadata": {"name": "x"}})`: `want VERSION or GROUP/VERSION`,
		`k8s_manifest(deployment("My_App", image = "a"))`:                                     `Deployment My_App: metadata.name: got the name "My_App", want lower-case letters`,
		`k8s_manifest(service("My_App", port = 80))`:                                          `did you mean "my-app"?`,
		`k8s_manifest(service("web", port = 0))`:                                              `got 0, want a port from 1 to 65535`,
		`k8s_manifest(service("web", port = "80"))`:                                           `Service web: spec.ports[0].port: got the string "80", want a number`,
		`k8s_manifest(service("web", port = 80, type = "NodePort", node_port = 80))`:          `want a port from 30000 to 32767`,
		`k8s_manifest(service("1web", port = 80))`:                                            `got the name "1web"`,
		`k8s_manifest(deployment("web", image = "a", labels = {"a b": "c"}))`:                 `got the key "a b"`,
		`k8s_manifest(deployment("web", image = "a", labels = {"a": True}))`:                  `got bool, want a string: write "true"`,
		`k8s_manifest(deployment("web", image = "a", labels = {"a": "c d"}))`:                 `got the value "c d"`,
		`k8s_manifest(deployment("web", image = "a", env = {"A": 1}))`:                        `containers[0].env[0].value: got int, want a string: write "1"`,
		`k8s_manifest(deployment("web", image = "a", env = {"A=": "1"}))`:                     `got the variable name "A="`,
		`k8s_manifest(deployment("web", image = "a", namespace = "A"))`:                       `got the name "A", want lower-case`,
		`k8s_manifest([service("web", port = 80), service("web", port = 81)])`:                `Service web: got the Service "web" twice`,
		`k8s_manifest(deployment("web", image = "a") | {"spec": {"selector": {"matchLabels": {"a": "b"}}, "template": {"spec": {"containers": [{"name": "x", "image": "y"}]}}}})`: `selects pods with a=b, which the template does not give them`,
		`k8s_manifest({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "x"}, "spec": {}})`:                                                                                `Pod x: spec: containers is missing`,
		`k8s_manifest({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "x"}, "spec": {"containers": [{"name": "a", "image": "b"}, {"name": "a", "image": "b"}]}})`:        `spec.containers[1].name: got name "a" twice: spec.containers[0] has it already`,
		`k8s_manifest(deployment("web", image = image))`:            `an artifact has no path here`,
		`k8s_manifest(deployment("web", image = "see %s" % image))`: `["image"]`,
		`k8s_manifest(deployment("web", image = image.ref[:30]))`:   `damaged late-bound string`,
	} {
		_, _, err := eval(t, "m = "+script)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s\ngot  %v\nwant %s", script, err, want)
		}
	}
}

// TestPathNamesTheAttribute: the error for a path in a manifest says what to use.
func TestPathNamesTheAttribute(t *testing.T) {
	_, _, err := eval(t, `m = k8s_manifest(deployment("web", image = image))`)
	var e *schema.Error
	if !errors.As(err, &e) || !strings.Contains(e.Hint, ".ref") {
		t.Errorf("got %v, want a hint at .ref", err)
	}
}

func TestLateNameIsNotChecked(t *testing.T) {
	if _, _, err := eval(t, `m = k8s_manifest({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "x-" + digest, "labels": {"d": digest}}})`); err != nil {
		t.Error(err)
	}
}
