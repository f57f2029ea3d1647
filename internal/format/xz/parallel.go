package xz

import (
	"errors"
	"fmt"
	"io"
	"slices"
	"sync"
	"sync/atomic"
)

// flight is a block on its way: a goroutine decodes it while it is read.
type flight struct {
	index int
	buf   []byte // the whole capacity is the block's
	read  int    // bytes handed out; the reader's own
	stop  atomic.Bool

	mu   sync.Mutex
	more sync.Cond
	got  int  // bytes decoded
	done bool // nothing more comes
	err  error
}

// wait returns the bytes decoded and not handed out; none at the end.
func (f *flight) wait() ([]byte, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for f.got == f.read && !f.done {
		f.more.Wait()
	}
	p := f.buf[f.read:f.got]
	f.read = f.got
	if len(p) > 0 {
		return p, nil
	}
	return nil, f.err
}

// land waits until the goroutine is done with the buffer.
func (f *flight) land() {
	f.stop.Store(true)
	f.mu.Lock()
	defer f.mu.Unlock()
	for !f.done {
		f.more.Wait()
	}
}

// report tells the reader how far the block is.
func (f *flight) report(got int, done bool, err error) {
	f.mu.Lock()
	f.got, f.done, f.err = got, done, err
	f.mu.Unlock()
	f.more.Broadcast()
}

// advance makes more bytes available in cur, or sets err. The check of a block
// comes after its last byte, and so may an error.
func (x *Reader) advance() {
	if x.big != nil {
		x.cur, x.err = x.big.next()
		if errors.Is(x.err, io.EOF) {
			x.done = x.big.b.end()
			x.big, x.err = nil, nil
		}
		return
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
	var err error
	if x.cur, err = f.wait(); len(x.cur) > 0 {
		return
	}
	if err != nil {
		x.err = x.blockError(f.index, err)
		return
	}
	x.done = x.blocks[f.index].end()
	x.free = append(x.free, f.buf)
	x.queue = slices.Delete(x.queue, 0, 1)
}

func (x *Reader) blockError(i int, err error) error {
	return fmt.Errorf("reading xz: block %d of %d at byte %d: %w", i+1, len(x.blocks), x.blocks[i].offset, err)
}

// launch begins blocks while there is memory for them, one more than there are
// workers, so that none waits while a decoded block is read to its end.
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
		f := &flight{index: x.next, buf: buf}
		f.more.L = &f.mu
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
			return b[:cap(b)], true
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
	return allocate(n), true
}

// decode fills in f; it runs in its own goroutine and touches nothing of x that
// changes.
func (x *Reader) decode(f *flight) {
	z := <-x.slots
	defer func() { x.slots <- z }()
	b := x.blocks[f.index]
	d, err := openBlock(x.src, b, x.opt.MaxDict)
	if err != nil {
		f.report(0, true, err)
		return
	}
	if z == nil && d.plain {
		z = new(lzma2)
	}
	d.start(z, f.buf[:0:b.size], true)
	for {
		_, err := d.next()
		if errors.Is(err, io.EOF) {
			f.report(int(d.got), true, nil)
			return
		}
		if err == nil && f.stop.Load() {
			err = errClosed
		}
		if err != nil {
			f.report(int(min(d.got, b.size)), true, err)
			return
		}
		f.report(int(d.got), false, nil)
	}
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
	if err != nil && !errors.Is(err, io.EOF) {
		err = b.x.blockError(b.index, err)
	}
	return p, err
}
