package disk

import (
	"cmp"
	"encoding/binary"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/labstar/labstar/action"
	"github.com/labstar/labstar/internal/store"
)

// What gc marks as live: roots, then results by their last use, then content
// that was stored lately.

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
