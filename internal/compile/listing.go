//go:build linux

package compile

import (
	"errors"
	"io"
	"os"
	"path"
	"strconv"
	"strings"

	"github.com/labstar/labstar/action"
	"golang.org/x/sys/unix"
)

// dirState is a folder below the build folder, as it was last seen.
type dirState struct {
	rel     string
	id      fileID
	stable  bool // long enough ago that a further change would be seen
	version uint64
	epoch   uint64

	names  map[string]bool // what it holds; nil if it is no folder, or a vast one
	listed uint64          // the version of names
}

// maxNames is how many names are kept of one folder.
const maxNames = 1 << 16

// watch is a folder that something depends on: on its state, or, if lacks is set, on
// nothing but that it has no such name. Objects come into a folder all the time, so
// the former hardly ever holds for long.
type watch struct {
	dir     *dirState
	version uint64
	lacks   string
}

// state returns the folder of a path below the build folder.
func (v *view) state(rel string) *dirState {
	d, ok := v.dirs[rel]
	if !ok {
		d = &dirState{rel: rel}
		v.dirs[rel] = d
	}
	return d
}

// version returns the number of the folder's present state, looking at it once a request.
func (v *view) version(d *dirState) uint64 {
	if d.epoch == v.epoch {
		return d.version
	}
	d.epoch = v.epoch
	var id fileID
	stable := false
	if fd, err := openBelow(v.build, d.rel, unix.O_PATH|unix.O_NOFOLLOW|unix.O_DIRECTORY); err == nil {
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

// list returns the names in a folder, read once for each state of it.
func (v *view) list(d *dirState) map[string]bool {
	version := v.version(d)
	if d.listed == version {
		return d.names
	}
	d.listed, d.names = version, nil
	fd, err := openBelow(v.build, d.rel, unix.O_RDONLY|unix.O_NOFOLLOW|unix.O_DIRECTORY)
	if err != nil {
		return nil
	}
	f := os.NewFile(uintptr(fd), "/proc/self/fd/"+strconv.Itoa(fd))
	defer f.Close()
	list, err := f.Readdirnames(maxNames)
	if err != nil && !errors.Is(err, io.EOF) || len(list) == maxNames {
		return nil
	}
	d.names = make(map[string]bool, len(list))
	for _, name := range list {
		d.names[name] = true
	}
	return d.names
}

// holds reports whether what was watched is as it was.
func (w *watch) holds(v *view) bool {
	if v.version(w.dir) == w.version {
		return true
	}
	if w.lacks == "" {
		return false
	}
	names := v.list(w.dir)
	return names != nil && !names[w.lacks]
}

// lacking returns the folder on the way to a path below the build folder that has not
// the next name, so that nothing is there. A compilation asks for thousands of names in
// folders of the build that have hardly any; a listing answers without a system call.
func (v *view) lacking(at string) (w watch, ok bool) {
	rel, below := strings.CutPrefix(at, action.BuildDir+"/")
	if !below || v.nested || strings.Contains(at, "/..") {
		return w, false
	}
	if rel = path.Clean(strings.TrimLeft(rel, "/")); rel == "." {
		return w, false
	}
	d := v.state(".")
	for start := 0; ; {
		names := v.list(d)
		if names == nil {
			return w, false
		}
		end := strings.IndexByte(rel[start:], '/')
		name := rel[start:]
		if end >= 0 {
			name = rel[start : start+end]
		}
		if !names[name] {
			return watch{d, v.version(d), name}, true
		}
		if end < 0 {
			return w, false
		}
		start += end + 1
		d = v.state(rel[:start-1])
	}
}
