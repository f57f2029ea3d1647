//go:build amd64 || arm64

package linux

import (
	"fmt"
	"io/fs"
	"os"
	"path"
	"slices"
	"strings"
)

// layers are the folders of a root, lowest first, seen as the one tree that
// their overlay will be.
type layers []string

// find returns what is at p, an absolute clean path without symbolic links in
// its parents: that of the highest layer that has it.
func (l layers) find(p string) (fs.FileInfo, string) {
	for i := len(l) - 1; i >= 0; i-- {
		name := l[i] + p
		if fi, err := os.Lstat(name); err == nil {
			return fi, name
		}
	}
	return nil, ""
}

// resolve follows the symbolic links in the target of a mount, none of which
// leads out of the root, and returns the path without any, and what is there:
// nil if nothing is, in which case the skeleton has to provide it.
func (l layers) resolve(target string) (string, fs.FileInfo, error) {
	done, todo := "", strings.Split(strings.Trim(path.Clean(target), "/"), "/")
	var at fs.FileInfo
	for links := 0; len(todo) > 0; {
		next := todo[0]
		todo = todo[1:]
		switch next {
		case "", ".":
			continue
		case "..":
			done = done[:max(strings.LastIndexByte(done, '/'), 0)]
			continue
		}
		fi, name := l.find(done + "/" + next)
		at = fi
		switch {
		case fi == nil && slices.Contains(todo, ".."):
			return "", nil, fmt.Errorf("laying %s: a symbolic link of the root leads through %s, which is not there", target, done+"/"+next)
		case fi == nil:
			// Below what is missing everything is.
			return path.Join(append([]string{"/", done, next}, todo...)...), nil, nil
		case fi.Mode()&fs.ModeSymlink != 0:
			if links++; links > 40 {
				return "", nil, fmt.Errorf("laying %s: too many symbolic links at %s of the root", target, done+"/"+next)
			}
			to, err := os.Readlink(name)
			if err != nil {
				return "", nil, fmt.Errorf("laying %s: %w", target, err)
			}
			if path.IsAbs(to) {
				done = ""
			}
			todo = append(strings.Split(strings.Trim(to, "/"), "/"), todo...)
		case !fi.IsDir() && len(todo) > 0:
			return "", nil, fmt.Errorf("laying %s: %s is a file in the root, not a folder", target, done+"/"+next)
		default:
			done += "/" + next
		}
	}
	if done == "" {
		return "", nil, fmt.Errorf("laying %s: that is the root itself; want a path below it", target)
	}
	return done, at, nil
}
