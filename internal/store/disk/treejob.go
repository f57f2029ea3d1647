package disk

import (
	"errors"
	"io"
	"os"
	"runtime"
	"sync"

	"github.com/labstar/labstar/action"
	"golang.org/x/sys/unix"
)

// job is a file that a worker is to make in a folder that is pinned.
type job struct {
	dir    *treeDir
	fd     int
	name   string
	digest action.Digest
	exec   bool
	buf    *[]byte // the content, of digest.Size bytes; nil if it is in the store
}

const (
	// maxQueued is how many files wait for a worker, so also how many buffers.
	maxQueued = 32
	// bufferSize in bytes is the largest file that is handed to a worker; a
	// larger one is written while it is read.
	bufferSize = 256 << 10
	// minLink is the smallest file in bytes that is linked instead of written:
	// below, the disk gives it a block anyway and an inode is cheap.
	minLink = 4 << 10
)

var buffers = sync.Pool{New: func() any { b := make([]byte, bufferSize); return &b }}

// startWorkers starts those that write small files, so that reading (and
// decompressing) goes on while the kernel creates inodes.
func (t *treeFolder) startWorkers() {
	jobs := t.jobs
	for range max(2, runtime.GOMAXPROCS(0)) {
		t.workers.Add(1)
		go func() {
			defer t.workers.Done()
			for j := range jobs {
				if t.failed() == nil {
					if err := t.place(j); err != nil {
						t.setFail(&os.PathError{Op: "write", Path: j.name, Err: err})
					}
				}
				if j.buf != nil {
					buffers.Put(j.buf)
				}
				t.release(j.dir)
			}
		}()
	}
}

func (t *treeFolder) stopWorkers() {
	t.stop.Do(func() { close(t.jobs) })
	t.workers.Wait()
}

func (t *treeFolder) setFail(err error) {
	t.failMu.Lock()
	if t.fail == nil {
		t.fail = err
	}
	t.failMu.Unlock()
}

func (t *treeFolder) failed() error {
	t.failMu.Lock()
	defer t.failMu.Unlock()
	return t.fail
}

// place makes the file of j: by a link to what the store has, else by writing.
func (t *treeFolder) place(j job) error {
	if ok, err := t.link(j); ok || err != nil {
		return err
	}
	t.s.step()
	fd, err := createAt(j.fd, j.name, t.mode(j.exec))
	if err != nil {
		return err
	}
	if j.buf != nil {
		err = writeAll(fd, (*j.buf)[:j.digest.Size])
	} else {
		err = t.copyTo(fd, j.digest)
	}
	return t.closeFile(fd, j.exec, err)
}

func (t *treeFolder) mode(exec bool) uint32 { return uint32(fileMode(exec)) }

// closeFile ends a file of the tree that was made by createAt.
func (t *treeFolder) closeFile(fd int, exec bool, err error) error {
	if err == nil && t.umask&t.mode(exec) != 0 {
		err = unix.Fchmod(fd, t.mode(exec))
	}
	if err == nil {
		err = setEpochFD(fd)
	}
	if cerr := unix.Close(fd); err == nil {
		err = cerr
	}
	return err
}

// link makes the file of j by a hard link to a file of the store, if there is one.
//
// No two files of one tree are ever the same inode: programs can see that (tar
// writes a hard link, du counts once), and what a tree looks like may depend on
// its digest alone, not on what was in the store before.
func (t *treeFolder) link(j job) (bool, error) {
	if j.digest.Size < minLink {
		return false, nil
	}
	path, ok := t.s.findFile(j.digest, j.exec)
	if !ok {
		return false, nil
	}
	t.failMu.Lock()
	_, twice := t.linked[j.digest]
	t.linked[j.digest] = struct{}{}
	t.failMu.Unlock()
	if twice {
		return false, nil
	}
	err := unix.Linkat(unix.AT_FDCWD, path, j.fd, j.name, 0)
	if err == nil {
		return true, nil
	}
	if crossLink(err) || errors.Is(err, unix.ENOENT) {
		return false, nil
	}
	return false, err
}

// copyTo writes content that is in the store to fd.
func (t *treeFolder) copyTo(fd int, d action.Digest) error {
	blob, err := t.s.OpenBlob(t.ctx, d)
	if err != nil {
		return err
	}
	defer blob.Close()
	if f, ok := blob.(fileBlob); ok {
		for off := int64(0); off < d.Size; {
			if copyRange(int(f.Fd()), &off, fd, d.Size-off) == 0 {
				break // what is missing is written below
			}
		}
		if at, err := unix.Seek(fd, 0, io.SeekCurrent); err != nil {
			return err
		} else if _, err := f.Seek(at, io.SeekStart); err != nil {
			return err
		}
	}
	buf := buffers.Get().(*[]byte)
	defer buffers.Put(buf)
	for {
		n, err := blob.Read(*buf)
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
