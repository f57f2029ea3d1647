package registry

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/types"

	"github.com/labstar/labstar/internal/download"
)

// manifestTypes are asked for, the ones with several platforms first.
var manifestTypes = strings.Join([]string{
	string(types.OCIImageIndex), string(types.DockerManifestList),
	string(types.OCIManifestSchema1), string(types.DockerManifestSchema2),
}, ", ")

// maxManifest is the limit that registries have too, in bytes.
const maxManifest = 8 << 20

// Resolve returns what a tag names now, or what a digest is: the type, digest and
// size of a manifest. A registry counts it as no pull.
func (r *Repository) Resolve(ctx context.Context, ref string) (v1.Descriptor, error) {
	a, err := r.do(ctx, "resolving "+r.full(ref), call{
		method: http.MethodHead, path: r.Path() + "/manifests/" + ref, accept: []int{http.StatusOK},
		header: http.Header{"Accept": {manifestTypes}},
	})
	if err != nil {
		return v1.Descriptor{}, r.missing(ref, err)
	}
	d := v1.Descriptor{MediaType: types.MediaType(mediaType(a.header))}
	if d.Digest, err = v1.NewHash(a.header.Get("Docker-Content-Digest")); err != nil || a.header.Get("Content-Length") == "" {
		// An old registry does not tell: the manifest does.
		_, d, err = r.Manifest(ctx, ref)
		return d, err
	}
	if _, err := fmt.Sscan(a.header.Get("Content-Length"), &d.Size); err != nil {
		return v1.Descriptor{}, fmt.Errorf("resolving %s: malformed Content-Length: %w", r.full(ref), err)
	}
	return d, nil
}

// Manifest reads the manifest of a tag or a digest; if it is a digest, what came
// is checked against it.
func (r *Repository) Manifest(ctx context.Context, ref string) ([]byte, v1.Descriptor, error) {
	doing := "reading the manifest of " + r.full(ref)
	c := call{
		method: http.MethodGet, path: r.Path() + "/manifests/" + ref, accept: []int{http.StatusOK},
		header: http.Header{"Accept": {manifestTypes}}, limit: maxManifest,
	}
	var body []byte
	var d v1.Descriptor
	for wrong := 0; ; wrong++ {
		a, err := r.do(ctx, doing, c)
		if err != nil {
			return nil, d, r.missing(ref, err)
		}
		sum := sha256.Sum256(a.body)
		d = v1.Descriptor{
			MediaType: types.MediaType(mediaType(a.header)), Size: int64(len(a.body)),
			Digest: v1.Hash{Algorithm: "sha256", Hex: hex.EncodeToString(sum[:])},
		}
		if want, err := v1.NewHash(ref); err != nil || want == d.Digest {
			body = a.body
			break
		} else if wrong > 0 { // once may be an accident on the way
			return nil, d, fmt.Errorf("%s: got content of %s, want %s; what is at the registry is damaged or was tampered with: push it again", doing, d.Digest, want)
		}
	}
	if told := manifestType(body); told != "" {
		d.MediaType = told // a registry that serves files knows no types
	}
	return body, d, nil
}

func mediaType(h http.Header) string {
	t, _, _ := strings.Cut(h.Get("Content-Type"), ";")
	return strings.TrimSpace(t)
}

func manifestType(b []byte) types.MediaType {
	var m struct {
		MediaType types.MediaType `json:"mediaType"`
	}
	_ = json.Unmarshal(b, &m) // what it isn't, the reader of it will tell
	return m.MediaType
}

// Fetch brings a blob into a sink that create opens: whole, with the digest and
// size that desc says, going on where it was cut. The last sink is the caller's to
// commit. progress may be nil.
func (r *Repository) Fetch(ctx context.Context, desc v1.Descriptor, create func() (download.Sink, error), progress func(done, total int64)) error {
	req, err := r.blobRequest(ctx, desc)
	if err != nil {
		return err
	}
	req.Create, req.Progress = create, progress
	return r.fetched(desc, download.Fetch(withScopes(ctx, []string{r.scope()}), req))
}

func (r *Repository) blobRequest(ctx context.Context, desc v1.Descriptor) (download.Request, error) {
	scheme, err := r.host.findScheme(ctx)
	if err != nil {
		return download.Request{}, r.host.explain(err)
	}
	sum, err := hex.DecodeString(desc.Digest.Hex)
	if err != nil || desc.Digest.Algorithm != "sha256" || len(sum) != sha256.Size {
		return download.Request{}, fmt.Errorf("got the digest %s, want one of sha256", desc.Digest)
	}
	u, err := r.host.resolve(scheme, r.Path()+"/blobs/"+desc.Digest.String())
	if err != nil {
		return download.Request{}, err
	}
	return download.Request{
		URLs: []string{u.String()}, SHA256: [sha256.Size]byte(sum), Size: desc.Size,
		Client: r.host.http, Policy: r.host.client.opts.Policy.downloads(),
	}, nil
}

func (r *Repository) fetched(desc v1.Descriptor, err error) error {
	switch {
	case err == nil:
		return nil
	case download.IsNotFound(err):
		return fmt.Errorf("%s lacks %s, which its manifest names: push the image again, or pull another tag: %w", r, desc.Digest, err)
	}
	return fmt.Errorf("fetching %s of %s: %w", desc.Digest, r, err)
}

// full is the repository with a tag or a digest.
func (r *Repository) full(ref string) string {
	sep := ":"
	if strings.Contains(ref, ":") {
		sep = "@"
	}
	return r.String() + sep + ref
}

// missing words a 404, and the 401 by which registries say the same.
func (r *Repository) missing(ref string, err error) error {
	var e *Error
	if !errors.As(err, &e) {
		return err
	}
	switch {
	case e.Status == http.StatusNotFound:
		e.Doing, e.Hint = "there is no "+r.full(ref), "correct the name or the tag"
	case e.Status == http.StatusUnauthorized && r.Registry() == name.DefaultRegistry:
		e.Hint = "correct the name if there is no such image, else " + e.Hint
	}
	return err
}
