package registry

import (
	"context"
	"encoding/json"
	"fmt"
	"io"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/labstar/labstar/action"
)

// Image is what a name stands for in an OCI layout of a store: a manifest, or an
// index with those of several platforms, and what refers to it.
type Image struct {
	Name name.Tag // zero if the layout has none
	Root *Manifest
	// Manifests are all that belong to it, each after those that it names; the
	// root is the last. Referrers come after it: signatures, SBOMs, provenance.
	Manifests, Referrers []*Manifest

	content action.Content
	blobs   *action.Directory
}

// Manifest is one, with what it names.
type Manifest struct {
	v1.Descriptor
	Raw      []byte
	Config   v1.Descriptor
	Layers   []v1.Descriptor
	Children []v1.Descriptor // of an index
	Subject  *v1.Descriptor  // that a referrer is about
}

// Blobs are the configuration and the layers; of an index, none.
func (m *Manifest) Blobs() []v1.Descriptor {
	if m.MediaType.IsIndex() {
		return nil
	}
	return append([]v1.Descriptor{m.Config}, m.Layers...)
}

// annotationName is how containerd and docker have the full name of an image in
// an index.json.
const annotationName = "io.containerd.image.name"

// ReadLayout reads the images of the OCI layout that is the tree root.
func ReadLayout(ctx context.Context, content action.Content, root action.Digest) ([]*Image, error) {
	l := &layoutReader{ctx: ctx, content: content, seen: map[v1.Hash]*Manifest{}}
	index, err := l.open(root)
	if err != nil {
		return nil, fmt.Errorf("reading an image: %w", err)
	}
	var images []*Image
	var loose []*Manifest
	for _, d := range index.Manifests {
		img := &Image{content: content, blobs: l.blobs}
		if img.Root, err = l.manifest(img, d); err != nil {
			return nil, fmt.Errorf("reading an image: %w", err)
		}
		if img.Root.Subject != nil {
			loose = append(loose, img.Root)
			continue
		}
		if n := d.Annotations[annotationName]; n != "" {
			if img.Name, err = name.NewTag(n); err != nil {
				return nil, fmt.Errorf("reading an image: its name: %w", err)
			}
		}
		images = append(images, img)
	}
	for _, r := range loose {
		refer(images, r)
	}
	return images, nil
}

// refer adds a referrer to the images that it is about.
func refer(images []*Image, r *Manifest) {
	for _, img := range images {
		for _, list := range [][]*Manifest{img.Manifests, img.Referrers} {
			for _, m := range list {
				if m.Digest == r.Subject.Digest {
					img.Referrers = append(img.Referrers, r)
				}
			}
		}
	}
}

type layoutReader struct {
	ctx     context.Context
	content action.Content
	blobs   *action.Directory
	seen    map[v1.Hash]*Manifest
}

// open finds blobs/sha256 and reads index.json.
func (l *layoutReader) open(root action.Digest) (*v1.IndexManifest, error) {
	top, err := l.content.Directory(l.ctx, root)
	if err != nil {
		return nil, err
	}
	dir := top
	for _, part := range []string{"blobs", "sha256"} {
		n, ok := dir.Find(part)
		if !ok || n.Kind != action.Dir {
			return nil, fmt.Errorf("got a tree without blobs/sha256, want an OCI layout")
		}
		if dir, err = l.content.Directory(l.ctx, n.Digest); err != nil {
			return nil, err
		}
	}
	l.blobs = dir
	n, ok := top.Find("index.json")
	if !ok || n.Kind != action.Regular {
		return nil, fmt.Errorf("got a tree without index.json, want an OCI layout")
	}
	raw, err := readBlob(l.ctx, l.content, n.Digest)
	if err != nil {
		return nil, err
	}
	var index v1.IndexManifest
	return &index, json.Unmarshal(raw, &index)
}

func readBlob(ctx context.Context, content action.Content, d action.Digest) ([]byte, error) {
	b, err := content.OpenBlob(ctx, d)
	if err != nil {
		return nil, err
	}
	defer b.Close()
	return io.ReadAll(b)
}

// manifest reads one and what is below it, and adds it to img.
func (l *layoutReader) manifest(img *Image, d v1.Descriptor) (*Manifest, error) {
	if m := l.seen[d.Digest]; m != nil {
		img.add(m)
		return m, nil
	}
	raw, err := img.read(l.ctx, d)
	if err != nil {
		return nil, err
	}
	var doc struct {
		Config    v1.Descriptor   `json:"config"`
		Layers    []v1.Descriptor `json:"layers"`
		Manifests []v1.Descriptor `json:"manifests"`
		Subject   *v1.Descriptor  `json:"subject"`
	}
	if err := json.Unmarshal(raw, &doc); err != nil {
		return nil, fmt.Errorf("the manifest %s: %w", d.Digest, err)
	}
	m := &Manifest{Descriptor: d, Raw: raw, Config: doc.Config, Layers: doc.Layers, Subject: doc.Subject}
	l.seen[d.Digest] = m
	if d.MediaType.IsIndex() {
		m.Children = doc.Manifests
		for _, c := range m.Children {
			if _, err := l.manifest(img, c); err != nil {
				return nil, err
			}
		}
	}
	img.add(m)
	return m, nil
}

func (i *Image) add(m *Manifest) {
	for _, have := range i.Manifests {
		if have == m {
			return
		}
	}
	i.Manifests = append(i.Manifests, m)
}

// Open opens a blob of the image.
func (i *Image) Open(ctx context.Context, d v1.Descriptor) (action.Blob, error) {
	n, ok := i.blobs.Find(d.Digest.Hex)
	if !ok || d.Digest.Algorithm != "sha256" || n.Digest.Size != d.Size {
		return nil, fmt.Errorf("the layout lacks %s of %d bytes", d.Digest, d.Size)
	}
	return i.content.OpenBlob(ctx, n.Digest)
}

func (i *Image) read(ctx context.Context, d v1.Descriptor) ([]byte, error) {
	b, err := i.Open(ctx, d)
	if err != nil {
		return nil, err
	}
	defer b.Close()
	return io.ReadAll(b)
}

// Platform returns the manifest for an operating system and an architecture; of an
// image that is for one platform alone, that one.
func (i *Image) Platform(goos, arch string) (*Manifest, error) {
	if !i.Root.MediaType.IsIndex() {
		return i.Root, nil
	}
	d, err := choose(i.Root.Raw, v1.Platform{OS: goos, Architecture: arch})
	if err != nil {
		return nil, err
	}
	for _, m := range i.Manifests {
		if m.Digest == d.Digest {
			return m, nil
		}
	}
	return nil, fmt.Errorf("the layout lacks the manifest %s", d.Digest)
}
