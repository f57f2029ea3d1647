// Package sparse writes files with holes: blocks of zeros take no room on the
// disk, and reading them costs no reading. An image of a disk is mostly that.
package sparse

import (
	"bytes"
	"io"
	"os"
)

// block is the smallest hole that file systems make.
const block = 4096

var zeros [block]byte

// Writer writes to a file from its current place on, and leaves out blocks of
// zeros. The file must have nothing there yet.
type Writer struct {
	f    *os.File
	hole int64 // bytes of zeros that are not accounted for
}

// NewWriter returns a Writer to f.
func NewWriter(f *os.File) *Writer { return &Writer{f: f} }

// Write writes p, or notes that it is zeros.
func (w *Writer) Write(p []byte) (int, error) {
	done := 0
	for done < len(p) {
		n := run(p[done:], true)
		w.hole += int64(n)
		done += n
		if n = run(p[done:], false); n == 0 {
			continue
		}
		if w.hole > 0 {
			if _, err := w.f.Seek(w.hole, io.SeekCurrent); err != nil {
				return done, err
			}
			w.hole = 0
		}
		m, err := w.f.Write(p[done : done+n])
		if done += m; err != nil {
			return done, err
		}
	}
	return done, nil
}

// run is how many bytes at the start of p are whole blocks of zeros, or the other
// way round. A piece shorter than a block counts as no zeros.
func run(p []byte, zero bool) int {
	n := 0
	for n < len(p) {
		b := p[n:min(len(p), n+block)]
		if (len(b) == block && bytes.Equal(b, zeros[:])) != zero {
			break
		}
		n += len(b)
	}
	return n
}

// Close makes the file as long as what was written. It leaves the file open.
func (w *Writer) Close() error {
	if w.hole == 0 {
		return nil
	}
	at, err := w.f.Seek(w.hole, io.SeekCurrent)
	w.hole = 0
	if err != nil {
		return err
	}
	return w.f.Truncate(at)
}

// Copy copies r to f until EOF.
func Copy(f *os.File, r io.Reader) error {
	w := NewWriter(f)
	if _, err := io.CopyBuffer(struct{ io.Writer }{w}, struct{ io.Reader }{r}, make([]byte, 64*block)); err != nil {
		return err
	}
	return w.Close()
}
