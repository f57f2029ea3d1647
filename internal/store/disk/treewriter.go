package disk

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"sync"

	"github.com/labstar/labstar/action"
	"golang.org/x/sys/unix"
)

// treeWriter is an action.TreeWriter over a treeFolder.
type treeWriter struct {
	t    *treeFolder
	done bool
	mu   sync.RWMutex // held for reading by every entry, for writing by Commit and Abort
}

// CreateTree streams a tree in. An Attr with mode 0 takes the default mode.
func (s *Store) CreateTree(ctx context.Context) (action.TreeWriter, error) {
	if err := s.writeable("writing to"); err != nil {
		return nil, err
	}
	t, err := newTreeFolder(ctx, s)
	if err != nil {
		return nil, s.explain("writing to", err)
	}
	return &treeWriter{t: t}, nil
}

// begin cleans path and checks that the tree can take an entry. The caller calls end.
func (w *treeWriter) begin(path string) (string, error) {
	w.mu.RLock()
	if w.done {
		return "", errors.New("the tree is committed or aborted already")
	}
	if err := w.t.ctx.Err(); err != nil {
		return "", err
	}
	if err := w.t.failed(); err != nil {
		return "", err
	}
	clean, err := action.CleanPath(path)
	if err == nil && len(clean) > maxPath {
		err = fmt.Errorf("path of %d bytes, want at most %d", len(clean), maxPath)
	}
	return clean, err
}

// end gives err the path that it is about.
func (w *treeWriter) end(what, path string, err error) error {
	w.mu.RUnlock()
	if err == nil {
		return nil
	}
	if noSpace(err) {
		return w.t.s.explain("writing a tree to", err)
	}
	if len(path) > 200 {
		path = path[:200] + "…"
	}
	return fmt.Errorf("adding the %s %q to a tree: %w", what, path, err)
}

// withDefault fills in the mode of a kind and sorts the attributes.
func withDefault(a action.Attr, mode uint32) action.Attr {
	if a.Mode == 0 {
		a.Mode = mode
	}
	a.Mode &= 0o7777
	if len(a.Xattrs) > 1 {
		a.Xattrs = slices.Clone(a.Xattrs)
		slices.SortFunc(a.Xattrs, func(x, y action.Xattr) int {
			if x.Name < y.Name {
				return -1
			} else if x.Name > y.Name {
				return 1
			}
			return 0
		})
	}
	return a
}

// Mkdir makes a directory, or updates the attributes of one.
func (w *treeWriter) Mkdir(path string, a action.Attr) error {
	clean, err := w.begin(path)
	if err == nil {
		err = w.mkdir(clean, withDefault(a, action.ModeDir))
	}
	return w.end("directory", path, err)
}

func (w *treeWriter) mkdir(path string, a action.Attr) error {
	t := w.t
	t.mu.Lock()
	defer t.mu.Unlock()
	if path == "" {
		t.root.attr = a
		return nil
	}
	d, name, err := t.parent(path)
	if err != nil {
		return err
	}
	n := d.entries[name]
	if n == nil || n.dir == nil {
		if err := t.remove(d, name); err != nil {
			return err
		}
		if n, err = t.mkdir(d, name); err != nil {
			return err
		}
	}
	n.dir.attr = a
	return nil
}

// claim makes room for the entry at path and pins its directory, until release.
func (t *treeFolder) claim(path string, n action.Node) (d *treeDir, fd int, name string, err error) {
	if path == "" {
		return nil, -1, "", errors.New("the root of a tree is a directory")
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if d, name, err = t.parent(path); err != nil {
		return nil, -1, "", err
	}
	if err := t.remove(d, name); err != nil {
		return nil, -1, "", err
	}
	if fd, err = t.pin(d); err != nil {
		return nil, -1, "", err
	}
	n.Name = name
	d.entries[name] = &treeNode{node: n}
	t.claimed()
	return d, fd, name, nil
}

// File takes the content from r until EOF.
func (w *treeWriter) File(path string, a action.Attr, r io.Reader) (action.Digest, error) {
	clean, err := w.begin(path)
	var d action.Digest
	if err == nil {
		d, err = w.file(clean, withDefault(a, action.ModeFile), r)
	}
	return d, w.end("file", path, err)
}

func (w *treeWriter) file(path string, a action.Attr, r io.Reader) (action.Digest, error) {
	buf := buffers.Get().(*[]byte)
	n, err := fill(r, *buf)
	if err == nil {
		defer buffers.Put(buf)
		return w.largeFile(path, a, io.MultiReader(&once{b: *buf}, r))
	}
	if !errors.Is(err, io.EOF) {
		buffers.Put(buf)
		return action.Digest{}, err
	}
	digest := action.Of((*buf)[:n])
	t := w.t
	d, fd, name, err := t.claim(path, action.Node{Kind: action.Regular, Digest: digest, Attr: a})
	if err != nil {
		buffers.Put(buf)
		return action.Digest{}, err
	}
	t.jobs <- job{dir: d, fd: fd, name: name, digest: digest, exec: a.Mode&0o100 != 0, buf: buf}
	return digest, nil
}

// fill reads until buf is full or r ends, which is io.EOF. Unlike io.ReadFull it
// never takes a reader's own io.ErrUnexpectedEOF, a truncated archive, for the end.
func fill(r io.Reader, buf []byte) (n int, err error) {
	for n < len(buf) && err == nil {
		var m int
		m, err = r.Read(buf[n:])
		n += m
	}
	if n == len(buf) && err == io.EOF {
		err = nil
	}
	return n, err
}

// once gives its bytes as they are: io.MultiReader needs no copy then.
type once struct{ b []byte }

func (o *once) Read(p []byte) (int, error) {
	if len(o.b) == 0 {
		return 0, io.EOF
	}
	n := copy(p, o.b)
	o.b = o.b[n:]
	return n, nil
}

// largeFile writes a file while reading it.
func (w *treeWriter) largeFile(path string, a action.Attr, r io.Reader) (action.Digest, error) {
	t := w.t
	exec := a.Mode&0o100 != 0
	tmp, err := t.s.tmp.name(t.s)
	if err != nil {
		return action.Digest{}, err
	}
	fd, err := createAt(unix.AT_FDCWD, tmp, 0o600)
	if err != nil {
		return action.Digest{}, err
	}
	h := action.NewHasher()
	err = t.stream(fd, h, r)
	if err == nil {
		err = unix.Fchmod(fd, t.mode(exec))
	}
	if err := t.closeFile(fd, exec, err); err != nil {
		os.Remove(tmp)
		return action.Digest{}, err
	}
	digest := h.Digest()
	d, fd, name, err := t.claim(path, action.Node{Kind: action.Regular, Digest: digest, Attr: a})
	if err != nil {
		os.Remove(tmp)
		return action.Digest{}, err
	}
	defer t.release(d)
	ok, err := t.link(job{dir: d, fd: fd, name: name, digest: digest, exec: exec})
	if ok || err != nil {
		os.Remove(tmp)
		return digest, err
	}
	return digest, unix.Renameat(unix.AT_FDCWD, tmp, fd, name)
}

func (t *treeFolder) stream(fd int, h *action.Hasher, r io.Reader) error {
	buf := buffers.Get().(*[]byte)
	defer buffers.Put(buf)
	for {
		if err := t.ctx.Err(); err != nil {
			return err
		}
		n, err := fill(r, *buf)
		_, _ = h.Write((*buf)[:n])
		if werr := writeAll(fd, (*buf)[:n]); werr != nil {
			return werr
		}
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
	}
}

// Symlink makes a symbolic link.
func (w *treeWriter) Symlink(path, target string, a action.Attr) error {
	clean, err := w.begin(path)
	if err == nil {
		n := action.Node{Name: "x", Kind: action.Symlink, Target: target, Attr: withDefault(a, action.ModeSymlink)}
		if err = (&action.Directory{Nodes: []action.Node{n}}).Validate(); err == nil {
			err = w.t.symlink(clean, n)
		}
	}
	return w.end("symlink", path, err)
}

func (t *treeFolder) symlink(path string, n action.Node) error {
	d, fd, name, err := t.claim(path, n)
	if err != nil {
		return err
	}
	defer t.release(d)
	if err := unix.Symlinkat(n.Target, fd, name); err != nil {
		return err
	}
	return setEpochAt(fd, name)
}

// Device records a device or FIFO; none is made.
func (w *treeWriter) Device(path string, k action.Kind, major, minor uint32, a action.Attr) error {
	clean, err := w.begin(path)
	if err == nil && k != action.Char && k != action.Block && k != action.Fifo {
		err = fmt.Errorf("got a %s, want a device or a fifo", k)
	}
	if err == nil {
		var d *treeDir
		n := action.Node{Kind: k, Major: major, Minor: minor, Attr: withDefault(a, action.ModeDevice)}
		if d, _, _, err = w.t.claim(clean, n); err == nil {
			w.t.release(d)
		}
	}
	return w.end("device", path, err)
}

// Link makes path a second file with the content and attributes of old.
func (w *treeWriter) Link(path, old string) error {
	clean, err := w.begin(path)
	if err == nil {
		var cleanOld string
		if cleanOld, err = action.CleanPath(old); err == nil && cleanOld != clean {
			err = w.link(clean, cleanOld)
		}
		if err != nil {
			err = fmt.Errorf("linking to %q: %w", old, err)
		}
	}
	return w.end("link", path, err)
}

func (w *treeWriter) link(path, old string) error {
	t := w.t
	t.mu.Lock()
	d, name, n, err := t.lookup(old)
	if err != nil || n.node.Kind != action.Regular {
		t.mu.Unlock()
		switch {
		case err != nil:
			return err
		case n.node.Kind == action.Symlink:
			return t.symlink(path, n.node)
		}
		return fmt.Errorf("got a %s, want a file", n.node.Kind)
	}
	t.settled() // its content may still be with a worker
	fd, err := t.pin(d)
	if err != nil {
		t.mu.Unlock()
		return err
	}
	src, err := openAt(fd, name)
	t.unpin(d)
	t.mu.Unlock()
	if err != nil {
		return errors.Join(err, t.failed())
	}
	f := os.NewFile(uintptr(src), old)
	defer f.Close()
	_, err = w.file(path, n.node.Attr, f)
	return err
}

// lookup finds an entry that is no directory. mu is held.
func (t *treeFolder) lookup(path string) (*treeDir, string, *treeNode, error) {
	d := t.root
	for {
		first, rest, more := strings.Cut(path, "/")
		n := d.entries[first]
		switch {
		case n == nil:
			return nil, "", nil, errors.New("it was not given before")
		case !more && n.dir != nil:
			return nil, "", nil, errors.New("it is a directory")
		case !more:
			return d, first, n, nil
		case n.dir == nil:
			return nil, "", nil, fmt.Errorf("path goes through a %s", n.node.Kind)
		}
		d, path = n.dir, rest
	}
}
