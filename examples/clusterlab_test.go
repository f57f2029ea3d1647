package examples

import (
	"errors"
	"os/exec"
	"slices"
	"strings"
	"testing"
)

// clusterLab is what the scripts of these tests have in common.
const clusterLab = `
def image(name):
    return "registry.example/%s@sha256:%s" % (name, 64 * "a")

def pods(name, image, **more):
    return {
        "metadata": {"labels": {"app": name}},
        "spec": dict(containers = [{"name": "main", "image": image}], **more),
    }

def workload(kind, name, image, replicas = None, **more):
    spec = {"selector": {"matchLabels": {"app": name}}, "template": pods(name, image, **more)}
    if kind == "Job":
        spec = {"backoffLimit": 0, "template": pods(name, image, restartPolicy = "Never", **more)}
    if kind == "StatefulSet":
        spec["serviceName"] = name
    if replicas != None:
        spec["replicas"] = replicas
    return {"apiVersion": "batch/v1" if kind == "Job" else "apps/v1", "kind": kind, "metadata": {"name": name, "namespace": NS}, "spec": spec}

# What is there already, as far as the script's own checks go: the cluster is asked.
def manifest(objects):
    return k8s_manifest(objects, external = ["Namespace/*", "Pod/*", "PersistentVolume/*", "StorageClass/*", "Service/*", "CustomResourceDefinition/*"])

def plain(kind, name, api = "v1", **fields):
    return dict({"apiVersion": api, "kind": kind, "metadata": {"name": name, "namespace": NS}}, **fields)
`

// webLab is a lab of a namespace, a configuration, a secret, a Deployment and its
// Service.
const webLab = `
NS = "web"

manifests = k8s_manifest([
    plain("Service", "web", spec = {"selector": {"app": "web"}, "ports": [{"port": 80, "targetPort": 8080}]}),
    workload("Deployment", "web", image("web"), replicas = REPLICAS, volumes = [
        {"name": "config", "configMap": {"name": "web-CONFIG"}},
        {"name": "database", "secret": {"secretName": "database"}},
    ]),
    plain("ConfigMap", "web-CONFIG", data = {"mode": "CONFIG"}),
    plain("Secret", "database", stringData = {"url": ["pg://web:", secret("db"), "@db/web"]}),
    {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NS}},
] + MORE)
`

// clusterTest is a lab with a cluster to apply it to.
type clusterTest struct {
	*lab
	*controlPlane
	t *testing.T
}

func (c *controlPlane) newLab(t *testing.T) *clusterTest {
	t.Helper()
	l := newLab(t, "tiny", t.TempDir()) // its script is written anew
	l.env = append(l.env, "KUBECONFIG="+c.kubeconfig)
	return &clusterTest{l, c, t}
}

// script writes the lab, with words replaced by others.
func (c *clusterTest) script(text string, words ...string) {
	c.t.Helper()
	c.writeScript("lab.star", clusterLab+strings.NewReplacer(words...).Replace(text))
}

// labstar runs a command and wants its exit code, and every text in what it prints.
func (c *clusterTest) labstar(code int, args []string, want ...string) string {
	c.t.Helper()
	if (args[0] == "apply" || args[0] == "delete") && !slices.Contains(args, "--timeout") {
		args = append(slices.Clip(args), "--timeout", "1m")
	}
	out, err := c.command(args...).CombinedOutput()
	got := 0
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		got = exit.ExitCode()
	} else if err != nil {
		c.t.Fatal(err)
	}
	if got != code {
		c.t.Errorf("labstar %v: got exit code %d, want %d:\n%s", args, got, code, out)
	}
	for _, w := range want {
		if !strings.Contains(string(out), w) {
			c.t.Errorf("labstar %v: want %q in\n%s", args, w, out)
		}
	}
	c.t.Logf("labstar %s\n%s", strings.Join(args, " "), out)
	return string(out)
}

// answer runs a command on a terminal on which somebody types an answer.
func (c *clusterTest) answer(text string, args []string, want ...string) {
	c.t.Helper()
	need(c.t, "script")
	cmd := c.command(args...)
	path, err := exec.LookPath("script")
	if err != nil {
		c.t.Fatal(err)
	}
	cmd.Args = []string{"script", "-q", "-e", "-c", strings.Join(cmd.Args, " "), "/dev/null"}
	cmd.Path = path
	cmd.Stdin = strings.NewReader(text + "\n")
	out, err := cmd.CombinedOutput()
	for _, w := range want {
		if !strings.Contains(string(out), w) {
			c.t.Errorf("labstar %v on a terminal, with %q: want %q in (%v)\n%s", args, text, w, err, out)
		}
	}
}
