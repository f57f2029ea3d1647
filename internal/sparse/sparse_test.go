package sparse_test

import (
	"bytes"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"

	"github.com/labstar/labstar/internal/sparse"
)

// Whatever is written, in whatever pieces, is what is read.
func TestWriter(t *testing.T) {
	rnd := rand.New(rand.NewPCG(1, 2))
	for i := range 300 {
		var want []byte
		for range rnd.IntN(12) {
			piece := make([]byte, rnd.IntN(20000))
			if rnd.IntN(2) == 0 {
				for k := range piece {
					piece[k] = byte(rnd.IntN(3))
				}
			}
			want = append(want, piece...)
		}
		f, err := os.Create(filepath.Join(t.TempDir(), "f"))
		if err != nil {
			t.Fatal(err)
		}
		w := sparse.NewWriter(f)
		for rest := want; len(rest) > 0; {
			n := min(len(rest), 1+rnd.IntN(30000))
			if m, err := w.Write(rest[:n]); m != n || err != nil {
				t.Fatalf("got %d, %v, want %d", m, err, n)
			}
			rest = rest[n:]
		}
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
		if got, err := os.ReadFile(f.Name()); err != nil || !bytes.Equal(got, want) {
			t.Fatalf("round %d: got %d bytes and %v, want the %d that were written", i, len(got), err, len(want))
		}
		f.Close()
	}
}

func TestHoles(t *testing.T) {
	f, err := os.Create(filepath.Join(t.TempDir(), "f"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	src := append(append(bytes.Repeat([]byte("x"), 8192), make([]byte, 64<<20)...), 'y')
	if err := sparse.Copy(f, bytes.NewReader(append(src, make([]byte, 32<<20)...))); err != nil {
		t.Fatal(err)
	}
	fi, err := f.Stat()
	if err != nil || fi.Size() != int64(len(src)+32<<20) {
		t.Fatalf("got %v, %v, want %d bytes", fi, err, len(src)+32<<20)
	}
	if used, ok := allocated(fi); ok && used > 1<<20 {
		t.Errorf("got %d bytes on the disk, want those of two pieces", used)
	}
}
