package archive

import (
	"io"
	"sync"
)

// ahead reads from a source in a goroutine of its own, a few pieces ahead of
// its reader.
type ahead struct {
	pieces chan piece
	free   chan []byte
	stop   chan struct{}
	once   sync.Once
	done   sync.WaitGroup

	cur  []byte
	back []byte
	err  error
}

type piece struct {
	buf []byte
	err error
}

const (
	aheadPieces = 4
	aheadSize   = 1 << 20
)

// readAhead starts the goroutine; when it ends, by Close at the latest, it calls
// closed, if set.
func readAhead(r io.Reader, closed func()) io.ReadCloser {
	a := &ahead{
		pieces: make(chan piece, aheadPieces),
		free:   make(chan []byte, aheadPieces),
		stop:   make(chan struct{}),
	}
	for range aheadPieces {
		a.free <- nil
	}
	a.done.Add(1)
	go func() {
		defer a.done.Done()
		if closed != nil {
			defer closed()
		}
		a.fill(r)
	}()
	return a
}

func (a *ahead) fill(r io.Reader) {
	for {
		var buf []byte
		select {
		case buf = <-a.free:
		case <-a.stop:
			return
		}
		if buf == nil {
			buf = make([]byte, aheadSize)
		}
		n, err := 0, error(nil)
		for n < aheadSize && err == nil {
			var m int
			m, err = r.Read(buf[n:aheadSize])
			n += m
		}
		a.pieces <- piece{buf[:n], err} // there is room: one slot for each buffer
		if err != nil {
			return
		}
	}
}

// Read implements io.Reader.
func (a *ahead) Read(p []byte) (int, error) {
	for len(a.cur) == 0 {
		if a.err != nil {
			return 0, a.err
		}
		if a.back != nil {
			a.free <- a.back
			a.back = nil
		}
		next := <-a.pieces
		a.cur, a.back, a.err = next.buf, next.buf, next.err
	}
	n := copy(p, a.cur)
	a.cur = a.cur[n:]
	return n, nil
}

// Close ends the goroutine.
func (a *ahead) Close() error {
	a.once.Do(func() { close(a.stop) })
	a.done.Wait()
	return nil
}
