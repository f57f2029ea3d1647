package registrytest

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"testing"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/types"

	"github.com/labstar/labstar/action"
)

// Store is what images are put in.
type Store interface {
	PutBlob(ctx context.Context, b []byte) (action.Digest, error)
	PutDirectory(ctx context.Context, d *action.Directory) (action.Digest, error)
}

// Layout is an OCI layout that is being made in a store.
type Layout struct {
	t     testing.TB
	store Store
	blobs action.Directory
	index v1.IndexManifest
}

// NewLayout begins one.
func NewLayout(t testing.TB, s Store) *Layout {
	return &Layout{t: t, store: s, index: v1.IndexManifest{SchemaVersion: 2, MediaType: types.OCIImageIndex}}
}

// Blob adds content and describes it.
func (l *Layout) Blob(t types.MediaType, b []byte) v1.Descriptor {
	l.t.Helper()
	d, err := l.store.PutBlob(l.t.Context(), b)
	if err != nil {
		l.t.Fatal(err)
	}
	node := action.Node{Name: d.Hex(), Kind: action.Regular, Digest: d, Attr: action.Attr{Mode: action.ModeFile}}
	l.blobs.Sort()
	if _, ok := l.blobs.Find(node.Name); !ok {
		l.blobs.Nodes = append(l.blobs.Nodes, node)
	}
	return v1.Descriptor{MediaType: t, Size: d.Size, Digest: hash(b)}
}

// JSON adds a document.
func (l *Layout) JSON(t types.MediaType, v any) v1.Descriptor {
	l.t.Helper()
	b, err := json.Marshal(v)
	if err != nil {
		l.t.Fatal(err)
	}
	return l.Blob(t, b)
}

// Image adds a manifest with layers of about these sizes, whose bytes seed decides;
// a layer of the same size and seed is the same. An even seed is for arm64.
func (l *Layout) Image(seed uint64, layers ...int) v1.Descriptor {
	l.t.Helper()
	m := v1.Manifest{SchemaVersion: 2, MediaType: types.OCIManifestSchema1}
	cf := v1.ConfigFile{OS: "linux", Architecture: "amd64", RootFS: v1.RootFS{Type: "layers"}}
	if seed%2 == 0 {
		cf.Architecture = "arm64"
	}
	for _, n := range layers {
		packed, diff := Layer(seed, n)
		m.Layers = append(m.Layers, l.Blob(types.OCILayer, packed))
		cf.RootFS.DiffIDs = append(cf.RootFS.DiffIDs, diff)
	}
	m.Config = l.JSON(types.OCIConfigJSON, cf)
	return l.JSON(types.OCIManifestSchema1, m)
}

// Layer is a layer with a file of n bytes that don't compress, and its diff ID.
func Layer(seed uint64, n int) ([]byte, v1.Hash) {
	noise := make([]byte, n)
	r := rand.NewChaCha8([32]byte{byte(seed), byte(seed >> 8), byte(n), byte(n >> 8), byte(n >> 16), byte(n >> 24)})
	_, _ = r.Read(noise) // nothing in memory fails
	var plain, packed bytes.Buffer
	w := tar.NewWriter(&plain)
	_ = w.WriteHeader(&tar.Header{Name: fmt.Sprintf("noise-%d", n), Mode: 0o644, Size: int64(n), Typeflag: tar.TypeReg})
	_, _ = w.Write(noise)
	_ = w.Close()
	z, _ := gzip.NewWriterLevel(&packed, gzip.NoCompression)
	_, _ = z.Write(plain.Bytes())
	_ = z.Close()
	return packed.Bytes(), hash(plain.Bytes())
}

func hash(b []byte) v1.Hash {
	sum := sha256.Sum256(b)
	return v1.Hash{Algorithm: "sha256", Hex: hex.EncodeToString(sum[:])}
}

// Referrer adds a manifest that is about subject.
func (l *Layout) Referrer(subject v1.Descriptor, artifactType, content string) v1.Descriptor {
	l.t.Helper()
	return l.JSON(types.OCIManifestSchema1, map[string]any{
		"schemaVersion": 2, "mediaType": types.OCIManifestSchema1, "artifactType": artifactType,
		"config": l.Blob("application/vnd.oci.empty.v1+json", []byte("{}")),
		"layers": []v1.Descriptor{l.Blob("text/plain", []byte(content))}, "subject": subject,
	})
}

// Add lists a manifest in index.json, under a name if it isn't "".
func (l *Layout) Add(d v1.Descriptor, name string) {
	if name != "" {
		d.Annotations = map[string]string{"io.containerd.image.name": name}
	}
	l.index.Manifests = append(l.index.Manifests, d)
}

// Finish returns the tree.
func (l *Layout) Finish() action.Digest {
	l.t.Helper()
	l.blobs.Attr.Mode = action.ModeDir
	l.blobs.Sort()
	dir := func(d *action.Directory) action.Digest {
		d.Attr.Mode = action.ModeDir
		d.Sort()
		digest, err := l.store.PutDirectory(l.t.Context(), d)
		if err != nil {
			l.t.Fatal(err)
		}
		return digest
	}
	top := &action.Directory{Nodes: []action.Node{{Name: "blobs", Kind: action.Dir, Digest: dir(&action.Directory{
		Nodes: []action.Node{{Name: "sha256", Kind: action.Dir, Digest: dir(&l.blobs)}}})}}}
	for name, v := range map[string]any{"index.json": l.index, "oci-layout": map[string]string{"imageLayoutVersion": "1.0.0"}} {
		b, err := json.Marshal(v)
		if err != nil {
			l.t.Fatal(err)
		}
		d, err := l.store.PutBlob(l.t.Context(), b)
		if err != nil {
			l.t.Fatal(fmt.Errorf("%s: %w", name, err))
		}
		top.Nodes = append(top.Nodes, action.Node{Name: name, Kind: action.Regular, Digest: d, Attr: action.Attr{Mode: action.ModeFile}})
	}
	return dir(top)
}
