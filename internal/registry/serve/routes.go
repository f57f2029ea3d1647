package serve

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/types"

	"github.com/labstar/labstar/internal/registry"
)

// problem is an error as the distribution specification has it.
type problem struct {
	status        int
	code, message string
}

var (
	unauthorized = problem{http.StatusUnauthorized, "UNAUTHORIZED", "authentication required"}
	unsupported  = problem{http.StatusMethodNotAllowed, "UNSUPPORTED", "this registry can only be read"}
	noName       = problem{http.StatusNotFound, "NAME_UNKNOWN", "repository name not known to registry"}
	noManifest   = problem{http.StatusNotFound, "MANIFEST_UNKNOWN", "manifest unknown to registry"}
	noBlob       = problem{http.StatusNotFound, "BLOB_UNKNOWN", "blob unknown to registry"}
	noPage       = problem{http.StatusNotFound, "NOT_FOUND", "there is nothing at this address"}
	badDigest    = problem{http.StatusBadRequest, "DIGEST_INVALID", "the digest is malformed, want sha256:HEX"}
	badNumber    = problem{http.StatusBadRequest, "PAGINATION_NUMBER_INVALID", "n has to be a number from 1 on"}
	broken       = problem{http.StatusInternalServerError, "UNKNOWN", "the store can't be read"}
)

func (p problem) write(w http.ResponseWriter, detail string) {
	e := map[string]string{"code": p.code, "message": p.message}
	if detail != "" {
		e["detail"] = detail
	}
	body, _ := json.Marshal(map[string]any{"errors": []any{e}}) // strings can be encoded
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	w.Header().Set("Content-Length", strconv.Itoa(len(body)))
	w.WriteHeader(p.status)
	_, _ = w.Write(body) // who asked is gone
}

var route = regexp.MustCompile(`^/v2/(.+)/(manifests|blobs|tags|referrers)/([^/]+)$`)

func (s *Server) serve(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Docker-Distribution-Api-Version", "registry/2.0")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	if s.Users != nil {
		user, password, ok := r.BasicAuth()
		if !ok || !s.Users.Check(user, password) {
			w.Header().Set("WWW-Authenticate", `Basic realm="labstar registry"`)
			unauthorized.write(w, "")
			return
		}
	}
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		w.Header().Set("Allow", "GET, HEAD")
		unsupported.write(w, r.Method)
		return
	}
	s.mu.RLock()
	defer s.mu.RUnlock()
	switch r.URL.Path {
	case "/v2/", "/v2":
		writeJSON(w, "application/json", struct{}{})
		return
	case "/v2/_catalog":
		s.list(w, r, "repositories", slices.Sorted(maps.Keys(s.repos)), nil)
		return
	}
	m := route.FindStringSubmatch(r.URL.Path)
	if m == nil {
		noPage.write(w, r.URL.Path)
		return
	}
	repo := s.repos[m[1]]
	if repo == nil {
		noName.write(w, m[1])
		return
	}
	switch m[2] {
	case "manifests":
		repo.manifest(w, m[3])
	case "blobs":
		repo.blob(w, r, m[3])
	case "tags":
		if m[3] != "list" {
			noPage.write(w, r.URL.Path)
			return
		}
		s.list(w, r, "tags", slices.Sorted(maps.Keys(repo.tags)), map[string]any{"name": m[1]})
	case "referrers":
		repo.refer(w, r, m[3])
	}
}

func (repo *repository) manifest(w http.ResponseWriter, ref string) {
	var m *registry.Manifest
	if strings.Contains(ref, ":") {
		m = repo.manifests[ref]
	} else {
		m = repo.tags[ref]
	}
	if m == nil {
		noManifest.write(w, ref)
		return
	}
	w.Header().Set("Content-Type", string(m.MediaType))
	w.Header().Set("Content-Length", strconv.Itoa(len(m.Raw)))
	w.Header().Set("Docker-Content-Digest", m.Digest.String())
	w.Header().Set("Etag", `"`+m.Digest.String()+`"`)
	_, _ = io.Copy(w, bytes.NewReader(m.Raw)) // who asked is gone; of a HEAD nothing is sent
}

func (repo *repository) blob(w http.ResponseWriter, r *http.Request, ref string) {
	if _, err := v1.NewHash(ref); err != nil {
		badDigest.write(w, ref)
		return
	}
	b, ok := repo.blobs[ref]
	if !ok {
		noBlob.write(w, ref)
		return
	}
	content, err := b.image.Open(r.Context(), b.desc)
	if err != nil {
		broken.write(w, "")
		return
	}
	defer content.Close()
	w.Header().Set("Content-Type", "application/octet-stream")
	w.Header().Set("Docker-Content-Digest", ref)
	w.Header().Set("Etag", `"`+ref+`"`)
	w.Header().Set("Cache-Control", "max-age=31536000")
	http.ServeContent(w, r, "", time.Time{}, io.NewSectionReader(content, 0, b.desc.Size))
}

// refer answers the referrers API.
func (repo *repository) refer(w http.ResponseWriter, r *http.Request, ref string) {
	if _, err := v1.NewHash(ref); err != nil {
		badDigest.write(w, ref)
		return
	}
	index := v1.IndexManifest{SchemaVersion: 2, MediaType: types.OCIImageIndex, Manifests: []v1.Descriptor{}}
	kind := r.URL.Query().Get("artifactType")
	for _, d := range repo.referrers[ref] {
		if kind == "" || d.ArtifactType == kind {
			index.Manifests = append(index.Manifests, d)
		}
	}
	if kind != "" {
		w.Header().Set("OCI-Filters-Applied", "artifactType")
	}
	writeJSON(w, string(types.OCIImageIndex), index)
}

// list answers with names, from the one after last on, n at most.
func (s *Server) list(w http.ResponseWriter, r *http.Request, key string, names []string, more map[string]any) {
	q := r.URL.Query()
	if last := q.Get("last"); last != "" {
		i, found := slices.BinarySearch(names, last)
		if found {
			i++
		}
		names = names[i:]
	}
	if q.Has("n") {
		n, err := strconv.Atoi(q.Get("n"))
		if err != nil || n < 1 {
			badNumber.write(w, q.Get("n"))
			return
		}
		if n < len(names) {
			names = names[:n]
			next := url.Values{"n": {strconv.Itoa(n)}, "last": {names[n-1]}}
			w.Header().Set("Link", fmt.Sprintf("<%s?%s>; rel=\"next\"", r.URL.Path, next.Encode()))
		}
	}
	if names == nil {
		names = []string{}
	}
	body := map[string]any{key: names}
	maps.Copy(body, more)
	writeJSON(w, "application/json", body)
}

func writeJSON(w http.ResponseWriter, contentType string, v any) {
	body, err := json.Marshal(v)
	if err != nil {
		broken.write(w, "")
		return
	}
	w.Header().Set("Content-Type", contentType)
	w.Header().Set("Content-Length", strconv.Itoa(len(body)))
	_, _ = w.Write(body) // who asked is gone
}
