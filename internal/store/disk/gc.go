package disk

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/labstar/labstar/action"
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
	if err := g.dropHeadless(); err != nil {
		return err
	}
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

// dropHeadless removes packs that lost their header in a crash of the machine:
// nothing in them counts, and nobody can be writing them.
func (g *collector) dropHeadless() error {
	names, _, err := packNames(g.s.path("packs"))
	if err != nil {
		return err
	}
	loaded := *g.s.packs.Load()
	for _, name := range names {
		if !slices.ContainsFunc(loaded, func(p *pack) bool { return p.name == name }) {
			removePack(g.s.path("packs", name+packSuffix))
			g.report.OtherFiles++
		}
	}
	return nil
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
	sweepTmp(g.s.path("tmp"))
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
