package disk

import "github.com/labstar/labstar/action"

// sideHash hashes beside the writing: of a large blob both take about as long, and
// a machine has more than one core.
type sideHash struct {
	full chan []byte // to the hasher
	free chan []byte // and back
	done chan action.Digest
}

const (
	chunkSize = 256 << 10 // what is written and hashed at once
	sideFrom  = 1 << 20   // the size of a blob from which on it is worth its start
)

// newSideHash goes on with what h has hashed.
func newSideHash(h *action.Hasher) *sideHash {
	s := &sideHash{full: make(chan []byte, 2), free: make(chan []byte, 3), done: make(chan action.Digest, 1)}
	for range 2 {
		s.free <- make([]byte, 0, chunkSize)
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

// write hands a chunk over, and returns an empty one.
func (s *sideHash) write(b []byte) []byte {
	s.full <- b
	return <-s.free
}

// sum ends the hashing. It is to be called once, also for what is dropped.
func (s *sideHash) sum() action.Digest {
	close(s.full)
	return <-s.done
}
