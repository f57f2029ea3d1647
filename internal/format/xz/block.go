package xz

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"hash"
	"hash/crc32"
	"hash/crc64"
	"io"

	rootxz "github.com/therootcompany/xz"
)

const filterLZMA2 = 0x21

// blockDecoder decodes one block, chunk by chunk, and verifies its end.
type blockDecoder struct {
	b        block
	src      io.ReaderAt
	in       *bufio.Reader // behind the header
	left     *io.LimitedReader
	dictSize int
	plain    bool // LZMA2 and no other filter

	z     *lzma2
	other io.Reader // instead of z, for other filters
	buf   []byte    // that other decodes into
	fixed bool
	sum   hash.Hash
	got   int64
}

// openBlock reads the header of b.
func openBlock(r io.ReaderAt, b block, maxDict int64) (*blockDecoder, error) {
	var first [1]byte
	if err := readAt(r, first[:], b.offset); err != nil {
		return nil, err
	}
	size := (int64(first[0]) + 1) * 4
	if first[0] == 0 || size > b.unpadded {
		return nil, fmt.Errorf("block header: %w", errCorrupt)
	}
	head := make([]byte, size)
	if err := readAt(r, head, b.offset); err != nil {
		return nil, err
	}
	d := &blockDecoder{b: b, src: r}
	var err error
	if d.sum, err = newCheck(b.check); err != nil {
		return nil, err
	}
	data := b.unpadded - size - checkSize(b.check)
	if data < 0 {
		return nil, fmt.Errorf("block header: %w", errCorrupt)
	}
	if err := d.parseHeader(head, data, maxDict); err != nil {
		return nil, fmt.Errorf("block header: %w", err)
	}
	d.left = &io.LimitedReader{R: io.NewSectionReader(r, b.offset+size, data), N: data}
	return d, nil
}

// parseHeader checks the header against the index and finds the dictionary size.
func (d *blockDecoder) parseHeader(head []byte, data, maxDict int64) error {
	n := len(head) - 4
	if crc32.ChecksumIEEE(head[:n]) != binary.LittleEndian.Uint32(head[n:]) {
		return fmt.Errorf("%w: wrong check sum", errCorrupt)
	}
	flags, r := head[1], bytes.NewReader(head[2:n])
	if flags&0x3c != 0 {
		return fmt.Errorf("unsupported flags %#x", flags)
	}
	for _, f := range []struct {
		bit  byte
		want int64
	}{{0x40, data}, {0x80, d.b.size}} {
		if flags&f.bit == 0 {
			continue
		}
		if v, err := uvarint(r); err != nil || v != uint64(f.want) {
			return fmt.Errorf("%w: sizes other than in the index", errCorrupt)
		}
	}
	count := int(flags&3) + 1
	for i := range count {
		id, err1 := uvarint(r)
		props, err2 := uvarint(r)
		if err1 != nil || err2 != nil || props > uint64(r.Len()) {
			return errCorrupt
		}
		p := make([]byte, props)
		if _, err := io.ReadFull(r, p); err != nil {
			return errCorrupt
		}
		if i < count-1 {
			continue
		}
		if id != filterLZMA2 || len(p) != 1 || p[0] > 40 {
			return fmt.Errorf("unsupported filter %#x", id)
		}
		dict := int64(1<<32 - 1)
		if p[0] < 40 {
			dict = int64(2|p[0]&1) << (p[0]/2 + 11)
		}
		if dict > maxDict {
			return fmt.Errorf("needs a dictionary of %d MiB, want at most %d MiB: "+
				"compress it again with a smaller one (xz -9 takes 64 MiB)", dict>>20, maxDict>>20)
		}
		d.dictSize, d.plain = int(dict), count == 1
	}
	for r.Len() > 0 {
		if b, _ := r.ReadByte(); b != 0 {
			return errCorrupt
		}
	}
	return nil
}

// start makes the decoder ready: z is for plain blocks; with fixed set the whole
// block is decoded into buf, whose capacity is the block's size.
func (d *blockDecoder) start(z *lzma2, buf []byte, fixed bool) {
	d.fixed = fixed
	if d.plain {
		d.in = bufio.NewReaderSize(d.left, 1<<16)
		d.z = z
		z.init(d.dictSize, buf, fixed)
		return
	}
	d.buf = buf
	if !fixed {
		d.buf = make([]byte, 0, 1<<20)
	}
	// A stream of this block alone, for the library.
	d.other = io.MultiReader(
		bytes.NewReader(streamHeader(d.b.check)),
		io.NewSectionReader(d.src, d.b.offset, d.b.padded()),
		bytes.NewReader(streamTail(d.b)))
}

// next decodes some more; io.EOF means that all is there and verified.
func (d *blockDecoder) next() ([]byte, error) {
	var p []byte
	var err error
	if d.plain {
		p, err = d.z.chunk(d.in)
		if err == nil && d.z.end {
			return nil, d.finish()
		}
	} else {
		p, err = d.nextOther()
		if errors.Is(err, io.EOF) && d.got != d.b.size {
			err = errors.New("corrupt data: less than the index says")
		}
	}
	if err != nil {
		return nil, err
	}
	if d.got += int64(len(p)); d.got > d.b.size {
		return nil, errTooLong
	}
	if d.plain && d.sum != nil {
		d.sum.Write(p)
	}
	return p, nil
}

// nextOther reads from the library, which verifies the check itself.
func (d *blockDecoder) nextOther() (p []byte, err error) {
	defer func() {
		if len(p) > 0 && errors.Is(err, io.EOF) {
			err = nil // it says so again at the next call
		}
	}()
	if r, ok := d.other.(*rootxz.Reader); !ok {
		r, err := rootxz.NewReader(d.other, uint32(min(d.dictSize, 1<<32-1)))
		if err != nil {
			return nil, err
		}
		d.other = r
	} else if !d.fixed {
		n, err := r.Read(d.buf[:cap(d.buf)])
		return d.buf[:n], err
	} else if len(d.buf) < cap(d.buf) {
		o := len(d.buf)
		n, err := r.Read(d.buf[o:min(o+1<<20, cap(d.buf))])
		d.buf = d.buf[:o+n]
		return d.buf[o:], err
	} else {
		var more [1]byte
		n, err := r.Read(more[:])
		return more[:n], err
	}
	return nil, nil
}

// finish checks that the block ends where the index says, and its check sum.
func (d *blockDecoder) finish() error {
	if d.in.Buffered() > 0 || d.left.N > 0 {
		return fmt.Errorf("%w: more input than the data needs", errCorrupt)
	}
	if d.got != d.b.size {
		return errors.New("corrupt data: less than the index says")
	}
	size := checkSize(d.b.check)
	tail := make([]byte, d.b.padded()-d.b.unpadded+size)
	if err := readAt(d.src, tail, d.b.end()-int64(len(tail))); err != nil {
		return err
	}
	for _, b := range tail[:int64(len(tail))-size] {
		if b != 0 {
			return fmt.Errorf("%w: padding is not zero", errCorrupt)
		}
	}
	if d.sum == nil {
		return io.EOF
	}
	got, want := d.sum.Sum(nil), tail[int64(len(tail))-size:]
	if d.b.check != checkSHA256 { // CRCs are little-endian in the file
		for i, j := 0, len(got)-1; i < j; i, j = i+1, j-1 {
			got[i], got[j] = got[j], got[i]
		}
	}
	if !bytes.Equal(got, want) {
		return fmt.Errorf("%w: check sum is %x, want %x", errCorrupt, got, want)
	}
	return io.EOF
}

// Kinds of checks.
const (
	checkNone   = 0
	checkCRC32  = 1
	checkCRC64  = 4
	checkSHA256 = 10
)

var crc64Table = crc64.MakeTable(crc64.ECMA)

func newCheck(id byte) (hash.Hash, error) {
	switch id {
	case checkNone:
		return nil, nil
	case checkCRC32:
		return crc32.NewIEEE(), nil
	case checkCRC64:
		return crc64.New(crc64Table), nil
	case checkSHA256:
		return sha256.New(), nil
	}
	return nil, fmt.Errorf("unsupported check %d: want none, CRC32, CRC64 or SHA-256", id)
}

// checkSize is the size that the format gives to a kind of check.
func checkSize(id byte) int64 {
	return [...]int64{0, 4, 4, 4, 8, 8, 8, 16, 16, 16, 32, 32, 32, 64, 64, 64}[id&15]
}
