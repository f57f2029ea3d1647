//go:build linux && (amd64 || arm64)

package linux

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/labstar/labstar/internal/sandbox"
)

func writeFiles(t testing.TB, dir string, files map[string]string) {
	t.Helper()
	for name, content := range files {
		at := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(at), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(at, []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

// TestThousandLayers lays 1,000 trees over one another, twice the number that
// one overlay takes.
func TestThousandLayers(t *testing.T) {
	dir := scratch(t)
	spec, out := probe(t, "cat", "/top", "/f0", "/f500", "/f999")
	for i := range 1000 {
		layer := filepath.Join(dir, fmt.Sprintf("a rather long name of a layer, so that they don't fit into a page %d", i))
		writeFiles(t, layer, map[string]string{fmt.Sprintf("f%d", i): fmt.Sprintf("f%d\n", i), "top": fmt.Sprintf("top %d\n", i)})
		spec.Root = append(spec.Root, layer)
	}
	if got, want := mustRun(t, runner(t), spec, out), "top 999\nf0\nf500\nf999\n"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestOddPaths(t *testing.T) {
	dir := filepath.Join(scratch(t), "a,b:c\\d e\n\"ü\"")
	files := map[string]string{"root/r": "root\n", "lower/l": "lower\n", "input/i": "input\n", "file:,\\": "file\n"}
	writeFiles(t, dir, files)
	spec, out := probe(t, "cat", "/r", "/build/l", "/in/x,y:z\\ w/i", "/in/f")
	spec.Root = append(spec.Root, filepath.Join(dir, "root"))
	spec.Build = []string{filepath.Join(dir, "lower")}
	spec.Scratch = filepath.Join(dir, "scratch")
	if err := os.Mkdir(spec.Scratch, 0o755); err != nil {
		t.Fatal(err)
	}
	spec.Inputs = append(spec.Inputs, sandbox.Mount{Source: filepath.Join(dir, "input"), Target: "/in/x,y:z\\ w"},
		sandbox.Mount{Source: filepath.Join(dir, "file:,\\"), Target: "/in/f"})
	if got, want := mustRun(t, runner(t), spec, out), "root\nlower\ninput\nfile\n"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

// TestTargets lays inputs where the root has folders, files, links and nothing.
func TestTargets(t *testing.T) {
	dir := scratch(t)
	writeFiles(t, dir, map[string]string{
		"root/usr/lib/x/keep": "kept\n", "root/etc/conf": "old\n", "in/f": "new\n", "in/sub/g": "deep\n", "in/sub/over/h": "hidden\n", "over/h": "shown\n",
	})
	for link, to := range map[string]string{"lib": "usr/lib", "abs": "/usr", "out": "../../../..", "loop": "loop"} {
		if err := os.Symlink(to, filepath.Join(dir, "root", link)); err != nil {
			t.Fatal(err)
		}
	}
	file, tree := filepath.Join(dir, "in/f"), filepath.Join(dir, "in/sub")
	r := runner(t)
	for _, c := range []struct{ source, target, read, want string }{
		{file, "/etc/conf", "/etc/conf", "new\n"},
		{file, "/etc/passwd", "/etc/passwd", "new\n"},
		{file, "/etc/deep/er/f", "/etc/deep/er/f", "new\n"},
		{tree, "/usr/lib/x/new", "/usr/lib/x/new/g", "deep\n"},
		{tree, "/usr/lib/x/new", "/usr/lib/x/keep", "kept\n"},
		{tree, "/lib/x/new", "/usr/lib/x/new/g", "deep\n"},
		{tree, "/abs/lib/new/er", "/usr/lib/new/er/g", "deep\n"},
		{tree, "/out/tree", "/tree/g", "deep\n"},
		{tree, "/usr", "/usr/g", "deep\n"},
		{tree, "/build/src", "/build/src/g", "deep\n"},
	} {
		t.Run(c.target, func(t *testing.T) {
			spec, out := probe(t, "cat", c.read)
			if len(spec.Inputs) > 0 {
				t.Skip("the probe's libraries are at these places")
			}
			spec.Root = append(spec.Root, filepath.Join(dir, "root"))
			spec.Inputs = []sandbox.Mount{{Source: c.source, Target: c.target}}
			if got := mustRun(t, r, spec, out); got != c.want {
				t.Errorf("got %q, want %q", got, c.want)
			}
		})
	}
	t.Run("nested", func(t *testing.T) {
		spec, out := probe(t, "cat", "/in/t/g", "/in/t/over/h")
		spec.Inputs = append(spec.Inputs, sandbox.Mount{Source: filepath.Join(dir, "over"), Target: "/in/t/over"}, sandbox.Mount{Source: tree, Target: "/in/t"})
		if got := mustRun(t, r, spec, out); got != "deep\nshown\n" {
			t.Errorf("got %q", got)
		}
	})
	t.Run("loop", func(t *testing.T) {
		spec, _ := probe(t, "hello")
		spec.Root = append(spec.Root, filepath.Join(dir, "root"))
		spec.Inputs = append(spec.Inputs, sandbox.Mount{Source: tree, Target: "/loop/x"})
		if _, err := r.Run(t.Context(), spec); err == nil || !strings.Contains(err.Error(), "too many symbolic links") {
			t.Errorf("got %v", err)
		}
	})
}

// TestPlainRoot: a root that is one tree is no overlay, has what it lacks, and can't be
// written to, as one of two trees is and can't.
func TestPlainRoot(t *testing.T) {
	dir := scratch(t)
	files := map[string]string{"etc/passwd": "own\n", "in/kept": "kept\n", "in/:,/kept": "kept\n", "a,b/kept": "kept\n"}
	writeFiles(t, dir, files)
	if err := os.WriteFile(dir+"/input", []byte("input\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	for _, d := range []string{"bin", "build", "dev", "proc", "tmp"} {
		if err := os.Mkdir(filepath.Join(dir, d), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if err := makeProbe(filepath.Join(dir, "bin")); err != nil {
		t.Fatal(err)
	}
	empty := scratch(t)
	for _, c := range []struct {
		name, target string
		root         []string
		overlay      bool
	}{
		{"one tree", "/in/:,/new", []string{dir}, false},
		{"a name for no option", "/a,b/new", []string{dir}, true},
		{"a folder that is not there", "/new/er", []string{dir}, true},
		{"two trees", "/in/new", []string{empty, dir}, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			spec, out := probe(t, "cat", c.target, "/etc/passwd", "/in/kept", "/a,b/kept", "/etc/resolv.conf", "/etc/group", "/proc/self/mountinfo")
			if len(spec.Inputs) > 0 {
				t.Skip("the probe's libraries are laid where the tree has nothing")
			}
			spec.Root = c.root
			spec.Inputs = []sandbox.Mount{{Source: dir + "/input", Target: c.target}}
			got := mustRun(t, runner(t), spec, out)
			if want := "input\nown\nkept\nkept\nroot:x:0:\nnogroup:x:65534:\n"; !strings.HasPrefix(got, want) {
				t.Errorf("got %s, want %s", got, want)
			}
			if overlay := strings.Contains(got, " / / ro,nosuid,nodev"); overlay != c.overlay {
				t.Errorf("got overlay %v, want %v:\n%s", overlay, c.overlay, got)
			}
			for _, name := range []string{"/new", "/etc/new", "/etc/passwd", "/in/kept", "/bin/probe"} {
				spec, _ := probe(t, "write", name)
				spec.Root = c.root
				if res, err := runner(t).Run(t.Context(), spec); err != nil || res.ExitCode == 0 {
					t.Errorf("writing %s: got %+v, %v, want a failure", name, res, err)
				}
			}
		})
	}
}

func init() {
	probes["edit"] = func([]string) int {
		for _, err := range []error{
			os.WriteFile("src/changed", []byte("new"), 0o644),
			os.Remove("src/gone"),
			os.RemoveAll("again"), os.Mkdir("again", 0o755), os.WriteFile("again/only", []byte("only"), 0o644),
			os.Chmod("src/mode", 0o755),
			os.MkdirAll("made/deep", 0o755), os.WriteFile("made/deep/f", []byte("f"), 0o644),
			os.Symlink("changed", "src/link"), os.Symlink("/etc/passwd", "leak"), os.Symlink("/build/src", "inside"), os.Symlink("../..", "made/up"),
			os.Mkdir("locked", 0o700), os.WriteFile("locked/f", nil, 0), os.Chmod("locked", 0),
		} {
			if err != nil {
				fmt.Println(err)
				return 1
			}
		}
		return 0
	}
}

// TestBuildOverlay runs a command in a folder that starts with a lower tree and
// collects what it left.
func TestBuildOverlay(t *testing.T) {
	lower := scratch(t)
	files := map[string]string{"src/changed": "old", "src/gone": "g", "src/same": "s", "src/mode": "m", "again/before": "b", "other/x": "x"}
	writeFiles(t, lower, files)
	spec, out := probe(t, "edit")
	spec.Build = []string{lower}
	r := runner(t)
	res, err := r.Run(t.Context(), spec)
	if err != nil || res.ExitCode != 0 {
		t.Fatal(err, out)
	}
	for output, want := range map[string]string{
		"src": "changed=new link->changed mode=m* same=s", "again": "only=only", "made/deep": "f=f", "other": "x=x",
		"src/link": "new", "inside/same": "s", "src/mode": "m*", "made/up/build": "error: leads out", "leak": "error: symbolic link to /etc/passwd",
		"src/gone": "error: left no such file; src has changed, link, mode, same", "../x": "error: below the build folder", "/src": "error: relative",
		"again/before": "error: again has only", "src/same/x": "error: left no such file",
	} {
		got := ""
		if p, err := sandbox.Collect(spec, res, output); err != nil {
			got = "error: " + err.Error()
			if part, ok := strings.CutPrefix(want, "error: "); ok && strings.Contains(got, part) {
				continue
			}
		} else {
			got = describe(t, p)
		}
		if got != want {
			t.Errorf("%s: got %s, want %s", output, got, want)
		}
	}
	for name, want := range files {
		if b, err := os.ReadFile(filepath.Join(lower, name)); err != nil || string(b) != want {
			t.Errorf("the lower %s is now %q, %v", name, b, err)
		}
	}
}

// describe lists a tree, or gives a file's content; * marks a run bit.
func describe(t *testing.T, root string) string {
	t.Helper()
	fi, err := os.Lstat(root)
	if err != nil {
		t.Fatal(err)
	}
	content := func(name string, mode os.FileMode) string {
		b, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		if mode&0o100 != 0 {
			return string(b) + "*"
		}
		return string(b)
	}
	if !fi.IsDir() {
		return content(root, fi.Mode())
	}
	list, err := os.ReadDir(root)
	if err != nil {
		t.Fatal(err)
	}
	var parts []string
	for _, e := range list {
		name := filepath.Join(root, e.Name())
		switch {
		case e.Type()&os.ModeSymlink != 0:
			to, _ := os.Readlink(name)
			parts = append(parts, e.Name()+"->"+to)
		case e.IsDir():
			parts = append(parts, e.Name()+"/["+describe(t, name)+"]")
		default:
			fi, _ := e.Info()
			parts = append(parts, e.Name()+"="+content(name, fi.Mode()))
		}
	}
	return strings.Join(parts, " ")
}

// TestFreshBuild collects from a build folder that started empty.
func TestFreshBuild(t *testing.T) {
	spec, out := probe(t, "write", "/build/a/b/file", "/tmp/x", "/dev/shm/x", "rel")
	spec.Dir = "/build/a/b"
	r := runner(t)
	res, err := r.Run(t.Context(), spec)
	if err != nil || res.ExitCode != 0 {
		t.Fatal(err, out)
	}
	for output, want := range map[string]string{"a/b/file": "/build/a/b/file", "a/b/rel": "rel"} {
		p, err := sandbox.Collect(spec, res, output)
		if err != nil {
			t.Fatal(err)
		}
		if !strings.HasPrefix(p, spec.Scratch) || describe(t, p) != want {
			t.Errorf("%s: got %s with %q", output, p, describe(t, p))
		}
		if fi, _ := os.Stat(p); fi.Mode().Perm() != 0o644 {
			t.Errorf("%s: got mode %v, want that of umask 022", output, fi.Mode())
		}
	}
	_, err = sandbox.Collect(spec, res, "a/nothing")
	if err == nil || !strings.Contains(err.Error(), "a has b/") {
		t.Errorf("got %v, want a listing", err)
	}
}
