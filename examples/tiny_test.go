package examples

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/labstar/labstar/internal/config"
	"github.com/labstar/labstar/internal/registry/registrytest"
)

// sharedStore is the store that survives between runs on one machine.
func sharedStore(t *testing.T) string {
	t.Helper()
	if dir := os.Getenv("LABSTAR_E2E_CACHE"); dir != "" {
		return dir
	}
	return filepath.Join(t.TempDir(), "store")
}

// digests are what --json said of the targets, by path.
func (s summary) digests() map[string]string {
	m := map[string]string{}
	for _, l := range s.lines {
		if l["event"] == "target" {
			m[fmt.Sprint(l["name"])] = fmt.Sprint(l["digest"])
		}
	}
	return m
}

func TestTiny(t *testing.T) {
	endToEnd(t)
	l := newLab(t, "tiny", sharedStore(t))
	first := l.run("lab.star")
	t.Logf("first run: %s", first.raw)
	second := l.run("lab.star")
	t.Logf("second run: %s", second.raw)
	if !strings.Contains(second.raw, `"ran":0`) {
		t.Errorf("the second run ran something: %s", second.raw)
	}
	out := func(name string) string { return filepath.Join(l.dir, "out", name) }

	t.Run("cpio", func(t *testing.T) {
		need(t, "cpio")
		list := tool(t, "sh", "-c", "gzip -dc "+out("initrd")+" | cpio -t")
		for _, want := range []string{"bin/busybox", "etc/passwd", "init"} {
			if !slices.Contains(strings.Fields(list), want) {
				t.Errorf("the initramfs has no %s:\n%s", want, list)
			}
		}
	})
	t.Run("skopeo", func(t *testing.T) {
		need(t, "skopeo")
		var info struct{ Digest string }
		if err := json.Unmarshal([]byte(tool(t, "skopeo", "inspect", "oci:"+out("image"))), &info); err != nil {
			t.Fatal(err)
		}
		manifests, err := os.ReadFile(out("manifests"))
		if err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(string(manifests), "@"+info.Digest) {
			t.Errorf("the manifests don't name the image %s:\n%s", info.Digest, manifests)
		}
	})
	t.Run("umoci", func(t *testing.T) {
		need(t, "umoci", "skopeo")
		dir := t.TempDir()
		tool(t, "skopeo", "copy", "oci:"+out("image"), "oci:"+dir+"/image:latest")
		tool(t, "umoci", "unpack", "--rootless", "--image", dir+"/image:latest", dir+"/bundle")
		page, err := os.ReadFile(dir + "/bundle/rootfs/srv/www/index.html")
		if err != nil {
			t.Fatal(err)
		}
		want, err := os.ReadFile("tiny/www/index.html")
		if err != nil || !bytes.Equal(page, want) {
			t.Errorf("got page %q, want %q (%v)", page, want, err)
		}
	})
	t.Run("kubectl", func(t *testing.T) {
		need(t, "kubectl")
		// Even a client-side dry run of create asks a server which kinds there are;
		// what edits locally reads the same manifests and needs none.
		args := []string{"annotate", "--local", "-o", "name", "-f", out("manifests"), "checked=yes"}
		if server := os.Getenv("LABSTAR_E2E_KUBECONFIG"); server != "" { // never the user's own cluster
			args = []string{"--kubeconfig", server, "create", "--dry-run=server", "-o", "name", "-f", out("manifests")}
		}
		got := tool(t, "kubectl", args...)
		for _, want := range []string{"deployment.apps/", "service/"} {
			if !strings.Contains(got, want) {
				t.Errorf("kubectl took %q, want a %s", got, want)
			}
		}
	})
	t.Run("docker", func(t *testing.T) { serve(t, out("image")) })
}

// serve loads the image into a real Docker engine and fetches the page from it.
func serve(t *testing.T, image string) {
	need(t, "docker", "skopeo")
	startDocker(t)
	archive := filepath.Join(t.TempDir(), "image.tar")
	tool(t, "skopeo", "copy", "oci:"+image, "docker-archive:"+archive+":labstar-e2e/tiny:test")
	tool(t, "docker", "load", "-i", archive)
	id := strings.TrimSpace(tool(t, "docker", "run", "-d", "--rm", "-p", "127.0.0.1:0:8080", "labstar-e2e/tiny:test"))
	defer func() { _ = exec.Command("docker", "rm", "-f", id).Run() }()
	addr := strings.TrimSpace(strings.Split(tool(t, "docker", "port", id, "8080/tcp"), "\n")[0])
	want, err := os.ReadFile("tiny/www/index.html")
	if err != nil {
		t.Fatal(err)
	}
	if page := firstPage(addr); !bytes.Equal(page, want) {
		t.Errorf("the container served %q, want %q", page, want)
	}
}

// firstPage is what a server that has just been started has at /.
func firstPage(addr string) []byte {
	for deadline := time.Now().Add(20 * time.Second); time.Now().Before(deadline); time.Sleep(200 * time.Millisecond) {
		resp, err := http.Get("http://" + addr + "/")
		if err != nil {
			continue
		}
		page, _ := io.ReadAll(resp.Body)
		resp.Body.Close()
		return page
	}
	return nil
}

// startDocker makes sure that an engine answers, starting one for this test; with
// flags, one that has them.
func startDocker(t testing.TB, flags ...string) {
	t.Helper()
	if len(flags) == 0 && exec.Command("docker", "info").Run() == nil {
		return
	}
	if os.Getuid() != 0 {
		t.Skip("needs a Docker engine, and only root can start one")
	}
	need(t, "dockerd")
	dir := t.TempDir()
	socket := "unix://" + dir + "/docker.sock"
	cmd := exec.Command("dockerd", "--data-root", dir+"/data", "--exec-root", dir+"/exec", "--pidfile", dir+"/pid", "-H", socket)
	cmd.Args = append(cmd.Args, flags...)
	t.Setenv("DOCKER_HOST", socket)
	registrytest.Serve(t, cmd, func() bool { return exec.Command("docker", "info").Run() == nil })
}

// edit replaces text in a file of the lab.
func (l *lab) edit(file, old, new string) {
	l.t.Helper()
	p := filepath.Join(l.dir, file)
	b, err := os.ReadFile(p)
	if err != nil {
		l.t.Fatal(err)
	}
	if !strings.Contains(string(b), old) {
		l.t.Fatalf("%s has no %q", file, old)
	}
	if err := os.WriteFile(p, []byte(strings.Replace(string(b), old, new, 1)), 0o644); err != nil {
		l.t.Fatal(err)
	}
}

// A changed page rebuilds what holds it and nothing else, and why says so.
func TestChangedPage(t *testing.T) {
	endToEnd(t)
	l := newLab(t, "tiny", sharedStore(t))
	before := l.run("lab.star")
	l.edit("www/index.html", "</h1>", " "+time.Now().Format(time.RFC3339Nano)+"</h1>")
	plan := l.output("plan", "lab.star")
	if !strings.Contains(plan, "index.html") {
		t.Errorf("plan does not name the page:\n%s", plan)
	}
	after := l.run("lab.star")
	if after.Ran == 0 || after.Ran > 6 {
		t.Errorf("ran %d actions for one changed line: %s", after.Ran, after.raw)
	}
	for name, d := range before.digests() {
		changed := after.digests()[name] != d
		if affected := slices.Contains([]string{"image", "manifests", "pages"}, name); changed != affected {
			t.Errorf("target %s: changed with the page: %v", name, changed)
		}
	}
	why := l.output("why", "lab.star", "image")
	if !strings.Contains(why, "index.html") || !strings.Contains(why, "lab.star:") {
		t.Errorf("why does not name the page and the script's line:\n%s", why)
	}
}

// The digests depend on nothing but the inputs: another folder, user, time zone,
// language, umask, host name and number of jobs, each with a cold store; and the
// second time on a machine that has no program but labstar, see bare_test.go.
func TestDeterminism(t *testing.T) {
	endToEnd(t)
	if os.Getuid() != 0 {
		t.Skip("needs root to be two users")
	}
	a := newLab(t, "tiny", filepath.Join(t.TempDir(), "a"))
	a.env = append(a.env, "TZ=UTC", "LANG=C")
	first := a.run("--jobs", "8", "lab.star")
	b := newLab(t, "tiny", "")
	locked, err := os.ReadFile(filepath.Join(a.dir, "lab.lock")) // the same, should it have been renewed
	if err != nil {
		t.Fatal(err)
	}
	b.writeScript("lab.lock", string(locked))
	b.env = append(b.env, "TZ=Asia/Tokyo", "LANG=de_BE.UTF-8", "USER=somebody", "LC_ALL=tr_TR.UTF-8", "MAKEFLAGS=-j3",
		"CFLAGS=-O0", "HOME=/home", "LABSTAR_DEBIAN_MIRROR="+mirror(t, a))
	cmd := b.bare("run", "--json", "--jobs", "1", "lab.star")
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	err = cmd.Run()
	second := parse(stdout.String(), stderr.String())
	if err != nil {
		t.Fatalf("on the bare machine: %v\n%s%s", err, second.stdout, second.standardError)
	}
	if len(first.digests()) == 0 || !maps.Equal(first.digests(), second.digests()) {
		t.Errorf("the digests differ:\n%v\n%v", first.digests(), second.digests())
	}
	t.Logf("ran %d and %d actions, %d targets agree: %v", first.Ran, second.Ran, len(first.digests()), first.digests())
}

// mirror is the Debian mirror of this machine: a bare one has no apt sources.
func mirror(t *testing.T, l *lab) string {
	t.Helper()
	cfg, err := config.Load(os.Getenv, l.dir)
	if err != nil {
		t.Fatal(err)
	}
	return cfg.Get("debian.mirror")
}

// crashLab is a script with many small actions of both kinds.
const crashLab = `
tools = debian_packages([])
def step(i):
    a = text("line %d\n" % i)
    return run("cat %s > out; head -c %d /dev/zero >> out; mkdir -p d/e; cp out d/e/f" % (a, i * 4000),
        toolchain = tools, outputs = {"file": "out", "dir": "d/"}, name = "step %d" % i)
steps = [step(i) for i in range(12)]
all = tree({"s%d" % i: s.dir for i, s in enumerate(steps)})
img = oci_image(name = "lab/crash:1", layers = [all])
`

func TestCrashLoop(t *testing.T) {
	endToEnd(t)
	l := newLab(t, "tiny", filepath.Join(t.TempDir(), "store")) // one that is verified in no time
	if err := os.WriteFile(filepath.Join(l.dir, "crash.star"), []byte(crashLab), 0o644); err != nil {
		t.Fatal(err)
	}
	l.run("crash.star", "tools") // the packages are there
	want := l.run("crash.star").digests()

	// Kills at moments spread over a run, however long one takes here.
	const kills = 100
	killed, runs, window := 0, 0, time.Second
	for ; killed < kills && runs < 10*kills; runs++ {
		// A changed line makes every step run again.
		l.writeScript("crash.star", strings.Replace(crashLab, "line %d", fmt.Sprintf("line %%d of %d", rand.Int64()), 1))
		cmd := l.command("run", "--quiet", "crash.star")
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Duration(rand.Int64N(int64(window))))
		_ = cmd.Process.Kill()
		if err := cmd.Wait(); err == nil {
			window = max(window*9/10, 20*time.Millisecond) // it was through already
			continue
		}
		window = window * 21 / 20
		if killed++; killed%25 == 0 {
			l.output("cache", "verify")
		}
	}
	if killed < kills {
		t.Errorf("only %d of %d runs were killed before their end", killed, runs)
	}
	t.Logf("%d of %d runs were killed before their end, the last within %v", killed, runs, window)
	if err := os.WriteFile(filepath.Join(l.dir, "crash.star"), []byte(crashLab), 0o644); err != nil {
		t.Fatal(err)
	}
	if got := l.run("crash.star").digests(); !maps.Equal(got, want) {
		t.Errorf("after the crashes: got %v, want %v", got, want)
	}
	t.Logf("cache verify: %s", strings.TrimSpace(l.output("cache", "verify")))
}

func TestSixteenProcesses(t *testing.T) {
	endToEnd(t)
	// A cold store for the steps; the packages come from a warm one's pins.
	warm := newLab(t, "tiny", filepath.Join(t.TempDir(), "store"))
	if err := os.WriteFile(filepath.Join(warm.dir, "crash.star"), []byte(crashLab), 0o644); err != nil {
		t.Fatal(err)
	}
	warm.run("crash.star", "tools") // makes the lock's entries, so that no two processes write it
	if err := os.RemoveAll(warm.store); err != nil {
		t.Fatal(err)
	}
	const n = 16
	var wg sync.WaitGroup
	got := make([]summary, n)
	errs := make([]error, n)
	for i := range n {
		wg.Go(func() { got[i], errs[i] = warm.tryRun("--out", fmt.Sprintf("out%d", i), "crash.star") })
	}
	wg.Wait()
	ran := 0
	for i := range n {
		if errs[i] != nil {
			t.Fatalf("process %d: %v\n%s", i, errs[i], got[i].standardError)
		}
		ran += got[i].Ran
		if !maps.Equal(got[i].digests(), got[0].digests()) {
			t.Errorf("process %d has other digests", i)
		}
	}
	if total := got[0].Ran + got[0].Cached; ran != total {
		t.Errorf("%d processes ran %d actions, want each of the %d once", n, ran, total)
	} else {
		t.Logf("%d processes ran %d actions, each once", n, ran)
	}
}
