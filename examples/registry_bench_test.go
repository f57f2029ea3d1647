package examples

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-containerregistry/pkg/crane"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/static"
	"github.com/google/go-containerregistry/pkg/v1/types"

	"github.com/labstar/labstar/internal/registry/registrytest"
)

// One file changed in an image of 200 MB: rebuilt, and pushed to a registry on
// this machine, by labstar, docker, buildah and crane in turn, each as its users run
// it. crane takes a tar that they make; without that it is crane-append. What the
// registry alone takes for the requests is in the same run, made by a client that
// has everything in memory; bytes and requests are counted in a run of their own.
func BenchmarkRebuildAndPush(b *testing.B) {
	if os.Getenv("LABSTAR_E2E") == "" {
		b.Skip("end-to-end benchmark: set LABSTAR_E2E=1")
	}
	need(b, "docker", "buildah", "docker-registry", "tar")
	startDocker(b)
	l := imageLab(b, 1000)
	l.writeScript("lab.star", `
base = tree({"usr/share/%d" % i: file("big/%d" % i) for i in range(200)} | {"bin/labstar": file("labstar")}, modes = {"bin/labstar": 0o755})
pages = tree({"srv/index.html": file("index.html")})
web = oci_image([base, pages], name = "lab/web:1.0", entrypoint = ["/bin/labstar", "version"])
`)
	must(b, l.dir, "mkdir", "-p", "big", "ctx/root/usr/share", "ctx/root/bin", "ctx/www/srv")
	for i := range 200 {
		noise, _ := registrytest.Layer(uint64(i), 850_000+i)
		for _, dir := range []string{"big", "ctx/root/usr/share"} {
			l.writeScript(fmt.Sprintf("%s/%d", dir, i), string(noise))
		}
	}
	must(b, l.dir, "cp", "labstar", "ctx/root/bin/labstar")
	l.writeScript("ctx/Dockerfile", "FROM scratch\nCOPY root /\nCOPY www /\nENTRYPOINT [\"/bin/labstar\", \"version\"]\n")
	craneBin := filepath.Join(l.dir, "crane")
	build := exec.Command("go", "install", "github.com/google/go-containerregistry/cmd/crane@v0.22.0")
	build.Env = append(os.Environ(), "GOBIN="+l.dir, "CGO_ENABLED=0", "GOFLAGS=")
	if out, err := build.CombinedOutput(); err != nil {
		b.Fatalf("building crane: %v\n%s", err, out)
	}
	direct := registrytest.Docker(b)
	proxy := registrytest.NewProxy(b, direct)
	host := strings.TrimPrefix(direct, "http://")
	storage := []string{"--root", filepath.Join(b.TempDir(), "buildah"), "--runroot", filepath.Join(b.TempDir(), "run")}
	buildah := func(args ...string) { must(b, l.dir, slices.Concat([]string{"buildah"}, storage, args)...) }
	at := func(name string) string { return host + "/" + name + ":1" }
	labstar := func(args ...string) {
		if out, err := l.command(args...).CombinedOutput(); err != nil {
			b.Fatalf("labstar %s: %v\n%s", args[0], err, out)
		}
	}
	push := func(host string) { labstar("push", "-q", "--to", host+"/labstar:1") }
	tar := func() { must(b, l.dir, "tar", "-cf", "page.tar", "-C", "ctx/www", "srv") }
	onto := func(host string) {
		must(b, l.dir, craneBin, "append", "--insecure", "-b", host+"/crane:base", "-f", "page.tar", "-t", host+"/crane:1")
	}
	nothing := func() {}
	ways := []struct {
		name         string
		prepare, run func()
	}{
		{"labstar-version", nothing, func() { labstar("version") }},
		{"labstar-rebuild", nothing, func() { l.quiet("lab.star", "web") }},
		{"labstar-push", nothing, func() { push(host) }},
		{"docker-rebuild", nothing, func() { must(b, l.dir, "docker", "build", "-q", "-t", at("docker"), "ctx") }},
		{"docker-push", nothing, func() {
			must(b, l.dir, "docker", "build", "-q", "-t", at("docker"), "ctx")
			must(b, l.dir, "docker", "push", "-q", at("docker"))
		}},
		{"buildah-rebuild", nothing, func() { buildah("bud", "--layers", "-q", "-t", at("buildah"), "ctx") }},
		{"buildah-push", nothing, func() {
			buildah("bud", "--layers", "-q", "-t", at("buildah"), "ctx")
			buildah("push", "-q", "--tls-verify=false", at("buildah"))
		}},
		// crane builds nothing: its user makes the tar.
		{"crane-push", nothing, func() { tar(); onto(host) }},
		{"crane-append", tar, func() { onto(host) }},
	}
	must(b, l.dir, "tar", "-cf", "root.tar", "-C", "ctx/root", "usr", "bin")
	must(b, l.dir, craneBin, "append", "--insecure", "-f", "root.tar", "-t", host+"/crane:base")
	edits := 0
	edit := func() {
		edits++
		page := fmt.Sprintf("<h1>page %d of %d</h1>\n", edits, time.Now().UnixNano())
		l.writeScript("index.html", page)
		l.writeScript("ctx/www/srv/index.html", page)
	}
	for _, w := range ways {
		w.prepare()
		w.run()
	}
	time.Sleep(3 * time.Second) // files of the last two seconds are not trusted by their time
	l.quiet("lab.star", "web")
	const rounds = 7
	for b.Loop() {
		took := map[string][]time.Duration{}
		for range rounds {
			for _, w := range ways {
				edit()
				w.prepare()
				start := time.Now()
				w.run()
				took[w.name] = append(took[w.name], time.Since(start))
			}
			for name, begun := range map[string]bool{"registry-requests": false, "registry-begun": true} {
				took[name] = append(took[name], requests(b, direct, begun))
			}
		}
		report(b, took)
	}
	push(proxy.Host())
	for name, run := range map[string]func(){"labstar": func() { push(proxy.Host()) }, "crane": func() { tar(); onto(proxy.Host()) }} {
		edit()
		proxy.Reset()
		run()
		b.ReportMetric(float64(proxy.Up()), name+"-bytes")
		b.ReportMetric(float64(len(proxy.Seen())), name+"-requests")
	}
	b.ReportMetric(0, "ns/op") // the time of all rounds says nothing
}

// requests makes those that an edit takes at the least, side by side where they can
// be: two uploads are begun, the layer and the configuration put, then the manifest
// that names them with the base. begun leaves the first ones out of the time.
func requests(b *testing.B, registry string, begun bool) time.Duration {
	b.Helper()
	base, err := crane.Pull(strings.TrimPrefix(registry, "http://")+"/crane:base", crane.Insecure)
	if err != nil {
		b.Fatal(err)
	}
	layer := static.NewLayer(fmt.Appendf(nil, "layer %d", time.Now().UnixNano()), types.OCILayer)
	img, err := mutate.AppendLayers(base, layer)
	if err != nil {
		b.Fatal(err)
	}
	config, err := img.RawConfigFile()
	if err != nil {
		b.Fatal(err)
	}
	manifest, err := img.RawManifest()
	if err != nil {
		b.Fatal(err)
	}
	media, err := img.MediaType()
	if err != nil {
		b.Fatal(err)
	}
	content, err := layer.Compressed()
	if err != nil {
		b.Fatal(err)
	}
	blob, err := io.ReadAll(content)
	if err != nil {
		b.Fatal(err)
	}
	client := &http.Client{Transport: &http.Transport{}}
	defer client.CloseIdleConnections()
	do := func(method, to, media string, body []byte) string {
		req, err := http.NewRequest(method, to, bytes.NewReader(body))
		if err != nil {
			b.Error(err)
			return ""
		}
		req.Header.Set("Content-Type", media)
		resp, err := client.Do(req)
		if err != nil {
			b.Error(err)
			return ""
		}
		defer resp.Body.Close()
		if resp.StatusCode >= 300 {
			b.Errorf("%s %s: %s", method, to, resp.Status)
		}
		return resp.Header.Get("Location")
	}
	uploads := make([]string, 2)
	both := func(f func(int)) {
		var wg sync.WaitGroup
		for i := range uploads {
			wg.Go(func() { f(i) })
		}
		wg.Wait()
	}
	start := time.Now()
	both(func(i int) { uploads[i] = do(http.MethodPost, registry+"/v2/crane/blobs/uploads/", "", nil) })
	if begun {
		start = time.Now()
	}
	both(func(i int) {
		body := [][]byte{config, blob}[i]
		do(http.MethodPut, fmt.Sprintf("%s&digest=sha256:%x", uploads[i], sha256.Sum256(body)), "application/octet-stream", body)
	})
	do(http.MethodPut, registry+"/v2/crane/manifests/least", string(media), manifest)
	return time.Since(start)
}

// report gives the medians in milliseconds and, of what labstar does too, the ratio
// of the fastest other to it.
func report(b *testing.B, took map[string][]time.Duration) {
	fastest := map[string]float64{}
	ours := map[string]float64{}
	for name, list := range took {
		slices.Sort(list)
		ms := float64(list[len(list)/2].Microseconds()) / 1000
		b.ReportMetric(ms, name+"-ms")
		who, kind, _ := strings.Cut(name, "-")
		if who == "labstar" {
			ours[kind] = ms
		} else if fastest[kind] == 0 || ms < fastest[kind] {
			fastest[kind] = ms
		}
	}
	for kind, ms := range ours {
		if fastest[kind] > 0 {
			b.ReportMetric(fastest[kind]/ms, kind+"-x-fastest")
		}
	}
}
