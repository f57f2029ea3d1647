package disk

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/labstar/labstar/action"
	"golang.org/x/sys/unix"
)

// A treeFolder is a tree that is being written into tmp/. It knows every entry
// itself, so that nothing is looked up on the disk and no symlink can be met: an
// entry is made by its name alone in the open folder of its parent.
type treeFolder struct {
	s    *Store
	ctx  context.Context
	path string // of the root on the disk

	mu    sync.Mutex // the tree below root, and the open folders
	root  *treeDir
	open  map[*treeDir]struct{} // those with an fd
	umask uint32

	jobs    chan job
	stop    sync.Once // closes jobs
	workers sync.WaitGroup
	busyMu  sync.Mutex
	busy    int        // entries claimed and not yet made
	idle    *sync.Cond // busy is 0; on busyMu

	failMu sync.Mutex
	fail   error
	linked map[action.Digest]struct{} // content that was linked from elsewhere in the store
}

// treeDir is one directory of it. Its fields are guarded by treeFolder.mu, which
// a worker never takes: whoever holds it may wait for the workers.
type treeDir struct {
	parent  *treeDir
	name    string
	attr    action.Attr
	entries map[string]*treeNode
	fd      int          // -1 if not open
	pins    atomic.Int32 // how many use fd now; grows only under mu
}

// treeNode is an entry: dir is set for a directory, else node tells all.
type treeNode struct {
	node action.Node
	dir  *treeDir
}

const (
	// maxPath in bytes is what a path in a tree may have, so that it still can
	// be opened below any sensible folder (PATH_MAX is 4096).
	maxPath = 3500
	// maxOpenDirs is how many folders a tree keeps open.
	maxOpenDirs = 256
)

func newTreeFolder(ctx context.Context, s *Store) (*treeFolder, error) {
	path, err := s.tmp.name(s)
	if err != nil {
		return nil, err
	}
	if err := os.Mkdir(path, 0o700); err != nil {
		return nil, err
	}
	fd, err := openDirAt(unix.AT_FDCWD, path)
	if err != nil {
		return nil, err
	}
	t := &treeFolder{s: s, ctx: ctx, path: path, umask: umask(), open: make(map[*treeDir]struct{}),
		jobs: make(chan job, maxQueued), linked: make(map[action.Digest]struct{})}
	t.root = &treeDir{attr: action.Attr{Mode: action.ModeDir}, entries: map[string]*treeNode{}, fd: fd}
	t.root.pins.Add(1)
	t.idle = sync.NewCond(&t.busyMu)
	t.startWorkers()
	return t, nil
}

// pin opens d if need be and keeps it open until unpin. mu is held.
func (t *treeFolder) pin(d *treeDir) (int, error) {
	if d.fd < 0 {
		parent, err := t.pin(d.parent)
		if err != nil {
			return -1, err
		}
		d.fd, err = openDirAt(parent, d.name)
		t.unpin(d.parent)
		if err != nil {
			d.fd = -1
			return -1, err
		}
		t.open[d] = struct{}{}
		if len(t.open) > maxOpenDirs {
			t.closeUnused(d)
		}
	}
	d.pins.Add(1)
	return d.fd, nil
}

// unpin ends what pin began.
func (t *treeFolder) unpin(d *treeDir) { d.pins.Add(-1) }

// claimed counts an entry that is about to be made in d, which is pinned; release
// ends that.
func (t *treeFolder) claimed() {
	t.busyMu.Lock()
	t.busy++
	t.busyMu.Unlock()
}

func (t *treeFolder) release(d *treeDir) {
	t.unpin(d)
	t.busyMu.Lock()
	if t.busy--; t.busy == 0 {
		t.idle.Broadcast()
	}
	t.busyMu.Unlock()
}

// settled waits until every claimed entry is made.
func (t *treeFolder) settled() {
	t.busyMu.Lock()
	for t.busy > 0 {
		t.idle.Wait()
	}
	t.busyMu.Unlock()
}

func (t *treeFolder) closeUnused(but *treeDir) {
	for d := range t.open {
		if d.pins.Load() == 0 && d != but {
			unix.Close(d.fd)
			d.fd = -1
			delete(t.open, d)
		}
	}
}

// parent finds the directory that path is in, making what is missing. mu is held.
func (t *treeFolder) parent(path string) (d *treeDir, name string, err error) {
	d = t.root
	for start := 0; ; {
		i := strings.IndexByte(path[start:], '/')
		if i < 0 {
			return d, path[start:], nil
		}
		part := path[start : start+i]
		n, ok := d.entries[part]
		switch {
		case !ok:
			if n, err = t.mkdir(d, part); err != nil {
				return nil, "", err
			}
		case n.dir == nil:
			return nil, "", fmt.Errorf("path goes through the %s %q", n.node.Kind, path[:start+i])
		}
		d = n.dir
		start += i + 1
	}
}

// mkdir makes the directory name in d. mu is held.
func (t *treeFolder) mkdir(d *treeDir, name string) (*treeNode, error) {
	fd, err := t.pin(d)
	if err != nil {
		return nil, err
	}
	defer t.unpin(d)
	if err := unix.Mkdirat(fd, name, 0o700); err != nil {
		return nil, err
	}
	n := &treeNode{dir: &treeDir{parent: d, name: name, fd: -1,
		attr: action.Attr{Mode: action.ModeDir}, entries: map[string]*treeNode{}}}
	d.entries[name] = n
	return n, nil
}

// remove makes room for a new entry name in d. mu is held.
func (t *treeFolder) remove(d *treeDir, name string) error {
	n, ok := d.entries[name]
	if !ok {
		return nil
	}
	if n.dir != nil && len(n.dir.entries) > 0 {
		return errors.New("a directory that is not empty is there")
	}
	t.settled() // a worker may be writing that very entry
	fd, err := t.pin(d)
	if err != nil {
		return err
	}
	defer t.unpin(d)
	flags := 0
	if n.dir != nil {
		flags = unix.AT_REMOVEDIR
		if n.dir.fd >= 0 {
			unix.Close(n.dir.fd)
			delete(t.open, n.dir)
		}
	}
	delete(d.entries, name)
	if onDisk := n.dir != nil || n.node.Kind == action.Regular || n.node.Kind == action.Symlink; !onDisk {
		return nil
	}
	return unix.Unlinkat(fd, name, flags)
}

// finish waits for the workers and gives every directory its mode and time, the
// deepest first, since what is made in one changes its time.
func (t *treeFolder) finish() error {
	t.stopWorkers()
	if err := t.failed(); err != nil {
		return err
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.settle(t.root)
}

func (t *treeFolder) settle(d *treeDir) error {
	for _, n := range d.entries {
		if n.dir != nil {
			if err := t.settle(n.dir); err != nil {
				return err
			}
		}
	}
	fd, err := t.pin(d)
	if err != nil {
		return err
	}
	defer t.unpin(d)
	if err := unix.Fchmod(fd, action.ModeDir); err != nil {
		return err
	}
	return setEpochFD(fd)
}

// close ends the workers and closes every folder; the tree stays on the disk.
func (t *treeFolder) close() {
	t.stopWorkers()
	t.mu.Lock()
	defer t.mu.Unlock()
	for d := range t.open {
		unix.Close(d.fd)
	}
	t.open = nil
	if t.root.fd >= 0 {
		unix.Close(t.root.fd)
		t.root.fd = -1
	}
}

// drop closes and removes all.
func (t *treeFolder) drop() {
	t.close()
	removeAll(t.path)
}
