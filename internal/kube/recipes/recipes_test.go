package recipes

import (
	"flag"
	"os"
	"path/filepath"
	"testing"
)

var update = flag.Bool("update", false, "write the files instead of comparing them")

// The recipes of stdlib are what the API and the table make.
func TestFresh(t *testing.T) {
	d, err := ReadDocs("docs.json.zst")
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{"k8s.star": Objects(d), "k8s/types.star": Types(d)} {
		file := filepath.Join("../../../stdlib", name)
		if *update {
			if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(file, []byte(want), 0o644); err != nil {
				t.Fatal(err)
			}
			continue
		}
		if got, err := os.ReadFile(file); err != nil || string(got) != want {
			t.Errorf("%s is not what the generator makes (%v); run go generate ./internal/kube/recipes", file, err)
		}
	}
}

func TestSnake(t *testing.T) {
	for in, want := range map[string]string{
		"replicas": "replicas", "minReadySeconds": "min_ready_seconds", "clusterIP": "cluster_ip", "externalIPs": "external_ips",
		"HTTPGetAction": "http_get_action", "hostPID": "host_pid", "nonResourceURLs": "non_resource_urls", "from": "from_", "fsGroup": "fs_group",
		"loadBalancerIP": "load_balancer_ip", "PodDNSConfig": "pod_dns_config", "x-kubernetes-embedded-resource": "x_kubernetes_embedded_resource",
	} {
		if got := Snake(in); got != want {
			t.Errorf("%s: got %s, want %s", in, got, want)
		}
	}
}
