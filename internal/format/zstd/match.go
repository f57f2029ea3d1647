package zstd

import (
	"encoding/binary"
	"math/bits"
)

// A place in a table is where something was, and bits of its hash: with these most of
// what is not alike is told without a look at it.
const (
	posBits   = 22
	tagBits   = 32 - posBits
	tagMask   = 1<<tagBits - 1
	tableBits = 16
	tableMask = 1<<tableBits - 1
)

// hashLen is how many bytes are hashed, the shortest match that is looked for.
const hashLen = 5

// hash is that of the first hashLen bytes of v: the row of the table, and below it the tag.
func hash(v uint64) uint64 {
	const prime = 889523592379
	return v << (64 - 8*hashLen) * prime >> (64 - tableBits - tagBits)
}

// margin is how far before the end matches end to be looked for, more than is read at once.
const margin = 16

// seq is a match and the literals before it.
type seq struct {
	lits   uint32
	match  uint32 // bytes, less minMatch
	offset uint32 // as it is coded: how far back and 3, or 1 to 3 for one of the recent ones
}

// minMatch is the length that seq.match counts from.
const minMatch = 3

// finder finds what was there before: greedily, at the latest place with the hash, two
// bytes at a time.
type finder struct {
	table  [1 << tableBits]uint32
	recent [3]int // offsets, the latest first
	seqs   []seq  // of the block
	lits   []byte // of the block
}

// litsRoom is how far beyond the literals is written.
const litsRoom = 16

func (f *finder) reset() {
	clear(f.table[:])
	f.recent = [3]int{1, 4, 8}
	if f.lits == nil {
		f.lits = make([]byte, 0, blockSize+litsRoom)
		f.seqs = make([]seq, 0, blockSize/8)
	}
}

// note puts a place in the table, where v is, and returns what was in its row before.
func (f *finder) note(v uint64, at int) (before, row uint32) {
	h := hash(v)
	r := &f.table[h>>tagBits&tableMask]
	before, *r = *r, uint32(at)<<tagBits|uint32(h&tagMask)
	return before, uint32(h)
}

// load is eight bytes.
func load(src []byte, at int) uint64 { return binary.LittleEndian.Uint64(src[at:]) }

// load4 is four.
func load4(src []byte, at int) uint32 { return binary.LittleEndian.Uint32(src[at:]) }

// alike is how many bytes are the same at a and at b, which is before it.
func alike(src []byte, a, b int) int {
	x, y := src[a:], src[b:]
	n := 0
	for len(x) >= 8 {
		if d := binary.LittleEndian.Uint64(x) ^ binary.LittleEndian.Uint64(y); d != 0 {
			return n + bits.TrailingZeros64(d)>>3
		}
		x, y = x[8:], y[8:]
		n += 8
	}
	for i := range x {
		if x[i] != y[i] {
			return n + i
		}
	}
	return n + len(x)
}

// find works out the sequences and literals of src[start:].
func (f *finder) find(src []byte, start int) {
	f.seqs = f.seqs[:0]
	lits := f.lits[:blockSize+litsRoom]
	nlits := 0
	rep1, rep2, rep3 := f.recent[0], f.recent[1], f.recent[2]
	next := start       // what is not yet in a sequence
	at := max(start, 8) // further on than any recent offset is at first
	for limit := len(src) - margin; at < limit; {
		var n, off int // the match
		v := load(src, at)
		p, h := f.note(v, at)
		q, g := f.note(v>>8, at+1)
		if load4(src, at+2-rep1) == uint32(v>>16) {
			at += 2
			off = rep1
			n = 4 + alike(src, at+4, at+4-off)
			// One literal stays: without any, the code means another offset.
			for at > next+1 && at > off && src[at-1] == src[at-1-off] {
				at--
				n++
			}
		} else {
			if (p^h)&tagMask == 0 {
				off = at - int(p>>tagBits)
				if d := v ^ load(src, at-off); d != 0 {
					n = bits.TrailingZeros64(d) >> 3
				} else {
					n = 8 + alike(src, at+8, at+8-off)
				}
			}
			if n < hashLen {
				if (q^g)&tagMask != 0 {
					at += 2 + (at-next)>>5
					continue
				}
				off = at + 1 - int(q>>tagBits)
				n = alike(src, at+1, at+1-off)
				if n < hashLen {
					at += 2 + (at-next)>>5
					continue
				}
				at++
			} else if (q^g)&tagMask == 0 && n < 16 {
				// Is there a longer one at the next byte?
				if o := at + 1 - int(q>>tagBits); o != off {
					if k := alike(src, at+1, at+1-o); k > n+1 {
						n, off = k, o
						at++
					}
				}
			}
			for at > next && at > off && src[at-1] == src[at-1-off] {
				at--
				n++
			}
		}
	emit:
		k := at - next
		from := src[next:]
		*(*[16]byte)(lits[nlits:]) = *(*[16]byte)(from)
		if k > 16 {
			copy(lits[nlits+16:], from[16:k])
		}
		nlits += k
		code := uint32(off) + 3
		switch {
		case off == rep1 && k > 0:
			code = 1
		case off == rep2:
			code = 2
			rep1, rep2 = off, rep1
		case off == rep3:
			code = 3
			rep1, rep2, rep3 = off, rep1, rep2
		default:
			rep1, rep2, rep3 = off, rep1, rep2
		}
		if k == 0 && code <= 3 {
			code-- // without literals the codes begin with the second
		}
		f.seqs = append(f.seqs, seq{lits: uint32(k), match: uint32(n - minMatch), offset: code})
		f2 := at + 2
		at += n
		next = at
		if at >= limit {
			break
		}
		f.note(load(src, f2), f2)
		f.note(load(src, at-2), at-2)
		if load4(src, at) == load4(src, at-rep2) {
			off = rep2
			n = 4 + alike(src, at+4, at+4-off)
			goto emit
		}
	}
	nlits += copy(lits[nlits:], src[next:])
	f.lits = lits[:nlits]
	f.recent = [3]int{rep1, rep2, rep3}
}
