package disk

import (
	"encoding/binary"
	"os"
	"strings"
	"sync"
	"time"
)

// When a result was last used is kept to the day: beside the index of a pack a
// file .used holds, for each entry, the day as u16, counted from 2020-01-01. It
// is written when the store closes and only where a day changed. Losing it costs
// nothing but the order in which gc drops results.
const (
	usedSuffix = ".used"
	usedPage   = 4096 // bytes that are read and written at once
)

var dayZero = time.Date(2020, 1, 1, 0, 0, 0, 0, time.UTC)

func dayOf(t time.Time) uint16 { return uint16(max(t.Sub(dayZero)/(24*time.Hour), 0)) }

// touches gathers the entries of a sealed pack that were used.
type touches struct {
	mu  sync.Mutex
	set map[int]struct{}
}

func (t *touches) add(pos int) {
	if pos < 0 {
		return // of a live pack: the record is new enough
	}
	t.mu.Lock()
	if t.set == nil {
		t.set = make(map[int]struct{})
	}
	t.set[pos] = struct{}{}
	t.mu.Unlock()
}

func (p *pack) usedPath() string { return strings.TrimSuffix(p.path, packSuffix) + usedSuffix }

// usedDays reads the last days of use of a sealed pack, two bytes an entry.
func (p *pack) usedDays() []byte {
	days := make([]byte, 2*p.idx.n)
	if b, err := os.ReadFile(p.usedPath()); err == nil && len(b) == len(days) {
		return b
	}
	return days
}

// flushTouches writes the days of use.
func (s *Store) flushTouches() {
	today := dayOf(time.Now())
	for _, p := range *s.packs.Load() {
		if p.idx != nil && len(p.touched.set) > 0 {
			p.flushTouches(today)
		}
	}
}

func (p *pack) flushTouches(today uint16) {
	pages := make(map[int][]int)
	for pos := range p.touched.set {
		pages[2*pos/usedPage] = append(pages[2*pos/usedPage], pos)
	}
	p.touched.set = nil
	f, err := os.OpenFile(p.usedPath(), os.O_RDWR|os.O_CREATE, 0o666)
	if err != nil {
		return
	}
	defer f.Close()
	size := int64(2 * p.idx.n)
	if st, err := f.Stat(); err != nil || st.Size() != size && f.Truncate(size) != nil {
		return
	}
	var buf [usedPage]byte
	for page, positions := range pages {
		at := page * usedPage
		days := buf[:min(usedPage, int(size)-at)]
		if _, err := f.ReadAt(days, int64(at)); err != nil {
			return
		}
		changed := false
		for _, pos := range positions {
			day := days[2*pos-at:]
			changed = changed || binary.LittleEndian.Uint16(day) != today
			binary.LittleEndian.PutUint16(day, today)
		}
		if changed {
			_, _ = f.WriteAt(days, int64(at))
		}
	}
}
