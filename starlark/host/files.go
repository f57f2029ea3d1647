package host

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"slices"
	"strings"
	"sync"

	"github.com/labstar/labstar/action"
	"github.com/labstar/labstar/internal/twosum"
	"github.com/labstar/labstar/starlark/schema"
)

// StatCache remembers the digests of local files by their path and stat data.
// Paths are relative to Config.Dir, with slashes. It must not trust a file that
// was changed at nearly the time it was stored.
type StatCache interface {
	// Fresh returns the digest of the regular file at path (no symlink), if a stat
	// of it says what it said when the digest was stored.
	Fresh(path string) (action.Digest, bool)
	// Lookup is Fresh with the stat done.
	Lookup(path string, fi fs.FileInfo) (action.Digest, bool)
	Store(path string, fi fs.FileInfo, d action.Digest)
}

// files implements schema.Files.
type files struct {
	ld *loader

	mu   sync.Mutex
	read []Read // may have a path several times, see record
	full int    // the length of read at which it is looked through for those
}

func newFiles(ld *loader) *files { return &files{ld: ld, full: 1 << 12} }

// list returns what was read, sorted, each path once.
func (f *files) list() []Read {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.compact()
	return slices.Clip(f.read)
}

func (f *files) record(name string, d action.Digest, k action.OutputKind) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if len(f.read) == cap(f.read) {
		f.read = slices.Grow(f.read, max(64, len(f.read)))
	}
	if f.read = append(f.read, Read{name, d, k}); len(f.read) >= f.full {
		f.compact()
		f.full = max(f.full, 2*len(f.read))
	}
}

func (f *files) compact() {
	byPath := func(a, b Read) int { return strings.Compare(a.Path, b.Path) }
	slices.SortStableFunc(f.read, byPath)
	f.read = slices.CompactFunc(f.read, func(a, b Read) bool { return a.Path == b.Path })
}

// at finds the file that a builtin's caller names by p, following symlinks.
func (f *files) at(c *schema.Call, p string) (where place, fi fs.FileInfo, err error) {
	if where, err = f.named(c, p); err != nil {
		return place{}, nil, err
	}
	real, fi, err := f.ld.dirs.inside(where)
	if err != nil {
		return place{}, nil, nearPath(where, f.folder(c), p, err)
	}
	where.path = real
	return where, fi, nil
}

// named is the place that a builtin's caller names by p.
func (f *files) named(c *schema.Call, p string) (where place, err error) {
	m, ok := f.ld.module(c.Module())
	if !ok {
		return place{}, fmt.Errorf("no module %q is being evaluated", c.Module())
	}
	where = m.place
	switch {
	case p == "":
		return place{}, errors.New("got an empty path, want one relative to this module")
	case strings.ContainsRune(p, 0):
		return place{}, errors.New("got a path with a NUL character")
	case strings.HasPrefix(p, "//"):
		where.path = path.Clean(strings.TrimLeft(p, "/"))
	case strings.HasPrefix(p, "/"):
		return place{}, fmt.Errorf("got the absolute path %q, want one relative to this module: a lab reads nothing outside its own tree", p)
	default:
		where.path = path.Join(path.Dir(where.path), p)
	}
	if !fs.ValidPath(where.path) {
		return place{}, fmt.Errorf("%q leads out of the tree that scripts may read: move what it names below the folder of the main script", p)
	}
	return where, nil
}

// folder is where the calling module is.
func (f *files) folder(c *schema.Call) string {
	if m, ok := f.ld.module(c.Module()); ok {
		return path.Dir(m.path)
	}
	return "."
}

// File implements schema.Files.
func (f *files) File(c *schema.Call, p string) (action.Source, error) {
	if where, err := f.named(c, p); err == nil {
		if d, ok := f.fresh(where); ok {
			return f.source(where, d), nil
		}
	}
	where, fi, err := f.at(c, p)
	if err == nil && fi == nil {
		if fi, err = fs.Stat(where.fsys, where.path); err != nil {
			err = nearPath(where, f.folder(c), p, err)
		}
	}
	if err != nil {
		return action.Source{}, err
	}
	if err := wantRegular(fi, p); err != nil {
		return action.Source{}, err
	}
	d, err := f.digest(where, fi)
	if err != nil {
		return action.Source{}, fmt.Errorf("reading %s: %w", p, err)
	}
	return f.source(where, d), nil
}

// source records that the file was read.
func (f *files) source(where place, d action.Digest) action.Source {
	f.record(where.name(), d, action.File)
	open := func(action.Digest) (io.ReadCloser, error) { return where.fsys.Open(where.path) }
	return action.Source{Kind: action.File, Digest: d, Open: open, Path: where.name()}
}

// fresh is the short way for a file in a folder that is known, which nothing was
// done to: one stat.
func (f *files) fresh(where place) (action.Digest, bool) {
	if dir := path.Dir(where.path); !f.cached(where) || dir != "." && !f.ld.dirs[dir] {
		return action.Digest{}, false
	}
	return f.ld.cfg.StatCache.Fresh(where.path)
}

func wantRegular(fi fs.FileInfo, p string) error {
	switch {
	case fi.IsDir():
		return fmt.Errorf("%q is a folder, want a file: use glob for a folder", p)
	case !fi.Mode().IsRegular():
		return fmt.Errorf("%q is no regular file", p)
	}
	return nil
}

// maxReadFile bounds what a builtin may read while the script is evaluated.
const maxReadFile = 64 << 20

// ReadFile implements schema.Files.
func (f *files) ReadFile(c *schema.Call, p string) ([]byte, error) {
	where, _, err := f.at(c, p)
	if err != nil {
		return nil, err
	}
	file, err := where.fsys.Open(where.path)
	if err != nil {
		return nil, nearPath(where, f.folder(c), p, err)
	}
	defer file.Close()
	fi, err := file.Stat()
	if err != nil {
		return nil, err
	}
	if err := wantRegular(fi, p); err != nil {
		return nil, err
	}
	b, err := io.ReadAll(io.LimitReader(file, maxReadFile+1))
	if err != nil {
		return nil, fmt.Errorf("reading %s: %w", p, err)
	}
	if len(b) > maxReadFile {
		return nil, fmt.Errorf("%q is larger than %d MB, too large to be read while the script is evaluated", p, maxReadFile>>20)
	}
	f.record(where.name(), action.Of(b), action.File)
	return b, nil
}

// digest hashes a regular file, or remembers its digest.
func (f *files) digest(where place, fi fs.FileInfo) (action.Digest, error) {
	if d, ok := f.remembered(where, fi); ok {
		return d, nil
	}
	return f.hash(where, fi)
}

func (f *files) remembered(where place, fi fs.FileInfo) (action.Digest, bool) {
	if !f.cached(where) {
		return action.Digest{}, false
	}
	return f.ld.cfg.StatCache.Lookup(where.path, fi)
}

// hash hashes a regular file.
func (f *files) hash(where place, fi fs.FileInfo) (d action.Digest, err error) {
	s, err := f.stream(where, fi, func(got action.Digest) { d = got })
	if err != nil {
		return d, err
	}
	once := func() *twosum.Stream {
		next := s
		s = nil
		return next
	}
	return d, twosum.Streams(once)
}

// stream opens a regular file to be hashed; done is given the digest. It may be called
// by several goroutines.
func (f *files) stream(where place, fi fs.FileInfo, done func(action.Digest)) (*twosum.Stream, error) {
	file, err := where.fsys.Open(where.path)
	if err != nil {
		return nil, err
	}
	s := &twosum.Stream{Hash: sha256.New()}
	var size int64
	s.Read = func(b []byte) (int, error) {
		if err := f.ld.context().Err(); err != nil {
			return 0, err
		}
		n, err := file.Read(b)
		size += int64(n)
		return n, err
	}
	s.End = func(err error) error {
		defer file.Close()
		if err != nil {
			return err
		}
		d := action.Digest{Hash: [32]byte(s.Hash.Sum(nil)), Size: size}
		after, err := file.Stat()
		switch {
		case err != nil:
			return err
		case after.Size() != d.Size || after.Size() != fi.Size() || !after.ModTime().Equal(fi.ModTime()):
			return errors.New("the file was changed while it was read: run again")
		case f.cached(where):
			f.ld.cfg.StatCache.Store(where.path, fi, d)
		}
		done(d)
		return nil
	}
	return s, nil
}

// cached reports whether the stat cache knows the place: it is a file of Config.Dir.
func (f *files) cached(where place) bool {
	return f.ld.cfg.StatCache != nil && f.ld.cfg.Dir != "" && where.prefix == ""
}
