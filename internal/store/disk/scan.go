package disk

import (
	"errors"
	"io"
)

// scanner reads the records of a pack one after the other.
type scanner struct {
	r   io.ReaderAt
	off int64 // of the next record
	buf []byte
	pos int // of off in buf
}

// next returns the next record. A torn one ends the scan with errTorn and stays
// at off; a damaged payload gives errPayload with a good header, and is passed.
// The payload is valid until the following call.
func (s *scanner) next() (h header, payload []byte, off int64, err error) {
	b, err := s.need(headerSize)
	if err != nil {
		return h, nil, s.off, err
	}
	if h, err = parseRecord(b); err != nil {
		return h, nil, s.off, err
	}
	if b, err = s.need(headerSize + int(h.plen)); err != nil {
		return h, nil, s.off, err
	}
	off = s.off
	s.off += int64(len(b))
	s.pos += len(b)
	return h, b[headerSize:], off, h.check(b[headerSize:])
}

// need returns n bytes at off, io.EOF if there are none at all.
func (s *scanner) need(n int) ([]byte, error) {
	if len(s.buf)-s.pos < n {
		rest := copy(s.buf[:cap(s.buf)], s.buf[s.pos:])
		if cap(s.buf) < n {
			grown := make([]byte, rest, max(n, 1<<18))
			copy(grown, s.buf[:rest])
			s.buf = grown
		}
		m, err := s.r.ReadAt(s.buf[rest:cap(s.buf)], s.off+int64(rest))
		s.buf, s.pos = s.buf[:rest+m], 0
		if len(s.buf) < n {
			if len(s.buf) == 0 && errors.Is(err, io.EOF) {
				return nil, io.EOF
			}
			if err == nil || errors.Is(err, io.EOF) {
				err = errTorn
			}
			return nil, err
		}
	}
	return s.buf[s.pos : s.pos+n], nil
}
