package xz

import (
	"errors"
	"fmt"
	"io"
)

// window is the buffer that chunks are decoded into; it is the dictionary too.
type window struct {
	buf   []byte
	base  int  // where the dictionary begins; below 0 once bytes were dropped
	fixed bool // cap(buf) is all that may come: the whole block is kept
}

// next makes place for n more bytes and returns the position of the first. All
// that came before may be dropped but for dictSize bytes, unless the window is
// fixed. Memory is taken as data comes, not as a header claims.
func (w *window) next(n, dictSize int) (int, error) {
	o := len(w.buf)
	if o+n > cap(w.buf) {
		if w.fixed {
			return 0, errTooLong
		}
		keep := min(o, dictSize)
		slack := max(dictSize/4, 2*maxChunkOut)
		if full := dictSize + slack; cap(w.buf) >= full {
			copy(w.buf, w.buf[o-keep:])
			w.buf = w.buf[:keep]
		} else {
			grown := make([]byte, keep, min(full, max(2*cap(w.buf), keep+n, 1<<16)))
			copy(grown, w.buf[o-keep:])
			w.buf = grown
		}
		w.base -= o - keep
		o = keep
	}
	w.buf = w.buf[:o+n]
	return o, nil
}

// lzma2 decodes a sequence of LZMA2 chunks.
type lzma2 struct {
	lzma
	w         window
	dictSize  int
	needDict  bool // the next chunk has to reset the dictionary
	needProps bool // the next LZMA chunk has to bring properties and reset the state
	end       bool // the end marker was read
}

// init makes z ready for another block. If fixed is set, the block's bytes are
// all in cap(buf).
func (z *lzma2) init(dictSize int, buf []byte, fixed bool) {
	z.w = window{buf: buf[:0], fixed: fixed}
	z.dictSize = dictSize
	z.needDict, z.needProps, z.end = true, true, false
}

// chunk decodes the next chunk of r and returns its bytes, which are valid until
// the next call; at the end marker it returns none and sets z.end.
func (z *lzma2) chunk(r io.Reader) ([]byte, error) {
	head := z.in[:1]
	if _, err := io.ReadFull(r, head); err != nil {
		return nil, truncated(err)
	}
	control := head[0]
	switch {
	case control == 0:
		z.end = true
		return nil, nil
	case control >= 0xe0 || control == 1:
		z.needDict, z.needProps = false, true
		z.w.base = len(z.w.buf)
	case z.needDict:
		return nil, errCorrupt
	}
	if control >= 0x80 {
		return z.compressed(r, control)
	}
	if control > 2 {
		return nil, errCorrupt
	}
	if _, err := io.ReadFull(r, z.in[:2]); err != nil {
		return nil, truncated(err)
	}
	o, err := z.w.next(1+int(z.in[0])<<8+int(z.in[1]), z.dictSize)
	if err != nil {
		return nil, err
	}
	_, err = io.ReadFull(r, z.w.buf[o:])
	return z.w.buf[o:], truncated(err)
}

// compressed decodes the LZMA chunk whose first byte is control.
func (z *lzma2) compressed(r io.Reader, control byte) ([]byte, error) {
	head := z.in[:5]
	n := 4
	if control >= 0xc0 {
		n = 5
	}
	if _, err := io.ReadFull(r, head[:n]); err != nil {
		return nil, truncated(err)
	}
	size := 1 + int(control&0x1f)<<16 + int(head[0])<<8 + int(head[1])
	in := 1 + int(head[2])<<8 + int(head[3])
	if control >= 0xc0 {
		if err := z.setProperties(head[4]); err != nil {
			return nil, err
		}
		z.needProps = false
	} else if z.needProps {
		return nil, errCorrupt
	}
	if control >= 0xa0 {
		z.reset()
	}
	if _, err := io.ReadFull(r, z.in[:in]); err != nil {
		return nil, truncated(err)
	}
	b := z.in[:5]
	if in < 5 || b[0] != 0 {
		return nil, errCorrupt
	}
	z.rng, z.pos = 0xffffffff, 5
	z.code = uint32(b[1])<<24 | uint32(b[2])<<16 | uint32(b[3])<<8 | uint32(b[4])
	o, err := z.w.next(size, z.dictSize)
	if err != nil {
		return nil, err
	}
	if err := z.decode(z.w.buf, z.w.base, o, z.dictSize); err != nil {
		return nil, err
	}
	if z.pos != in || z.code != 0 {
		return nil, errCorrupt
	}
	return z.w.buf[o:], nil
}

var errTooLong = errors.New("corrupt data: more than the index says")

// truncated turns the end of the input into an error that says so.
func truncated(err error) error {
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return fmt.Errorf("truncated: %w", io.ErrUnexpectedEOF)
	}
	return err
}
