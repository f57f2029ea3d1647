package action

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"
)

// Edit changes a tree by its directories alone: no file is read or written, and
// directories that are not touched are not even loaded. It is how trees are
// composed, moved, picked from and given owners. Paths are cleaned by CleanPath;
// symlinks are never followed.
//
//	e := action.NewEdit(env, base)
//	err := e.Merge(ctx, "usr/share/www", pages, action.Replace)
//	root, err := e.Finish(ctx, env.PutDirectory)
type Edit struct {
	src  Content
	root *editDir
}

// editDir is a directory that is loaded, or known by digest only.
type editDir struct {
	digest  Digest // valid while loaded is false
	loaded  bool
	attr    Attr
	entries map[string]*editNode
}

type editNode struct {
	node Node     // of what is no directory
	dir  *editDir // of a directory
}

// Conflict says what Merge and Put do when a path is taken by something else.
type Conflict uint8

// The ways to settle a conflict.
const (
	// Refuse makes it a *ConflictError. Two equal nodes are no conflict.
	Refuse Conflict = iota
	// Replace lets the newcomer win. A directory over a directory is merged.
	Replace
)

// ConflictError is a path that two sources want.
type ConflictError struct{ Path string }

func (e *ConflictError) Error() string { return fmt.Sprintf("path %q is there already", e.Path) }

// NewEdit starts with the tree of root; the zero Digest is an empty tree.
func NewEdit(src Content, root Digest) *Edit {
	e := &Edit{src: src}
	if root.IsZero() {
		e.root = newEditDir()
	} else {
		e.root = &editDir{digest: root}
	}
	return e
}

func newEditDir() *editDir {
	return &editDir{loaded: true, attr: Attr{Mode: ModeDir}, entries: map[string]*editNode{}}
}

func (e *Edit) load(ctx context.Context, d *editDir) error {
	if d.loaded {
		return nil
	}
	dir, err := e.src.Directory(ctx, d.digest)
	if err != nil {
		return err
	}
	d.attr = dir.Attr
	d.entries = make(map[string]*editNode, len(dir.Nodes))
	for _, n := range dir.Nodes {
		d.entries[n.Name] = newEditNode(n)
	}
	d.loaded = true
	return nil
}

func newEditNode(n Node) *editNode {
	if n.Kind == Dir {
		return &editNode{dir: &editDir{digest: n.Digest}}
	}
	return &editNode{node: n}
}

// find returns the entry at the cleaned path, nil if there is none. With create,
// missing parents are made.
func (e *Edit) find(ctx context.Context, path string) (*editNode, error) {
	n := &editNode{dir: e.root}
	if path == "" {
		return n, nil
	}
	for part := range strings.SplitSeq(path, "/") {
		if n.dir == nil {
			return nil, nil
		}
		if err := e.load(ctx, n.dir); err != nil {
			return nil, err
		}
		next := n.dir.entries[part]
		if next == nil {
			return nil, nil
		}
		n = next
	}
	return n, nil
}

// parent returns the loaded directory that holds path, making it, and path's last part.
func (e *Edit) parent(ctx context.Context, path string) (*editDir, string, error) {
	d := e.root
	dir, base := "", path
	if i := strings.LastIndexByte(path, '/'); i >= 0 {
		dir, base = path[:i], path[i+1:]
	}
	if err := e.load(ctx, d); err != nil {
		return nil, "", err
	}
	if dir == "" {
		return d, base, nil
	}
	at := 0
	for part := range strings.SplitSeq(dir, "/") {
		at += len(part) + 1
		n := d.entries[part]
		switch {
		case n == nil:
			n = &editNode{dir: newEditDir()}
			d.entries[part] = n
		case n.dir == nil:
			return nil, "", fmt.Errorf("path %q goes through %q, which is a %s and no directory", path, dir[:at-1], n.node.Kind)
		}
		d = n.dir
		if err := e.load(ctx, d); err != nil {
			return nil, "", err
		}
	}
	return d, base, nil
}

// Lookup returns the node at path. The error wraps fs.ErrNotExist if there is
// none. A directory that was changed has no digest yet: it is then zero.
func (e *Edit) Lookup(ctx context.Context, path string) (Node, error) {
	p, err := CleanPath(path)
	if err != nil {
		return Node{}, err
	}
	n, err := e.find(ctx, p)
	if err != nil {
		return Node{}, err
	}
	if n == nil {
		return Node{}, fmt.Errorf("path %q: %w", path, fs.ErrNotExist)
	}
	return n.asNode(p[strings.LastIndexByte(p, '/')+1:]), nil
}

// asNode gives the node under a name; a directory's Attr is filled in if loaded.
func (n *editNode) asNode(name string) Node {
	if n.dir == nil {
		node := n.node
		node.Name = name
		return node
	}
	node := Node{Name: name, Kind: Dir}
	if n.dir.loaded {
		node.Attr = n.dir.attr
	} else {
		node.Digest = n.dir.digest
	}
	return node
}

// Put sets path to n (whose Name is ignored), making its parents. A directory
// node merges the tree of its digest there.
func (e *Edit) Put(ctx context.Context, path string, n Node, c Conflict) error {
	if n.Kind == Dir {
		return e.Merge(ctx, path, n.Digest, c)
	}
	p, err := CleanPath(path)
	if err != nil {
		return err
	}
	if p == "" {
		return errors.New("got the root of the tree, want a path of a file")
	}
	d, base, err := e.parent(ctx, p)
	if err != nil {
		return err
	}
	n.Name = base
	if old := d.entries[base]; old != nil && c == Refuse && (old.dir != nil || !sameNode(old.node, n)) {
		return &ConflictError{Path: p}
	}
	d.entries[base] = &editNode{node: n}
	return nil
}

func sameNode(a, b Node) bool {
	return a.Kind == b.Kind && a.Digest == b.Digest && a.Target == b.Target && sameAttr(a.Attr, b.Attr) &&
		a.Major == b.Major && a.Minor == b.Minor
}

func sameAttr(a, b Attr) bool {
	return a.Mode == b.Mode && a.UID == b.UID && a.GID == b.GID &&
		slices.EqualFunc(a.Xattrs, b.Xattrs, func(x, y Xattr) bool { return x.Name == y.Name && string(x.Value) == string(y.Value) })
}

// Mkdir makes the directory path and its parents; one that is there stays.
func (e *Edit) Mkdir(ctx context.Context, path string) error {
	p, err := CleanPath(path)
	if err != nil {
		return err
	}
	// The parent of a name below path is path itself.
	_, _, err = e.parent(ctx, strings.TrimPrefix(p+"/x", "/"))
	return err
}

// Merge lays the tree of root over the directory path, making it. The
// attributes of directories that are in both are those of the newcomer.
func (e *Edit) Merge(ctx context.Context, path string, root Digest, c Conflict) error {
	p, err := CleanPath(path)
	if err != nil {
		return err
	}
	if p == "" {
		return e.merge(ctx, e.root, &editDir{digest: root}, "", c)
	}
	d, base, err := e.parent(ctx, p)
	if err != nil {
		return err
	}
	return e.mergeEntry(ctx, d, base, &editNode{dir: &editDir{digest: root}}, p, c)
}

func (e *Edit) merge(ctx context.Context, into, from *editDir, at string, c Conflict) error {
	if !into.loaded && !from.loaded && into.digest == from.digest {
		return nil
	}
	if err := e.load(ctx, into); err != nil {
		return err
	}
	if err := e.load(ctx, from); err != nil {
		return err
	}
	into.attr = from.attr
	for _, name := range sortedKeys(from.entries) {
		path := name
		if at != "" {
			path = at + "/" + name
		}
		if err := e.mergeEntry(ctx, into, name, from.entries[name], path, c); err != nil {
			return err
		}
	}
	return nil
}

func (e *Edit) mergeEntry(ctx context.Context, into *editDir, name string, n *editNode, path string, c Conflict) error {
	old := into.entries[name]
	switch {
	case old == nil:
	case old.dir != nil && n.dir != nil:
		return e.merge(ctx, old.dir, n.dir, path, c)
	case c == Refuse && (old.dir != nil || n.dir != nil || !sameNode(old.node, n.node)):
		return &ConflictError{Path: path}
	}
	into.entries[name] = n
	return nil
}

// Remove deletes path and what is below it. The error wraps fs.ErrNotExist if
// there is nothing.
func (e *Edit) Remove(ctx context.Context, path string) error {
	p, err := CleanPath(path)
	if err != nil {
		return err
	}
	if p == "" {
		e.root = newEditDir()
		return nil
	}
	if n, err := e.find(ctx, p); err != nil {
		return err
	} else if n == nil {
		return fmt.Errorf("path %q: %w", path, fs.ErrNotExist)
	}
	d, base, err := e.parent(ctx, p)
	if err == nil {
		delete(d.entries, base)
	}
	return err
}

// Move gives what is at old the name path, replacing what is there.
func (e *Edit) Move(ctx context.Context, old, path string) error {
	from, err := CleanPath(old)
	if err != nil {
		return err
	}
	to, err := CleanPath(path)
	if err != nil {
		return err
	}
	if from == "" || to == "" || to == from || strings.HasPrefix(to, from+"/") {
		return fmt.Errorf("moving %q to %q: a directory can't be moved into itself", old, path)
	}
	n, err := e.find(ctx, from)
	if err != nil {
		return err
	}
	if n == nil {
		return fmt.Errorf("path %q: %w", old, fs.ErrNotExist)
	}
	if err := e.Remove(ctx, from); err != nil {
		return err
	}
	d, base, err := e.parent(ctx, to)
	if err != nil {
		return err
	}
	n.node.Name = base
	d.entries[base] = n
	return nil
}

// SetAttr changes the attributes at path through f.
func (e *Edit) SetAttr(ctx context.Context, path string, f func(k Kind, a *Attr)) error {
	p, err := CleanPath(path)
	if err != nil {
		return err
	}
	n, err := e.find(ctx, p)
	if err != nil {
		return err
	}
	if n == nil {
		return fmt.Errorf("path %q: %w", path, fs.ErrNotExist)
	}
	if n.dir == nil {
		f(n.node.Kind, &n.node.Attr)
		return nil
	}
	if err := e.load(ctx, n.dir); err != nil {
		return err
	}
	f(Dir, &n.dir.attr)
	return nil
}

// Walk calls f for every node, in order, a directory before its entries; the
// root has the path "". The attributes of directories are filled in. If f
// returns fs.SkipDir for a directory, what is below it is left out.
func (e *Edit) Walk(ctx context.Context, f func(path string, n Node) error) error {
	err := e.walk(ctx, "", "", &editNode{dir: e.root}, f)
	if errors.Is(err, fs.SkipDir) {
		return nil
	}
	return err
}

func (e *Edit) walk(ctx context.Context, path, name string, n *editNode, f func(string, Node) error) error {
	if n.dir == nil {
		return f(path, n.asNode(name))
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	digest := n.dir.digest
	if n.dir.loaded {
		digest = Digest{}
	}
	if err := e.load(ctx, n.dir); err != nil {
		return err
	}
	node := n.asNode(name)
	node.Digest = digest
	if err := f(path, node); err != nil {
		if errors.Is(err, fs.SkipDir) {
			return nil
		}
		return err
	}
	for _, child := range sortedKeys(n.dir.entries) {
		below := child
		if path != "" {
			below = path + "/" + child
		}
		if err := e.walk(ctx, below, child, n.dir.entries[child], f); err != nil && !errors.Is(err, fs.SkipDir) {
			return err
		}
	}
	return nil
}

// Finish stores the directories that were changed, through put, and returns
// the root.
func (e *Edit) Finish(ctx context.Context, put func(*Directory) (Digest, error)) (Digest, error) {
	return e.finish(ctx, e.root, put)
}

func (e *Edit) finish(ctx context.Context, d *editDir, put func(*Directory) (Digest, error)) (Digest, error) {
	if !d.loaded {
		return d.digest, nil
	}
	if err := ctx.Err(); err != nil {
		return Digest{}, err
	}
	dir := &Directory{Attr: d.attr, Nodes: make([]Node, 0, len(d.entries))}
	for _, name := range sortedKeys(d.entries) {
		n := d.entries[name]
		if n.dir == nil {
			node := n.node
			node.Name = name
			dir.Nodes = append(dir.Nodes, node)
			continue
		}
		digest, err := e.finish(ctx, n.dir, put)
		if err != nil {
			return Digest{}, err
		}
		dir.Nodes = append(dir.Nodes, Node{Name: name, Kind: Dir, Digest: digest})
	}
	return put(dir)
}

func sortedKeys[V any](m map[string]V) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}
