package oci

import (
	"fmt"
	"io"
	"log"
	"maps"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	ggcrregistry "github.com/google/go-containerregistry/pkg/registry"
	ggcr "github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"go.starlark.net/starlark"

	"github.com/labstar/labstar/internal/buildtest"
	"github.com/labstar/labstar/internal/lock"
)

// server is a registry whose answers a test can spoil.
type server struct {
	http.Handler
	host  string
	spoil atomic.Pointer[func(w http.ResponseWriter, r *http.Request) bool]
	blobs atomic.Int32 // that were asked for
}

func (s *server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.Method == http.MethodGet && strings.Contains(r.URL.Path, "/blobs/") {
		s.blobs.Add(1)
	}
	if f := s.spoil.Load(); f != nil && (*f)(w, r) {
		return
	}
	s.Handler.ServeHTTP(w, r)
}

func newServer(t *testing.T) *server {
	s := &server{Handler: ggcrregistry.New(ggcrregistry.Logger(log.New(io.Discard, "", 0)))}
	h := httptest.NewServer(s)
	t.Cleanup(h.Close)
	s.host = strings.TrimPrefix(h.URL, "http://")
	return s
}

func (s *server) config(key string) string {
	if key == "oci.plain-http" {
		return s.host
	}
	return ""
}

// push builds an image and puts it, whatever it is, under a name at a registry.
func push(t *testing.T, host, ref, script string) {
	t.Helper()
	lab := buildtest.New(t)
	have := predeclared(lab, "below")
	maps.Copy(have, systems(t, lab))
	g := lab.Eval(Builtins(), script, have)
	dir, err := lab.Store.TreePath(t.Context(), lab.Build(g["i"]))
	if err != nil {
		t.Fatal(err)
	}
	index, err := ggcr.ImageIndexFromPath(dir)
	if err != nil {
		t.Fatal(err)
	}
	m, err := index.IndexManifest()
	if err != nil {
		t.Fatal(err)
	}
	tag, err := name.NewTag(host+"/"+ref, name.Insecure)
	if err != nil {
		t.Fatal(err)
	}
	if m.Manifests[0].MediaType.IsIndex() {
		child, err := index.ImageIndex(m.Manifests[0].Digest)
		if err == nil {
			err = remote.WriteIndex(tag, child)
		}
		if err != nil {
			t.Fatal(err)
		}
		return
	}
	image, err := index.Image(m.Manifests[0].Digest)
	if err == nil {
		err = remote.Write(tag, image)
	}
	if err != nil {
		t.Fatal(err)
	}
}

const (
	twoPlatforms = `i = oci_index([oci_image([root, accounts], name = "x", entrypoint = ["/bin/sh"], user = "lab"),
    oci_image([pages], name = "x", platform = "linux/arm64")])`
	onePlatform = `i = oci_image([root], name = "x")`
)

// locked evaluates a script with a lock that is filled in first.
func locked(t *testing.T, lab *buildtest.Lab, f *lock.File, config func(string) string, script string) (starlark.StringDict, error) {
	t.Helper()
	eval := func() (starlark.StringDict, *lock.Pins, error) {
		pins := lock.NewPins(f)
		lab.SetPins(pins)
		g, err := lab.TryEval(Builtins(), script, predeclared(lab, "page"))
		return g, pins, err
	}
	_, pins, err := eval()
	if err != nil {
		return nil, err
	}
	if wants := pins.Wants(); len(wants) > 0 {
		if err := Resolvers()[kindPulled].Resolve(t.Context(), lock.Env{Config: config}, wants, f, nil); err != nil {
			return nil, err
		}
	}
	g, pins, err := eval()
	if err == nil && len(pins.Wants()) > 0 {
		t.Fatalf("still wanted: %v", pins.Wants())
	}
	return g, err
}

func TestPull(t *testing.T) {
	s := newServer(t)
	push(t, s.host, "lab/below:1", twoPlatforms)
	lab := buildtest.New(t, s.config)
	f := lock.New()
	ref := s.host + "/lab/below:1"
	g, err := locked(t, lab, f, s.config, fmt.Sprintf(`
below = oci_pull(%q)
above = oci_image([pages], base = below, name = "lab/above:1")
arm = oci_pull(%[1]q, platform = "linux/arm64")
both = oci_index([below, arm])
`, ref))
	if err != nil {
		t.Fatal(err)
	}
	asked := s.blobs.Load()
	if asked != 2 {
		t.Errorf("locking asked for %d blobs, want 2: the configurations", asked)
	}
	validLayout(t, lab, g["below"])
	if got := s.blobs.Load() - asked; got != 3 {
		t.Errorf("a build asked for %d blobs, want 3: the configuration and two layers", got)
	}
	validLayout(t, lab, g["above"])
	validLayout(t, lab, g["both"])
	below, above := configOf(t, lab, g["below"]), configOf(t, lab, g["above"])
	if len(above.RootFS.DiffIDs) != 3 || !slices.Equal(above.RootFS.DiffIDs[:2], below.RootFS.DiffIDs) || above.Config.User != "lab" {
		t.Errorf("got %+v above %+v", above, below)
	}
	// Another machine gets the same from the lock alone, with the registry gone.
	s.spoil.Store(ptr(func(w http.ResponseWriter, r *http.Request) bool {
		http.Error(w, "gone", http.StatusNotFound)
		return true
	}))
	again, err := locked(t, lab, f, s.config, fmt.Sprintf("below = oci_pull(%q)", ref))
	if err != nil {
		t.Fatal(err)
	}
	if lab.Build(again["below"]) != lab.Build(g["below"]) {
		t.Error("the image is another")
	}
}

func ptr[T any](v T) *T { return &v }

func TestPullFaults(t *testing.T) {
	s := newServer(t)
	push(t, s.host, "lab/below:1", onePlatform)
	script := fmt.Sprintf("i = oci_pull(%q)", s.host+"/lab/below:1")
	whole := s.Handler
	for what, test := range map[string]struct {
		spoil func(w http.ResponseWriter, r *http.Request) bool
		want  string // "" if it ends well
	}{
		"cut in the middle": {func() func(w http.ResponseWriter, r *http.Request) bool {
			var n atomic.Int32
			return func(w http.ResponseWriter, r *http.Request) bool {
				if !strings.Contains(r.URL.Path, "/blobs/") || n.Add(1) > 1 {
					return false
				}
				rec := httptest.NewRecorder()
				whole.ServeHTTP(rec, r)
				w.Header().Set("Content-Length", fmt.Sprint(rec.Body.Len()))
				_, _ = w.Write(rec.Body.Bytes()[:rec.Body.Len()/2])
				panic(http.ErrAbortHandler)
			}
		}(), ""},
		"tampered blob": {func(w http.ResponseWriter, r *http.Request) bool {
			if !strings.Contains(r.URL.Path, "/blobs/") {
				return false
			}
			rec := httptest.NewRecorder()
			whole.ServeHTTP(rec, r)
			b := rec.Body.Bytes()
			b[len(b)/2] ^= 1
			_, _ = w.Write(b)
			return true
		}, "got content with sha256 "},
		"tampered manifest": {func(w http.ResponseWriter, r *http.Request) bool {
			if !strings.Contains(r.URL.Path, "/manifests/") {
				return false
			}
			rec := httptest.NewRecorder()
			whole.ServeHTTP(rec, r)
			w.Header().Set("Content-Type", rec.Header().Get("Content-Type"))
			_, _ = w.Write(append(rec.Body.Bytes(), ' '))
			return true
		}, "what is at the registry is damaged or was tampered with"},
		"blob that is gone": {func(w http.ResponseWriter, r *http.Request) bool {
			if !strings.Contains(r.URL.Path, "/blobs/") {
				return false
			}
			http.NotFound(w, r)
			return true
		}, ", which its manifest names"},
	} {
		t.Run(what, func(t *testing.T) {
			lab := buildtest.New(t, s.config)
			f := lock.New()
			s.spoil.Store(nil)
			g, err := locked(t, lab, f, s.config, script)
			if err != nil {
				t.Fatal(err)
			}
			s.spoil.Store(&test.spoil)
			defer s.spoil.Store(nil)
			_, err = lab.TryBuild(g["i"])
			if (err == nil) != (test.want == "") || err != nil && !strings.Contains(err.Error(), test.want) {
				t.Errorf("got %v, want %q in it", err, test.want)
			}
		})
	}
}

func TestPullErrors(t *testing.T) {
	s := newServer(t)
	push(t, s.host, "lab/below:1", twoPlatforms)
	push(t, s.host, "lab/one:1", onePlatform)
	for script, want := range map[string]string{
		`oci_pull("Mongo:4.4")`:                                  `ref: got "Mongo:4.4", want lower case (did you mean "mongo:4.4"?)`,
		`oci_pull("a b")`:                                        `ref: got "a b", want [REGISTRY/]NAME[:TAG]`,
		`oci_pull("mongo", platform = "amd64")`:                  `platform: got "amd64", want OS/ARCH`,
		`oci_pull("HOST/lab/below:2")`:                           `there is no HOST/lab/below:2`,
		`oci_pull("HOST/lab/below:1", platform = "linux/s390x")`: `HOST/lab/below:1 is not there for linux/s390x, only for linux/amd64, linux/arm64`,
		`oci_pull("HOST/lab/one:1", platform = "linux/arm64")`:   `HOST/lab/one:1 is not there for linux/arm64, only for linux/amd64`,
		`oci_image([pages], name = "a", base = oci_pull("HOST/lab/one:1"), platform = "linux/arm64")`: `platform: got linux/arm64, and base is for linux/amd64`,
	} {
		lab := buildtest.New(t, s.config)
		_, err := locked(t, lab, lock.New(), s.config, "i = "+strings.ReplaceAll(script, "HOST", s.host))
		if err == nil || !strings.Contains(strings.ReplaceAll(err.Error(), s.host, "HOST"), want) {
			t.Errorf("%s\ngot  %v\nwant %s", script, err, want)
		}
	}
}

func TestMirror(t *testing.T) {
	s := newServer(t)
	push(t, s.host, "mirror/library/mongo:4.4", onePlatform)
	config := func(key string) string {
		return map[string]string{"oci.mirror": "docker.io=" + s.host + "/mirror", "oci.plain-http": s.host}[key]
	}
	lab := buildtest.New(t, config)
	g, err := locked(t, lab, lock.New(), config, `i = oci_pull("mongo:4.4")`)
	if err != nil {
		t.Fatal(err)
	}
	validLayout(t, lab, g["i"])
	if tag := attr(t, g["i"], "tag"); tag != starlark.String("mongo:4.4") {
		t.Errorf("got tag %v", tag)
	}
	if _, err := repositories("mongo", func(string) string { return "mirror.lan" }); err == nil || !strings.Contains(err.Error(), "want REGISTRY=MIRROR") {
		t.Errorf("got %v", err)
	}
}

func TestPins(t *testing.T) {
	const d = "sha256:052e257b512b7c6126157e761bf895765dd13a72e04f59305cadbeca9955debb:12:application/x"
	fields := []string{d, "config=" + d, "layer=" + d, "layer=" + d}
	p, err := parsePin("linux/amd64/x:1", fields)
	if err != nil || !slices.Equal(p.fields(), fields) {
		t.Errorf("got %v, %v", p, err)
	}
	for _, bad := range [][]string{nil, {d}, {d, "config=" + d}, {d, "config=" + d, "x=" + d}, {"sha256:00:1:x"}, {d, "config=sha512:00:1:x"}, {strings.Replace(d, ":12:", ":-1:", 1)}} {
		if _, err := parsePin("linux/amd64/x:1", bad); err == nil || !strings.Contains(err.Error(), "run `labstar lock --update x:1`") {
			t.Errorf("%v: got %v", bad, err)
		}
	}
	for entry, want := range map[string]string{
		"linux/amd64/mongo:4.4": "linux/amd64 mongo:4.4", "linux/arm/v7/r.lan:5000/a/b": "linux/arm/v7 r.lan:5000/a/b", "linux/amd64/lab/x": "linux/amd64 lab/x",
	} {
		p, ref, err := splitEntry(entry)
		if got := p.String() + " " + ref; got != want || err != nil {
			t.Errorf("got %s, %v, want %s", got, err, want)
		}
	}
}

func FuzzParsePin(f *testing.F) {
	f.Add("sha256:052e257b512b7c6126157e761bf895765dd13a72e04f59305cadbeca9955debb:12:x config=a layer=")
	f.Fuzz(func(t *testing.T, s string) {
		p, err := parsePin("linux/amd64/x", strings.Fields(s))
		if err == nil {
			if _, err := parsePin("linux/amd64/x", p.fields()); err != nil {
				t.Errorf("%v of its own fields", err)
			}
		}
	})
}

// Debian's registry, filled by skopeo with an image in Docker's own format.
func TestPullFromDebiansRegistry(t *testing.T) {
	if os.Getenv("LABSTAR_E2E") == "" {
		t.Skip("LABSTAR_E2E is not set")
	}
	for _, bin := range []string{"docker-registry", "skopeo"} {
		if _, err := exec.LookPath(bin); err != nil {
			t.Skipf("no %s on this machine", bin)
		}
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	host := l.Addr().String()
	l.Close()
	dir := t.TempDir()
	conf := filepath.Join(dir, "config.yml")
	text := fmt.Sprintf("version: 0.1\nlog: {level: error}\nstorage: {filesystem: {rootdirectory: %s/data}}\nhttp: {addr: %s}\n", dir, host)
	if err := os.WriteFile(conf, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), "docker-registry", "serve", conf)
	cmd.Stderr = os.Stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = cmd.Process.Kill(); _ = cmd.Wait() }()
	for i := 0; ; i++ {
		if resp, err := http.Get("http://" + host + "/v2/"); err == nil {
			resp.Body.Close()
			break
		} else if i > 100 {
			t.Fatal(err)
		}
		time.Sleep(100 * time.Millisecond)
	}
	below := buildtest.New(t)
	g := below.Eval(Builtins(), `i = oci_image([accounts], name = "x", labels = {"made": "here"})`, predeclared(below, "page"))
	layout, err := below.Store.TreePath(t.Context(), below.Build(g["i"]))
	if err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command("skopeo", "copy", "--format=v2s2", "--dest-tls-verify=false", "oci:"+layout+":latest", "docker://"+host+"/lab/below:1").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	config := func(key string) string {
		if key == "oci.plain-http" {
			return host
		}
		return ""
	}
	lab := buildtest.New(t, config)
	g, err = locked(t, lab, lock.New(), config, fmt.Sprintf(`
below = oci_pull(%q)
above = oci_image([pages], base = below, name = "lab/above:1")`, host+"/lab/below:1"))
	if err != nil {
		t.Fatal(err)
	}
	validLayout(t, lab, g["below"])
	validLayout(t, lab, g["above"])
	if cf := configOf(t, lab, g["above"]); cf.Config.Labels["made"] != "here" || len(cf.RootFS.DiffIDs) != 2 {
		t.Errorf("got %+v", cf)
	}
	if out, err := exec.Command("skopeo", "inspect", "oci:"+mustPath(t, lab, g["above"])+":1").CombinedOutput(); err != nil || !strings.Contains(string(out), `"made": "here"`) {
		t.Errorf("%v\n%s", err, out)
	}
}

func mustPath(t *testing.T, lab *buildtest.Lab, v starlark.Value) string {
	t.Helper()
	dir, err := lab.Store.TreePath(t.Context(), lab.Build(v))
	if err != nil {
		t.Fatal(err)
	}
	return dir
}
