package disk

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
)

// A pack is one file of records. One process writes it, holding its flock; when
// that process ends, whoever comes next seals it: gives it an index.
type pack struct {
	name string // of the file in packs/, without .pack
	path string
	f    *os.File
	boot bootID

	idx *index // of a sealed pack, else nil

	// Of a pack that is written, by this process or another. entries holds what
	// was read up to end; committed is how far it is known to be on the disk.
	mu        sync.RWMutex
	entries   map[liveKey]entry
	end       int64
	committed int64
	files     bool // a record after committed names a file
	own       bool

	touched touches
}

type liveKey struct {
	hash [32]byte
	typ  recType
}

const packSuffix, idxSuffix = ".pack", ".idx"

// find returns where the pack tells about hash, if it does.
func (p *pack) find(hash *[32]byte, typ recType) (entry, bool) {
	if p.idx != nil {
		return p.idx.find(hash, typ)
	}
	p.mu.RLock()
	defer p.mu.RUnlock()
	e, ok := p.entries[liveKey{*hash, typ}]
	return e, ok
}

// durable reports whether the record at off is known to be on the disk.
func (p *pack) durable(off int64) bool {
	p.mu.RLock()
	defer p.mu.RUnlock()
	return off < p.committed
}

// each calls f for every entry.
func (p *pack) each(f func(entry) error) error {
	if p.idx != nil {
		for i := range p.idx.n {
			if err := f(p.idx.at(i)); err != nil {
				return err
			}
		}
		return nil
	}
	p.mu.RLock()
	all := make([]entry, 0, len(p.entries))
	for _, e := range p.entries {
		all = append(all, e)
	}
	p.mu.RUnlock()
	for _, e := range all {
		if err := f(e); err != nil {
			return err
		}
	}
	return nil
}

// all returns every entry.
func (p *pack) all() []entry {
	var all []entry
	_ = p.each(func(e entry) error {
		all = append(all, e)
		return nil
	})
	return all
}

// read returns the header and payload of the record of e.
func (p *pack) read(e entry) (header, []byte, error) {
	if e.plen > maxPayload {
		return header{}, nil, p.damaged(e.off, errTorn)
	}
	b := make([]byte, headerSize+int(e.plen))
	if _, err := p.f.ReadAt(b, e.off); err != nil {
		return header{}, nil, p.damaged(e.off, err)
	}
	h, err := parseRecord(b)
	if err == nil && (h.digest.Hash != e.hash || h.typ != e.typ) {
		err = errTorn
	}
	if err == nil {
		err = h.check(b[headerSize:])
	}
	if err != nil {
		return h, nil, p.damaged(e.off, err)
	}
	return h, b[headerSize:], nil
}

func (p *pack) damaged(off int64, err error) error {
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		err = errTorn
	}
	return fmt.Errorf("reading %s at %d: %w", p.path, off, err)
}

// openPack opens the pack called name and reads its header.
func openPack(dir, name string) (*pack, error) {
	p := &pack{name: name, path: filepath.Join(dir, name+packSuffix)}
	var err error
	if p.f, err = openPlain(p.path); err != nil {
		return nil, err
	}
	var h [headerSize]byte
	if _, err = p.f.ReadAt(h[:], 0); err == nil {
		p.boot, err = parsePackHeader(h[:])
	} else if errors.Is(err, io.EOF) {
		err = errTorn
	}
	if err != nil {
		p.f.Close()
		return nil, fmt.Errorf("reading %s: %w", p.path, err)
	}
	p.end, p.committed = headerSize, headerSize
	p.entries = make(map[liveKey]entry)
	return p, nil
}

// loadIndex maps the pack's index; it is false if there is none that counts.
func (p *pack) loadIndex(boot bootID) bool {
	f, err := openPlain(strings.TrimSuffix(p.path, packSuffix) + idxSuffix)
	if err != nil {
		return false
	}
	defer f.Close()
	st, err := f.Stat()
	if err != nil || st.Size() < headerSize || st.Size() > 1<<40 {
		return false
	}
	b, err := mapFile(f, st.Size())
	if err != nil {
		return false
	}
	x, err := parseIndex(b)
	if err != nil || x.flags&idxDurable == 0 && x.boot != boot {
		unmapFile(b)
		return false
	}
	if ps, err := p.f.Stat(); err != nil || ps.Size() < x.end {
		unmapFile(b)
		return false
	}
	p.idx, p.end, p.entries = x, x.end, nil
	if x.flags&(idxDurable|idxCommitted) != 0 {
		p.committed = x.end
	}
	p.files = x.flags&idxFiles != 0
	return true
}

// readTail takes in the records that were appended since the last call. live is
// set when the writer may still be at work: the first record that is not whole
// is then its newest, and the scan stops there.
func (p *pack) readTail(boot bootID, live bool) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if st, err := p.f.Stat(); err != nil || st.Size() <= p.end {
		return err
	}
	sc := scanner{r: p.f, off: p.end}
	counts := p.boot == boot
	var waiting []entry // seen, and no commit after it yet
	damaged := false    // and one of them was not whole
	for {
		h, _, off, err := sc.next()
		if errors.Is(err, io.EOF) || errors.Is(err, errTorn) {
			break
		}
		if errors.Is(err, errPayload) {
			if live {
				sc.off = off
				break
			}
			damaged = true
			continue
		}
		if err != nil {
			return fmt.Errorf("reading %s: %w", p.path, err)
		}
		if h.typ == recCommit {
			// The machine may have stopped while this commit was written: then
			// what it should follow is not all there, and it says nothing.
			for _, e := range waiting {
				if !damaged {
					p.entries[liveKey{e.hash, e.typ}] = e
				}
			}
			waiting, damaged, p.files = waiting[:0], false, false
			p.committed, p.end = max(p.committed, sc.off), sc.off
			continue
		}
		e := entry{typ: h.typ, hash: h.digest.Hash, size: h.digest.Size, off: off, plen: h.plen, seconds: h.seconds, pos: -1}
		// off < committed: another process vouched for this part (an upto file).
		if counts || off < p.committed {
			p.entries[liveKey{e.hash, e.typ}] = e
			p.end = sc.off
			p.files = p.files || off >= p.committed && h.typ.namesFile()
		} else {
			waiting = append(waiting, e)
		}
	}
	if counts {
		p.end = max(p.end, sc.off)
	}
	return nil
}

func (t recType) namesFile() bool { return t == recFile || t == recExec || t == recTree }

// durableIndex is the size in bytes of a pack from which its index is worth an
// fsync. That of a smaller one is made again after a crash of the machine.
const durableIndex = 4 << 20

// writeIndex seals the pack: writes the index of its entries.
func (p *pack) writeIndex(tmp string, boot bootID) error {
	p.mu.RLock()
	var flags uint32
	switch {
	case p.committed < p.end && p.files:
		flags = idxFiles
	case p.committed >= p.end:
		flags = idxCommitted
	}
	// What is left of an earlier boot must not be scanned at each of the later ones.
	durable := flags&idxCommitted != 0 && (p.end >= durableIndex || p.boot != boot)
	if durable {
		flags |= idxDurable
	}
	entries := make([]entry, 0, len(p.entries))
	for _, e := range p.entries {
		entries = append(entries, e)
	}
	b := encodeIndex(entries, p.end, boot, flags)
	p.mu.RUnlock()
	return writeFile(tmp, strings.TrimSuffix(p.path, packSuffix)+idxSuffix, b, durable)
}

// writeFile writes path by way of the temporary file tmp on the same file system.
func writeFile(tmp, path string, b []byte, sync bool) error {
	f, err := os.OpenFile(tmp, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o666)
	if err != nil {
		return err
	}
	_, err = f.Write(b)
	if err == nil && sync {
		err = datasync(f)
	}
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	if err == nil {
		err = os.Rename(tmp, path)
	}
	if err != nil {
		os.Remove(tmp)
	}
	return err
}

func (p *pack) close() {
	if p.idx != nil {
		unmapFile(p.idx.data)
		p.idx = nil
	}
	p.f.Close()
}

// upto is the name of the empty file by which a process that has synced another's
// pack up to off says so: what its own records name is then kept after a crash.
func uptoName(pack string, off int64) string { return fmt.Sprintf("%s.upto.%d", pack, off) }

func parseUpto(name string) (pack string, off int64, ok bool) {
	pack, n, ok := strings.Cut(name, ".upto.")
	if !ok {
		return "", 0, false
	}
	off, err := strconv.ParseInt(n, 10, 64)
	return pack, off, err == nil && off >= headerSize
}

// packNames lists packs/, in no order: the packs and how far others vouch for each.
func packNames(dir string) (names []string, upto map[string]int64, err error) {
	d, err := os.Open(dir)
	if err != nil {
		return nil, nil, err
	}
	defer d.Close()
	list, err := d.ReadDir(-1)
	if err != nil {
		return nil, nil, err
	}
	upto = map[string]int64{}
	for _, de := range list {
		name := de.Name()
		if base, ok := strings.CutSuffix(name, packSuffix); ok && de.Type() == fs.FileMode(0) {
			names = append(names, base)
		} else if base, off, ok := parseUpto(name); ok {
			upto[base] = max(upto[base], off)
		}
	}
	return names, upto, nil
}
