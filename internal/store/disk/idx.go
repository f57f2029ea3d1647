package disk

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math/bits"
	"slices"
)

// entry says where a record is.
type entry struct {
	typ     recType
	hash    [32]byte
	size    int64  // of the named content
	off     int64  // of the record in its pack
	plen    uint32 // of its payload
	seconds int64  // kept for live packs; a sealed one reads the record
	pos     int    // in the index, for last-use times; -1 in a live pack
}

func (e *entry) compare(hash *[32]byte, typ recType) int {
	if c := bytes.Compare(e.hash[:], hash[:]); c != 0 {
		return c
	}
	return int(e.typ) - int(typ)
}

// An index is the sorted table of a pack that is no longer written. It is
// mapped, not read: opening it costs the same for ten records and for a million.
//
//	header   0 magic[16]  16 version u32  20 boot id[16]  36 flags u32  40 entries u32  44 fan-out bits u32
//	         48 end of the last record u64  56 zero u32  60 crc of the 60 bytes before
//	fan-out  for each of the 2^bits prefixes of a hash the number of entries up to and with it, u32
//	entries  hash[32]  size u64  offset u64  payload length u32  type u8  zero[3]; sorted by hash, then type
//
// An index counts only during the boot that it names, unless it is durable.
const (
	idxVersion   = 1
	idxEntrySize = 56
	maxFanBits   = 16

	idxDurable   = 1 // the records, the files they name and the index itself are on the disk
	idxCommitted = 2 // the records and the files they name are
	idxFiles     = 4 // not committed, and some of the records name files
)

var idxMagic = [16]byte{'l', 'a', 'b', 's', 't', 'a', 'r', ' ', 'i', 'd', 'x', '\n', 0x1a, 0, 0, '\n'}

type index struct {
	data    []byte // the whole file
	fanBits int
	fan     []byte
	entries []byte
	n       int
	end     int64
	boot    bootID
	flags   uint32
}

// encodeIndex sorts entries and writes the index of them.
func encodeIndex(entries []entry, end int64, boot bootID, flags uint32) []byte {
	slices.SortFunc(entries, func(a, b entry) int {
		if c := a.compare(&b.hash, b.typ); c != 0 {
			return c
		}
		return int(b.off - a.off) // the newest of equal ones first
	})
	entries = slices.CompactFunc(entries, func(a, b entry) bool { return a.hash == b.hash && a.typ == b.typ })
	fanBits := min(max(bits.Len(uint(len(entries)))-4, 0), maxFanBits)
	out := make([]byte, headerSize, headerSize+4<<fanBits+len(entries)*idxEntrySize)
	le := binary.LittleEndian
	copy(out, idxMagic[:])
	le.PutUint32(out[16:], idxVersion)
	copy(out[20:], boot[:])
	le.PutUint32(out[36:], flags)
	le.PutUint32(out[40:], uint32(len(entries)))
	le.PutUint32(out[44:], uint32(fanBits))
	le.PutUint64(out[48:], uint64(end))
	le.PutUint32(out[60:], checksum(out[:60]))
	i := 0
	for p := range 1 << fanBits {
		for i < len(entries) && prefix(&entries[i].hash, fanBits) <= p {
			i++
		}
		out = le.AppendUint32(out, uint32(i))
	}
	for i := range entries {
		e := &entries[i]
		out = append(out, e.hash[:]...)
		out = le.AppendUint64(out, uint64(e.size))
		out = le.AppendUint64(out, uint64(e.off))
		out = le.AppendUint32(out, e.plen)
		out = append(out, byte(e.typ), 0, 0, 0)
	}
	return out
}

// prefix returns the first n bits of a hash.
func prefix(hash *[32]byte, n int) int {
	return int(binary.BigEndian.Uint32(hash[:4]) >> (32 - n) & (1<<n - 1))
}

// parseIndex checks the header of b; the table itself is trusted no further than
// that lookups stay inside it, and every record that is read has a checksum.
func parseIndex(b []byte) (*index, error) {
	le := binary.LittleEndian
	if len(b) < headerSize || !bytes.Equal(b[:16], idxMagic[:]) || le.Uint32(b[60:]) != checksum(b[:60]) {
		return nil, errTorn
	}
	if v := le.Uint32(b[16:]); v != idxVersion {
		return nil, fmt.Errorf("index format %d, want %d", v, idxVersion)
	}
	x := &index{
		data:    b,
		boot:    bootID(b[20:36]),
		flags:   le.Uint32(b[36:]),
		n:       int(le.Uint32(b[40:])),
		fanBits: int(le.Uint32(b[44:])),
		end:     int64(le.Uint64(b[48:])),
	}
	if x.fanBits > maxFanBits || len(b) != headerSize+4<<x.fanBits+x.n*idxEntrySize || x.end < headerSize {
		return nil, errTorn
	}
	x.fan = b[headerSize : headerSize+4<<x.fanBits]
	x.entries = b[headerSize+4<<x.fanBits:]
	return x, nil
}

func (x *index) at(i int) (e entry) {
	b := x.entries[i*idxEntrySize:][:idxEntrySize]
	le := binary.LittleEndian
	copy(e.hash[:], b)
	e.size = int64(le.Uint64(b[32:]))
	e.off = int64(le.Uint64(b[40:]))
	e.plen = le.Uint32(b[48:])
	e.typ = recType(b[52])
	e.pos = i
	return e
}

func (x *index) find(hash *[32]byte, typ recType) (entry, bool) {
	p := prefix(hash, x.fanBits)
	lo, hi := 0, int(binary.LittleEndian.Uint32(x.fan[4*p:]))
	if p > 0 {
		lo = int(binary.LittleEndian.Uint32(x.fan[4*(p-1):]))
	}
	hi = min(hi, x.n)
	for lo < hi {
		mid := int(uint(lo+hi) >> 1)
		b := x.entries[mid*idxEntrySize:]
		c := bytes.Compare(b[:32], hash[:])
		if c == 0 {
			c = int(b[52]) - int(typ)
		}
		switch {
		case c == 0:
			return x.at(mid), true
		case c < 0:
			lo = mid + 1
		default:
			hi = mid
		}
	}
	return entry{}, false
}
