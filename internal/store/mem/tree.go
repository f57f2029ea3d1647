package mem

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"

	"github.com/labstar/labstar/action"
)

// CreateTree streams a tree in.
func (s *Store) CreateTree(ctx context.Context) (action.TreeWriter, error) {
	return &treeWriter{s: s, ctx: ctx, root: newNode(), blobs: map[action.Digest][]byte{}}, ctx.Err()
}

type treeWriter struct {
	s    *Store
	ctx  context.Context
	mu   sync.Mutex
	done bool
	root *node
	// blobs is what File took; it goes to the store with Commit.
	blobs map[action.Digest][]byte
}

// node is an entry; kids is set for a directory.
type node struct {
	action.Node
	kids map[string]*node
}

func newNode() *node {
	return &node{Node: action.Node{Kind: action.Dir, Attr: action.Attr{Mode: action.ModeDir}}, kids: map[string]*node{}}
}

var modes = map[action.Kind]uint32{action.Regular: action.ModeFile, action.Dir: action.ModeDir, action.Symlink: action.ModeSymlink,
	action.Char: action.ModeDevice, action.Block: action.ModeDevice, action.Fifo: action.ModeDevice}

func (w *treeWriter) begin() error {
	if w.done {
		return errors.New("the tree is committed or aborted already")
	}
	return w.ctx.Err()
}

// find goes to the directory of path, making what is missing if create is set.
func (w *treeWriter) find(path string, create bool) (d *node, name string, err error) {
	clean, err := action.CleanPath(path)
	if err != nil {
		return nil, "", err
	}
	if len(clean) > 3500 {
		return nil, "", fmt.Errorf("path of %d bytes, want at most 3500", len(clean))
	}
	parts := strings.Split(clean, "/")
	d = w.root
	for _, part := range parts[:len(parts)-1] {
		n := d.kids[part]
		if n == nil {
			if !create {
				return nil, "", errors.New("it was not given before")
			}
			n = newNode()
			d.kids[part] = n
		}
		if n.kids == nil {
			return nil, "", fmt.Errorf("path goes through the %s %q", n.Kind, part)
		}
		d = n
	}
	return d, parts[len(parts)-1], nil
}

func (w *treeWriter) put(path string, n action.Node, b []byte) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if err := w.begin(); err != nil {
		return err
	}
	d, name, err := w.find(path, true)
	if err == nil && name == "" {
		err = errors.New("the root of a tree is a directory")
	}
	if err == nil && d.kids[name] != nil && len(d.kids[name].kids) > 0 {
		err = errors.New("a directory that is not empty is there")
	}
	n.Name = name
	if n.Attr.Mode == 0 {
		n.Attr.Mode = modes[n.Kind]
	}
	if err == nil {
		err = (&action.Directory{Nodes: []action.Node{n}}).Validate()
	}
	if err != nil {
		return fmt.Errorf("adding the %s %.200q to a tree: %w", n.Kind, path, err)
	}
	n.Attr.Xattrs = sorted(n.Attr.Xattrs)
	d.kids[name] = &node{Node: n}
	if b != nil {
		w.blobs[n.Digest] = b
	}
	return nil
}

func sorted(x []action.Xattr) []action.Xattr {
	x = slices.Clone(x)
	slices.SortFunc(x, func(a, b action.Xattr) int { return strings.Compare(a.Name, b.Name) })
	return x
}

// Mkdir makes a directory, or updates the attributes of one.
func (w *treeWriter) Mkdir(path string, a action.Attr) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if err := w.begin(); err != nil {
		return err
	}
	d, name, err := w.find(path, true)
	if err != nil {
		return fmt.Errorf("adding the directory %.200q to a tree: %w", path, err)
	}
	n := d
	if name != "" {
		if n = d.kids[name]; n == nil || n.kids == nil {
			n = newNode()
			d.kids[name] = n
		}
	}
	n.Attr = a
	if a.Mode == 0 {
		n.Attr.Mode = action.ModeDir
	}
	n.Attr.Xattrs = sorted(a.Xattrs)
	return nil
}

// File takes the content from r until EOF.
func (w *treeWriter) File(path string, a action.Attr, r io.Reader) (action.Digest, error) {
	b, err := io.ReadAll(r)
	if err != nil {
		return action.Digest{}, fmt.Errorf("adding the file %.200q to a tree: %w", path, err)
	}
	d := action.Of(b)
	return d, w.put(path, action.Node{Kind: action.Regular, Digest: d, Attr: a}, b)
}

// Symlink makes a symbolic link.
func (w *treeWriter) Symlink(path, target string, a action.Attr) error {
	return w.put(path, action.Node{Kind: action.Symlink, Target: target, Attr: a}, nil)
}

// Device records a device or FIFO.
func (w *treeWriter) Device(path string, k action.Kind, major, minor uint32, a action.Attr) error {
	if k != action.Char && k != action.Block && k != action.Fifo {
		return fmt.Errorf("adding the device %.200q to a tree: got a %s", path, k)
	}
	return w.put(path, action.Node{Kind: k, Major: major, Minor: minor, Attr: a}, nil)
}

// Link makes path a second file with the content and attributes of old.
func (w *treeWriter) Link(path, old string) error {
	w.mu.Lock()
	d, name, err := w.find(old, false)
	var n *node
	if err == nil {
		if n = d.kids[name]; n == nil {
			err = errors.New("it was not given before")
		} else if n.Kind != action.Regular && n.Kind != action.Symlink {
			err = fmt.Errorf("got a %s, want a file", n.Kind)
		}
	}
	w.mu.Unlock()
	if err != nil {
		return fmt.Errorf("adding the link %.200q to a tree: linking to %.200q: %w", path, old, err)
	}
	return w.put(path, n.Node, nil)
}

// Commit publishes the tree.
func (w *treeWriter) Commit() (action.Digest, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if err := w.begin(); err != nil {
		return action.Digest{}, err
	}
	w.done = true
	for _, b := range w.blobs {
		w.s.put(b)
	}
	return w.commit(w.root)
}

func (w *treeWriter) commit(n *node) (action.Digest, error) {
	dir := &action.Directory{Attr: n.Attr}
	for name, k := range n.kids {
		entry := k.Node
		if k.kids != nil {
			d, err := w.commit(k)
			if err != nil {
				return d, err
			}
			entry = action.Node{Name: name, Kind: action.Dir, Digest: d}
		}
		dir.Nodes = append(dir.Nodes, entry)
	}
	dir.Sort()
	return w.s.PutDirectory(w.ctx, dir)
}

// Abort drops what was written.
func (w *treeWriter) Abort() {
	w.mu.Lock()
	w.done = true
	w.mu.Unlock()
}
