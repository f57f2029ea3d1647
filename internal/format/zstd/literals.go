package zstd

import (
	"errors"

	"github.com/klauspost/compress/huff0"
)

// The kinds of a block's literals (RFC 8878, 3.1.1.3.1.1).
const (
	rawLiterals = iota
	rleLiterals
	huffmanLiterals
	treelessLiterals // with the table of the block before
)

// appendLiterals appends a block's section of literals.
func (e *Encoder) appendLiterals(dst, lits []byte) []byte {
	var (
		out    []byte
		reused bool
		single bool
		err    = huff0.ErrIncompressible
	)
	switch {
	case len(lits) >= 1024:
		out, reused, err = huff0.Compress4X(lits, &e.lits)
	case len(lits) > 16:
		single = true
		out, reused, err = huff0.Compress1X(lits, &e.lits)
	}
	switch {
	case errors.Is(err, huff0.ErrUseRLE):
		return append(appendPlainHeader(dst, rleLiterals, len(lits)), lits[0])
	case err != nil || len(out)+5 >= len(lits):
		// The table that a later block may use is the last that was written.
		if err == nil {
			e.lits.Reuse = huff0.ReusePolicyNone
		}
		return append(appendPlainHeader(dst, rawLiterals, len(lits)), lits...)
	}
	e.lits.Reuse = huff0.ReusePolicyAllow
	kind := huffmanLiterals
	if reused {
		kind = treelessLiterals
	}
	return append(appendHuffmanHeader(dst, kind, len(lits), len(out), single), out...)
}

// appendPlainHeader is that of literals which are not compressed.
func appendPlainHeader(dst []byte, kind, size int) []byte {
	switch {
	case size < 1<<5:
		return append(dst, byte(kind|size<<3))
	case size < 1<<12:
		h := kind | 1<<2 | size<<4
		return append(dst, byte(h), byte(h>>8))
	default:
		h := kind | 3<<2 | size<<4
		return append(dst, byte(h), byte(h>>8), byte(h>>16))
	}
}

// appendHuffmanHeader is that of size bytes which are packed ones with Huffman's codes,
// in one stream or four.
func appendHuffmanHeader(dst []byte, kind, size, packed int, single bool) []byte {
	h := uint64(kind)
	switch {
	case size < 1<<10 && packed < 1<<10:
		if !single {
			h |= 1 << 2
		}
		h |= uint64(size)<<4 | uint64(packed)<<14
		return append(dst, byte(h), byte(h>>8), byte(h>>16))
	case size < 1<<14 && packed < 1<<14:
		h |= 2<<2 | uint64(size)<<4 | uint64(packed)<<18
		return append(dst, byte(h), byte(h>>8), byte(h>>16), byte(h>>24))
	default:
		h |= 3<<2 | uint64(size)<<4 | uint64(packed)<<22
		return append(dst, byte(h), byte(h>>8), byte(h>>16), byte(h>>24), byte(h>>32))
	}
}
