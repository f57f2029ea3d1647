package disk

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"time"

	"github.com/labstar/labstar/internal/rmtree"
)

// tmpDir is this process' folder in tmp/, made when first needed. The flock on
// the file lock in it says that the process lives.
type tmpDir struct {
	mu   sync.Mutex
	path string
	lock *os.File
	n    int
}

// name returns the path of a new name in the folder.
func (t *tmpDir) name(s *Store) (string, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for t.path == "" {
		s.step()
		if err := s.writeable("writing to"); err != nil {
			return "", err
		}
		spread(s.path("tmp"))
		dir := s.path("tmp", randomName())
		if err := os.Mkdir(dir, 0o700); err != nil {
			return "", err
		}
		spread(dir)
		f, err := os.OpenFile(filepath.Join(dir, "lock"), os.O_RDWR|os.O_CREATE, 0o600)
		if err != nil {
			if errors.Is(err, fs.ErrNotExist) {
				continue // swept between the two calls
			}
			os.Remove(dir)
			return "", err
		}
		if ok, err := flock(f, true, false); err != nil || !ok || unlinked(f) {
			f.Close()
			if err != nil {
				return "", err
			}
			continue // another process took it for a dead one's and sweeps it
		}
		t.path, t.lock = dir, f
	}
	t.n++
	return filepath.Join(t.path, strconv.Itoa(t.n)), nil
}

func (t *tmpDir) close() {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.path == "" {
		return
	}
	removeAll(t.path)
	t.lock.Close()
	t.path = ""
}

// sweepWait is how long opening and closing a store wait for what others have
// left to be removed. A large tree takes longer: it goes by and by.
const sweepWait = 50 * time.Millisecond

// startSweep begins to sweep tmp/ if there is anything in it.
func (s *Store) startSweep() {
	list, err := os.ReadDir(s.path("tmp"))
	if err != nil || len(list) == 0 {
		return
	}
	s.swept = make(chan struct{})
	go func() {
		defer close(s.swept)
		sweepTmp(s.path("tmp"))
	}()
	s.waitSweep()
}

func (s *Store) waitSweep() {
	if s.swept == nil {
		return
	}
	select {
	case <-s.swept:
	case <-time.After(sweepWait):
	}
}

// RemoveLeftovers removes what processes that are gone have left in the store in
// the folder dir, as opening it does, and waits for the end of that.
func RemoveLeftovers(dir string) { sweepTmp(filepath.Join(dir, "tmp")) }

// sweepTmp removes what processes that are gone have left in the folder tmp.
func sweepTmp(tmp string) {
	list, err := os.ReadDir(tmp)
	if err != nil {
		return
	}
	for _, de := range list {
		dir := filepath.Join(tmp, de.Name())
		f, err := os.OpenFile(filepath.Join(dir, "lock"), os.O_RDWR|os.O_CREATE, 0o600)
		if err != nil {
			if !de.IsDir() || errors.Is(err, fs.ErrPermission) {
				removeAll(dir)
			}
			continue
		}
		if ok, err := flock(f, true, false); err == nil && ok && !unlinked(f) {
			// Under another name, so that who has just made the folder finds none, and not one
			// in which it could make a lock anew.
			if gone := filepath.Join(tmp, randomName()); os.Rename(dir, gone) == nil {
				dir = gone
			}
			removeAll(dir)
		}
		f.Close()
	}
}

// removeAll removes path whatever the modes below it are. What can't be removed
// is tried again by whoever opens the store next.
func removeAll(path string) { _ = rmtree.Remove(path) }

// Scratch makes a fresh folder on the store's file system.
func (s *Store) Scratch(ctx context.Context) (string, error) {
	if err := ctx.Err(); err != nil {
		return "", err
	}
	dir, err := s.tmp.name(s)
	if err == nil {
		err = os.Mkdir(dir, 0o700)
	}
	return dir, s.explain("writing to", err)
}

// sleep waits for d or until ctx ends.
func sleep(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
