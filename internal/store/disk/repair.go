package disk

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/labstar/labstar/action"
)

// folder compares trees/<root> with its directories.
func (v *verifier) folder(p *pack, e entry, root action.Digest) {
	path := v.s.treePath(root)
	err := v.compare(root, path)
	if err == nil {
		return
	}
	v.badTrees[root.Hash] = struct{}{}
	v.problem(p, e.off, Problem{path, "tree", root, err})
}

// compare reports the first difference between the folder path and the stored
// directory d.
func (v *verifier) compare(d action.Digest, path string) error {
	if err := v.ctx.Err(); err != nil {
		return err
	}
	dir, err := v.s.Directory(v.ctx, d)
	if err != nil {
		return err
	}
	list, err := os.ReadDir(path)
	if err != nil {
		return err
	}
	here := make(map[string]fs.FileInfo, len(list))
	for _, de := range list {
		if here[de.Name()], err = de.Info(); err != nil {
			return err
		}
	}
	for i := range dir.Nodes {
		n := &dir.Nodes[i]
		if n.Kind != action.Dir && n.Kind != action.Regular && n.Kind != action.Symlink {
			continue
		}
		st, ok := here[n.Name]
		if !ok {
			return fmt.Errorf("%s is missing", filepath.Join(path, n.Name))
		}
		delete(here, n.Name)
		if err := v.compareEntry(n, st, filepath.Join(path, n.Name)); err != nil {
			return err
		}
	}
	for name := range here {
		return fmt.Errorf("%s does not belong there", filepath.Join(path, name))
	}
	return nil
}

func (v *verifier) compareEntry(n *action.Node, st fs.FileInfo, path string) error {
	switch {
	case n.Kind == action.Dir && st.IsDir():
		return v.compare(n.Digest, path)
	case n.Kind == action.Symlink && st.Mode()&fs.ModeSymlink != 0:
		target, err := os.Readlink(path)
		if err == nil && target != n.Target {
			err = fmt.Errorf("%s points to %q, want %q", path, target, n.Target)
		}
		return err
	case n.Kind == action.Regular && st.Mode().IsRegular():
		got := v.hash(path)
		if got.err == nil && got.digest != n.Digest {
			got.err = fmt.Errorf("%s holds %s, want %s", path, got.digest, n.Digest)
		}
		if got.err == nil {
			got.err = checkKept(path, n.Attr.Mode&0o100 != 0)
		}
		if got.err != nil {
			v.badFiles = append(v.badFiles, path)
		}
		return got.err
	}
	return fmt.Errorf("%s is a %v, want a %s", path, st.Mode().Type(), n.Kind)
}

// repair checks and then writes the packs again without what is damaged and
// what needs it. The store is locked for this process alone.
func (v *verifier) repair() error {
	if err := v.check(); err != nil {
		return err
	}
	v.s.dirs = dirCache{}
	if len(v.report.Problems) == 0 {
		v.report.Repaired = true
		return nil
	}
	packs := append([]*pack(nil), *v.s.packs.Load()...)
	if len(packs) == 0 {
		return nil
	}
	m, err := v.s.newMerge(packs[0].name)
	if err != nil {
		return err
	}
	defer m.abort()
	if err := syncFS(v.s.lock); err != nil {
		return err
	}
	seen := make(map[liveKey]struct{})
	for _, p := range packs {
		if err := m.take(p, v.entries[p], seen, v.keep); err != nil {
			return err
		}
	}
	if err := m.publish(); err != nil {
		return err
	}
	for _, p := range packs {
		v.s.step()
		removePack(p.path)
	}
	v.s.step()
	// Nothing names these any more; a tree that lost a file stays as the storage
	// of the others until gc.
	for _, path := range v.badFiles {
		if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	v.s.removeOrphans()
	v.report.Repaired = true
	return nil
}

// keep reports whether a record still tells the truth.
func (v *verifier) keep(p *pack, e entry) bool {
	if _, bad := v.bad[badKey{p.name, e.off}]; bad {
		return false
	}
	d := action.Digest{Hash: e.hash, Size: e.size}
	switch e.typ {
	case recDir:
		return v.tree(d) == nil
	case recTree:
		_, bad := v.badTrees[e.hash]
		return !bad && v.tree(d) == nil
	case recResult:
		_, payload, err := p.read(e)
		if err != nil {
			return false
		}
		res, err := action.DecodeResult(payload)
		if err != nil {
			return false
		}
		for _, o := range res.Outputs {
			if _, ok := v.good[o.Digest]; !ok && o.Digest != action.Empty || o.Kind == action.Tree && v.tree(o.Digest) != nil {
				return false
			}
		}
	}
	return true
}
