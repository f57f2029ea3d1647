package deb

import (
	"bytes"
	"fmt"
	"io"
	"path"
	"slices"
	"strings"
	"sync"

	"github.com/labstar/labstar/action"
)

// UsrDirs are the directories of the root that a merged-/usr system has as
// links into /usr. Older packages still put files there.
var UsrDirs = []string{"bin", "lib", "lib32", "lib64", "libx32", "sbin"}

// usr is the tree writer that moves UsrDirs below usr and drops what nobody
// wants. It is safe for use by several goroutines, as a TreeWriter must be.
type usr struct {
	action.TreeWriter
	opt Options

	mu   sync.Mutex
	from map[string]string // the package's name of each path that was moved, and of those in usr
}

func newUsr(w action.TreeWriter, opt Options) *usr {
	return &usr{TreeWriter: w, opt: opt, from: map[string]string{}}
}

// place returns where p goes; ok is false if it is dropped. A file that comes
// under two names that are one after the move is an error.
func (u *usr) place(p string, dir bool) (to string, ok bool, err error) {
	if p, err = action.CleanPath(p); err != nil {
		return "", false, err
	}
	to = p
	top, _, below := strings.Cut(p, "/")
	if slices.Contains(UsrDirs, top) && (below || dir) {
		to = "usr/" + p
	}
	for _, d := range u.opt.Drop {
		if to == d || strings.HasPrefix(to, d+"/") {
			if _, is := isCopyright(to); !is || !u.opt.KeepCopyright {
				return to, false, nil
			}
		}
	}
	if !dir && strings.HasPrefix(to, "usr/") {
		u.mu.Lock()
		defer u.mu.Unlock()
		if old, there := u.from[to]; there && old != p {
			return "", false, fmt.Errorf("got %q and %q, which are the same with /usr merged", old, p)
		}
		u.from[to] = p
	}
	return to, true, nil
}

func (u *usr) Mkdir(path string, a action.Attr) error {
	to, ok, err := u.place(path, true)
	if err != nil || !ok {
		return err
	}
	return u.TreeWriter.Mkdir(to, a)
}

func (u *usr) File(path string, a action.Attr, r io.Reader) (action.Digest, error) {
	to, ok, err := u.place(path, false)
	if err != nil {
		return action.Digest{}, err
	}
	if name, is := isCopyright(to); is && u.opt.Copyright != nil && strings.HasSuffix(to, "/copyright") {
		b, err := io.ReadAll(io.LimitReader(r, maxControl))
		if err != nil {
			return action.Digest{}, err
		}
		u.opt.Copyright(name, b)
		r = io.MultiReader(bytes.NewReader(b), r)
	}
	if !ok {
		_, err := io.Copy(io.Discard, r)
		return action.Digest{}, err
	}
	return u.TreeWriter.File(to, a, r)
}

// CopyrightOf starts the text that stands for a copyright file which is a link to
// that of another package, whose name follows.
const CopyrightOf = "see: "

// isCopyright recognises usr/share/doc/NAME/copyright, and the link by which a
// package has the folder of another: usr/share/doc/NAME.
func isCopyright(p string) (name string, ok bool) {
	rest, ok := strings.CutPrefix(p, "usr/share/doc/")
	name, base, _ := strings.Cut(rest, "/")
	return name, ok && name != "" && (base == "" || base == "copyright")
}

func (u *usr) Symlink(p, target string, a action.Attr) error {
	to, ok, err := u.place(p, false)
	if name, is := isCopyright(to); is && u.opt.Copyright != nil {
		u.opt.Copyright(name, []byte(CopyrightOf+path.Base(strings.TrimSuffix(target, "/copyright"))+"\n"))
	}
	if err != nil || !ok {
		return err
	}
	if slices.Contains(UsrDirs, to) && strings.TrimPrefix(target, "/") == "usr/"+to {
		return nil // the merge makes these links itself
	}
	return u.TreeWriter.Symlink(to, target, a)
}

func (u *usr) Link(path, old string) error {
	to, ok, err := u.place(path, false)
	if err != nil || !ok {
		return err
	}
	from, ok, err := u.place(old, false)
	if err != nil {
		return err
	}
	if !ok {
		return fmt.Errorf("hard link to %q, which is left out", old)
	}
	return u.TreeWriter.Link(to, from)
}

func (u *usr) Device(path string, k action.Kind, major, minor uint32, a action.Attr) error {
	to, ok, err := u.place(path, false)
	if err != nil || !ok {
		return err
	}
	return u.TreeWriter.Device(to, k, major, minor, a)
}
