package xz

import (
	"fmt"
	"io"
	"slices"
	"sync/atomic"
)

// flight is a block on its way: a goroutine decodes it and closes ready.
type flight struct {
	index int
	buf   []byte
	err   error
	ready chan struct{}
	stop  atomic.Bool
}

// advance makes more bytes available in cur, or sets err.
func (x *Reader) advance() {
	if x.big != nil {
		x.cur, x.err = x.big.next()
		if x.err == io.EOF {
			x.done = x.big.b.end()
			x.big, x.err = nil, nil
		}
		return
	}
	if x.back != nil {
		x.free = append(x.free, x.back)
		x.back, x.cur = nil, nil
	}
	x.launch()
	if len(x.queue) == 0 {
		if x.next == len(x.blocks) {
			x.err = io.EOF
			return
		}
		x.big, x.err = openBig(x, x.next)
		x.next++
		return
	}
	f := x.queue[0]
	<-f.ready
	x.queue = slices.Delete(x.queue, 0, 1)
	if f.err != nil {
		x.err = x.blockError(f.index, f.err)
		release(f.buf)
		return
	}
	x.done = x.blocks[f.index].end()
	x.cur, x.back = f.buf, f.buf
}

func (x *Reader) blockError(i int, err error) error {
	return fmt.Errorf("reading xz: block %d of %d at byte %d: %w", i+1, len(x.blocks), x.blocks[i].offset, err)
}

// launch begins blocks while there is memory for them. One more than there are
// workers, so that none waits while a finished block is read.
func (x *Reader) launch() {
	for x.next < len(x.blocks) && len(x.queue) <= x.opt.Workers {
		b := x.blocks[x.next]
		if b.size > x.opt.Memory {
			return // read alone, when all before it are through
		}
		buf, ok := x.buffer(int(b.size))
		if !ok {
			return
		}
		f := &flight{index: x.next, buf: buf, ready: make(chan struct{})}
		x.queue = append(x.queue, f)
		x.next++
		go x.decode(f)
	}
}

// buffer finds or makes a buffer for n bytes, within Options.Memory.
func (x *Reader) buffer(n int) ([]byte, bool) {
	for i, b := range x.free {
		if cap(b) >= n {
			x.free = slices.Delete(x.free, i, i+1)
			return b[:0:cap(b)], true
		}
	}
	for _, b := range x.free { // all too small
		x.held -= int64(cap(b))
		release(b)
	}
	x.free = nil
	// With nothing in flight the block fits by itself: its size was checked.
	if x.held+int64(n) > x.opt.Memory && len(x.queue) > 0 {
		return nil, false
	}
	x.held += int64(n)
	return allocate(n)[:0], true
}

// decode fills in f; it runs in its own goroutine and touches nothing of x that
// changes.
func (x *Reader) decode(f *flight) {
	defer close(f.ready)
	z := <-x.slots
	defer func() { x.slots <- z }()
	if f.stop.Load() {
		f.err = errClosed
		return
	}
	b := x.blocks[f.index]
	d, err := openBlock(x.src, b, x.opt.MaxDict)
	if err != nil {
		f.err = err
		return
	}
	if z == nil && d.plain {
		z = new(lzma2)
	}
	d.start(z, f.buf[:0:b.size], true)
	for !f.stop.Load() {
		if _, err := d.next(); err == io.EOF {
			f.buf = f.buf[:b.size] // decoded in place
			return
		} else if err != nil {
			f.err = err
			return
		}
	}
	f.err = errClosed
}

// bigBlock is a block too large to be held: its chunks are handed out as they
// are decoded.
type bigBlock struct {
	*blockDecoder
	x     *Reader
	index int
}

func openBig(x *Reader, i int) (*bigBlock, error) {
	d, err := openBlock(x.src, x.blocks[i], x.opt.MaxDict)
	if err != nil {
		return nil, x.blockError(i, err)
	}
	var z *lzma2
	if d.plain {
		z = new(lzma2)
	}
	d.start(z, nil, false)
	return &bigBlock{blockDecoder: d, x: x, index: i}, nil
}

func (b *bigBlock) next() ([]byte, error) {
	p, err := b.blockDecoder.next()
	if err != nil && err != io.EOF {
		err = b.x.blockError(b.index, err)
	}
	return p, err
}
