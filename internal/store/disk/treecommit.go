package disk

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"slices"

	"github.com/labstar/labstar/action"
)

// Commit publishes the tree: its folder becomes trees/<root>.
func (w *treeWriter) Commit() (action.Digest, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.done {
		return action.Digest{}, errors.New("committing a tree twice")
	}
	w.done = true
	t := w.t
	root, err := t.commit()
	if err != nil {
		t.drop()
		return action.Digest{}, t.s.explain("writing a tree to", err)
	}
	return root, nil
}

// Abort drops what was written.
func (w *treeWriter) Abort() {
	w.mu.Lock()
	defer w.mu.Unlock()
	if !w.done {
		w.done = true
		w.t.drop()
	}
}

func (t *treeFolder) commit() (root action.Digest, err error) {
	if err := t.finish(); err != nil {
		return root, err
	}
	if err := t.ctx.Err(); err != nil {
		return root, err
	}
	t.mu.Lock()
	var c treeRecords
	root, err = t.collect(t.root, "", &c)
	t.mu.Unlock()
	t.close()
	if err != nil {
		return root, err
	}
	return root, t.s.publishTree(t.ctx, t.path, root, &c)
}

// treeRecords are what the packs will tell of a tree: where its files are, and
// its directories, children before parents.
type treeRecords struct {
	files []treeFile
	dirs  []record
}

type treeFile struct {
	digest action.Digest
	exec   bool
	path   string
}

// collect encodes d and all below it.
func (t *treeFolder) collect(d *treeDir, path string, c *treeRecords) (action.Digest, error) {
	dir := &action.Directory{Attr: d.attr, Nodes: make([]action.Node, 0, len(d.entries))}
	for name, n := range d.entries {
		below := name
		if path != "" {
			below = path + "/" + name
		}
		node := n.node
		if n.dir != nil {
			digest, err := t.collect(n.dir, below, c)
			if err != nil {
				return digest, err
			}
			node = action.Node{Name: name, Kind: action.Dir, Digest: digest}
		} else if node.Kind == action.Regular && node.Digest.Size > 0 {
			c.files = append(c.files, treeFile{node.Digest, node.Attr.Mode&0o100 != 0, below})
		}
		dir.Nodes = append(dir.Nodes, node)
	}
	return c.add(dir)
}

// add sorts and encodes one directory.
func (c *treeRecords) add(dir *action.Directory) (action.Digest, error) {
	dir.Sort()
	if err := dir.Validate(); err != nil {
		return action.Digest{}, err
	}
	raw := dir.Encode()
	d := action.Of(raw)
	c.dirs = append(c.dirs, record{typ: recDir, digest: d, payload: raw})
	return d, nil
}

// records returns the records of the tree of root, in the order in which each
// names only what came before it. A blob that is there twice is told once.
func (c *treeRecords) records(root action.Digest) []record {
	slices.SortFunc(c.files, func(a, b treeFile) int {
		return cmp.Or(a.digest.Compare(b.digest), cmp.Compare(a.path, b.path))
	})
	recs := make([]record, 0, len(c.files)+len(c.dirs)+1)
	var last [2]action.Digest
	for _, f := range c.files {
		typ, i := recFile, 0
		if f.exec {
			typ, i = recExec, 1
		}
		if last[i] == f.digest {
			continue
		}
		last[i] = f.digest
		recs = append(recs, record{typ: typ, digest: f.digest, payload: location{root.Hash, f.path}.encode()})
	}
	seen := make(map[action.Digest]struct{}, len(c.dirs))
	for _, r := range c.dirs {
		if _, ok := seen[r.digest]; !ok {
			seen[r.digest] = struct{}{}
			recs = append(recs, r)
		}
	}
	return append(recs, record{typ: recTree, digest: root})
}

// publishTree moves the folder dir to trees/<root> and tells the packs. Of two
// processes that publish the same tree one wins, and the other drops its own.
func (s *Store) publishTree(ctx context.Context, dir string, root action.Digest, c *treeRecords) error {
	f, err := s.lockFile(ctx, s.path("locks", "tree-"+root.Hex()))
	if err != nil {
		return err
	}
	defer releaseFile(f)
	if err := s.refresh(true); err != nil {
		return err
	}
	path := s.treePath(root)
	if exists(path) {
		if s.find(root, recTree, anyEntry) {
			removeAll(dir)
			return nil
		}
		// Nothing tells of it: its maker was killed, or the machine crashed and
		// its files may be torn.
		stale, err := s.tmp.name(s)
		if err != nil {
			return err
		}
		if err := os.Rename(path, stale); err != nil {
			return err
		}
		defer removeAll(stale)
		s.step()
	}
	s.step()
	if err := os.Rename(dir, path); err != nil {
		return fmt.Errorf("publishing a tree: %w", err)
	}
	s.step()
	return s.append(c.records(root)...)
}
