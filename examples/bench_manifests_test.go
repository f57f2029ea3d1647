package examples

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// Checks and evaluation of many manifests, beside the tools that people use. Each
// benchmark is of whole commands, the tools in turn: their ratio in one run is what
// counts.

const benchDeployment = `apiVersion: apps/v1
kind: Deployment
metadata:
  name: web-NNN
  labels:
    app.kubernetes.io/name: web-NNN
spec:
  replicas: 2
  selector:
    matchLabels:
      app.kubernetes.io/name: web-NNN
  template:
    metadata:
      labels:
        app.kubernetes.io/name: web-NNN
    spec:
      containers:
      - name: web
        image: registry.lan:5000/lab/web@sha256:abababababababababababababababababababababababababababababababab
        env:
        - name: MODE
          value: "1"
        - name: SETTING
          valueFrom:
            configMapKeyRef:
              name: web-NNN
              key: setting
        ports:
        - name: main
          containerPort: 8080
          protocol: TCP
        readinessProbe:
          httpGet:
            path: /
            port: main
          periodSeconds: 5
        resources:
          requests:
            cpu: 100m
            memory: 128Mi
          limits:
            memory: 256Mi
        volumeMounts:
        - name: config
          mountPath: /etc/web
      volumes:
      - name: config
        configMap:
          name: web-NNN
`

const benchService = `apiVersion: v1
kind: Service
metadata:
  name: web-NNN
  labels:
    app.kubernetes.io/name: web-NNN
spec:
  ports:
  - name: main
    port: 80
    protocol: TCP
    targetPort: main
  selector:
    app.kubernetes.io/name: web-NNN
`

const benchConfig = `apiVersion: v1
kind: ConfigMap
metadata:
  name: web-NNN
data:
  setting: "yes"
  web.conf: |
    listen 8080
    root /srv
`

// writeBench writes files and returns their names.
func writeBench(b *testing.B, dir string, n int, kinds ...string) []string {
	b.Helper()
	var files []string
	for i := 0; len(files) < n; i++ {
		for k, text := range kinds {
			name := fmt.Sprintf("m/%d-%d.yaml", i, k)
			if err := os.MkdirAll(filepath.Join(dir, "m"), 0o755); err != nil {
				b.Fatal(err)
			}
			if err := os.WriteFile(filepath.Join(dir, name), []byte(strings.ReplaceAll(text, "NNN", fmt.Sprint(i))), 0o644); err != nil {
				b.Fatal(err)
			}
			files = append(files, name)
		}
	}
	return files
}

// 999 manifests in as many files: `labstar plan` of a script that imports them, which
// checks each and all against each other, and kubeconform -strict.
func BenchmarkChecks(b *testing.B) {
	if os.Getenv("LABSTAR_E2E") == "" {
		b.Skip("end-to-end benchmark: set LABSTAR_E2E=1")
	}
	bin, schemas := kubeconform(b)
	l := newLab(b, "tiny", b.TempDir())
	files := writeBench(b, l.dir, 999, benchConfig, benchDeployment, benchService)
	script := "m = k8s_import([\"" + strings.Join(files, "\", \"") + "\"], k8s_version = \"1.36\")\n"
	if err := os.WriteFile(filepath.Join(l.dir, "checks.star"), []byte(script), 0o644); err != nil {
		b.Fatal(err)
	}
	b.Run("labstar", func(b *testing.B) {
		for b.Loop() {
			l.output("plan", "checks.star")
		}
	})
	b.Run("kubeconform", func(b *testing.B) {
		for b.Loop() {
			cmd := exec.Command(bin, "-strict", "-schema-location", schemas+"/{{.ResourceKind}}{{.KindSuffix}}.json", filepath.Join(l.dir, "m"))
			if out, err := cmd.CombinedOutput(); err != nil {
				b.Fatalf("%v\n%s", err, out)
			}
		}
	})
}

// rival finds a program of the comparison: LABSTAR_BENCH_KUSTOMIZE and so on name it.
func rival(b *testing.B, name string) string {
	b.Helper()
	bin := os.Getenv("LABSTAR_BENCH_" + strings.ToUpper(name))
	if bin == "" {
		b.Skipf("set LABSTAR_BENCH_%s to the program (go install it)", strings.ToUpper(name))
	}
	return bin
}

// 200 services, each a Deployment, a Service and a ConfigMap, from their definitions to
// a file of YAML: a script with a loop, an overlay over 200 bases, a chart with a range.
func BenchmarkServices(b *testing.B) {
	if os.Getenv("LABSTAR_E2E") == "" {
		b.Skip("end-to-end benchmark: set LABSTAR_E2E=1")
	}
	l := newLab(b, "tiny", b.TempDir())
	b.Run("labstar", func(b *testing.B) {
		const script = `load("@stdlib//k8s.star", "config_map", "deployment", "from_config", "service")

def web(n):
    conf = config_map("web-%d" % n, {"setting": "yes", "web.conf": "listen 8080\nroot /srv\n"})
    return [
        conf,
        deployment(
            "web-%d" % n,
            image = "registry.lan:5000/lab/web@sha256:abababababababababababababababababababababababababababababababab",
            port = 8080,
            replicas = 2,
            env = {"MODE": MODE, "SETTING": from_config(conf, "setting")},
            probe = "/",
            resources = {"requests": {"cpu": "100m", "memory": "128Mi"}, "limits": {"memory": "256Mi"}},
            mounts = {"/etc/web": conf},
        ),
        service("web-%d" % n, port = 80, target_port = "main"),
    ]

manifests = k8s_manifest([web(n) for n in range(200)])
`
		n := 0
		for b.Loop() {
			n++ // another value each time: nothing is found in the store
			text := fmt.Sprintf("MODE = %q\n%s", fmt.Sprint(n), script)
			if err := os.WriteFile(filepath.Join(l.dir, "services.star"), []byte(text), 0o644); err != nil {
				b.Fatal(err)
			}
			l.output("run", "services.star")
		}
	})
	b.Run("kustomize", func(b *testing.B) {
		bin, dir := rival(b, "kustomize"), b.TempDir()
		files := writeBench(b, dir, 600, benchConfig, benchDeployment, benchService)
		text := "resources:\n- " + strings.Join(files, "\n- ") + "\n"
		if err := os.WriteFile(filepath.Join(dir, "kustomization.yaml"), []byte(text), 0o644); err != nil {
			b.Fatal(err)
		}
		for b.Loop() {
			if out, err := exec.Command(bin, "build", dir, "-o", filepath.Join(b.TempDir(), "out.yaml")).CombinedOutput(); err != nil {
				b.Fatalf("%v\n%s", err, out)
			}
		}
	})
	b.Run("helm", func(b *testing.B) {
		bin, dir := rival(b, "helm"), b.TempDir()
		chart := "{{ range $i, $x := until 200 }}\n---\n" + strings.ReplaceAll(benchConfig+"---\n"+benchDeployment+"---\n"+benchService, "NNN", "{{ $i }}") + "{{ end }}\n"
		for name, text := range map[string]string{
			"Chart.yaml": "apiVersion: v2\nname: web\nversion: 1.0.0\n", "values.yaml": "{}\n", "templates/web.yaml": chart,
		} {
			file := filepath.Join(dir, name)
			if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
				b.Fatal(err)
			}
			if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
				b.Fatal(err)
			}
		}
		for b.Loop() {
			cmd := exec.Command(bin, "template", dir)
			cmd.Env = append(os.Environ(), "HOME="+dir)
			if out, err := cmd.Output(); err != nil {
				b.Fatalf("%v\n%s", err, out)
			}
		}
	})
}
