package examples

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/labstar/labstar/internal/registry/registrytest"
)

// imageScript is an image of a program that runs anywhere, labstar itself, and a
// page in a layer of its own.
const imageScript = `
prog = tree({"bin/labstar": file("labstar")}, modes = {"bin/labstar": 0o755})
pages = tree({"srv/index.html": file("index.html"), "srv/noise": file("noise")})
web = oci_image([prog, pages], name = "lab/web:1.0", entrypoint = ["/bin/labstar", "version"])
`

// imageLab is a lab with that script; noise is the size of a file in the second
// layer, in bytes.
func imageLab(t testing.TB, noise int) *lab {
	t.Helper()
	l := newLab(t, "tiny", filepath.Join(t.TempDir(), "store"))
	bin, err := program()
	if err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(bin)
	if err != nil {
		t.Fatal(err)
	}
	packed, _ := registrytest.Layer(7, noise) // as good as noise
	for name, content := range map[string][]byte{"labstar": b, "index.html": []byte("<h1>one</h1>\n"), "noise": packed, "lab.star": []byte(imageScript)} {
		if err := os.WriteFile(filepath.Join(l.dir, name), content, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return l
}

// pushed runs `labstar push --json` and returns its "pushed" event.
func (l *lab) pushed(args ...string) map[string]any {
	l.t.Helper()
	cmd := l.command(append([]string{"push", "--json"}, args...)...)
	out, err := cmd.Output()
	if err != nil {
		l.t.Fatalf("labstar push %v: %v\n%s", args, err, out)
	}
	for _, line := range parse(string(out), "").lines {
		if line["event"] == "pushed" {
			return line
		}
	}
	l.t.Fatalf("labstar push told nothing:\n%s", out)
	return nil
}

// digestAt asks skopeo which image a reference names.
func digestAt(t *testing.T, ref string) string {
	t.Helper()
	var info struct{ Digest string }
	if err := json.Unmarshal([]byte(tool(t, "skopeo", "inspect", "--tls-verify=false", ref)), &info); err != nil {
		t.Fatal(err)
	}
	return info.Digest
}

// dockerRuns pulls an image and runs it.
func dockerRuns(t *testing.T, ref string) {
	t.Helper()
	out := tool(t, "docker", "run", "--rm", "--pull", "always", "--network", "none", ref)
	if !strings.HasPrefix(out, "labstar ") {
		t.Errorf("the container of %s said %q", ref, out)
	}
}

// A real registry: pushed to, pulled from by Docker and skopeo; the second push
// sends nothing, a changed page its layer alone.
func TestPushToRegistry(t *testing.T) {
	endToEnd(t)
	need(t, "skopeo", "docker-registry")
	proxy := registrytest.NewProxy(t, registrytest.Docker(t))
	l := imageLab(t, 1000)
	first := l.pushed("--registry", proxy.Host())
	t.Logf("first push: %v; %d bytes", first, proxy.Up())

	proxy.Reset()
	second := l.pushed("--registry", proxy.Host())
	t.Logf("second push: %v; %d bytes in %d requests", second, proxy.Up(), len(proxy.Seen()))
	if proxy.Up() != 0 || second["digest"] != first["digest"] {
		t.Errorf("the second push sent %d bytes of %v, after %v", proxy.Up(), second["digest"], first["digest"])
	}

	ref := proxy.Host() + "/lab/web:1.0"
	if got := digestAt(t, "docker://"+ref); got != first["digest"] {
		t.Errorf("skopeo finds %s, pushed was %s", got, first["digest"])
	}
	tool(t, "skopeo", "copy", "--src-tls-verify=false", "docker://"+ref, "oci:"+t.TempDir()+"/copy:1.0")

	l.edit("index.html", "one", "two")
	proxy.Reset()
	third := l.pushed("--registry", proxy.Host())
	t.Logf("one line of a page later: %v; %d bytes", third, proxy.Up())
	if third["sent"] != 2.0 || third["there"] != 1.0 || proxy.Up() > 10_000 { // the page's layer and the configuration
		t.Errorf("a changed page sent %d bytes: %v", proxy.Up(), third)
	}
	t.Run("docker", func(t *testing.T) {
		need(t, "docker")
		startDocker(t)
		dockerRuns(t, ref)
	})
}

// A push that is interrupted goes on where it was, one that is killed ends well.
// How much a killed one keeps is the registry's: this one drops what was cut within
// a chunk. An interrupt lets the chunk end, for a moment; a machine that is busy may
// take longer, so the test has three goes.
func TestKilledPush(t *testing.T) {
	endToEnd(t)
	need(t, "docker-registry", "skopeo")
	for _, sig := range []syscall.Signal{syscall.SIGINT, syscall.SIGTERM, syscall.SIGKILL} {
		t.Run(sig.String(), func(t *testing.T) {
			for try := 1; ; try++ {
				sent, layers := killedPush(t, sig)
				if sig == syscall.SIGKILL || sent == layers {
					return
				}
				if try == 3 {
					t.Fatalf("both runs sent %d bytes of layers of %d", sent, layers)
				}
			}
		})
	}
}

// killedPush pushes, is ended by the signal in the middle of a layer, and pushes
// again. It returns the bytes that both sent in chunks, and the size of the layers.
func killedPush(t *testing.T, sig syscall.Signal) (sent, layers int64) {
	proxy := registrytest.NewProxy(t, registrytest.Docker(t))
	chunks := make(chan int64, 1000)
	proxy.Rule(func(r *http.Request) *registrytest.Fault {
		if r.Method != http.MethodPatch {
			return nil
		}
		var from, to int64
		if _, err := fmt.Sscanf(r.Header.Get("Content-Range"), "%d-%d", &from, &to); err == nil {
			chunks <- from
		}
		return &registrytest.Fault{Delay: 100 * time.Millisecond}
	})
	l := imageLab(t, 60_000_000)
	l.run("lab.star")
	cmd := l.command("push", "--registry", proxy.Host())
	var stderr strings.Builder
	cmd.Stderr = &stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	for from := range chunks {
		if from > 20_000_000 {
			break
		}
	}
	if err := cmd.Process.Signal(sig); err != nil {
		t.Fatal(err)
	}
	var exit *exec.ExitError
	if err := cmd.Wait(); !errors.As(err, &exit) || sig != syscall.SIGKILL && exit.ExitCode() != 130 {
		t.Errorf("after %v: %v\n%s", sig, err, stderr.String())
	}
	before := proxy.Up(http.MethodPatch)
	proxy.Reset()
	got := l.pushed("--registry", proxy.Host())
	after := proxy.Up(http.MethodPatch)
	t.Logf("%v: %d bytes of layers in chunks before, %d after; %v", sig, before, after, got)
	ref := "docker://" + proxy.Host() + "/lab/web:1.0"
	var m struct{ Layers []struct{ Size int64 } }
	if err := json.Unmarshal([]byte(tool(t, "skopeo", "inspect", "--raw", "--tls-verify=false", ref)), &m); err != nil {
		t.Fatal(err)
	}
	for _, one := range m.Layers {
		layers += one.Size
	}
	tool(t, "skopeo", "copy", "--src-tls-verify=false", ref, "oci:"+t.TempDir()+"/copy:1.0")
	return before + after, layers
}

// serve starts `labstar registry` and returns it, where it listens, and what it told
// before it did.
func (l *lab) serve(args ...string) (cmd *exec.Cmd, address, told string) {
	l.t.Helper()
	address = registrytest.FreeAddress(l.t)
	cmd = l.command(append([]string{"registry", "--listen", address}, args...)...)
	out, err := cmd.StdoutPipe()
	if err != nil {
		l.t.Fatal(err)
	}
	cmd.Stderr = io.Discard
	if err := cmd.Start(); err != nil {
		l.t.Fatal(err)
	}
	l.t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	var lines []string
	for scan := bufio.NewScanner(out); scan.Scan() && !strings.HasPrefix(scan.Text(), "}"); {
		lines = append(lines, scan.Text())
	}
	go func() { _, _ = io.Copy(io.Discard, out) }()
	return cmd, address, strings.Join(lines, "\n")
}

// labstar's own registry: Docker pulls and runs, skopeo copies, Ctrl-C ends it.
func TestOwnRegistry(t *testing.T) {
	endToEnd(t)
	need(t, "skopeo")
	l := imageLab(t, 1000)
	cmd, address, text := l.serve()
	for _, want := range []string{"web  " + address + "/lab/web:1.0@sha256:", "/etc/containerd/certs.d/docker.io/hosts.toml", `[host."http://` + address + `"]`, `"registry-mirrors": ["http://` + address + `"]`} {
		if !strings.Contains(text, want) {
			t.Errorf("it does not tell %q:\n%s", want, text)
		}
	}
	ref := address + "/lab/web:1.0"
	if d := digestAt(t, "docker://"+ref); !strings.Contains(text, d) {
		t.Errorf("skopeo finds %s, it told\n%s", d, text)
	}
	tool(t, "skopeo", "copy", "--src-tls-verify=false", "docker://"+ref, "oci:"+t.TempDir()+"/copy:1.0")
	l.output("pull", ref, "-o", "pulled")
	tool(t, "skopeo", "inspect", "oci:"+filepath.Join(l.dir, "pulled"))
	t.Run("docker", func(t *testing.T) {
		need(t, "docker")
		startDocker(t)
		dockerRuns(t, ref)
	})
	began := time.Now()
	if err := cmd.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Wait(); err != nil {
		t.Errorf("after Ctrl-C: %v", err)
	}
	t.Logf("ended %s after Ctrl-C", time.Since(began))
}

// Docker is given an image, and of the next one what it lacks.
func TestLoad(t *testing.T) {
	endToEnd(t)
	need(t, "docker")
	startDocker(t)
	l := imageLab(t, 1000)
	l.env = append(l.env, "DOCKER_HOST="+os.Getenv("DOCKER_HOST"))
	load := func() map[string]any {
		for _, line := range parse(l.output("load", "--json"), "").lines {
			if line["event"] == "loaded" {
				return line
			}
		}
		t.Fatal("nothing was loaded")
		return nil
	}
	if got := load(); got["sent"].(float64) < 1 {
		t.Errorf("the first load: %v", got)
	}
	if got := load(); got["sent"] != 0.0 || got["there"] != 2.0 {
		t.Errorf("the second load: %v", got)
	}
	l.edit("index.html", "one", "two")
	if got := load(); got["sent"] != 1.0 || got["there"] != 1.0 {
		t.Errorf("with a changed page: %v", got)
	}
	if out := tool(t, "docker", "run", "--rm", "--network", "none", "lab/web:1.0"); !strings.HasPrefix(out, "labstar ") {
		t.Errorf("the container said %q", out)
	}
}

// startContainerd starts one for this test and returns its socket.
func startContainerd(t *testing.T) string {
	t.Helper()
	need(t, "containerd", "ctr")
	if os.Getuid() != 0 {
		t.Skip("only root can start containerd")
	}
	dir, err := os.MkdirTemp("", "ctd") // a socket's path has to be short
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	socket := filepath.Join(dir, "s")
	cmd := exec.Command("containerd", "--config", os.DevNull, "--root", filepath.Join(dir, "root"), "--state", filepath.Join(dir, "state"), "--address", socket)
	registrytest.Serve(t, cmd, func() bool { return exec.Command("ctr", "-a", socket, "version").Run() == nil })
	return socket
}

// containerd is given an image whole, of the next one what it lacks, and pulls from
// labstar's registry with the file that this prints.
func TestLoadContainerd(t *testing.T) {
	endToEnd(t)
	socket := startContainerd(t)
	ctr := func(args ...string) string {
		return tool(t, "ctr", append([]string{"-a", socket, "-n", "k8s.io"}, args...)...)
	}
	l := imageLab(t, 3_000_000)
	load := func() map[string]any {
		for _, line := range parse(l.output("load", "--json", "--containerd", "--address", socket), "").lines {
			if line["event"] == "loaded" {
				return line
			}
		}
		t.Fatal("nothing was loaded")
		return nil
	}
	if got := load(); got["sent"] != 4.0 {
		t.Errorf("the first load: %v", got)
	}
	if got := load(); got["sent"] != 0.0 || got["there"] != 4.0 {
		t.Errorf("the second load: %v", got)
	}
	l.edit("index.html", "one", "two")
	if got := load(); got["sent"] != 3.0 || got["there"] != 1.0 {
		t.Errorf("with a changed page: %v", got)
	}
	if out := ctr("images", "check"); !strings.Contains(out, "complete (3/3)") {
		t.Errorf("containerd finds\n%s", out)
	}
	if out := ctr("run", "--rm", "docker.io/lab/web:1.0", "test"); !strings.HasPrefix(out, "labstar ") {
		t.Errorf("the container said %q", out)
	}

	_, _, told := l.serve()
	var hosts []string
	for line := range strings.SplitSeq(told, "\n") {
		if strings.HasPrefix(line, "server =") || len(hosts) > 0 && line != "" && !strings.HasPrefix(line, "# Docker") && !strings.HasPrefix(line, "{") && !strings.Contains(line, "registry-mirrors") {
			hosts = append(hosts, line)
		}
	}
	dir := t.TempDir()
	if err := os.Mkdir(filepath.Join(dir, "docker.io"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "docker.io", "hosts.toml"), []byte(strings.Join(hosts, "\n")+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	ctr("images", "rm", "docker.io/lab/web:1.0")
	ctr("images", "pull", "--hosts-dir", dir, "docker.io/lab/web:1.0")
	if out := ctr("run", "--rm", "docker.io/lab/web:1.0", "test2"); !strings.HasPrefix(out, "labstar ") {
		t.Errorf("the container said %q", out)
	}
}
