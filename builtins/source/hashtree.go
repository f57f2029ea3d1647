package source

import (
	"context"
	"errors"
	"io"

	"github.com/labstar/labstar/action"
)

// hashTree is a TreeWriter that computes the tree's digest and keeps no content.
// It is for one goroutine.
type hashTree struct{ e *action.Edit }

func newHashTree() *hashTree { return &hashTree{action.NewEdit(nil, action.Digest{})} }

func (t *hashTree) Mkdir(path string, a action.Attr) error {
	ctx := context.Background()
	if err := t.e.Mkdir(ctx, path); err != nil {
		return err
	}
	return t.e.SetAttr(ctx, path, func(_ action.Kind, old *action.Attr) { *old = a })
}

func (t *hashTree) File(path string, a action.Attr, r io.Reader) (action.Digest, error) {
	h := action.NewHasher()
	if _, err := io.Copy(h, r); err != nil {
		return action.Digest{}, err
	}
	d := h.Digest()
	return d, t.e.Put(context.Background(), path, action.Node{Kind: action.Regular, Digest: d, Attr: a}, action.Replace)
}

func (t *hashTree) Symlink(path, target string, a action.Attr) error {
	return t.e.Put(context.Background(), path, action.Node{Kind: action.Symlink, Target: target, Attr: a}, action.Replace)
}

func (t *hashTree) Link(path, old string) error {
	n, err := t.e.Lookup(context.Background(), old)
	if err != nil {
		return err
	}
	return t.e.Put(context.Background(), path, n, action.Replace)
}

func (t *hashTree) Device(path string, k action.Kind, major, minor uint32, a action.Attr) error {
	n := action.Node{Kind: k, Major: major, Minor: minor, Attr: a}
	return t.e.Put(context.Background(), path, n, action.Replace)
}

func (t *hashTree) Commit() (action.Digest, error) {
	return t.e.Finish(context.Background(), func(d *action.Directory) (action.Digest, error) {
		return action.Of(d.Encode()), nil
	})
}

func (t *hashTree) Abort() {}

// both writes a tree to a store and hashes it at the same time.
type both struct {
	action.TreeWriter
	sum *hashTree
}

func (b both) Mkdir(path string, a action.Attr) error {
	return errors.Join(b.TreeWriter.Mkdir(path, a), b.sum.Mkdir(path, a))
}

func (b both) File(path string, a action.Attr, r io.Reader) (action.Digest, error) {
	d, err := b.TreeWriter.File(path, a, r)
	if err != nil {
		return d, err
	}
	n := action.Node{Kind: action.Regular, Digest: d, Attr: a}
	return d, b.sum.e.Put(context.Background(), path, n, action.Replace)
}

func (b both) Symlink(path, target string, a action.Attr) error {
	return errors.Join(b.TreeWriter.Symlink(path, target, a), b.sum.Symlink(path, target, a))
}
