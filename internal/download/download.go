// Package download fetches one file over HTTP from a network that fails.
//
// A Request names the content (SHA-256 and size, where known) and the addresses
// that should have it. Fetch goes round the addresses until one delivers:
// what was refused, cut, stalled or throttled is tried again with growing
// pauses and goes on where it stopped, at any of the addresses, since the
// content is pinned; what isn't there (404) is not asked for again; wrong bytes
// are thrown away and fetched anew. The error at the end says of each address
// what happened.
//
//	err := download.Fetch(ctx, download.Request{
//		URLs: []string{"https://a.example/x.tar.xz", "https://b.example/x.tar.xz"},
//		SHA256: sum, Create: func() (download.Sink, error) { return env.CreateFile("out") },
//	})
package download

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"net/http"
	"time"
)

// Sink takes the content. action.BlobWriter is one. Fetch aborts the sinks
// that it gives up; the last one, which has the whole content, is the caller's
// to commit.
type Sink interface {
	io.Writer
	Abort()
}

// Request says what to fetch and from where.
type Request struct {
	// URLs have the same content; http, https and file are allowed.
	URLs []string
	// SHA256 of the content; zero means that the caller checks it by other
	// means, and then nothing is resumed.
	SHA256 [sha256.Size]byte
	// Size in bytes; 0 means unknown.
	Size int64
	// MaxSize ends a download of unknown size, in bytes; 0 means 16 GiB.
	MaxSize int64
	// Create opens a sink for content from its start. It is called again when
	// what came has to be thrown away.
	Create func() (Sink, error)
	// Have, if set, reads what the first sink holds already, from its start: an
	// earlier process was cut there.
	Have io.Reader
	// Progress, if set, is told the bytes so far and the total, 0 if unknown.
	Progress func(done, total int64)
	// Client is NewClient's if nil.
	Client *http.Client
	// Policy is DefaultPolicy if zero.
	Policy Policy
}

// Policy says how patient Fetch is.
type Policy struct {
	Rounds   int           // how often each address is tried at most
	Pause    time.Duration // before the second round; doubles each round
	MaxPause time.Duration // also the longest Retry-After that is obeyed
	Stall    time.Duration // the longest silence
}

// DefaultPolicy gives up on a dead server after about half a minute of pauses.
var DefaultPolicy = Policy{Rounds: 5, Pause: time.Second, MaxPause: 20 * time.Second, Stall: 30 * time.Second}

const defaultMaxSize = 16 << 30

// fetch is one Fetch in progress.
type fetch struct {
	Request
	sink  Sink
	hash  hash.Hash
	done  int64 // bytes in sink
	tried []Attempt
}

// Fetch brings the content into a sink made by req.Create, whole and with the
// right hash, or returns an *Error. After an error every sink is aborted.
func Fetch(ctx context.Context, req Request) error {
	if len(req.URLs) == 0 {
		return errors.New("downloading: got no address, want at least one")
	}
	if req.Client == nil {
		req.Client = NewClient()
	}
	if req.Policy == (Policy{}) {
		req.Policy = DefaultPolicy
	}
	if req.MaxSize == 0 {
		req.MaxSize = defaultMaxSize
	}
	f := &fetch{Request: req, tried: make([]Attempt, len(req.URLs))}
	for i, u := range req.URLs {
		f.tried[i].URL = u
	}
	err := f.run(ctx)
	if err != nil && f.sink != nil {
		f.sink.Abort()
	}
	return err
}

// run goes round the addresses until one delivers or none is left.
func (f *fetch) run(ctx context.Context) error {
	pause := f.Policy.Pause
	for round := range f.Policy.Rounds {
		left, wait := 0, time.Duration(0)
		for i := range f.tried {
			t := &f.tried[i]
			if t.gaveUp {
				continue
			}
			t.Tries++
			err := f.try(ctx, t.URL)
			if err == nil {
				return nil
			}
			if ctx.Err() != nil {
				return context.Cause(ctx)
			}
			var local *localError
			if errors.As(err, &local) {
				return local.err
			}
			t.note(err)
			if !t.gaveUp {
				left++
				wait = max(wait, min(retryAfter(err), f.Policy.MaxPause))
			}
		}
		if left == 0 || round == f.Policy.Rounds-1 {
			break
		}
		if err := sleep(ctx, max(pause, wait)); err != nil {
			return err
		}
		pause = min(2*pause, f.Policy.MaxPause)
	}
	return &Error{Attempts: f.tried, SHA256: f.SHA256}
}

// try asks one address for what is missing and checks the whole.
func (f *fetch) try(ctx context.Context, url string) error {
	if f.SHA256 == [sha256.Size]byte{} {
		if err := f.restart(); err != nil {
			return err
		}
	}
	if f.sink == nil {
		if err := f.restart(); err != nil {
			return err
		}
	}
	if err := f.transfer(ctx, url); err != nil {
		return err
	}
	if f.Size > 0 && f.done != f.Size {
		got := f.done
		if got > f.Size {
			if err := f.restart(); err != nil {
				return err
			}
		}
		return &contentError{fmt.Sprintf("got %d bytes, want %d", got, f.Size)}
	}
	if f.SHA256 == [sha256.Size]byte{} {
		return nil
	}
	if sum := f.hash.Sum(nil); [sha256.Size]byte(sum) != f.SHA256 {
		err := &contentError{fmt.Sprintf("got content with sha256 %s, want %s", hex.EncodeToString(sum), hex.EncodeToString(f.SHA256[:]))}
		if e := f.restart(); e != nil {
			return e
		}
		return err
	}
	return nil
}

// restart throws away what came.
func (f *fetch) restart() error {
	if f.sink != nil {
		f.sink.Abort()
		f.sink = nil
	}
	s, err := f.Create()
	if err != nil {
		return &localError{err}
	}
	f.sink, f.hash, f.done = s, sha256.New(), 0
	if f.Have != nil {
		have := f.Have
		f.Have = nil
		if f.done, err = io.Copy(f.hash, have); err != nil {
			return &localError{fmt.Errorf("reading what came before: %w", err)}
		}
	}
	return nil
}

// Write takes what the network gives.
func (f *fetch) Write(p []byte) (int, error) {
	if f.done+int64(len(p)) > f.MaxSize {
		return 0, &contentError{fmt.Sprintf("got more than %d bytes, which is the limit", f.MaxSize)}
	}
	if _, err := f.sink.Write(p); err != nil {
		return 0, &localError{fmt.Errorf("storing a download: %w", err)}
	}
	f.hash.Write(p)
	f.done += int64(len(p))
	return len(p), nil
}

func sleep(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-t.C:
		return nil
	}
}
