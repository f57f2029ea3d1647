package registry

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/labstar/labstar/action"
)

// Sizes of chunks, in bytes. A chunk should take about chunkTime, so that one that
// is under way when the user presses Ctrl-C still ends, and little is lost on a bad
// line; each is a request of its own, so they shouldn't be small.
const (
	firstChunk = 4 << 20
	minChunk   = 256 << 10
	maxChunk   = 16 << 20
	chunkTime  = 300 * time.Millisecond
	oneRequest = firstChunk // a blob up to here goes in one
)

// How a blob came to be at the registry.
type how int

const (
	there how = iota // it was
	mounted
	sent
)

// upload is a blob on its way to a registry. What the registry has of it is at
// location, up to offset.
type upload struct {
	r        *Repository
	desc     v1.Descriptor
	blob     action.Blob
	from     []string // repositories of the registry that may have it
	ahead    *ahead   // has uploads that were begun; may be nil
	notes    *book
	progress func(done int64)

	location string
	offset   int64
	doubt    bool  // whether location and offset are what the registry has
	best     int64 // the largest offset so far
	chunk    int64
	least    int64 // the registry's smallest chunk
	most     int64
	whole    bool  // in one request, since the registry takes no chunks
	wrong    int   // times that it found another digest
	forgot   int   // times that it had forgotten the upload
	before   int64 // what an earlier run had sent
}

// Has reports whether the repository has the blob.
func (r *Repository) Has(ctx context.Context, desc v1.Descriptor) (bool, error) {
	a, err := r.do(ctx, fmt.Sprintf("asking %s for %s", r, desc.Digest), call{
		method: http.MethodHead, path: r.Path() + "/blobs/" + desc.Digest.String(),
		accept: []int{http.StatusOK, http.StatusNotFound},
	})
	if err != nil {
		return false, err
	}
	return a.status == http.StatusOK, nil
}

// run brings the blob there.
func (u *upload) run(ctx context.Context) (how, error) {
	u.chunk, u.most = firstChunk, maxChunk
	if u.location, u.offset = u.notes.upload(u.r, u.desc); u.location != "" {
		u.doubt = true
		u.before = -1
	}
	p := u.r.host.patience(fmt.Sprintf("uploading %s to %s", u.desc.Digest, u.r))
	for {
		done, err := u.try(ctx)
		if err == nil {
			u.notes.forget(u.r, u.desc)
			return done, nil
		}
		if ctx.Err() != nil {
			return 0, context.Cause(ctx)
		}
		if u.offset > u.best {
			u.best = u.offset
			p.progress()
		}
		if err := u.recover(ctx, p, err); errors.Is(err, errThere) {
			return sent, nil
		} else if err != nil {
			return 0, err
		}
	}
}

// errThere ends an upload that turns out to have succeeded.
var errThere = errors.New("it is there")

// recover decides how to go on after err, waits, or gives up.
func (u *upload) recover(ctx context.Context, p *patience, err error) error {
	var e *Error
	errors.As(err, &e)
	switch {
	case e != nil && e.has("DIGEST_INVALID"):
		u.wrong++
		u.restart()
		if u.wrong > 1 {
			e.Hint = "what the store holds is damaged, or something on the way changes it: run `labstar cache verify --repair`, then build and push again"
			return p.final(e)
		}
		return nil
	case e != nil && (e.Status == http.StatusNotFound && u.location != "" || e.has("BLOB_UPLOAD_UNKNOWN") || e.has("BLOB_UPLOAD_INVALID")):
		// The registry has forgotten the upload; or it has taken it, and the answer
		// was lost.
		u.restart()
		if have, err := u.r.Has(ctx, u.desc); err == nil && have {
			return errThere
		}
		u.forgot++
		u.whole = u.forgot >= 3
		if u.forgot > u.r.host.client.opts.Policy.Tries {
			return p.final(err)
		}
		return nil
	case e != nil && e.Status == http.StatusRequestedRangeNotSatisfiable:
		if u.doubt { // it has said so twice
			u.restart()
		}
		u.doubt = true
		return p.again(ctx, err)
	case e != nil && u.offset > 0 && !u.whole && refused(e.Status):
		u.restart() // it takes the first chunk and no second
		u.whole = true
		return nil
	}
	u.doubt = u.location != ""
	return p.after(ctx, err)
}

// refused are the answers of registries that take no chunks.
func refused(status int) bool {
	return status == http.StatusBadRequest || status == http.StatusMethodNotAllowed || status == http.StatusNotImplemented || status == http.StatusLengthRequired
}

func (u *upload) restart() {
	u.location, u.offset, u.doubt, u.before = "", 0, false, 0
	u.notes.forget(u.r, u.desc)
}

// try goes on from where the upload is to its end.
func (u *upload) try(ctx context.Context) (how, error) {
	if u.location != "" && u.doubt {
		if err := u.ask(ctx); err != nil {
			return 0, err
		}
	}
	if u.location == "" {
		if done, err := u.start(ctx); err != nil || done == mounted {
			return done, err
		}
	}
	if u.before < 0 {
		u.before = u.offset
	}
	u.tell(u.offset)
	if u.offset == 0 && (u.whole || u.desc.Size <= max(oneRequest, u.least)) {
		return sent, u.finish(ctx, u.desc.Size)
	}
	for u.offset < u.desc.Size {
		if err := u.send(ctx); err != nil {
			return 0, err
		}
		if ctx.Err() != nil {
			return 0, context.Cause(ctx)
		}
	}
	return sent, u.finish(ctx, 0)
}

func (u *upload) tell(done int64) {
	if u.progress != nil {
		u.progress(done)
	}
}

// start begins an upload, or mounts the blob from another repository.
func (u *upload) start(ctx context.Context) (how, error) {
	for len(u.from) > 0 {
		from := u.from[0]
		u.from = u.from[1:]
		q := url.Values{"mount": {u.desc.Digest.String()}, "from": {from}}
		a, err := u.once(ctx, call{
			method: http.MethodPost, path: u.r.Path() + "/blobs/uploads/?" + q.Encode(),
			scopes: []string{"repository:" + from + ":pull"}, accept: []int{http.StatusCreated, http.StatusAccepted},
		})
		var e *Error
		switch {
		case err == nil && a.status == http.StatusCreated:
			return mounted, nil
		case err == nil:
			return there, u.take(a, 0)
		case errors.As(err, &e) && e.Status >= 400 && e.Status < 500 && e.Status != http.StatusTooManyRequests:
			continue // not from there
		}
		return 0, err
	}
	if a := u.ahead.take().wait(ctx); a != nil {
		return there, u.take(a, 0)
	}
	a, err := u.r.beginUpload(ctx)
	if err != nil {
		return 0, err
	}
	return there, u.take(a, 0)
}

func (u *upload) once(ctx context.Context, c call) (*answer, error) {
	c.scopes = append(c.scopes, u.r.scope())
	return u.r.host.once(ctx, c)
}

// take notes where the upload goes on.
func (u *upload) take(a *answer, offset int64) error {
	at, err := a.location()
	if err != nil {
		return err
	}
	u.location, u.offset, u.doubt = at, offset, false
	if n, err := strconv.ParseInt(a.header.Get("OCI-Chunk-Min-Length"), 10, 64); err == nil && n > 0 {
		u.least = n
	}
	return nil
}

// location is where an upload goes on.
func (a *answer) location() (string, error) {
	at := a.header.Get("Location")
	if at == "" {
		return "", errors.New("the registry's answer has no Location")
	}
	where, err := a.url.Parse(at)
	if err != nil {
		return "", fmt.Errorf("the registry's answer has the Location %q: %w", at, err)
	}
	return where.String(), nil
}

// ask asks what the registry has.
func (u *upload) ask(ctx context.Context) error {
	a, err := u.once(ctx, call{method: http.MethodGet, path: u.location, accept: []int{http.StatusNoContent, http.StatusOK, http.StatusAccepted}})
	if err != nil {
		return err
	}
	have, ok := received(a.header)
	if !ok || have > u.desc.Size {
		return &Error{Status: http.StatusNotFound, Text: "the registry does not tell what it has"}
	}
	if a.header.Get("Location") == "" {
		u.offset, u.doubt = have, false
		return nil
	}
	return u.take(a, have)
}

// received reads the header Range: 0-N is N+1 bytes. No upload has one byte, and
// registries say 0-0 when they have none.
func received(h http.Header) (int64, bool) {
	s := strings.TrimPrefix(h.Get("Range"), "bytes=")
	first, last, ok := strings.Cut(s, "-")
	n, err := strconv.ParseInt(last, 10, 64)
	if !ok || first != "0" || err != nil || n < 0 {
		return 0, false
	}
	if n == 0 {
		return 0, true
	}
	return n + 1, true
}

// send sends a chunk. When ctx is done, the one under way may end, so that what
// the registry has is known.
func (u *upload) send(ctx context.Context) error {
	n := min(max(min(u.chunk, u.most), u.least), u.desc.Size-u.offset)
	graceful, end := u.grace(ctx)
	defer end()
	began := time.Now()
	c := u.body(u.offset, n)
	c.method, c.path, c.accept = http.MethodPatch, u.location, []int{http.StatusAccepted, http.StatusNoContent, http.StatusCreated}
	c.header.Set("Content-Range", fmt.Sprintf("%d-%d", u.offset, u.offset+n-1))
	a, err := u.once(graceful, c)
	if err != nil {
		// Whatever cuts requests of this size may let smaller ones through.
		u.most = max(minChunk, n/4)
		return err
	}
	want := u.offset + n
	if have, ok := received(a.header); ok && have < want && have > u.offset {
		want = have // it took a part
	}
	if err := u.take(a, want); err != nil {
		return err
	}
	u.tell(u.offset)
	u.notes.keep(u.r, u.desc, u.location, u.offset)
	switch took := time.Since(began); {
	case took < chunkTime/2:
		u.chunk = min(2*n, maxChunk)
	case took > 2*chunkTime:
		u.chunk = max(n/2, minChunk)
	}
	return nil
}

// grace returns a context that ends some time after ctx.
func (u *upload) grace(ctx context.Context) (context.Context, func()) {
	out, cancel := context.WithCancelCause(context.WithoutCancel(ctx))
	stop := context.AfterFunc(ctx, func() {
		t := time.NewTimer(u.r.host.client.opts.Policy.Grace)
		defer t.Stop()
		select {
		case <-t.C:
			cancel(context.Cause(ctx))
		case <-out.Done():
		}
	})
	return out, func() { stop(); cancel(nil) }
}

// body is the part of the blob from offset on, of n bytes. A registry may answer
// before it has read all, and the transport then reads on for a moment.
func (u *upload) body(offset, n int64) call {
	var done atomic.Int64
	return call{
		size:   n,
		header: http.Header{"Content-Type": {"application/octet-stream"}},
		body: func() io.ReadCloser {
			done.Store(0)
			return io.NopCloser(io.NewSectionReader(u.blob, offset, n))
		},
		alive: func(k int64) {
			u.tell(offset + done.Add(k))
		},
	}
}

// finish ends the upload, with the last n bytes in the same request. When ctx is
// done, one under way may end, too.
func (u *upload) finish(ctx context.Context, n int64) error {
	at, err := url.Parse(u.location)
	if err != nil {
		return err
	}
	q := at.Query()
	q.Set("digest", u.desc.Digest.String())
	at.RawQuery = q.Encode()
	c := u.body(u.offset, n)
	if n == 0 {
		c.body = nil
	}
	c.method, c.path, c.accept = http.MethodPut, at.String(), []int{http.StatusCreated, http.StatusNoContent, http.StatusOK, http.StatusAccepted}
	graceful, end := u.grace(ctx)
	defer end()
	_, err = u.once(graceful, c)
	return err
}
