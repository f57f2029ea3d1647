package disk

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// writer appends to this process' own pack, made at the first record.
type writer struct {
	mu     sync.Mutex
	p      *pack
	f      *os.File // p for writing; its flock says that the writer lives
	linked bool     // packs/ was synced since p was made

	relies atomic.Bool // what another process has not made durable was found since the last sync
}

// chunk is how many bytes of records are gathered before a write.
const chunk = 1 << 20

// append writes records, in order, and makes them visible. After an error some
// of the first ones may have been written, never a part of one.
func (s *Store) append(recs ...record) error {
	s.w.mu.Lock()
	defer s.w.mu.Unlock()
	return s.appendLocked(recs)
}

func (s *Store) appendLocked(recs []record) error {
	if err := s.w.open(s); err != nil {
		return err
	}
	p := s.w.p
	var buf []byte
	entries := make([]entry, 0, len(recs))
	start := p.end
	files := false
	for i := range recs {
		r := &recs[i]
		if len(r.payload) > maxPayload {
			return fmt.Errorf("writing a record of %d bytes, want at most %d", len(r.payload), maxPayload)
		}
		if r.seconds == 0 {
			r.seconds = time.Now().Unix()
		}
		entries = append(entries, entry{typ: r.typ, hash: r.digest.Hash, size: r.digest.Size,
			off: start + int64(len(buf)), plen: uint32(len(r.payload)), seconds: r.seconds, pos: -1})
		files = files || r.typ.namesFile()
		buf = appendRecord(buf, *r)
		if len(buf) < chunk && i < len(recs)-1 {
			continue
		}
		s.step()
		if _, err := s.w.f.WriteAt(buf, start); err != nil {
			// What was written of buf is not counted by anyone, and the next
			// record goes over it.
			return err
		}
		start += int64(len(buf))
		p.mu.Lock()
		for _, e := range entries {
			if e.typ != recCommit {
				p.entries[liveKey{e.hash, e.typ}] = e
			}
		}
		p.end = start
		p.files = p.files || files
		p.mu.Unlock()
		buf, entries = buf[:0], entries[:0]
	}
	return nil
}

// open makes the pack. Its name begins with the time, so that newer packs sort
// after older ones.
func (w *writer) open(s *Store) error {
	if w.p != nil {
		return nil
	}
	if err := s.writeable("writing to"); err != nil {
		return err
	}
	// The pack appears whole, with its header and locked: others never see one
	// that has no header and seems to have no writer.
	tmp, err := s.tmp.name(s)
	if err != nil {
		return err
	}
	f, err := os.OpenFile(tmp, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o666)
	if err != nil {
		return err
	}
	_, err = f.Write(appendPackHeader(nil, s.boot))
	if err == nil {
		_, err = flock(f, true, false)
	}
	name := fmt.Sprintf("%016x-%s", time.Now().UnixNano(), randomName())
	p := &pack{name: name, path: s.path("packs", name+packSuffix), f: f, boot: s.boot, own: true,
		entries: make(map[liveKey]entry), end: headerSize, committed: headerSize}
	// The list must know the pack before refresh can find it in the folder.
	s.refreshMu.Lock()
	defer s.refreshMu.Unlock()
	s.step()
	if err == nil {
		err = os.Rename(tmp, p.path)
	}
	s.step()
	if err != nil {
		f.Close()
		os.Remove(tmp)
		return err
	}
	w.p, w.f, w.linked = p, f, false
	packs := slices.Insert(slices.Clone(*s.packs.Load()), 0, p)
	slices.SortFunc(packs, func(a, b *pack) int { return strings.Compare(b.name, a.name) })
	s.packs.Store(&packs)
	return nil
}

// sync commits what was appended so far. If anything was found that others have
// appended and not committed, all of that is vouched for too: ours may build on it,
// and what was found on more of it.
func (w *writer) sync(s *Store) (err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	relies := w.relies.Swap(false) // before the ends of the packs are looked at
	defer func() {
		if err != nil && relies {
			w.relies.Store(true)
		}
	}()
	var others []tail
	files := false
	if relies {
		// What was found may name what was appended to a pack that was read before.
		if err := s.refresh(true); err != nil {
			return err
		}
		others, files = s.uncommitted()
	}
	own := w.p != nil && w.p.end > w.p.committed
	if own {
		files = files || w.p.files
	}
	if !own && len(others) == 0 || s.readOnly {
		return nil
	}
	if files {
		if err := syncFS(s.lock); err != nil {
			return err
		}
	}
	if err := s.vouch(others, files); err != nil || !own {
		return err
	}
	s.step()
	// Only now, with the files on the disk, may the mark be written that says so.
	if err := s.appendLocked([]record{{typ: recCommit}}); err != nil {
		return err
	}
	s.step()
	if err := datasync(w.f); err != nil {
		return err
	}
	if !w.linked {
		if err := s.syncDir("packs"); err != nil {
			return err
		}
		w.linked = true
	}
	w.p.mu.Lock()
	w.p.committed, w.p.files = w.p.end, false
	w.p.mu.Unlock()
	return nil
}

// tail is the part of another's pack that is not committed.
type tail struct {
	p   *pack
	end int64
}

func (s *Store) uncommitted() (tails []tail, files bool) {
	for _, p := range *s.packs.Load() {
		if p.own || p.boot != s.boot {
			continue
		}
		p.mu.RLock()
		if p.end > p.committed {
			tails = append(tails, tail{p, p.end})
			files = files || p.files
		}
		p.mu.RUnlock()
	}
	return tails, files
}

// vouch makes the tails count after a crash of the machine. synced says that
// all of the file system is on the disk already.
func (s *Store) vouch(tails []tail, synced bool) error {
	for _, t := range tails {
		if !synced {
			if err := datasync(t.p.f); err != nil {
				return err
			}
		}
		s.step()
		f, err := os.Create(s.path("packs", uptoName(t.p.name, t.end)))
		if err != nil {
			return err
		}
		f.Close()
	}
	if len(tails) == 0 {
		return nil
	}
	if err := s.syncDir("packs"); err != nil {
		return err
	}
	for _, t := range tails {
		t.p.mu.Lock()
		t.p.committed = max(t.p.committed, t.end)
		t.p.files = t.p.files && t.p.end > t.end
		t.p.mu.Unlock()
	}
	return nil
}

func (s *Store) syncDir(name string) error {
	d, err := os.Open(s.path(name))
	if err != nil {
		return err
	}
	defer d.Close()
	return d.Sync()
}

// close seals the pack, so that the next process opens it at once.
func (w *writer) close(s *Store) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	p := w.p
	if p == nil {
		return nil
	}
	w.p = nil
	tmp, err := s.tmp.name(s)
	if err == nil {
		err = p.writeIndex(tmp, s.boot)
	}
	if noSpace(err) || errors.Is(err, fs.ErrNotExist) {
		err = nil // the index is only for speed; a later process makes it
	}
	// p.f is w.f and is closed with the packs, which gives up the flock.
	return err
}
