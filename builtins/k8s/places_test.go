package k8s_test

import (
	"strings"
	"testing"
	"testing/fstest"

	"github.com/labstar/labstar/builtins"
	"github.com/labstar/labstar/starlark/host"
	"github.com/labstar/labstar/stdlib"
)

func load(t *testing.T, files map[string]string) error {
	t.Helper()
	fsys := fstest.MapFS{}
	for name, text := range files {
		fsys[name] = &fstest.MapFile{Data: []byte(text)}
	}
	_, err := host.Load(t.Context(), host.Config{FS: fsys, Stdlib: stdlib.FS, Builtins: builtins.All()}, "lab.star")
	return err
}

// Errors are told at what made the object or the field, wherever that is.
func TestPlaces(t *testing.T) {
	for script, want := range map[string]string{
		`
load("@stdlib//k8s.star", "deployment", "service")
web = deployment("web", image = "nginx", port = 8080)
front = service(
    "web",
    port = 80,
    target_port = "htp",
)
m = k8s_manifest([web, front])`: `lab.star:7:19: k8s_manifest: Service web: spec.ports[0].targetPort: no container of Deployment web has a port named "htp" for TCP
     7 |     target_port = "htp",
       |                   ^^^^^
  hint: its ports are main`,
		`
load("@stdlib//k8s.star", "deployment")
def app(name, image):
    return deployment(name, image = image, env = {"MODE": 1})
m = k8s_manifest([app("web", "nginx"), app("db", "Postgres")])`: `lab.star:4:59: k8s_manifest: Deployment web: spec.template.spec.containers[0].env[0].value: got int, want a string: write "1"
     4 |     return deployment(name, image = image, env = {"MODE": 1})
       |                                                           ^
  called from lab.star:5:19`,
		`
ports = [{"port": 80}, {"port": 80808, "name": "b"}]
m = k8s_manifest({"apiVersion": "v1", "kind": "Service", "metadata": {"name": "x"}, "spec": {"ports": ports}})`: `lab.star:2:33: k8s_manifest: Service x: spec.ports[1].port: got 80808`,
		`
load("@stdlib//k8s.star", "pvc")
data = pvc("data", "10Gb")
m = k8s_manifest(data, external = ["Pod/*"])`: `lab.star:3:20: k8s_manifest: PersistentVolumeClaim data: spec.resources.requests.storage: got "10Gb", want a quantity`,
		`
load("@stdlib//k8s.star", "config_map_from", "deployment", "from_config")
conf = config_map_from("conf", {"a": "b"})
m = k8s_manifest([conf, deployment("web", image = "nginx", env = {"A": from_config(conf, "c")})])`: `lab.star:4:90: k8s_manifest: Deployment web: spec.template.spec.containers[0].env[0].valueFrom.configMapKeyRef.key: ConfigMap conf-<hash of ConfigMap conf> has no key "c"`,
		`
base = k8s_import(["db.yaml"], across = False)
m = k8s_manifest([base, {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "db"}, "spec": {"selector": {"app": "d"}, "ports": [{"port": 1}]}}])`: `lab.star:3:114: k8s_manifest: Service db: spec.selector: selects nothing: no pods have app=d`,
		`
base = k8s_import(["db.yaml"], across = False)
m = k8s_manifest([o | {"spec": o["spec"] | {"replicas": 2}} for o in base.objects])`: `db.yaml:12:57: k8s_manifest: Deployment db: spec.template.spec.volumes[0].persistentVolumeClaim.claimName: there is no PersistentVolumeClaim "data"`,
	} {
		err := load(t, map[string]string{"lab.star": script, "db.yaml": database})
		got := ""
		if err != nil {
			got = err.Error()
		}
		if !strings.Contains(got, want) {
			t.Errorf("%s\ngot  %s\nwant %s", script, got, want)
		}
	}
}

const database = `apiVersion: apps/v1
kind: Deployment
metadata: {name: db}
spec:
  selector: {matchLabels: {app: db}}
  template:
    metadata: {labels: {app: db}}
    spec:
      containers:
      - {name: db, image: "postgres:17", volumeMounts: [{name: data, mountPath: /data}]}
      volumes:
      - {name: data, persistentVolumeClaim: {claimName: data}}
`
