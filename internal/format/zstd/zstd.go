// Package zstd writes Zstandard frames (RFC 8878) for content that is cut into pieces
// and compressed on all cores: the layers of an image. On one core it takes four
// fifths of the time of klauspost's encoder, whose packages have the rest of what is written
// and read with this format here, for one percent more (BenchmarkFrame).
//
// A frame is a function of its content alone. It says the content's size, so that a
// decoder allocates once, and has no checksum: what holds a layer has its digest.
package zstd

import (
	"encoding/binary"

	"github.com/klauspost/compress/huff0"
)

// MaxFrame is the most that one frame may hold, in bytes: what a table's entry can
// point at.
const MaxFrame = 1 << posBits

// blockSize is the most that a block may hold, in bytes.
const blockSize = 128 << 10

// Encoder makes one frame at a time. It holds 0.8 MB to be used again.
type Encoder struct {
	finder finder
	coder  coder
	lits   huff0.Scratch
}

// NewEncoder returns an encoder.
func NewEncoder() *Encoder {
	return &Encoder{lits: huff0.Scratch{WantLogLess: 4}} // a sixteenth less, or it is not worth the decoder's time
}

// AppendFrame appends a frame that holds src, of at most MaxFrame bytes.
func (e *Encoder) AppendFrame(dst, src []byte) []byte {
	if len(src) > MaxFrame {
		panic("zstd: a frame of more than MaxFrame")
	}
	dst = appendFrameHeader(dst, len(src))
	e.finder.reset()
	e.coder.forget()
	e.lits.Reuse = huff0.ReusePolicyNone
	for start := 0; ; start += blockSize {
		end := min(start+blockSize, len(src))
		last := end == len(src)
		dst = e.block(dst, src, start, end, last)
		if last {
			return dst
		}
	}
}

// appendFrameHeader says a single segment of size bytes (RFC 8878, 3.1.1.1).
func appendFrameHeader(dst []byte, size int) []byte {
	const single = 1 << 5
	dst = append(dst, 0x28, 0xb5, 0x2f, 0xfd)
	switch {
	case size < 256:
		return append(dst, single, byte(size))
	case size < 65536+256:
		return binary.LittleEndian.AppendUint16(append(dst, single|1<<6), uint16(size-256))
	default:
		return binary.LittleEndian.AppendUint32(append(dst, single|2<<6), uint32(size))
	}
}

// The kinds of blocks (3.1.1.2.2).
const (
	rawBlock = iota
	rleBlock
	compressedBlock
)

// putBlockHeader writes a header's three bytes.
func putBlockHeader(at []byte, kind, size int, last bool) {
	h := size<<3 | kind<<1
	if last {
		h |= 1
	}
	at[0], at[1], at[2] = byte(h), byte(h>>8), byte(h>>16)
}

// block appends the block that holds src[start:end], which may refer to what is before.
func (e *Encoder) block(dst, src []byte, start, end int, last bool) []byte {
	header := len(dst)
	dst = append(dst, 0, 0, 0)
	data := src[start:end]
	if same(data) {
		putBlockHeader(dst[header:], rleBlock, len(data), last)
		return append(dst, data[0])
	}
	before := e.finder.recent
	e.finder.find(src[:end], start)
	if len(data)-len(e.finder.lits)-len(data)>>6 < 16 && len(e.finder.seqs) > 0 {
		// What the matches spare is not worth their being said.
		e.finder.lits, e.finder.seqs, e.finder.recent = append(e.finder.lits[:0], data...), e.finder.seqs[:0], before
	}
	dst = e.appendLiterals(dst, e.finder.lits)
	dst = e.coder.append(dst, e.finder.seqs)
	if size := len(dst) - header - 3; size < len(data) {
		putBlockHeader(dst[header:], compressedBlock, size, last)
		return dst
	}
	// As it is. The decoder does not see what was made of it, so nothing may refer to that.
	e.finder.recent = before
	e.coder.forget()
	e.lits.Reuse = huff0.ReusePolicyNone
	putBlockHeader(dst[header:], rawBlock, len(data), last)
	return append(dst[:header+3], data...)
}

// same reports whether data is one byte again and again, at least twice.
func same(data []byte) bool {
	if len(data) < 2 || data[0] != data[len(data)-1] {
		return false
	}
	for len(data) >= 9 {
		if binary.LittleEndian.Uint64(data) != binary.LittleEndian.Uint64(data[1:]) {
			return false
		}
		data = data[8:]
	}
	for _, b := range data[1:] {
		if b != data[0] {
			return false
		}
	}
	return true
}
