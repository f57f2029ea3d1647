package xz

import "errors"

var errCorrupt = errors.New("corrupt data")

// lengthModel is the model of a match's length.
type lengthModel struct {
	choice, choice2 uint16
	low, mid        [posStates][8]uint16
	high            [256]uint16
}

// lzma decodes LZMA symbols into a buffer that is also the dictionary. The
// layout of the model and the order of decoding are those of the LZMA
// specification (7-Zip, "LZMA specification (DRAFT version)", 2013).
type lzma struct {
	rangeDecoder
	rep            [4]uint32 // distances of the last four matches, less one
	state          uint32    // what the last symbols were: below 7, the last was a literal
	lc             uint      // literal context bits
	lpMask, pbMask uint32

	isMatch, isRep0Long    [states << 4]uint16
	isRep, isRepG0         [states]uint16
	isRepG1, isRepG2       [states]uint16
	slot                   [4][64]uint16
	special                [115]uint16
	align                  [16]uint16
	matchLength, repLength lengthModel
	literal                [literalTables * 0x300]uint16
}

// reset forgets the statistics; the properties stay.
func (d *lzma) reset() {
	d.rep = [4]uint32{}
	d.state = 0
	for _, probs := range [][]uint16{
		d.isMatch[:], d.isRep0Long[:], d.isRep[:], d.isRepG0[:], d.isRepG1[:], d.isRepG2[:],
		d.slot[0][:], d.slot[1][:], d.slot[2][:], d.slot[3][:], d.special[:], d.align[:], d.literal[:],
	} {
		fill(probs)
	}
	for _, l := range []*lengthModel{&d.matchLength, &d.repLength} {
		l.choice, l.choice2 = probInit, probInit
		for i := range l.low {
			fill(l.low[i][:])
			fill(l.mid[i][:])
		}
		fill(l.high[:])
	}
}

func fill(probs []uint16) {
	for i := range probs {
		probs[i] = probInit
	}
}

// setProperties takes the byte that gives lc, lp and pb.
func (d *lzma) setProperties(b byte) error {
	if b > (4*5+4)*9+8 {
		return errCorrupt
	}
	lc, lp, pb := uint(b%9), uint(b/9%5), uint(b/45)
	if lc+lp > 4 {
		return errCorrupt
	}
	d.lc, d.lpMask, d.pbMask = lc, 1<<lp-1, 1<<pb-1
	return nil
}

// decode fills out from position o up to its end; base is where the dictionary
// begins (negative if its beginning was dropped from out). It is one function, and longer than others, because the range coder
// has to stay in registers: it is where the time of an unpacking goes.
func (d *lzma) decode(out []byte, base, o, dictSize int) error {
	rng, code, pos, state := d.rng, d.code, d.pos, d.state
	in := &d.in
	for o < len(out) {
		posState := uint32(o-base) & d.pbMask
		var mask uint32
		p := &d.isMatch[(state<<4|posState)%uint32(len(d.isMatch))]
		rng, code, mask, *p = rangeBit(rng, code, *p)
		rng, code, pos = refill(rng, code, in, pos)
		if mask == 0 {
			d.rng, d.code, d.pos, d.state = rng, code, pos, state
			length := d.match(posState)
			rng, code, pos, state = d.rng, d.code, d.pos, d.state
			if int(d.rep[0]) >= min(o-base, dictSize) || int(length) > len(out)-o {
				return errCorrupt
			}
			repeat(out, o, int(d.rep[0])+1, int(length))
			o += int(length)
			continue
		}
		prev := uint32(0)
		if o > base {
			prev = uint32(out[o-1])
		}
		table := (uint32(o-base)&d.lpMask)<<d.lc + prev>>(8-d.lc)
		probs := (*[0x300]uint16)(d.literal[table%literalTables*0x300:])
		m := uint32(1)
		if state >= 7 && int(d.rep[0]) < o-base {
			// After a match, the byte that would have continued it is a context.
			like := uint32(out[o-int(d.rep[0])-1])
			offset := uint32(0x100)
			for m < 0x100 {
				like <<= 1
				b := like & offset
				q := &probs[(offset+b+m)%0x300]
				rng, code, mask, *q = rangeBit(rng, code, *q)
				rng, code, pos = refill(rng, code, in, pos)
				m = m<<1 + 1 + mask
				offset &= b ^ mask
			}
		} else {
			for m < 0x100 {
				rng, code, mask, probs[m] = rangeBit(rng, code, probs[m])
				rng, code, pos = refill(rng, code, in, pos)
				m = m<<1 + 1 + mask
			}
		}
		out[o] = byte(m)
		o++
		state = literalNext[state&15]
	}
	d.rng, d.code, d.pos, d.state = rng, code, pos, state
	return nil
}

// literalNext is the state after a literal.
var literalNext = [16]uint32{0, 0, 0, 0, 1, 2, 3, 4, 5, 6, 4, 5}

// match decodes the rest of a match: it returns the length and leaves the
// distance, less one, in rep[0].
func (d *lzma) match(posState uint32) uint32 {
	s := d.state
	afterLiteral := s < 7
	if d.bit(&d.isRep[s]) == 0 {
		d.state = pick(afterLiteral, 7, 10)
		d.rep[3], d.rep[2], d.rep[1] = d.rep[2], d.rep[1], d.rep[0]
		n := d.length(&d.matchLength, posState)
		d.rep[0] = d.distance(n)
		return n
	}
	if d.bit(&d.isRepG0[s]) == 0 {
		if d.bit(&d.isRep0Long[s<<4|posState]) == 0 {
			d.state = pick(afterLiteral, 9, 11)
			return 1
		}
	} else {
		dist := d.rep[1]
		if d.bit(&d.isRepG1[s]) != 0 {
			if d.bit(&d.isRepG2[s]) == 0 {
				dist = d.rep[2]
			} else {
				dist = d.rep[3]
				d.rep[3] = d.rep[2]
			}
			d.rep[2] = d.rep[1]
		}
		d.rep[1], d.rep[0] = d.rep[0], dist
	}
	d.state = pick(afterLiteral, 8, 11)
	return d.length(&d.repLength, posState)
}

func pick(first bool, a, b uint32) uint32 {
	if first {
		return a
	}
	return b
}

// length decodes a match length, 2 to 273.
func (d *lzma) length(l *lengthModel, posState uint32) uint32 {
	if d.bit(&l.choice) == 0 {
		return 2 + d.tree(l.low[posState][:], 3)
	}
	if d.bit(&l.choice2) == 0 {
		return 10 + d.tree(l.mid[posState][:], 3)
	}
	return 18 + d.tree(l.high[:], 8)
}

// distance decodes the distance, less one, of a match of the given length.
func (d *lzma) distance(length uint32) uint32 {
	slot := d.tree(d.slot[min(length-2, 3)][:], 6)
	if slot < 4 {
		return slot
	}
	bits := uint(slot>>1 - 1)
	dist := (2 + slot&1) << bits
	if slot < 14 {
		// The trees of the slots overlap; index 0 of each is not used.
		return dist + d.reverseSpecial(int(dist)-int(slot)-1, bits)
	}
	return dist + d.direct(bits-4)<<4 + d.reverse(d.align[:], 4)
}

// reverseSpecial is reverse on the tree that starts at special[start], where
// start may be -1 since a tree's own first entry is not used.
func (d *lzma) reverseSpecial(start int, n uint) uint32 {
	m, v := 1, uint32(0)
	for i := range n {
		b := d.bit(&d.special[start+m])
		m = m<<1 + int(b)
		v |= b << i
	}
	return v
}

// repeat copies n bytes from dist before o to o; the two may overlap, and then
// the bytes repeat.
func repeat(out []byte, o, dist, n int) {
	for n > dist {
		copy(out[o:o+dist], out[o-dist:o])
		o, n = o+dist, n-dist
		dist *= 2
	}
	copy(out[o:o+n], out[o-dist:])
}
