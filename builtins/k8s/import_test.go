package k8s

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"go.starlark.net/starlark"

	"github.com/labstar/labstar/action"
	"github.com/labstar/labstar/internal/buildtest"
	"github.com/labstar/labstar/starlark/schema"
)

// folder is a script's own tree.
type folder map[string]string

func (f folder) ReadFile(_ *schema.Call, path string) ([]byte, error) {
	text, ok := f[path]
	if !ok {
		return nil, fmt.Errorf("%s: %w", path, os.ErrNotExist)
	}
	return []byte(text), nil
}

func (folder) File(*schema.Call, string) (action.Source, error) {
	return action.Source{}, os.ErrNotExist
}

func (folder) Tree(*schema.Call, string, []string, []string) (action.Source, error) {
	return action.Source{}, os.ErrNotExist
}

func importLab(t *testing.T, script string) (*buildtest.Lab, starlark.StringDict, error) {
	t.Helper()
	lab := buildtest.New(t)
	lab.Session().Files = folder{"web.yaml": webYAML}
	g, err := lab.TryEval(Builtins(), script, recipes(t))
	return lab, g, err
}

const webYAML = `# the web server
apiVersion: apps/v1
kind: Deployment
metadata: {name: web}
spec:
  replicas: 1
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec:
      containers:
      - {name: web, image: "nginx:1.27", env: [{name: A, value: "1"}, {name: B, value: "2"}]}
      - {name: side, image: "side:1"}
---
apiVersion: v1
kind: Service
metadata: {name: web}
spec: {selector: {app: web}, ports: [{port: 80}]}
`

func TestImport(t *testing.T) {
	lab, g, err := importLab(t, `
plain = k8s_import(["web.yaml"])
m = k8s_import(["web.yaml"], patches = {
    "Deployment/web": {"spec": {"replicas": 3, "template": {"spec": {"containers": [
        {"name": "web", "image": "nginx:1.28", "env": [{"name": "B", "value": "3"}, {"name": "C", "value": "4"}]},
    ]}}}},
    "Service/web": {"metadata": {"labels": {"a": "b"}}, "spec": {"selector": {"app": "web"}, "type": None}},
})
both = k8s_manifest([m, {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "c"}}])
kinds = [o["kind"] for o in both.objects]
`)
	if err != nil {
		t.Fatal(err)
	}
	want := `apiVersion: apps/v1
kind: Deployment
metadata:
  name: web
spec:
  replicas: 3
  selector:
    matchLabels:
      app: web
  template:
    metadata:
      labels:
        app: web
    spec:
      containers:
      - env:
        - name: A
          value: "1"
        - name: B
          value: "3"
        - name: C
          value: "4"
        image: nginx:1.28
        name: web
      - image: side:1
        name: side
---
apiVersion: v1
kind: Service
metadata:
  labels:
    a: b
  name: web
spec:
  ports:
  - port: 80
  selector:
    app: web
---
apiVersion: v1
kind: ConfigMap
metadata:
  name: c
`
	if got := lab.Text(g["both"]); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	if got := g["kinds"].String(); got != `["Deployment", "Service", "ConfigMap"]` {
		t.Errorf("got %s", got)
	}
	if strings.Contains(lab.Text(g["plain"]), "1.28") {
		t.Error("a patch changed another import of the file")
	}
}

func TestImportErrors(t *testing.T) {
	for script, want := range map[string]string{
		`k8s_import([])`:           "files: got none",
		`k8s_import(["wbe.yaml"])`: "wbe.yaml",
		`k8s_import(["web.yaml"], patches = {"Deployment/wbe": {}})`:                         `there is no "Deployment/wbe" in the files (did you mean "Deployment/web"?)`,
		`k8s_import(["web.yaml"], k8s_version = "1.12")`:                                     `got the Kubernetes version "1.12", want one of`,
		`k8s_import(["web.yaml"], nodes = {"a": {"cpus": 1}})`:                               `a node has no "cpus" (did you mean "cpu"?)`,
		`k8s_import(["web.yaml"], external = ["web"])`:                                       `got "web", want KIND/NAME`,
		`k8s_import(["web.yaml"], external = ["Secrets/web"])`:                               `there is no kind "Secrets" (did you mean "Secret"?)`,
		`k8s_import(["web.yaml"], patches = {"Deployment/web": {"spec": {"replicas": -1}}})`: `Deployment web: spec.replicas: got -1, want 0 or more`,
		`k8s_import(["web.yaml"]).objects[0].update({"a": 1})`:                               "frozen",
	} {
		_, _, err := importLab(t, "m = "+script)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s\ngot  %v\nwant %s", script, err, want)
		}
	}
}

// A name follows its content; a secret's value is nowhere.
func TestHashed(t *testing.T) {
	const value = "correct horse battery staple"
	build := func(text string) (name, all string, lab *buildtest.Lab) {
		lab = buildtest.New(t)
		lab.Secrets = map[string]string{"db": value}
		more := recipes(t)
		more["secret"] = starlark.NewBuiltin("secret", func(_ *starlark.Thread, _ *starlark.Builtin, args starlark.Tuple, _ []starlark.Tuple) (starlark.Value, error) {
			return &schema.Secret{Name: string(args[0].(starlark.String))}, nil
		})
		more["conf_file"] = lab.File(text)
		g := lab.Eval(Builtins(), `
conf = config_map_from("conf", {"a.conf": conf_file, "b": "x"})
db = secret_from("db", {"password": secret("db"), "url": ["pg://lab:", secret("db"), "@db"]})
m = k8s_manifest([conf, db, deployment("web", image = "nginx", env = {"P": from_secret(db, "password")}, mounts = {"/etc/a": conf})])
`, more)
		all = lab.Text(g["m"])
		_, name, _ = strings.Cut(all, "name: conf-")
		name, _, _ = strings.Cut(name, "\n")
		return name, all, lab
	}
	one, all, lab := build("listen 80\n")
	again, _, _ := build("listen 80\n")
	other, _, _ := build("listen 81\n")
	if one != again || one == other || len(one) != 10 {
		t.Errorf("got the hashes %q, %q, and %q of another content", one, again, other)
	}
	for _, part := range []string{"name: conf-" + one + "\n", "immutable: true", "labstar/hashed: conf", "a.conf: |\n    listen 80\n", `password: '@labstar-secret:db@'`, `url: pg://lab:@labstar-secret:db@@db`} {
		if !strings.Contains(strings.ReplaceAll(all, `"`, `'`), part) {
			t.Errorf("got no %q in\n%s", part, all)
		}
	}
	if n := strings.Count(all, "conf-"+one); n != 2 {
		t.Errorf("the name is in %d places, want 2", n)
	}
	err := filepath.WalkDir(lab.Dir(), func(path string, d os.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() { // the jobserver has a pipe there
			return err
		}
		b, err := os.ReadFile(path)
		if strings.Contains(string(b), value) {
			t.Errorf("%s holds the secret", path)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}
