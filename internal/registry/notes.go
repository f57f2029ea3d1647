package registry

import (
	"bytes"
	"encoding/json"
	"sync"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
)

// Notes keeps small named values between runs; a store does. They may be lost.
type Notes interface {
	PutNote(name string, b []byte) error
	Note(name string) ([]byte, error)
}

// book is what is known of one registry from earlier runs: uploads that were
// not finished, which repository has a blob, to mount it from there, and what
// blobs the image has that a tag was given.
type book struct {
	in   Notes // nil: nothing is kept
	name string

	mu    sync.Mutex
	read  bool
	raw   []byte // what known was read from, or written to
	known noted
}

type noted struct {
	Uploads map[string]pending `json:"uploads,omitempty"` // by repository@digest
	Blobs   map[string]string  `json:"blobs,omitempty"`   // the repository's path, by digest
	Tags    map[string]tagged  `json:"tags,omitempty"`    // by repository:tag
}

// tagged is an image that was pushed.
type tagged struct {
	Digest string   `json:"digest"`
	Blobs  []string `json:"blobs"`
}

type pending struct {
	Location string    `json:"location"`
	Offset   int64     `json:"offset"`
	At       time.Time `json:"at"`
}

// Limits of what is kept: registries remove uploads after some days.
const (
	pendingFor = 7 * 24 * time.Hour
	maxBlobs   = 5000
	maxTags    = 200
)

func newBook(in Notes, registry string) *book { return &book{in: in, name: "registry-" + registry} }

// load reads the note anew: other processes write it too, and whoever is last
// should lose little of theirs.
func (n *book) load() {
	var b []byte
	if n.in != nil {
		b, _ = n.in.Note(n.name) // one that can't be read is none
	}
	if n.read && bytes.Equal(b, n.raw) {
		return
	}
	n.read, n.raw = true, b
	n.known = noted{Uploads: map[string]pending{}, Blobs: map[string]string{}, Tags: map[string]tagged{}}
	_ = json.Unmarshal(b, &n.known) // nor is a damaged one
	for k, p := range n.known.Uploads {
		if time.Since(p.At) > pendingFor {
			delete(n.known.Uploads, k)
		}
	}
}

func (n *book) loadOnce() {
	if !n.read {
		n.load()
	}
}

// change loads the note, changes it and writes it; that it can't be written
// (a store that is only read) costs a later run some time, and is no error.
func (n *book) change(f func(*noted)) {
	if n == nil || n.in == nil {
		return
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	n.load()
	f(&n.known)
	if b, err := json.Marshal(n.known); err == nil {
		_ = n.in.PutNote(n.name, b)
		n.raw = b
	}
}

func noteKey(r *Repository, d v1.Descriptor) string { return r.Path() + "@" + d.Digest.String() }

// upload returns where an earlier run left off.
func (n *book) upload(r *Repository, d v1.Descriptor) (location string, offset int64) {
	if n == nil {
		return "", 0
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	n.loadOnce()
	p := n.known.Uploads[noteKey(r, d)]
	return p.Location, p.Offset
}

// keep notes how far an upload is.
func (n *book) keep(r *Repository, d v1.Descriptor, location string, offset int64) {
	n.change(func(k *noted) { k.Uploads[noteKey(r, d)] = pending{location, offset, time.Now()} })
}

// forget drops the note of an upload that has ended.
func (n *book) forget(r *Repository, d v1.Descriptor) {
	if _, offset := n.upload(r, d); offset == 0 {
		return
	}
	n.change(func(k *noted) { delete(k.Uploads, noteKey(r, d)) })
}

// has notes that the repository has an image under a tag, with its blobs.
func (n *book) has(r *Repository, tag string, image v1.Hash, blobs []v1.Descriptor) {
	n.change(func(k *noted) {
		if len(k.Blobs) > maxBlobs {
			k.Blobs = map[string]string{}
		}
		if len(k.Tags) > maxTags {
			k.Tags = map[string]tagged{}
		}
		t := tagged{Digest: image.String()}
		for _, d := range blobs {
			k.Blobs[d.Digest.String()] = r.Path()
			t.Blobs = append(t.Blobs, d.Digest.String())
		}
		k.Tags[r.Path()+":"+tag] = t
	})
}

// of returns the blobs of an image that a tag names now, nil if that is not the one
// that an earlier run pushed. A registry keeps what a tag needs: they are there.
func (n *book) of(r *Repository, tag string, image v1.Hash) map[string]bool {
	if n == nil {
		return nil
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	n.loadOnce()
	t := n.known.Tags[r.Path()+":"+tag]
	if t.Digest != image.String() {
		return nil
	}
	blobs := map[string]bool{}
	for _, d := range t.Blobs {
		blobs[d] = true
	}
	return blobs
}

// knows reports whether an earlier run pushed the tag.
func (n *book) knows(r *Repository, tag string) bool {
	if n == nil {
		return false
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	n.loadOnce()
	return n.known.Tags[r.Path()+":"+tag].Digest != ""
}

// met reports whether an earlier run brought the blob to the registry.
func (n *book) met(d v1.Descriptor) bool {
	if n == nil {
		return false
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	n.loadOnce()
	return n.known.Blobs[d.Digest.String()] != ""
}

// where returns another repository of the registry that has the blob, or "".
func (n *book) where(r *Repository, d v1.Descriptor) string {
	if n == nil {
		return ""
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	n.loadOnce()
	if at := n.known.Blobs[d.Digest.String()]; at != r.Path() {
		return at
	}
	return ""
}
