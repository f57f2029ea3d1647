package sandbox

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"github.com/labstar/labstar/action"
)

// MissingError says that a command left no file or folder at an output's path.
type MissingError struct {
	Output  string   // relative to the build folder
	Folder  string   // the deepest folder on the way that is there; "." is the build folder
	Listing []string // what is in Folder, sorted, folders with a slash at their end
}

func (e *MissingError) Error() string {
	const most = 20
	list := e.Listing
	more := ""
	if len(list) > most {
		list, more = list[:most], fmt.Sprintf(" and %d more", len(e.Listing)-most)
	}
	where := "the build folder"
	if e.Folder != "." {
		where = e.Folder
	}
	if len(list) == 0 {
		return fmt.Sprintf("taking output %q: the command left no such file, and %s is empty", e.Output, where)
	}
	return fmt.Sprintf("taking output %q: the command left no such file; %s has %s%s", e.Output, where, strings.Join(list, ", "), more)
}

// Collect returns the host path of an output, given relative to the build
// folder, for the caller to move into the store or to read. Symbolic links on
// the way, and a link that the output itself is, are followed inside the build
// folder; an error names what leads out of it. A *MissingError says that there is
// nothing.
//
// What is found through a link, and what is not (only) in the upper folder of an
// overlay, is copied, inside spec.Scratch, and the path is that of the copy: the
// caller may move it away. Of several outputs use CollectAll before moving any.
func Collect(spec *Spec, res *Result, output string) (string, error) {
	paths, err := CollectAll(spec, res, []string{output})
	if err != nil {
		return "", err
	}
	return paths[0], nil
}

// CollectAll is Collect for all outputs of a command. An output that lies inside
// another, or is the same, is copied as well, so each may be moved away. The
// error tells of every output that can't be taken.
func CollectAll(spec *Spec, res *Result, outputs []string) ([]string, error) {
	v := view{upper: res.Upper, lower: res.Lower}
	at, paths, errs := make([]string, len(outputs)), make([]string, len(outputs)), make([]error, len(outputs))
	for i, output := range outputs {
		at[i], errs[i] = v.resolve(output)
	}
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	for i, output := range outputs {
		shared := at[i] != strings.TrimSuffix("/"+path.Clean(filepath.ToSlash(output)), "/.")
		for j, other := range at {
			shared = shared || j < i && other == at[i] || strings.HasPrefix(at[i], other+"/")
		}
		if paths[i], errs[i] = v.take(spec.Scratch, at[i], shared); errs[i] != nil {
			errs[i] = fmt.Errorf("taking output %q: %w", output, errs[i])
		}
	}
	return paths, errors.Join(errs...)
}

// take returns the host path of what is at a path, or of a copy.
func (v view) take(scratch, at string, copied bool) (string, error) {
	found := v.find(at)
	if !copied && !found.merged() && found.top() == v.upper+at {
		return found.top(), nil
	}
	to, err := os.MkdirTemp(scratch, "output-")
	if err != nil {
		return "", err
	}
	to = filepath.Join(to, "copy")
	return to, copyEntry(found, to)
}

// view reads the build folder as the command saw it. Paths in it are absolute,
// without symbolic links, and "" is the build folder.
type view struct {
	upper string
	lower []string // lowest first
}

// entry is what a view has at a path: the places on the host, highest first.
// Only folders have more than one.
type entry struct {
	info   fs.FileInfo
	places []string
}

func (e entry) merged() bool { return len(e.places) > 1 }

func (e entry) top() string { return e.places[0] }

// find returns what is at a path, with no places if nothing is.
func (v view) find(at string) entry {
	layers := []string{v.upper}
	for i := len(v.lower) - 1; i >= 0; i-- {
		layers = append(layers, v.lower[i])
	}
	root := entry{places: layers}
	for part := range strings.SplitSeq(strings.TrimPrefix(at, "/"), "/") {
		if part != "" {
			root = root.child(part)
		}
	}
	if at == "" {
		root.info, _ = os.Lstat(v.upper)
	}
	return root
}

// child is what a folder has under a name.
func (e entry) child(name string) entry {
	var c entry
	for _, dir := range e.places {
		at := dir + "/" + name
		fi, err := os.Lstat(at)
		if err != nil {
			continue
		}
		if isWhiteout(fi) {
			break
		}
		if c.info == nil {
			c.info = fi
		} else if !fi.IsDir() {
			break
		}
		c.places = append(c.places, at)
		if !fi.IsDir() || isOpaque(at) {
			break
		}
	}
	return c
}

// names lists a folder.
func (e entry) names() ([]string, error) {
	seen := map[string]bool{}
	for _, dir := range e.places {
		list, err := os.ReadDir(dir)
		if errors.Is(err, fs.ErrPermission) && os.Chmod(dir, e.info.Mode().Perm()|0o700) == nil {
			list, err = os.ReadDir(dir)
		}
		if err != nil {
			return nil, err
		}
		for _, d := range list {
			seen[d.Name()] = true
		}
	}
	var names []string
	for name := range seen {
		if len(e.places) == 1 || e.child(name).info != nil {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names, nil
}

// resolve follows the symbolic links of an output's path.
func (v view) resolve(output string) (string, error) {
	out := func(at, to string) error {
		return fmt.Errorf("taking output %q: %s is a symbolic link to %s, outside of the build folder; have the command copy the file there instead (cp -L)", output, at, to)
	}
	if !filepath.IsLocal(output) {
		return "", fmt.Errorf("taking output %q: want a relative path below the build folder, with no .. at its start", output)
	}
	at, todo := "", strings.Split(path.Clean(filepath.ToSlash(output)), "/")
	for links := 0; len(todo) > 0; {
		next := todo[0]
		todo = todo[1:]
		switch {
		case next == "" || next == ".":
			continue
		case next == "..":
			// Only a link's target has these here; above the build folder is an error.
			if at == "" {
				return "", fmt.Errorf("taking output %q: it leads out of the build folder through a symbolic link with ..; have the command copy the file there instead (cp -L)", output)
			}
			at = strings.TrimSuffix(path.Dir(at), "/")
			continue
		}
		e := v.find(at + "/" + next)
		switch {
		case e.info == nil:
			return "", v.missing(output, at)
		case e.info.Mode()&fs.ModeSymlink != 0:
			if links++; links > 40 {
				return "", fmt.Errorf("taking output %q: too many symbolic links at %s", output, strings.TrimPrefix(at+"/"+next, "/"))
			}
			to, err := os.Readlink(e.top())
			if err != nil {
				return "", fmt.Errorf("taking output %q: %w", output, err)
			}
			if path.IsAbs(to) {
				rest, ok := strings.CutPrefix(path.Clean(to)+"/", action.BuildDir+"/")
				if !ok {
					return "", out(strings.TrimPrefix(at+"/"+next, "/"), to)
				}
				at, to = "", strings.TrimSuffix(rest, "/")
			}
			todo = append(strings.Split(to, "/"), todo...)
		case len(todo) > 0 && !e.info.IsDir():
			return "", v.missing(output, at)
		default:
			at += "/" + next
		}
	}
	return at, nil
}

func (v view) missing(output, folder string) error {
	e := v.find(folder)
	names, err := e.names()
	if err != nil {
		return fmt.Errorf("taking output %q: there is none: %w", output, err)
	}
	for i, name := range names {
		if c := e.child(name); c.info != nil && c.info.IsDir() {
			names[i] += "/"
		}
	}
	return &MissingError{Output: output, Folder: path.Clean(strings.TrimPrefix(folder, "/")), Listing: names}
}
