package xz

// Sizes of the LZMA model, as in the specification of the format.
const (
	states        = 12 // of the state machine below
	posStates     = 16 // at most, with pb = 4
	topValue      = 1 << 24
	probInit      = 1 << 10 // one half, in 1/2048
	maxChunkIn    = 1 << 16 // compressed bytes of an LZMA2 chunk
	maxChunkOut   = 1 << 21 // uncompressed bytes of one
	inMask        = 1<<17 - 1
	literalTables = 16 // lc + lp <= 4
)

// chunkInput holds one chunk's compressed bytes. Positions are taken modulo its
// size, so that a corrupt chunk reads rubbish and not past the end; the decoder
// compares the position at the end with the chunk's length.
type chunkInput [inMask + 1]byte

// rangeBit decodes one bit without a branch, since bits are close to random:
// mask is all ones for a 0 and zero for a 1, p is the probability as it is
// afterwards. The caller normalises (refill) afterwards.
func rangeBit(rng, code uint32, p uint16) (r, c, mask uint32, np uint16) {
	bound := (rng >> 11) * uint32(p)
	d := uint64(code) - uint64(bound)
	mask = uint32(int64(d) >> 63)
	r = (rng - bound) + mask&(bound+bound-rng)
	c = uint32(d) + mask&bound
	// A 0 moves p up by (2048-p)>>5, a 1 down by p>>5.
	return r, c, mask, p - uint16((int32(p)+int32(mask)&(31-2048))>>5)
}

// refill keeps the range above 24 bits.
func refill(rng, code uint32, in *chunkInput, pos int) (uint32, uint32, int) {
	if rng < topValue {
		return rng << 8, code<<8 | uint32(in[pos&inMask]), pos + 1
	}
	return rng, code, pos
}

// rangeDecoder is the range coder between two symbols. The main loop of the
// decoder keeps these in registers and stores them before it calls a method.
type rangeDecoder struct {
	rng, code uint32
	pos       int // into in
	in        chunkInput
}

// bit decodes one bit.
func (d *rangeDecoder) bit(p *uint16) uint32 {
	var mask uint32
	rng, code := d.rng, d.code
	rng, code, mask, *p = rangeBit(rng, code, *p)
	d.rng, d.code, d.pos = refill(rng, code, &d.in, d.pos)
	return 1 + mask
}

// tree decodes a symbol of n bits, the highest first.
func (d *rangeDecoder) tree(probs []uint16, n uint) uint32 {
	rng, code, pos := d.rng, d.code, d.pos
	m, limit := uint32(1), uint32(1)<<n
	probs = probs[:limit]
	for m < limit && int(m) < len(probs) {
		var mask uint32
		rng, code, mask, probs[m] = rangeBit(rng, code, probs[m])
		rng, code, pos = refill(rng, code, &d.in, pos)
		m = m<<1 + 1 + mask
	}
	d.rng, d.code, d.pos = rng, code, pos
	return m - limit
}

// reverse decodes a symbol of n bits, the lowest first.
func (d *rangeDecoder) reverse(probs []uint16, n uint) uint32 {
	m, v := uint32(1), uint32(0)
	for i := range n {
		b := d.bit(&probs[m])
		m = m<<1 + b
		v |= b << i
	}
	return v
}

// direct decodes n bits of equal probability.
func (d *rangeDecoder) direct(n uint) uint32 {
	rng, code, pos := d.rng, d.code, d.pos
	v := uint32(0)
	for range n {
		rng >>= 1
		code -= rng
		mask := -(code >> 31) // all ones for a 0
		code += rng & mask
		v = v<<1 + 1 + mask
		rng, code, pos = refill(rng, code, &d.in, pos)
	}
	d.rng, d.code, d.pos = rng, code, pos
	return v
}
