package serve

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/validate"

	"github.com/labstar/labstar/internal/registry"
	"github.com/labstar/labstar/internal/registry/registrytest"
	"github.com/labstar/labstar/internal/store/mem"
)

// start serves two images, one with a referrer, from a store that holds more.
func start(t *testing.T) (host string, images []*registry.Image, secret string) {
	t.Helper()
	st := mem.New()
	t.Cleanup(func() { st.Close() })
	l := registrytest.NewLayout(t, st)
	web := l.Image(1, 10_000)
	l.Add(web, "lab/web:1.0")
	l.Add(l.Image(3, 20_000), "lab/web:2.0")
	l.Add(l.Referrer(web, "application/spdx+json", "{}"), "")
	d, err := st.PutBlob(t.Context(), []byte("nobody's business"))
	if err != nil {
		t.Fatal(err)
	}
	if images, err = registry.ReadLayout(t.Context(), st, l.Finish()); err != nil {
		t.Fatal(err)
	}
	s := New()
	for _, img := range images {
		if err := s.Add(img, img.Name.RepositoryStr(), img.Name.TagStr()); err != nil {
			t.Fatal(err)
		}
	}
	server := httptest.NewServer(s)
	t.Cleanup(server.Close)
	return server.Listener.Addr().String(), images, "sha256:" + d.Hex()
}

// go-containerregistry, crane's library, finds all of it.
func TestServe(t *testing.T) {
	host, images, _ := start(t)
	for _, img := range images {
		ref, err := name.ParseReference(host+"/lab/web:"+img.Name.TagStr(), name.Insecure)
		if err != nil {
			t.Fatal(err)
		}
		got, err := remote.Image(ref)
		if err != nil {
			t.Fatal(err)
		}
		if err := validate.Image(got); err != nil {
			t.Error(err)
		}
		if d, err := remote.Head(ref); err != nil || d.Digest != img.Root.Digest || d.Size != img.Root.Size {
			t.Errorf("HEAD %s: %v, %v", ref, d, err)
		}
	}
	repo, err := name.NewRepository(host+"/lab/web", name.Insecure)
	if err != nil {
		t.Fatal(err)
	}
	if tags, err := remote.List(repo, remote.WithPageSize(1)); err != nil || strings.Join(tags, " ") != "1.0 2.0" {
		t.Errorf("tags %v, %v", tags, err)
	}
	if list, err := remote.Catalog(t.Context(), repo.Registry); err != nil || strings.Join(list, " ") != "lab/web" {
		t.Errorf("catalog %v, %v", list, err)
	}
	index, err := remote.Referrers(repo.Digest(images[0].Root.Digest.String()))
	if err != nil {
		t.Fatal(err)
	}
	if m, err := index.IndexManifest(); err != nil || len(m.Manifests) != 1 || m.Manifests[0].ArtifactType != "application/spdx+json" {
		t.Errorf("referrers %v, %v", m, err)
	}
}

// What is asked for wrongly is answered as the specification says.
func TestProblems(t *testing.T) {
	host, images, secret := start(t)
	layer := images[0].Root.Layers[0].Digest.String()
	for _, test := range []struct {
		method, path string
		header       string
		status       int
		code         string
	}{
		{"GET", "/v2/", "", 200, ""},
		{"GET", "/v2/lab/web/manifests/3.0", "", 404, "MANIFEST_UNKNOWN"},
		{"GET", "/v2/lab/web/manifests/" + layer, "", 404, "MANIFEST_UNKNOWN"},
		{"GET", "/v2/lab/other/manifests/1.0", "", 404, "NAME_UNKNOWN"},
		{"GET", "/v2/lab/other/blobs/" + layer, "", 404, "NAME_UNKNOWN"},
		{"GET", "/v2/lab/web/blobs/" + secret, "", 404, "BLOB_UNKNOWN"},
		{"HEAD", "/v2/lab/web/blobs/" + secret, "", 404, ""},
		{"GET", "/v2/lab/web/blobs/md5:1", "", 400, "DIGEST_INVALID"},
		{"GET", "/v2/lab/web/blobs/..%2f..%2findex.json", "", 404, "NOT_FOUND"},
		{"GET", "/v2/lab/web/referrers/x", "", 400, "DIGEST_INVALID"},
		{"GET", "/v2/lab/web/tags/list?n=0", "", 400, "PAGINATION_NUMBER_INVALID"},
		{"GET", "/v2/lab/web/tags/other", "", 404, "NOT_FOUND"},
		{"GET", "/etc/passwd", "", 404, "NOT_FOUND"},
		{"POST", "/v2/lab/web/blobs/uploads/", "", 405, "UNSUPPORTED"},
		{"PUT", "/v2/lab/web/manifests/1.0", "", 405, "UNSUPPORTED"},
		{"DELETE", "/v2/lab/web/manifests/1.0", "", 405, "UNSUPPORTED"},
		{"GET", "/v2/lab/web/blobs/" + layer, "bytes=100-199", 206, ""},
		{"GET", "/v2/lab/web/blobs/" + layer, "bytes=9999999-", 416, ""},
	} {
		req, err := http.NewRequestWithContext(t.Context(), test.method, "http://"+host+test.path, nil)
		if err != nil {
			t.Fatal(err)
		}
		if test.header != "" {
			req.Header.Set("Range", test.header)
		}
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		body, _ := io.ReadAll(resp.Body)
		resp.Body.Close()
		if resp.StatusCode != test.status {
			t.Errorf("%s %s: got %d, want %d: %s", test.method, test.path, resp.StatusCode, test.status, body)
		}
		if resp.StatusCode == 206 && (len(body) != 100 || resp.Header.Get("Content-Range") == "") {
			t.Errorf("%s: got %d bytes of 100", test.path, len(body))
		}
		var answer struct{ Errors []registry.Code }
		if test.code != "" && (json.Unmarshal(body, &answer) != nil || len(answer.Errors) != 1 || answer.Errors[0].Code != test.code) {
			t.Errorf("%s %s: got %s, want the code %s", test.method, test.path, body, test.code)
		}
	}
}

// Two images of one name and tag can't both be served.
func TestSameName(t *testing.T) {
	_, images, _ := start(t)
	s := New()
	if err := s.Add(images[0], "a", "1"); err != nil {
		t.Fatal(err)
	}
	if err := s.Add(images[0], "a", "1"); err != nil {
		t.Errorf("the same again: %v", err)
	}
	if err := s.Add(images[1], "a", "1"); err == nil || !strings.Contains(err.Error(), "two images are called a:1") {
		t.Errorf("got %v", err)
	}
}

// Users are who htpasswd says, with bcrypt alone.
func TestUsers(t *testing.T) {
	// The hash is of the password "secret".
	u, err := ReadUsers(strings.NewReader("# lab\n\nmia:$2a$05$5TNX7hQ0eAL1aXf6bJfR1.azEWYqjMh/qBcKKwqzuG3xRsNnI8m3.\n"))
	if err != nil {
		t.Fatal(err)
	}
	for range 2 { // the second is remembered
		if !u.Check("mia", "secret") || u.Check("mia", "Secret") || u.Check("bob", "secret") || u.Check("mia", "") {
			t.Error("the wrong ones may read")
		}
	}
	for text, want := range map[string]string{
		"":                    "names no user",
		"mia\n":               "line 1: want USER:HASH",
		"mia:{SHA}abc\n":      "not hashed with bcrypt: make it with `htpasswd -B`",
		"a:$2y$05$x\nb:plain": "line 1",
	} {
		if _, err := ReadUsers(strings.NewReader(text)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: got %v, want %q", text, err, want)
		}
	}
}
