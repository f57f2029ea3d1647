package oci

import (
	"encoding/json"
	"strings"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/types"

	"github.com/labstar/labstar/action"
)

// layout is an OCI image layout being made: blobs/sha256/HEX are references to
// content that the store has.
type layout struct {
	env   action.Env
	blobs action.Directory
}

// add stores a JSON document as a blob of the layout.
func (l *layout) add(t types.MediaType, b []byte) (v1.Descriptor, error) {
	d, err := l.env.PutBlob(b)
	if err != nil {
		return v1.Descriptor{}, err
	}
	l.link(d)
	return v1.Descriptor{MediaType: t, Size: d.Size, Digest: hash(d)}, nil
}

// link makes the content of d a blob of the layout; twice is once.
func (l *layout) link(d action.Digest) {
	for _, n := range l.blobs.Nodes {
		if n.Digest == d {
			return
		}
	}
	l.blobs.Nodes = append(l.blobs.Nodes, file(d.Hex(), d))
}

func file(name string, d action.Digest) action.Node {
	return action.Node{Name: name, Kind: action.Regular, Digest: d, Attr: action.Attr{Mode: action.ModeFile}}
}

// archiveEntry is one image of manifest.json, the file by which `docker load`
// finds an image in a tar of the layout; `docker save` writes it so.
type archiveEntry struct {
	Config   string
	RepoTags []string
	Layers   []string
}

func entryOf(m v1.Manifest, name string) archiveEntry {
	e := archiveEntry{Config: blobPath(m.Config), RepoTags: []string{name}}
	for _, layer := range m.Layers {
		e.Layers = append(e.Layers, blobPath(layer))
	}
	return e
}

// tagDigits is how many digits of an image's digest are in its second tag.
const tagDigits = 12

// contentTag is the name of an image by its content, in the repository of name: what a
// compose file calls an image that an engine was given by `docker load`, which tells the
// engine no digest. Package compose makes the same of image.ref.
func contentTag(name string, d v1.Hash) string {
	if i := strings.LastIndexByte(name, ':'); i > strings.LastIndexByte(name, '/') {
		name = name[:i]
	}
	return name + ":sha-" + d.Hex[:tagDigits]
}

// finish writes what is beside the blobs and sets the output "layout". index is
// what index.json names, entry what manifest.json does.
func (l *layout) finish(index v1.Descriptor, entry archiveEntry) error {
	for _, name := range entry.RepoTags {
		entry.RepoTags = append(entry.RepoTags, contentTag(name, index.Digest))
	}
	return l.write(v1.IndexManifest{SchemaVersion: 2, MediaType: types.OCIImageIndex, Manifests: []v1.Descriptor{index}}, []archiveEntry{entry})
}

// write is finish with the documents as they are to be.
func (l *layout) write(index v1.IndexManifest, entries []archiveEntry) error {
	l.blobs.Attr.Mode = action.ModeDir
	l.blobs.Sort()
	blobs, err := l.env.PutDirectory(&l.blobs)
	if err != nil {
		return err
	}
	sha := &action.Directory{Attr: action.Attr{Mode: action.ModeDir}, Nodes: []action.Node{{Name: "sha256", Kind: action.Dir, Digest: blobs}}}
	above, err := l.env.PutDirectory(sha)
	if err != nil {
		return err
	}
	root := &action.Directory{Attr: action.Attr{Mode: action.ModeDir}, Nodes: []action.Node{{Name: "blobs", Kind: action.Dir, Digest: above}}}
	for _, doc := range []struct {
		name  string
		value any
	}{
		{"index.json", index},
		{"manifest.json", entries},
		{"oci-layout", map[string]string{"imageLayoutVersion": "1.0.0"}},
	} {
		b, err := json.Marshal(doc.value)
		if err != nil {
			return err
		}
		d, err := l.env.PutBlob(b)
		if err != nil {
			return err
		}
		root.Nodes = append(root.Nodes, file(doc.name, d))
	}
	root.Sort()
	d, err := l.env.PutDirectory(root)
	if err != nil {
		return err
	}
	return l.env.SetTree("layout", d)
}

func blobPath(d v1.Descriptor) string { return "blobs/" + d.Digest.Algorithm + "/" + d.Digest.Hex }
