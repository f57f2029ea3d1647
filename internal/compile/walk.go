//go:build linux

package compile

import (
	"path"
	"slices"
	"strings"

	"github.com/labstar/labstar/action"
	"golang.org/x/sys/unix"
)

// walk follows one path.
type walk struct {
	v     *view
	wrote bool // it led through a folder that the build writes to
	links int
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
	for dir, f := range map[string]int{action.BuildDir: w.v.build, "/tmp": w.v.tmp} {
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
func (w *walk) host(f int, dir, rel string) place {
	var st unix.Stat_t
	fd, err := openBelow(f, rel, unix.O_PATH|unix.O_NOFOLLOW)
	if err == nil {
		err = unix.Fstat(fd, &st)
		defer unix.Close(fd)
	}
	if err != nil {
		return place{}
	}
	p := place{path: dir + "/" + rel, area: written}
	switch st.Mode & unix.S_IFMT {
	case unix.S_IFREG:
		p.kind = action.Regular
		w.v.stats[p.path] = st
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
