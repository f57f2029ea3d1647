package disk

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/labstar/labstar/action"
)

// rescue keeps the live files of trees that are dropped: each gets a name in
// blobs/. A tree that has a file which can't be linked is kept.
func (g *collector) rescue() error {
	kept, err := g.safe()
	if err != nil {
		return err
	}
	done := make(map[liveKey]struct{})
	for _, p := range *g.s.packs.Load() {
		err := p.each(func(e entry) error {
			k := liveKey{e.hash, e.typ}
			d := action.Digest{Hash: e.hash, Size: e.size}
			_, live := g.live[d]
			_, safe := kept[k]
			_, twice := done[k]
			if e.typ != recFile && e.typ != recExec || !live || safe || twice {
				return nil
			}
			path, root, ok := g.fileOf(p, e)
			if !ok {
				return nil
			}
			if g.linkBlob(path, d, e.typ == recExec) != nil {
				g.trees[root] = struct{}{}
				return nil
			}
			done[k] = struct{}{}
			g.rescued = append(g.rescued, record{typ: e.typ, digest: d})
			g.report.RescuedFiles++
			return g.ctx.Err()
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// fileOf returns the path of the file that e tells of, if it is there and whole.
func (g *collector) fileOf(p *pack, e entry) (path string, root [32]byte, ok bool) {
	_, payload, err := p.read(e)
	if err != nil {
		return "", root, false
	}
	l, err := parseLocation(payload)
	if err != nil || l.path == "" {
		return "", root, false
	}
	path, err = g.s.locate(p, e)
	if err != nil {
		return "", root, false
	}
	st, err := os.Lstat(path)
	return path, l.root, err == nil && st.Mode().IsRegular() && st.Size() == e.size
}

// safe returns the content that blobs/ or a tree that stays holds.
func (g *collector) safe() (map[liveKey]struct{}, error) {
	kept := make(map[liveKey]struct{})
	for _, p := range *g.s.packs.Load() {
		err := p.each(func(e entry) error {
			if e.typ != recFile && e.typ != recExec {
				return nil
			}
			if e.plen == 0 {
				if st, err := os.Lstat(g.s.blobPath(e.hash, e.typ == recExec)); err == nil && st.Size() == e.size {
					kept[liveKey{e.hash, e.typ}] = struct{}{}
				}
				return nil
			}
			if _, root, ok := g.fileOf(p, e); ok {
				if _, ok := g.trees[root]; ok {
					kept[liveKey{e.hash, e.typ}] = struct{}{}
				}
			}
			return g.ctx.Err()
		})
		if err != nil {
			return nil, err
		}
	}
	return kept, nil
}

func (g *collector) linkBlob(path string, d action.Digest, exec bool) error {
	to := g.s.blobPath(d.Hash, exec)
	if err := os.Mkdir(filepath.Dir(to), 0o777); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	tmp, err := g.s.tmp.name(g.s)
	if err != nil {
		return err
	}
	if err := os.Link(path, tmp); err != nil {
		return err
	}
	g.s.step()
	return os.Rename(tmp, to)
}

// rewrite merges all packs into one that tells only what is kept.
func (g *collector) rewrite() error {
	packs := *g.s.packs.Load()
	if len(packs) == 0 {
		return nil
	}
	g.report.KeptBytes, g.report.FreedBytes = g.bytes, 0
	g.files = make(map[liveKey]struct{})
	for _, r := range g.rescued {
		g.files[liveKey{r.digest.Hash, r.typ}] = struct{}{}
	}
	dead := make(map[action.Digest]struct{})
	keep := func(p *pack, e entry) bool {
		d := action.Digest{Hash: e.hash, Size: e.size}
		switch e.typ {
		case recResult:
			_, ok := g.results[liveKey{e.hash, e.typ}]
			return ok
		case recTree:
			_, ok := g.trees[e.hash]
			return ok && exists(g.s.treePath(d))
		}
		if _, ok := g.live[d]; !ok {
			if _, ok := dead[d]; !ok {
				dead[d] = struct{}{}
				g.report.FreedBytes += d.Size
			}
			return false
		}
		return e.typ != recFile && e.typ != recExec || g.keepFile(p, e)
	}
	return g.s.merge(append([]*pack(nil), packs...), keep, g.rescued)
}

// keepFiles notes the files in blobs/ that hold live content.
func (g *collector) keepFiles() {
	g.files = make(map[liveKey]struct{})
	for d := range g.live {
		g.files[liveKey{d.Hash, recFile}] = struct{}{}
		g.files[liveKey{d.Hash, recExec}] = struct{}{}
	}
}

// keepFile reports whether the file that e tells of stays.
func (g *collector) keepFile(p *pack, e entry) bool {
	if e.plen == 0 {
		ok := exists(g.s.blobPath(e.hash, e.typ == recExec))
		if ok {
			g.files[liveKey{e.hash, e.typ}] = struct{}{}
		}
		return ok
	}
	_, root, ok := g.fileOf(p, e)
	if !ok {
		return false
	}
	_, ok = g.trees[root]
	return ok
}
