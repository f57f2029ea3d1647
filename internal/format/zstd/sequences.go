package zstd

import (
	"encoding/binary"
	"math/bits"
	"slices"
)

// The kinds of codes of a sequence, in the order in which their tables are written.
const (
	litCodes = iota
	offsetCodes
	matchCodes
)

// The bits that follow each code, and the codes of small values (RFC 8878, 3.1.1.3.2.1.1).
var (
	litBits   = [64]uint8{16: 1, 1, 1, 1, 2, 2, 3, 3, 4, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16}
	matchBits = [64]uint8{32: 1, 1, 1, 1, 2, 2, 3, 3, 4, 4, 5, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16}

	litCode   = codesOf(litBits[:36], 64)
	matchCode = codesOf(matchBits[:53], 128)
)

// codesOf returns the codes of the values below n.
func codesOf(extra []uint8, n int) []uint8 {
	var codes []uint8
	for code, b := range extra {
		for range 1 << b {
			if len(codes) == n {
				return codes
			}
			codes = append(codes, uint8(code))
		}
	}
	return codes
}

// coder writes a block's section of sequences.
type coder struct {
	coded []coded // the block's sequences
	kinds [3]struct {
		count [64]uint32
		fresh *table
		last  *table // that was written or used last, nil where there is none
		a, b  table  // fresh and last are these, or last is the predefined one
	}
}

// forget is called where a decoder has no tables of an earlier block.
func (c *coder) forget() {
	for i := range c.kinds {
		k := &c.kinds[i]
		k.fresh, k.last = &k.a, nil
	}
}

// append appends the section for seqs.
func (c *coder) append(dst []byte, seqs []seq) []byte {
	n := len(seqs)
	switch {
	case n == 0:
		return append(dst, 0)
	case n < 128:
		dst = append(dst, byte(n))
	case n < 0x7f00:
		dst = append(dst, byte(n>>8)+128, byte(n))
	default:
		dst = append(dst, 255, byte(n-0x7f00), byte((n-0x7f00)>>8))
	}
	c.count(seqs)
	modes := len(dst)
	dst = append(dst, 0)
	var use [3]*table
	for i := range c.kinds {
		var mode byte
		use[i], mode, dst = c.choose(dst, i, n)
		dst[modes] |= mode << (6 - 2*i)
	}
	return c.encode(dst, use[litCodes], use[offsetCodes], use[matchCodes])
}

// coded is a sequence as it is written.
type coded struct {
	extra uint64 // the bits that follow its codes
	bits  uint8  // how many these are: at most 16 for each length, and posBits for the offset
	codes [3]uint8
}

// low is the n lowest bits of v.
func low(v uint32, n uint8) uint64 { return uint64(v) & (1<<(n&63) - 1) }

// count works out the sequences' codes and how often each is there.
func (c *coder) count(seqs []seq) {
	c.coded = slices.Grow(c.coded[:0], len(seqs))[:len(seqs)]
	lits, offsets, matches := &c.kinds[litCodes].count, &c.kinds[offsetCodes].count, &c.kinds[matchCodes].count
	clear(lits[:])
	clear(offsets[:])
	clear(matches[:])
	out := c.coded
	for i := range seqs {
		s := &seqs[i]
		l, m := uint8(bits.Len32(s.lits))+18, uint8(bits.Len32(s.match))+35
		if s.lits < 64 {
			l = litCode[s.lits]
		}
		if s.match < 128 {
			m = matchCode[s.match]
		}
		o := uint8(bits.Len32(s.offset)) - 1
		l, o, m = l&63, o&63, m&63
		lits[l]++
		offsets[o]++
		matches[m]++
		lb, mb := litBits[l], matchBits[m]
		// Field by field: a struct that is put together elsewhere is copied through memory.
		q := &out[i]
		q.extra = low(s.lits, lb) | low(s.match, mb)<<(lb&63) | low(s.offset, o)<<((lb+mb)&63)
		q.bits = lb + mb + o
		q.codes[litCodes], q.codes[offsetCodes], q.codes[matchCodes] = l, o, m
	}
}

// The ways in which a table comes (3.1.1.3.2.1).
const (
	predefined = iota
	rleMode
	written
	repeated
)

// choose takes the table that costs least, appends it if it is new, and returns it with
// its mode.
func (c *coder) choose(dst []byte, kind, n int) (*table, byte, []byte) {
	k := &c.kinds[kind]
	most, code := uint32(0), 0
	for i, v := range k.count {
		if v > most {
			most, code = v, i
		}
	}
	if int(most) == n && n > 2 {
		k.last = nil
		k.fresh.one()
		return k.fresh, rleMode, append(dst, byte(code))
	}
	best, mode := &predefinedTables[kind], byte(predefined)
	cost := best.cost(&k.count)
	if k.last != nil && k.last != best {
		if v := k.last.cost(&k.count); v <= cost {
			best, mode, cost = k.last, repeated, v
		}
	}
	if n > 16 {
		k.fresh.normalize(&k.count, n, maxLog[kind])
		if v := k.fresh.cost(&k.count) + 8*int(k.fresh.log)*costUnit; v < cost { // about what it takes to write
			at := len(dst)
			dst = k.fresh.append(dst)
			if v := k.fresh.cost(&k.count) + 8*costUnit*(len(dst)-at); v < cost {
				k.fresh.build()
				best, mode = k.fresh, written
			} else {
				dst = dst[:at]
			}
		}
	}
	if mode == written {
		if k.fresh == &k.a {
			k.fresh = &k.b
		} else {
			k.fresh = &k.a
		}
	}
	k.last = best
	return best, mode, dst
}

// bitStream is what encode writes: little-endian, from the lowest bit on.
type bitStream struct {
	buf []byte // with eight bytes to spare
	pos int    // where acc goes
	acc uint64
	n   uint // bits in acc, at most 7
}

// add puts in the low n bits of v, at most 57, above which it is zero.
func (b *bitStream) add(v uint64, n uint) {
	acc, n := b.acc|v<<(b.n&7), b.n+n
	binary.LittleEndian.PutUint64(b.buf[b.pos:], acc)
	b.pos += int(n >> 3)
	b.acc, b.n = acc>>(n&^7&63), n&7
	if n == 64 {
		b.acc = 0
	}
}

// encode appends the stream of bits, which begins with the last sequence (3.1.1.3.2.2).
func (c *coder) encode(dst []byte, lit, off, match *table) []byte {
	const most = 10 // bytes for a sequence: 26 bits for its states, and what follows its codes
	at := len(dst)
	dst = slices.Grow(dst, len(c.coded)*most+16)
	b := bitStream{buf: dst[at:cap(dst)]}

	i := len(c.coded) - 1
	q := &c.coded[i]
	l, o, m := lit.start(q.codes[litCodes]), off.start(q.codes[offsetCodes]), match.start(q.codes[matchCodes])
	b.add(q.extra, uint(q.bits))
	for i--; i >= 0; i-- {
		q := &c.coded[i]

		to := &off.codes[q.codes[offsetCodes]&63]
		bo := uint8((o + to.bits) >> 16)
		states := low(o, bo)
		o = off.next(o, bo, to)

		tm := &match.codes[q.codes[matchCodes]&63]
		bm := uint8((m + tm.bits) >> 16)
		states |= low(m, bm) << (bo & 63)
		m = match.next(m, bm, tm)

		tl := &lit.codes[q.codes[litCodes]&63]
		bl := uint8((l + tl.bits) >> 16)
		states |= low(l, bl) << ((bo + bm) & 63)
		l = lit.next(l, bl, tl)

		n := bo + bm + bl
		if n+q.bits > 57 {
			b.add(states, uint(n))
			b.add(q.extra, uint(q.bits))
			continue
		}
		b.add(states|q.extra<<(n&63), uint(n+q.bits))
	}
	b.add(low(m, match.log), uint(match.log))
	b.add(low(o, off.log), uint(off.log))
	b.add(low(l, lit.log), uint(lit.log))
	b.add(1, 1)
	if b.n > 0 {
		b.pos++
	}
	return dst[:at+b.pos]
}
