package host

import (
	"errors"
	"fmt"
	"io/fs"
	"path"
	"path/filepath"
	"strings"

	"github.com/labstar/labstar/starlark/schema"
)

// folders remembers which folders, by canonical name, were found to be real
// ones, so that many files in one folder cost one stat each.
type folders map[string]bool

// maxLinks is how many symlinks a path may go through, as in Linux.
const maxLinks = 40

// inside follows the symlinks of the path and returns where it ends, and what
// Lstat said of that (nil if it was not asked); a link that leads out of the file
// system, by an absolute target or by "..", is an error.
func (known folders) inside(p place) (string, fs.FileInfo, error) {
	links, ok := p.fsys.(fs.ReadLinkFS)
	if !ok {
		return p.path, nil, nil // it has no symlinks
	}
	var last fs.FileInfo
	done, rest, n := ".", p.path, 0
	for rest != "" && rest != "." {
		part, tail, _ := strings.Cut(rest, "/")
		at := path.Join(done, part)
		if tail != "" && known[p.prefix+at] {
			done, rest, last = at, tail, nil
			continue
		}
		fi, err := links.Lstat(at)
		if err != nil {
			return "", nil, err
		}
		if fi.Mode()&fs.ModeSymlink == 0 {
			if fi.IsDir() {
				known[p.prefix+at] = true
			}
			done, rest, last = at, tail, fi
			continue
		}
		if n++; n > maxLinks {
			return "", nil, fmt.Errorf("too many symlinks in %s", p.path)
		}
		target, err := links.ReadLink(at)
		if err != nil {
			return "", nil, err
		}
		if !staysInside(at, target) {
			return "", nil, fmt.Errorf("%s is a symlink to %s, out of the tree that scripts may read", at, target)
		}
		done, rest, last = ".", path.Join(path.Dir(at), target, tail), nil
	}
	return done, last, nil
}

// staysInside reports whether the target of the link at p stays below the root.
func staysInside(p, target string) bool {
	return target != "" && !strings.HasPrefix(target, "/") && fs.ValidPath(path.Join(path.Dir(p), target))
}

// nearPath explains a file that is not there, with the name that was probably
// meant. where is the place that the path given leads to, from the module in
// the folder dir.
func nearPath(where place, dir, given string, err error) error {
	if !errors.Is(err, fs.ErrNotExist) {
		var pe *fs.PathError
		if errors.As(err, &pe) {
			return fmt.Errorf("reading %s: %w", given, pe.Err)
		}
		return err
	}
	parts := strings.Split(where.path, "/")
	there := 0 // how many of the parts exist
	for there < len(parts)-1 {
		if fi, err := fs.Stat(where.fsys, path.Join(parts[:there+1]...)); err != nil || !fi.IsDir() {
			break
		}
		there++
	}
	folder := path.Join(append([]string{"."}, parts[:there]...)...)
	entries, _ := fs.ReadDir(where.fsys, folder)
	var names []string
	for _, e := range entries {
		names = append(names, e.Name())
	}
	e := &missingFile{given: given, found: where.prefix + folder}
	if s := schema.Suggest(parts[there], names); s != "" {
		parts[there] = s
		e.meant = path.Join(parts...)
		if strings.HasPrefix(given, "//") {
			e.meant = "//" + e.meant
		} else if rel, err := filepath.Rel(dir, e.meant); err == nil {
			e.meant = filepath.ToSlash(rel)
		}
	}
	return e
}

// missingFile is a file that a script names and that is not there.
type missingFile struct{ given, found, meant string }

func (e *missingFile) Error() string {
	msg := fmt.Sprintf("there is no file %q", e.given)
	if e.meant != "" {
		msg += fmt.Sprintf(" (did you mean %q?)", e.meant)
	} else if e.found != "." {
		msg += " in " + e.found
	}
	return msg
}

func (e *missingFile) Unwrap() error { return fs.ErrNotExist }
