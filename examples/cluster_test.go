package examples

import (
	"bytes"
	"errors"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"
)

func TestCluster(t *testing.T) {
	endToEnd(t)
	c := startControlPlane(t)
	c.startKubelet()
	t.Run("life", func(t *testing.T) { testLife(c.newLab(t)) })
	t.Run("hashed", func(t *testing.T) { testHashed(c.newLab(t)) })
	t.Run("reasons", func(t *testing.T) { testReasons(c.newLab(t)) })
	t.Run("definitions", func(t *testing.T) { testDefinitions(c.newLab(t)) })
	t.Run("owners", func(t *testing.T) { testOwners(c.newLab(t)) })
	t.Run("immutable", func(t *testing.T) { testImmutable(c.newLab(t)) })
	t.Run("fixed fields", func(t *testing.T) { testFixedFields(t, c) })
	t.Run("refused", func(t *testing.T) { testRefused(c.newLab(t)) })
	t.Run("targets", func(t *testing.T) { testTargets(c.newLab(t)) })
	t.Run("at once", func(t *testing.T) { testAtOnce(c.newLab(t)) })
	t.Run("interrupted", func(t *testing.T) { testApplyInterrupted(c.newLab(t)) })
	t.Run("flaky", func(t *testing.T) { testFlaky(c.newLab(t)) })
	t.Run("wrong cluster", func(t *testing.T) { testWrongCluster(c.newLab(t)) })
	t.Run("access", func(t *testing.T) { testAccess(c.newLab(t)) })
}

// testLife applies, applies again, changes, prunes and deletes.
func testLife(c *clusterTest) {
	c.env = append(c.env, "LABSTAR_SECRET_DB=hunter2-and-more")
	words := []string{"REPLICAS", "2", "CONFIG", "a", "MORE", "[]"}
	c.script(webLab, words...)
	c.labstar(1, []string{"diff"}, "+ Namespace web", "+ Deployment web/web")
	c.labstar(0, []string{"apply", "--dry-run=server"}, "create  Deployment web/web")
	if _, err := c.try("GET", "/api/v1/namespaces/web", "", nil); err == nil {
		c.t.Error("a dry run made the namespace")
	}
	c.labstar(0, []string{"apply"}, "created Namespace web", "created Deployment web/web", "5 created, all ready")
	secret := c.must("GET", "/api/v1/namespaces/web/secrets/database", "", nil)
	if got := str(secret, "data", "url"); got != "cGc6Ly93ZWI6aHVudGVyMi1hbmQtbW9yZUBkYi93ZWI=" {
		c.t.Errorf("got secret %q", got)
	}
	if out, err := exec.Command("grep", "-r", "hunter2", c.store, c.lab.dir).CombinedOutput(); err == nil {
		c.t.Errorf("the secret's value was kept: %s", out)
	}
	c.labstar(0, []string{"apply"}, "5 unchanged, all ready")
	c.labstar(0, []string{"diff"}, "no differences")
	c.must("PATCH", "/apis/apps/v1/namespaces/web/deployments/web", "application/merge-patch+json",
		map[string]any{"metadata": map[string]any{"annotations": map[string]any{"note": "somebody else's field is no difference"}}})
	c.labstar(0, []string{"diff"}, "no differences")

	// A new configuration: the old one is used by a revision that can be gone back to.
	words[1], words[3] = "3", "b"
	c.script(webLab, words...)
	c.env = append(c.env, "LABSTAR_SECRET_DB=another-value")
	out := c.labstar(1, []string{"diff"}, "~ Deployment web/web", "spec.replicas: 2 → 3", "spec.template.spec.volumes[config].configMap.name: web-a → web-b",
		"+ ConfigMap web/web-b", "~ Secret web/database", "data.url: (a value that is not shown)")
	if strings.Contains(out, "another-value") || strings.Contains(out, "YW5vdGhlci12YWx1ZQ") {
		c.t.Errorf("diff shows the secret:\n%s", out)
	}
	c.labstar(1, []string{"diff", "--quiet"})
	c.labstar(1, []string{"diff", "--json"}, `"verb":"change","fields":[{"path":"data.url","old":"(a value that is not shown)"`, `"command":"diff","created":1,"changed":2,`, `"exit":1}`)
	c.labstar(0, []string{"apply"}, "ConfigMap web/web-a left, since ReplicaSet web-", "all ready")
	if got := c.names("/api/v1/namespaces/web/configmaps"); got != "web-a web-b" {
		c.t.Errorf("got config maps %s", got)
	}
	// Nothing of the old revision is kept: it goes. So does the Service, after a question.
	c.script(strings.Replace(webLab, `"replicas"`, `"revisionHistoryLimit": 0, "replicas"`, 1), words...)
	c.must("DELETE", "/apis/apps/v1/namespaces/web/replicasets/"+c.oldReplicaSet("web"), "", nil)
	c.labstar(1, []string{"apply"}, "will remove ConfigMap web/web-a", "say --yes")
	c.script(strings.Replace(webLab, `plain("Service"`, `plain("ServiceAccount"`, 1), append(words, `, spec = {"selector": {"app": "web"}, "ports": [{"port": 80, "targetPort": 8080}]}`, "")...)
	c.labstar(1, []string{"diff"}, "- Service web/web  (not in the script)", "+ ServiceAccount web/web")
	c.labstar(0, []string{"apply", "--yes"}, "removed Service web/web", "removed ConfigMap web/web-a", "1 created, 2 removed, 4 unchanged, all ready")
	if got := c.names("/api/v1/namespaces/web/services"); got != "" {
		c.t.Errorf("got services %s", got)
	}
	c.labstar(0, []string{"diff"}, "no differences")

	c.labstar(1, []string{"delete"}, "will remove Namespace web, with all that is in it", "say --yes")
	c.labstar(0, []string{"delete", "--yes"}, "removed Deployment web/web", "removed Namespace web", "removed 5 objects")
	if got := c.names("/api/v1/namespaces/default/configmaps"); got != "" {
		c.t.Errorf("got config maps %s, want no parent of an ApplySet", got)
	}
	c.labstar(0, []string{"delete", "--yes"}, "nothing of ")

	c.labstar(0, []string{"apply", "--json"}, `{"event":"object","kind":"Deployment","group":"apps","namespace":"web","name":"web","verb":"created"}`, `"command":"apply","created":5,`)
	c.labstar(0, []string{"delete", "--json", "--yes"}, `"kind":"Namespace","name":"web","verb":"removed"}`, `"command":"delete","created":0,"changed":0,"replaced":0,"removed":5,`)
}

// oldReplicaSet is the one that has no replicas any more.
func (c *clusterTest) oldReplicaSet(namespace string) string {
	c.t.Helper()
	for _, rs := range items(c.must("GET", "/apis/apps/v1/namespaces/"+namespace+"/replicasets", "", nil)) {
		if n, _ := at(rs, "spec", "replicas").(float64); n == 0 {
			return str(rs, "metadata", "name")
		}
	}
	c.t.Fatal("there is no old ReplicaSet")
	return ""
}

// testHashed changes a file and a secret of which objects with a hash in their names are
// made: the pods get new ones, and the old ones stay for as long as they can be gone
// back to.
func testHashed(c *clusterTest) {
	c.writeScript("lab.star", `
load("@stdlib//k8s.star", "config_map_from", "deployment", "from_secret", "secret_from")

config = config_map_from("app", {"app.conf": file("app.conf")})
login = secret_from("login", {"password": secret("db")})
manifests = k8s_manifest([config, login, deployment(
    "hashed",
    image = "registry.example/web@sha256:" + 64 * "a",
    mounts = {"/etc/app": config},
    env = {"PASSWORD": from_secret(login, "password")},
    revision_history_limit = 1,
)])
`)
	secret := func(value string) { c.env = append(c.env, "LABSTAR_SECRET_DB="+value) }
	made := func() (configs, secrets int) {
		count := func(kind string) int { return len(strings.Fields(c.names("/api/v1/namespaces/default/" + kind))) }
		return count("configmaps") - 1, count("secrets") // one is the parent
	}
	for i, tc := range []struct {
		config, secret   string
		configs, secrets int
	}{
		{"one", "first", 1, 1},
		{"two", "first", 2, 1},  // the revision before has the old file
		{"two", "second", 1, 2}, // the one before that is no longer kept
		{"four", "third", 2, 2},
	} {
		c.writeScript("app.conf", tc.config)
		secret(tc.secret)
		c.labstar(0, []string{"apply"}, "all ready") // nobody is asked about what nothing uses
		c.settle("hashed", min(i+1, 2))
		c.labstar(0, []string{"apply"}, "unchanged")
		if configs, secrets := made(); configs != tc.configs || secrets != tc.secrets {
			c.t.Errorf("%d: got %d ConfigMaps and %d Secrets, want %d and %d", i, configs, secrets, tc.configs, tc.secrets)
		}
	}
	c.labstar(0, []string{"delete", "--yes"}, "removed 5 objects")
	if out, err := exec.Command("grep", "-r", "third", c.store).CombinedOutput(); err == nil {
		c.t.Errorf("the secret's value was kept: %s", out)
	}
}

// settle waits until the Deployment has that many revisions.
func (c *clusterTest) settle(name string, revisions int) {
	c.t.Helper()
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(100 * time.Millisecond) {
		n := 0
		for _, rs := range items(c.must("GET", "/apis/apps/v1/namespaces/default/replicasets", "", nil)) {
			if strings.HasPrefix(str(rs, "metadata", "name"), name+"-") {
				n++
			}
		}
		if n == revisions {
			return
		}
		if time.Now().After(deadline) {
			c.t.Fatalf("got %d revisions of %s, want %d", n, name, revisions)
		}
	}
}

// testReasons wants to be told why something does not get ready.
func testReasons(c *clusterTest) {
	const script = `
NS = "reasons"
base = manifest({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NS}})
missing = manifest(workload("Deployment", "missing", image("missing")))
crash = manifest(workload("StatefulSet", "crash", image("crash")))
nonode = manifest(workload("Deployment", "nonode", image("web"), nodeSelector = {"disk": "fast"}))
fail = manifest(workload("Job", "fail", image("fail")))
once = manifest(workload("Job", "once", image("once")))
daemon = manifest(workload("DaemonSet", "daemon", image("web")))
claim = manifest(plain("PersistentVolumeClaim", "data", spec = {
    "accessModes": ["ReadWriteOnce"], "storageClassName": "", "resources": {"requests": {"storage": "1Gi"}}}))
few = manifest(plain("ResourceQuota", "few", spec = {"hard": {"count/pods": "0"}}))
quota = manifest(workload("Deployment", "many", image("web")))
`
	c.script(script)
	c.labstar(0, []string{"apply", "lab.star", "base", "once"}, "created Job reasons/once", "all ready")
	// A pod of a StatefulSet that never got ready is in the way of its own remedy.
	c.labstar(1, []string{"apply", "lab.star", "crash", "--patience", "1s"}, "exit code 3")
	c.script(strings.ReplaceAll(script, `image("crash")`, `image("web")`))
	c.labstar(1, []string{"apply", "lab.star", "crash", "--patience", "1s"}, "StatefulSet reasons/crash: ", "pod crash-0 is of the revision before and not ready", "kubectl delete pod crash-0 -n reasons")
	c.must("DELETE", "/api/v1/namespaces/reasons/pods/crash-0", "", nil)
	c.labstar(0, []string{"apply", "lab.star", "crash"}, "1 unchanged, all ready")
	c.labstar(0, []string{"delete", "lab.star", "crash", "--yes"})
	c.script(script)
	for _, tc := range []struct {
		target  string
		timeout string
		want    []string
	}{
		{"missing", "1m", []string{"Deployment reasons/missing: 0 of 1 replicas ready: pod missing-", "image registry.example/missing@sha256:aaa", "can't be pulled (ImagePullBackOff): ", "not found"}},
		{"crash", "1m", []string{"StatefulSet reasons/crash: 0 of 1 replicas ready: pod crash-0: container main ends each time it is started with exit code 3, 4 times now", "| no database given: set DB_URL"}},
		{"fail", "1m", []string{"Job reasons/fail: failed: ", "container main ended with exit code 1", "| reading /etc/app.conf"}},
		{"nonode", "3s", []string{"Deployment reasons/nonode: 0 of 1 replicas ready: pod nonode-", "can't be scheduled: 0/1 nodes are available: 1 node(s) didn't match", "after 3s"}},
		{"claim", "6s", []string{"PersistentVolumeClaim reasons/data: no volume is bound to it: no persistent volumes available for this claim and no storage class is set"}},
		{"quota", "1m", []string{"Deployment reasons/many: its pods can't be made: ", "exceeded quota: few"}},
	} {
		if tc.target == "quota" { // it counts from when a controller has seen it
			c.labstar(0, []string{"apply", "lab.star", "few"})
			deadline := time.Now().Add(time.Minute)
			for at(c.must("GET", "/api/v1/namespaces/reasons/resourcequotas/few", "", nil), "status", "hard") == nil && time.Now().Before(deadline) {
				time.Sleep(50 * time.Millisecond)
			}
		}
		c.labstar(1, []string{"apply", "lab.star", tc.target, "--patience", "2s", "--timeout", tc.timeout}, append(tc.want, "applied ", "not ready")...)
		c.labstar(0, []string{"delete", "lab.star", tc.target, "--yes"})
	}
	c.labstar(0, []string{"delete", "--yes"}, "removed Namespace reasons")
}

// testDefinitions applies a kind and an object of it at once.
func testDefinitions(c *clusterTest) {
	c.script(`
NS = "gadgets"
manifests = manifest([
    {"apiVersion": "lab.example.com/v1", "kind": "Gadget", "metadata": {"name": "one", "namespace": NS}, "spec": {"size": 3}},
    {"apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition", "metadata": {"name": "gadgets.lab.example.com"}, "spec": {
        "group": "lab.example.com", "scope": "Namespaced", "names": {"plural": "gadgets", "singular": "gadget", "kind": "Gadget"},
        "versions": [{"name": "v1", "served": True, "storage": True, "schema": {"openAPIV3Schema": {"type": "object", "properties": {
            "spec": {"type": "object", "properties": {"size": {"type": "integer"}}}}}}}],
    }},
    {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NS}},
])
`)
	out := c.labstar(0, []string{"apply", "--timeout", "1m"}, "created Gadget gadgets/one", "3 created, all ready")
	if strings.Index(out, "created CustomResourceDefinition") > strings.Index(out, "created Gadget") {
		c.t.Errorf("the kind came after its object:\n%s", out)
	}
	c.labstar(0, []string{"diff"}, "no differences")
	c.labstar(0, []string{"delete", "--yes"}, "removed Gadget gadgets/one", "removed 3 objects")
}

const oneDeployment = `
NS = "default"
manifests = manifest(workload("Deployment", "NAME", image("web"), replicas = 1))
`

// testOwners meets fields and objects that others own.
func testOwners(c *clusterTest) {
	c.script(oneDeployment, "NAME", "owned")
	c.labstar(0, []string{"apply"}, "1 created, all ready")
	c.must("PATCH", "/apis/apps/v1/namespaces/default/deployments/owned?fieldManager=kubectl-edit", "application/merge-patch+json",
		map[string]any{"spec": map[string]any{"replicas": 3}})
	c.labstar(1, []string{"apply"}, "Deployment default/owned: kubectl-edit (somebody, by hand) has set spec.replicas: leave it out of the script, or take it over with --force-conflicts")
	c.labstar(2, []string{"diff"}, "has set spec.replicas")
	c.labstar(1, []string{"diff", "--force-conflicts"}, "spec.replicas: 3 → 1")
	c.labstar(0, []string{"apply", "--force-conflicts"}, "1 changed, all ready")

	other := c.controlPlane.newLab(c.t)
	other.script(oneDeployment, "NAME", "owned")
	other.labstar(1, []string{"apply", "--name", "other"}, "Deployment default/owned is part of another ApplySet, applyset-")
	c.labstar(0, []string{"delete", "--yes"}, "removed 1 object")
}

// testImmutable changes what can't be changed.
func testImmutable(c *clusterTest) {
	job := `
NS = "default"
manifests = manifest([workload("Job", "once", image("IMAGE")), plain("PersistentVolumeClaim", "data", spec = {
    "accessModes": ["MODE"], "storageClassName": "none", "volumeName": "data", "resources": {"requests": {"storage": "1Gi"}}})])
`
	c.script(job, "IMAGE", "once", "MODE", "ReadWriteOnce")
	c.labstar(0, []string{"apply", "--no-wait"}, "2 created")
	c.script(job, "IMAGE", "other/once", "MODE", "ReadWriteMany")
	const was = `got "registry.example/other/once@sha256:aaa`
	c.labstar(1, []string{"apply"}, "Job once: spec.template.spec.containers[0].image: "+was, `, and the cluster has "registry.example/once@sha256:`, ": the field can't be changed\n",
		`manifests = manifest([workload("Job", "once", image("other/once")), plain(`, "hint: give the new one another name, or have it removed and made anew with --recreate\n",
		`PersistentVolumeClaim data: spec.accessModes[0]: got "ReadWriteMany", and the cluster has "ReadWriteOnce": the field can't be changed`,
		` |     "accessModes": ["ReadWriteMany"]`, "what it holds would be lost if it were replaced, so do that by hand")
	c.labstar(2, []string{"diff", "--json"}, `"event":"error","message":"Job once: spec.template.spec.containers[0].image: got `, `"file":"lab.star","line":`)
	c.script(job, "IMAGE", "other/once", "MODE", "ReadWriteOnce")
	c.labstar(1, []string{"diff", "--recreate"}, "± Job default/once  (made anew: spec.template can't be changed)", "registry.example/once@sha256")
	c.labstar(1, []string{"apply", "--recreate"}, "will replace Job default/once", "say --yes")
	c.labstar(0, []string{"apply", "--recreate", "--yes", "--no-wait"}, "replaced Job default/once", "1 replaced, 1 unchanged")
	c.labstar(0, []string{"delete", "--yes"}, "removed 2 objects")

	// What the server takes without a word and does not change.
	names := `
NS = "default"
manifests = manifest(plain("Service", "names", spec = {"ports": [{"port": 80}], ADDRESS}))
`
	c.script(names, "ADDRESS", `"clusterIP": "None"`)
	c.labstar(0, []string{"apply"}, "1 created")
	c.labstar(0, []string{"apply"}, "1 unchanged")
	c.script(names, "ADDRESS", "")
	c.labstar(0, []string{"plan"}, `Service names: spec.clusterIP: got nothing, and the last run had "None": the field can't be changed, and what is there is kept`)
	c.labstar(1, []string{"apply"}, `Service names: spec.clusterIP: got nothing, and the cluster has "None": the field can't be changed, and what is there is kept`, "made anew with --recreate\n")
	c.labstar(0, []string{"apply", "--recreate", "--yes"}, "replaced Service default/names")
	c.labstar(0, []string{"apply"}, "1 unchanged")
	c.script(names, "ADDRESS", `"clusterIP": "None"`)
	c.labstar(0, []string{"plan"}, `Service names: spec.clusterIP: got "None", and the last run had an address of the cluster's choice: the field can't be changed`)
	c.labstar(1, []string{"apply"}, `Service names: spec.clusterIP: got "None", and the cluster has "10.0.`)
	c.labstar(0, []string{"delete", "--yes"}, "removed 1 object")
}

// testRefused wants all that the server refuses told before anything is changed.
func testRefused(c *clusterTest) {
	c.script(`
NS = "default"
manifests = manifest([
    {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "good"}},
    {"apiVersion": "lab.example.com/v1", "kind": "Gizmo", "metadata": {"name": "x"}},
])
lost = manifest({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "good", "namespace": "nowhere"}})
`)
	c.labstar(1, []string{"apply", "lab.star", "manifests"}, "Gizmo x: the cluster has no kind Gizmo in lab.example.com/v1; is its CustomResourceDefinition missing?")
	c.labstar(1, []string{"apply", "lab.star", "lost"}, `namespaces "nowhere" not found`)
	c.labstar(1, []string{"apply", "lab.star", "lost", "-n", "nowhere"}, "there is no namespace nowhere: choose one with --namespace, or have the script make it")
	if got := c.names("/api/v1/namespaces/default/configmaps"); got != "" {
		c.t.Errorf("got config maps %s, want none", got)
	}
}

// testTargets renames a target: what it held goes with the apply of all.
func testTargets(c *clusterTest) {
	script := `
NS = "default"
first = manifest(plain("ConfigMap", "one"))
NAME = {"a": manifest(plain("ConfigMap", "two")), "b": manifest(plain("ConfigMap", "three"))}
`
	c.script(script, "NAME", "second")
	c.labstar(0, []string{"apply"}, "3 created")
	c.script(script, "NAME", "renamed", "two", "four")
	c.labstar(0, []string{"apply", "lab.star", "first"}, "1 unchanged")
	c.labstar(0, []string{"apply", "--yes"}, "created ConfigMap default/four", "changed ConfigMap default/three", "removed ConfigMap default/two")
	c.labstar(1, []string{"delete", "lab.star", "renames"}, `has no target "renames"`, `(did you mean "renamed"?); it has: first, renamed`)
	c.answer("n", []string{"delete", "lab.star", "renamed"}, "will remove ConfigMap default/four", "Remove 2 objects from ", "[y/N]", "nothing was changed")
	c.answer("y", []string{"delete", "lab.star", "renamed"}, "removed 2 objects")
	c.labstar(0, []string{"delete", "--yes"}, "removed 1 object")
	if got := c.names("/api/v1/namespaces/default/configmaps"); got != "" {
		c.t.Errorf("got config maps %s, want none", got)
	}
}

// testApplyInterrupted presses Ctrl-C while an apply waits.
func testApplyInterrupted(c *clusterTest) {
	c.script(strings.Replace(oneDeployment, `image("web")`, `image("hold")`, 1), "NAME", "waits")
	cmd := c.command("apply")
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Start(); err != nil {
		c.t.Fatal(err)
	}
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(50 * time.Millisecond) {
		if pods := c.must("GET", "/api/v1/namespaces/default/pods?labelSelector=app%3Dwaits", "", nil); len(items(pods)) > 0 {
			break
		}
		if time.Now().After(deadline) {
			c.t.Fatal("no pod came")
		}
	}
	if err := cmd.Process.Signal(syscall.SIGINT); err != nil {
		c.t.Fatal(err)
	}
	err := cmd.Wait()
	var exit *exec.ExitError
	if !errors.As(err, &exit) || exit.ExitCode() != 130 {
		c.t.Errorf("got %v, want exit code 130", err)
	}
	for _, want := range []string{"applied 1 of 1 object", "the same command goes on from here", "interrupted"} {
		if !strings.Contains(out.String(), want) {
			c.t.Errorf("want %q in\n%s", want, &out)
		}
	}
	c.script(oneDeployment, "NAME", "waits")
	c.labstar(0, []string{"apply"}, "1 changed, all ready")
	c.labstar(0, []string{"delete", "--yes"})
}
