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
	build  int                // the host's folder that is action.BuildDir; -1 if none
	tmp    int                // and the one that is /tmp
	nested bool               // something is mounted below the build folder

	layers map[string][]*action.Directory // of immutable folders, by canonical path
	fixed  map[string]place               // of paths that lead through nothing but immutable folders
	dirs   map[string]*dirState           // below the build folder, by the path from there
	files  map[string]hashed              // of files that the build wrote, by canonical path
	looks  map[lookKey]*lookup
	lists  map[listKey][]asking
	texts  map[action.Digest]*text
	chains map[string]int // numbers of lists of folders

	names   numbers             // of files, as a compiler gives them
	paths   numbers             // canonical
	ends    numbers             // of paths, from behind a slash
	symbols numbers             // of configurations
	endsOf  map[uint32][]uint32 // of a name
	reached []*named            // what names lead to that can't change, by number

	epoch uint64           // of the request that is served: nothing is looked at twice in one
	now   map[string]place // what paths led to that the build can change, in this epoch
	stats map[string]unix.Stat_t
	read  map[string]hashed // and what such files held
}

// begin starts to serve a request.
func (v *view) begin() {
	v.epoch++
	clear(v.now)
	clear(v.stats)
	clear(v.read)
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

// fileID tells one state of a file or folder from another.
type fileID struct {
	ino          uint64
	size         int64
	mtime, ctime unix.Timespec
}

type hashed struct {
	id      fileID
	stable  bool
	digest  action.Digest
	changed time.Time
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
		ctx: ctx, st: o.Store, mounts: slices.Clone(o.Mounts), epoch: 1, build: -1, tmp: -1,
		layers: map[string][]*action.Directory{}, fixed: map[string]place{}, dirs: map[string]*dirState{},
		files: map[string]hashed{}, looks: map[lookKey]*lookup{}, lists: map[listKey][]asking{}, texts: map[action.Digest]*text{},
		chains: map[string]int{}, endsOf: map[uint32][]uint32{}, now: map[string]place{}, stats: map[string]unix.Stat_t{}, read: map[string]hashed{},
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

func openWritable(dir string) (int, error) {
	fd, err := unix.Open(dir, unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return -1, fmt.Errorf("opening %s: %w", dir, err)
	}
	return fd, nil
}

func (v *view) close() {
	for _, fd := range []int{v.build, v.tmp} {
		if fd >= 0 {
			_ = unix.Close(fd)
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
	if p, ok := v.now[at]; ok {
		return p
	}
	if _, lacking := v.lacking(at); lacking {
		return place{}
	}
	p, ok := v.direct(at)
	if !ok {
		w := walk{v: v}
		if p = w.to(at); !w.wrote {
			v.fixed[strings.Clone(at)] = p
			return p
		}
	}
	v.now[at] = p
	return p
}

// named is what a name leads to by which a compiler told what it read.
type named struct {
	place place
	path  uint32 // number of the canonical path
	dir   string // in which the compiler looks for an #include "name"; "" in the toolchain, whose own folders don't matter
	*text        // of a file, once it was asked for

	chain int // for which asks are
	asks  []asking
}

// named returns what the name with a number leads to.
func (v *view) named(number uint32) *named {
	if int(number) < len(v.reached) && v.reached[number] != nil {
		return v.reached[number]
	}
	name := v.names.names[number]
	p := v.find("", name)
	f := &named{place: p, path: v.paths.number(p.path)}
	if p.area != toolchain {
		f.dir = path.Dir(name)
	}
	if _, fixed := v.fixed[name]; fixed && p.found() {
		v.reached = append(v.reached, make([]*named, max(0, len(v.names.names)-len(v.reached)))...)
		v.reached[number] = f
	}
	return f
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
	p := w.host(v.build, action.BuildDir, rel)
	return p, p.kind == action.Regular || p.kind == action.Dir
}

// exists reports whether a path leads to anything but the toolchain's own, and
// adds to watched what has to stay for that to hold. ok is false if that can't be said.
func (v *view) exists(at string, watched []watch) (found bool, _ []watch, ok bool) {
	if p, ok := v.fixed[at]; ok {
		return p.found() && p.area != toolchain, watched, true
	}
	if w, ok := v.lacking(at); ok {
		return false, append(watched, w), true
	}
	p := v.find("", at)
	if _, fixed := v.fixed[at]; fixed {
		return p.found() && p.area != toolchain, watched, true
	}
	if rel, below := strings.CutPrefix(p.path, action.BuildDir+"/"); p.found() && below && p.path == path.Clean(at) {
		d := v.state(path.Dir(rel))
		return true, append(watched, watch{dir: d, version: v.version(d)}), v.version(d) > 0
	}
	return p.found() && p.area != toolchain, watched, false
}
