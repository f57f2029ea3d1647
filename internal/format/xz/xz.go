// Package xz reads .xz files, several blocks at a time.
//
// An .xz file is a sequence of streams, each a sequence of blocks that can be
// decoded alone, then an index that says where they are. NewReader reads the
// index first, so that it needs an io.ReaderAt, and decodes as many blocks side
// by side as there are processors and memory allows:
//
//	r, err := xz.NewReader(file, size, xz.Options{})
//	defer r.Close()
//	_, err = io.Copy(out, r)
//
// Every check sum of the format is verified: those of headers, of the index, and
// each block's own (CRC32, CRC64 or SHA-256). Nothing in a file makes the reader
// take more memory than Options allow, besides one dictionary.
//
// LZMA2, which is all that tarballs use, is decoded here; it is half again as
// fast as the Go libraries, because a block is its own dictionary and bits are
// decoded without branches. Blocks with further filters (BCJ, delta) go through
// therootcompany/xz, one at a time.
//
// The format is that of https://tukaani.org/xz/xz-file-format.txt, version 1.2.1.
package xz

import (
	"errors"
	"fmt"
	"io"
	"runtime"
)

// Options bound what a Reader uses. The zero value is good for most.
type Options struct {
	// Workers is the number of blocks decoded at a time; 0 means GOMAXPROCS.
	Workers int
	// Memory is what decoded blocks may take, in bytes, besides dictionaries;
	// 0 means 64 MiB. A block that does not fit is decoded as it is read, alone.
	Memory int64
	// MaxDict is the largest dictionary accepted, in bytes; 0 means 256 MiB
	// (`xz -9` uses 64 MiB).
	MaxDict int64
}

func (o Options) withDefaults() Options {
	if o.Workers <= 0 {
		o.Workers = runtime.GOMAXPROCS(0)
	}
	if o.Memory <= 0 {
		o.Memory = 64 << 20
	}
	if o.MaxDict <= 0 {
		o.MaxDict = 256 << 20
	}
	return o
}

// Magic is what an .xz file begins with.
const Magic = "\xfd7zXZ\x00"

// ErrFormat is wrapped by the error for input that is no .xz file at all.
var ErrFormat = errors.New("not an xz file")

// Reader is the decoded content of an .xz file. It is for one goroutine.
type Reader struct {
	src    io.ReaderAt
	opt    Options
	blocks []block
	size   int64

	next  int       // the first block that was not begun
	queue []*flight // begun, in order
	held  int64     // bytes that queue and free may hold
	free  [][]byte  // buffers to use again
	slots chan *lzma2

	cur  []byte // decoded and not read
	big  *bigBlock
	done int64 // compressed bytes read so far
	err  error
}

// NewReader reads the index of the .xz file that r holds. Close the Reader in
// any case.
func NewReader(r io.ReaderAt, size int64, opt Options) (*Reader, error) {
	blocks, err := readIndexes(r, size)
	if err != nil {
		return nil, fmt.Errorf("reading xz: %w", err)
	}
	x := &Reader{src: r, opt: opt.withDefaults(), blocks: blocks}
	for _, b := range blocks {
		x.size += b.size
	}
	x.slots = make(chan *lzma2, x.opt.Workers)
	for range x.opt.Workers {
		x.slots <- nil // the decoder is made when first needed
	}
	return x, nil
}

// Size is the number of bytes that Read will give, as the index says.
func (x *Reader) Size() int64 { return x.size }

// Blocks is the number of blocks, which is how far decoding can be spread.
func (x *Reader) Blocks() int { return len(x.blocks) }

// Consumed is the number of compressed bytes behind what was read so far.
func (x *Reader) Consumed() int64 { return x.done }

// Read implements io.Reader.
func (x *Reader) Read(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, x.err
	}
	for len(x.cur) == 0 {
		if x.err != nil {
			return 0, x.err
		}
		x.advance()
	}
	n := copy(p, x.cur)
	x.cur = x.cur[n:]
	return n, nil
}

// WriteTo implements io.WriterTo; it spares a copy.
func (x *Reader) WriteTo(w io.Writer) (n int64, err error) {
	for {
		for len(x.cur) == 0 {
			if errors.Is(x.err, io.EOF) {
				return n, nil
			}
			if x.err != nil {
				return n, x.err
			}
			x.advance()
		}
		m, err := w.Write(x.cur)
		n += int64(m)
		x.cur = x.cur[m:]
		if err != nil {
			return n, err
		}
	}
}

// Close waits for the blocks being decoded and frees their memory.
func (x *Reader) Close() error {
	for _, f := range x.queue {
		f.stop.Store(true)
	}
	for _, f := range x.queue {
		f.land()
		release(f.buf)
	}
	for _, b := range x.free {
		release(b)
	}
	x.queue, x.free, x.cur, x.big = nil, nil, nil, nil
	if x.err == nil {
		x.err = errClosed
	}
	return nil
}

var errClosed = errors.New("reading xz: closed")
