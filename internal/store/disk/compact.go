package disk

import (
	"cmp"
	"encoding/binary"
	"errors"
	"io/fs"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/labstar/labstar/action"
)

const (
	// fanIn is how many packs are merged at least: each pack costs an open file
	// and a step of every lookup, each merge a few syncs.
	fanIn = 8
	// maxMerge in bytes is how much one process merges at most when it ends.
	maxMerge = 64 << 20
)

// mergeable returns how many of the packs with these sizes, in ascending order,
// are worth a merge: the most of which the largest is no larger than the others
// together, so that a record lands in a pack at least twice as large each time
// it is copied. What merges cost a run is then in proportion to what it writes,
// whatever the store holds, and above fanIn packs each is larger than all the
// smaller ones together, until maxMerge: a store of n MB has n/32 of them and some
// twenty.
func mergeable(sizes []int64, most int64) (n int) {
	sum := int64(0)
	for i, size := range sizes {
		if sum+size > most {
			break
		}
		if i+1 >= fanIn && size <= sum {
			n = i + 1
		}
		sum += size
	}
	return n
}

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
	if sealed = smallest(sealed, s.maxMerge); len(sealed) == 0 {
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
	// What fails here leaves the packs as they were.
	if sealed = smallest(sealed, s.maxMerge); len(sealed) > 0 && s.merge(sealed, nil, nil) == nil {
		s.removeOrphans()
	}
}

// smallest returns the packs that are worth a merge.
func smallest(packs []*pack, most int64) []*pack {
	slices.SortFunc(packs, func(a, b *pack) int { return cmp.Compare(a.end, b.end) })
	sizes := make([]int64, len(packs))
	for i, p := range packs {
		sizes[i] = p.end
	}
	return packs[:mergeable(sizes, most)]
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

// removeOrphans removes what belongs to packs that are gone, and how far others
// vouched for a pack before one vouched further. The compaction lock, or the
// exclusive one, is held.
func (s *Store) removeOrphans() {
	list, err := os.ReadDir(s.path("packs"))
	if err != nil {
		return
	}
	names, upto, err := packNames(s.path("packs"))
	if err != nil {
		return
	}
	list = slices.DeleteFunc(list, func(de os.DirEntry) bool {
		base, off, isUpto := parseUpto(de.Name())
		if isUpto && off < upto[base] {
			return false
		}
		base, _, _ = strings.Cut(de.Name(), ".")
		return slices.Contains(names, base)
	})
	// What goes must not be gone after a crash of the machine that took what
	// makes it superfluous too.
	if len(list) == 0 || s.syncDir("packs") != nil {
		return
	}
	for _, de := range list {
		if err := os.Remove(s.path("packs", de.Name())); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return
		}
	}
}
