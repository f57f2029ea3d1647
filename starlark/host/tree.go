package host

import (
	"bytes"
	"fmt"
	"io"
	"io/fs"
	"path"
	"strings"

	"github.com/labstar/labstar/action"
	"github.com/labstar/labstar/starlark/schema"
)

// Limits of a local tree.
const (
	maxTreeDepth = 200
	maxTreeFiles = 1_000_000
)

// walk makes a tree of a folder.
type walk struct {
	reader           *files
	root             place
	include, exclude []*pattern
	count            int
	treeContent
}

// treeContent is what the build needs of a tree: it must not keep the whole
// evaluation in memory.
type treeContent struct {
	name  string
	dirs  map[action.Digest][]byte // encoded directories
	files map[action.Digest]place
}

// Tree implements schema.Files. Symlinks are kept as such; one that leads out of
// the folder is an error. Of a file's mode only the owner's run bit counts. An
// include pattern that matches nothing is an error.
func (f *files) Tree(c *schema.Call, p string, include, exclude []string) (action.Source, error) {
	where, _, err := f.at(c, p)
	if err != nil {
		return action.Source{}, err
	}
	w := &walk{reader: f, root: where, treeContent: treeContent{where.name(), map[action.Digest][]byte{}, map[action.Digest]place{}}}
	if w.include, err = newPatterns(include); err != nil {
		return action.Source{}, err
	}
	if w.exclude, err = newPatterns(exclude); err != nil {
		return action.Source{}, err
	}
	if fi, err := fs.Stat(where.fsys, where.path); err != nil {
		return action.Source{}, nearPath(where, f.folder(c), p, err)
	} else if !fi.IsDir() {
		return action.Source{}, fmt.Errorf("%q is a file, want a folder", p)
	}
	d, _, err := w.dir(where.path, nil)
	if err != nil {
		return action.Source{}, err
	}
	for _, pat := range w.include {
		if !pat.used {
			return action.Source{}, fmt.Errorf("no file in %q matches the pattern %q%s", p, pat.text, deeper(pat))
		}
	}
	f.record(where.name(), d, action.Tree)
	return action.Source{Kind: action.Tree, Digest: d, Open: w.treeContent.open, Path: where.name()}, nil
}

// deeper explains the commonest slip.
func deeper(p *pattern) string {
	if len(p.parts) == 1 {
		return fmt.Sprintf("; %q looks in the folders below too", "**/"+p.text)
	}
	return ""
}

func (t treeContent) open(d action.Digest) (io.ReadCloser, error) {
	if b, ok := t.dirs[d]; ok {
		return io.NopCloser(bytes.NewReader(b)), nil
	}
	if p, ok := t.files[d]; ok {
		return openChecked(p, d)
	}
	return nil, fmt.Errorf("tree %s has nothing with the digest %s", t.name, d)
}

// dir encodes the folder at p and what is below it. A folder in which nothing
// matches is left out (kept is false), unless everything is asked for.
func (w *walk) dir(p string, parts []string) (d action.Digest, kept bool, err error) {
	if len(parts) > maxTreeDepth {
		return d, false, fmt.Errorf("folders nested more than %d deep in %s", maxTreeDepth, w.root.name())
	}
	if err := w.reader.ld.context().Err(); err != nil {
		return d, false, err
	}
	entries, err := fs.ReadDir(w.root.fsys, p)
	if err != nil {
		return d, false, fmt.Errorf("reading the folder %s: %w", p, err)
	}
	out := action.Directory{Attr: action.Attr{Mode: action.ModeDir}}
	for _, e := range entries {
		below := append(parts[:len(parts):len(parts)], e.Name())
		if anyMatch(w.exclude, below, false) {
			continue
		}
		n, keep, err := w.node(e, path.Join(p, e.Name()), below)
		if err != nil {
			return d, false, err
		}
		if keep {
			out.Nodes = append(out.Nodes, n)
		}
	}
	out.Sort()
	if err := out.Validate(); err != nil {
		return d, false, fmt.Errorf("reading the folder %s: %w", p, err)
	}
	b := out.Encode()
	d = action.Of(b)
	w.dirs[d] = b
	return d, len(out.Nodes) > 0 || len(w.include) == 0, nil
}

func (w *walk) node(e fs.DirEntry, p string, parts []string) (n action.Node, keep bool, err error) {
	n.Name = e.Name()
	if e.IsDir() {
		whole := len(w.include) == 0 || anyMatch(w.include, parts, false)
		if !whole && !anyMatch(w.include, parts, true) {
			return n, false, nil
		}
		n.Kind = action.Dir
		n.Digest, keep, err = w.dir(p, parts)
		return n, keep, err
	}
	if len(w.include) > 0 && !anyMatch(w.include, parts, false) {
		return n, false, nil
	}
	if w.count++; w.count > maxTreeFiles {
		return n, false, fmt.Errorf("more than %d files in %s: give patterns that leave some out", maxTreeFiles, w.root.name())
	}
	switch {
	case e.Type()&fs.ModeSymlink != 0:
		n.Kind, n.Attr.Mode = action.Symlink, action.ModeSymlink
		n.Target, err = w.link(p)
		return n, true, err
	case !e.Type().IsRegular():
		return n, false, fmt.Errorf("%s is neither a file, a folder nor a symlink: exclude it", p)
	}
	fi, err := e.Info()
	if err != nil {
		return n, false, fmt.Errorf("reading %s: %w", p, err)
	}
	where := place{w.root.fsys, w.root.prefix, p}
	n.Kind, n.Attr.Mode = action.Regular, action.ModeFile
	if fi.Mode()&0o100 != 0 {
		n.Attr.Mode = action.ModeExec
	}
	if n.Digest, err = w.reader.digest(where, fi); err != nil {
		return n, false, fmt.Errorf("reading %s: %w", p, err)
	}
	w.files[n.Digest] = where
	return n, true, nil
}

// link reads a symlink, which must stay inside the tree.
func (w *walk) link(p string) (string, error) {
	links, ok := w.root.fsys.(fs.ReadLinkFS)
	if !ok {
		return "", fmt.Errorf("%s is a symlink, and this file system can't read where it points", p)
	}
	target, err := links.ReadLink(p)
	if err != nil {
		return "", fmt.Errorf("reading the symlink %s: %w", p, err)
	}
	rel := strings.TrimPrefix(strings.TrimPrefix(p, w.root.path), "/")
	if w.root.path == "." {
		rel = p
	}
	if !staysInside(rel, target) {
		return "", fmt.Errorf("%s is a symlink to %s, out of the folder %s: exclude it, or make the link relative", p, target, w.root.name())
	}
	return target, nil
}
