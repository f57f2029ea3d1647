package xz

import (
	"io"
	"os"
	"testing"

	rootxz "github.com/therootcompany/xz"
)

// BenchmarkFile decodes the file named by LABSTAR_BENCH_XZ, a kernel's .tar.xz say.
func BenchmarkFile(b *testing.B) {
	name := os.Getenv("LABSTAR_BENCH_XZ")
	if name == "" {
		b.Skip("set LABSTAR_BENCH_XZ to a large .xz file")
	}
	f, err := os.Open(name)
	if err != nil {
		b.Fatal(err)
	}
	defer f.Close()
	st, err := f.Stat()
	if err != nil {
		b.Fatal(err)
	}
	run := func(workers int) func(*testing.B) {
		return func(b *testing.B) {
			for range b.N {
				r, err := NewReader(f, st.Size(), Options{Workers: workers})
				if err != nil {
					b.Fatal(err)
				}
				b.SetBytes(r.Size())
				if _, err := io.Copy(io.Discard, r); err != nil {
					b.Fatal(err)
				}
				r.Close()
			}
		}
	}
	b.Run("workers=1", run(1))
	b.Run("workers=2", run(2))
	b.Run("therootcompany", func(b *testing.B) {
		for range b.N {
			if _, err := f.Seek(0, io.SeekStart); err != nil {
				b.Fatal(err)
			}
			r, err := rootxz.NewReader(f, 0)
			if err != nil {
				b.Fatal(err)
			}
			n, err := io.Copy(io.Discard, r)
			if err != nil {
				b.Fatal(err)
			}
			b.SetBytes(n)
		}
	})
}
