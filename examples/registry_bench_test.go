package examples

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/labstar/labstar/internal/registry/registrytest"
)

// One file changed in an image of 200 MB: rebuilt, and pushed to a registry on
// this machine, by labstar, docker, buildah and crane in turn. Bytes are counted
// before the registry.
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
	crane := filepath.Join(l.dir, "crane")
	build := exec.Command("go", "install", "github.com/google/go-containerregistry/cmd/crane@v0.22.0")
	build.Env = append(os.Environ(), "GOBIN="+l.dir, "CGO_ENABLED=0", "GOFLAGS=")
	if out, err := build.CombinedOutput(); err != nil {
		b.Fatalf("building crane: %v\n%s", err, out)
	}
	proxy := registrytest.NewProxy(b, registrytest.Docker(b))
	storage := []string{"--root", filepath.Join(b.TempDir(), "buildah"), "--runroot", filepath.Join(b.TempDir(), "run")}
	buildah := func(args ...string) { must(b, l.dir, slices.Concat([]string{"buildah"}, storage, args)...) }
	at := func(name string) string { return proxy.Host() + "/" + name + ":1" }
	ways := []struct {
		name          string
		rebuild, push func()
	}{
		{"labstar", func() { l.quiet("lab.star", "web") },
			func() {
				if out, err := l.command("push", "-q", "--to", at("labstar")).CombinedOutput(); err != nil {
					b.Fatalf("labstar push: %v\n%s", err, out)
				}
			}},
		{"docker", func() { must(b, l.dir, "docker", "build", "-q", "-t", at("docker"), "ctx") },
			func() {
				must(b, l.dir, "docker", "build", "-q", "-t", at("docker"), "ctx")
				must(b, l.dir, "docker", "push", "-q", at("docker"))
			}},
		{"buildah", func() { buildah("bud", "--layers", "-q", "-t", at("buildah"), "ctx") },
			func() {
				buildah("bud", "--layers", "-q", "-t", at("buildah"), "ctx")
				buildah("push", "-q", "--tls-verify=false", at("buildah"))
			}},
		{"crane", nil,
			func() {
				must(b, l.dir, "tar", "-cf", "page.tar", "-C", "ctx/www", "srv")
				must(b, l.dir, crane, "append", "--insecure", "-b", at("crane-base"), "-f", "page.tar", "-t", at("crane"))
			}},
	}
	must(b, l.dir, "tar", "-cf", "root.tar", "-C", "ctx/root", "usr", "bin")
	must(b, l.dir, crane, "append", "--insecure", "-f", "root.tar", "-t", at("crane-base"))
	edit := func(i int) {
		page := fmt.Sprintf("<h1>page %d of %d</h1>\n", i, time.Now().UnixNano())
		l.writeScript("index.html", page)
		l.writeScript("ctx/www/srv/index.html", page)
	}
	for _, w := range ways {
		w.push()
	}
	time.Sleep(3 * time.Second) // files of the last two seconds are not trusted by their time
	l.quiet("lab.star", "web")
	const rounds = 5
	for b.Loop() {
		took := map[string][]time.Duration{}
		sent := map[string]int64{}
		for i := range rounds {
			for _, kind := range []string{"rebuild", "push"} {
				edit(2*i + len(kind)) // both, a new page each
				for _, w := range ways {
					run := w.push
					if kind == "rebuild" {
						run = w.rebuild
					}
					if run == nil {
						continue
					}
					proxy.Reset()
					start := time.Now()
					run()
					took[w.name+"-"+kind] = append(took[w.name+"-"+kind], time.Since(start))
					if kind == "push" {
						sent[w.name] = proxy.Up()
					}
				}
			}
		}
		report(b, took, sent)
	}
	b.ReportMetric(0, "ns/op") // the time of all rounds says nothing
}

// report gives the medians in milliseconds, the ratio of the fastest other to
// ours, and the bytes of one push.
func report(b *testing.B, took map[string][]time.Duration, sent map[string]int64) {
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
		b.ReportMetric(fastest[kind]/ms, kind+"-x-fastest")
	}
	for name, n := range sent {
		b.ReportMetric(float64(n), name+"-bytes")
	}
}
