package examples

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"time"
)

// kubelet stands for the scheduler and the one node of a control plane: it does what
// they do by the same requests, but starts nothing. How a container does is told by the
// name of its image:
//
//	missing   it can't be pulled
//	crash     it ends with exit code 3, again and again; its log is crashLog
//	fail      it ends with exit code 1
//	once      it ends well
//	hold      it never gets ready
//
// and any other runs and is ready. A pod with a nodeSelector finds no node.
type kubelet struct {
	*controlPlane
	seen map[string]bool // UIDs of pods that have their status
}

const crashLog = "reading /etc/app.conf\nno database given: set DB_URL\n"

// startKubelet starts it; it ends with the test.
func (c *controlPlane) startKubelet() {
	c.t.Helper()
	logs := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !strings.HasPrefix(r.URL.Path, "/containerLogs/") {
			http.NotFound(w, r)
			return
		}
		fmt.Fprint(w, crashLog)
	}))
	c.t.Cleanup(logs.Close)
	u, err := url.Parse(logs.URL)
	if err != nil {
		c.t.Fatal(err)
	}
	c.must("PATCH", "/api/v1/nodes/node?fieldManager=test", "application/apply-patch+yaml", map[string]any{"apiVersion": "v1", "kind": "Node", "metadata": map[string]any{"name": "node"}})
	var port int
	if _, err := fmt.Sscan(u.Port(), &port); err != nil {
		c.t.Fatal(err)
	}
	c.must("PATCH", "/api/v1/nodes/node/status", "application/merge-patch+json", map[string]any{"status": map[string]any{
		"addresses":       []any{map[string]any{"type": "InternalIP", "address": "127.0.0.1"}},
		"daemonEndpoints": map[string]any{"kubeletEndpoint": map[string]any{"Port": port}},
	}})
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	k := &kubelet{controlPlane: c, seen: map[string]bool{}}
	go func() {
		defer close(done)
		for ctx.Err() == nil {
			k.sync()
			time.Sleep(100 * time.Millisecond)
		}
	}()
	c.t.Cleanup(func() { cancel(); <-done })
}

// sync takes every pod a step further. A request that fails is made again in the next
// round.
func (k *kubelet) sync() {
	pods, err := k.try("GET", "/api/v1/pods", "", nil)
	if err != nil {
		return
	}
	for _, p := range items(pods) {
		path := "/api/v1/namespaces/" + str(p, "metadata", "namespace") + "/pods/" + str(p, "metadata", "name")
		uid := str(p, "metadata", "uid")
		switch {
		case str(p, "metadata", "deletionTimestamp") != "":
			_, _ = k.try("DELETE", path, "application/json", map[string]any{"gracePeriodSeconds": 0})
		case k.seen[uid]:
		case at(p, "spec", "nodeSelector") != nil:
			_, err := k.try("PATCH", path+"/status", "application/merge-patch+json", map[string]any{"status": map[string]any{"conditions": []any{map[string]any{
				"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": "0/1 nodes are available: 1 node(s) didn't match Pod's node affinity/selector."}}}})
			k.seen[uid] = err == nil
		case str(p, "spec", "nodeName") == "":
			_, _ = k.try("POST", path+"/binding", "application/json", map[string]any{"apiVersion": "v1", "kind": "Binding",
				"metadata": map[string]any{"name": str(p, "metadata", "name")}, "target": map[string]any{"kind": "Node", "name": "node"}})
		default:
			_, err := k.try("PATCH", path+"/status", "application/merge-patch+json", map[string]any{"status": podStatus(p)})
			k.seen[uid] = err == nil
		}
	}
}

// podStatus is what a kubelet would come to say of a pod.
func podStatus(p map[string]any) map[string]any {
	containers, _ := at(p, "spec", "containers").([]any)
	image, name := str(containers[0], "image"), str(containers[0], "name")
	container := map[string]any{"name": name, "image": image, "imageID": "", "ready": false, "restartCount": 0, "state": map[string]any{"running": map[string]any{}}}
	phase, ready := "Running", "False"
	does := func(what string) bool { return strings.Contains(image, "/"+what+"@") }
	ended := func(code int, reason string) map[string]any {
		return map[string]any{"terminated": map[string]any{"exitCode": code, "reason": reason}}
	}
	switch {
	case does("missing"):
		phase = "Pending"
		container["state"] = map[string]any{"waiting": map[string]any{"reason": "ImagePullBackOff",
			"message": "Back-off pulling image: ErrImagePull: registry.example/missing: not found"}}
	case does("crash"):
		container["state"] = map[string]any{"waiting": map[string]any{"reason": "CrashLoopBackOff", "message": "back-off 40s restarting failed container"}}
		container["lastState"], container["restartCount"] = ended(3, "Error"), 4
	case does("fail"):
		phase, container["state"] = "Failed", ended(1, "Error")
	case does("once"):
		phase, container["state"] = "Succeeded", ended(0, "Completed")
	case does("hold"):
	default:
		ready, container["ready"] = "True", true
	}
	condition := func(kind, status string) map[string]any { return map[string]any{"type": kind, "status": status} }
	return map[string]any{
		"phase": phase, "podIP": "10.1.0.1", "podIPs": []any{map[string]any{"ip": "10.1.0.1"}}, "containerStatuses": []any{container},
		"conditions": []any{condition("PodScheduled", "True"), condition("Initialized", "True"), condition("ContainersReady", ready), condition("Ready", ready)},
	}
}
