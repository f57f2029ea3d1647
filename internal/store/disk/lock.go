package disk

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"sync"
	"syscall"
	"time"

	"github.com/labstar/labstar/action"
)

// Lock waits until no other process or goroutine holds key, then takes in what
// the others have published: the result may be there now.
func (s *Store) Lock(ctx context.Context, key action.Digest) (unlock func(), err error) {
	if err := s.writeable("locking an action in"); err != nil {
		return nil, err
	}
	f, err := s.lockFile(ctx, s.path("locks", key.Hex()))
	if err != nil {
		return nil, s.explain("locking an action in", err)
	}
	if err := s.refresh(true); err != nil {
		releaseFile(f)
		return nil, s.explain("reading", err)
	}
	return sync.OnceFunc(func() { releaseFile(f) }), nil
}

// longestWait between two looks at a lock that another holds.
const longestWait = 10 * time.Millisecond

// lockFile makes the file path and locks it. The file goes when its holder lets
// it go, so after locking it must still be the one that has the name.
func (s *Store) lockFile(ctx context.Context, path string) (*os.File, error) {
	for wait := 500 * time.Microsecond; ; {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o666)
		if err != nil {
			return nil, err
		}
		ok, err := flock(f, true, false)
		if err == nil && ok && !unlinked(f) {
			return f, nil
		}
		f.Close()
		if err != nil {
			return nil, err
		}
		if ok {
			continue
		}
		if err := sleep(ctx, wait); err != nil {
			return nil, err
		}
		wait = min(2*wait, longestWait)
	}
}

// releaseFile removes a file that lockFile made, and its lock.
func releaseFile(f *os.File) {
	os.Remove(f.Name())
	f.Close()
}

// unlock gives up the lock of f, which stays open.
func unlock(f *os.File) {
	_ = syscall.Flock(int(f.Fd()), syscall.LOCK_UN)
}

// errBusy says that another process has the store open.
var errBusy = errors.New("another labstar has the store open")

// exclusive turns the shared lock into an exclusive one, waiting for other
// processes until ctx ends. back turns it into a shared one again.
func (s *Store) exclusive(ctx context.Context) (back func(), err error) {
	for first := true; ; first = false {
		ok, err := flock(s.lock, true, false)
		if err != nil {
			return nil, err
		}
		if !ok && first {
			s.waits()
		}
		if ok {
			return func() { _, _ = flock(s.lock, false, true) }, nil
		}
		// The kernel drops the shared lock when the conversion fails.
		if _, err := flock(s.lock, false, true); err != nil {
			return nil, err
		}
		if err := sleep(ctx, 50*time.Millisecond); err != nil {
			return nil, errors.Join(errBusy, err)
		}
	}
}

func exists(path string) bool {
	_, err := os.Lstat(path)
	return !errors.Is(err, fs.ErrNotExist)
}
