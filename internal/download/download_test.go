package download

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

var quick = Policy{Rounds: 4, Pause: 5 * time.Millisecond, MaxPause: 40 * time.Millisecond, Stall: 150 * time.Millisecond}

var content = bytes.Repeat([]byte("0123456789abcdef"), 64<<10) // 1 MiB

// server answers request number n (from 0) with the n-th handler, and from
// then on with the last.
func server(t *testing.T, handlers ...http.HandlerFunc) (string, *atomic.Int32) {
	t.Helper()
	var n atomic.Int32
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		i := int(n.Add(1)) - 1
		handlers[min(i, len(handlers)-1)](w, r)
	}))
	t.Cleanup(s.Close)
	return s.URL + "/pool/x_1.deb", &n
}

func good(w http.ResponseWriter, r *http.Request) {
	http.ServeContent(w, r, "x", time.Time{}, bytes.NewReader(content))
}

// half promises everything and hangs up in the middle of what is left.
func half(w http.ResponseWriter, r *http.Request) {
	conn, buf, err := w.(http.Hijacker).Hijack()
	if err != nil {
		panic(err)
	}
	fmt.Fprintf(buf, "HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n", len(content))
	buf.Write(content[:len(content)/2])
	buf.Flush()
	conn.Close()
}

func stall(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Length", fmt.Sprint(len(content)))
	w.Write(content[:1000])
	w.(http.Flusher).Flush()
	<-r.Context().Done()
}

func status(code int, header ...string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		for i := 0; i+1 < len(header); i += 2 {
			w.Header().Set(header[i], header[i+1])
		}
		w.WriteHeader(code)
	}
}

func send(b []byte) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		http.ServeContent(w, r, "x", time.Time{}, bytes.NewReader(b))
	}
}

// get fetches content into memory and counts the sinks.
func get(t *testing.T, mod func(*Request), urls ...string) (data []byte, sinks int, err error) {
	t.Helper()
	var last *memory
	req := Request{URLs: urls, SHA256: sha256.Sum256(content), Size: int64(len(content)), Policy: quick,
		Create: func() (Sink, error) { sinks++; last = new(memory); return last, nil }}
	if mod != nil {
		mod(&req)
	}
	err = Fetch(t.Context(), req)
	if last != nil {
		data = last.Bytes()
	}
	if err == nil && !bytes.Equal(data, content) && req.SHA256 == sha256.Sum256(content) {
		t.Fatalf("got %d other bytes without an error", len(data))
	}
	return data, sinks, err
}

func TestFaults(t *testing.T) {
	wrong := bytes.Clone(content)
	wrong[5]++
	for _, test := range []struct {
		name     string
		handlers []http.HandlerFunc
		requests int32
		err      string // "" means success
	}{
		{"good", []http.HandlerFunc{good}, 1, ""},
		{"cut then resumed", []http.HandlerFunc{half, good}, 2, ""},
		{"cut always", []http.HandlerFunc{half}, 4, "unexpected EOF (tried 4 times)"},
		{"stalled then resumed", []http.HandlerFunc{stall, good}, 2, ""},
		{"stalled always", []http.HandlerFunc{stall}, 4, "stalled: nothing came for 150ms (tried 4 times)"},
		{"no headers", []http.HandlerFunc{func(w http.ResponseWriter, r *http.Request) { <-r.Context().Done() }, good}, 2, ""},
		{"too short", []http.HandlerFunc{send(content[:100])}, 2, "got a file of 100 bytes, want 1048576"},
		{"too long", []http.HandlerFunc{send(append(content, 1))}, 2, "got a file of 1048577 bytes, want 1048576"},
		{"wrong bytes", []http.HandlerFunc{send(wrong)}, 2, "got content with sha256 "},
		{"wrong bytes once", []http.HandlerFunc{send(wrong), good}, 2, ""},
		{"not found", []http.HandlerFunc{status(404)}, 1, "got HTTP status 404 Not Found"},
		{"forbidden", []http.HandlerFunc{status(403)}, 1, "got HTTP status 403 Forbidden"},
		{"too many requests", []http.HandlerFunc{status(429, "Retry-After", "1"), good}, 2, ""},
		{"unavailable", []http.HandlerFunc{status(503), status(502), good}, 3, ""},
		{"unavailable always", []http.HandlerFunc{status(503)}, 4, "got HTTP status 503 Service Unavailable (tried 4 times)"},
		{"bad range", []http.HandlerFunc{half, status(206, "Content-Range", "bytes 7-9/10"), good}, 3, ""},
		{"range refused", []http.HandlerFunc{half, status(416), good}, 3, ""},
		{"server can't resume", []http.HandlerFunc{half, func(w http.ResponseWriter, r *http.Request) {
			w.Write(content)
		}}, 2, ""},
		{"redirect to a file", []http.HandlerFunc{func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "file:///etc/hostname", http.StatusFound)
		}}, 4, `refusing a redirect to scheme "file"`},
	} {
		t.Run(test.name, func(t *testing.T) {
			url, n := server(t, test.handlers...)
			_, _, err := get(t, nil, url)
			if test.err == "" && err != nil {
				t.Fatal(err)
			}
			if test.err != "" && (err == nil || !strings.Contains(err.Error(), test.err) || !strings.Contains(err.Error(), url)) {
				t.Fatalf("got error %v, want %q and the address", err, test.err)
			}
			if n.Load() != test.requests {
				t.Errorf("got %d requests, want %d", n.Load(), test.requests)
			}
		})
	}
}

func TestResumeGoesOn(t *testing.T) {
	var from string
	url, _ := server(t, half, func(w http.ResponseWriter, r *http.Request) {
		from = r.Header.Get("Range")
		good(w, r)
	})
	_, sinks, err := get(t, nil, url)
	if err != nil || sinks != 1 || !strings.HasPrefix(from, "bytes=") || from == "bytes=0-" {
		t.Fatalf("got error %v, %d sinks, range %q; want one sink and a range", err, sinks, from)
	}
}

func TestMirrors(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	refused := "http://" + l.Addr().String() + "/x"
	l.Close()
	missing, n := server(t, status(404))
	cut, _ := server(t, half)
	ok, _ := server(t, good)
	if _, _, err := get(t, nil, refused, missing, cut, ok); err != nil {
		t.Fatal(err)
	}
	if n.Load() != 1 {
		t.Errorf("got %d requests for what is missing, want 1", n.Load())
	}
	_, _, err = get(t, nil, refused, missing)
	for _, want := range []string{"failed at 2 of 2 addresses", "connection refused (tried 4 times)", missing + ": got HTTP status 404"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %q in it", err, want)
		}
	}
	if IsNotFound(err) {
		t.Error("a refused connection taken for a missing file")
	}
	if _, _, err = get(t, nil, missing); !IsNotFound(err) {
		t.Errorf("got %v, want not found", err)
	}
}

func TestUnknownContent(t *testing.T) {
	url, _ := server(t, half, good)
	unknown := func(r *Request) { r.SHA256 = [32]byte{}; r.Size = 0 }
	data, sinks, err := get(t, unknown, url)
	if err != nil || !bytes.Equal(data, content) || sinks < 2 {
		t.Fatalf("got %d bytes, %d sinks, error %v", len(data), sinks, err)
	}
	bomb, _ := server(t, func(w http.ResponseWriter, r *http.Request) {
		for range 100 {
			if _, err := w.Write(content); err != nil {
				return
			}
		}
	})
	if _, err := Bytes(t.Context(), Request{URLs: []string{bomb}, Policy: quick}, 2<<20); err == nil || !strings.Contains(err.Error(), "limit") {
		t.Fatalf("got %v, want the limit", err)
	}
}

func TestFileScheme(t *testing.T) {
	p := filepath.Join(t.TempDir(), "x")
	if err := os.WriteFile(p, content, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, _, err := get(t, nil, "file://"+p+"-none", "file://"+p); err != nil {
		t.Fatal(err)
	}
}

func TestCancel(t *testing.T) {
	url, _ := server(t, stall)
	ctx, cancel := context.WithCancel(t.Context())
	time.AfterFunc(30*time.Millisecond, cancel)
	start := time.Now()
	aborted := false
	err := Fetch(ctx, Request{URLs: []string{url}, SHA256: sha256.Sum256(content), Create: func() (Sink, error) {
		return sink{io.Discard, func() { aborted = true }}, nil
	}})
	if !errors.Is(err, context.Canceled) || time.Since(start) > 5*time.Second || !aborted {
		t.Fatalf("got %v after %s, aborted %v", err, time.Since(start), aborted)
	}
}

func TestFullDisk(t *testing.T) {
	url, n := server(t, good)
	full := errors.New("no space left on device")
	err := Fetch(t.Context(), Request{URLs: []string{url}, Policy: quick, Create: func() (Sink, error) {
		return sink{failing{full}, func() {}}, nil
	}})
	if !errors.Is(err, full) || n.Load() != 1 {
		t.Fatalf("got %v after %d requests, want the disk's error at once", err, n.Load())
	}
}

type sink struct {
	io.Writer
	abort func()
}

func (s sink) Abort() { s.abort() }

type failing struct{ err error }

func (f failing) Write([]byte) (int, error) { return 0, f.err }
