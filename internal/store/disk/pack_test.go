package disk

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/labstar/labstar/action"
	"github.com/labstar/labstar/internal/store"
)

func openAs(t testing.TB, dir string, boot byte) *Store {
	t.Helper()
	s, err := Open(dir, Options{boot: &bootID{boot}})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

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

func keyOf(i int) action.Digest { return action.Of(fmt.Appendf(nil, "key %d", i)) }

// publish stores a blob, a tree and a result of both, and returns the result.
func publish(t testing.TB, s *Store, i int) *action.Result {
	t.Helper()
	w := must[action.TreeWriter](t)(s.CreateTree(ctx))
	for j, n := range []int{0, 100, 5000, 70_000} {
		must[action.Digest](t)(w.File(fmt.Sprintf("d%d/f%d", j%2, j), action.Attr{Mode: 0o644}, bytes.NewReader(fillSeed(i*10+j, n))))
	}
	root := must[action.Digest](t)(w.Commit())
	small := must[action.Digest](t)(s.PutBlob(ctx, fillSeed(i, 300)))
	large := must[action.Digest](t)(s.PutBlob(ctx, fillSeed(i, 100_000)))
	r := &action.Result{Outputs: []action.OutputDigest{{Name: "small", Kind: action.File, Digest: small},
		{Name: "large", Kind: action.File, Digest: large}, {Name: "tree", Kind: action.Tree, Digest: root}}}
	check(t, s.PutResult(ctx, r, keyOf(i)))
	return r
}

// wantClean fails the test if Verify finds anything.
func wantClean(t testing.TB, s *Store) *VerifyReport {
	t.Helper()
	v := must[*VerifyReport](t)(s.Verify(ctx, false, nil))
	for _, p := range v.Problems {
		t.Errorf("verify: %v", p)
	}
	return v
}

func wantResult(t testing.TB, s *Store, i int, want bool) {
	t.Helper()
	_, err := s.Result(ctx, keyOf(i))
	if want && err != nil || !want && !errors.Is(err, store.ErrNotFound) {
		t.Errorf("result %d: got error %v, want found: %v", i, err, want)
	}
}

func TestOtherProcessesSeeAtOnce(t *testing.T) {
	dir := t.TempDir()
	a, b := open(t, dir), open(t, dir)
	defer a.Close()
	defer b.Close()
	for i := range 5 {
		r := publish(t, a, i)
		wantResult(t, b, i, true)
		path := must[string](t)(b.TreePath(ctx, r.Outputs[2].Digest))
		if !exists(filepath.Join(path, "d1/f3")) {
			t.Errorf("tree %d is not shown", i)
		}
		publish(t, b, 100+i)
		wantResult(t, a, 100+i, true)
	}
	wantClean(t, a)
}

// TestMachineCrash opens stores as in another boot of the machine: what no Sync
// covered does not count there, what one covered does.
func TestMachineCrash(t *testing.T) {
	for _, closed := range []bool{true, false} {
		t.Run(fmt.Sprintf("closed %v", closed), func(t *testing.T) {
			dir := t.TempDir()
			s := openAs(t, dir, 1)
			publish(t, s, 1)
			check(t, s.Sync(ctx))
			lost := publish(t, s, 2)
			if closed {
				check(t, s.Close())
			} else {
				// As left by a kill: no index, and the flock is gone.
				for _, p := range *s.packs.Load() {
					p.f.Close()
				}
				s.lock.Close()
			}
			s = openAs(t, dir, 2)
			defer s.Close()
			wantResult(t, s, 1, true)
			wantResult(t, s, 2, false)
			if s.Has(lost.Outputs[1].Digest) || s.HasTree(lost.Outputs[2].Digest) {
				t.Error("what was not synced is trusted after a crash")
			}
			// The files are there still, maybe torn; storing them again replaces them.
			for _, o := range lost.Outputs[1:] {
				path := s.blobPath(o.Digest.Hash, false)
				if o.Kind == action.Tree {
					path = s.treePath(o.Digest) + "/d1/f3"
				}
				check(t, os.WriteFile(path, []byte("torn"), 0o644))
			}
			publish(t, s, 2)
			wantResult(t, s, 2, true)
			wantClean(t, s)
		})
	}
}

// TestVouch: a synced result may build on what another process, which was killed
// before its own Sync, had stored.
func TestVouch(t *testing.T) {
	dir := t.TempDir()
	a := openAs(t, dir, 1)
	r := publish(t, a, 1)
	b := openAs(t, dir, 1)
	check(t, b.PutResult(ctx, r, keyOf(7)))
	check(t, b.Sync(ctx))
	publish(t, a, 2)
	for _, s := range []*Store{a, b} {
		for _, p := range *s.packs.Load() {
			p.f.Close()
		}
		s.lock.Close()
	}
	c := openAs(t, dir, 2)
	defer c.Close()
	wantResult(t, c, 7, true)
	wantResult(t, c, 1, true)
	wantResult(t, c, 2, false)
	wantClean(t, c)
}

// TestVouchAlong: what another process has found in the pack of a third is vouched
// for with it; a process that has found nothing of others syncs only its own.
func TestVouchAlong(t *testing.T) {
	dir := t.TempDir()
	a, b, c, d := openAs(t, dir, 1), openAs(t, dir, 1), openAs(t, dir, 1), openAs(t, dir, 1)
	defer func() {
		for _, s := range []*Store{a, b, c, d} {
			check(t, s.Close())
		}
	}()
	file := must[action.Digest](t)(a.PutBlob(ctx, fillSeed(1, 300)))
	check(t, b.refresh(true))
	root := must[action.Digest](t)(b.PutDirectory(ctx, &action.Directory{Attr: action.Attr{Mode: 0o755},
		Nodes: []action.Node{{Name: "f", Kind: action.Regular, Digest: file, Attr: action.Attr{Mode: 0o644}}}}))

	publish(t, d, 2)
	check(t, d.Sync(ctx))
	after := openAs(t, dir, 2)
	wantResult(t, after, 2, true)
	if after.Has(root) || after.Has(file) {
		t.Error("what nobody had looked for was synced")
	}
	check(t, after.Close())

	check(t, c.refresh(true))
	if !c.HasTree(root) {
		t.Error("the tree was not found")
	}
	check(t, c.PutResult(ctx, &action.Result{Outputs: []action.OutputDigest{{Name: "t", Kind: action.Tree, Digest: root}}}, keyOf(3)))
	check(t, c.Sync(ctx))
	after = openAs(t, dir, 2)
	defer after.Close()
	wantResult(t, after, 3, true)
	if !after.Has(root) || !after.Has(file) {
		t.Error("what a synced result is made of was not synced")
	}
}

// TestTornTail cuts a pack at every byte of its last records.
func TestTornTail(t *testing.T) {
	dir := t.TempDir()
	s := openAs(t, dir, 1)
	const n = 4
	var ends []int64
	for i := range n {
		d := must[action.Digest](t)(s.PutBlob(ctx, fillSeed(i, 60)))
		r := &action.Result{Outputs: []action.OutputDigest{{Name: "o", Kind: action.File, Digest: d}}}
		check(t, s.PutResult(ctx, r, keyOf(i)))
		ends = append(ends, s.w.p.end)
	}
	whole := must[[]byte](t)(os.ReadFile(s.w.p.path))
	check(t, s.Close())
	for cut := int(ends[0]); cut <= len(whole); cut++ {
		for _, path := range must[[]string](t)(filepath.Glob(filepath.Join(dir, "packs", "*"))) {
			check(t, os.Remove(path))
		}
		path := filepath.Join(dir, "packs", "1-x"+packSuffix)
		check(t, os.WriteFile(path, whole[:cut], 0o644))
		s := openAs(t, dir, 1)
		for i, end := range ends {
			wantResult(t, s, i, int64(cut) >= end)
		}
		if v := must[*VerifyReport](t)(s.Verify(ctx, false, nil)); len(v.Problems) > 0 {
			t.Fatalf("cut at %d: %v", cut, v.Problems)
		}
		check(t, s.Close())
		s = openAs(t, dir, 1) // by its index now
		for i, end := range ends {
			wantResult(t, s, i, int64(cut) >= end)
		}
		check(t, s.Close())
	}
}

func TestCompaction(t *testing.T) {
	dir := t.TempDir()
	held := open(t, dir) // has the first packs open all the time
	defer held.Close()
	for i := range 30 {
		s := open(t, dir)
		publish(t, s, i)
		if i%3 == 0 {
			check(t, s.Sync(ctx))
		}
		check(t, s.Close())
		wantResult(t, held, i, true)
	}
	names, _, err := packNames(filepath.Join(dir, "packs"))
	check(t, err)
	if len(names) > fanIn+2 {
		t.Errorf("got %d packs, want at most %d", len(names), fanIn+2)
	}
	s := open(t, dir)
	defer s.Close()
	for i := range 30 {
		wantResult(t, s, i, true)
		wantResult(t, held, i, true)
	}
	wantClean(t, s)
	for _, de := range must[[]os.DirEntry](t)(os.ReadDir(filepath.Join(dir, "tmp"))) {
		if de.Name() != filepath.Base(held.tmp.path) && de.Name() != filepath.Base(s.tmp.path) {
			t.Errorf("left in tmp: %s", de.Name())
		}
	}
}

// TestMergesArePaidByWhatIsWritten: however much a store holds, merges copy what
// runs write a few times, and packs stay few.
func TestMergesArePaidByWhatIsWritten(t *testing.T) {
	const most = 1 << 20
	large := []int64{most * 2 / 3, most * 3 / 4, most * 3 / 4, most + 1, 5 * most}
	rnd := rand.New(rand.NewPCG(1, 2))
	sizes := slices.Clone(large)
	var written, copied int64
	for range 20_000 {
		size := int64(100 + rnd.ExpFloat64()*1000)
		if rnd.IntN(100) == 0 {
			size *= 100
		}
		written += size
		sizes = append(sizes, size)
		slices.Sort(sizes)
		if n := mergeable(sizes, most); n > 0 {
			sum := int64(0)
			for _, size := range sizes[:n] {
				sum += size
			}
			if n < fanIn || sum > most {
				t.Fatalf("got a merge of %d packs, %d bytes", n, sum)
			}
			copied += sum
			sizes = append(sizes[n:], sum)
			slices.Sort(sizes)
		}
		if want := int(2*written/most) + len(large) + 2*fanIn + 10; len(sizes) > want {
			t.Fatalf("got %d packs for %d bytes, want at most %d", len(sizes), written, want)
		}
	}
	t.Logf("%d bytes written, %d copied, %d packs", written, copied, len(sizes))
	if copied > 10*written {
		t.Errorf("merges copied %d bytes of %d that were written", copied, written)
	}
}

func TestOpenRefuses(t *testing.T) {
	foreign := t.TempDir()
	check(t, os.WriteFile(filepath.Join(foreign, "thesis.txt"), nil, 0o644))
	newer := t.TempDir()
	check(t, os.WriteFile(filepath.Join(newer, "version"), []byte("labstar store 7\n"), 0o644))
	odd := t.TempDir()
	check(t, os.WriteFile(filepath.Join(odd, "version"), []byte("2.1"), 0o644))
	file := filepath.Join(odd, "version")
	for _, tt := range []struct{ dir, want string }{
		{foreign, "it holds something else (thesis.txt)"},
		{newer, "it has format 7, and this labstar knows format 1; use a newer labstar"},
		{odd, "is not one of labstar's"},
		{file, "not a directory"},
	} {
		if _, err := Open(tt.dir, Options{}); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("Open(%s): got error %v, want one with %q", tt.dir, err, tt.want)
		}
	}
	if list := must[[]os.DirEntry](t)(os.ReadDir(foreign)); len(list) != 1 {
		t.Errorf("a foreign folder was written to: %v", list)
	}
	if _, err := Open(filepath.Join(t.TempDir(), "none"), Options{ReadOnly: true}); err == nil {
		t.Error("Open of a missing store for reading: got no error")
	}
}

func TestReadOnlyOption(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir)
	r := publish(t, s, 1)
	check(t, s.Close())
	ro := must[*Store](t)(Open(dir, Options{ReadOnly: true}))
	defer ro.Close()
	wantReadOnly(t, ro, r)
}

// wantReadOnly checks what a store that can't be written to does.
func wantReadOnly(t testing.TB, s *Store, r *action.Result) {
	t.Helper()
	wantResult(t, s, 1, true)
	b := must[action.Blob](t)(s.OpenBlob(ctx, r.Outputs[0].Digest))
	b.Close()
	must[string](t)(s.TreePath(ctx, r.Outputs[2].Digest))
	must[string](t)(s.BlobPath(ctx, r.Outputs[1].Digest, false))
	check(t, s.Sync(ctx))
	_, blobErr := s.PutBlob(ctx, []byte("new"))
	_, treeErr := s.CreateTree(ctx)
	_, lockErr := s.Lock(ctx, keyOf(1))
	_, pathErr := s.BlobPath(ctx, r.Outputs[0].Digest, false)
	_, scratchErr := s.Scratch(ctx)
	for _, err := range []error{blobErr, treeErr, lockErr, pathErr, scratchErr, s.PutNote("n", nil), s.PutResult(ctx, r, keyOf(2))} {
		if !errors.Is(err, ErrReadOnly) || !strings.Contains(err.Error(), "--cache") {
			t.Errorf("got error %v, want %v", err, ErrReadOnly)
		}
	}
	if _, err := s.PutBlob(ctx, fillSeed(1, 300)); err != nil {
		t.Errorf("PutBlob of what is there: %v", err)
	}
}

func TestTmpIsSwept(t *testing.T) {
	dir := t.TempDir()
	a := open(t, dir)
	live := must[string](t)(a.Scratch(ctx))
	dead := filepath.Join(dir, "tmp", "0123456789abcdef")
	check(t, os.MkdirAll(filepath.Join(dead, "1", "closed"), 0o700))
	check(t, os.WriteFile(filepath.Join(dead, "lock"), nil, 0o600))
	check(t, os.WriteFile(filepath.Join(dead, "1", "closed", "f"), nil, 0o000))
	check(t, os.Chmod(filepath.Join(dead, "1", "closed"), 0o000))
	b := open(t, dir)
	<-b.swept
	if exists(dead) {
		t.Error("the folder of a process that is gone is still there")
	}
	if !exists(live) {
		t.Error("the folder of a living process was removed")
	}
	check(t, b.Close())
	check(t, a.Close())
	if list := must[[]os.DirEntry](t)(os.ReadDir(filepath.Join(dir, "tmp"))); len(list) != 0 {
		t.Errorf("left in tmp: %v", list)
	}
}

// TestHeadless: a pack whose header a crash of the machine took is passed over,
// and gc removes it.
func TestHeadless(t *testing.T) {
	dir := t.TempDir()
	check(t, open(t, dir).Close())
	path := filepath.Join(dir, "packs", "1-a"+packSuffix)
	check(t, os.WriteFile(path, make([]byte, 4096), 0o644))
	s := open(t, dir)
	defer s.Close()
	publish(t, s, 1)
	wantClean(t, s)
	must[*Report](t)(s.GC(ctx, Policy{MaxBytes: 1 << 30}))
	wantResult(t, s, 1, true)
	if exists(path) {
		t.Error("a pack with no header is still there")
	}
}

// TestDeepTree: directories can be composed deeper than any path may be.
func TestDeepTree(t *testing.T) {
	s := open(t, t.TempDir())
	defer s.Close()
	d := must[action.Digest](t)(s.PutDirectory(ctx, &action.Directory{Attr: action.Attr{Mode: 0o755}}))
	for range 3000 {
		d = must[action.Digest](t)(s.PutDirectory(ctx, &action.Directory{Attr: action.Attr{Mode: 0o755},
			Nodes: []action.Node{{Name: "deep", Kind: action.Dir, Digest: d}}}))
	}
	if _, err := s.TreePath(ctx, d); err == nil || !strings.Contains(err.Error(), "want at most") {
		t.Errorf("got error %v, want that the path is too long", err)
	}
	if v := must[*VerifyReport](t)(s.Verify(ctx, false, nil)); len(v.Problems) > 0 {
		t.Errorf("got %v", v.Problems)
	}
}
