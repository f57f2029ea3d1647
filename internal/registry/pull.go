package registry

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/types"

	"github.com/labstar/labstar/internal/download"
)

// PullOptions say what of an image to take.
type PullOptions struct {
	Platform *v1.Platform // of an index, this one alone; nil is all of it
	Name     string       // in the layout's index.json
	Jobs     int          // blobs side by side
	Blob     func(Blob)   // may be nil; called from one goroutine at a time
}

// Pulled is what came.
type Pulled struct {
	Root         v1.Descriptor
	Blobs, There int   // there: from before
	Bytes        int64 // that were fetched
}

// PullTo brings an image, by tag or digest, into the OCI layout in dir, which is
// made if it isn't there. Every blob is checked as it comes; one that was cut goes on
// where it was, in a later process too; the layout names the image when it is whole.
func (r *Repository) PullTo(ctx context.Context, ref, dir string, o PullOptions) (*Pulled, error) {
	p := &pull{repo: r, dir: dir, o: o, slots: make(chan struct{}, max(1, o.Jobs)), seen: map[v1.Hash]bool{}}
	if err := os.MkdirAll(filepath.Join(dir, "blobs", "sha256"), 0o755); err != nil {
		return nil, fmt.Errorf("making the layout: %w", err)
	}
	raw, desc, err := r.Manifest(ctx, ref)
	if err != nil {
		return nil, err
	}
	if desc.MediaType.IsIndex() && o.Platform != nil {
		if desc, err = choose(raw, *o.Platform); err != nil {
			return nil, fmt.Errorf("%s: %w", r.full(ref), err)
		}
		if raw, _, err = r.Manifest(ctx, desc.Digest.String()); err != nil {
			return nil, err
		}
	}
	if err := p.manifest(ctx, desc, raw); err != nil {
		return nil, err
	}
	p.out.Root = desc
	return &p.out, p.name(desc)
}

// choose finds the manifest of a platform in an index.
func choose(index []byte, want v1.Platform) (v1.Descriptor, error) {
	var m v1.IndexManifest
	if err := json.Unmarshal(index, &m); err != nil {
		return v1.Descriptor{}, fmt.Errorf("reading its index: %w", err)
	}
	var has []string
	for _, d := range m.Manifests {
		if d.Platform == nil || d.Platform.OS == "unknown" {
			continue // attestations
		}
		if d.Platform.Satisfies(want) {
			return d, nil
		}
		has = append(has, d.Platform.String())
	}
	return v1.Descriptor{}, fmt.Errorf("there is none for %s; it has: %s", want.String(), strings.Join(has, ", "))
}

// pull is one in progress.
type pull struct {
	repo  *Repository
	dir   string
	o     PullOptions
	slots chan struct{}

	mu   sync.Mutex
	seen map[v1.Hash]bool
	out  Pulled
}

// manifest brings what a manifest names, then the manifest.
func (p *pull) manifest(ctx context.Context, d v1.Descriptor, raw []byte) error {
	if d.MediaType.IsIndex() {
		var index v1.IndexManifest
		if err := json.Unmarshal(raw, &index); err != nil {
			return fmt.Errorf("reading the index %s: %w", d.Digest, err)
		}
		for _, c := range index.Manifests {
			below, _, err := p.repo.Manifest(ctx, c.Digest.String())
			if err != nil {
				return err
			}
			if err := p.manifest(ctx, c, below); err != nil {
				return err
			}
		}
	} else {
		var m v1.Manifest
		if err := json.Unmarshal(raw, &m); err != nil {
			return fmt.Errorf("reading the manifest %s: %w", d.Digest, err)
		}
		if err := p.blobs(ctx, append([]v1.Descriptor{m.Config}, m.Layers...)); err != nil {
			return err
		}
	}
	return writeFile(p.path(d.Digest), raw)
}

func (p *pull) path(h v1.Hash) string { return filepath.Join(p.dir, "blobs", "sha256", h.Hex) }

// writeFile writes a file whole or not at all.
func writeFile(path string, b []byte) error {
	tmp := path + ".part"
	if err := os.WriteFile(tmp, b, 0o644); err != nil {
		return fmt.Errorf("writing the layout: %w", err)
	}
	if err := os.Rename(tmp, path); err != nil {
		return fmt.Errorf("writing the layout: %w", err)
	}
	return nil
}

func (p *pull) blobs(ctx context.Context, list []v1.Descriptor) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var wg sync.WaitGroup
	for _, d := range list {
		if p.seen[d.Digest] || !d.MediaType.IsDistributable() {
			continue
		}
		p.seen[d.Digest] = true
		wg.Go(func() {
			select {
			case p.slots <- struct{}{}:
			case <-ctx.Done():
				return
			}
			defer func() { <-p.slots }()
			if err := p.blob(ctx, d); err != nil {
				cancel(err)
			}
		})
	}
	wg.Wait()
	return context.Cause(ctx)
}

// blob brings one into its file, by way of one that ends in .part, which stays
// when it is cut.
func (p *pull) blob(ctx context.Context, d v1.Descriptor) error {
	req, err := p.repo.blobRequest(ctx, d)
	if err != nil {
		return err
	}
	path := p.path(d.Digest)
	if fi, err := os.Stat(path); err == nil && fi.Size() == d.Size {
		p.ended(d, "there", 0)
		return nil
	}
	part := path + ".part"
	before := int64(0)
	if f, err := os.Open(part); err == nil {
		defer f.Close()
		if fi, err := f.Stat(); err == nil && fi.Size() <= d.Size {
			before = fi.Size()
			req.Have = io.LimitReader(f, before)
		}
	} else if !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("going on with %s: %w", part, err)
	}
	var last *partFile
	first := req.Have != nil
	req.Create = func() (download.Sink, error) {
		flags := os.O_CREATE | os.O_WRONLY | os.O_TRUNC
		if first {
			flags = os.O_WRONLY | os.O_APPEND
		}
		first = false
		f, err := os.OpenFile(part, flags, 0o644)
		if err != nil {
			return nil, err
		}
		last = &partFile{f}
		return last, nil
	}
	req.Progress = func(done, _ int64) { p.tell(Blob{Desc: d, Done: done}) }
	if err := p.repo.fetched(d, download.Fetch(withScopes(ctx, []string{p.repo.scope()}), req)); err != nil {
		return err
	}
	if err := errors.Join(last.Close(), os.Rename(part, path)); err != nil {
		return fmt.Errorf("writing the layout: %w", err)
	}
	p.ended(d, "fetched", d.Size-before)
	return nil
}

// partFile is a file that stays when the transfer is given up.
type partFile struct{ *os.File }

func (f *partFile) Abort() { _ = f.Close() } // what is in it stays

func (p *pull) tell(b Blob) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.o.Blob != nil {
		p.o.Blob(b)
	}
}

func (p *pull) ended(d v1.Descriptor, how string, n int64) {
	p.mu.Lock()
	p.out.Blobs++
	p.out.Bytes += n
	if how == "there" {
		p.out.There++
	}
	p.mu.Unlock()
	p.tell(Blob{Desc: d, Done: d.Size, End: true, How: how})
}

// name lists the image in index.json, in the place of one of the same name.
func (p *pull) name(d v1.Descriptor) error {
	path := filepath.Join(p.dir, "index.json")
	index := v1.IndexManifest{SchemaVersion: 2, MediaType: types.OCIImageIndex}
	if b, err := os.ReadFile(path); err == nil {
		if err := json.Unmarshal(b, &index); err != nil {
			return fmt.Errorf("reading %s: %w", path, err)
		}
	}
	tag := p.o.Name[strings.LastIndexAny(p.o.Name, ":@")+1:]
	d.Annotations = map[string]string{annotationName: p.o.Name, "org.opencontainers.image.ref.name": tag}
	kept := index.Manifests[:0]
	for _, have := range index.Manifests {
		if have.Annotations[annotationName] != p.o.Name {
			kept = append(kept, have)
		}
	}
	index.Manifests = append(kept, d)
	b, err := json.Marshal(index)
	if err != nil {
		return err
	}
	return errors.Join(writeFile(filepath.Join(p.dir, "oci-layout"), []byte(`{"imageLayoutVersion":"1.0.0"}`)), writeFile(path, b))
}
