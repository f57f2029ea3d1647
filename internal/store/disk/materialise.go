package disk

import (
	"context"
	"fmt"

	"github.com/labstar/labstar/action"
	"golang.org/x/sys/unix"
)

// TreePath returns a folder that shows the tree of root: the one it was unpacked
// into, or one that is made now of hard links, once.
func (s *Store) TreePath(ctx context.Context, root action.Digest) (string, error) {
	if err := ctx.Err(); err != nil {
		return "", err
	}
	if _, ok := s.trees.Load(root); ok {
		return s.treePath(root), nil
	}
	if !s.Shown(root) {
		if err := s.materialise(ctx, root); err != nil {
			return "", s.explain("laying out a tree in", err)
		}
	}
	s.trees.Store(root, struct{}{})
	return s.treePath(root), nil
}

// Shown reports whether there is a folder that shows the tree of root.
func (s *Store) Shown(root action.Digest) bool {
	return s.find(root, recTree, anyEntry) && exists(s.treePath(root))
}

func (s *Store) materialise(ctx context.Context, root action.Digest) error {
	if !s.find(root, recDir, anyEntry) {
		if err := s.refresh(false); err != nil {
			return err
		}
		if s.Shown(root) {
			return nil
		}
	}
	if _, err := s.Directory(ctx, root); err != nil {
		return err
	}
	if err := s.writeable("laying out a tree in"); err != nil {
		return err
	}
	// One process makes it, the others wait and find it.
	f, err := s.lockFile(ctx, s.path("locks", "show-"+root.Hex()))
	if err != nil {
		return err
	}
	defer releaseFile(f)
	if err := s.refresh(true); err != nil {
		return err
	}
	if s.Shown(root) {
		return nil
	}
	t, err := newTreeFolder(ctx, s)
	if err != nil {
		return err
	}
	t.mu.Lock()
	err = t.lay(t.root, root, 0)
	t.mu.Unlock()
	if err == nil {
		err = t.finish()
	}
	if err != nil {
		t.drop()
		return err
	}
	t.close()
	if err = s.publishTree(ctx, t.path, root, &treeRecords{}); err != nil {
		removeAll(t.path)
	}
	return err
}

// lay makes the entries of the stored directory digest in d. mu is held, which
// no worker needs; length is that of the path of d.
func (t *treeFolder) lay(d *treeDir, digest action.Digest, length int) error {
	dir, err := t.s.Directory(t.ctx, digest)
	if err != nil {
		return err
	}
	if err := t.failed(); err != nil {
		return err
	}
	for i := range dir.Nodes {
		n := &dir.Nodes[i]
		if length+len(n.Name) > maxPath {
			return fmt.Errorf("path of %d bytes, want at most %d: …/%s", length+len(n.Name), maxPath, n.Name)
		}
		switch n.Kind {
		case action.Dir:
			sub, err := t.mkdir(d, n.Name)
			if err == nil {
				err = t.lay(sub.dir, n.Digest, length+len(n.Name)+1)
			}
			if err != nil {
				return err
			}
		case action.Symlink, action.Regular:
			if err := t.layEntry(d, n); err != nil {
				return err
			}
		}
	}
	return nil
}

func (t *treeFolder) layEntry(d *treeDir, n *action.Node) error {
	fd, err := t.pin(d)
	if err != nil {
		return err
	}
	t.claimed()
	if n.Kind == action.Regular {
		t.jobs <- job{dir: d, fd: fd, name: n.Name, digest: n.Digest, exec: n.Attr.Mode&0o100 != 0}
		return nil
	}
	defer t.release(d)
	if err := unix.Symlinkat(n.Target, fd, n.Name); err != nil {
		return fmt.Errorf("making the symlink %q: %w", n.Name, err)
	}
	return setEpochAt(fd, n.Name)
}
