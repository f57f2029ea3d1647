// Package registrytest has what tests of transfers need: registries that are
// real programs or independent implementations, a proxy before them that makes
// the faults of networks and servers and counts bytes, and images to move.
package registrytest

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strconv"
	"sync"
	"testing"
	"time"
)

// Fault is what happens to one request. The zero value is nothing.
type Fault struct {
	Status   int         // this answer, instead of the registry's
	Header   http.Header // of that answer
	Body     string
	CutUp    int64         // the connection breaks after so many bytes of the request's body
	CutDown  int64         // and of the answer's body
	Lost     bool          // the registry does it, its answer is lost
	Stall    bool          // nothing moves after the first bytes
	Delay    time.Duration // before anything
	FlipUp   bool          // a byte of the request's body changes
	FlipDown bool          // and of the answer's
}

// Seen is a request that came to the proxy.
type Seen struct {
	Method, Path  string
	Header        http.Header
	Up            int64 // bytes of its body that went on to the registry
	Authorization string
}

// Proxy stands before a registry.
type Proxy struct {
	*httptest.Server
	target *url.URL
	client *http.Transport

	mu   sync.Mutex
	rule func(*http.Request) *Fault
	seen []*Seen
	gone chan struct{}
}

// NewProxy starts one before the registry at target, http://HOST:PORT, until the
// test ends.
func NewProxy(t testing.TB, target string) *Proxy {
	t.Helper()
	u, err := url.Parse(target)
	if err != nil {
		t.Fatal(err)
	}
	p := &Proxy{target: u, client: &http.Transport{DisableCompression: true, MaxIdleConnsPerHost: 32}, gone: make(chan struct{})}
	p.Server = httptest.NewServer(http.HandlerFunc(p.serve))
	t.Cleanup(func() {
		close(p.gone)
		p.CloseClientConnections()
		p.Close()
		p.client.CloseIdleConnections()
	})
	return p
}

// Host is the proxy's HOST:PORT.
func (p *Proxy) Host() string { return p.Listener.Addr().String() }

// Rule sets what decides on faults; it is called for one request at a time.
func (p *Proxy) Rule(f func(*http.Request) *Fault) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.rule = f
}

// Once makes the fault happen to the first n requests of the method.
func (p *Proxy) Once(n int, method string, f Fault) {
	p.Rule(func(r *http.Request) *Fault {
		if r.Method != method || n == 0 {
			return nil
		}
		n--
		return &f
	})
}

// Reset forgets what was seen.
func (p *Proxy) Reset() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.seen = nil
}

// Seen returns the requests since Reset.
func (p *Proxy) Seen() []Seen {
	p.mu.Lock()
	defer p.mu.Unlock()
	var list []Seen
	for _, s := range p.seen {
		list = append(list, *s)
	}
	return list
}

// Up is how many bytes of bodies went to the registry since Reset, by requests of
// the methods; all if none are named.
func (p *Proxy) Up(methods ...string) int64 {
	n := int64(0)
	for _, s := range p.Seen() {
		ok := len(methods) == 0
		for _, m := range methods {
			ok = ok || s.Method == m
		}
		if ok {
			n += s.Up
		}
	}
	return n
}

// Count is how many requests of the method came since Reset.
func (p *Proxy) Count(method string) int {
	n := 0
	for _, s := range p.Seen() {
		if s.Method == method {
			n++
		}
	}
	return n
}

var errCut = errors.New("cut by the test")

func (p *Proxy) serve(w http.ResponseWriter, r *http.Request) {
	p.mu.Lock()
	s := &Seen{Method: r.Method, Path: r.URL.RequestURI(), Header: r.Header.Clone(), Authorization: r.Header.Get("Authorization")}
	p.seen = append(p.seen, s)
	f := &Fault{}
	if p.rule != nil {
		if g := p.rule(r); g != nil {
			f = g
		}
	}
	p.mu.Unlock()
	time.Sleep(f.Delay)
	if f.Stall {
		_, _ = io.CopyN(io.Discard, r.Body, 1000)
		select {
		case <-p.gone:
		case <-r.Context().Done():
		}
		return
	}
	if f.Status != 0 {
		for k, v := range f.Header {
			w.Header()[k] = v
		}
		w.WriteHeader(f.Status)
		_, _ = io.WriteString(w, f.Body)
		return
	}
	p.pass(w, r, f, s)
}

// pass hands the request on, and breaks the connection where the fault says.
func (p *Proxy) pass(w http.ResponseWriter, r *http.Request, f *Fault, s *Seen) {
	ctx, cancel := context.WithCancel(r.Context())
	defer cancel()
	out := r.Clone(ctx)
	out.RequestURI = ""
	out.URL.Scheme, out.URL.Host = p.target.Scheme, p.target.Host
	if r.ContentLength != 0 {
		out.Body = &faulty{r: r.Body, cut: f.CutUp, flip: f.FlipUp, count: func(n int) {
			p.mu.Lock()
			s.Up += int64(n)
			p.mu.Unlock()
		}}
	}
	resp, err := p.client.RoundTrip(out)
	if err != nil || f.Lost {
		if resp != nil {
			_, _ = io.Copy(io.Discard, resp.Body)
			resp.Body.Close()
		}
		hangUp(w)
		return
	}
	defer resp.Body.Close()
	for k, v := range resp.Header {
		w.Header()[k] = v
	}
	if resp.ContentLength >= 0 {
		w.Header().Set("Content-Length", strconv.FormatInt(resp.ContentLength, 10))
	}
	w.WriteHeader(resp.StatusCode)
	if _, err := io.Copy(w, &faulty{r: resp.Body, cut: f.CutDown, flip: f.FlipDown}); err != nil {
		hangUp(w)
	}
}

// hangUp breaks the connection to the client.
func hangUp(w http.ResponseWriter) {
	if c, _, err := http.NewResponseController(w).Hijack(); err == nil {
		_ = c.Close() // it is to break
		return
	}
	panic(http.ErrAbortHandler)
}

// faulty is a body that breaks off or is changed.
type faulty struct {
	r     io.ReadCloser
	cut   int64 // 0: never
	flip  bool
	count func(int)
	n     int64
}

func (f *faulty) Read(b []byte) (int, error) {
	if f.cut > 0 {
		if f.n >= f.cut {
			return 0, errCut
		}
		b = b[:min(int64(len(b)), f.cut-f.n)]
	}
	n, err := f.r.Read(b)
	if f.flip && n > 0 {
		b[0] ^= 1
		f.flip = false
	}
	f.n += int64(n)
	if f.count != nil && n > 0 {
		f.count(n)
	}
	return n, err
}

func (f *faulty) Close() error { return f.r.Close() }
