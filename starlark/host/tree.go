package host

import (
	"bytes"
	"fmt"
	"io"
	"io/fs"
	"path"
	"runtime"
	"strings"
	"sync/atomic"

	"golang.org/x/sync/errgroup"

	"github.com/labstar/labstar/action"
	"github.com/labstar/labstar/internal/twosum"
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
	unhashed         []unhashed
	treeContent
}

// folder is a folder of the tree in which some digests are not known yet.
type folder struct {
	path  string
	nodes []action.Node
	below map[int]*folder // by the index of a node
}

// unhashed is a file that the stat cache does not know.
type unhashed struct {
	in    *folder
	index int // of the node
	where place
	fi    fs.FileInfo
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
	if w.include, err = newPatterns(include, false); err != nil {
		return action.Source{}, err
	}
	if w.exclude, err = newPatterns(exclude, true); err != nil {
		return action.Source{}, err
	}
	if fi, err := fs.Stat(where.fsys, where.path); err != nil {
		return action.Source{}, nearPath(where, f.folder(c), p, err)
	} else if !fi.IsDir() {
		return action.Source{}, fmt.Errorf("%q is a file, want a folder", p)
	}
	top, err := w.dir(where.path, nil)
	if err != nil {
		return action.Source{}, err
	}
	if err := w.hash(); err != nil {
		return action.Source{}, err
	}
	d, err := w.encode(top)
	if err != nil {
		return action.Source{}, err
	}
	for i, pat := range w.include {
		if !pat.used {
			return action.Source{}, &schema.PatternError{Index: i, Err: fmt.Errorf("no file in %q matches the pattern %q%s", p, pat.text, deeper(pat))}
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
		return p.fsys.Open(p.path)
	}
	return nil, fmt.Errorf("tree %s has nothing with the digest %s", t.name, d)
}

// dir lists the folder at p and what is below it; nil if nothing matches, unless
// everything is asked for.
func (w *walk) dir(p string, parts []string) (*folder, error) {
	if len(parts) > maxTreeDepth {
		return nil, fmt.Errorf("folders nested more than %d deep in %s", maxTreeDepth, w.root.name())
	}
	if err := w.reader.ld.context().Err(); err != nil {
		return nil, err
	}
	entries, err := fs.ReadDir(w.root.fsys, p)
	if err != nil {
		return nil, fmt.Errorf("reading the folder %s: %w", p, err)
	}
	out := &folder{path: p}
	for _, e := range entries {
		below := append(parts[:len(parts):len(parts)], e.Name())
		if anyMatch(w.exclude, below, false) {
			continue
		}
		if err := w.node(out, e, path.Join(p, e.Name()), below); err != nil {
			return nil, err
		}
	}
	if len(out.nodes) == 0 && len(w.include) > 0 && len(parts) > 0 {
		return nil, nil
	}
	return out, nil
}

// node adds an entry to the folder that it is in, if it is asked for.
func (w *walk) node(to *folder, e fs.DirEntry, p string, parts []string) error {
	n := action.Node{Name: e.Name()}
	if e.IsDir() {
		whole := len(w.include) == 0 || anyMatch(w.include, parts, false)
		if !whole && !anyMatch(w.include, parts, true) {
			return nil
		}
		sub, err := w.dir(p, parts)
		if sub == nil || err != nil {
			return err
		}
		if to.below == nil {
			to.below = map[int]*folder{}
		}
		to.below[len(to.nodes)] = sub
		n.Kind = action.Dir
		to.nodes = append(to.nodes, n)
		return nil
	}
	if len(w.include) > 0 && !anyMatch(w.include, parts, false) {
		return nil
	}
	if w.count++; w.count > maxTreeFiles {
		return fmt.Errorf("more than %d files in %s: give patterns that leave some out", maxTreeFiles, w.root.name())
	}
	switch {
	case e.Type()&fs.ModeSymlink != 0:
		target, err := w.link(p)
		n.Kind, n.Attr.Mode, n.Target = action.Symlink, action.ModeSymlink, target
		to.nodes = append(to.nodes, n)
		return err
	case !e.Type().IsRegular():
		return fmt.Errorf("%s is neither a file, a folder nor a symlink: exclude it", p)
	}
	fi, err := e.Info()
	if err != nil {
		return fmt.Errorf("reading %s: %w", p, err)
	}
	where := place{w.root.fsys, w.root.prefix, p}
	n.Kind, n.Attr.Mode = action.Regular, action.ModeFile
	if fi.Mode()&0o100 != 0 {
		n.Attr.Mode = action.ModeExec
	}
	if d, ok := w.reader.remembered(where, fi); ok {
		n.Digest = d
		w.files[d] = where
	} else {
		w.unhashed = append(w.unhashed, unhashed{to, len(to.nodes), where, fi})
	}
	to.nodes = append(to.nodes, n)
	return nil
}

// hash fills in the digests that are not known, on all cores.
func (w *walk) hash() error {
	var g errgroup.Group
	var taken atomic.Int64
	for range min(runtime.GOMAXPROCS(0), len(w.unhashed)) {
		g.Go(func() error {
			err := twosum.Streams(func() *twosum.Stream {
				i := int(taken.Add(1)) - 1
				if i >= len(w.unhashed) {
					return nil
				}
				return w.stream(w.unhashed[i])
			})
			if err != nil {
				taken.Store(int64(len(w.unhashed))) // the others need not go on
			}
			return err
		})
	}
	if err := g.Wait(); err != nil {
		return err
	}
	for _, u := range w.unhashed {
		w.files[u.in.nodes[u.index].Digest] = u.where
	}
	return nil
}

// stream is a file to be hashed, or the error of opening it.
func (w *walk) stream(u unhashed) *twosum.Stream {
	s, err := w.reader.stream(u.where, u.fi, func(d action.Digest) { u.in.nodes[u.index].Digest = d })
	if err != nil {
		s = &twosum.Stream{Read: func([]byte) (int, error) { return 0, err }, End: func(err error) error { return err }}
	}
	end := s.End
	s.End = func(err error) error {
		if err := end(err); err != nil {
			return fmt.Errorf("reading %s: %w", u.where.path, err)
		}
		return nil
	}
	return s
}

// encode encodes a folder, and those below it before.
func (w *walk) encode(f *folder) (d action.Digest, err error) {
	for i, sub := range f.below {
		if f.nodes[i].Digest, err = w.encode(sub); err != nil {
			return d, err
		}
	}
	out := action.Directory{Attr: action.Attr{Mode: action.ModeDir}, Nodes: f.nodes}
	out.Sort()
	if err := out.Validate(); err != nil {
		return d, fmt.Errorf("reading the folder %s: %w", f.path, err)
	}
	b := out.Encode()
	d = action.Of(b)
	w.dirs[d] = b
	return d, nil
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
