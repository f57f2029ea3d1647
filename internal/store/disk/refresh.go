package disk

import (
	"errors"
	"io/fs"
	"os"
	"slices"
	"strings"
	"time"
)

// racyTime is how long after a change of a folder its modification time may not
// show another change: the kernel's clock for it is coarse.
const racyTime = 50 * time.Millisecond

// refresh takes in what other processes have published since the last call. With
// force it looks for new packs even if packs/ seems unchanged.
func (s *Store) refresh(force bool) error {
	s.refreshMu.Lock()
	defer s.refreshMu.Unlock()
	for _, p := range *s.packs.Load() {
		if p.idx == nil && !p.own {
			if err := p.readTail(s.boot, true); err != nil {
				return err
			}
		}
	}
	st, err := os.Stat(s.path("packs"))
	if err != nil {
		return err
	}
	if !force && st.ModTime().Equal(s.packsTime) && s.listed.Sub(s.packsTime) > racyTime {
		return nil
	}
	now := time.Now()
	if err := s.list(); err != nil {
		return err
	}
	s.listed, s.packsTime = now, st.ModTime()
	return nil
}

// list opens the packs that are new. When one vanishes on the way it was merged
// into another, which is in the folder already: then it looks again.
func (s *Store) list() error {
	for {
		again, err := s.listOnce()
		if err != nil || !again {
			return err
		}
	}
}

func (s *Store) listOnce() (again bool, err error) {
	names, upto, err := packNames(s.path("packs"))
	if err != nil {
		return false, err
	}
	known := *s.packs.Load()
	have := make(map[string]bool, len(known))
	for _, p := range known {
		have[p.name] = true
	}
	packs := slices.Clone(known)
	for _, name := range names {
		if have[name] {
			continue
		}
		p, err := s.load(name, upto[name])
		if errors.Is(err, fs.ErrNotExist) {
			again = true
			continue
		}
		if errors.Is(err, errTorn) {
			continue // no header: a crash of the machine took it
		}
		if err != nil {
			return false, err
		}
		packs = append(packs, p)
	}
	if len(packs) > len(known) {
		slices.SortFunc(packs, func(a, b *pack) int { return strings.Compare(b.name, a.name) })
		s.packs.Store(&packs)
	}
	return again, nil
}

// load opens the pack called name, by its index if it has one; a pack whose
// writer is gone gets one.
func (s *Store) load(name string, upto int64) (*pack, error) {
	p, err := openPack(s.path("packs"), name)
	if err != nil {
		return nil, err
	}
	if p.loadIndex(s.boot) {
		if upto >= p.end {
			p.committed = p.end
		}
		return p, nil
	}
	dead, err := flock(p.f, true, false)
	if err == nil {
		p.committed = max(p.committed, upto)
		err = p.readTail(s.boot, !dead)
	}
	if err == nil && dead && !s.readOnly {
		s.seal(p, upto)
	}
	if dead {
		unlock(p.f)
	}
	if err != nil {
		p.close()
		return nil, err
	}
	return p, nil
}

// seal writes the index of a pack that nobody writes to any more. It is only for
// speed: an index that can't be written is made by a later process.
func (s *Store) seal(p *pack, upto int64) {
	if upto >= p.end || p.boot != s.boot {
		p.committed = p.end // of an earlier boot only what is committed counts
	}
	tmp, err := s.tmp.name(s)
	if err == nil && p.writeIndex(tmp, s.boot) == nil {
		committed := p.committed
		p.loadIndex(s.boot)
		p.committed = max(p.committed, committed)
	}
}
