package registry

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"sync"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/types"
)

// Pusher pushes images. Those of one Pusher share what they know: a blob that
// two images have goes to a registry once, and is mounted in the other's
// repository.
type Pusher struct {
	kept  Notes
	slots chan struct{}

	mu    sync.Mutex
	notes map[string]*book    // by registry
	ways  map[string]*sending // by registry and digest

	ahead     map[string]*ahead // by name and tag
	ends      []func()
	deciding  sync.WaitGroup // whether to begin uploads
	preparing sync.WaitGroup // requests
}

// sending is a blob that is on its way to a registry.
type sending struct {
	done chan struct{}
	repo *Repository
	err  error
}

// NewPusher returns a Pusher that sends so many blobs side by side; what it learns
// for later runs it keeps in notes, which may be nil.
func NewPusher(notes Notes, jobs int) *Pusher {
	return &Pusher{kept: notes, slots: make(chan struct{}, max(1, jobs)),
		notes: map[string]*book{}, ways: map[string]*sending{}, ahead: map[string]*ahead{}}
}

// Blob is told of one blob of a push.
type Blob struct {
	Desc v1.Descriptor
	Done int64 // bytes that the registry has of it
	End  bool
	How  string // at the end: "there", "mounted" or "sent"
}

// Pushed is what a push did.
type Pushed struct {
	Ref                  string // NAME:TAG
	Digest               v1.Hash
	Sent, Mounted, There int   // blobs
	Bytes                int64 // that were sent of blobs
	Before               int64 // of the blobs sent, that an earlier run had sent
	Manifests            int   // that were put
	Referrers            int   // of them
}

// Push brings img to the repository and gives it the tag there. What is there
// is not sent. blob may be nil; it is called from one goroutine at a time.
func (p *Pusher) Push(ctx context.Context, img *Image, repo *Repository, tag string, blob func(Blob)) (*Pushed, error) {
	j := &push{p: p, img: img, repo: repo, notes: p.notesFor(repo), tell: blob}
	p.deciding.Wait() // it takes no request
	p.mu.Lock()
	j.ahead = p.ahead[repo.full(tag)]
	p.mu.Unlock()
	j.out = &Pushed{Ref: repo.String() + ":" + tag, Digest: img.Root.Digest}
	if err := j.run(ctx, tag); err != nil {
		return nil, err
	}
	return j.out, nil
}

func (p *Pusher) notesFor(r *Repository) *book {
	p.mu.Lock()
	defer p.mu.Unlock()
	n := p.notes[r.Registry()]
	if n == nil {
		n = newBook(p.kept, r.Registry())
		p.notes[r.Registry()] = n
	}
	return n
}

// push is one image's.
type push struct {
	p     *Pusher
	img   *Image
	repo  *Repository
	notes *book
	tell  func(Blob)
	ahead *ahead          // nil if nothing was prepared
	live  map[string]bool // blobs of the image that the tag names so far, if it is known

	mu  sync.Mutex
	out *Pushed
}

// maxUnasked is the size of a blob, in bytes, up to which sending it costs a
// registry no more than saying whether it has it.
const maxUnasked = 16 << 10

func (j *push) run(ctx context.Context, tag string) error {
	now, err := j.ahead.resolve(ctx, j.repo, tag)
	if err != nil && !IsNotFound(err) {
		return err
	}
	if err == nil {
		j.live = j.notes.of(j.repo, tag, now.Digest)
	}
	if err == nil && now.Digest == j.img.Root.Digest {
		j.skip()
	} else if err := j.manifests(ctx, tag); err != nil {
		return err
	}
	j.live = nil // it is of the image alone
	for _, r := range j.img.Referrers {
		if err := j.referrer(ctx, r); err != nil {
			return err
		}
	}
	return nil
}

// skip counts what a tag that is up to date has.
func (j *push) skip() {
	for _, d := range j.allBlobs(j.img.Manifests) {
		j.ended(d, there)
	}
}

// manifests brings the blobs, then the manifests that name them.
func (j *push) manifests(ctx context.Context, tag string) error {
	blobs := j.allBlobs(j.img.Manifests)
	for try := 0; ; try++ {
		if err := j.blobs(ctx, blobs); err != nil {
			return err
		}
		err := j.put(ctx, tag)
		var e *Error
		// Blobs may be lost since the registry said that it has them, or since they went
		// there; not all registries have the right word for it.
		if try == 0 && errors.As(err, &e) && (e.has("MANIFEST_BLOB_UNKNOWN") || j.live != nil) {
			j.p.forget(j.repo, blobs)
			j.live = nil
			continue
		}
		if err == nil {
			j.notes.has(j.repo, tag, j.img.Root.Digest, blobs)
		}
		return err
	}
}

func (j *push) put(ctx context.Context, tag string) error {
	for _, m := range j.img.Manifests {
		at := m.Digest.String()
		if m == j.img.Root {
			at = tag
		}
		if _, err := j.repo.PutManifest(ctx, at, m.MediaType, m.Raw); err != nil {
			return err
		}
		j.out.Manifests++
	}
	return nil
}

// allBlobs are the blobs of manifests, each once.
func (j *push) allBlobs(list []*Manifest) []v1.Descriptor {
	seen := map[v1.Hash]bool{}
	var blobs []v1.Descriptor
	for _, m := range list {
		for _, d := range m.Blobs() {
			if !seen[d.Digest] && d.MediaType.IsDistributable() {
				seen[d.Digest] = true
				blobs = append(blobs, d)
			}
		}
	}
	return blobs
}

// blobs brings all of them, side by side. After an error those under way end
// with their context, and the first error is returned.
func (j *push) blobs(ctx context.Context, list []v1.Descriptor) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var wg sync.WaitGroup
	for _, d := range list {
		wg.Go(func() {
			if err := j.blob(ctx, d); err != nil {
				cancel(err)
			}
		})
	}
	wg.Wait()
	return context.Cause(ctx)
}

// blob brings one. What another image of this run is sending to the registry is
// waited for, and mounted.
func (j *push) blob(ctx context.Context, d v1.Descriptor) error {
	key := j.repo.Registry() + " " + d.Digest.String()
	j.p.mu.Lock()
	way := j.p.ways[key]
	mine := way == nil
	if mine {
		way = &sending{done: make(chan struct{}), repo: j.repo}
		j.p.ways[key] = way
	}
	j.p.mu.Unlock()
	from := []string(nil)
	if !mine {
		select {
		case <-way.done:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
		if way.err == nil && way.repo.Path() == j.repo.Path() {
			j.ended(d, there)
			return nil
		}
		if way.err == nil {
			from = append(from, way.repo.Path())
		}
	}
	if at := j.notes.where(j.repo, d); at != "" {
		from = append(from, at)
	}
	select {
	case j.p.slots <- struct{}{}:
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	err := j.bring(ctx, d, from)
	<-j.p.slots
	if mine {
		way.err = err
		close(way.done)
	}
	return err
}

func (j *push) bring(ctx context.Context, d v1.Descriptor, from []string) error {
	have := j.live[d.Digest.String()]
	// One file was changed and what came of it is sent for the first time: of what is
	// as small the registry isn't asked.
	fresh := j.live != nil && d.Size <= maxUnasked && len(from) == 0 && !j.notes.met(d)
	if !have && !fresh {
		var err error
		if have, err = j.repo.Has(ctx, d); err != nil {
			return err
		}
	}
	if have {
		j.ended(d, there)
		return nil
	}
	b, err := j.img.Open(ctx, d)
	if err != nil {
		return err
	}
	defer b.Close()
	u := upload{r: j.repo, desc: d, blob: b, from: from, ahead: j.ahead, notes: j.notes, progress: func(done int64) { j.report(Blob{Desc: d, Done: done}) }}
	how, err := u.run(ctx)
	if err == nil {
		j.mu.Lock()
		j.out.Before += u.before
		j.out.Bytes -= u.before
		j.mu.Unlock()
		j.ended(d, how)
	}
	return err
}

func (p *Pusher) forget(r *Repository, blobs []v1.Descriptor) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, d := range blobs {
		delete(p.ways, r.Registry()+" "+d.Digest.String())
	}
}

func (j *push) report(b Blob) {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.tell != nil {
		j.tell(b)
	}
}

func (j *push) ended(d v1.Descriptor, h how) {
	b := Blob{Desc: d, Done: d.Size, End: true}
	j.mu.Lock()
	switch h {
	case there:
		j.out.There++
		b.How = "there"
	case mounted:
		j.out.Mounted++
		b.How = "mounted"
	case sent:
		j.out.Sent++
		j.out.Bytes += d.Size
		b.How = "sent"
	}
	j.mu.Unlock()
	j.report(b)
}

// PutManifest puts a manifest under a tag or its digest. subject tells whether
// the registry lists it by the referrers API.
func (r *Repository) PutManifest(ctx context.Context, at string, t types.MediaType, raw []byte) (subject bool, err error) {
	a, err := r.do(ctx, "putting the manifest "+r.full(at), call{
		method: http.MethodPut, path: r.Path() + "/manifests/" + at, accept: []int{http.StatusCreated, http.StatusOK, http.StatusAccepted},
		header: http.Header{"Content-Type": {string(t)}}, body: bytesBody(raw), size: int64(len(raw)),
	})
	if err != nil {
		return false, err
	}
	return a.header.Get("OCI-Subject") != "", nil
}

// referrer brings a manifest that is about the image.
func (j *push) referrer(ctx context.Context, m *Manifest) error {
	if _, err := j.repo.Resolve(ctx, m.Digest.String()); err == nil {
		return nil
	} else if !IsNotFound(err) {
		return err
	}
	if err := j.blobs(ctx, j.allBlobs([]*Manifest{m})); err != nil {
		return err
	}
	listed, err := j.repo.PutManifest(ctx, m.Digest.String(), m.MediaType, m.Raw)
	if err != nil {
		return err
	}
	j.out.Manifests++
	j.out.Referrers++
	if listed {
		return nil
	}
	return j.repo.list(ctx, m)
}

// list adds a referrer to the tag by which clients find it at a registry that has
// no referrers API (distribution specification, "Referrers Tag Schema").
func (r *Repository) list(ctx context.Context, m *Manifest) error {
	tag := m.Subject.Digest.Algorithm + "-" + m.Subject.Digest.Hex
	index := v1.IndexManifest{SchemaVersion: 2, MediaType: types.OCIImageIndex}
	raw, _, err := r.Manifest(ctx, tag)
	switch {
	case err == nil:
		if err := json.Unmarshal(raw, &index); err != nil {
			return fmt.Errorf("reading %s: %w", r.full(tag), err)
		}
	case !IsNotFound(err):
		return err
	}
	for _, d := range index.Manifests {
		if d.Digest == m.Digest {
			return nil
		}
	}
	index.Manifests = append(index.Manifests, m.Referrer())
	if raw, err = json.Marshal(index); err != nil {
		return err
	}
	_, err = r.PutManifest(ctx, tag, types.OCIImageIndex, raw)
	return err
}

// Referrer is the manifest as a list of referrers has it.
func (m *Manifest) Referrer() v1.Descriptor {
	var doc struct {
		ArtifactType string            `json:"artifactType"`
		Annotations  map[string]string `json:"annotations"`
	}
	_ = json.Unmarshal(m.Raw, &doc) // it was read before
	if doc.ArtifactType == "" {
		doc.ArtifactType = string(m.Config.MediaType)
	}
	return v1.Descriptor{MediaType: m.MediaType, Digest: m.Digest, Size: m.Size, ArtifactType: doc.ArtifactType, Annotations: doc.Annotations}
}
