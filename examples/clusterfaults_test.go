package examples

import (
	"bytes"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// testFlaky applies through connections of which none lasts longer than a moment.
func testFlaky(c *clusterTest) {
	proxy, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		c.t.Fatal(err)
	}
	c.t.Cleanup(func() { proxy.Close() })
	cut := 0
	go func() {
		for {
			in, err := proxy.Accept()
			if err != nil {
				return
			}
			out, err := net.Dial("tcp", strings.TrimPrefix(c.url, "https://"))
			if err != nil {
				in.Close()
				continue
			}
			cut++
			time.AfterFunc(time.Duration(50*cut)*time.Millisecond, func() { in.Close(); out.Close() })
			go func() { _, _ = io.Copy(out, in) }()
			go func() { _, _ = io.Copy(in, out) }()
		}
	}()
	b, err := os.ReadFile(c.kubeconfig)
	if err != nil {
		c.t.Fatal(err)
	}
	file := filepath.Join(c.lab.dir, "kubeconfig")
	if err := os.WriteFile(file, bytes.ReplaceAll(b, []byte(c.url), []byte("https://"+proxy.Addr().String())), 0o600); err != nil {
		c.t.Fatal(err)
	}
	c.script(`
NS = "default"
manifests = manifest([plain("ConfigMap", "c%d" % i) for i in range(200)] + [workload("Deployment", "d%d" % i, image("web")) for i in range(10)])
`)
	c.labstar(0, []string{"apply", "--kubeconfig", file}, "210 created, all ready")
	c.labstar(0, []string{"delete", "--kubeconfig", file, "--yes"}, "removed 210 objects")
	if cut < 3 {
		c.t.Errorf("there were %d connections, want some that were cut", cut)
	}
}

// testWrongCluster makes another cluster the script's home.
func testWrongCluster(c *clusterTest) {
	c.script("NS = \"default\"\nmanifests = manifest(plain(\"ConfigMap\", \"one\"))\n")
	c.labstar(0, []string{"apply"}, "1 created")
	home := ""
	for _, e := range c.env {
		if v, ok := strings.CutPrefix(e, "HOME="); ok {
			home = v
		}
	}
	record := filepath.Join(home, ".config/labstar/clusters.json")
	b, err := os.ReadFile(record)
	if err != nil {
		c.t.Fatal(err)
	}
	uid := str(c.must("GET", "/api/v1/namespaces/kube-system", "", nil), "metadata", "uid")
	if !bytes.Contains(b, []byte(uid)) {
		c.t.Fatalf("the record does not have the cluster %s:\n%s", uid, b)
	}
	if err := os.WriteFile(record, bytes.ReplaceAll(b, []byte(uid), []byte("of-another-cluster")), 0o600); err != nil {
		c.t.Fatal(err)
	}
	c.labstar(1, []string{"apply"}, "(context lab) is another cluster than the one this script was applied to", "--cluster-change")
	c.labstar(1, []string{"delete", "--yes"}, "is another cluster")
	c.labstar(0, []string{"diff"}, "no differences")
	c.labstar(0, []string{"apply", "--context", "lab"}, "1 unchanged")
	c.labstar(1, []string{"apply"}, "is another cluster")
	c.labstar(0, []string{"apply", "--cluster-change"}, "1 unchanged")
	c.labstar(0, []string{"apply"}, "1 unchanged")
	c.labstar(0, []string{"delete", "--yes"})
}

// testAccess is refused for several reasons.
func testAccess(c *clusterTest) {
	c.script("NS = \"default\"\nmanifests = manifest(plain(\"ConfigMap\", \"one\"))\n")
	c.labstar(1, []string{"apply", "--context", "jane"}, `User "jane" cannot list resource "configmaps"`, "ask for a role that allows it of user jane, or choose another context")
	c.labstar(1, []string{"apply", "--context", "expired"}, "does not take the credentials of user expired: they may have expired")
	c.labstar(1, []string{"apply", "--context", "stranger"}, "its certificate is signed by an authority that the kubeconfig does not name")
}
