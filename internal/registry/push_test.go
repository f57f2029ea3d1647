package registry

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/types"
	"github.com/google/go-containerregistry/pkg/v1/validate"

	"github.com/labstar/labstar/internal/registry/registrytest"
	"github.com/labstar/labstar/internal/store/mem"
)

// quick is a policy for servers on this machine.
var quick = Policy{
	Tries: 4, Pause: 10 * time.Millisecond, MaxPause: 3 * time.Second,
	Stall: 3 * time.Second, Answer: 4 * time.Second, Grace: 5 * time.Second,
}

func quickClient(o Options) *Client {
	o.Policy = quick
	if o.Keychain == nil {
		o.Keychain = authn.NewMultiKeychain()
	}
	return New(o)
}

// sizes of the test image: one layer in one request, one in several chunks.
const small, large = 10_000, 21 << 20

// testImage puts an image into a new store.
func testImage(t testing.TB, seed uint64, layers ...int) (*Image, *mem.Store) {
	t.Helper()
	st := mem.New()
	t.Cleanup(func() { st.Close() })
	l := registrytest.NewLayout(t, st)
	l.Add(l.Image(seed, layers...), "lab/web:1.0")
	images, err := ReadLayout(t.Context(), st, l.Finish())
	if err != nil {
		t.Fatal(err)
	}
	return images[0], st
}

func pushTo(t testing.TB, c *Client, st Notes, img *Image, host, repo string) (*Pushed, error) {
	t.Helper()
	r, err := c.Repository(host+"/"+repo, Push)
	if err != nil {
		t.Fatal(err)
	}
	return NewPusher(st, 3).Push(t.Context(), img, r, "1.0", nil)
}

// whole checks with go-containerregistry that an image is at a registry with
// every byte.
func whole(t testing.TB, ref string) {
	t.Helper()
	r, err := name.ParseReference(ref, name.Insecure)
	if err != nil {
		t.Fatal(err)
	}
	img, err := remote.Image(r)
	if err != nil {
		t.Fatalf("%s: %v", ref, err)
	}
	if err := validate.Image(img); err != nil {
		t.Errorf("%s: %v", ref, err)
	}
}

// registries are those that the faults are tried on.
var registries = map[string]func(testing.TB) string{"strict": registrytest.Strict, "docker-registry": registrytest.Docker}

// Whatever happens on the way, the image arrives with every byte.
func TestPushThroughFaults(t *testing.T) {
	unavailable := registrytest.Fault{Status: http.StatusServiceUnavailable}
	servers := map[string]string{}
	for kind, start := range registries {
		servers[kind] = start(t)
	}
	for title, fault := range map[string]func(p *registrytest.Proxy){
		"nothing":            func(p *registrytest.Proxy) {},
		"throttled":          func(p *registrytest.Proxy) { p.Once(3, "PATCH", throttled("1")) },
		"throttled at once":  func(p *registrytest.Proxy) { p.Once(2, "HEAD", throttled("1")) },
		"503 at the start":   func(p *registrytest.Proxy) { p.Once(2, "POST", unavailable) },
		"503 at a chunk":     func(p *registrytest.Proxy) { p.Once(2, "PATCH", unavailable) },
		"500 at the end":     func(p *registrytest.Proxy) { p.Once(2, "PUT", registrytest.Fault{Status: 500}) },
		"cut in a chunk":     func(p *registrytest.Proxy) { p.Once(1, "PATCH", registrytest.Fault{CutUp: 1 << 20}) },
		"cut in two chunks":  func(p *registrytest.Proxy) { p.Once(2, "PATCH", registrytest.Fault{CutUp: 100_000}) },
		"cut in one request": func(p *registrytest.Proxy) { p.Once(1, "PUT", registrytest.Fault{CutUp: 50}) },
		"answer lost":        func(p *registrytest.Proxy) { p.Once(1, "PATCH", registrytest.Fault{Lost: true}) },
		"end's answer lost":  func(p *registrytest.Proxy) { p.Once(3, "PUT", registrytest.Fault{Lost: true}) },
		"start's lost":       func(p *registrytest.Proxy) { p.Once(2, "POST", registrytest.Fault{Lost: true}) },
		"stalled":            func(p *registrytest.Proxy) { p.Once(1, "PATCH", registrytest.Fault{Stall: true}) },
		"slow":               func(p *registrytest.Proxy) { p.Once(9, "PATCH", registrytest.Fault{Delay: 300 * time.Millisecond}) },
		"changed on the way": func(p *registrytest.Proxy) { p.Once(1, "PATCH", registrytest.Fault{FlipUp: true}) },
		"changed in one":     func(p *registrytest.Proxy) { p.Once(1, "PUT", registrytest.Fault{FlipUp: true}) },
		"upload forgotten": func(p *registrytest.Proxy) {
			p.Once(1, "PATCH", registrytest.Fault{Status: 404, Body: `{"errors":[{"code":"BLOB_UPLOAD_UNKNOWN"}]}`})
		},
		"a limit of size": func(p *registrytest.Proxy) { // of a proxy that cuts what is longer than 2 MiB
			p.Rule(func(r *http.Request) *registrytest.Fault {
				if r.Method == "PATCH" && r.ContentLength > 2<<20 {
					return &registrytest.Fault{CutUp: 2 << 20}
				}
				return nil
			})
		},
		"no second chunk": func(p *registrytest.Proxy) {
			p.Rule(func(r *http.Request) *registrytest.Fault {
				if r.Method == "PATCH" && !strings.HasPrefix(r.Header.Get("Content-Range"), "0-") {
					return &registrytest.Fault{Status: http.StatusMethodNotAllowed}
				}
				return nil
			})
		},
	} {
		for kind, server := range servers {
			t.Run(title+"/"+kind, func(t *testing.T) {
				t.Parallel()
				proxy := registrytest.NewProxy(t, server)
				fault(proxy)
				img, st := testImage(t, 1, small, large)
				repo := "lab/" + strings.NewReplacer(" ", "-", "'", "").Replace(title)
				got, err := pushTo(t, quickClient(Options{}), st, img, proxy.Host(), repo)
				if err != nil {
					t.Fatal(err)
				}
				if got.Sent != 3 {
					t.Errorf("sent %d blobs, want 3", got.Sent)
				}
				proxy.Rule(nil)
				whole(t, proxy.Host()+"/"+repo+":1.0")
			})
		}
	}
}

func throttled(after string) registrytest.Fault {
	return registrytest.Fault{Status: http.StatusTooManyRequests, Header: http.Header{"Retry-After": {after}}}
}

// What can't go well ends with what to do.
func TestPushErrors(t *testing.T) {
	for title, test := range map[string]struct {
		fault func(p *registrytest.Proxy)
		want  []string
	}{
		"down": {func(p *registrytest.Proxy) { p.Once(1000, "POST", registrytest.Fault{Status: 503}) },
			[]string{"tried 4 times", "503", "run it again later; what is there is not sent again"}},
		"told to wait long": {func(p *registrytest.Proxy) { p.Once(1000, "HEAD", throttled("600")) },
			[]string{"429", "asks to wait 10m0s: run it again then"}},
		"denied": {func(p *registrytest.Proxy) {
			p.Once(1000, "POST", registrytest.Fault{Status: 403, Body: `{"errors":[{"code":"DENIED","message":"not yours"}]}`})
		}, []string{"DENIED (not yours)", "docker login"}},
		"too large": {func(p *registrytest.Proxy) { p.Once(1000, "PATCH", registrytest.Fault{Status: 413}) },
			[]string{"413", "client_max_body_size"}},
		"changed twice": {func(p *registrytest.Proxy) { p.Once(1000, "PUT", registrytest.Fault{FlipUp: true}) },
			[]string{"DIGEST_INVALID", "labstar cache verify --repair"}},
		"stalls": {func(p *registrytest.Proxy) { p.Once(1000, "PATCH", registrytest.Fault{Stall: true}) },
			[]string{"stalled", "run it again: it goes on where it stopped"}},
	} {
		t.Run(title, func(t *testing.T) {
			t.Parallel()
			proxy := registrytest.NewProxy(t, registrytest.Docker(t))
			test.fault(proxy)
			img, st := testImage(t, 1, small, large)
			_, err := pushTo(t, quickClient(Options{}), st, img, proxy.Host(), "lab/web")
			if err == nil {
				t.Fatal("got no error")
			}
			for _, want := range test.want {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("got %q, want it to contain %q", err, want)
				}
			}
			// And then it goes on.
			proxy.Rule(nil)
			if _, err := pushTo(t, quickClient(Options{}), st, img, proxy.Host(), "lab/web"); err != nil {
				t.Fatal(err)
			}
			whole(t, proxy.Host()+"/lab/web:1.0")
		})
	}
	img, st := testImage(t, 1, small)
	_, err := pushTo(t, quickClient(Options{}), st, img, registrytest.FreeAddress(t), "lab/web")
	if err == nil || !strings.Contains(err.Error(), "start the registry") {
		t.Errorf("got %v, want an error that says to start the registry", err)
	}
}

// A second push sends nothing, and asks once.
func TestPushAgain(t *testing.T) {
	for kind, start := range registries {
		t.Run(kind, func(t *testing.T) {
			proxy := registrytest.NewProxy(t, start(t))
			img, st := testImage(t, 1, small, large)
			if _, err := pushTo(t, quickClient(Options{}), st, img, proxy.Host(), "lab/web"); err != nil {
				t.Fatal(err)
			}
			proxy.Reset()
			got, err := pushTo(t, quickClient(Options{}), st, img, proxy.Host(), "lab/web")
			if err != nil {
				t.Fatal(err)
			}
			if proxy.Up() != 0 || got.Sent != 0 || got.There != 3 || len(proxy.Seen()) != 1 {
				t.Errorf("sent %d bytes in %d requests, blobs: %+v", proxy.Up(), len(proxy.Seen()), got)
			}
			// Another tag of the image: the manifest alone.
			proxy.Reset()
			r, err := quickClient(Options{}).Repository(proxy.Host()+"/lab/web", Push)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := NewPusher(st, 3).Push(t.Context(), img, r, "2.0", nil); err != nil {
				t.Fatal(err)
			}
			if proxy.Up() != int64(len(img.Root.Raw)) {
				t.Errorf("sent %d bytes for another tag, want the manifest's %d", proxy.Up(), len(img.Root.Raw))
			}
		})
	}
}

// One changed layer sends that layer, the configuration and the manifest.
func TestPushChangedLayer(t *testing.T) {
	proxy := registrytest.NewProxy(t, registrytest.Docker(t))
	old, st := testImage(t, 1, large, small)
	if _, err := pushTo(t, quickClient(Options{}), st, old, proxy.Host(), "lab/web"); err != nil {
		t.Fatal(err)
	}
	proxy.Reset()
	img, st := testImage(t, 1, large, small+1)
	if _, err := pushTo(t, quickClient(Options{}), st, img, proxy.Host(), "lab/web"); err != nil {
		t.Fatal(err)
	}
	want := img.Root.Layers[1].Size + img.Root.Config.Size + img.Root.Size
	if proxy.Up() != want {
		t.Errorf("sent %d bytes, want %d", proxy.Up(), want)
	}
}

// The tag names what this store pushed last: what that image has is not asked for, nor
// what is small and new. Six requests are left.
func TestPushEdited(t *testing.T) {
	for kind, start := range registries {
		t.Run(kind, func(t *testing.T) {
			proxy := registrytest.NewProxy(t, start(t))
			old, notes := testImage(t, 1, large, small)
			push := func(seed int) (*Image, *Pushed) {
				t.Helper()
				img, _ := testImage(t, 1, large, small+seed)
				proxy.Reset()
				got, err := pushTo(t, quickClient(Options{}), notes, img, proxy.Host(), "lab/web")
				if err != nil {
					t.Fatal(err)
				}
				whole(t, proxy.Host()+"/lab/web:1.0")
				return img, got
			}
			if _, err := pushTo(t, quickClient(Options{}), notes, old, proxy.Host(), "lab/web"); err != nil {
				t.Fatal(err)
			}
			requests := func() (heads, posts, puts int) {
				return proxy.Count("HEAD"), proxy.Count("POST"), proxy.Count("PUT")
			}
			proxy.Reset()
			img, _ := testImage(t, 1, large, small+1)
			got, err := pushTo(t, quickClient(Options{}), notes, img, proxy.Host(), "lab/web")
			if err != nil {
				t.Fatal(err)
			}
			if h, po, pu := requests(); h != 1 || po != 2 || pu != 3 || got.There != 1 || got.Sent != 2 {
				t.Errorf("%d HEAD, %d POST, %d PUT, want 1, 2, 3: %+v", h, po, pu, got)
			}
			// Someone else moved the tag: nothing is known of what is there.
			other, others := testImage(t, 9, small)
			if _, err := pushTo(t, quickClient(Options{}), others, other, proxy.Host(), "lab/web"); err != nil {
				t.Fatal(err)
			}
			if _, got := push(2); got.There != 1 || proxy.Count("HEAD") < 4 {
				t.Errorf("%d HEAD: %+v", proxy.Count("HEAD"), got)
			}
			// The registry has lost a layer of what the tag names.
			last := img.Root.Layers[0].Digest.String()
			req, err := http.NewRequestWithContext(t.Context(), http.MethodDelete, proxy.URL+"/v2/lab/web/blobs/"+last, nil)
			if err != nil {
				t.Fatal(err)
			}
			resp, err := http.DefaultClient.Do(req)
			if err != nil {
				t.Fatal(err)
			}
			resp.Body.Close()
			if resp.StatusCode != http.StatusAccepted {
				t.Fatalf("deleting the layer: %s", resp.Status)
			}
			if _, got := push(3); got.Bytes < large {
				t.Errorf("the layer that was lost did not go again: %+v", got)
			}
		})
	}
}

// A blob that another repository of the registry has is mounted from there:
// in the same run, and by what an earlier run left in the notes.
func TestMount(t *testing.T) {
	for kind, start := range map[string]func(testing.TB) string{"docker-registry": registrytest.Docker, "strict": registrytest.Strict} {
		t.Run(kind, func(t *testing.T) {
			proxy := registrytest.NewProxy(t, start(t))
			img, st := testImage(t, 1, small, large)
			c := quickClient(Options{})
			p := NewPusher(st, 3)
			for i, repo := range []string{"lab/one", "lab/two"} {
				r, err := c.Repository(proxy.Host()+"/"+repo, Push)
				if err != nil {
					t.Fatal(err)
				}
				got, err := p.Push(t.Context(), img, r, "1.0", nil)
				if err != nil {
					t.Fatal(err)
				}
				if i == 1 && got.Mounted != 3 {
					t.Errorf("mounted %d, want 3: %+v", got.Mounted, got)
				}
			}
			got, err := pushTo(t, quickClient(Options{}), st, img, proxy.Host(), "lab/three")
			if err != nil {
				t.Fatal(err)
			}
			if got.Mounted != 3 || got.Bytes != 0 {
				t.Errorf("a later run: %+v, want 3 mounted", got)
			}
			whole(t, proxy.Host()+"/lab/three:1.0")
		})
	}
}

func login(user, password string) authn.Keychain {
	return keychain{authn.AuthConfig{Username: user, Password: password}}
}

type keychain struct{ c authn.AuthConfig }

func (k keychain) Resolve(authn.Resource) (authn.Authenticator, error) {
	return authn.FromConfig(k.c), nil
}

// Tokens are asked for with the user's password, and again when they expire.
func TestTokens(t *testing.T) {
	for _, requests := range []int{4, 7, 1000} {
		t.Run(fmt.Sprint(requests), func(t *testing.T) {
			docker := registrytest.Docker(t)
			k := registrytest.NewTokens(t, docker, "mia", "secret", requests)
			img, st := testImage(t, 1, small, large)
			host := strings.TrimPrefix(k.URL, "http://")
			if _, err := pushTo(t, quickClient(Options{Keychain: login("mia", "secret")}), st, img, host, "lab/web"); err != nil {
				t.Fatal(err)
			}
			if requests == 1000 && k.Given() != 1 {
				t.Errorf("asked for %d tokens, want 1", k.Given())
			}
			whole(t, strings.TrimPrefix(docker, "http://")+"/lab/web:1.0")
			_, err := pushTo(t, quickClient(Options{Keychain: login("mia", "wrong")}), st, img, host, "lab/web")
			if err == nil || !strings.Contains(err.Error(), "docker login") {
				t.Errorf("got %v with a wrong password, want an error that says to log in", err)
			}
		})
	}
}

// What refers to an image goes with it, by the API where there is one, by the
// tag where there is none.
func TestReferrers(t *testing.T) {
	for kind, start := range registries {
		t.Run(kind, func(t *testing.T) {
			host := strings.TrimPrefix(start(t), "http://")
			st := mem.New()
			defer st.Close()
			l := registrytest.NewLayout(t, st)
			web := l.Image(1, small)
			l.Add(web, "lab/web:1.0")
			l.Add(l.Referrer(web, "application/spdx+json", "{\"a\":1}"), "")
			l.Add(l.Referrer(web, "application/vnd.in-toto+json", "{\"b\":2}"), "")
			images, err := ReadLayout(t.Context(), st, l.Finish())
			if err != nil {
				t.Fatal(err)
			}
			for range 2 { // the second changes nothing
				if _, err := pushTo(t, quickClient(Options{}), st, images[0], host, "lab/web"); err != nil {
					t.Fatal(err)
				}
				d, err := name.NewDigest(host+"/lab/web@"+web.Digest.String(), name.Insecure)
				if err != nil {
					t.Fatal(err)
				}
				index, err := remote.Referrers(d)
				if err != nil {
					t.Fatal(err)
				}
				m, err := index.IndexManifest()
				if err != nil {
					t.Fatal(err)
				}
				kinds := map[string]bool{}
				for _, d := range m.Manifests {
					kinds[d.ArtifactType] = true
				}
				if len(m.Manifests) != 2 || !kinds["application/spdx+json"] || !kinds["application/vnd.in-toto+json"] {
					t.Errorf("go-containerregistry finds the referrers %v", m.Manifests)
				}
			}
		})
	}
}

// An index goes up after what it names.
func TestPushIndex(t *testing.T) {
	for kind, start := range registries {
		t.Run(kind, func(t *testing.T) {
			host := strings.TrimPrefix(start(t), "http://")
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
			got, err := pushTo(t, quickClient(Options{}), st, images[0], host, "lab/web")
			if err != nil {
				t.Fatal(err)
			}
			if got.Manifests != 3 {
				t.Errorf("put %d manifests, want 3", got.Manifests)
			}
			ref, err := name.ParseReference(host+"/lab/web:1.0", name.Insecure)
			if err != nil {
				t.Fatal(err)
			}
			index, err := remote.Index(ref)
			if err != nil {
				t.Fatal(err)
			}
			if err := validate.Index(index); err != nil {
				t.Error(err)
			}
		})
	}
}
