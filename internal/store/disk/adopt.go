package disk

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/labstar/labstar/action"
	"golang.org/x/sys/unix"
)

var errKind = errors.New("only files, directories and symlinks can be an output")

// Adopt moves the folder dir, made by a command that has ended, into the store
// as a tree. Modes, owners, times and extended attributes become those that every
// tree has; a second name of one file becomes a file of its own.
func (s *Store) Adopt(ctx context.Context, dir string) (action.Digest, error) {
	root, err := s.adopt(ctx, dir)
	return root, s.explain("moving a tree into", err)
}

func (s *Store) adopt(ctx context.Context, dir string) (root action.Digest, err error) {
	if err := s.writeable("moving a tree into"); err != nil {
		return root, err
	}
	st, err := os.Lstat(dir)
	if err != nil {
		return root, err
	}
	if !st.IsDir() {
		return root, &os.PathError{Op: "adopt", Path: dir, Err: errors.New("it is not a folder")}
	}
	// Moved first: from here on it is in a folder that goes with this process.
	tmp, err := s.tmp.name(s)
	if err != nil {
		return root, err
	}
	if st.Mode().Perm()&0o700 != 0o700 {
		if err := os.Chmod(dir, 0o700); err != nil {
			return root, err
		}
	}
	s.step()
	if err := os.Rename(dir, tmp); err != nil {
		return root, err
	}
	a := &adoption{s: s, ctx: ctx, jobs: make(chan adoptJob, maxQueued), linked: map[action.Digest]struct{}{}}
	c, root, err := a.run(tmp)
	if err == nil {
		err = s.publishTree(ctx, tmp, root, c)
	}
	if err != nil {
		removeAll(tmp)
	}
	return root, err
}

// adoption walks a folder and hashes its files in parallel.
type adoption struct {
	s    *Store
	ctx  context.Context
	jobs chan adoptJob
	wg   sync.WaitGroup

	mu     sync.Mutex
	err    error
	linked map[action.Digest]struct{}
}

// adoptDir is an open folder; the last who uses it gives it its mode and time.
type adoptDir struct {
	fd   int
	uses atomic.Int32
}

type adoptJob struct {
	dir  *adoptDir
	node *adoptNode
	path string
	st   unix.Stat_t
}

// adoptNode is an entry; kids is set for a folder.
type adoptNode struct {
	node action.Node
	kids []*adoptNode
}

func (a *adoption) run(path string) (*treeRecords, action.Digest, error) {
	for range max(2, runtime.GOMAXPROCS(0)) {
		a.wg.Add(1)
		go func() {
			defer a.wg.Done()
			for j := range a.jobs {
				err := a.failed()
				if err == nil {
					err = a.file(j)
				}
				a.release(j.dir, j.path, err)
			}
		}()
	}
	var kids []*adoptNode
	fd, err := openDirAt(unix.AT_FDCWD, path)
	if err == nil {
		kids, err = a.walk(fd, "")
	}
	close(a.jobs)
	a.wg.Wait()
	if err == nil {
		err = a.err
	}
	if err != nil {
		return nil, action.Digest{}, err
	}
	c := &treeRecords{}
	root, err := c.adopted(kids, "")
	return c, root, err
}

func (a *adoption) failed() error {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.err == nil {
		a.err = a.ctx.Err()
	}
	return a.err
}

func (a *adoption) setErr(path string, err error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.err == nil && err != nil {
		a.err = &os.PathError{Op: "adopt", Path: path, Err: err}
	}
}

// release ends one use of d, and takes the error of the work at path.
func (a *adoption) release(d *adoptDir, path string, err error) {
	if err == nil || errors.Is(err, context.Canceled) {
		a.setErr(path, nil)
	} else {
		a.setErr(path, err)
	}
	if d.uses.Add(-1) > 0 {
		return
	}
	dropXattrs(d.fd)
	if err := unix.Fchmod(d.fd, action.ModeDir); err != nil {
		a.setErr(path, err)
	}
	if err := setEpochFD(d.fd); err != nil {
		a.setErr(path, err)
	}
	unix.Close(d.fd)
}

// walk takes in the open folder fd, which it closes.
func (a *adoption) walk(fd int, path string) ([]*adoptNode, error) {
	d := &adoptDir{fd: fd}
	d.uses.Add(1)
	kids, err := a.entries(d, path)
	a.release(d, path, err)
	return kids, err
}

func (a *adoption) entries(d *adoptDir, path string) ([]*adoptNode, error) {
	names, err := readNames(d.fd)
	if err != nil {
		return nil, err
	}
	slices.Sort(names)
	kids := make([]*adoptNode, 0, len(names))
	for _, name := range names {
		if err := a.failed(); err != nil {
			return nil, err
		}
		below := name
		if path != "" {
			below = path + "/" + name
		}
		n := &adoptNode{node: action.Node{Name: name}}
		if err := a.entry(d, n, below); err != nil {
			return nil, err
		}
		kids = append(kids, n)
	}
	return kids, nil
}

func (a *adoption) entry(d *adoptDir, n *adoptNode, path string) error {
	name := n.node.Name
	var st unix.Stat_t
	if err := unix.Fstatat(d.fd, name, &st, unix.AT_SYMLINK_NOFOLLOW); err != nil {
		return &os.PathError{Op: "adopt", Path: path, Err: err}
	}
	if len(path) > maxPath {
		return fmt.Errorf("adopting an output: path of %d bytes, want at most %d: %q…", len(path), maxPath, path[:80])
	}
	var err error
	switch st.Mode & unix.S_IFMT {
	case unix.S_IFREG:
		n.node.Kind = action.Regular
		d.uses.Add(1)
		a.jobs <- adoptJob{dir: d, node: n, path: path, st: st}
	case unix.S_IFLNK:
		n.node.Kind, n.node.Attr.Mode = action.Symlink, action.ModeSymlink
		if n.node.Target, err = readlinkAt(d.fd, name); err == nil {
			err = setEpochAt(d.fd, name)
		}
	case unix.S_IFDIR:
		n.node.Kind = action.Dir
		if st.Mode&0o700 != 0o700 {
			err = unix.Fchmodat(d.fd, name, 0o700, 0)
		}
		var fd int
		if err == nil {
			fd, err = openDirAt(d.fd, name)
		}
		if err == nil {
			n.kids, err = a.walk(fd, path)
			return err
		}
	default:
		err = errKind
	}
	if err != nil {
		return &os.PathError{Op: "adopt", Path: path, Err: err}
	}
	return nil
}

// file takes in one regular file.
func (a *adoption) file(j adoptJob) error {
	name := j.node.node.Name
	exec := j.st.Mode&0o100 != 0
	if j.st.Mode&0o600 != 0o600 {
		if err := unix.Fchmodat(j.dir.fd, name, 0o600, 0); err != nil {
			return err
		}
	}
	fd, err := openAt(j.dir.fd, name)
	if err != nil {
		return err
	}
	f := os.NewFile(uintptr(fd), name)
	defer f.Close()
	h := action.NewHasher()
	buf := buffers.Get().(*[]byte)
	defer buffers.Put(buf)
	if _, err := io.CopyBuffer(hashing{a.ctx, h}, struct{ io.Reader }{f}, *buf); err != nil {
		return err
	}
	n := &j.node.node
	n.Digest, n.Attr.Mode = h.Digest(), uint32(fileMode(exec))
	if ok, err := a.link(j, exec); ok || err != nil {
		return err
	}
	if j.st.Nlink > 1 {
		return a.separate(j, f, exec)
	}
	dropXattrs(fd)
	return normalise(f, exec)
}

// link puts a link to the store's own copy in the place of a file, if it has one.
func (a *adoption) link(j adoptJob, exec bool) (bool, error) {
	d := j.node.node.Digest
	if d.Size < minLink {
		return false, nil
	}
	path, ok := a.s.findFile(d, exec)
	if !ok {
		return false, nil
	}
	a.mu.Lock()
	_, twice := a.linked[d]
	a.linked[d] = struct{}{}
	a.mu.Unlock()
	if twice {
		return false, nil
	}
	tmp := ".labstar-" + randomName()
	err := unix.Linkat(unix.AT_FDCWD, path, j.dir.fd, tmp, 0)
	if crossLink(err) || errors.Is(err, unix.ENOENT) {
		return false, nil
	}
	if err == nil {
		err = unix.Renameat(j.dir.fd, tmp, j.dir.fd, j.node.node.Name)
	}
	return err == nil, err
}

// separate replaces a file that has several names by a copy that has one.
func (a *adoption) separate(j adoptJob, f *os.File, exec bool) error {
	tmp := ".labstar-" + randomName()
	fd, err := createAt(j.dir.fd, tmp, 0o600)
	if err != nil {
		return err
	}
	out := os.NewFile(uintptr(fd), tmp)
	defer out.Close()
	if _, err := f.Seek(0, io.SeekStart); err != nil {
		return err
	}
	if _, err := io.Copy(out, f); err != nil {
		return err
	}
	if err := normalise(out, exec); err != nil {
		return err
	}
	return unix.Renameat(j.dir.fd, tmp, j.dir.fd, j.node.node.Name)
}

// adopted encodes the directories of what was taken in.
func (c *treeRecords) adopted(kids []*adoptNode, path string) (action.Digest, error) {
	dir := &action.Directory{Attr: action.Attr{Mode: action.ModeDir}, Nodes: make([]action.Node, 0, len(kids))}
	for _, k := range kids {
		below := k.node.Name
		if path != "" {
			below = path + "/" + below
		}
		switch k.node.Kind {
		case action.Dir:
			d, err := c.adopted(k.kids, below)
			if err != nil {
				return d, err
			}
			k.node.Digest = d
		case action.Regular:
			if k.node.Digest.Size > 0 {
				c.files = append(c.files, treeFile{k.node.Digest, k.node.Attr.Mode&0o100 != 0, below})
			}
		}
		dir.Nodes = append(dir.Nodes, k.node)
	}
	return c.add(dir)
}

// hashing feeds a Hasher until ctx ends.
type hashing struct {
	ctx context.Context
	h   *action.Hasher
}

func (w hashing) Write(p []byte) (int, error) {
	if err := w.ctx.Err(); err != nil {
		return 0, err
	}
	return w.h.Write(p)
}
