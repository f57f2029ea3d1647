package twosum

import (
	"bytes"
	"crypto/md5"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/sha512"
	"errors"
	"hash"
	"io"
	"math/rand/v2"
	"testing"
	"testing/iotest"
)

// What is hashed two at a time is what crypto/sha256 hashes one at a time, in
// whatever pieces it comes.
func TestAsOneByOne(t *testing.T) {
	t.Logf("two at once: %v", available())
	rng := rand.New(rand.NewPCG(3, 4))
	src := rand.NewChaCha8([32]byte{5})
	for range 300 {
		x, y, wantX, wantY := sha256.New(), sha256.New(), sha256.New(), sha256.New()
		for range 1 + rng.IntN(6) {
			piece := func() []byte {
				n := rng.IntN(5 * worth)
				if rng.IntN(2) == 0 {
					n = n / blockSize * blockSize
				}
				b := make([]byte, n)
				_, _ = io.ReadFull(src, b)
				return b
			}
			a, b := piece(), piece()
			Write(x, y, a, b)
			wantX.Write(a)
			wantY.Write(b)
		}
		if !bytes.Equal(x.Sum(nil), wantX.Sum(nil)) || !bytes.Equal(y.Sum(nil), wantY.Sum(nil)) {
			t.Fatal("not the hashes of crypto/sha256")
		}
	}
}

// Other hashes, also ones whose state has the same size, are left to themselves.
func TestOtherHashes(t *testing.T) {
	a, b := bytes.Repeat([]byte("ab"), 2*worth), bytes.Repeat([]byte("cd"), 2*worth)
	for name, makes := range map[string]func() hash.Hash{"sha224": sha256.New224, "sha1": sha1.New, "sha512": sha512.New, "md5": md5.New} {
		x, y, want := makes(), sha256.New(), makes()
		Write(x, y, a, b)
		want.Write(a)
		if sum := sha256.Sum256(b); !bytes.Equal(x.Sum(nil), want.Sum(nil)) || !bytes.Equal(y.Sum(nil), sum[:]) {
			t.Errorf("%s: got another hash", name)
		}
	}
}

// Streams hashes every stream once, whatever their lengths are and however they are read.
func TestStreams(t *testing.T) {
	rng := rand.New(rand.NewPCG(7, 8))
	src := rand.NewChaCha8([32]byte{6})
	for range 20 {
		var streams []*Stream
		var all, took [][]byte
		ended := 0
		for i := range rng.IntN(9) {
			b := make([]byte, []int{0, 1, 63, 64, 5000, bufferSize - 1, bufferSize, bufferSize + 1, 3 * bufferSize}[rng.IntN(9)])
			_, _ = io.ReadFull(src, b)
			all, took = append(all, b), append(took, nil)
			s := &Stream{Hash: sha256.New(), Read: iotest.HalfReader(bytes.NewReader(b)).Read}
			s.Took = func(p []byte) error { took[i] = append(took[i], p...); return nil }
			s.End = func(err error) error {
				ended++
				if want := sha256.Sum256(b); !bytes.Equal(s.Hash.Sum(nil), want[:]) {
					t.Errorf("stream of %d bytes: got another hash", len(b))
				}
				return err
			}
			streams = append(streams, s)
		}
		left := streams
		if err := Streams(func() *Stream {
			if len(left) == 0 {
				return nil
			}
			s := left[0]
			left = left[1:]
			return s
		}); err != nil {
			t.Fatal(err)
		}
		if ended != len(streams) {
			t.Errorf("%d of %d streams ended", ended, len(streams))
		}
		for i := range all {
			if !bytes.Equal(all[i], took[i]) {
				t.Errorf("stream %d: what was told is not what was read", i)
			}
		}
	}
}

// An error of one ends them all, and each is told.
func TestStreamsError(t *testing.T) {
	bad := errors.New("bad")
	var ends []error
	end := func(err error) error { ends = append(ends, err); return err }
	streams := []*Stream{
		{Hash: sha256.New(), Read: bytes.NewReader(make([]byte, 10*bufferSize)).Read, End: end},
		{Hash: sha256.New(), Read: iotest.ErrReader(bad).Read, End: end},
		{Hash: sha256.New(), Read: iotest.ErrReader(bad).Read, End: end},
	}
	err := Streams(func() *Stream {
		s := streams[0]
		streams = streams[1:]
		return s
	})
	if !errors.Is(err, bad) || len(ends) != 2 || !errors.Is(ends[0], bad) || !errors.Is(ends[1], errDropped) {
		t.Errorf("got %v, and told %v", err, ends)
	}
}

// Two at once against one after the other.
func BenchmarkWrite(b *testing.B) {
	p, q := make([]byte, 256<<10), make([]byte, 256<<10)
	x, y := sha256.New(), sha256.New()
	b.Run("two", func(b *testing.B) {
		b.SetBytes(int64(len(p) + len(q)))
		for b.Loop() {
			Write(x, y, p, q)
		}
	})
	b.Run("one", func(b *testing.B) {
		b.SetBytes(int64(len(p) + len(q)))
		for b.Loop() {
			x.Write(p)
			y.Write(q)
		}
	})
}
