// Package storetest is the suite that every store passes:
//
//	func TestConformance(t *testing.T) {
//		storetest.Run(t, func(t testing.TB) store.Store { return mem.New() })
//	}
package storetest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"testing"

	"github.com/labstar/labstar/action"
	"github.com/labstar/labstar/internal/store"
)

// Run runs the suite. open makes an empty store, which the test that asked for
// it closes.
func Run(t *testing.T, open func(testing.TB) store.Store) {
	tests := []struct {
		name string
		run  func(*testing.T, store.Store)
	}{
		{"blobs", blobs}, {"blob writer", blobWriter}, {"take in", takeIn}, {"blob path", blobPath}, {"adopt file", adoptFile},
		{"directories", directories}, {"results", results}, {"notes", notes}, {"logs", logs},
		{"lock", locks}, {"lock cancelled", lockCancelled}, {"scratch", scratch}, {"cancelled", cancelled},
		{"tree", tree}, {"tree replaces", treeReplaces}, {"tree hostile", treeHostile},
		{"tree parallel", treeParallel}, {"tree truncated", treeTruncated}, {"tree abort", treeAbort},
		{"tree composed", treeComposed}, {"one inode a path", oneInode},
		{"adopt", adopt}, {"adopt unreadable", adoptUnreadable}, {"adopt refuses", adoptRefuses},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := open(t)
			defer func() {
				if err := s.Close(); err != nil {
					t.Errorf("closing: %v", err)
				}
			}()
			tt.run(t, s)
		})
	}
}

var ctx = context.Background()

func must[T any](t testing.TB) func(T, error) T {
	return func(v T, err error) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

func check(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func wantNotFound(t testing.TB, what string, err error) {
	t.Helper()
	if !errors.Is(err, store.ErrNotFound) {
		t.Errorf("%s: got error %v, want %v", what, err, store.ErrNotFound)
	}
}

// content returns n bytes that depend on seed.
func content(seed, n int) []byte {
	b := make([]byte, n)
	x := uint32(seed*2654435761 + 12345)
	for i := range b {
		x ^= x << 13
		x ^= x >> 17
		x ^= x << 5
		b[i] = byte(x)
	}
	return b
}

func readBlob(t testing.TB, s store.Store, d action.Digest) []byte {
	t.Helper()
	b := must[action.Blob](t)(s.OpenBlob(ctx, d))
	defer b.Close()
	if b.Size() != d.Size {
		t.Errorf("blob %s: got size %d", d, b.Size())
	}
	return must[[]byte](t)(io.ReadAll(b))
}

var sizes = []int{0, 1, 4095, 4096, 64 << 10, 64<<10 + 1, 300_000}

func blobs(t *testing.T, s store.Store) {
	missing := action.Of([]byte("never stored"))
	_, err := s.OpenBlob(ctx, missing)
	wantNotFound(t, "OpenBlob", err)
	if s.Has(missing) {
		t.Error("Has a blob that was never stored")
	}
	for _, n := range sizes {
		want := content(n, n)
		d := must[action.Digest](t)(s.PutBlob(ctx, want))
		if d != action.Of(want) {
			t.Errorf("PutBlob of %d bytes: got digest %s", n, d)
		}
		if again := must[action.Digest](t)(s.PutBlob(ctx, want)); again != d {
			t.Errorf("PutBlob again: got %s, want %s", again, d)
		}
		if !s.Has(d) || !bytes.Equal(readBlob(t, s, d), want) {
			t.Errorf("blob of %d bytes does not come back", n)
		}
		b := must[action.Blob](t)(s.OpenBlob(ctx, d))
		part := make([]byte, n/2)
		if _, err := b.ReadAt(part, int64(n-n/2)); err != nil && n > 1 || !bytes.Equal(part, want[n-n/2:]) {
			t.Errorf("ReadAt of %d bytes: %v", n, err)
		}
		b.Close()
		wrong := d
		wrong.Size++
		if s.Has(wrong) {
			t.Error("Has a blob of another size")
		}
	}
}

// takeIn: contents of many sizes side by side, some of them holes, and one that is
// not what it was said to be.
func takeIn(t *testing.T, s store.Store) {
	var contents [][]byte
	for _, n := range sizes {
		contents = append(contents, content(n+2, n))
	}
	holes := append(content(9, 5<<20), make([]byte, 1<<20)...)
	contents = append(contents, holes, content(8, 2<<20))
	intake := func(b []byte, d action.Digest) store.Intake {
		return store.Intake{Digest: d,
			Open:    func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(b)), nil },
			Differs: func(got action.Digest) error { return fmt.Errorf("got %s", got) }}
	}
	var list []store.Intake
	for _, b := range contents {
		list = append(list, intake(b, action.Of(b)))
	}
	check(t, s.TakeIn(ctx, append(list, list[3], list[5])))
	for i, b := range contents {
		if d := list[i].Digest; !s.Has(d) || !bytes.Equal(readBlob(t, s, d), b) {
			t.Errorf("%d bytes do not come back", len(b))
		}
	}
	for _, n := range []int{10, 300_000} {
		want, is := content(n, n), content(n+1, n)
		err := s.TakeIn(ctx, []store.Intake{intake(is, action.Of(want))})
		if err == nil || err.Error() != "got "+action.Of(is).String() {
			t.Errorf("another content: got %v", err)
		}
		if s.Has(action.Of(want)) || s.Has(action.Of(is)) {
			t.Error("what was refused is there")
		}
	}
	stopped, stop := context.WithCancel(ctx)
	stop()
	late := content(77, 100_000)
	if err := s.TakeIn(stopped, []store.Intake{intake(late, action.Of(late))}); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: got %v", err)
	}
}

func blobWriter(t *testing.T, s store.Store) {
	for _, n := range sizes {
		want := content(n+1, n)
		w := must[action.BlobWriter](t)(s.CreateBlob(ctx))
		for p := want; len(p) > 0; {
			k := min(len(p), 10_000)
			must[int](t)(w.Write(p[:k]))
			p = p[k:]
		}
		if n > 0 && s.Has(action.Of(want)) {
			t.Error("a blob is visible before Commit")
		}
		d := must[action.Digest](t)(w.Commit())
		w.Abort()
		if d != action.Of(want) || !bytes.Equal(readBlob(t, s, d), want) {
			t.Errorf("streamed blob of %d bytes does not come back", n)
		}
		dropped := content(n+2, n+10)
		w = must[action.BlobWriter](t)(s.CreateBlob(ctx))
		must[int](t)(w.Write(dropped))
		w.Abort()
		if s.Has(action.Of(dropped)) {
			t.Error("an aborted blob is there")
		}
		if _, err := w.Commit(); err == nil {
			t.Error("Commit after Abort: got no error")
		}
	}
}

func blobPath(t *testing.T, s store.Store) {
	for _, n := range sizes {
		want := content(n+3, n)
		d := must[action.Digest](t)(s.PutBlob(ctx, want))
		for _, exec := range []bool{false, true, false} {
			path := must[string](t)(s.BlobPath(ctx, d, exec))
			st := must[os.FileInfo](t)(os.Stat(path))
			if got := must[[]byte](t)(os.ReadFile(path)); !bytes.Equal(got, want) {
				t.Errorf("BlobPath of %d bytes has other content", n)
			}
			if (st.Mode()&0o111 != 0) != exec {
				t.Errorf("BlobPath(exec %v): got mode %v", exec, st.Mode())
			}
			if st.ModTime().Unix() != action.SourceDateEpoch {
				t.Errorf("BlobPath: got time %v", st.ModTime())
			}
		}
	}
	_, err := s.BlobPath(ctx, action.Of([]byte("never")), false)
	wantNotFound(t, "BlobPath", err)
}

func adoptFile(t *testing.T, s store.Store) {
	for i, n := range sizes {
		dir := must[string](t)(s.Scratch(ctx))
		path := filepath.Join(dir, "out")
		want := content(n+4, n)
		check(t, os.WriteFile(path, want, 0o600))
		check(t, os.Chmod(path, os.FileMode(0o100*(i%8))))
		d := must[action.Digest](t)(s.AdoptFile(ctx, path))
		if d != action.Of(want) || !bytes.Equal(readBlob(t, s, d), want) {
			t.Errorf("adopted file of %d bytes does not come back", n)
		}
		if _, err := os.Lstat(path); err == nil {
			t.Error("an adopted file is still there")
		}
		os.RemoveAll(dir)
	}
	dir := must[string](t)(s.Scratch(ctx))
	defer os.RemoveAll(dir)
	link := filepath.Join(dir, "link")
	check(t, os.Symlink("/etc/passwd", link))
	if _, err := s.AdoptFile(ctx, link); err == nil {
		t.Error("AdoptFile of a symlink: got no error")
	}
	// A second name must not be a way to change what is in the store.
	first, second := filepath.Join(dir, "first"), filepath.Join(dir, "second")
	want := content(99, 100_000)
	check(t, os.WriteFile(first, want, 0o644))
	check(t, os.Link(first, second))
	d := must[action.Digest](t)(s.AdoptFile(ctx, first))
	check(t, os.WriteFile(second, []byte("changed"), 0o644))
	if !bytes.Equal(readBlob(t, s, d), want) {
		t.Error("an adopted file changed by way of its other name")
	}
}

func directories(t *testing.T, s store.Store) {
	file := must[action.Digest](t)(s.PutBlob(ctx, []byte("hello")))
	sub := must[action.Digest](t)(s.PutDirectory(ctx, dirOf()))
	want := dirOf(
		action.Node{Name: "dir", Kind: action.Dir, Digest: sub},
		action.Node{Name: "file", Kind: action.Regular, Digest: file, Attr: action.Attr{Mode: 0o4755, UID: 7}},
		action.Node{Name: "link", Kind: action.Symlink, Target: "dir", Attr: action.Attr{Mode: action.ModeSymlink}},
		action.Node{Name: "null", Kind: action.Char, Major: 1, Minor: 3, Attr: action.Attr{Mode: 0o666}},
	)
	d := must[action.Digest](t)(s.PutDirectory(ctx, want))
	if d != action.Of(want.Encode()) || !s.Has(d) || !s.HasTree(d) {
		t.Errorf("directory %s is not there", d)
	}
	got := must[*action.Directory](t)(s.Directory(ctx, d))
	if !bytes.Equal(got.Encode(), want.Encode()) {
		t.Errorf("directory: got %v, want %v", got, want)
	}
	if !bytes.Equal(readBlob(t, s, d), want.Encode()) {
		t.Error("an encoded directory can't be read as a blob")
	}
	for _, n := range []action.Node{
		{Name: "gone", Kind: action.Regular, Digest: action.Of([]byte("no such")), Attr: action.Attr{Mode: action.ModeFile}},
		{Name: "gone", Kind: action.Dir, Digest: action.Of([]byte("no such"))},
	} {
		_, err := s.PutDirectory(ctx, dirOf(n))
		wantNotFound(t, "PutDirectory with a missing "+n.Kind.String(), err)
	}
	if _, err := s.PutDirectory(ctx, dirOf(action.Node{Name: "..", Kind: action.Dir, Digest: sub})); err == nil {
		t.Error("PutDirectory of an invalid name: got no error")
	}
	_, err := s.Directory(ctx, action.Of([]byte("no such")))
	wantNotFound(t, "Directory", err)
	if s.HasTree(action.Of([]byte("no such"))) {
		t.Error("HasTree of nothing")
	}
}

func dirOf(nodes ...action.Node) *action.Directory {
	return &action.Directory{Attr: action.Attr{Mode: action.ModeDir}, Nodes: nodes}
}

func results(t *testing.T, s store.Store) {
	k1, k2, k3 := action.Of([]byte("key 1")), action.Of([]byte("key 2")), action.Of([]byte("key 3"))
	_, err := s.Result(ctx, k1)
	wantNotFound(t, "Result", err)
	file := must[action.Digest](t)(s.PutBlob(ctx, content(1, 10)))
	root := must[action.Digest](t)(s.PutDirectory(ctx, dirOf()))
	want := &action.Result{Outputs: []action.OutputDigest{
		{Name: "out", Kind: action.File, Digest: file}, {Name: "tree", Kind: action.Tree, Digest: root}}, Millis: 12}
	check(t, s.PutResult(ctx, want, k1, k2))
	check(t, s.Sync(ctx))
	check(t, s.Sync(ctx))
	for _, k := range []action.Digest{k1, k2} {
		got := must[*action.Result](t)(s.Result(ctx, k))
		if !bytes.Equal(got.Encode(), want.Encode()) {
			t.Errorf("Result: got %+v, want %+v", got, want)
		}
	}
	// A later result replaces an earlier one.
	want.Millis = 13
	check(t, s.PutResult(ctx, want, k2))
	if got := must[*action.Result](t)(s.Result(ctx, k2)); got.Millis != 13 {
		t.Errorf("Result: got the older one")
	}
	// One whose output is not there is not found.
	for _, kind := range []action.OutputKind{action.File, action.Tree} {
		r := &action.Result{Outputs: []action.OutputDigest{{Name: "out", Kind: kind, Digest: action.Of([]byte("gone"))}}}
		check(t, s.PutResult(ctx, r, k3))
		_, err = s.Result(ctx, k3)
		wantNotFound(t, "Result with a missing "+kind.String(), err)
	}
}
