package oci

import (
	"archive/tar"
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	ggcr "github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
	"github.com/google/go-containerregistry/pkg/v1/validate"
	"go.starlark.net/starlark"

	"github.com/labstar/labstar/action"
	"github.com/labstar/labstar/internal/buildtest"
	"github.com/labstar/labstar/starlark/schema"
)

const baseScript = `
below = oci_image([root, accounts], name = "lab/below:1", entrypoint = ["/bin/sh"], cmd = ["-i"], env = {"A": "1", "B": "1"},
    user = "lab", ports = [80], labels = {"a": "1"}, stop_signal = "SIGQUIT", volumes = ["/data"],
    healthcheck = {"test": ["/bin/sh", "-c", "true"], "interval": "30s", "timeout": "1s", "start_period": "1m", "retries": 3})
above = oci_image([pages], name = "lab/above:1", base = below, env = {"B": "2"}, workdir = "/srv", ports = ["53/udp"], labels = {"b": "2"})
other = oci_image([pages], name = "lab/other:1", base = above, entrypoint = ["/bin/sh", "/srv/www/index.html"], user = "0")
bare = oci_image([], name = "lab/bare:1", base = below, cmd = ["-l"])
`

func attr(t *testing.T, v starlark.Value, name string) starlark.Value {
	t.Helper()
	a, err := v.(*schema.Artifact).Attr(name)
	if err != nil || a == nil {
		t.Fatalf("no attribute %s: %v", name, err)
	}
	return a
}

func configOf(t *testing.T, lab *buildtest.Lab, v starlark.Value) *v1.ConfigFile {
	t.Helper()
	cf, err := v1.ParseConfigFile(strings.NewReader(lab.Text(attr(t, v, "config"))))
	if err != nil {
		t.Fatal(err)
	}
	return cf
}

// validLayout holds a layout against go-containerregistry's validator.
func validLayout(t *testing.T, lab *buildtest.Lab, v starlark.Value) string {
	t.Helper()
	dir, err := lab.Store.TreePath(t.Context(), lab.Build(v))
	if err != nil {
		t.Fatal(err)
	}
	p, err := ggcr.FromPath(dir)
	if err != nil {
		t.Fatal(err)
	}
	index, err := p.ImageIndex()
	if err != nil {
		t.Fatal(err)
	}
	if err := validate.Index(index); err != nil {
		t.Error(err)
	}
	return dir
}

func TestBase(t *testing.T) {
	lab := buildtest.New(t)
	g := lab.Eval(Builtins(), baseScript, predeclared(lab, "page"))
	for _, name := range []string{"below", "above", "other", "bare"} {
		validLayout(t, lab, g[name])
	}
	below, above, other, bare := configOf(t, lab, g["below"]), configOf(t, lab, g["above"]), configOf(t, lab, g["other"]), configOf(t, lab, g["bare"])
	if h := below.Config.Healthcheck; h == nil || !slices.Equal(h.Test, []string{"CMD", "/bin/sh", "-c", "true"}) || h.Interval != 30*time.Second ||
		h.Timeout != time.Second || h.StartPeriod != time.Minute || h.Retries != 3 {
		t.Errorf("got health check %+v", h)
	}
	c := above.Config
	if got := strings.Join(c.Env, " "); got != "PATH="+defaultPath+" A=1 B=2" {
		t.Errorf("got environment %s", got)
	}
	if c.StopSignal != "SIGQUIT" || c.User != "lab" || c.WorkingDir != "/srv" || len(c.ExposedPorts) != 2 || len(c.Labels) != 2 || c.Healthcheck == nil ||
		!slices.Equal(c.Entrypoint, []string{"/bin/sh"}) || !slices.Equal(c.Cmd, []string{"-i"}) || len(c.Volumes) != 1 {
		t.Errorf("got configuration %+v", c)
	}
	if len(above.RootFS.DiffIDs) != 3 || !slices.Equal(above.RootFS.DiffIDs[:2], below.RootFS.DiffIDs) {
		t.Errorf("got layers %v over %v", above.RootFS.DiffIDs, below.RootFS.DiffIDs)
	}
	if len(above.History) != 3 || above.History[2].CreatedBy != "labstar: test tree" || !above.History[2].Created.Equal(epoch) {
		t.Errorf("got history %+v", above.History)
	}
	if c := other.Config; c.Cmd != nil || c.User != "0" || len(other.RootFS.DiffIDs) != 4 {
		t.Errorf("a new entrypoint: got %+v", c)
	}
	if c := bare.Config; !slices.Equal(c.Cmd, []string{"-l"}) || !slices.Equal(bare.RootFS.DiffIDs, below.RootFS.DiffIDs) {
		t.Errorf("no layer: got %+v", c)
	}
}

func TestIndex(t *testing.T) {
	lab := buildtest.New(t)
	g := lab.Eval(Builtins(), `
amd = oci_image([root], name = "lab/web:1")
arm = oci_image([pages], name = "lab/web:1", platform = "linux/arm64")
both = oci_index([amd, arm], annotations = {"a": "b"})
above = oci_image([pages], name = "lab/above:1", base = both, platform = "linux/arm64")
above_amd = oci_image([pages], name = "lab/above:1", base = both)
`, predeclared(lab, "page"))
	dir := validLayout(t, lab, g["both"])
	var index v1.IndexManifest
	if err := json.Unmarshal([]byte(lab.Text(attr(t, g["both"], "manifest"))), &index); err != nil {
		t.Fatal(err)
	}
	if len(index.Manifests) != 2 || index.Manifests[1].Platform.Architecture != "arm64" || index.Annotations["a"] != "b" {
		t.Errorf("got index %+v", index)
	}
	if cf := configOf(t, lab, g["above"]); cf.Architecture != "arm64" || len(cf.RootFS.DiffIDs) != 2 {
		t.Errorf("got %+v", cf)
	}
	if cf := configOf(t, lab, g["above_amd"]); cf.Architecture != "amd64" {
		t.Errorf("got %+v", cf)
	}
	if bin, err := exec.LookPath("skopeo"); err == nil {
		out, err := exec.Command(bin, "inspect", "--override-arch", "arm64", "oci:"+dir+":1").CombinedOutput()
		if err != nil || !strings.Contains(string(out), `"Architecture": "arm64"`) {
			t.Errorf("skopeo inspect: %v\n%s", err, out)
		}
	}
}

// The archive is what `docker load` reads, which the library that crane uses does too.
func TestArchive(t *testing.T) {
	lab, g := build(t, "")
	b := lab.Blob(lab.Build(attr(t, g["image"], "archive")))
	img, err := tarball.Image(func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(b)), nil }, nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := validate.Image(img); err != nil {
		t.Error(err)
	}
	byContent := "registry.lan:5000/lab/web:sha-" + action.Of([]byte(lab.Text(attr(t, g["image"], "manifest")))).Hex()[:tagDigits]
	var names []string
	for r := tar.NewReader(bytes.NewReader(b)); ; {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		names = append(names, h.Name)
		// Engines of old find the image's names in one file, those with containerd in the other.
		if h.Name == "index.json" || h.Name == "manifest.json" {
			text, err := io.ReadAll(r)
			if err != nil || !strings.Contains(string(text), `"registry.lan:5000/lab/web:1.0"`) || !strings.Contains(string(text), `"`+byContent+`"`) {
				t.Errorf("%s: got %s, want both names of the image (%s)", h.Name, text, byContent)
			}
		}
	}
	for _, want := range []string{"index.json", "manifest.json", "oci-layout"} {
		if !slices.Contains(names, want) {
			t.Errorf("got %v, want %s in it", names, want)
		}
	}
}

// What umoci unpacks is the trees again.
func TestUnpackedByUmoci(t *testing.T) {
	bin, err := exec.LookPath("umoci")
	if err != nil {
		t.Skip("no umoci on this machine")
	}
	lab := buildtest.New(t)
	g := lab.Eval(Builtins(), `
below = oci_image([accounts], name = "lab/below:1")
above = oci_image([pages], name = "lab/above:1", base = below)`, predeclared(lab, "page"))
	dir := validLayout(t, lab, g["above"])
	to := filepath.Join(t.TempDir(), "bundle")
	if out, err := exec.Command(bin, "unpack", "--rootless", "--image", dir+":1", to).CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	if b, err := os.ReadFile(filepath.Join(to, "rootfs/srv/www/index.html")); err != nil || string(b) != "page" {
		t.Errorf("got %q, %v", b, err)
	}
}

func TestBaseErrors(t *testing.T) {
	const images = `
amd = oci_image([root], name = "lab/amd:1")
arm = oci_image([root], name = "lab/arm:1", platform = "linux/arm64")
both = oci_index([amd, arm], name = "lab/both:1")
`
	for script, want := range map[string]string{
		`i = oci_image([pages], name = "a", base = root)`:                                           `base: got a tree, want an image`,
		`i = oci_image([pages], name = "a", base = arm, platform = "linux/amd64")`:                  `platform: got linux/amd64, and base is for linux/arm64; leave it out, or take a base for linux/amd64`,
		`i = oci_image([pages], name = "a", base = both, platform = "linux/riscv64")`:               `base: got an index for linux/amd64, linux/arm64, want one that has linux/riscv64; say platform = "linux/amd64"`,
		`i = oci_index([amd, amd])`:                                                                 `images[1]: got a second image for linux/amd64, which images[0] is for too`,
		`i = oci_index([amd, arm])`:                                                                 `images[1]: got the name "lab/arm:1", and images[0] has "lab/amd:1"; say name = what the index is to be called`,
		`i = oci_index([])`:                                                                         `images: got none`,
		`i = oci_index([both])`:                                                                     `images[0]: got an index, want an image for one platform`,
		`i = oci_image([root], name = "a", stop_signal = "SIGTREM")`:                                `stop_signal: got "SIGTREM", want the name of a signal`,
		`i = oci_image([root], name = "a", stop_signal = "65")`:                                     `stop_signal: got "65"`,
		`i = oci_image([root], name = "a", healthcheck = {"test": "true"})`:                         `healthcheck["test"]: got string, want a list of strings`,
		`i = oci_image([root], name = "a", healthcheck = {"test": ["CMD-SHELL", "a", "b"]})`:        `got 2 strings after CMD-SHELL, want one`,
		`i = oci_image([root], name = "a", healthcheck = {"test": ["/bin/sh"], "intervall": "3s"})`: `healthcheck["intervall"]: got an unknown key, want one of test, interval, timeout, start_period, retries (did you mean "interval"?)`,
		`i = oci_image([root], name = "a", healthcheck = {"test": ["/bin/sh"], "timeout": 3})`:      `healthcheck["timeout"]: got 3, want a time as "30s"`,
		`i = oci_image([root], name = "a", healthcheck = {"test": ["/bin/sh"], "retries": 0})`:      `healthcheck["retries"]: got 0, want a number from 1`,
		`i = oci_image([root], name = "a", healthcheck = {"interval": "30s"})`:                      `healthcheck: got no "test"`,
	} {
		lab := buildtest.New(t)
		_, err := lab.TryEval(Builtins(), images+script, predeclared(lab, "page"))
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s\ngot  %v\nwant %s", script, err, want)
		}
	}
}

func FuzzUnpackTar(f *testing.F) {
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, b []byte) {
		lab := buildtest.New(t)
		w, err := lab.Store.CreateTree(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		defer w.Abort()
		_, _ = unpackTar(t.Context(), bytes.NewReader(b), w) // must not panic, nor leave the tree
	})
}
