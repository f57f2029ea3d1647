package rpmdb

import "encoding/binary"

// A write-ahead log has new versions of pages, which belong to the database from the
// page on that ends a transaction. Sums over all pages so far tell where it ends: behind
// that, there is what an earlier one has left.

const (
	journalMagic = 0x377f0682 // the last bit is set if the sums are of numbers in network order
	frameHeader  = 24
)

// readJournal returns the pages of the transactions that ended, by number.
func readJournal(b []byte, pageSize int) (map[uint32][]byte, error) {
	if len(b) == 0 {
		return nil, nil
	}
	if len(b) < 32 || binary.BigEndian.Uint32(b)&^1 != journalMagic || int(binary.BigEndian.Uint32(b[8:])) != pageSize {
		return nil, errCut
	}
	sum := journalSum{order: binary.ByteOrder(binary.LittleEndian)}
	if b[3]&1 != 0 {
		sum.order = binary.BigEndian
	}
	salt := string(b[16:24])
	sum.add(b[:24])
	if !sum.is(b[24:]) {
		return nil, nil // nothing was written since it was begun anew
	}
	pages, open := map[uint32][]byte{}, map[uint32][]byte{}
	for b = b[32:]; len(b) >= frameHeader+pageSize; b = b[frameHeader+pageSize:] {
		page := b[frameHeader:][:pageSize]
		sum.add(b[:8])
		sum.add(page)
		if string(b[8:16]) != salt || !sum.is(b[16:]) {
			break
		}
		open[binary.BigEndian.Uint32(b)] = page
		if binary.BigEndian.Uint32(b[4:]) != 0 { // the number of pages at the end of a transaction
			for n, p := range open {
				pages[n] = p
			}
			clear(open)
		}
	}
	return pages, nil
}

// journalSum is the sum over what was added.
type journalSum struct {
	order binary.ByteOrder
	a, b  uint32
}

func (s *journalSum) add(b []byte) {
	for ; len(b) >= 8; b = b[8:] {
		s.a += s.order.Uint32(b) + s.b
		s.b += s.order.Uint32(b[4:]) + s.a
	}
}

func (s *journalSum) is(b []byte) bool {
	return binary.BigEndian.Uint32(b) == s.a && binary.BigEndian.Uint32(b[4:]) == s.b
}
