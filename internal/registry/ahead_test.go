package registry

import (
	"net/http"
	"testing"

	"github.com/labstar/labstar/internal/registry/registrytest"
)

// prepared is a pusher for which the tag is prepared, and its repository.
func prepared(t *testing.T, notes Notes, host string) (*Pusher, *Repository) {
	t.Helper()
	r, err := quickClient(Options{}).Repository(host+"/lab/web", Push)
	if err != nil {
		t.Fatal(err)
	}
	p := NewPusher(notes, 3)
	t.Cleanup(p.Close)
	p.Prepare(t.Context(), r, "1.0")
	return p, r
}

// While an image is built the registry is asked what the tag names, and told of an
// edit's two uploads: an edit takes six requests, none of them twice.
func TestPrepared(t *testing.T) {
	for kind, start := range registries {
		t.Run(kind, func(t *testing.T) {
			proxy := registrytest.NewProxy(t, start(t))
			old, notes := testImage(t, 1, large, small)
			if _, err := pushTo(t, quickClient(Options{}), notes, old, proxy.Host(), "lab/web"); err != nil {
				t.Fatal(err)
			}
			proxy.Reset()
			p, r := prepared(t, notes, proxy.Host())
			p.Changing(t.Context())
			p.deciding.Wait()
			p.preparing.Wait()
			if h, po := proxy.Count("HEAD"), proxy.Count("POST"); h != 1 || po != 2 {
				t.Fatalf("%d HEAD, %d POST before there is an image, want 1 and 2", h, po)
			}
			img, _ := testImage(t, 1, large, small+1)
			got, err := p.Push(t.Context(), img, r, "1.0", nil)
			if err != nil {
				t.Fatal(err)
			}
			p.Close()
			if len(proxy.Seen()) != 6 || proxy.Count("PUT") != 3 || got.There != 1 || got.Sent != 2 {
				t.Errorf("%d requests, %d PUT, want 6 and 3: %+v", len(proxy.Seen()), proxy.Count("PUT"), got)
			}
			whole(t, proxy.Host()+"/lab/web:1.0")
			// A second push to the tag sees what the first has left.
			proxy.Reset()
			if got, err = p.Push(t.Context(), img, r, "1.0", nil); err != nil || got.Sent != 0 || len(proxy.Seen()) != 1 {
				t.Errorf("pushed again: %d requests, %+v, %v", len(proxy.Seen()), got, err)
			}
		})
	}
}

// Uploads that were begun for nothing are withdrawn.
func TestPreparedForNothing(t *testing.T) {
	for kind, start := range registries {
		t.Run(kind, func(t *testing.T) {
			proxy := registrytest.NewProxy(t, start(t))
			img, notes := testImage(t, 1, small)
			if _, err := pushTo(t, quickClient(Options{}), notes, img, proxy.Host(), "lab/web"); err != nil {
				t.Fatal(err)
			}
			proxy.Reset()
			p, r := prepared(t, notes, proxy.Host())
			p.Changing(t.Context())
			got, err := p.Push(t.Context(), img, r, "1.0", nil)
			if err != nil || got.Sent != 0 {
				t.Fatalf("%+v, %v", got, err)
			}
			p.Close()
			if proxy.Up() != 0 || proxy.Count("POST") != proxy.Count("DELETE") || proxy.Count("PUT") != 0 {
				t.Errorf("%d bytes sent in %d POST and %d PUT, and %d DELETE", proxy.Up(), proxy.Count("POST"), proxy.Count("PUT"), proxy.Count("DELETE"))
			}
			for _, s := range proxy.Seen() {
				if s.Method != http.MethodDelete || kind == "strict" { // which only frees its memory
					continue
				}
				resp, err := http.Get(proxy.URL + s.Path)
				if err != nil {
					t.Fatal(err)
				}
				resp.Body.Close()
				if resp.StatusCode != http.StatusNotFound {
					t.Errorf("an upload that was withdrawn: %s", resp.Status)
				}
			}
		})
	}
}

// Nothing is begun for a tag that was never pushed, nor by who knows of no change.
func TestPreparedUnknown(t *testing.T) {
	proxy := registrytest.NewProxy(t, registrytest.Docker(t))
	img, notes := testImage(t, 1, small)
	p, r := prepared(t, notes, proxy.Host())
	p.Changing(t.Context())
	p.deciding.Wait()
	p.preparing.Wait()
	if proxy.Count("POST") != 0 {
		t.Errorf("%d POST for a tag that was never pushed, want none", proxy.Count("POST"))
	}
	if got, err := p.Push(t.Context(), img, r, "1.0", nil); err != nil || got.Sent != 2 {
		t.Errorf("%+v, %v", got, err)
	}
	whole(t, proxy.Host()+"/lab/web:1.0")
}

// What goes wrong with what was prepared is no trouble of the push.
func TestPreparedThroughFaults(t *testing.T) {
	for title, fault := range map[string]registrytest.Fault{
		"503":         {Status: http.StatusServiceUnavailable},
		"throttled":   throttled("1"),
		"answer lost": {Lost: true},
		"no Location": {Status: http.StatusAccepted},
		"forgotten":   {Status: http.StatusAccepted, Header: http.Header{"Location": {"/v2/lab/web/blobs/uploads/1b4e28ba-2fa1-11d2-883f-0016d3cca427?_state=x"}}},
	} {
		for _, method := range []string{"HEAD", "POST"} {
			t.Run(title+"/"+method, func(t *testing.T) {
				t.Parallel()
				proxy := registrytest.NewProxy(t, registrytest.Docker(t))
				old, notes := testImage(t, 1, large, small)
				if _, err := pushTo(t, quickClient(Options{}), notes, old, proxy.Host(), "lab/web"); err != nil {
					t.Fatal(err)
				}
				proxy.Once(2, method, fault)
				p, r := prepared(t, notes, proxy.Host())
				p.Changing(t.Context())
				img, _ := testImage(t, 1, large, small+1)
				got, err := p.Push(t.Context(), img, r, "1.0", nil)
				if method == "HEAD" && fault.Status == http.StatusAccepted {
					return // no answer to that, prepared or not
				}
				if err != nil || got.Sent != 2 {
					t.Fatalf("%+v, %v", got, err)
				}
				whole(t, proxy.Host()+"/lab/web:1.0")
			})
		}
	}
}

// Who gives up before the registry has answered does not wait for it.
func TestPreparedGivenUp(t *testing.T) {
	proxy := registrytest.NewProxy(t, registrytest.Docker(t))
	img, notes := testImage(t, 1, small)
	if _, err := pushTo(t, quickClient(Options{}), notes, img, proxy.Host(), "lab/web"); err != nil {
		t.Fatal(err)
	}
	proxy.Rule(func(*http.Request) *registrytest.Fault { return &registrytest.Fault{Stall: true} })
	p, _ := prepared(t, notes, proxy.Host())
	p.Close()
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.ahead) != 0 {
		t.Errorf("%d are still prepared", len(p.ahead))
	}
}
