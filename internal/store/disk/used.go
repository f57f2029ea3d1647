package disk

import (
	"bytes"
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
const usedSuffix = ".used"

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
	const page = 4096
	old := p.usedDays()
	days := bytes.Clone(old)
	for pos := range p.touched.set {
		binary.LittleEndian.PutUint16(days[2*pos:], today)
	}
	p.touched.set = nil
	if bytes.Equal(old, days) {
		return
	}
	f, err := os.OpenFile(p.usedPath(), os.O_WRONLY|os.O_CREATE, 0o666)
	if err != nil {
		return
	}
	defer f.Close()
	if st, err := f.Stat(); err != nil || st.Size() != int64(len(days)) && f.Truncate(int64(len(days))) != nil {
		return
	}
	for at := 0; at < len(days); at += page {
		end := min(at+page, len(days))
		if !bytes.Equal(old[at:end], days[at:end]) {
			_, _ = f.WriteAt(days[at:end], int64(at))
		}
	}
}
