package source

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"os"
	"strings"
	"testing"

	"go.starlark.net/starlark"

	"github.com/labstar/labstar/internal/buildtest"
	"github.com/labstar/labstar/internal/lock"
	"github.com/labstar/labstar/starlark/host"
	"github.com/labstar/labstar/starlark/schema"
	"github.com/labstar/labstar/starlark/startest"
)

// tgz makes a .tar.gz of files by name; a content that begins with "->" is a symlink.
func tgz(t *testing.T, files ...string) string {
	t.Helper()
	var buf bytes.Buffer
	z := gzip.NewWriter(&buf)
	w := tar.NewWriter(z)
	for i := 0; i < len(files); i += 2 {
		h := tar.Header{Name: files[i], Mode: 0o644, Size: int64(len(files[i+1])), Typeflag: tar.TypeReg}
		if to, ok := strings.CutPrefix(files[i+1], "->"); ok {
			h.Typeflag, h.Linkname, h.Size = tar.TypeSymlink, to, 0
		}
		if err := w.WriteHeader(&h); err != nil {
			t.Fatal(err)
		}
		if h.Typeflag == tar.TypeReg {
			if _, err := w.Write([]byte(files[i+1])); err != nil {
				t.Fatal(err)
			}
		}
	}
	w.Close()
	z.Close()
	return buf.String()
}

const fix = "--- a/src/main.c\n+++ b/src/main.c\n@@ -1,2 +1,2 @@\n int x;\n-int y;\n+int z;\n"

// eval evaluates a script that has some artifacts at hand.
func eval(t *testing.T, script string) (*buildtest.Lab, starlark.StringDict, error) {
	t.Helper()
	lab := buildtest.New(t)
	lab.Session().Pins = lock.NewPins(lock.New())
	g, err := lab.TryEval(Builtins(), script, starlark.StringDict{
		"elf": lab.File("\x7fELF program"), "script": lab.File("#!/bin/sh\n"), "plain": lab.File("plain\n"),
		"late": schema.LateText(lab.File("from a build").Artifact),
		"tgz":  lab.File(tgz(t, "hello-1/src/main.c", "int x;\nint y;\n", "hello-1/README", "read me\n", "hello-1/link", "->README")),
		"evil": lab.File(tgz(t, "ok", "", "../../etc/passwd", "root")),
		"out":  lab.File(tgz(t, "l", "->/etc/passwd")),
		"fix":  lab.File(fix),
		"sys": lab.Tree(map[string]buildtest.Node{
			"bin/sh": {Text: "\x7fELF shell", Mode: 0o755}, "bin/ls": {Target: "sh"}, "etc/": {Mode: 0o700}, "etc/passwd": {Text: "root", UID: 3},
			"usr/share/doc/x": {Text: "doc"}, "usr/share/doc/y": {Text: "doc"}, "usr/share/man/z": {Text: "man"}, "abs": {Target: "/etc/passwd"},
		}),
		"other": lab.Tree(map[string]buildtest.Node{"bin/sh": {Text: "another"}, "opt/tool": {Text: "tool", Mode: 0o755}}),
	})
	return lab, g, err
}

// TestBuild builds r of each script and looks for lines in the tree's list, or
// for the text if it is a file.
func TestBuild(t *testing.T) {
	for _, c := range []struct {
		script string
		want   []string // "!" before what must not be there
	}{
		{`r = text("a " + late + "\n")`, []string{"a from a build\n"}},
		{`r = text("plain")`, []string{"plain"}},
		{`r = unpack(tgz, strip = 1)`, []string{"src/main.c file 644 0:0 14", "link symlink 777 0:0 -> README"}},
		{`r = unpack(tgz, strip_prefix = "hello-*/src")`, []string{"main.c file 644 0:0 14", "!README"}},
		{`r = unpack(out, allow_external_links = True)`, []string{"l symlink 777 0:0 -> /etc/passwd"}},
		{`r = pick(patch(unpack(tgz, strip = 1), [fix]), "src/main.c")`, []string{"int x;\nint z;\n"}},
		{`r = pick(sys, "bin/ls")`, []string{"\x7fELF shell"}},
		{`r = pick(sys, "/abs")`, []string{"root"}},
		{`r = pick(sys, "usr/share/")`, []string{"doc/x file 644", "man/z file 644", "!bin"}},
		{`r = tree({"a/b": elf, "a/c": script, "d": plain, "e": "text\n", "f": "#!/bin/sh\n", "g": "x" + late})`, []string{
			"a/b file 755 0:0 12", "a/c file 755", "d file 644", "e file 644 0:0 5", "f file 755", "g file 644 0:0 13"}},
		{`r = tree({"": other, "sys": sys})`, []string{"bin/sh file 644 0:0 7", "sys/bin/sh file 755", "sys/etc directory 700", "sys/etc/passwd file 644 3:0"}},
		{`r = tree(base = [sys, other], overwrite = True)`, []string{"bin/sh file 644 0:0 7", "opt/tool file 755", "usr/share/doc/x"}},
		{`r = tree(base = sys, pick = ["usr/share/doc", "etc/*"])`, []string{"usr/share/doc/y", "etc directory 700", "etc/passwd file 644 3:0", "!man", "!bin"}},
		{`r = tree(base = sys, remove = ["usr/share/*", "bin/"])`, []string{"usr/share directory", "!doc", "!man", "!bin"}},
		{`r = tree(base = sys, move = {"usr/share/doc": "doc", "bin/sh": "bin/dash"})`, []string{"doc/x", "!usr/share/doc", "bin/dash file 755", "!bin/sh"}},
		{`r = tree({"x": plain}, base = sys, dirs = ["proc", "a/b"], symlinks = {"bin/bash": "sh"})`, []string{
			"proc directory 755", "a/b directory", "bin/bash symlink 777 0:0 -> sh", "x file"}},
		{`r = tree(base = sys, modes = {"usr/**": 0o600, "bin": 0o711, "etc/passwd": 0o4000}, owners = {"usr/share": "5:6", "bin/*": "7"})`, []string{
			"usr directory 755", "usr/share/doc/x file 600 5:6", "usr/share/doc directory 755 5:6", "usr/share directory 755 5:6", "bin directory 711 0:0",
			"bin/sh file 755 7:7", "bin/ls symlink 777 7:7", "etc/passwd file 4000 3:0"}},
		{`r = tree({"bin/sh": elf}, base = tree({"bin/sh": elf}))`, []string{"bin/sh file 755"}}, // equal: no conflict
		{`r = tree()`, []string{" directory 755"}},
	} {
		lab, g, err := eval(t, c.script)
		if err != nil {
			t.Errorf("%s: %v", c.script, err)
			continue
		}
		d, err := lab.TryBuild(g["r"])
		if err != nil {
			t.Errorf("%s: %v", c.script, err)
			continue
		}
		got := ""
		if g["r"].(*schema.Artifact).Type() == "tree" {
			got = strings.Join(lab.List(d), "\n")
		} else {
			got = string(lab.Blob(d))
		}
		for _, w := range c.want {
			if not, ok := strings.CutPrefix(w, "!"); ok {
				if strings.Contains("\n"+got, "\n"+not) {
					t.Errorf("%s: got\n%s\nwant no %q", c.script, got, not)
				}
			} else if !strings.Contains(got, w) {
				t.Errorf("%s: got\n%s\nwant %q in it", c.script, got, w)
			}
		}
	}
}

// TestBuildErrors builds what fails.
func TestBuildErrors(t *testing.T) {
	for _, c := range []struct{ script, want string }{
		{`r = unpack(evil)`, `unpacking archive: member "../../etc/passwd": name with ".."`},
		{`r = unpack(out)`, `symlink to "/etc/passwd", which is outside the tree: pass allow_external_links=True`},
		{`r = unpack(plain)`, "neither a tar nor a zip archive"},
		{`r = unpack(tgz, strip_prefix = "helo-1")`, "at the top there are: hello-1"},
		{`r = patch(unpack(tgz, strip = 1), [fix, fix])`, "applying patches[1]"},
		{`r = patch(sys, [fix])`, "src/main.c: no such file"},
		{`r = pick(sys, "bin/lsh")`, `no "bin/lsh" in the tree (did you mean "bin/`},
		{`r = pick(sys, "usr/sh")`, `(did you mean "bin/sh"?)`},
		{`r = pick(sys, "bin")`, `path "bin" is a folder: end it in a slash`},
		{`r = pick(sys, "bin/sh/")`, `path "bin/sh" is a file: leave out the slash`},
		{`r = tree(base = [sys, other])`, `laying base[1]: "bin/sh" is in base[0] too: remove it from one of them, or say overwrite = True`},
		{`r = tree({"bin/sh": plain}, base = sys)`, `laying files["bin/sh"]: "bin/sh" is in base too`},
		{`r = tree({"x": sys, "x/bin/ls": plain})`, `laying files["x/bin/ls"]: "x/bin/ls" is in files["x"] too`},
		{`r = tree(base = sys, symlinks = {"bin/sh": "x"})`, `symlinks: "bin/sh" is in base already`},
		{`r = tree(base = sys, remove = ["usr/shar"])`, `remove: nothing in the tree is called "usr/shar" (did you mean "usr/share"?)`},
		{`r = tree(base = sys, pick = ["*.txt"])`, `pick: nothing in the tree matches "*.txt"`},
		{`r = tree(base = sys, modes = {"abs": 0o644})`, "a symlink has no mode"},
		{`r = tree(base = sys, move = {"bin/sh": "etc/passwd"})`, `moving "bin/sh" to "etc/passwd": there is something already`},
		{`r = tree({"bin/sh/x": plain}, base = sys)`, `goes through "bin/sh"`},
	} {
		lab, g, err := eval(t, c.script)
		if err != nil {
			t.Errorf("%s: %v", c.script, err)
			continue
		}
		if _, err := lab.TryBuild(g["r"]); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: got %v, want %q", c.script, err, c.want)
		}
	}
}

// TestPure composes trees of trees and checks that equal content has equal
// digests however it was made, so that nothing below is built again.
func TestPure(t *testing.T) {
	lab, g, err := eval(t, `
a = tree({"bin/sh": elf, "etc/x": "y"})
b = tree(base = tree({"bin/sh": elf, "z": plain}), remove = ["z"], symlinks = {"l": "m"})
c = tree({"etc": tree({"x": "y"})}, base = tree(base = b, remove = ["l"]))
`)
	if err != nil {
		t.Fatal(err)
	}
	if x, y := lab.Build(g["a"]), lab.Build(g["c"]); x != y {
		t.Errorf("got %s and %s for the same tree\n%s\n%s", x, y, lab.List(x), lab.List(y))
	}
	// The digest of what an op gave may change only with its version.
	const want = "sha256:733b48d980d7c9fecbef9c268848b99c36ba793375ddd1ff47f00ddc0fe0f39e"
	if got := lab.Build(g["a"]).String(); got != want {
		t.Errorf("got %s, want %s: if that is meant, raise the version of source/tree", got, want)
	}
}

func TestChunks(t *testing.T) {
	fsys := os.DirFS("testdata")
	for _, pattern := range []string{"errors.star", "*_test.star"} {
		startest.Run(t, host.Config{Builtins: Builtins(), Pins: lock.NewPins(lock.New())}, fsys, pattern)
	}
}
