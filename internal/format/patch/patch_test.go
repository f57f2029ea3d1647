package patch

import (
	"bytes"
	"context"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/labstar/labstar/action"
)

// memory is a content store for tests.
type memory struct {
	blobs map[action.Digest][]byte
	dirs  map[action.Digest]*action.Directory
}

type memBlob struct{ *bytes.Reader }

func (memBlob) Close() error { return nil }

func (m *memory) OpenBlob(_ context.Context, d action.Digest) (action.Blob, error) {
	b, ok := m.blobs[d]
	if !ok {
		return nil, fs.ErrNotExist
	}
	return memBlob{bytes.NewReader(b)}, nil
}

func (m *memory) Directory(_ context.Context, d action.Digest) (*action.Directory, error) {
	return m.dirs[d], nil
}

func (m *memory) put(b []byte) (action.Digest, error) {
	m.blobs[action.Of(b)] = bytes.Clone(b)
	return action.Of(b), nil
}

// load puts the files of a folder into an Edit.
func load(t *testing.T, dir string) (*memory, *action.Edit) {
	t.Helper()
	m := &memory{map[action.Digest][]byte{}, map[action.Digest]*action.Directory{}}
	e := action.NewEdit(m, action.Digest{})
	err := filepath.WalkDir(dir, func(p string, d fs.DirEntry, err error) error {
		rel, _ := filepath.Rel(dir, p)
		if err != nil || rel == ".git" {
			return fs.SkipDir
		}
		if d.IsDir() {
			return err
		}
		n := action.Node{Kind: action.Regular, Attr: action.Attr{Mode: 0o644}}
		if d.Type() == fs.ModeSymlink {
			n.Kind, n.Attr.Mode = action.Symlink, 0o777
			n.Target, err = os.Readlink(p)
		} else {
			b, _ := os.ReadFile(p)
			n.Digest, _ = m.put(b)
			if st, _ := d.Info(); st.Mode()&0o100 != 0 {
				n.Attr.Mode = 0o755
			}
		}
		if err != nil {
			return err
		}
		return e.Put(context.Background(), rel, n, action.Replace)
	})
	if err != nil {
		t.Fatal(err)
	}
	return m, e
}

// list describes all files of an Edit.
func list(t *testing.T, e *action.Edit) string {
	t.Helper()
	var out strings.Builder
	err := e.Walk(context.Background(), func(p string, n action.Node) error {
		if n.Kind != action.Dir {
			fmt.Fprintf(&out, "%s %o %s%s\n", p, n.Attr.Mode, n.Digest.Hex()[:12], n.Target)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return out.String()
}

func write(t *testing.T, dir string, files map[string]string) {
	t.Helper()
	for name, content := range files {
		p := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(p), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(p, []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

func run(t *testing.T, dir string, argv ...string) string {
	t.Helper()
	if _, err := exec.LookPath(argv[0]); err != nil {
		t.Skipf("no %s here", argv[0])
	}
	cmd := exec.Command(argv[0], argv[1:]...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "GIT_CONFIG_GLOBAL=/dev/null", "LC_ALL=C",
		"GIT_AUTHOR_NAME=a", "GIT_AUTHOR_EMAIL=a@b", "GIT_COMMITTER_NAME=a", "GIT_COMMITTER_EMAIL=a@b")
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	if err := cmd.Run(); err != nil && !(argv[0] == "diff" && cmd.ProcessState.ExitCode() == 1) {
		t.Fatalf("%v: %v\n%s", argv, err, errs.String())
	}
	return out.String()
}

func numbered(n int, change map[int]string) string {
	var b strings.Builder
	for i := range n {
		if s, ok := change[i+1]; ok {
			b.WriteString(s)
			continue
		}
		fmt.Fprintf(&b, "line %d\n", i+1)
	}
	return b.String()
}

var before = map[string]string{
	"changed.c": numbered(100, nil), "sub/gone": "bye\n", "no newline": "a\nb", "gets newline": "a\nb",
	"same": "same\n", "old name": numbered(30, nil), "empty": "", "script": "#!/bin/sh\n", "ümlaut \"q\"": "x\n",
}

var after = map[string]string{
	"changed.c":  numbered(100, map[int]string{1: "", 50: "fifty\n", 51: "more\nlines\n", 100: "the end\n"}),
	"no newline": "a\nc", "gets newline": "a\nb\n", "same": "same\n", "new/deep/file": "hello\nworld",
	"new name": numbered(30, map[int]string{3: "three\n"}), "script": "#!/bin/sh\n", "made empty": "", "ümlaut \"q\"": "y\n",
}

// TestGit applies what git writes.
func TestGit(t *testing.T) {
	dir := t.TempDir()
	run(t, dir, "git", "init", "-q")
	write(t, dir, before)
	run(t, dir, "git", "add", "-A")
	run(t, dir, "git", "commit", "-qm", "one")
	m, e := load(t, dir)
	for name := range before {
		os.Remove(filepath.Join(dir, name))
	}
	write(t, dir, after)
	os.Chmod(filepath.Join(dir, "script"), 0o755)
	os.Symlink("new name", filepath.Join(dir, "link"))
	run(t, dir, "git", "add", "-A")
	run(t, dir, "git", "commit", "-qm", "two")
	_, want := load(t, dir)
	for _, args := range [][]string{
		{"format-patch", "-M", "--stdout", "HEAD~1"}, {"diff", "HEAD~1", "HEAD"}, {"diff", "-U0", "--no-renames", "HEAD~1", "HEAD"},
	} {
		text := run(t, dir, append([]string{"git"}, args...)...)
		files, err := Parse([]byte(text), 1)
		if err != nil {
			t.Fatalf("git %v: %v\n%s", args, err, text)
		}
		root, err := e.Finish(context.Background(), func(d *action.Directory) (action.Digest, error) {
			sum := action.Of([]byte(fmt.Sprintf("%+v", d)))
			m.dirs[sum] = d
			return sum, nil
		})
		if err != nil {
			t.Fatal(err)
		}
		edit := action.NewEdit(m, root)
		if err := Tree(context.Background(), edit, files, Target{Content: m, Put: m.put}); err != nil {
			t.Fatalf("git %v: %v\n%s", args, err, text)
		}
		if got := list(t, edit); got != list(t, want) {
			t.Errorf("git %v: got\n%s\nwant\n%s", args, got, list(t, want))
		}
	}
}

// TestDiff applies what diff writes, to a file that has moved on.
func TestDiff(t *testing.T) {
	dir := t.TempDir()
	write(t, filepath.Join(dir, "a"), before)
	write(t, filepath.Join(dir, "b"), after)
	text := run(t, dir, "diff", "-urN", "a", "b")
	m, e := load(t, filepath.Join(dir, "a"))
	_, want := load(t, filepath.Join(dir, "b"))
	files, err := Parse([]byte("Some words before.\n\n"+text), 1)
	if err != nil {
		t.Fatalf("%v\n%s", err, text)
	}
	if err := Tree(context.Background(), e, files, Target{Content: m, Put: m.put}); err != nil {
		t.Fatalf("%v\n%s", err, text)
	}
	got := list(t, e)
	// diff -N can't tell an empty file from none.
	w := strings.ReplaceAll(list(t, want), "made empty 644 "+action.Empty.Hex()[:12]+"\n", "")
	got = strings.ReplaceAll(got, "empty 644 "+action.Empty.Hex()[:12]+"\n", "")
	if got != w {
		t.Errorf("got\n%s\nwant\n%s", got, w)
	}
}

func TestOffset(t *testing.T) {
	text := "--- x.orig\n+++ x\n@@ -5,3 +5,3 @@\n line 5\n-line 6\n+six\n line 7\n@@ -20,3 +20,2 @@\n line 20\n-line 21\n line 22\n"
	files, err := Parse([]byte(text), 0)
	if err != nil {
		t.Fatal(err)
	}
	got, moved, err := files[0].Apply([]byte("new\nnew\n" + numbered(40, nil)))
	if err != nil {
		t.Fatal(err)
	}
	if want := "new\nnew\n" + numbered(40, map[int]string{6: "six\n", 21: ""}); string(got) != want {
		t.Errorf("got\n%s", got)
	}
	if fmt.Sprint(moved) != "[{1 2} {2 2}]" {
		t.Errorf("got moves %v, want both by 2", moved)
	}
}

func TestErrors(t *testing.T) {
	m := &memory{map[action.Digest][]byte{}, map[action.Digest]*action.Directory{}}
	d, _ := m.put([]byte(numbered(10, nil)))
	const head = "--- a/x\n+++ b/x\n"
	for _, c := range []struct{ text, want string }{
		{"", "no change found"},
		{"hello\n", "no change found"},
		{head + "@@ -2,2 +2,2 @@\n line 2\n-line THREE\n+3\n", "x: hunk 1 (line 3 of the patch) does not match at line 3:\n\tgot  \"line 3\\n\"\n\twant \"line THREE\\n\""},
		{head + "@@ -3 +3 @@\n-no\n+line 3\n", "is there already: the patch was applied before"},
		{head + "@@ -3 +3 @@\n-line 3\r\n+3\r\n", "only the line ends differ"},
		{head + "@@ -10,2 +10,1 @@\n line 10\n-line 11\n", "the file ends at line 10"},
		{head + "@@ -3,2 +3,2 @@\n line 3\n", "ends inside a hunk: 1 old and 1 new lines are missing"},
		{head + "@@ -3,x +3 @@\n line 3\n", "damaged hunk header"},
		{head + "@@ -3 +3 @@\n*line 3\n", "damaged hunk: got a line that begins with '*'"},
		{"--- a/y\n+++ b/y\n@@ -1 +1 @@\n-a\n+b\n", "y: no such file, but line 1 of the patch changes it: check strip"},
		{"--- x\n+++ x\n@@ -1 +1 @@\n-a\n+b\n", `name "x" has too few parts to strip 1`},
		{"--- a/../../x\n+++ b/../../x\n@@ -1 +1 @@\n-a\n+b\n", `invalid path "../../x"`},
		{"--- /dev/null\n+++ b/x\n@@ -0,0 +1 @@\n+b\n", "x: it is there already"},
		{"--- a/x\n+++ /dev/null\n@@ -1 +0,0 @@\n-line 1\n", "deletes it, but it holds more"},
		{"--- /dev/null\n+++ b/x/y\n@@ -0,0 +1 @@\n+b\n", `goes through "x", which is a file`},
		{"diff --git a/x b/x\nindex 1..2 100644\nGIT binary patch\nliteral 1\n", "a binary change"},
		{"diff --git a/x b/x\nnew file mode 160000\n", "unsupported mode"},
		{"*** a\n--- b\n*******\n", "a context diff"},
		{"@@ -1 +1 @@\n", "a hunk without a file"},
	} {
		e := action.NewEdit(m, action.Digest{})
		if err := e.Put(context.Background(), "x", action.Node{Kind: action.Regular, Digest: d}, action.Replace); err != nil {
			t.Fatal(err)
		}
		files, err := Parse([]byte(c.text), 1)
		if err == nil {
			err = Tree(context.Background(), e, files, Target{Content: m, Put: m.put})
		}
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%q:\ngot  %v\nwant %s", c.text, err, c.want)
		}
	}
}

func FuzzApply(f *testing.F) {
	f.Add([]byte("--- a/x\n+++ b/x\n@@ -1,2 +1,2 @@\n a\n-b\n+c\n\\ No newline at end of file\n"), []byte("a\nb\n"))
	f.Add([]byte("diff --git \"a/\\303\\274\" b/x\nold mode 100644\nnew mode 100755\nrename from x\nrename to y\n"), []byte("a"))
	f.Fuzz(func(t *testing.T, text, old []byte) {
		files, err := Parse(text, 1)
		if err != nil {
			return
		}
		for i := range files {
			for _, name := range []string{files[i].Old, files[i].New} {
				if clean, err := action.CleanPath(name); err != nil || clean != name {
					t.Errorf("got name %q", name)
				}
			}
			files[i].Apply(old)
		}
	})
}
