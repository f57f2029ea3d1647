package registry

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/types"
	"github.com/google/go-containerregistry/pkg/v1/validate"

	"github.com/labstar/labstar/internal/registry/registrytest"
	"github.com/labstar/labstar/internal/store/mem"
)

// A pull that was cut goes on where it was in the next run, and ends in a layout
// that go-containerregistry finds whole.
func TestPullTo(t *testing.T) {
	proxy := registrytest.NewProxy(t, registrytest.Docker(t))
	img, st := testImage(t, 1, small, large)
	if _, err := pushTo(t, quickClient(Options{}), st, img, proxy.Host(), "lab/web"); err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	get := func(ctx context.Context, tell func(Blob)) (*Pulled, error) {
		r, err := quickClient(Options{}).Repository(proxy.Host()+"/lab/web", Pull)
		if err != nil {
			t.Fatal(err)
		}
		return r.PullTo(ctx, "1.0", dir, PullOptions{Name: "lab/web:1.0", Jobs: 2, Blob: tell})
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	if _, err := get(ctx, func(b Blob) {
		if b.Done > 4<<20 && !b.End {
			cancel()
		}
	}); !errors.Is(err, context.Canceled) {
		t.Fatalf("got %v, want it cancelled", err)
	}
	proxy.Reset()
	got, err := get(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	if got.Bytes > large-(4<<20)+small+5000 {
		t.Errorf("fetched %d bytes in the second run", got.Bytes)
	}
	ranged := false
	for _, s := range proxy.Seen() {
		ranged = ranged || strings.HasPrefix(s.Header.Get("Range"), "bytes=") && s.Header.Get("Range") != "bytes=0-"
	}
	if !ranged {
		t.Error("no request asked for the rest alone")
	}
	index, err := layout.ImageIndexFromPath(dir)
	if err != nil {
		t.Fatal(err)
	}
	if err := validate.Index(index); err != nil {
		t.Error(err)
	}
	// What is there is not fetched, and the layout stays the same.
	before, err := os.ReadFile(filepath.Join(dir, "index.json"))
	if err != nil {
		t.Fatal(err)
	}
	if got, err = get(t.Context(), nil); err != nil || got.Bytes != 0 || got.There != 3 {
		t.Errorf("the third run: %+v, %v", got, err)
	}
	if after, err := os.ReadFile(filepath.Join(dir, "index.json")); err != nil || !bytes.Equal(before, after) {
		t.Errorf("index.json changed from %s to %s (%v)", before, after, err)
	}
}

// What is left of an earlier run may be anything: the digest decides.
func TestPullOverGarbage(t *testing.T) {
	proxy := registrytest.NewProxy(t, registrytest.Docker(t))
	img, st := testImage(t, 1, large)
	if _, err := pushTo(t, quickClient(Options{}), st, img, proxy.Host(), "lab/web"); err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	if err := os.MkdirAll(filepath.Join(dir, "blobs/sha256"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "blobs/sha256", img.Root.Layers[0].Digest.Hex+".part"), make([]byte, 1<<20), 0o600); err != nil {
		t.Fatal(err)
	}
	r, err := quickClient(Options{}).Repository(proxy.Host()+"/lab/web", Pull)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := r.PullTo(t.Context(), img.Root.Digest.String(), dir, PullOptions{Name: "x"}); err != nil {
		t.Fatal(err)
	}
	index, err := layout.ImageIndexFromPath(dir)
	if err != nil {
		t.Fatal(err)
	}
	if err := validate.Index(index); err != nil {
		t.Error(err)
	}
}

// Of an index the platform is taken, and what there is is told.
func TestPullPlatform(t *testing.T) {
	host := strings.TrimPrefix(registrytest.Strict(t), "http://")
	st := mem.New()
	defer st.Close()
	l := registrytest.NewLayout(t, st)
	a, b := l.Image(1, small), l.Image(2, small)
	a.Platform, b.Platform = &v1.Platform{OS: "linux", Architecture: "amd64"}, &v1.Platform{OS: "linux", Architecture: "arm64"}
	l.Add(l.JSON(types.OCIImageIndex, v1.IndexManifest{SchemaVersion: 2, MediaType: types.OCIImageIndex, Manifests: []v1.Descriptor{a, b}}), "lab/web:1.0")
	images, err := ReadLayout(t.Context(), st, l.Finish())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := pushTo(t, quickClient(Options{}), st, images[0], host, "lab/web"); err != nil {
		t.Fatal(err)
	}
	r, err := quickClient(Options{}).Repository(host+"/lab/web", Pull)
	if err != nil {
		t.Fatal(err)
	}
	for platform, want := range map[string]any{"linux/arm64": b.Digest, "linux/amd64": a.Digest, "linux/riscv64": "it has: linux/amd64, linux/arm64"} {
		p, err := v1.ParsePlatform(platform)
		if err != nil {
			t.Fatal(err)
		}
		got, err := r.PullTo(t.Context(), "1.0", t.TempDir(), PullOptions{Platform: p, Name: "x"})
		if text, wrong := want.(string); wrong {
			if err == nil || !strings.Contains(err.Error(), text) {
				t.Errorf("%s: got %v, want %q", platform, err, text)
			}
			continue
		}
		if err != nil || got.Root.Digest != want {
			t.Errorf("%s: got %v, %v, want %v", platform, got, err, want)
		}
	}
	dir := t.TempDir()
	if _, err := r.PullTo(t.Context(), "1.0", dir, PullOptions{Name: "x"}); err != nil {
		t.Fatal(err)
	}
	index, err := layout.ImageIndexFromPath(dir)
	if err != nil {
		t.Fatal(err)
	}
	if err := validate.Index(index); err != nil {
		t.Error(err)
	}
}
