package download

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// NewClient returns a client that takes proxies from the environment, follows
// redirects to http and https only, and also reads file:///… (a mirror on disk).
func NewClient() *http.Client {
	t := http.DefaultTransport.(*http.Transport).Clone()
	t.MaxIdleConnsPerHost = 16
	t.RegisterProtocol("file", http.NewFileTransport(http.Dir("/")))
	return &http.Client{Transport: t, CheckRedirect: func(r *http.Request, via []*http.Request) error {
		if r.URL.Scheme != "http" && r.URL.Scheme != "https" {
			return fmt.Errorf("refusing a redirect to scheme %q", r.URL.Scheme)
		}
		if via[0].URL.Scheme == "https" && r.URL.Scheme == "http" {
			return errors.New("refusing a redirect from https to http")
		}
		if len(via) >= 10 {
			return errors.New("stopping after 10 redirects")
		}
		return nil
	}}
}

// transfer moves bytes from address into f, from where f stands to the end.
func (f *fetch) transfer(ctx context.Context, address string) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	stalled := fmt.Errorf("stalled: nothing came for %s", f.Policy.Stall)
	watch := time.AfterFunc(f.Policy.Stall, func() { cancel(stalled) })
	defer watch.Stop()

	req, err := newRequest(ctx, http.MethodGet, address)
	if err != nil {
		return &permanentError{err}
	}
	if f.done > 0 {
		req.Header.Set("Range", fmt.Sprintf("bytes=%d-", f.done))
	}
	resp, err := f.Client.Do(req)
	if err != nil {
		return cause(ctx, err)
	}
	defer resp.Body.Close()
	total, err := f.accept(resp)
	if err != nil {
		return err
	}
	body := &watched{r: resp.Body, f: f, total: total, alive: func() { watch.Reset(f.Policy.Stall) }}
	_, err = io.CopyBuffer(struct{ io.Writer }{f}, body, make([]byte, 128<<10))
	if err != nil {
		return cause(ctx, err)
	}
	if total > 0 && f.done < total {
		return fmt.Errorf("cut off after %d of %d bytes", f.done, total)
	}
	return nil
}

// accept judges the status, brings f to where the body starts, and returns the
// content's whole length, 0 if unknown.
func (f *fetch) accept(resp *http.Response) (total int64, err error) {
	switch resp.StatusCode {
	case http.StatusOK:
		if f.done > 0 { // the server can't resume
			if err := f.restart(); err != nil {
				return 0, err
			}
		}
		total = max(resp.ContentLength, 0)
	case http.StatusPartialContent:
		start, whole, err := parseContentRange(resp.Header.Get("Content-Range"))
		if err != nil || start != f.done {
			if e := f.restart(); e != nil {
				return 0, e
			}
			return 0, fmt.Errorf("resuming: got Content-Range %q, want one from byte %d", resp.Header.Get("Content-Range"), f.done)
		}
		total = whole
	case http.StatusRequestedRangeNotSatisfiable:
		// Nothing after what came: either it is whole, which the caller's check
		// tells, or it is not what we want.
		if f.Size > 0 && f.done < f.Size {
			got := f.done
			if err := f.restart(); err != nil {
				return 0, err
			}
			return 0, &contentError{fmt.Sprintf("got %d bytes, want %d", got, f.Size)}
		}
		resp.Body = http.NoBody
		return f.done, nil
	default:
		return 0, &statusError{code: resp.StatusCode, status: resp.Status, after: resp.Header.Get("Retry-After")}
	}
	if f.Size > 0 && total > 0 && total != f.Size {
		return 0, &contentError{fmt.Sprintf("got a file of %d bytes, want %d", total, f.Size)}
	}
	if f.Size > 0 {
		total = f.Size
	}
	if total > f.MaxSize {
		return 0, &contentError{fmt.Sprintf("got a file of %d bytes, want at most %d", total, f.MaxSize)}
	}
	return total, nil
}

// parseContentRange reads "bytes 100-199/200"; whole is 0 for "*".
func parseContentRange(s string) (start, whole int64, err error) {
	rest, ok := strings.CutPrefix(s, "bytes ")
	span, size, ok2 := strings.Cut(rest, "/")
	first, _, ok3 := strings.Cut(span, "-")
	if !ok || !ok2 || !ok3 {
		return 0, 0, fmt.Errorf("malformed Content-Range: got %q", s)
	}
	if start, err = strconv.ParseInt(first, 10, 64); err != nil {
		return 0, 0, err
	}
	if size != "*" {
		whole, err = strconv.ParseInt(size, 10, 64)
	}
	return start, whole, err
}

// watched reports each read to the stall watch and to Progress.
type watched struct {
	r     io.Reader
	f     *fetch
	total int64
	alive func()
}

func (w *watched) Read(p []byte) (int, error) {
	n, err := w.r.Read(p)
	w.alive()
	if w.f.Progress != nil && n > 0 {
		w.f.Progress(w.f.done+int64(n), w.total)
	}
	return n, err
}

// cause prefers why ctx was cancelled (a stall) over what the reader saw of it,
// and drops the address that net/http puts before its errors: ours has it.
func cause(ctx context.Context, err error) error {
	if c := context.Cause(ctx); c != nil {
		return c
	}
	var u *url.Error
	if errors.As(err, &u) {
		return u.Err
	}
	return err
}
