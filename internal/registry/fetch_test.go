package registry

import (
	"bytes"
	"fmt"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/labstar/labstar/internal/download"
	"github.com/labstar/labstar/internal/registry/registrytest"
)

// sink takes a blob in memory.
type sink struct{ bytes.Buffer }

func (*sink) Abort() {}

// Fetching goes on where it was cut, checks every byte, follows a redirect
// without telling the other host who asks, and refuses what was tampered with.
func TestFetch(t *testing.T) {
	backend := registrytest.Docker(t)
	img, st := testImage(t, 1, large)
	if _, err := pushTo(t, quickClient(Options{}), st, img, strings.TrimPrefix(backend, "http://"), "lab/web"); err != nil {
		t.Fatal(err)
	}
	layer := img.Root.Layers[0]
	fetch := func(c *Client, host string) ([]byte, error) {
		r, err := c.Repository(host+"/lab/web", Pull)
		if err != nil {
			t.Fatal(err)
		}
		desc, err := r.Resolve(t.Context(), "1.0")
		if err != nil {
			return nil, err
		}
		raw, again, err := r.Manifest(t.Context(), desc.Digest.String())
		if err != nil {
			return nil, err
		}
		if desc.Digest != img.Root.Digest || again.Digest != desc.Digest || desc.Size != again.Size || !bytes.Equal(raw, img.Root.Raw) {
			t.Errorf("resolved to %v and %v, want %v", desc, again, img.Root.Descriptor)
		}
		var got *sink
		err = r.Fetch(t.Context(), layer, func() (download.Sink, error) { got = &sink{}; return got, nil }, nil)
		if got == nil {
			got = &sink{}
		}
		return got.Bytes(), err
	}
	want, _ := registrytest.Layer(1, large)
	get := func(f registrytest.Fault, n int) func(*http.Request) *registrytest.Fault {
		return func(r *http.Request) *registrytest.Fault {
			if r.Method != "GET" || !strings.Contains(r.URL.Path, "/blobs/") || n == 0 {
				return nil
			}
			n--
			return &f
		}
	}
	t.Run("cut", func(t *testing.T) {
		proxy := registrytest.NewProxy(t, backend)
		proxy.Rule(get(registrytest.Fault{CutDown: 5 << 20}, 3))
		got, err := fetch(quickClient(Options{}), proxy.Host())
		if err != nil || !bytes.Equal(got, want) {
			t.Fatalf("got %d bytes, %v", len(got), err)
		}
		if s := proxy.Seen(); s[len(s)-1].Header.Get("Range") != fmt.Sprintf("bytes=%d-", 15<<20) {
			t.Errorf("the last request had the Range %q", s[len(s)-1].Header.Get("Range"))
		}
	})
	t.Run("throttled and 503", func(t *testing.T) {
		proxy := registrytest.NewProxy(t, backend)
		var n atomic.Int32
		proxy.Rule(func(r *http.Request) *registrytest.Fault {
			if k := n.Add(1); k%2 == 0 {
				f := throttled("1")
				if k%4 == 0 {
					f = registrytest.Fault{Status: 503}
				}
				return &f
			}
			return nil
		})
		if got, err := fetch(quickClient(Options{}), proxy.Host()); err != nil || !bytes.Equal(got, want) {
			t.Fatalf("got %d bytes, %v", len(got), err)
		}
	})
	t.Run("changed once", func(t *testing.T) {
		proxy := registrytest.NewProxy(t, backend)
		proxy.Rule(get(registrytest.Fault{FlipDown: true}, 1))
		if got, err := fetch(quickClient(Options{}), proxy.Host()); err != nil || !bytes.Equal(got, want) {
			t.Fatalf("got %d bytes, %v", len(got), err)
		}
	})
	t.Run("tampered blob", func(t *testing.T) {
		proxy := registrytest.NewProxy(t, backend)
		proxy.Rule(get(registrytest.Fault{FlipDown: true}, 1000))
		if _, err := fetch(quickClient(Options{}), proxy.Host()); err == nil || !strings.Contains(err.Error(), "want "+layer.Digest.Hex) {
			t.Fatalf("got %v, want an error about the digest", err)
		}
	})
	t.Run("tampered manifest", func(t *testing.T) {
		proxy := registrytest.NewProxy(t, backend)
		proxy.Rule(func(r *http.Request) *registrytest.Fault { return &registrytest.Fault{FlipDown: true} })
		if _, err := fetch(quickClient(Options{}), proxy.Host()); err == nil || !strings.Contains(err.Error(), "damaged or was tampered with") {
			t.Fatalf("got %v, want an error about the manifest", err)
		}
	})
	t.Run("redirect", func(t *testing.T) {
		proxy, there := registrytest.Redirecting(t, backend)
		k := registrytest.NewTokens(t, proxy.URL, "mia", "secret", 1000)
		c := quickClient(Options{Keychain: login("mia", "secret")})
		got, err := fetch(c, strings.TrimPrefix(k.URL, "http://"))
		if err != nil || !bytes.Equal(got, want) {
			t.Errorf("got %d bytes, %v", len(got), err)
		}
		for _, h := range there() {
			if h.Get("Authorization") != "" {
				t.Errorf("the other host was told %q", h.Get("Authorization"))
			}
		}
		if len(there()) == 0 {
			t.Error("the redirect was not followed")
		}
	})
	t.Run("missing", func(t *testing.T) {
		r, err := quickClient(Options{}).Repository(strings.TrimPrefix(backend, "http://")+"/lab/web", Pull)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := r.Resolve(t.Context(), "9.9"); !IsNotFound(err) || !strings.Contains(err.Error(), "correct the name or the tag") {
			t.Errorf("got %v, want not found", err)
		}
	})
}
