package disk

import "github.com/labstar/labstar/action"

// sideHash hashes beside the writing: of a large blob both take about as long, and
// a machine has more than one core.
type sideHash struct {
	buf  []byte      // what is not handed over yet
	full chan []byte // to the hasher
	free chan []byte // and back
	done chan action.Digest
}

const (
	sideChunk = 256 << 10
	sideFrom  = 1 << 20 // the size of a blob from which on it is worth its start
)

// newSideHash goes on with what h has hashed.
func newSideHash(h *action.Hasher) *sideHash {
	s := &sideHash{
		buf: make([]byte, 0, sideChunk), full: make(chan []byte, 2), free: make(chan []byte, 3), done: make(chan action.Digest, 1),
	}
	for range 2 {
		s.free <- make([]byte, 0, sideChunk)
	}
	go func() {
		for b := range s.full {
			_, _ = h.Write(b)
			s.free <- b[:0]
		}
		s.done <- h.Digest()
	}()
	return s
}

func (s *sideHash) write(p []byte) {
	for len(p) > 0 {
		n := copy(s.buf[len(s.buf):cap(s.buf)], p)
		s.buf = s.buf[:len(s.buf)+n]
		if p = p[n:]; len(s.buf) == cap(s.buf) {
			s.full <- s.buf
			s.buf = <-s.free
		}
	}
}

// sum ends the hashing. It is to be called once, also for what is dropped.
func (s *sideHash) sum() action.Digest {
	s.full <- s.buf
	close(s.full)
	return <-s.done
}
