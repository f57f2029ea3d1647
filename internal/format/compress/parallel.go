package compress

import (
	"bytes"
	"fmt"
	"hash/crc32"
	"io"
	"runtime"
	"sync"

	"github.com/klauspost/compress/flate"

	"github.com/labstar/labstar/internal/format/zstd"
)

// NewParallel is NewWriter on all cores, for None, Gzip and Zstd. The content is
// compressed in blocks of a fixed size, so the bytes are the same whatever the number
// of cores, though not those of NewWriter: zstd's are several frames, which the
// kernel's decoder does not take and every other does.
func NewParallel(w io.Writer, f Format) (io.WriteCloser, error) {
	switch f {
	case None:
		return nopCloser{w}, nil
	case Gzip:
		if _, err := w.Write(gzipHeader); err != nil {
			return nil, err
		}
		return newParallel(w, gzipBlock, gzipWindow, &deflater{}), nil
	case Zstd:
		return newParallel(w, zstd.MaxFrame, 0, framer{}), nil
	}
	return nil, fmt.Errorf("got compression %q, want none, gzip or zstd", f)
}

const (
	// gzipBlock is where the loss by the flush between two blocks is nothing.
	gzipBlock = 1 << 20
	// gzipWindow is how far back deflate refers: a block starts with what was before.
	gzipWindow = 32 << 10
)

// gzipHeader has no name, no time and an unknown system.
var gzipHeader = []byte{0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 255}

// codec compresses blocks, several at a time, and knows how a stream ends.
type codec interface {
	// block compresses data, which is preceded by before; last is set for the end.
	block(dst, before, data []byte, last bool) ([]byte, error)
	// sum is told every block, in order.
	sum(data []byte)
	// trailer is what comes after the last block.
	trailer() []byte
}

// parallel hands blocks to as many goroutines as there are cores, and writes what
// they make in order.
type parallel struct {
	w     io.Writer
	codec codec
	size  int // of a block
	keep  int // bytes before a block that it is told

	data   []byte // of the block being filled
	before []byte
	queue  chan chan result // blocks in order, as many as may be under way
	free   chan []byte      // what the blocks under way were filled in, to be filled again
	done   chan struct{}    // the writer has ended

	mu     sync.Mutex
	err    error
	closed bool
	pool   sync.Pool
}

type result struct {
	b   []byte
	err error
}

func newParallel(w io.Writer, size, keep int, c codec) *parallel {
	// Twice as many as there are cores, so that none waits for a block that takes
	// longer than those after it.
	under := 2 * runtime.GOMAXPROCS(0)
	p := &parallel{w: w, codec: c, size: size, keep: keep, queue: make(chan chan result, under), free: make(chan []byte, under), done: make(chan struct{})}
	go p.drain()
	return p
}

// drain writes the blocks as they are ready.
func (p *parallel) drain() {
	defer close(p.done)
	for next := range p.queue {
		r := <-next
		if r.err == nil && p.failed() == nil {
			_, r.err = p.w.Write(r.b)
		}
		if r.err != nil {
			p.fail(r.err)
		}
		p.pool.Put(&r.b)
	}
}

func (p *parallel) failed() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.err
}

func (p *parallel) fail(err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.err == nil {
		p.err = err
	}
}

// Write takes content in pieces of any size. A full block is started when the next
// byte comes, so that the last one is known as such.
func (p *parallel) Write(b []byte) (int, error) {
	n := len(b)
	for len(b) > 0 {
		if len(p.data) == p.size {
			p.start(false)
		}
		if p.data == nil {
			p.data = p.empty()
		}
		k := min(len(b), p.size-len(p.data))
		p.data = append(p.data, b[:k]...)
		b = b[k:]
	}
	return n, p.failed()
}

// empty returns a block to fill.
func (p *parallel) empty() []byte {
	select {
	case b := <-p.free:
		return b[:0]
	default:
		return make([]byte, 0, p.size)
	}
}

// start hands the block to a goroutine.
func (p *parallel) start(last bool) {
	data, before := p.data, p.before
	p.codec.sum(data)
	p.data = nil
	p.before = bytes.Clone(data[max(0, len(data)-p.keep):])
	next := make(chan result, 1)
	p.queue <- next // waits while enough are under way
	go func() {
		var dst []byte
		if b, ok := p.pool.Get().(*[]byte); ok {
			dst = (*b)[:0]
		}
		b, err := p.codec.block(dst, before, data, last)
		select {
		case p.free <- data:
		default:
		}
		next <- result{b, err}
	}()
}

// Close ends the stream and leaves the writer below open.
func (p *parallel) Close() error {
	if p.closed {
		return p.failed()
	}
	p.closed = true
	p.start(true)
	close(p.queue)
	<-p.done
	if err := p.failed(); err != nil {
		return err
	}
	_, err := p.w.Write(p.codec.trailer())
	return err
}

// deflater makes the body and the end of a gzip file.
type deflater struct {
	crc  uint32
	size uint32
}

var deflaters sync.Pool

func (d *deflater) sum(data []byte) {
	d.crc = crc32.Update(d.crc, crc32.IEEETable, data)
	d.size += uint32(len(data))
}

func (d *deflater) block(dst, before, data []byte, last bool) ([]byte, error) {
	out := bytes.NewBuffer(dst)
	w, _ := deflaters.Get().(*flate.Writer)
	if w == nil {
		var err error
		if w, err = flate.NewWriter(out, gzipLevel); err != nil {
			return nil, err
		}
	}
	defer deflaters.Put(w)
	w.ResetDict(out, before)
	if _, err := w.Write(data); err != nil {
		return nil, err
	}
	end := w.Flush // to a byte, so that the next block can follow
	if last {
		end = w.Close
	}
	if err := end(); err != nil {
		return nil, err
	}
	return out.Bytes(), nil
}

func (d *deflater) trailer() []byte {
	return []byte{byte(d.crc), byte(d.crc >> 8), byte(d.crc >> 16), byte(d.crc >> 24),
		byte(d.size), byte(d.size >> 8), byte(d.size >> 16), byte(d.size >> 24)}
}

// framer makes zstd frames, each of which refers to nothing before it.
type framer struct{}

// frames are encoders to be used again.
var frames = sync.Pool{New: func() any { return zstd.NewEncoder() }}

func (framer) sum([]byte) {}

func (framer) block(dst, _, data []byte, _ bool) ([]byte, error) {
	e := frames.Get().(*zstd.Encoder)
	defer frames.Put(e)
	return e.AppendFrame(dst, data), nil
}

func (framer) trailer() []byte { return nil }
