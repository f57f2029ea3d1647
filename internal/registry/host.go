package registry

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"sync"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
)

// host is one registry: how it is reached, and the tokens that it gave.
type host struct {
	client *Client
	reg    name.Registry
	http   *http.Client

	schemeMu sync.Mutex
	scheme   string // "" until the first request

	auth auth
}

func newHost(c *Client, reg name.Registry) *host {
	t := c.opts.Transport
	if t == nil {
		t = http.DefaultTransport.(*http.Transport).Clone()
		t.MaxIdleConnsPerHost = 16
		t.DisableCompression = true // blobs are what they are
		t.WriteBufferSize, t.ReadBufferSize = 128<<10, 128<<10
	} else {
		t = t.Clone()
	}
	if c.opts.Insecure {
		if t.TLSClientConfig == nil {
			t.TLSClientConfig = &tls.Config{}
		}
		t.TLSClientConfig.InsecureSkipVerify = true // as the user said
	}
	h := &host{client: c, reg: reg}
	h.auth = auth{host: h, next: t}
	h.http = &http.Client{Transport: &h.auth, CheckRedirect: checkRedirect}
	return h
}

func checkRedirect(r *http.Request, via []*http.Request) error {
	switch {
	case r.URL.Scheme != "http" && r.URL.Scheme != "https":
		return fmt.Errorf("refusing a redirect to scheme %q", r.URL.Scheme)
	case via[0].URL.Scheme == "https" && r.URL.Scheme == "http":
		return errors.New("refusing a redirect from https to http")
	case len(via) >= 10:
		return errors.New("stopping after 10 redirects")
	}
	return nil
}

// local reports whether the registry is on this machine.
func (h *host) local() bool {
	hostname := h.reg.RegistryStr()
	if bare, _, err := net.SplitHostPort(hostname); err == nil {
		hostname = bare
	}
	ip := net.ParseIP(hostname)
	return hostname == "localhost" || ip != nil && ip.IsLoopback()
}

// findScheme tells by which scheme the registry speaks.
func (h *host) findScheme(ctx context.Context) (string, error) {
	h.schemeMu.Lock()
	defer h.schemeMu.Unlock()
	switch {
	case h.scheme != "":
	case h.client.opts.PlainHTTP:
		h.scheme = "http"
	case h.local() || h.client.opts.Insecure:
		s, err := h.probe(ctx)
		if err != nil {
			return "", err
		}
		h.scheme = s
	default:
		h.scheme = "https"
	}
	return h.scheme, nil
}

// probe asks by https, and takes http if what answers speaks no TLS.
func (h *host) probe(ctx context.Context) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, h.client.opts.Policy.Stall)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "https://"+h.reg.RegistryStr()+"/v2/", nil)
	if err != nil {
		return "", err
	}
	resp, err := h.auth.next.RoundTrip(req)
	if err == nil {
		return "https", resp.Body.Close()
	}
	var record tls.RecordHeaderError
	if errors.As(err, &record) || errors.Is(err, io.EOF) || errors.Is(err, http.ErrSchemeMismatch) {
		return "http", nil
	}
	return "", bare(err)
}

// call is one request, which may be made several times.
type call struct {
	method string
	path   string // below /v2/, or a whole URL
	header http.Header
	body   func() io.ReadCloser // opens the body anew; nil is none
	size   int64
	scopes []string
	accept []int // the statuses that are no error
	limit  int64 // of the answer's body, in bytes; 0 is 64 KiB
	alive  func(n int64)
}

// answer is a response, read to its end.
type answer struct {
	status int
	header http.Header
	body   []byte
	url    *url.URL // that was asked in the end
}

// once makes the request one time.
func (h *host) once(ctx context.Context, c call) (*answer, error) {
	scheme, err := h.findScheme(ctx)
	if err != nil {
		return nil, h.explain(err)
	}
	u, err := h.resolve(scheme, c.path)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancelCause(withScopes(ctx, c.scopes))
	defer cancel(nil)
	w := newWatch(h.client.opts.Policy, cancel)
	defer w.stop()
	req, err := http.NewRequestWithContext(ctx, c.method, u.String(), nil)
	if err != nil {
		return nil, err
	}
	for k, v := range c.header {
		req.Header[k] = v
	}
	req.Header.Set("User-Agent", userAgent)
	if c.body != nil {
		req.ContentLength = c.size
		req.GetBody = func() (io.ReadCloser, error) { return &watched{c.body(), w, c.size, c.alive}, nil }
		if req.Body, err = req.GetBody(); err != nil {
			return nil, err
		}
	} else {
		w.sent()
	}
	resp, err := h.http.Do(req)
	if err != nil {
		return nil, h.explain(cause(ctx, err))
	}
	defer resp.Body.Close()
	limit := c.limit
	if limit == 0 {
		limit = 64 << 10
	}
	a := &answer{status: resp.StatusCode, header: resp.Header, url: resp.Request.URL}
	body, err := io.ReadAll(io.LimitReader(resp.Body, limit+1))
	if err != nil {
		return nil, h.explain(cause(ctx, err))
	}
	for _, s := range c.accept {
		if s == resp.StatusCode {
			if int64(len(body)) > limit {
				return nil, fmt.Errorf("got an answer of more than %d bytes", limit)
			}
			a.body = body
			return a, nil
		}
	}
	return nil, h.statusError(c, resp, body)
}

const userAgent = "labstar"

// resolve makes the URL of a path below /v2/, or takes a whole one, which a
// registry gave. One that sits behind a proxy may give its own address with
// the scheme that it sees itself: ours holds.
func (h *host) resolve(scheme, path string) (*url.URL, error) {
	base := &url.URL{Scheme: scheme, Host: h.reg.RegistryStr(), Path: "/v2/"}
	u, err := base.Parse(path)
	if err != nil {
		return nil, fmt.Errorf("malformed address: got %q from %s", path, h.reg.RegistryStr())
	}
	if u.Host == base.Host {
		u.Scheme = scheme
	}
	if u.Scheme != "https" && u.Scheme != scheme {
		return nil, fmt.Errorf("refusing the address %s that %s gave: it is not by https", u.Redacted(), base.Host)
	}
	return u, nil
}

// watch ends a request in which nothing moves.
type watch struct {
	policy Policy
	timer  *time.Timer
}

func newWatch(p Policy, cancel context.CancelCauseFunc) *watch {
	w := &watch{policy: p}
	w.timer = time.AfterFunc(p.Stall, func() { cancel(errStalled) })
	return w
}

var errStalled = errors.New("stalled: nothing moved any more")

func (w *watch) moved() { w.timer.Reset(w.policy.Stall) }
func (w *watch) sent()  { w.timer.Reset(w.policy.Answer) }
func (w *watch) stop()  { w.timer.Stop() }

// watched is a body that is being sent.
type watched struct {
	io.ReadCloser
	w     *watch
	left  int64
	alive func(n int64)
}

func (b *watched) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	b.left -= int64(n)
	if b.left <= 0 {
		b.w.sent()
	} else {
		b.w.moved()
	}
	if b.alive != nil {
		b.alive(int64(n))
	}
	return n, err
}

// bytesBody is a body that is in memory.
func bytesBody(b []byte) func() io.ReadCloser {
	return func() io.ReadCloser { return io.NopCloser(bytes.NewReader(b)) }
}

// cause prefers why ctx ended (a stall) over what the transport saw of it.
func cause(ctx context.Context, err error) error {
	if c := context.Cause(ctx); c != nil {
		return c
	}
	return bare(err)
}

// bare drops the address that net/http puts before its errors: ours has it.
func bare(err error) error {
	var u *url.Error
	if errors.As(err, &u) {
		return u.Err
	}
	return err
}
