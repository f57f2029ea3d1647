package examples

import (
	"bytes"
	"crypto/rand"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
)

// controlPlane is a Kubernetes cluster without nodes: etcd, kube-apiserver and the
// controllers that make pods of workloads, bind volumes and collect garbage.
type controlPlane struct {
	t          testing.TB
	dir        string
	kubeconfig string // its contexts: lab, jane, expired, stranger
	url        string
	token      string
	client     *http.Client
	ends       []func() // of its parts, in the order in which they were started
}

// plane is the one control plane of this process, since it takes ten seconds to start.
// Tests that change something take out what they brought.
var plane *controlPlane

// startControlPlane starts it for the first test that needs it. kube-apiserver and
// kube-controller-manager are those of $LABSTAR_E2E_APISERVER, a folder; .ci/apiserver
// builds them. Without them the test is skipped.
func startControlPlane(t testing.TB) *controlPlane {
	t.Helper()
	if plane == nil {
		plane = newControlPlane(t)
	}
	of := *plane
	of.t = t
	return &of
}

// apiServer is the kubeconfig of the user's own API server, if one is named, and else of
// the control plane. It is asked in dry runs only.
func apiServer(t testing.TB) string {
	t.Helper()
	if server := os.Getenv("LABSTAR_E2E_KUBECONFIG"); server != "" {
		return server
	}
	return startControlPlane(t).kubeconfig
}

// programs are the two of Kubernetes.
func programs() (apiserver, manager string, err error) {
	bin := os.Getenv("LABSTAR_E2E_APISERVER")
	if bin == "" {
		home, err := os.UserHomeDir()
		if err != nil {
			return "", "", err
		}
		bin = filepath.Join(home, ".cache/lab-apiserver/bin")
	}
	apiserver, manager = filepath.Join(bin, "kube-apiserver"), filepath.Join(bin, "kube-controller-manager")
	for _, p := range []string{apiserver, manager} {
		if _, err := os.Stat(p); err != nil {
			return "", "", err
		}
	}
	_, err = exec.LookPath("etcd")
	return apiserver, manager, err
}

// haveControlPlane is for tests of which an API server is but a part.
func haveControlPlane() bool {
	_, _, err := programs()
	return err == nil
}

func newControlPlane(t testing.TB) *controlPlane {
	t.Helper()
	apiserver, manager, err := programs()
	if err != nil {
		t.Skipf("needs a Kubernetes API server and etcd: %v; .ci/apiserver builds the first (20 minutes, once)", err)
	}
	dir, err := os.MkdirTemp("", "labstar-e2e-plane") // that of the test ends with it
	if err != nil {
		t.Fatal(err)
	}
	c := &controlPlane{t: t, dir: dir, token: rand.Text(), client: &http.Client{
		Transport: &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}, // it signs its own certificate
	}}
	c.kubeconfig = filepath.Join(c.dir, "kubeconfig")
	c.run(apiserver, manager)
	return c
}

// run starts the parts. If one does not start, the others end.
func (c *controlPlane) run(apiserver, manager string) {
	t := c.t
	t.Helper()
	started := false
	defer func() {
		if !started {
			c.stop()
		}
	}()
	etcd, peers, port := freePort(t), freePort(t), freePort(t)
	c.url = "https://127.0.0.1:" + port
	c.writeFiles()
	c.start("etcd", "--data-dir", "etcd", "--unsafe-no-fsync", "--listen-client-urls", "http://127.0.0.1:"+etcd, "--advertise-client-urls", "http://127.0.0.1:"+etcd,
		"--listen-peer-urls", "http://127.0.0.1:"+peers, "--initial-advertise-peer-urls", "http://127.0.0.1:"+peers, "--initial-cluster", "default=http://127.0.0.1:"+peers)
	// No kubelet means no tokens in pods, so nobody needs the service accounts' admission.
	c.start(apiserver, "--etcd-servers", "http://127.0.0.1:"+etcd, "--bind-address", "127.0.0.1", "--advertise-address", "127.0.0.1", "--secure-port", port,
		"--cert-dir", "certs", "--endpoint-reconciler-type", "none", "--service-cluster-ip-range", "10.0.0.0/16", "--service-account-issuer", "https://kubernetes.default.svc",
		"--service-account-key-file", "sa.key", "--service-account-signing-key-file", "sa.key", "--token-auth-file", "tokens.csv", "--authorization-mode", "RBAC",
		"--disable-admission-plugins", "ServiceAccount", "--kubelet-preferred-address-types", "InternalIP", "--profiling=false")
	for deadline := time.Now().Add(2 * time.Minute); ; time.Sleep(200 * time.Millisecond) {
		if _, err := c.try("GET", "/readyz", "", nil); err == nil {
			break
		} else if time.Now().After(deadline) {
			t.Fatalf("the API server did not start: %v\n%s", err, c.log("kube-apiserver"))
		}
	}
	// The controllers that watch nodes would evict what is on one that never reports.
	c.start(manager, "--kubeconfig", "kubeconfig", "--leader-elect=false", "--secure-port", "0", "--kube-api-qps", "200", "--kube-api-burst", "400", "--pvclaimbinder-sync-period", "2s",
		"--controllers", "deployment-controller,replicaset-controller,statefulset-controller,daemonset-controller,job-controller,namespace-controller,"+
			"garbage-collector-controller,persistentvolume-binder-controller,persistentvolumeclaim-protection-controller,resourcequota-controller,endpointslice-controller")
	started = true
}

// stop ends the parts in the reverse order.
func (c *controlPlane) stop() {
	for _, end := range slices.Backward(c.ends) {
		end()
	}
	_ = os.RemoveAll(c.dir) // below the folder of temporary files
}

func freePort(t testing.TB) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	_, port, err := net.SplitHostPort(l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	return port
}

// writeFiles writes keys, tokens and the kubeconfig.
func (c *controlPlane) writeFiles() {
	c.t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		c.t.Fatal(err)
	}
	files := map[string]string{
		"sa.key":     string(pem.EncodeToMemory(&pem.Block{Type: "RSA PRIVATE KEY", Bytes: x509.MarshalPKCS1PrivateKey(key)})),
		"tokens.csv": c.token + ",admin,admin,system:masters\n",
		"kubeconfig": fmt.Sprintf(`apiVersion: v1
kind: Config
current-context: lab
clusters:
- {name: lab, cluster: {server: %[1]q, insecure-skip-tls-verify: true}}
- {name: checked, cluster: {server: %[1]q}}
users:
- {name: admin, user: {token: %[2]q}}
- {name: jane, user: {token: %[2]q, as: jane}}
- {name: expired, user: {token: "it-was-valid-yesterday"}}
contexts:
- {name: lab, context: {cluster: lab, user: admin}}
- {name: jane, context: {cluster: lab, user: jane}}
- {name: expired, context: {cluster: lab, user: expired}}
- {name: stranger, context: {cluster: checked, user: admin}}
`, c.url, c.token),
	}
	for name, content := range files {
		if err := os.WriteFile(filepath.Join(c.dir, name), []byte(content), 0o600); err != nil {
			c.t.Fatal(err)
		}
	}
}

// start starts one part.
func (c *controlPlane) start(program string, args ...string) {
	c.t.Helper()
	log, err := os.Create(filepath.Join(c.dir, filepath.Base(program)+".log"))
	if err != nil {
		c.t.Fatal(err)
	}
	defer log.Close()
	cmd := exec.Command(program, args...)
	cmd.Dir, cmd.Stdout, cmd.Stderr = c.dir, log, log
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL} // of the thread that starts it
	started, done := make(chan error), make(chan struct{})
	go func() {
		runtime.LockOSThread()
		err := cmd.Start()
		started <- err
		if err == nil {
			_ = cmd.Wait() // it is interrupted
		}
		close(done)
	}()
	if err := <-started; err != nil {
		c.t.Fatal(err)
	}
	c.ends = append(c.ends, func() {
		_ = cmd.Process.Signal(os.Interrupt)
		select {
		case <-done:
		case <-time.After(5 * time.Second):
			_ = cmd.Process.Kill()
			<-done
		}
	})
}

// log is the end of what a part printed.
func (c *controlPlane) log(part string) string {
	b, err := os.ReadFile(filepath.Join(c.dir, part+".log"))
	if err != nil {
		return err.Error()
	}
	return string(b[max(0, len(b)-3000):])
}

// try makes a request of the API.
func (c *controlPlane) try(method, path, contentType string, body any) (map[string]any, error) {
	b, err := json.Marshal(body)
	if err != nil {
		return nil, err
	}
	req, err := http.NewRequest(method, c.url+path, bytes.NewReader(b))
	if err != nil {
		return nil, err
	}
	req.Header.Set("Authorization", "Bearer "+c.token)
	if contentType != "" {
		req.Header.Set("Content-Type", contentType)
	}
	resp, err := c.client.Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	if b, err = io.ReadAll(resp.Body); err != nil {
		return nil, err
	}
	var answer map[string]any
	_ = json.Unmarshal(b, &answer) // not all answers are objects
	if resp.StatusCode >= 300 {
		return answer, fmt.Errorf("%s %s: %s: %s", method, path, resp.Status, b)
	}
	return answer, nil
}

// must is try for what has to succeed.
func (c *controlPlane) must(method, path, contentType string, body any) map[string]any {
	c.t.Helper()
	answer, err := c.try(method, path, contentType, body)
	if err != nil {
		c.t.Fatal(err)
	}
	return answer
}

// names lists the objects below a path of the API, but for those that every
// namespace has.
func (c *controlPlane) names(path string) string {
	c.t.Helper()
	var names []string
	for _, item := range items(c.must("GET", path, "", nil)) {
		if name := str(item, "metadata", "name"); name != "kube-root-ca.crt" {
			names = append(names, name)
		}
	}
	return strings.Join(names, " ")
}

func items(list map[string]any) []map[string]any {
	var found []map[string]any
	all, _ := list["items"].([]any)
	for _, v := range all {
		if m, ok := v.(map[string]any); ok {
			found = append(found, m)
		}
	}
	return found
}

// at follows a path of fields; nil if there is none.
func at(v any, path ...string) any {
	for _, key := range path {
		m, ok := v.(map[string]any)
		if !ok {
			return nil
		}
		v = m[key]
	}
	return v
}

func str(v any, path ...string) string {
	s, _ := at(v, path...).(string)
	return s
}
