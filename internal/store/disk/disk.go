// Package disk keeps a store in a folder that any number of processes use at
// once, with no server. Open opens one; GC and Verify look after it.
//
//	version     "labstar store 1"
//	lock        flocked: shared by every open store, exclusively by gc and repair
//	packs/      journals of records: small blobs, directories, results, and where
//	            large blobs are; with .idx the sorted index of a finished one
//	blobs/ab/   blobs that are too large for a pack, or that were needed as files,
//	            by SHA-256; those with the run bit end in .x
//	trees/      unpacked trees by the SHA-256 of their root; they are the storage
//	            of the files in them
//	tmp/        what is being written, a folder for each process that holds its flock
//	locks/      one file for each action that is being built, flocked by who builds it
//	logs/ notes/ roots/
//
// The packs are the authority: a file that no record names is not in the store.
// A process appends to a pack of its own, so records need no lock between
// processes, and the others read its tail. What was appended is visible at once
// and survives the death of the process, since the page cache does. What a crash
// of the machine may cost is told by two marks: a record counts if the boot id in
// its pack is the running one, or if a commit record follows it, which is written
// when all before it, and the files that it names, are on the disk. So content
// needs no fsync of its own, and Sync makes any number of results durable at once.
package disk

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/labstar/labstar/action"
	"github.com/labstar/labstar/internal/store"
)

// Options say how to open a store. The zero value is right for a build.
type Options struct {
	// ReadOnly opens the store for reading alone. A store that this user can't
	// write to is opened so by itself.
	ReadOnly bool
	// Waiting, if not nil, is called when another process makes this one wait:
	// Open for a gc or repair to end, those for every other labstar to end.
	Waiting func()

	// For tests: boot is used instead of the machine's, and step is called
	// between any two changes to the folder, so that each can be the last one.
	boot *bootID
	step func()
}

// Store is an open store. See package store for its methods.
type Store struct {
	dir      string
	readOnly bool
	boot     bootID
	lock     *os.File // shared while the store is open
	onStep   func()   // see Options.step
	onWait   func()   // see Options.Waiting
	maxMerge int64    // bytes; see the constant

	packs     atomic.Pointer[[]*pack] // newest first
	refreshMu sync.Mutex
	listed    time.Time // when packs/ was last read
	packsTime time.Time // its mtime then

	swept chan struct{} // closed when what others left in tmp/ is gone; nil if nothing was
	w     writer
	tmp   tmpDir
	trees sync.Map // root hash -> path of a tree that TreePath showed
	dirs  dirCache
}

var _ store.Store = (*Store)(nil)

// formatVersion is that of the whole folder.
const formatVersion = 1

// largeBlob is the size in bytes above which a blob is a file of its own.
const largeBlob = 64 << 10

var layout = []string{"packs", "blobs", "trees", "tmp", "locks", "logs", "notes", "roots"}

// ErrReadOnly is wrapped by the error of everything that would write to a store
// that was opened for reading alone.
var ErrReadOnly = errors.New("the store is read-only")

// Open opens the store in the folder dir, and makes it if there is none. It
// refuses a folder that holds something else, and a store of a newer format.
func Open(dir string, o Options) (*Store, error) {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return nil, fmt.Errorf("opening the store: %w", err)
	}
	s := &Store{dir: dir, readOnly: o.ReadOnly, onStep: o.step, onWait: o.Waiting, maxMerge: maxMerge}
	s.packs.Store(new([]*pack))
	if o.boot != nil {
		s.boot = *o.boot
	} else if s.boot, err = readBootID(); err != nil {
		// Without a boot id nothing but committed records can be trusted.
		_, _ = rand.Read(s.boot[:])
	}
	if err := s.checkVersion(); err != nil {
		return nil, err
	}
	if !s.readOnly && !writable(dir) {
		s.readOnly = true
	}
	if err := s.lockShared(); err != nil {
		return nil, s.explain("opening", err)
	}
	if err := s.refresh(true); err != nil {
		s.lock.Close()
		return nil, s.explain("opening", err)
	}
	if !s.readOnly {
		s.startSweep()
	}
	return s, nil
}

// Dir returns the store's folder.
func (s *Store) Dir() string { return s.dir }

// ReadOnly reports whether the store can only be read.
func (s *Store) ReadOnly() bool { return s.readOnly }

func (s *Store) path(elem ...string) string {
	return filepath.Join(append([]string{s.dir}, elem...)...)
}

// checkVersion makes a new store or checks that of an old one.
func (s *Store) checkVersion() error {
	b, err := os.ReadFile(s.path("version"))
	if errors.Is(err, fs.ErrNotExist) && !s.readOnly {
		return s.create()
	}
	if err != nil {
		return s.explain("opening", err)
	}
	var v int
	if _, err := fmt.Sscanf(string(b), "labstar store %d\n", &v); err != nil {
		return fmt.Errorf("opening the store %s: its file version is not one of labstar's; name another folder with --cache", s.dir)
	}
	if v > formatVersion {
		return fmt.Errorf("opening the store %s: it has format %d, and this labstar knows format %d; use a newer labstar, or another folder with --cache or LABSTAR_CACHE", s.dir, v, formatVersion)
	}
	if v < formatVersion {
		return fmt.Errorf("opening the store %s: it has format %d, and this labstar writes format %d; remove the folder, or name another with --cache", s.dir, v, formatVersion)
	}
	return nil
}

func (s *Store) create() error {
	if err := os.MkdirAll(s.dir, 0o777); err != nil {
		return s.explain("making", err)
	}
	list, err := os.ReadDir(s.dir)
	if err != nil {
		return s.explain("making", err)
	}
	for _, de := range list {
		name := de.Name()
		if name == "version" { // another process has made the store meanwhile
			return s.checkVersion()
		}
		if name != "lock" && !slices.Contains(layout, name) && filepath.Ext(name) != ".new" {
			return fmt.Errorf("making a store in %s: it holds something else (%s); name an empty folder with --cache", s.dir, name)
		}
	}
	for _, sub := range layout {
		s.step()
		if err := os.Mkdir(s.path(sub), 0o777); err != nil && !errors.Is(err, fs.ErrExist) {
			return s.explain("making", err)
		}
	}
	version := fmt.Sprintf("labstar store %d\n", formatVersion)
	return s.explain("making", writeFile(s.path(randomName()+".new"), s.path("version"), []byte(version), true))
}

func (s *Store) lockShared() error {
	flags := os.O_RDWR | os.O_CREATE
	if s.readOnly {
		flags = os.O_RDONLY
	}
	f, err := os.OpenFile(s.path("lock"), flags, 0o666)
	if err != nil {
		return err
	}
	ok, err := flock(f, false, false)
	if err == nil && !ok {
		s.waits()
		_, err = flock(f, false, true)
	}
	if err != nil {
		f.Close()
		return err
	}
	s.lock = f
	return nil
}

func (s *Store) waits() {
	if s.onWait != nil {
		s.onWait()
	}
}

// Close seals what this process wrote and gives everything back. It does not
// sync: what Sync did not cover survives this process but not the machine.
func (s *Store) Close() error {
	s.step()
	err := s.w.close(s)
	if !s.readOnly {
		s.step()
		s.flushTouches()
		s.step()
		s.compact()
	}
	s.tmp.close()
	s.waitSweep()
	for _, p := range *s.packs.Load() {
		p.close()
	}
	s.packs.Store(new([]*pack))
	if cerr := s.lock.Close(); err == nil {
		err = cerr
	}
	return s.explain("closing", err)
}

// explain wraps err as what happened to the store while doing, and adds what to do.
func (s *Store) explain(doing string, err error) error {
	var full *fullError
	switch {
	case err == nil:
		return nil
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded),
		errors.Is(err, store.ErrNotFound), errors.Is(err, ErrReadOnly), errors.As(err, &full):
		return err
	case noSpace(err):
		return &fullError{s.fullMessage(doing), err}
	case errors.Is(err, fs.ErrPermission):
		return fmt.Errorf("%s the store %s: %w; give yourself the right to write there, or name another folder with --cache or LABSTAR_CACHE", doing, s.dir, err)
	}
	return fmt.Errorf("%s the store %s: %w", doing, s.dir, err)
}

// fullError says that the disk is full, once.
type fullError struct {
	msg string
	err error
}

func (e *fullError) Error() string { return e.msg }
func (e *fullError) Unwrap() error { return e.err }

func (s *Store) fullMessage(doing string) string {
	free := "no space left"
	if b, inodes, err := freeSpace(s.dir); err == nil {
		free = fmt.Sprintf("no space left on its disk, %.1f MB and %d files are free", float64(b)/1e6, inodes)
	}
	return fmt.Sprintf("%s the store %s: %s; make room, run \"labstar cache gc\", or name another folder with --cache or LABSTAR_CACHE", doing, s.dir, free)
}

func (s *Store) writeable(doing string) error {
	if s.readOnly {
		return fmt.Errorf("%s the store %s: %w; name a folder of your own with --cache or LABSTAR_CACHE", doing, s.dir, ErrReadOnly)
	}
	return nil
}

// step marks a moment at which this process may be killed.
func (s *Store) step() {
	if s.onStep != nil {
		s.onStep()
	}
}

func randomName() string {
	var b [8]byte
	_, _ = rand.Read(b[:])
	return hex.EncodeToString(b[:])
}

func notFound(what string, d action.Digest) error {
	return fmt.Errorf("%s %s: %w", what, d, store.ErrNotFound)
}
