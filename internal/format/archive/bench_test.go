package archive

import (
	"bytes"
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"sync/atomic"
	"testing"
	"time"

	"github.com/labstar/labstar/internal/store/disk"
)

// BenchmarkUnpack unpacks a .tar.xz into a disk store, durably, and compares it
// with tar. The archive is LABSTAR_BENCH_ARCHIVE, a kernel's source say, else one
// of 20,000 files that is made here.
func BenchmarkUnpack(b *testing.B) {
	name := os.Getenv("LABSTAR_BENCH_ARCHIVE")
	if name == "" {
		if _, err := exec.LookPath("xz"); err != nil {
			b.Skip("no xz here")
		}
		dir := b.TempDir()
		sample(b, filepath.Join(dir, "top"), 20_000)
		name = filepath.Join(dir, "x.tar.xz")
		cmd := exec.Command("tar", "-I", "xz -2 -T2 --block-size=8MiB", "-cf", name, "top")
		cmd.Dir = dir
		if out, err := cmd.CombinedOutput(); err != nil {
			b.Fatalf("%v\n%s", err, out)
		}
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
	b.Run("labstar", func(b *testing.B) {
		for range b.N {
			peak := watchMemory()
			s, err := disk.Open(b.TempDir(), disk.Options{})
			if err != nil {
				b.Fatal(err)
			}
			w, err := s.CreateTree(context.Background())
			if err != nil {
				b.Fatal(err)
			}
			stats, err := Unpack(context.Background(), f, st.Size(), w, Options{Strip: 1})
			if err != nil {
				b.Fatal(err)
			}
			start := time.Now()
			if _, err := w.Commit(); err != nil {
				b.Fatal(err)
			}
			b.ReportMetric(time.Since(start).Seconds(), "s-commit")
			if err := s.Sync(context.Background()); err != nil {
				b.Fatal(err)
			}
			b.SetBytes(stats.Bytes)
			b.ReportMetric(float64(stats.Entries), "entries")
			b.ReportMetric(float64(peak())/(1<<20), "MB-peak")
			if err := s.Close(); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("tree-in-memory", func(b *testing.B) { // without the file system
		for range b.N {
			if _, err := Unpack(context.Background(), f, st.Size(), discard{newMemTree()}, Options{Strip: 1}); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("tar", func(b *testing.B) {
		for range b.N {
			out, err := exec.Command("tar", "-xf", name, "-C", b.TempDir()).CombinedOutput()
			if err != nil {
				b.Fatalf("%v\n%s", err, out)
			}
		}
	})
}

// watchMemory samples the memory that the Go runtime holds from the system; the
// function returned gives the most it was.
func watchMemory() func() uint64 {
	var most atomic.Uint64
	stop := make(chan struct{})
	go func() {
		for {
			var m runtime.MemStats
			runtime.ReadMemStats(&m)
			if now := m.Sys - m.HeapReleased; now > most.Load() {
				most.Store(now)
			}
			select {
			case <-stop:
				return
			case <-time.After(50 * time.Millisecond):
			}
		}
	}()
	return func() uint64 { close(stop); return most.Load() }
}

func TestTreeOnDisk(t *testing.T) {
	ctx := context.Background()
	b, err := os.ReadFile("testdata/small.tar.xz")
	if err != nil {
		t.Fatal(err)
	}
	s, err := disk.Open(t.TempDir(), disk.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	w, err := s.CreateTree(ctx)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Unpack(ctx, bytes.NewReader(b), int64(len(b)), w, Options{Strip: 1}); err != nil {
		t.Fatal(err)
	}
	root, err := w.Commit()
	if err != nil {
		t.Fatal(err)
	}
	d, err := s.Directory(ctx, root)
	if err != nil {
		t.Fatal(err)
	}
	if _, ok := d.Find("sub"); !ok || len(d.Nodes) != 3 {
		t.Errorf("got %+v, want a, l and sub", d.Nodes)
	}
	// A digest that changes without the op's version would poison stores.
	const want = "sha256:0f56c454d42806085d4ce564134f5810a29b22f38d86dc731b96481f38d89034"
	if got := root.String(); got != want {
		t.Errorf("got the tree %s, want %s: if that is meant, raise the version of source/unpack", got, want)
	}
}
