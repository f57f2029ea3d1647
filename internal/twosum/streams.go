package twosum

import (
	"errors"
	"hash"
	"io"
	"sync"
)

// Stream is something that Streams hashes.
type Stream struct {
	Hash hash.Hash
	// Read fills a buffer from the stream, as io.Reader does.
	Read func([]byte) (int, error)
	// Took is told the bytes that were read, in order, before they are hashed; nil
	// for nobody.
	Took func([]byte) error
	// End is called when all is hashed, or with the error that ended it, which it
	// may add to. What it returns ends Streams.
	End func(error) error
}

// bufferSize is how much is read of a stream at once.
const bufferSize = 256 << 10

// Streams hashes what next gives until that is nil, two at a time. It runs in the
// caller's goroutine: several may share the same next.
func Streams(next func() *Stream) error {
	var x, y lane
	defer x.drop()
	defer y.drop()
	for {
		if err := errors.Join(x.load(next), y.load(next)); err != nil {
			return err
		}
		a, b := x.ready(&y), y.ready(&x)
		if len(a)+len(b) == 0 {
			return nil
		}
		switch {
		case len(b) == 0:
			_, _ = x.Hash.Write(a)
		case len(a) == 0:
			_, _ = y.Hash.Write(b)
		default:
			Write(x.Hash, y.Hash, a, b)
		}
		x.data, y.data = x.data[len(a):], y.data[len(b):]
	}
}

// lane is one of the two that are being hashed.
type lane struct {
	*Stream // nil for none
	buf     *[bufferSize]byte
	data    []byte // what is read and not hashed
}

var buffers = sync.Pool{New: func() any { return new([bufferSize]byte) }}

// load sees to it that there is something to hash, if anything is left.
func (l *lane) load(next func() *Stream) error {
	for len(l.data) == 0 {
		if l.Stream == nil {
			if l.Stream = next(); l.Stream == nil {
				return nil
			}
		}
		if l.buf == nil {
			l.buf = buffers.Get().(*[bufferSize]byte)
		}
		n, err := fill(l.Read, l.buf[:])
		if n > 0 {
			l.data, err = l.buf[:n], nil // the error comes again
			if l.Took != nil {
				err = l.Took(l.data)
			}
		}
		if err == nil {
			continue
		}
		if errors.Is(err, io.EOF) {
			err = nil
		}
		s := l.Stream
		l.Stream, l.data = nil, nil
		if err := s.End(err); err != nil {
			return err
		}
	}
	return nil
}

// fill reads until b is full or there is an error.
func fill(read func([]byte) (int, error), b []byte) (n int, err error) {
	for n < len(b) && err == nil {
		var m int
		m, err = read(b[n:])
		n += m
	}
	return n, err
}

// ready is what of l to hash beside o: no more than that has, and whole blocks if
// something is left then.
func (l *lane) ready(o *lane) []byte {
	if len(o.data) == 0 || len(l.data) <= len(o.data) {
		return l.data
	}
	return l.data[:len(o.data)/blockSize*blockSize]
}

// errDropped is what ends a stream when another one failed.
var errDropped = errors.New("another stream failed")

func (l *lane) drop() {
	if l.Stream != nil {
		_ = l.End(errDropped)
	}
	if l.buf != nil {
		buffers.Put(l.buf)
	}
}
