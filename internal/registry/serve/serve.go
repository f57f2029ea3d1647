// Package serve is a registry that can only be read: it gives out images as they
// are in a store, with no copy, by the OCI distribution protocol.
//
//	s := serve.New()
//	err := s.Add(image, "lab/web", "1.0")
//	err = http.ListenAndServe(addr, s)
//
// A repository has the manifests and blobs of the images that were added to it,
// and nothing else of the store can be read.
package serve

import (
	"fmt"
	"net/http"
	"slices"
	"sync"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/labstar/labstar/internal/registry"
)

// Server serves images. Add them before it is asked.
type Server struct {
	// Users, if not nil, are who may read.
	Users *Users
	// Log, if set, is told of every request that was answered.
	Log func(Access)

	mu    sync.RWMutex
	repos map[string]*repository
}

// Access is a request that was answered.
type Access struct {
	Remote, Method, Path string
	Status               int
	Bytes                int64 // of the body
}

// repository is one name.
type repository struct {
	tags      map[string]*registry.Manifest
	manifests map[string]*registry.Manifest // by digest
	blobs     map[string]blob               // by digest
	referrers map[string][]v1.Descriptor    // by the digest that they are about
}

type blob struct {
	image *registry.Image
	desc  v1.Descriptor
}

// New returns a Server with no images.
func New() *Server { return &Server{repos: map[string]*repository{}} }

// Add gives the image out under a name and a tag.
func (s *Server) Add(img *registry.Image, name, tag string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	r := s.repos[name]
	if r == nil {
		r = &repository{tags: map[string]*registry.Manifest{}, manifests: map[string]*registry.Manifest{}, blobs: map[string]blob{}, referrers: map[string][]v1.Descriptor{}}
		s.repos[name] = r
	}
	if have := r.tags[tag]; have != nil && have.Digest != img.Root.Digest {
		return fmt.Errorf("two images are called %s:%s: give one another tag", name, tag)
	}
	r.tags[tag] = img.Root
	for _, m := range slices.Concat(img.Manifests, img.Referrers) {
		if r.manifests[m.Digest.String()] != nil {
			continue
		}
		r.manifests[m.Digest.String()] = m
		for _, d := range m.Blobs() {
			r.blobs[d.Digest.String()] = blob{img, d}
		}
		if m.Subject != nil {
			about := m.Subject.Digest.String()
			r.referrers[about] = append(r.referrers[about], m.Referrer())
		}
	}
	return nil
}

// ServeHTTP implements http.Handler.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	counted := &counter{ResponseWriter: w, status: http.StatusOK}
	s.serve(counted, r)
	if r.Method == http.MethodHead {
		counted.n = 0 // net/http drops the body
	}
	if s.Log != nil {
		s.Log(Access{Remote: r.RemoteAddr, Method: r.Method, Path: r.URL.Path, Status: counted.status, Bytes: counted.n})
	}
}

// counter notes what was answered.
type counter struct {
	http.ResponseWriter
	status int
	n      int64
}

func (c *counter) WriteHeader(status int) {
	c.status = status
	c.ResponseWriter.WriteHeader(status)
}

func (c *counter) Write(b []byte) (int, error) {
	n, err := c.ResponseWriter.Write(b)
	c.n += int64(n)
	return n, err
}
