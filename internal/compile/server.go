//go:build linux

package compile

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"time"

	"github.com/labstar/labstar/action"
	"github.com/labstar/labstar/internal/store"
)

// Options say what a Server serves: one command in its sandbox.
type Options struct {
	Cache *Cache
	Store store.Store
	// Socket is a host folder for the socket, of the server's own.
	Dir string
	// Root are the trees of the sandbox' root, lowest first; Mounts what is laid over it.
	Root   []action.Digest
	Mounts []action.PathInput
	// Build and Tmp are the host folders of what the command writes.
	Build, Tmp string
	// Verify is the share of hits that are compiled all the same and compared.
	Verify float64
}

// Server answers the shims of one command.
type Server struct {
	opts     Options
	ctx      context.Context
	cancel   context.CancelFunc
	listener net.Listener
	dir      *os.File
	path     string

	mu        sync.Mutex // guards view, held while a request is looked up
	view      *view
	stats     Stats
	different []string
	statsMu   sync.Mutex

	next  int // number of a temporary file, guarded by statsMu
	tasks sync.WaitGroup
	conns map[net.Conn]bool // guarded by statsMu

	pending map[action.Digest]chan struct{} // command lines that are being learned, guarded by statsMu
	matched map[action.Digest]*known        // by which a command line was found or kept last, until its recipe asks, guarded by mu
}

// New starts a server; Close ends it.
func New(ctx context.Context, o Options) (*Server, error) {
	ctx, cancel := context.WithCancel(ctx)
	s := &Server{opts: o, ctx: ctx, cancel: cancel, conns: map[net.Conn]bool{}, pending: map[action.Digest]chan struct{}{}, matched: map[action.Digest]*known{}, stats: Stats{Reasons: map[string]int{}}}
	var err error
	if s.view, err = newView(ctx, &o); err != nil {
		cancel()
		return nil, err
	}
	// The name of a socket has to fit into 108 bytes; a folder's descriptor makes it short.
	if s.dir, err = os.Open(o.Dir); err == nil {
		s.path = filepath.Join(o.Dir, "socket")
		s.listener, err = net.Listen("unix", "/proc/self/fd/"+strconv.Itoa(int(s.dir.Fd()))+"/socket")
	}
	if err != nil {
		s.view.close()
		cancel()
		return nil, fmt.Errorf("listening for compilers: %w", err)
	}
	s.tasks.Go(s.accept)
	return s, nil
}

// Socket is the host path of the socket.
func (s *Server) Socket() string { return s.path }

// Close ends the server when the command has ended, and returns what it did.
func (s *Server) Close() (Stats, error) {
	err := s.listener.Close()
	s.statsMu.Lock()
	for c := range s.conns {
		_ = c.Close()
	}
	s.conns = nil
	s.statsMu.Unlock()
	s.tasks.Wait()
	s.cancel()
	s.view.close()
	err = errors.Join(err, s.dir.Close())
	if len(s.different) > 0 {
		err = errors.Join(err, &DifferentError{s.different})
	}
	st := s.stats
	st.Reasons = maps.Clone(st.Reasons)
	return st, err
}

func (s *Server) accept() {
	for {
		c, err := s.listener.Accept()
		if err != nil {
			if errors.Is(err, net.ErrClosed) {
				return
			}
			time.Sleep(10 * time.Millisecond) // out of descriptors: shims wait
			continue
		}
		s.statsMu.Lock()
		if s.conns == nil {
			_ = c.Close()
		} else {
			s.conns[c] = true
			s.tasks.Go(func() { s.serve(c) })
		}
		s.statsMu.Unlock()
	}
}

// serve answers one shim. An error means that it is gone or talks nonsense; what
// then becomes of the command line is the shim's affair.
func (s *Server) serve(c net.Conn) {
	defer func() {
		s.statsMu.Lock()
		delete(s.conns, c)
		s.statsMu.Unlock()
		_ = c.Close()
	}()
	q, err := readRequest(c)
	if err != nil {
		return
	}
	sh := shim{c}
	if why := s.answer(q, sh); why != "" {
		s.count(func(st *Stats) { st.Passed++; st.Reasons[why]++ })
		_ = sh.aside()
	}
}

func (s *Server) count(f func(*Stats)) {
	s.statsMu.Lock()
	defer s.statsMu.Unlock()
	f(&s.stats)
}

// answer handles a request. A why that is not "" says that the real tool is to be
// run, and nothing was said to the shim.
func (s *Server) answer(q *request, sh shim) (why string) {
	if why := q.hostile(); why != "" {
		return why
	}
	switch KindOf(q.tool) {
	case CC:
		return s.compile(q, sh)
	case Shell:
		return s.shell(q, sh)
	}
	return "tool " + q.tool
}

// hit gives an entry's outputs to the shim and counts them.
func (s *Server) hit(sh shim, e *entry) error {
	size := int64(0)
	for _, f := range e.files {
		size += int64(len(f.content))
	}
	s.count(func(st *Stats) { st.Hits++; st.Bytes += size })
	return s.give(sh, e)
}

func (s *Server) give(sh shim, e *entry) error {
	for _, f := range e.files {
		if err := sh.write(f.path, f.content, f.replace, f.exec); err != nil {
			return err
		}
	}
	return sh.finish(e.status, e.stderr, e.stdout)
}

// chosen reports whether a hit is to be verified.
func (s *Server) chosen() bool { return s.opts.Verify > 0 && rand.Float64() < s.opts.Verify }

// temp returns a name in /tmp of the sandbox.
func (s *Server) temp(suffix string) string {
	s.statsMu.Lock()
	defer s.statsMu.Unlock()
	s.next++
	return "/tmp/labstar-compile-" + strconv.Itoa(s.next) + suffix
}
