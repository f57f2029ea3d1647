//go:build linux

package compile

import (
	"context"
	"fmt"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/labstar/labstar/action"
	"github.com/labstar/labstar/internal/store"
	"golang.org/x/sys/unix"
)

// view is the sandbox' file system as its commands see it. What was mounted is
// immutable and known by digest, so asking for it reads nothing; what the build
// itself wrote is looked at on the host, and hashed once for each state.
//
// It is not safe for use by several goroutines.
type view struct {
	ctx    context.Context
	st     store.Store
	root   []action.Digest    // the trees of the root, highest first
	mounts []action.PathInput // longest path first
	build  writable           // action.BuildDir
	tmp    writable           // /tmp
	nested bool               // something is mounted below the build folder

	layers map[string][]*action.Directory // of immutable folders, by canonical path
	fixed  map[string]place               // of paths that lead through nothing but immutable folders
	absent map[string]absence             // of paths below a folder that is written to
	files  map[string]hashed              // of files that the build wrote, by canonical path
	looks  map[lookKey]lookResult
	chains map[string]int // numbers of lists of folders
	epoch  uint64         // of the request that is served
}

// writable is a folder that the build writes to.
type writable struct {
	fd   int // of the host's folder; -1 if none
	dirs map[string]*dirState
}

// area says what a place is part of.
type area uint8

const (
	toolchain area = iota + 1 // the root: its digest is in every key
	input                     // a mounted file or tree
	written                   // the build folder, /tmp
	elsewhere                 // /proc and /dev
)

// place is what a path leads to.
type place struct {
	path   string // canonical
	kind   action.Kind
	area   area
	digest action.Digest // of a file that is immutable
}

func (p place) found() bool { return p.kind != 0 }

// absence remembers that a path leads to nothing as long as a folder stays as it is.
type absence struct {
	dir     *dirState
	version uint64
}

// dirState is a folder that the build writes to, as it was last seen.
type dirState struct {
	path    string
	id      fileID
	stable  bool // long enough ago that a further change would be seen
	version uint64
	epoch   uint64
}

// fileID tells one state of a file or folder from another.
type fileID struct {
	ino          uint64
	size         int64
	mtime, ctime unix.Timespec
}

type hashed struct {
	id     fileID
	stable bool
	digest action.Digest
}

// settled is how long after its last change a file's times are trusted: the
// clock that they come from ticks every few milliseconds.
const settled = 100 * time.Millisecond

func stateOf(st *unix.Stat_t) (id fileID, stable bool) {
	id = fileID{ino: st.Ino, size: st.Size, mtime: st.Mtim, ctime: st.Ctim}
	return id, time.Since(time.Unix(st.Ctim.Unix())) > settled && time.Since(time.Unix(st.Mtim.Unix())) > settled
}

func newView(ctx context.Context, o *Options) (*view, error) {
	v := &view{
		ctx: ctx, st: o.Store, mounts: slices.Clone(o.Mounts), epoch: 1,
		layers: map[string][]*action.Directory{}, fixed: map[string]place{}, absent: map[string]absence{},
		files: map[string]hashed{}, looks: map[lookKey]lookResult{}, chains: map[string]int{},
	}
	for _, d := range o.Root {
		v.root = append([]action.Digest{d}, v.root...)
	}
	v.nested = slices.ContainsFunc(v.mounts, func(m action.PathInput) bool { return strings.HasPrefix(m.Path, action.BuildDir+"/") })
	slices.SortStableFunc(v.mounts, func(a, b action.PathInput) int { return len(b.Path) - len(a.Path) })
	var err error
	if v.build, err = openWritable(o.Build); err != nil {
		return nil, err
	}
	if v.tmp, err = openWritable(o.Tmp); err != nil {
		v.close()
	}
	return v, err
}

func openWritable(dir string) (writable, error) {
	fd, err := unix.Open(dir, unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return writable{fd: -1}, fmt.Errorf("opening %s: %w", dir, err)
	}
	return writable{fd: fd, dirs: map[string]*dirState{}}, nil
}

func (v *view) close() {
	for _, w := range []writable{v.build, v.tmp} {
		if w.fd >= 0 {
			_ = unix.Close(w.fd)
		}
	}
}

// find returns what a path leads to. A relative one starts at dir.
func (v *view) find(dir, name string) place {
	at := name
	if !strings.HasPrefix(name, "/") {
		at = dir + "/" + name
	}
	if p, ok := v.fixed[at]; ok {
		return p
	}
	if a, ok := v.absent[at]; ok && v.version(a.dir) == a.version {
		return place{}
	}
	if p, ok := v.direct(at); ok {
		return p
	}
	w := walk{v: v}
	p := w.to(at)
	switch {
	case !w.wrote:
		v.fixed[at] = p
	case !p.found() && w.links == 0 && len(w.through) == 1:
		v.absent[at] = absence{w.through[0], v.version(w.through[0])}
	}
	return p
}

// direct finds a file that the build wrote in one step, if no link is on the way.
func (v *view) direct(at string) (place, bool) {
	rel, ok := strings.CutPrefix(at, action.BuildDir+"/")
	if !ok || v.nested {
		return place{}, false
	}
	if rel = path.Clean(rel); strings.HasPrefix(rel, "..") || strings.Contains(at, "/../") {
		return place{}, false
	}
	w := walk{v: v}
	p := w.host(&v.build, action.BuildDir, rel)
	return p, p.kind == action.Regular || p.kind == action.Dir
}

// exists reports whether a path leads to anything but the toolchain's own, and
// adds to watched the folders that have to stay as they are for that to hold. ok is
// false if that can't be said.
func (v *view) exists(at string, watched []*dirState) (found bool, _ []*dirState, ok bool) {
	p := v.find("", at)
	if _, fixed := v.fixed[at]; fixed {
		return p.found() && p.area != toolchain, watched, true
	}
	if a, gone := v.absent[at]; !p.found() && gone {
		return false, append(watched, a.dir), true
	}
	if rel, below := strings.CutPrefix(p.path, action.BuildDir+"/"); p.found() && below && p.path == path.Clean(at) {
		d := v.parent(&v.build, action.BuildDir, rel)
		return true, append(watched, d), v.version(d) > 0
	}
	return p.found() && p.area != toolchain, watched, false
}

// parent returns the state of the folder that holds rel.
func (v *view) parent(f *writable, dir, rel string) *dirState {
	rel = path.Dir(rel)
	d, ok := f.dirs[rel]
	if !ok {
		d = &dirState{path: dir + "/" + rel}
		f.dirs[rel] = d
	}
	return d
}

// walk follows one path.
type walk struct {
	v       *view
	wrote   bool        // it led through a folder that the build writes to
	through []*dirState // the folders of that kind that it could not go on from
	links   int
}

func (w *walk) to(name string) place {
	at, todo := "", strings.Split(name, "/")
	cur := place{path: "/", kind: action.Dir, area: toolchain}
	for len(todo) > 0 {
		part := todo[0]
		todo = todo[1:]
		switch part {
		case "", ".":
			continue
		case "..":
			if at = path.Dir("/" + at); at == "/" {
				at = ""
			}
			cur = w.entry(at)
			continue
		}
		if cur.kind != action.Dir {
			return place{}
		}
		next := w.entry(at + "/" + part)
		if next.kind == action.Symlink {
			if w.links++; w.links > 40 {
				return place{}
			}
			target := next.path // see entry
			if strings.HasPrefix(target, "/") {
				at, cur = "", place{path: "/", kind: action.Dir, area: toolchain}
			}
			todo = append(strings.Split(target, "/"), todo...)
			continue
		}
		if !next.found() {
			return place{}
		}
		at, cur = at+"/"+part, next
	}
	if at == "" {
		return place{path: "/", kind: action.Dir, area: toolchain}
	}
	return cur
}

// entry returns what is at a canonical path. Of a symbolic link the path is where it points.
func (w *walk) entry(at string) place {
	if at == "" || at == "/" {
		return place{path: "/", kind: action.Dir, area: toolchain}
	}
	for _, special := range []string{"/proc", "/dev"} {
		if at == special || strings.HasPrefix(at, special+"/") {
			w.wrote = true
			return place{path: at, kind: action.Fifo, area: elsewhere}
		}
	}
	for _, m := range w.v.mounts {
		if at == m.Path {
			kind := action.Dir
			if m.Kind == action.File {
				kind = action.Regular
			}
			return place{path: at, kind: kind, area: input, digest: m.Digest}
		}
		if strings.HasPrefix(m.Path, at+"/") {
			return place{path: at, kind: action.Dir, area: input}
		}
		if strings.HasPrefix(at, m.Path+"/") {
			return w.immutable(at, input)
		}
	}
	for dir, f := range map[string]*writable{action.BuildDir: &w.v.build, "/tmp": &w.v.tmp} {
		if at == dir {
			w.wrote = true
			return place{path: at, kind: action.Dir, area: written}
		}
		if rel, ok := strings.CutPrefix(at, dir+"/"); ok {
			w.wrote = true
			return w.host(f, dir, rel)
		}
	}
	return w.immutable(at, toolchain)
}

func (w *walk) immutable(at string, a area) place {
	dir, name := path.Split(at)
	for _, d := range w.v.folder(path.Clean(dir)) {
		n, ok := d.Find(name)
		if !ok {
			continue
		}
		if n.Kind == action.Symlink {
			return place{path: n.Target, kind: n.Kind, area: a}
		}
		return place{path: at, kind: n.Kind, area: a, digest: n.Digest}
	}
	return place{}
}

// folder returns the layers of an immutable folder, highest first.
func (v *view) folder(at string) []*action.Directory {
	if list, ok := v.layers[at]; ok {
		return list
	}
	var roots []action.Digest
	i := slices.IndexFunc(v.mounts, func(m action.PathInput) bool { return m.Path == at })
	switch {
	case i >= 0:
		roots = []action.Digest{v.mounts[i].Digest}
	case at == "/":
		roots = v.root
	default:
		dir, name := path.Split(at)
		for _, d := range v.folder(path.Clean(dir)) {
			n, ok := d.Find(name)
			if ok && n.Kind != action.Dir {
				break
			}
			if ok {
				roots = append(roots, n.Digest)
			}
		}
	}
	var list []*action.Directory
	for _, r := range roots {
		if d, err := v.st.Directory(v.ctx, r); err == nil {
			list = append(list, d)
		}
	}
	v.layers[at] = list
	return list
}

// host looks at what the build wrote. Nothing that it laid there can lead out:
// the host's path has no symbolic links, and the open does not leave the folder.
func (w *walk) host(f *writable, dir, rel string) place {
	var st unix.Stat_t
	fd, err := openBelow(f.fd, rel, unix.O_PATH|unix.O_NOFOLLOW)
	if err == nil {
		err = unix.Fstat(fd, &st)
		defer unix.Close(fd)
	}
	if err != nil {
		w.through = append(w.through, w.v.deepest(f, dir, rel))
		return place{}
	}
	p := place{path: dir + "/" + rel, area: written}
	switch st.Mode & unix.S_IFMT {
	case unix.S_IFREG:
		p.kind = action.Regular
	case unix.S_IFDIR:
		p.kind = action.Dir
	case unix.S_IFLNK:
		var b [4096]byte
		n, err := unix.Readlinkat(fd, "", b[:])
		if err != nil {
			return place{}
		}
		p.kind, p.path = action.Symlink, string(b[:n])
	default:
		p.kind = action.Fifo
	}
	return p
}

func openBelow(dir int, rel string, flags uint64) (int, error) {
	return unix.Openat2(dir, rel, &unix.OpenHow{
		Flags: flags | unix.O_CLOEXEC, Resolve: unix.RESOLVE_BENEATH | unix.RESOLVE_NO_SYMLINKS | unix.RESOLVE_NO_MAGICLINKS,
	})
}

// deepest returns the state of the deepest folder on the way to what is not there.
func (v *view) deepest(f *writable, dir, rel string) *dirState {
	for {
		if rel = path.Dir(rel); rel == "." {
			break
		}
		if d, ok := f.dirs[rel]; ok && v.version(d) > 0 && d.id.ino != 0 {
			return d
		}
		var st unix.Stat_t
		fd, err := openBelow(f.fd, rel, unix.O_PATH|unix.O_NOFOLLOW|unix.O_DIRECTORY)
		if err != nil {
			continue
		}
		err = unix.Fstat(fd, &st)
		_ = unix.Close(fd)
		if err == nil {
			break
		}
	}
	d, ok := f.dirs[rel]
	if !ok {
		d = &dirState{path: dir + "/" + rel}
		f.dirs[rel] = d
	}
	return d
}

// version returns the number of the folder's present state, looking at it once a request.
func (v *view) version(d *dirState) uint64 {
	if d.epoch == v.epoch {
		return d.version
	}
	d.epoch = v.epoch
	f, dir := &v.build, action.BuildDir
	if strings.HasPrefix(d.path, "/tmp/") {
		f, dir = &v.tmp, "/tmp"
	}
	rel := strings.TrimPrefix(d.path, dir+"/")
	var id fileID
	stable := false
	if fd, err := openBelow(f.fd, rel, unix.O_PATH|unix.O_NOFOLLOW|unix.O_DIRECTORY); err == nil {
		var st unix.Stat_t
		if unix.Fstat(fd, &st) == nil {
			id, stable = stateOf(&st)
		}
		_ = unix.Close(fd)
	}
	if id != d.id || !d.stable || d.version == 0 {
		d.version++
	}
	d.id, d.stable = id, stable
	return d.version
}

// maxHashed is the size in bytes of the largest written file that a compilation may read.
const maxHashed = 256 << 20

// content returns the digest of the file at a place, and when it last changed
// (zero for what is immutable).
func (v *view) content(p place) (d action.Digest, changed time.Time, err error) {
	if p.kind != action.Regular {
		return d, changed, fmt.Errorf("%s is no regular file", p.path)
	}
	if p.area != written {
		return p.digest, changed, nil
	}
	f, rel := &v.build, strings.TrimPrefix(p.path, action.BuildDir+"/")
	if r, ok := strings.CutPrefix(p.path, "/tmp/"); ok {
		f, rel = &v.tmp, r
	}
	fd, err := openBelow(f.fd, rel, unix.O_PATH|unix.O_NOFOLLOW)
	if err != nil {
		return d, changed, err
	}
	var st unix.Stat_t
	err = unix.Fstat(fd, &st)
	_ = unix.Close(fd)
	if err != nil {
		return d, changed, err
	}
	id, stable := stateOf(&st)
	changed = time.Unix(max(st.Ctim.Sec, st.Mtim.Sec), 0)
	if c := time.Unix(st.Ctim.Unix()); c.After(changed) {
		changed = c
	}
	if h, ok := v.files[p.path]; ok && h.id == id && h.stable {
		return h.digest, changed, nil
	}
	b, err := v.readWritten(f, rel)
	if err != nil {
		return d, changed, err
	}
	d = action.Of(b)
	v.files[p.path] = hashed{id, stable, d}
	return d, changed, nil
}

// readWritten reads a file that the build wrote.
func (v *view) readWritten(f *writable, rel string) ([]byte, error) {
	fd, err := openBelow(f.fd, rel, unix.O_RDONLY|unix.O_NOFOLLOW|unix.O_NONBLOCK)
	if err != nil {
		return nil, err
	}
	defer unix.Close(fd)
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		return nil, err
	}
	if st.Mode&unix.S_IFMT != unix.S_IFREG || st.Size > maxHashed {
		return nil, fmt.Errorf("reading %s: no regular file of at most %d bytes", rel, maxHashed)
	}
	b := make([]byte, st.Size+1)
	n := 0
	for {
		k, err := unix.Read(fd, b[n:])
		if err == unix.EINTR {
			continue
		}
		if err != nil {
			return nil, err
		}
		if n += k; k == 0 || n == len(b) {
			return b[:min(n, int(st.Size))], nil
		}
	}
}

// text reads the file at a place.
func (v *view) text(p place, d action.Digest) ([]byte, error) {
	if p.area == written {
		f, rel := &v.build, strings.TrimPrefix(p.path, action.BuildDir+"/")
		if r, ok := strings.CutPrefix(p.path, "/tmp/"); ok {
			f, rel = &v.tmp, r
		}
		return v.readWritten(f, rel)
	}
	return readBlob(v.ctx, v.st, d)
}
