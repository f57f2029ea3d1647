package storetest

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/labstar/labstar/action"
	"github.com/labstar/labstar/internal/store"
)

func file(t testing.TB, w action.TreeWriter, path string, mode uint32, b []byte) {
	t.Helper()
	d := must[action.Digest](t)(w.File(path, action.Attr{Mode: mode}, bytes.NewReader(b)))
	if d != action.Of(b) {
		t.Errorf("File(%q): got digest %s, want %s", path, d, action.Of(b))
	}
}

// shown lists a folder on the disk: "path mode content|-> target", and checks what
// every entry of a tree has.
func shown(t testing.TB, dir string) string {
	t.Helper()
	var b strings.Builder
	check(t, filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		st, err := d.Info()
		if err != nil {
			return err
		}
		rel, _ := filepath.Rel(dir, path)
		fmt.Fprintf(&b, "%s %v", rel, st.Mode())
		if st.Mode().IsRegular() {
			raw, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			fmt.Fprintf(&b, " %s", action.Of(raw).Hex()[:12])
		} else if st.Mode()&fs.ModeSymlink != 0 {
			target, _ := os.Readlink(path)
			fmt.Fprintf(&b, " -> %s", target)
		}
		b.WriteByte('\n')
		if st.ModTime().Unix() != action.SourceDateEpoch || st.ModTime().Nanosecond() != 0 {
			t.Errorf("%s: got time %v", rel, st.ModTime())
		}
		return nil
	}))
	return b.String()
}

func short(b []byte) string { return action.Of(b).Hex()[:12] }

func tree(t *testing.T, s store.Store) {
	small, large, empty := content(1, 5000), content(2, 700_000), []byte{}
	w := must[action.TreeWriter](t)(s.CreateTree(ctx))
	check(t, w.Mkdir("etc", action.Attr{Mode: 0o700, UID: 5, Xattrs: []action.Xattr{{Name: "user.z", Value: []byte("1")}, {Name: "user.a"}}}))
	file(t, w, "usr/bin/tool", 0o4755, small)
	file(t, w, "usr/lib/large", 0, large)
	file(t, w, "./etc//passwd", 0o640, []byte("root\n"))
	file(t, w, "etc/empty", 0o644, empty)
	check(t, w.Symlink("bin", "usr/bin", action.Attr{}))
	check(t, w.Symlink("etc/out", "/etc/shadow", action.Attr{}))
	check(t, w.Device("dev/console", action.Char, 5, 1, action.Attr{Mode: 0o620, GID: 5}))
	check(t, w.Link("usr/bin/again", "usr/bin/tool"))
	check(t, w.Mkdir("", action.Attr{Mode: 0o711}))
	root := must[action.Digest](t)(w.Commit())
	w.Abort()
	if !s.HasTree(root) || !s.Has(root) {
		t.Fatal("a committed tree is not there")
	}
	dir := must[*action.Directory](t)(s.Directory(ctx, root))
	if dir.Attr.Mode != 0o711 || len(dir.Nodes) != 4 {
		t.Errorf("root: got %+v", dir)
	}
	etc, _ := dir.Find("etc")
	d := must[*action.Directory](t)(s.Directory(ctx, etc.Digest))
	if d.Attr.Mode != 0o700 || d.Attr.UID != 5 || len(d.Attr.Xattrs) != 2 || d.Attr.Xattrs[0].Name != "user.a" {
		t.Errorf("etc: got attributes %+v", d.Attr)
	}
	if n, _ := d.Find("passwd"); n.Attr.Mode != 0o640 || n.Digest != action.Of([]byte("root\n")) {
		t.Errorf("etc/passwd: got %+v", n)
	}
	dev, _ := dir.Find("dev")
	if n, _ := must[*action.Directory](t)(s.Directory(ctx, dev.Digest)).Find("console"); n.Kind != action.Char || n.Major != 5 || n.Minor != 1 || n.Attr.GID != 5 {
		t.Errorf("dev/console: got %+v", n)
	}
	for _, b := range [][]byte{small, large, empty} {
		if !bytes.Equal(readBlob(t, s, action.Of(b)), b) {
			t.Errorf("content of %d bytes does not come back", len(b))
		}
	}
	want := ". drwxr-xr-x\nbin Lrwxrwxrwx -> usr/bin\ndev drwxr-xr-x\netc drwxr-xr-x\n" +
		"etc/empty -rw-r--r-- " + short(empty) + "\netc/out Lrwxrwxrwx -> /etc/shadow\netc/passwd -rw-r--r-- " + short([]byte("root\n")) +
		"\nusr drwxr-xr-x\nusr/bin drwxr-xr-x\nusr/bin/again -rwxr-xr-x " + short(small) + "\nusr/bin/tool -rwxr-xr-x " + short(small) +
		"\nusr/lib drwxr-xr-x\nusr/lib/large -rw-r--r-- " + short(large) + "\n"
	path := must[string](t)(s.TreePath(ctx, root))
	if !s.Shown(root) || s.Shown(action.Of([]byte("none"))) {
		t.Error("Shown: got that a shown tree isn't, or that one that is not there is")
	}
	if got := shown(t, path); got != want {
		t.Errorf("tree on the disk: got\n%s\nwant\n%s", got, want)
	}
	if again := must[string](t)(s.TreePath(ctx, root)); again != path {
		t.Errorf("TreePath: got %s, then %s", path, again)
	}
	r := &action.Result{Outputs: []action.OutputDigest{{Name: "t", Kind: action.Tree, Digest: root}}}
	check(t, s.PutResult(ctx, r, root))
	must[*action.Result](t)(s.Result(ctx, root))
}

func treeReplaces(t *testing.T, s store.Store) {
	w := must[action.TreeWriter](t)(s.CreateTree(ctx))
	for i := range 50 {
		file(t, w, "f", 0o644, content(i, 5000))
	}
	file(t, w, "f", 0o755, []byte("last"))
	check(t, w.Symlink("l", "f", action.Attr{}))
	file(t, w, "l", 0o644, []byte("no link"))
	file(t, w, "x", 0o644, []byte("x"))
	check(t, w.Symlink("x", "l", action.Attr{}))
	check(t, w.Device("p", action.Fifo, 0, 0, action.Attr{}))
	file(t, w, "p", 0o644, []byte("no fifo"))
	check(t, w.Mkdir("d", action.Attr{}))
	file(t, w, "d/f", 0o644, []byte("kept"))
	check(t, w.Mkdir("d", action.Attr{UID: 3}))
	check(t, w.Mkdir("e", action.Attr{}))
	file(t, w, "e", 0o644, []byte("was empty"))
	if _, err := w.File("d", action.Attr{}, strings.NewReader("")); err == nil {
		t.Error("File over a directory that is not empty: got no error")
	}
	root := must[action.Digest](t)(w.Commit())
	want := ". drwxr-xr-x\nd drwxr-xr-x\nd/f -rw-r--r-- " + short([]byte("kept")) + "\ne -rw-r--r-- " + short([]byte("was empty")) +
		"\nf -rwxr-xr-x " + short([]byte("last")) + "\nl -rw-r--r-- " + short([]byte("no link")) +
		"\np -rw-r--r-- " + short([]byte("no fifo")) + "\nx Lrwxrwxrwx -> l\n"
	if got := shown(t, must[string](t)(s.TreePath(ctx, root))); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

func treeHostile(t *testing.T, s store.Store) {
	outside := t.TempDir()
	w := must[action.TreeWriter](t)(s.CreateTree(ctx))
	defer w.Abort()
	check(t, w.Symlink("link", outside, action.Attr{}))
	check(t, w.Symlink("up", "..", action.Attr{}))
	file(t, w, "file", 0o644, []byte("x"))
	for _, path := range []string{
		"link/f", "up/f", "file/f", "../f", "a/../../f", "a/..", "", "/", "a\x00b",
		strings.Repeat("x", 256), strings.Repeat("deep/", 1000) + "f",
	} {
		if _, err := w.File(path, action.Attr{}, strings.NewReader("x")); err == nil {
			t.Errorf("File(%.40q): got no error", path)
		}
		if err := w.Symlink(path, "t", action.Attr{}); err == nil {
			t.Errorf("Symlink(%.40q): got no error", path)
		}
		if err := w.Device(path, action.Char, 1, 1, action.Attr{}); err == nil {
			t.Errorf("Device(%.40q): got no error", path)
		}
		if err := w.Link(path, "file"); err == nil {
			t.Errorf("Link(%.40q): got no error", path)
		}
	}
	for _, old := range []string{"../x", "none", "link/passwd", "", "/etc/passwd"} {
		if err := w.Link("new", old); err == nil {
			t.Errorf("Link to %q: got no error", old)
		}
	}
	if err := w.Symlink("s", "", action.Attr{}); err == nil {
		t.Error("Symlink without a target: got no error")
	}
	file(t, w, "/abs", 0o644, []byte("x")) // taken as below the root
	root := must[action.Digest](t)(w.Commit())
	if dir := must[*action.Directory](t)(s.Directory(ctx, root)); len(dir.Nodes) != 4 {
		t.Errorf("got %d entries, want 4", len(dir.Nodes))
	}
	if list := must[[]os.DirEntry](t)(os.ReadDir(outside)); len(list) > 0 {
		t.Errorf("written outside: %v", list)
	}
}

func treeParallel(t *testing.T, s store.Store) {
	build := func() action.Digest {
		w := must[action.TreeWriter](t)(s.CreateTree(ctx))
		var wg sync.WaitGroup
		for g := range 4 {
			wg.Go(func() {
				for i := range 300 {
					b := content(i%100, (i%20)*1000)
					if _, err := w.File(fmt.Sprintf("d%d/e%d/f%d", i%7, (i+g)%40, i*4+g), action.Attr{}, bytes.NewReader(b)); err != nil {
						t.Error(err)
						return
					}
				}
			})
		}
		wg.Wait()
		return must[action.Digest](t)(w.Commit())
	}
	a, b := build(), build()
	if a != b {
		t.Errorf("the same tree twice: got %s and %s", a, b)
	}
	if n := strings.Count(shown(t, must[string](t)(s.TreePath(ctx, a))), "\n"); n < 1200 {
		t.Errorf("got %d entries, want more than 1200", n)
	}
}

func treeTruncated(t *testing.T, s store.Store) {
	for _, n := range []int{0, 100, 300_000} {
		w := must[action.TreeWriter](t)(s.CreateTree(ctx))
		r := io.MultiReader(bytes.NewReader(content(1, n)), failing{io.ErrUnexpectedEOF})
		if _, err := w.File("f", action.Attr{}, r); !errors.Is(err, io.ErrUnexpectedEOF) {
			t.Errorf("File from a reader that fails after %d bytes: got error %v", n, err)
		}
		w.Abort()
	}
}

type failing struct{ err error }

func (f failing) Read([]byte) (int, error) { return 0, f.err }

func treeAbort(t *testing.T, s store.Store) {
	w := must[action.TreeWriter](t)(s.CreateTree(ctx))
	b := content(77, 5000)
	file(t, w, "a/b", 0o644, b)
	w.Abort()
	if s.Has(action.Of(b)) {
		t.Error("a file of an aborted tree is there")
	}
	if _, err := w.Commit(); err == nil {
		t.Error("Commit after Abort: got no error")
	}
	if err := w.Mkdir("x", action.Attr{}); err == nil {
		t.Error("Mkdir after Abort: got no error")
	}
}

func treeComposed(t *testing.T, s store.Store) {
	b1, b2, b3 := content(1, 10), content(2, 9000), content(3, 200_000)
	w := must[action.TreeWriter](t)(s.CreateTree(ctx))
	file(t, w, "sub/a", 0o644, b2)
	file(t, w, "sub/run", 0o755, b3)
	check(t, w.Symlink("sub/l", "a", action.Attr{}))
	part := must[*action.Directory](t)(s.Directory(ctx, must[action.Digest](t)(w.Commit())))
	d1 := must[action.Digest](t)(s.PutBlob(ctx, b1))
	d3 := action.Of(b3)
	sub, _ := part.Find("sub")
	root := must[action.Digest](t)(s.PutDirectory(ctx, dirOf(
		action.Node{Name: "a", Kind: action.Regular, Digest: d1, Attr: action.Attr{Mode: 0o600}},
		action.Node{Name: "b", Kind: action.Regular, Digest: d3, Attr: action.Attr{Mode: action.ModeFile}},
		action.Node{Name: "dev", Kind: action.Block, Attr: action.Attr{Mode: 0o600}},
		action.Node{Name: "empty", Kind: action.Regular, Digest: action.Empty, Attr: action.Attr{Mode: action.ModeFile}},
		action.Node{Name: "one", Kind: action.Dir, Digest: sub.Digest},
		action.Node{Name: "two", Kind: action.Dir, Digest: sub.Digest},
	)))
	if !s.HasTree(root) {
		t.Error("HasTree of a composed tree: got false")
	}
	part1 := func(name string) string {
		return name + " drwxr-xr-x\n" + name + "/a -rw-r--r-- " + short(b2) + "\n" + name + "/l Lrwxrwxrwx -> a\n" + name + "/run -rwxr-xr-x " + short(b3) + "\n"
	}
	want := ". drwxr-xr-x\na -rw-r--r-- " + short(b1) + "\nb -rw-r--r-- " + short(b3) + "\nempty -rw-r--r-- " + short(nil) + "\n" + part1("one") + part1("two")
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			path, err := s.TreePath(ctx, root)
			if err != nil {
				t.Error(err)
				return
			}
			if got := shown(t, path); got != want {
				t.Errorf("got\n%s\nwant\n%s", got, want)
			}
		})
	}
	wg.Wait()
	_, err := s.TreePath(ctx, action.Of([]byte("none")))
	wantNotFound(t, "TreePath", err)
}

// oneInode checks that no two paths of a tree are one file: what a tree looks
// like must not depend on what was in the store before it.
func oneInode(t *testing.T, s store.Store) {
	b := content(5, 20_000)
	build := func(extra string) string {
		w := must[action.TreeWriter](t)(s.CreateTree(ctx))
		for _, p := range []string{"a", "b", "d/c"} {
			file(t, w, p, 0o644, b)
		}
		check(t, w.Link("d/link", "a"))
		file(t, w, "extra", 0o644, []byte(extra))
		return must[string](t)(s.TreePath(ctx, must[action.Digest](t)(w.Commit())))
	}
	for _, extra := range []string{"1", "2"} {
		seen := map[uint64]string{}
		check(t, filepath.WalkDir(build(extra), func(path string, d fs.DirEntry, err error) error {
			if err != nil {
				return err
			}
			st, err := d.Info()
			if err != nil {
				return err
			}
			ino := uint64(st.Sys().(*syscall.Stat_t).Ino)
			if other, ok := seen[ino]; ok {
				t.Errorf("%s and %s are one inode", path, other)
			}
			seen[ino] = path
			return nil
		}))
	}
}

func adopt(t *testing.T, s store.Store) {
	scratch := must[string](t)(s.Scratch(ctx))
	defer os.RemoveAll(scratch)
	dir := filepath.Join(scratch, "out")
	check(t, os.MkdirAll(filepath.Join(dir, "sub", "empty"), 0o700))
	b1, b2 := content(1, 100), content(2, 400_000)
	check(t, os.WriteFile(filepath.Join(dir, "a"), b1, 0o600))
	check(t, os.WriteFile(filepath.Join(dir, "sub", "run"), b2, 0o710))
	check(t, os.Link(filepath.Join(dir, "sub", "run"), filepath.Join(dir, "hard")))
	check(t, os.Symlink("../a", filepath.Join(dir, "sub", "l")))
	known := content(3, 50_000)
	must[action.Digest](t)(s.PutBlob(ctx, known))
	check(t, os.WriteFile(filepath.Join(dir, "known"), known, 0o644))
	root := must[action.Digest](t)(s.Adopt(ctx, dir))
	if _, err := os.Lstat(dir); err == nil {
		t.Error("an adopted folder is still there")
	}
	want := ". drwxr-xr-x\na -rw-r--r-- " + short(b1) + "\nhard -rwxr-xr-x " + short(b2) + "\nknown -rw-r--r-- " + short(known) +
		"\nsub drwxr-xr-x\nsub/empty drwxr-xr-x\nsub/l Lrwxrwxrwx -> ../a\nsub/run -rwxr-xr-x " + short(b2) + "\n"
	if got := shown(t, must[string](t)(s.TreePath(ctx, root))); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	// The same tree streamed in has the same root.
	w := must[action.TreeWriter](t)(s.CreateTree(ctx))
	file(t, w, "a", 0o644, b1)
	file(t, w, "hard", 0o755, b2)
	file(t, w, "known", 0o644, known)
	check(t, w.Mkdir("sub/empty", action.Attr{}))
	check(t, w.Symlink("sub/l", "../a", action.Attr{}))
	file(t, w, "sub/run", 0o755, b2)
	if got := must[action.Digest](t)(w.Commit()); got != root {
		t.Errorf("streamed tree: got %s, want %s", got, root)
	}
}

func adoptUnreadable(t *testing.T, s store.Store) {
	scratch := must[string](t)(s.Scratch(ctx))
	defer os.RemoveAll(scratch)
	dir := filepath.Join(scratch, "out")
	check(t, os.MkdirAll(filepath.Join(dir, "closed", "deeper"), 0o700))
	check(t, os.WriteFile(filepath.Join(dir, "closed", "f"), []byte("x"), 0o000))
	check(t, os.Chmod(filepath.Join(dir, "closed", "deeper"), 0o000))
	check(t, os.Chmod(filepath.Join(dir, "closed"), 0o555))
	check(t, os.Chmod(dir, 0o000))
	root := must[action.Digest](t)(s.Adopt(ctx, dir))
	want := ". drwxr-xr-x\nclosed drwxr-xr-x\nclosed/deeper drwxr-xr-x\nclosed/f -rw-r--r-- " + short([]byte("x")) + "\n"
	if got := shown(t, must[string](t)(s.TreePath(ctx, root))); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

func adoptRefuses(t *testing.T, s store.Store) {
	scratch := must[string](t)(s.Scratch(ctx))
	defer os.RemoveAll(scratch)
	dir := filepath.Join(scratch, "out")
	check(t, os.MkdirAll(filepath.Join(dir, "sub"), 0o700))
	check(t, syscall.Mkfifo(filepath.Join(dir, "sub", "pipe"), 0o600))
	if _, err := s.Adopt(ctx, dir); err == nil || !strings.Contains(err.Error(), "sub/pipe") {
		t.Errorf("Adopt of a fifo: got error %v, want one that names sub/pipe", err)
	}
	plain := filepath.Join(scratch, "file")
	check(t, os.WriteFile(plain, nil, 0o600))
	if _, err := s.Adopt(ctx, plain); err == nil {
		t.Error("Adopt of a file: got no error")
	}
}
