package disk

import (
	"cmp"
	"context"
	"encoding/binary"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/labstar/labstar/action"
	"github.com/labstar/labstar/internal/store"
)

// Policy says what gc keeps.
type Policy struct {
	// MaxBytes is how large the store may be, in bytes of content. What roots
	// and recent use keep stays even if it is more.
	MaxBytes int64
	// KeepRecent keeps every result that was used, and everything that was
	// stored, within that time. Use is known to the day.
	KeepRecent time.Duration
	// Roots are kept besides those of AddRoot.
	Roots []action.Digest
}

// Report says what gc did.
type Report struct {
	Kept, Dropped               int   // results
	KeptBytes, FreedBytes       int64 // of content
	DroppedTrees, DroppedBlobs  int   // folders in trees/, files in blobs/
	RescuedFiles                int   // files of dropped trees that others need, kept as blobs
	OtherFiles, UnreadableRoots int   // temporary files and logs that went; roots of which parts are missing
}

// GC drops what the policy does not keep, the least recently used results first.
// It waits until no other process has the store open, or ctx ends; nothing else
// may use this Store meanwhile. Folders are emptied after the store is free again.
func (s *Store) GC(ctx context.Context, p Policy) (*Report, error) {
	if err := s.writeable("collecting garbage in"); err != nil {
		return nil, err
	}
	g := &collector{s: s, ctx: ctx, policy: p, live: map[action.Digest]struct{}{}, dirs: map[action.Digest]struct{}{}, trees: map[[32]byte]struct{}{},
		results: map[liveKey]struct{}{}, report: &Report{}}
	err := s.sweep(ctx, g.run)
	for _, path := range g.trash {
		s.step()
		removeAll(path)
	}
	if err != nil {
		return nil, s.explain("collecting garbage in", err)
	}
	return g.report, nil
}

// sweep runs f with the store to itself and every pack sealed, as far as it was
// not compacted; then it opens the packs that f left.
func (s *Store) sweep(ctx context.Context, f func() error) error {
	if err := s.w.close(s); err != nil {
		return err
	}
	s.flushTouches()
	s.reopen()
	back, err := s.exclusive(ctx)
	if err != nil {
		return err
	}
	defer back()
	if err := s.refresh(true); err != nil {
		return err
	}
	err = f()
	s.reopen()
	s.trees.Clear()
	return errors.Join(err, s.refresh(true))
}

// reopen forgets every pack; the next refresh opens those that are there.
func (s *Store) reopen() {
	s.refreshMu.Lock()
	defer s.refreshMu.Unlock()
	for _, p := range *s.packs.Load() {
		p.close()
	}
	s.packs.Store(new([]*pack))
}

// collector is one run of gc.
type collector struct {
	s      *Store
	ctx    context.Context
	policy Policy
	report *Report

	live    map[action.Digest]struct{} // content
	dirs    map[action.Digest]struct{} // live content that is kept as a directory, with all below it
	trees   map[[32]byte]struct{}      // roots that live results and roots name
	results map[liveKey]struct{}
	bytes   int64
	rescued []record
	files   map[liveKey]struct{} // those in blobs/ that the rewritten packs tell of
	trash   []string
}

func (g *collector) run() error {
	roots, err := g.s.Roots(true)
	if err != nil {
		return err
	}
	for _, r := range roots {
		for _, d := range r.Digests {
			g.root(d)
		}
	}
	for _, d := range g.policy.Roots {
		g.root(d)
	}
	if err := g.markResults(); err != nil {
		return err
	}
	if err := g.markRecent(); err != nil {
		return err
	}
	if err := g.rescue(); err != nil {
		return err
	}
	if err := g.rewrite(); noSpace(err) {
		// The disk is so full that the new pack has no room. What is dropped goes
		// first then: readers look whether a file is there.
		g.keepFiles()
		if err := g.removeFiles(); err != nil {
			return err
		}
		for _, path := range g.trash {
			removeAll(path)
		}
		if err := g.rewrite(); err != nil {
			return err
		}
	} else if err != nil {
		return err
	}
	return g.removeFiles()
}

func (g *collector) root(d action.Digest) {
	if g.mark(d, true) != nil {
		g.report.UnreadableRoots++
	}
}

// mark makes the content of d live; a directory with all below it. What is
// missing is an error, after everything else of d is marked.
func (g *collector) mark(d action.Digest, maybeTree bool) error {
	isDir := maybeTree && g.s.find(d, recDir, anyEntry)
	if isDir {
		g.trees[d.Hash] = struct{}{}
	}
	if isDir {
		return g.markDir(d)
	}
	return g.markBlob(d)
}

func (g *collector) markBlob(d action.Digest) error {
	if _, ok := g.live[d]; ok || d == action.Empty {
		return nil
	}
	if !g.s.Has(d) {
		return notFound("blob", d)
	}
	g.live[d] = struct{}{}
	g.bytes += d.Size
	return nil
}

func (g *collector) markDir(d action.Digest) error {
	if _, ok := g.dirs[d]; ok {
		return nil
	}
	if err := g.ctx.Err(); err != nil {
		return err
	}
	dir, err := g.s.Directory(g.ctx, d)
	if err != nil {
		return err
	}
	g.dirs[d], g.live[d] = struct{}{}, struct{}{}
	g.bytes += d.Size
	for i := range dir.Nodes {
		n := &dir.Nodes[i]
		var nerr error
		switch n.Kind {
		case action.Dir:
			nerr = g.markDir(n.Digest)
		case action.Regular:
			nerr = g.markBlob(n.Digest)
		}
		err = cmp.Or(err, nerr)
	}
	return err
}

// keptResult is a result with the time of its last use.
type keptResult struct {
	key  liveKey
	size int64
	used int64 // unix seconds
	res  *action.Result
}

func (g *collector) allResults() ([]keptResult, error) {
	var all []keptResult
	seen := make(map[liveKey]struct{})
	for _, p := range *g.s.packs.Load() {
		var days []byte
		if p.idx != nil {
			days = p.usedDays()
		}
		err := p.each(func(e entry) error {
			k := liveKey{e.hash, e.typ}
			if _, ok := seen[k]; ok || e.typ != recResult {
				return nil
			}
			h, payload, err := p.read(e)
			if err != nil {
				return nil // as good as gone
			}
			res, err := action.DecodeResult(payload)
			if err != nil || !g.s.hasOutputs(res) {
				return nil
			}
			used := h.seconds
			if e.pos >= 0 {
				if day := int(binary.LittleEndian.Uint16(days[2*e.pos:])); day > 0 {
					used = max(used, dayZero.AddDate(0, 0, day+1).Unix())
				}
			}
			seen[k] = struct{}{}
			all = append(all, keptResult{key: k, size: h.digest.Size, used: used, res: res})
			return g.ctx.Err()
		})
		if err != nil {
			return nil, err
		}
	}
	return all, nil
}

// markResults keeps results, the latest used first, as far as the policy goes.
func (g *collector) markResults() error {
	all, err := g.allResults()
	if err != nil {
		return err
	}
	slices.SortFunc(all, func(a, b keptResult) int {
		return cmp.Or(cmp.Compare(b.used, a.used), strings.Compare(string(a.key.hash[:]), string(b.key.hash[:])))
	})
	cutoff := time.Now().Add(-g.policy.KeepRecent).Unix()
	full := false
	for _, r := range all {
		recent := g.policy.KeepRecent > 0 && r.used >= cutoff
		if !recent && !g.allLive(r.res) {
			// One that does not fit ends it: what was used before it is older.
			if full = full || g.bytes+g.cost(r.res) > g.policy.MaxBytes; full {
				g.report.Dropped++
				continue
			}
		}
		for _, o := range r.res.Outputs {
			if err := g.mark(o.Digest, o.Kind == action.Tree); err != nil && !errors.Is(err, store.ErrNotFound) {
				return err
			}
		}
		if !r.res.Log.IsZero() {
			_ = g.mark(r.res.Log, false)
		}
		g.results[r.key] = struct{}{}
		g.report.Kept++
	}
	return nil
}

func (g *collector) allLive(r *action.Result) bool {
	for _, o := range r.Outputs {
		if _, ok := g.live[o.Digest]; !ok && o.Digest != action.Empty {
			return false
		}
	}
	return true
}

// cost returns how many bytes of content a result would add.
func (g *collector) cost(r *action.Result) (n int64) {
	seen := make(map[action.Digest]struct{})
	var add func(d action.Digest, dir bool)
	add = func(d action.Digest, dir bool) {
		if _, ok := g.live[d]; ok {
			return
		}
		if _, ok := seen[d]; ok {
			return
		}
		seen[d] = struct{}{}
		n += d.Size
		if !dir {
			return
		}
		if dir, err := g.s.Directory(g.ctx, d); err == nil {
			for _, k := range dir.Nodes {
				if k.Kind == action.Dir || k.Kind == action.Regular {
					add(k.Digest, k.Kind == action.Dir)
				}
			}
		}
	}
	for _, o := range r.Outputs {
		add(o.Digest, o.Kind == action.Tree)
	}
	return n
}

// markRecent keeps content that was stored lately, named by a result or not.
func (g *collector) markRecent() error {
	if g.policy.KeepRecent <= 0 {
		return nil
	}
	cutoff := time.Now().Add(-g.policy.KeepRecent).Unix()
	for _, p := range *g.s.packs.Load() {
		err := p.each(func(e entry) error {
			d := action.Digest{Hash: e.hash, Size: e.size}
			if e.typ == recResult {
				return g.ctx.Err()
			}
			if _, ok := g.live[d]; ok && e.typ != recTree {
				return g.ctx.Err()
			}
			if h, _, err := p.read(e); err == nil && h.seconds >= cutoff {
				_ = g.mark(d, e.typ == recDir || e.typ == recTree)
			}
			return g.ctx.Err()
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// removeFiles puts away what no record names any more.
func (g *collector) removeFiles() error {
	list, err := os.ReadDir(g.s.path("trees"))
	if err != nil {
		return err
	}
	for _, de := range list {
		hash, err := action.ParseHash(de.Name())
		if _, ok := g.trees[hash]; ok && err == nil {
			continue
		}
		if err := g.discard(g.s.path("trees", de.Name())); err != nil {
			return err
		}
		g.report.DroppedTrees++
	}
	blobs, err := filepath.Glob(g.s.path("blobs", "*", "*"))
	if err != nil {
		return err
	}
	for _, path := range blobs {
		hash, err := action.ParseHash(strings.TrimSuffix(filepath.Base(path), ".x"))
		typ := recFile
		if strings.HasSuffix(path, ".x") {
			typ = recExec
		}
		if _, ok := g.files[liveKey{hash, typ}]; ok && err == nil {
			continue
		}
		g.s.step()
		if err := os.Remove(path); err != nil {
			return err
		}
		g.report.DroppedBlobs++
	}
	return g.removeOther()
}

// removeOther removes locks, which nobody holds now, and old logs.
func (g *collector) removeOther() error {
	locks, err := filepath.Glob(g.s.path("locks", "*"))
	if err != nil {
		return err
	}
	logs, err := filepath.Glob(g.s.path("logs", "*"))
	if err != nil {
		return err
	}
	cutoff := time.Now().Add(-g.policy.KeepRecent)
	for _, path := range logs {
		if st, err := os.Lstat(path); err == nil && st.ModTime().Before(cutoff) {
			locks = append(locks, path)
		}
	}
	for _, path := range locks {
		if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		g.report.OtherFiles++
	}
	g.s.sweepTmp()
	g.s.removeOrphans()
	return nil
}

// discard moves path away, to be removed when the store is free again.
func (g *collector) discard(path string) error {
	tmp, err := g.s.tmp.name(g.s)
	g.s.step()
	if err == nil {
		err = os.Rename(path, tmp)
	}
	if err == nil {
		g.trash = append(g.trash, tmp)
	}
	return err
}
