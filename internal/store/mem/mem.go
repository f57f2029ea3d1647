// Package mem keeps a store in memory, for tests and for embedding where nothing
// is to be left behind. What must be a host file or folder (TreePath, BlobPath,
// Scratch, LogFile) is made in one temporary folder, which goes with Close.
package mem

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"sync"

	"github.com/labstar/labstar/action"
	"github.com/labstar/labstar/internal/store"
)

// Store is a store in memory. It is safe for use by several goroutines.
type Store struct {
	mu      sync.Mutex
	blobs   map[action.Digest][]byte
	dirs    map[action.Digest]*action.Directory
	results map[action.Digest]*action.Result
	notes   map[string][]byte
	locks   map[action.Digest]chan struct{}
	tmp     string // the temporary folder, "" before it is needed
	n       int    // names given in it
	shown   sync.Mutex
}

var _ store.Store = (*Store)(nil)

// New returns an empty store.
func New() *Store {
	return &Store{
		blobs:   make(map[action.Digest][]byte),
		dirs:    make(map[action.Digest]*action.Directory),
		results: make(map[action.Digest]*action.Result),
		notes:   make(map[string][]byte),
		locks:   make(map[action.Digest]chan struct{}),
	}
}

func notFound(what string, d action.Digest) error {
	return fmt.Errorf("%s %s: %w", what, d, store.ErrNotFound)
}

// Has reports whether the content of d is there.
func (s *Store) Has(d action.Digest) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.has(d)
}

func (s *Store) has(d action.Digest) bool {
	_, ok := s.blobs[d]
	return ok || d == action.Empty
}

type blob struct{ *bytes.Reader }

func (blob) Close() error { return nil }

// OpenBlob reads a blob, or an encoded directory.
func (s *Store) OpenBlob(ctx context.Context, d action.Digest) (action.Blob, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.has(d) {
		return nil, notFound("blob", d)
	}
	return blob{bytes.NewReader(s.blobs[d])}, nil
}

// PutBlob stores a copy of b.
func (s *Store) PutBlob(ctx context.Context, b []byte) (action.Digest, error) {
	if err := ctx.Err(); err != nil {
		return action.Digest{}, err
	}
	return s.put(bytes.Clone(b)), nil
}

func (s *Store) put(b []byte) action.Digest {
	d := action.Of(b)
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.has(d) {
		s.blobs[d] = b
	}
	return d
}

// CreateBlob streams a blob in.
func (s *Store) CreateBlob(ctx context.Context) (action.BlobWriter, error) {
	return &blobWriter{s: s, ctx: ctx}, ctx.Err()
}

// TakeIn stores contents whose digests are known.
func (s *Store) TakeIn(ctx context.Context, list []store.Intake) error {
	for _, in := range list {
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := s.takeIn(ctx, in); err != nil {
			return err
		}
	}
	return nil
}

func (s *Store) takeIn(ctx context.Context, in store.Intake) error {
	r, err := in.Open()
	if err != nil {
		return err
	}
	defer r.Close()
	b, err := io.ReadAll(r)
	if err != nil {
		return err
	}
	if got := action.Of(b); got != in.Digest {
		return in.Differs(got)
	}
	_, err = s.PutBlob(ctx, b)
	return err
}

type blobWriter struct {
	s    *Store
	ctx  context.Context
	buf  bytes.Buffer
	done bool
}

func (w *blobWriter) Write(p []byte) (int, error) {
	if w.done {
		return 0, os.ErrClosed
	}
	return w.buf.Write(p)
}

func (w *blobWriter) Commit() (action.Digest, error) {
	if w.done {
		return action.Digest{}, os.ErrClosed
	}
	if err := w.ctx.Err(); err != nil {
		return action.Digest{}, err
	}
	w.done = true
	return w.s.put(w.buf.Bytes()), nil
}

// Abort drops what was written.
func (w *blobWriter) Abort() { w.done = true }

// Directory reads one directory. The caller must not change it.
func (s *Store) Directory(ctx context.Context, d action.Digest) (*action.Directory, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if dir, ok := s.dirs[d]; ok {
		return dir, nil
	}
	b, ok := s.blobs[d]
	if !ok {
		return nil, notFound("directory", d)
	}
	return action.DecodeDirectory(b)
}

// PutDirectory stores one directory; what it names must be in the store.
func (s *Store) PutDirectory(ctx context.Context, dir *action.Directory) (action.Digest, error) {
	if err := ctx.Err(); err != nil {
		return action.Digest{}, err
	}
	if err := dir.Validate(); err != nil {
		return action.Digest{}, fmt.Errorf("storing a directory: %w", err)
	}
	raw := dir.Encode()
	d := action.Of(raw)
	kept, err := action.DecodeDirectory(raw) // a copy: the caller may go on with dir
	if err != nil {
		return d, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, n := range dir.Nodes {
		if _, isDir := s.dirs[n.Digest]; n.Kind == action.Dir && !isDir || n.Kind == action.Regular && !s.has(n.Digest) {
			return action.Digest{}, fmt.Errorf("storing a directory: its %s %q (%s): %w", n.Kind, n.Name, n.Digest, store.ErrNotFound)
		}
	}
	s.blobs[d], s.dirs[d] = raw, kept
	return d, nil
}

// HasTree reports whether the tree of root is there, whole.
func (s *Store) HasTree(root action.Digest) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	_, ok := s.dirs[root]
	return ok
}

// Result returns what was published under key.
func (s *Store) Result(ctx context.Context, key action.Digest) (*action.Result, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	r, ok := s.results[key]
	if !ok {
		return nil, notFound("result", key)
	}
	for _, o := range r.Outputs {
		if _, isDir := s.dirs[o.Digest]; o.Kind == action.Tree && !isDir || o.Kind != action.Tree && !s.has(o.Digest) {
			return nil, notFound("result", key)
		}
	}
	return action.DecodeResult(r.Encode())
}

// PutResult publishes r under the keys.
func (s *Store) PutResult(ctx context.Context, r *action.Result, keys ...action.Digest) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	kept, err := action.DecodeResult(r.Encode())
	if err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, k := range keys {
		s.results[k] = kept
	}
	return nil
}

// Sync does nothing: nothing of this store outlives its process.
func (s *Store) Sync(ctx context.Context) error { return ctx.Err() }

// Lock waits until no other goroutine holds key.
func (s *Store) Lock(ctx context.Context, key action.Digest) (unlock func(), err error) {
	for {
		s.mu.Lock()
		held, ok := s.locks[key]
		if !ok {
			free := make(chan struct{})
			s.locks[key] = free
			s.mu.Unlock()
			return sync.OnceFunc(func() {
				s.mu.Lock()
				delete(s.locks, key)
				s.mu.Unlock()
				close(free)
			}), nil
		}
		s.mu.Unlock()
		select {
		case <-held:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

// PutNote keeps b under name.
func (s *Store) PutNote(name string, b []byte) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.notes[name] = bytes.Clone(b)
	return nil
}

// Note returns what PutNote kept last.
func (s *Store) Note(name string) ([]byte, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	b, ok := s.notes[name]
	if !ok {
		return nil, fmt.Errorf("note %q: %w", name, store.ErrNotFound)
	}
	return bytes.Clone(b), nil
}

// path returns a new name in the temporary folder.
func (s *Store) path() (string, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.tmp == "" {
		dir, err := os.MkdirTemp("", "labstar-mem-")
		if err != nil {
			return "", fmt.Errorf("making the temporary folder of a store: %w", err)
		}
		s.tmp = dir
	}
	s.n++
	return filepath.Join(s.tmp, strconv.Itoa(s.n)), nil
}

// Scratch makes a fresh folder.
func (s *Store) Scratch(ctx context.Context) (string, error) {
	if err := ctx.Err(); err != nil {
		return "", err
	}
	dir, err := s.path()
	if err != nil {
		return "", err
	}
	return dir, os.Mkdir(dir, 0o700)
}

type logFile struct{ *os.File }

func (l logFile) Path() string { return l.Name() }

// LogFile creates the file that takes an action's output.
func (s *Store) LogFile(action.Digest) (store.Log, error) {
	path, err := s.path()
	if err != nil {
		return nil, err
	}
	f, err := os.Create(path + ".log")
	if err != nil {
		return nil, err
	}
	return logFile{f}, nil
}

// Close removes the temporary folder.
func (s *Store) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.tmp == "" {
		return nil
	}
	err := os.RemoveAll(s.tmp)
	if errors.Is(err, os.ErrPermission) {
		return fmt.Errorf("removing the temporary folder of a store: %w", err)
	}
	s.tmp = ""
	return err
}
