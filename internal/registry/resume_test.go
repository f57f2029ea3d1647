package registry

import (
	"context"
	"errors"
	"net/http"
	"testing"

	"github.com/labstar/labstar/internal/registry/registrytest"
)

// A push that was killed goes on in the next run where it was: the registry is
// sent every byte of the layer once, but for the chunk under way.
func TestResume(t *testing.T) {
	for kind, start := range registries {
		t.Run(kind, func(t *testing.T) {
			proxy := registrytest.NewProxy(t, start(t))
			img, st := testImage(t, 1, 3*large)
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			c := quickClient(Options{})
			r, err := c.Repository(proxy.Host()+"/lab/web", Push)
			if err != nil {
				t.Fatal(err)
			}
			_, err = NewPusher(st, 3).Push(ctx, img, r, "1.0", func(b Blob) {
				if b.Desc.Size > large && b.Done > large {
					cancel()
				}
			})
			if !errors.Is(err, context.Canceled) {
				t.Fatalf("got %v, want it cancelled", err)
			}
			first := proxy.Up("PATCH")
			if first < large || first >= 3*large {
				t.Fatalf("%d bytes went before it was cancelled", first)
			}
			again, err := pushTo(t, quickClient(Options{}), st, img, proxy.Host(), "lab/web")
			if err != nil {
				t.Fatal(err)
			}
			if again.Before != first {
				t.Errorf("it goes on from %d bytes, sent were %d", again.Before, first)
			}
			if got := proxy.Up("PATCH"); got != img.Root.Layers[0].Size {
				t.Errorf("both runs sent %d bytes of a layer of %d", got, img.Root.Layers[0].Size)
			}
			whole(t, proxy.Host()+"/lab/web:1.0")
		})
	}
}

// Interrupted when all chunks are there, before the registry was told so: no byte
// goes twice.
func TestResumeAtEnd(t *testing.T) {
	for kind, start := range registries {
		t.Run(kind, func(t *testing.T) {
			proxy := registrytest.NewProxy(t, start(t))
			img, st := testImage(t, 1, large)
			layer := img.Root.Layers[0]
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			r, err := quickClient(Options{}).Repository(proxy.Host()+"/lab/web", Push)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := NewPusher(st, 3).Push(ctx, img, r, "1.0", func(b Blob) {
				if b.Desc.Digest == layer.Digest && b.Done == layer.Size {
					cancel()
				}
			}); !errors.Is(err, context.Canceled) {
				t.Fatalf("got %v, want it cancelled", err)
			}
			if _, err := pushTo(t, quickClient(Options{}), st, img, proxy.Host(), "lab/web"); err != nil {
				t.Fatal(err)
			}
			if got := proxy.Up("PATCH"); got != layer.Size {
				t.Errorf("both runs sent %d bytes of a layer of %d", got, layer.Size)
			}
			whole(t, proxy.Host()+"/lab/web:1.0")
		})
	}
}

// Where the registry keeps what came of a chunk that was cut, nothing is sent
// twice; where it drops the upload, it is begun again.
func TestResumeInsideChunk(t *testing.T) {
	for kind, start := range registries {
		t.Run(kind, func(t *testing.T) {
			proxy := registrytest.NewProxy(t, start(t))
			n := 0
			proxy.Rule(func(r *http.Request) *registrytest.Fault {
				if r.Method == "PATCH" {
					if n++; n == 2 {
						return &registrytest.Fault{CutUp: 3 << 20}
					}
				}
				return nil
			})
			img, st := testImage(t, 1, large)
			if _, err := pushTo(t, quickClient(Options{}), st, img, proxy.Host(), "lab/web"); err != nil {
				t.Fatal(err)
			}
			if got := proxy.Up("PATCH"); kind == "strict" && got != img.Root.Layers[0].Size {
				t.Errorf("sent %d bytes of a layer of %d", got, img.Root.Layers[0].Size)
			}
			whole(t, proxy.Host()+"/lab/web:1.0")
		})
	}
}

// The registry has lost the upload that the notes name: from the start.
func TestResumeForgotten(t *testing.T) {
	for kind, start := range registries {
		t.Run(kind, func(t *testing.T) {
			img, st := testImage(t, 1, large)
			proxy := registrytest.NewProxy(t, start(t))
			b := newBook(st, proxy.Host())
			r, err := quickClient(Options{}).Repository(proxy.Host()+"/lab/web", Push)
			if err != nil {
				t.Fatal(err)
			}
			b.keep(r, img.Root.Layers[0], proxy.URL+"/v2/lab/web/blobs/uploads/6d1c9d2e-5b0e-4f0e-9a57-1d4c1f0a7c11", 5<<20)
			if _, err := pushTo(t, quickClient(Options{}), st, img, proxy.Host(), "lab/web"); err != nil {
				t.Fatal(err)
			}
			whole(t, proxy.Host()+"/lab/web:1.0")
		})
	}
}
