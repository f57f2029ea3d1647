package disk

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/labstar/labstar/action"
)

// fillSeed returns n bytes that depend on seed.
func fillSeed(seed, n int) []byte {
	b := make([]byte, n)
	x := uint32(seed)*2654435761 + 12345
	for i := range b {
		x ^= x << 13
		x ^= x >> 17
		x ^= x << 5
		b[i] = byte(x)
	}
	return b
}

// BenchmarkSmallBlobs stores 20,000 blobs of 8 KiB durably, and tells how many
// times longer an fsync each takes (measured on 500 of them).
func BenchmarkSmallBlobs(b *testing.B) {
	const n, size = 20_000, 8 << 10
	blobs := make([][]byte, n)
	for i := range blobs {
		blobs[i] = fillSeed(i, size)
	}
	var ours, each time.Duration
	for range b.N {
		s := open(b, b.TempDir())
		start := time.Now()
		for _, p := range blobs {
			d, err := s.PutBlob(ctx, p)
			if err != nil {
				b.Fatal(err)
			}
			r := &action.Result{Outputs: []action.OutputDigest{{Name: "out", Kind: action.File, Digest: d}}}
			if err := s.PutResult(ctx, r, d); err != nil {
				b.Fatal(err)
			}
		}
		if err := s.Sync(ctx); err != nil {
			b.Fatal(err)
		}
		ours += time.Since(start)
		if err := s.Close(); err != nil {
			b.Fatal(err)
		}
		dir := b.TempDir()
		const sample = 500
		start = time.Now()
		for i, p := range blobs[:sample] {
			f, err := os.Create(filepath.Join(dir, fmt.Sprint(i)))
			if err != nil {
				b.Fatal(err)
			}
			if _, err := f.Write(p); err != nil {
				b.Fatal(err)
			}
			if err := f.Sync(); err != nil {
				b.Fatal(err)
			}
			f.Close()
		}
		each += time.Since(start) * n / sample
	}
	b.ReportMetric(float64(n*b.N)/ours.Seconds(), "blobs/s")
	b.ReportMetric(each.Seconds()/ours.Seconds(), "x-faster-than-fsync-each")
}

// BenchmarkOpen opens a store of 300,000 records and looks one up.
func BenchmarkOpen(b *testing.B) {
	const n = 300_000
	dir := b.TempDir()
	s := open(b, dir)
	recs := make([]record, n)
	r := &action.Result{Outputs: []action.OutputDigest{{Name: "out", Kind: action.File, Digest: action.Empty}}}
	for i := range recs {
		recs[i] = record{typ: recResult, digest: action.Of(fmt.Appendf(nil, "key %d", i)), payload: r.Encode()}
	}
	if err := s.append(recs...); err != nil {
		b.Fatal(err)
	}
	if err := s.Sync(ctx); err != nil {
		b.Fatal(err)
	}
	if err := s.Close(); err != nil {
		b.Fatal(err)
	}
	for i := 0; b.Loop(); i++ {
		s := open(b, dir)
		if _, err := s.Result(ctx, action.Of(fmt.Appendf(nil, "key %d", i%n))); err != nil {
			b.Fatal(err)
		}
		if err := s.Close(); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkLookup looks up results in an open store of 300,000.
func BenchmarkLookup(b *testing.B) {
	s := open(b, b.TempDir())
	defer s.Close()
	const n = 300_000
	recs := make([]record, n)
	r := &action.Result{Outputs: []action.OutputDigest{{Name: "out", Kind: action.File, Digest: action.Empty}}}
	for i := range recs {
		recs[i] = record{typ: recResult, digest: action.Of(fmt.Appendf(nil, "key %d", i)), payload: r.Encode()}
	}
	if err := s.append(recs...); err != nil {
		b.Fatal(err)
	}
	for i := 0; b.Loop(); i++ {
		if _, err := s.Result(ctx, recs[i%n].digest); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkWritingRun is what a run does to the store that builds five small
// actions anew and makes them durable, over stores of so many packs.
func BenchmarkWritingRun(b *testing.B) {
	for _, packs := range []int{1, 10, 200} {
		b.Run(fmt.Sprintf("packs=%d", packs), func(b *testing.B) {
			dir := b.TempDir()
			for i := range packs {
				s := openPacked(b, dir)
				var recs []record
				for j := range 2000 {
					p := fillSeed(i*2000+j, 300)
					recs = append(recs, record{typ: recBlob, digest: action.Of(p), payload: p})
				}
				if err := s.append(recs...); err != nil {
					b.Fatal(err)
				}
				closeSynced(b, s)
			}
			for i := 0; b.Loop(); i++ {
				s := openPacked(b, dir)
				for j := range 5 {
					buildSmall(b, s, 5*i+j)
				}
				closeSynced(b, s)
			}
			names, _, err := packNames(filepath.Join(dir, "packs"))
			if err != nil || len(names) < packs {
				b.Fatalf("got %d packs, %v", len(names), err)
			}
		})
	}
}

// openPacked opens a store in which a pack of 700 KB counts as a large one.
func openPacked(b *testing.B, dir string) *Store {
	b.Helper()
	s := open(b, dir)
	s.maxMerge = 1 << 20
	return s
}

func closeSynced(b *testing.B, s *Store) {
	b.Helper()
	if err := errors.Join(s.Sync(ctx), s.Close()); err != nil {
		b.Fatal(err)
	}
}

// buildSmall is what the engine does with an action whose result is one small file.
func buildSmall(b *testing.B, s *Store, n int) {
	b.Helper()
	definition, key := action.Of(fmt.Appendf(nil, "definition %d", n)), keyOf(n)
	if _, err := s.Result(ctx, definition); err == nil {
		b.Fatal("got a result that nobody has published")
	}
	unlock, err := s.Lock(ctx, key)
	if err != nil {
		b.Fatal(err)
	}
	defer unlock()
	if _, err := s.Result(ctx, key); err == nil {
		b.Fatal("got a result that nobody has published")
	}
	d, err := s.PutBlob(ctx, fillSeed(-n-1, 400))
	if err != nil {
		b.Fatal(err)
	}
	r := &action.Result{Outputs: []action.OutputDigest{{Name: "out", Kind: action.File, Digest: d}}}
	if err := s.PutResult(ctx, r, definition, key); err != nil {
		b.Fatal(err)
	}
}

// treeFiles is a tree like a kernel's: 20,000 files, 17 KB each on average.
func treeFiles() (paths []string, contents [][]byte) {
	for i := range 20_000 {
		paths = append(paths, fmt.Sprintf("linux/d%02d/sub%d/file%d.c", i/1000, i/50, i))
		contents = append(contents, fillSeed(i, 1000+i%13*2700))
	}
	return paths, contents
}

// BenchmarkTree streams a tree in, against writing its files plainly.
func BenchmarkTree(b *testing.B) {
	paths, contents := treeFiles()
	var ours, plain, show time.Duration
	for range b.N {
		dir := b.TempDir()
		start := time.Now()
		for i, p := range paths {
			at := filepath.Join(dir, p)
			if i%50 == 0 {
				if err := os.MkdirAll(filepath.Dir(at), 0o755); err != nil {
					b.Fatal(err)
				}
			}
			if err := os.WriteFile(at, contents[i], 0o644); err != nil {
				b.Fatal(err)
			}
		}
		plain += time.Since(start)
		s := open(b, b.TempDir())
		start = time.Now()
		w, err := s.CreateTree(ctx)
		if err != nil {
			b.Fatal(err)
		}
		for i, p := range paths {
			if _, err := w.File(p, action.Attr{Mode: action.ModeFile}, bytes.NewReader(contents[i])); err != nil {
				b.Fatal(err)
			}
		}
		root, err := w.Commit()
		if err != nil {
			b.Fatal(err)
		}
		ours += time.Since(start)
		dirNode, err := s.Directory(ctx, root)
		if err != nil {
			b.Fatal(err)
		}
		composed, err := s.PutDirectory(ctx, &action.Directory{Attr: action.Attr{Mode: 0o700}, Nodes: dirNode.Nodes})
		if err != nil {
			b.Fatal(err)
		}
		start = time.Now()
		if _, err := s.TreePath(ctx, composed); err != nil {
			b.Fatal(err)
		}
		show += time.Since(start)
		if err := s.Close(); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(ours.Seconds()/float64(b.N), "s/tree")
	b.ReportMetric(ours.Seconds()/plain.Seconds(), "x-plain-write")
	b.ReportMetric(show.Seconds()/float64(b.N), "s/composed-treepath")
}
