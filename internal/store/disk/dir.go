package disk

import (
	"context"
	"fmt"
	"sync"

	"github.com/labstar/labstar/action"
	"github.com/labstar/labstar/internal/store"
)

// dirCache keeps directories that were decoded, up to a number of nodes.
type dirCache struct {
	mu    sync.Mutex
	dirs  map[action.Digest]*action.Directory
	nodes int
}

const maxCachedNodes = 50_000

func (c *dirCache) get(d action.Digest) *action.Directory {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.dirs[d]
}

func (c *dirCache) put(d action.Digest, dir *action.Directory) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.dirs == nil || c.nodes > maxCachedNodes {
		c.dirs, c.nodes = make(map[action.Digest]*action.Directory), 0
	}
	c.dirs[d] = dir
	c.nodes += len(dir.Nodes) + 1
}

// Directory reads one directory. The caller must not change it.
func (s *Store) Directory(ctx context.Context, d action.Digest) (*action.Directory, error) {
	if dir := s.dirs.get(d); dir != nil {
		return dir, nil
	}
	b, err := s.OpenBlob(ctx, d)
	if err != nil {
		return nil, err
	}
	defer b.Close()
	raw := make([]byte, b.Size())
	if _, err := b.ReadAt(raw, 0); err != nil && len(raw) > 0 {
		return nil, damaged(d, err)
	}
	dir, err := action.DecodeDirectory(raw)
	if err != nil {
		return nil, fmt.Errorf("reading directory %s: %w", d, err)
	}
	s.dirs.put(d, dir)
	return dir, nil
}

// PutDirectory stores one directory. What it names must be in the store: so
// whoever has a root has the whole tree.
func (s *Store) PutDirectory(ctx context.Context, dir *action.Directory) (action.Digest, error) {
	if err := ctx.Err(); err != nil {
		return action.Digest{}, err
	}
	if err := dir.Validate(); err != nil {
		return action.Digest{}, fmt.Errorf("storing a directory: %w", err)
	}
	raw := dir.Encode()
	d := action.Of(raw)
	if s.find(d, recDir, anyEntry) {
		return d, nil
	}
	for i := range dir.Nodes {
		n := &dir.Nodes[i]
		if n.Kind == action.Regular && !s.Has(n.Digest) ||
			n.Kind == action.Dir && !s.find(n.Digest, recDir, anyEntry) {
			return action.Digest{}, fmt.Errorf("storing a directory: its %s %q (%s): %w", n.Kind, n.Name, n.Digest, store.ErrNotFound)
		}
	}
	return d, s.explain("writing to", s.append(record{typ: recDir, digest: d, payload: raw}))
}

// HasTree reports whether the tree of root is there, whole.
func (s *Store) HasTree(root action.Digest) bool {
	if !s.find(root, recDir, anyEntry) {
		return false
	}
	if s.find(root, recTree, anyEntry) && !exists(s.treePath(root)) {
		// Somebody removed the folder, and maybe the only copies of its files.
		return s.checkTree(context.Background(), root) == nil
	}
	return true
}

// checkTree reports the first thing that the tree of root lacks.
func (s *Store) checkTree(ctx context.Context, root action.Digest) error {
	dir, err := s.Directory(ctx, root)
	if err != nil {
		return err
	}
	for i := range dir.Nodes {
		n := &dir.Nodes[i]
		switch {
		case n.Kind == action.Regular && !s.Has(n.Digest):
			return notFound("blob", n.Digest)
		case n.Kind == action.Dir:
			if err := s.checkTree(ctx, n.Digest); err != nil {
				return err
			}
		}
	}
	return nil
}

func (s *Store) treePath(root action.Digest) string { return s.path("trees", root.Hex()) }
