package disk

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/labstar/labstar/action"
)

func TestGC(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir)
	var results []*action.Result
	for i := range 6 {
		results = append(results, publish(t, s, i))
	}
	// A composed tree that needs the files of tree 1, kept by a link outside.
	first := must[*action.Directory](t)(s.Directory(ctx, results[1].Outputs[2].Digest))
	composed := must[action.Digest](t)(s.PutDirectory(ctx, &action.Directory{
		Attr: action.Attr{Mode: 0o755}, Nodes: first.Nodes[:1]}))
	link := filepath.Join(t.TempDir(), "out")
	check(t, os.Symlink(must[string](t)(s.TreePath(ctx, composed)), link))
	check(t, s.AddRoot(link, composed))
	gone := filepath.Join(t.TempDir(), "gone")
	check(t, s.AddRoot(gone, results[5].Outputs[0].Digest))

	rep := must[*Report](t)(s.GC(ctx, Policy{Roots: []action.Digest{results[0].Outputs[0].Digest, results[0].Outputs[1].Digest, results[0].Outputs[2].Digest}}))
	if rep.Kept != 1 || rep.Dropped != 5 || rep.RescuedFiles != 1 {
		t.Errorf("got %+v, want one result kept, five dropped, and the file of the composed tree rescued", rep)
	}
	for i := range 6 {
		wantResult(t, s, i, i == 0)
	}
	if !s.HasTree(composed) || !exists(filepath.Join(link, "d0", "f2")) {
		t.Error("what a root needs is gone")
	}
	for _, de := range must[[]os.DirEntry](t)(os.ReadDir(must[string](t)(s.TreePath(ctx, composed)))) {
		if de.Name() != "d0" {
			t.Errorf("got %s in the composed tree", de.Name())
		}
	}
	wantClean(t, s)
	// The store goes on.
	publish(t, s, 4)
	wantResult(t, s, 4, true)
	check(t, s.Close())

	check(t, os.Remove(link))
	s = open(t, dir)
	defer s.Close()
	wantResult(t, s, 0, true)
	rep = must[*Report](t)(s.GC(ctx, Policy{}))
	if rep.Kept != 0 {
		t.Errorf("got %+v, want nothing kept", rep)
	}
	for _, sub := range []string{"trees", "roots", "locks"} {
		if list := must[[]os.DirEntry](t)(os.ReadDir(filepath.Join(dir, sub))); len(list) > 0 {
			t.Errorf("left in %s: %v", sub, list)
		}
	}
	if files := must[[]string](t)(filepath.Glob(filepath.Join(dir, "blobs/*/*"))); len(files) > 0 {
		t.Errorf("left in blobs: %v", files)
	}
}

// TestGCKeepsLinks: a link to a file that came with a tree outlives the tree.
func TestGCKeepsLinks(t *testing.T) {
	s := open(t, t.TempDir())
	defer s.Close()
	publish(t, s, 1)
	d := action.Of(fillSeed(12, 5000)) // d0/f2 of the tree
	link := filepath.Join(t.TempDir(), "out")
	check(t, os.Symlink(must[string](t)(s.BlobPath(ctx, d, false)), link))
	check(t, s.AddRoot(link, d))
	if rep := must[*Report](t)(s.GC(ctx, Policy{})); rep.DroppedTrees != 1 {
		t.Errorf("got %+v, want the tree dropped", rep)
	}
	if got := must[[]byte](t)(os.ReadFile(link)); action.Of(got) != d {
		t.Error("the link shows something else")
	}
	wantClean(t, s)
}

// TestGCRescues: a file that only a dropped tree holds stays if something else needs it.
func TestGCRescues(t *testing.T) {
	s := open(t, t.TempDir())
	defer s.Close()
	r := publish(t, s, 1)
	dir := must[*action.Directory](t)(s.Directory(ctx, r.Outputs[2].Digest))
	d1, _ := dir.Find("d1")
	rep := must[*Report](t)(s.GC(ctx, Policy{Roots: []action.Digest{d1.Digest}}))
	if rep.RescuedFiles != 2 || rep.DroppedTrees != 1 {
		t.Errorf("got %+v, want two files rescued of one dropped tree", rep)
	}
	if !s.HasTree(d1.Digest) {
		t.Fatal("the directory is gone")
	}
	path := must[string](t)(s.TreePath(ctx, d1.Digest))
	for _, f := range []string{"f1", "f3"} {
		if !exists(filepath.Join(path, f)) {
			t.Errorf("%s is not shown", f)
		}
	}
	wantClean(t, s)
}

func TestGCKeepsByUse(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir)
	// Published long ago, one of them used since.
	old := time.Now().Add(-60 * 24 * time.Hour).Unix()
	for i := range 4 {
		d := action.Of(fillSeed(i, 1000))
		r := &action.Result{Outputs: []action.OutputDigest{{Name: "o", Kind: action.File, Digest: d}}}
		check(t, s.append(record{typ: recBlob, digest: d, payload: fillSeed(i, 1000), seconds: old + int64(i)},
			record{typ: recResult, digest: keyOf(i), payload: r.Encode(), seconds: old + int64(i)}))
	}
	check(t, s.Close())
	s = open(t, dir)
	wantResult(t, s, 0, true)
	check(t, s.Close())
	s = open(t, dir)
	defer s.Close()
	// Room for two: the used one, and the last published.
	rep := must[*Report](t)(s.GC(ctx, Policy{MaxBytes: 2500}))
	if rep.Kept != 2 || rep.Dropped != 2 || rep.FreedBytes != 2000 {
		t.Errorf("got %+v, want two kept, two dropped", rep)
	}
	for i, want := range []bool{true, false, false, true} {
		if got := s.find(keyOf(i), recResult, anyEntry); got != want {
			t.Errorf("result %d: got %v, want %v", i, got, want)
		}
	}
	rep = must[*Report](t)(s.GC(ctx, Policy{KeepRecent: 7 * 24 * time.Hour}))
	if rep.Kept != 1 || !s.find(keyOf(0), recResult, anyEntry) {
		t.Errorf("got %+v, want the one that was used lately", rep)
	}
}

func TestGCWaits(t *testing.T) {
	dir := t.TempDir()
	waited := 0
	s := must[*Store](t)(Open(dir, Options{Waiting: func() { waited++ }}))
	other := open(t, dir)
	defer s.Close()
	publish(t, other, 1)
	short, cancel := context.WithTimeout(ctx, 100*time.Millisecond)
	defer cancel()
	if _, err := s.GC(short, Policy{}); !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), "another labstar") {
		t.Errorf("got error %v, want that another has the store open", err)
	}
	if waited != 1 {
		t.Errorf("told %d times to wait, want once", waited)
	}
	wantResult(t, other, 1, true)
	wantResult(t, s, 1, true)
	check(t, other.Close())
	must[*Report](t)(s.GC(ctx, Policy{}))
	wantResult(t, s, 1, false)
}

func TestVerifyFinds(t *testing.T) {
	flip := func(t *testing.T, path string, off int64) {
		t.Helper()
		f := must[*os.File](t)(os.OpenFile(path, os.O_RDWR, 0))
		defer f.Close()
		var b [1]byte
		must[int](t)(f.ReadAt(b[:], off))
		b[0] ^= 0x10
		must[int](t)(f.WriteAt(b[:], off))
	}
	for _, tt := range []struct {
		name, what string
		damage     func(t *testing.T, s *Store, r *action.Result)
	}{
		{"pack", "blob", func(t *testing.T, s *Store, r *action.Result) {
			p, e := findEntry(s, r.Outputs[0].Digest, recBlob)
			flip(t, p.path, e.off+headerSize+17)
		}},
		{"record header", "pack", func(t *testing.T, s *Store, r *action.Result) {
			p, e := findEntry(s, r.Outputs[0].Digest, recBlob)
			flip(t, p.path, e.off+30)
		}},
		{"directory", "directory", func(t *testing.T, s *Store, r *action.Result) {
			p, e := findEntry(s, r.Outputs[2].Digest, recDir)
			flip(t, p.path, e.off+headerSize+20)
		}},
		{"result", "result", func(t *testing.T, s *Store, r *action.Result) {
			p, e := findEntry(s, keyOf(1), recResult)
			flip(t, p.path, e.off+headerSize)
		}},
		{"blob", "file", func(t *testing.T, s *Store, r *action.Result) {
			flip(t, s.blobPath(r.Outputs[1].Digest.Hash, false), 99)
		}},
		{"blob cut", "file", func(t *testing.T, s *Store, r *action.Result) {
			check(t, os.Truncate(s.blobPath(r.Outputs[1].Digest.Hash, false), 10))
		}},
		{"tree file", "file", func(t *testing.T, s *Store, r *action.Result) {
			flip(t, s.treePath(r.Outputs[2].Digest)+"/d0/f2", 99)
		}},
		{"tree extra", "tree", func(t *testing.T, s *Store, r *action.Result) {
			check(t, os.WriteFile(s.treePath(r.Outputs[2].Digest)+"/d0/new", nil, 0o644))
		}},
		{"tree mode", "tree", func(t *testing.T, s *Store, r *action.Result) {
			check(t, os.Chmod(s.treePath(r.Outputs[2].Digest)+"/d0/f2", 0o777))
		}},
		{"tree symlink", "file", func(t *testing.T, s *Store, r *action.Result) {
			path := s.treePath(r.Outputs[2].Digest) + "/d0/f2"
			check(t, os.Remove(path))
			check(t, os.Symlink("/etc/passwd", path))
		}},
		{"tree gone", "tree", func(t *testing.T, s *Store, r *action.Result) {
			check(t, os.RemoveAll(s.treePath(r.Outputs[2].Digest)))
		}},
		{"index", "index", func(t *testing.T, s *Store, r *action.Result) {
			p, _ := findEntry(s, keyOf(1), recResult)
			flip(t, strings.TrimSuffix(p.path, packSuffix)+idxSuffix, headerSize+4<<p.idx.fanBits+3)
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			dir := t.TempDir()
			s := open(t, dir)
			publish(t, s, 0)
			r := publish(t, s, 1)
			check(t, s.Close())
			s = open(t, dir)
			defer func() { s.Close() }()
			wantClean(t, s)
			tt.damage(t, s, r)
			v := must[*VerifyReport](t)(s.Verify(ctx, false, nil))
			found := false
			for _, p := range v.Problems {
				found = found || p.What == tt.what
			}
			if !found {
				t.Fatalf("got problems %v, want a damaged %s", v.Problems, tt.what)
			}
			if v = must[*VerifyReport](t)(s.Verify(ctx, true, nil)); !v.Repaired || len(v.Problems) == 0 {
				t.Errorf("repair: got %+v", v)
			}
			wantClean(t, s)
			wantResult(t, s, 0, tt.name != "record header" || s.result(keyOf(0)) != nil)
			publish(t, s, 1) // built again, all is well
			wantResult(t, s, 1, true)
			wantClean(t, s)
			check(t, s.Close())
			s = open(t, dir)
			wantResult(t, s, 1, true)
			wantClean(t, s)
		})
	}
}

func findEntry(s *Store, d action.Digest, typ recType) (p *pack, e entry) {
	if !s.find(d, typ, func(q *pack, f entry) bool { p, e = q, f; return true }) {
		panic(fmt.Sprintf("no %c record of %s", typ, d))
	}
	return p, e
}

func TestDamagedBlobIsAnError(t *testing.T) {
	s := open(t, t.TempDir())
	defer s.Close()
	r := publish(t, s, 1)
	check(t, os.Truncate(s.blobPath(r.Outputs[1].Digest.Hash, false), 10))
	_, err := s.OpenBlob(ctx, r.Outputs[1].Digest)
	if err == nil || !strings.Contains(err.Error(), "labstar cache verify") || !strings.Contains(err.Error(), r.Outputs[1].Digest.Hex()) {
		t.Errorf("OpenBlob of a cut file: got error %v", err)
	}
	wantResult(t, s, 1, false)
}
