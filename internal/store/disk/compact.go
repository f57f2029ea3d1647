package disk

import (
	"cmp"
	"encoding/binary"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/labstar/labstar/action"
)

const (
	// maxPacks is how many sealed packs a store has before the small ones are
	// merged: each costs an open file and a step of every lookup.
	maxPacks = 8
	// maxMerge in bytes is how much one process merges when it ends.
	maxMerge = 64 << 20
)

// compact merges small sealed packs into one. It never waits for anybody, and
// may be killed at any moment: the merged pack appears whole, before the others
// go, and processes that have those open go on reading them.
func (s *Store) compact() {
	var sealed []*pack
	for _, p := range *s.packs.Load() {
		if p.idx != nil || p.own && p.loadIndex(s.boot) {
			sealed = append(sealed, p)
		}
	}
	if len(sealed) <= maxPacks {
		return
	}
	f, err := os.OpenFile(s.path("locks", "compact"), os.O_RDWR|os.O_CREATE, 0o666)
	if err != nil {
		return
	}
	defer f.Close()
	if ok, err := flock(f, true, false); err != nil || !ok {
		return
	}
	sealed = slices.DeleteFunc(sealed, func(p *pack) bool { return !exists(p.path) }) // merged by another
	slices.SortFunc(sealed, func(a, b *pack) int { return cmp.Compare(a.end, b.end) })
	n, sum := 0, int64(0)
	for n < len(sealed) && (sum+sealed[n].end <= maxMerge || len(sealed)-n > 3*maxPacks) {
		sum += sealed[n].end
		n++
	}
	if n < 2 || len(sealed) <= maxPacks {
		return
	}
	// What fails here leaves the packs as they were.
	if s.merge(sealed[:n], nil, nil) == nil {
		s.removeOrphans()
	}
}

// merge writes one pack with the records of packs, newest first, that keep (if
// it is not nil) wants, and with more, and removes them. The new pack is durable.
func (s *Store) merge(packs []*pack, keep func(*pack, entry) bool, more []record) error {
	slices.SortFunc(packs, func(a, b *pack) int { return strings.Compare(b.name, a.name) })
	m, err := s.newMerge(packs[0].name)
	if err != nil {
		return err
	}
	defer m.abort()
	// Files that are named must be on the disk before the mark that says so.
	if len(more) > 0 || slices.ContainsFunc(packs, func(p *pack) bool { return p.committed < p.end && p.files }) {
		if err := syncFS(s.lock); err != nil {
			return err
		}
	}
	seen := make(map[liveKey]struct{})
	for _, r := range more {
		seen[liveKey{r.digest.Hash, r.typ}] = struct{}{}
		if err := m.add(r); err != nil {
			return err
		}
	}
	for _, p := range packs {
		if err := m.take(p, p.all(), seen, keep); err != nil {
			return err
		}
	}
	if err := m.publish(); err != nil {
		return err
	}
	for _, p := range packs {
		s.step()
		removePack(p.path)
	}
	s.step()
	return nil
}

func removePack(path string) {
	base := strings.TrimSuffix(path, packSuffix)
	os.Remove(path)
	os.Remove(base + idxSuffix)
	os.Remove(base + usedSuffix)
}

// merging is a pack that is being written from others.
type merging struct {
	s       *Store
	name    string
	tmp     string
	f       *os.File
	buf     []byte
	off     int64 // of buf
	entries []entry
	done    bool
}

// newMerge begins a pack that sorts where the pack called newest does.
func (s *Store) newMerge(newest string) (*merging, error) {
	tmp, err := s.tmp.name(s)
	if err != nil {
		return nil, err
	}
	f, err := os.OpenFile(tmp, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o666)
	if err != nil {
		return nil, err
	}
	stamp, _, _ := strings.Cut(newest, "-")
	return &merging{s: s, name: stamp + "-" + randomName(), tmp: tmp, f: f, buf: appendPackHeader(nil, s.boot)}, nil
}

func (m *merging) abort() {
	m.f.Close()
	if !m.done {
		os.Remove(m.tmp)
	}
}

// take copies those of the records of p that no newer pack had.
func (m *merging) take(p *pack, entries []entry, seen map[liveKey]struct{}, keep func(*pack, entry) bool) error {
	entries = slices.DeleteFunc(entries, func(e entry) bool {
		_, ok := seen[liveKey{e.hash, e.typ}]
		return ok || keep != nil && !keep(p, e)
	})
	slices.SortFunc(entries, func(a, b entry) int { return cmp.Compare(a.off, b.off) })
	var days []byte
	if p.idx != nil {
		days = p.usedDays()
	}
	for _, e := range entries {
		h, payload, err := p.read(e)
		if err != nil {
			continue // damaged: as good as gone, and an older pack may have it whole
		}
		seen[liveKey{e.hash, e.typ}] = struct{}{}
		if e.pos >= 0 {
			used := dayZero.AddDate(0, 0, int(binary.LittleEndian.Uint16(days[2*e.pos:]))).Unix()
			h.seconds = max(h.seconds, used)
		}
		if err := m.add(record{typ: h.typ, digest: h.digest, seconds: h.seconds, payload: payload}); err != nil {
			return err
		}
	}
	return nil
}

func (m *merging) add(r record) error {
	if r.typ != recCommit {
		m.entries = append(m.entries, entry{typ: r.typ, hash: r.digest.Hash, size: r.digest.Size,
			off: m.off + int64(len(m.buf)), plen: uint32(len(r.payload)), pos: -1})
	}
	m.buf = appendRecord(m.buf, r)
	if len(m.buf) < chunk {
		return nil
	}
	return m.flush()
}

func (m *merging) flush() error {
	n, err := m.f.Write(m.buf)
	m.off += int64(n)
	m.buf = m.buf[:0]
	return err
}

// publish makes the pack durable and visible: first the index, which means
// nothing alone, then the pack.
func (m *merging) publish() error {
	err := m.add(record{typ: recCommit, digest: action.Digest{}, seconds: time.Now().Unix()})
	if err == nil {
		err = m.flush()
	}
	if err == nil {
		err = datasync(m.f)
	}
	if err != nil {
		return err
	}
	base := m.s.path("packs", m.name)
	x := encodeIndex(m.entries, m.off, m.s.boot, idxCommitted|idxDurable)
	m.s.step()
	if err := writeFile(m.tmp+"i", base+idxSuffix, x, true); err != nil {
		return err
	}
	m.s.step()
	if err := os.Rename(m.tmp, base+packSuffix); err != nil {
		os.Remove(base + idxSuffix)
		return err
	}
	m.done = true
	m.s.step()
	return m.s.syncDir("packs")
}

// removeOrphans removes what belongs to packs that are gone. The compaction
// lock, or the exclusive one, is held.
func (s *Store) removeOrphans() {
	list, err := filepath.Glob(s.path("packs", "*.upto.*"))
	if err != nil {
		return
	}
	names, _, others, err := packNames(s.path("packs"))
	if err != nil {
		return
	}
	for _, path := range list {
		others = append(others, filepath.Base(path))
	}
	for _, name := range others {
		base, _, _ := strings.Cut(name, ".")
		if !slices.Contains(names, base) {
			if err := os.Remove(s.path("packs", name)); err != nil && !errors.Is(err, fs.ErrNotExist) {
				return
			}
		}
	}
}
