package toolchain

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"go.starlark.net/starlark"

	"github.com/labstar/labstar/internal/buildtest"
	"github.com/labstar/labstar/internal/lock"
	"github.com/labstar/labstar/starlark/schema"
)

// system fills m with a small distribution.
func system(m *mirror) {
	for _, n := range essential {
		m.deb(n, "1", "Essential: yes", "./usr/share/"+n+"/x", n, "./usr/share/doc/"+n+"/copyright", "text")
	}
	m.deb("base-files", "1", "Essential: yes\nPre-Depends: awk", "./bin", "-> usr/bin", "./etc/debian_version", "13")
	m.deb("mawk", "1", "Provides: awk\nPriority: required", "./usr/bin/mawk", "mawk")
	m.deb("gawk", "1", "Provides: awk\nPriority: optional", "./usr/bin/gawk", "gawk")
	m.deb("cpp", "4:14-1", "Source: gcc-defaults", "./usr/bin/cpp", "cpp")
	m.deb("gcc", "4:14-1", "Source: gcc-defaults\nDepends: cpp (= 4:14-1), libc (>= 2)", "./usr/bin/gcc", "gcc 14")
	m.deb("libc", "2.41", "", "./lib/x.so", "libc", "./lib64/ld.so", "-> ../lib/x.so")
	m.deb("make", "4.4", "Depends: libc", "./usr/bin/make", "make")
	m.deb("evil", "1", "Conflicts: make", "./usr/bin/evil", "evil")
	m.deb("thief", "1", "", "./usr/bin/make", "not make")
	m.publish()
}

// build locks, evaluates and builds `tools` of script.
func build(t *testing.T, lab *buildtest.Lab, m *mirror, f *lock.File, script string) (starlark.StringDict, string, error) {
	t.Helper()
	if err := lockFor(t, lab, f, m.env(), script); err != nil {
		return nil, "", err
	}
	pins := lock.NewPins(f)
	lab.SetPins(pins)
	g, err := lab.TryEval(Builtins(), script, nil)
	if err != nil {
		return nil, "", err
	}
	if w := pins.Wants(); len(w) > 0 {
		t.Fatalf("still wanted: %v", w)
	}
	root, err := lab.TryBuild(g["tools"])
	if err != nil {
		return g, "", err
	}
	return g, "\n" + strings.Join(lab.List(root), "\n") + "\n", nil
}

func TestToolchain(t *testing.T) {
	m := newMirror(t)
	system(m)
	lab := buildtest.New(t, m.get)
	f := lock.New()
	g, list, err := build(t, lab, m, f, `tools = debian_packages(["gcc", "make"])`)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"bin symlink 777 0:0 -> usr/bin", "lib64 symlink 777 0:0 -> usr/lib64", "usr/bin/cc symlink 777 0:0 -> gcc",
		"usr/bin/awk symlink 777 0:0 -> mawk", "usr/lib/x.so file 755 0:0 4", "usr/lib64/ld.so symlink 777 0:0 -> ../lib/x.so",
		"tmp directory 1777 0:0", "etc/passwd file 644 0:0 ", "build directory 755", "usr/share/bash/x file"} {
		if !strings.Contains(list, "\n"+want) {
			t.Errorf("no %q in\n%s", want, list)
		}
	}
	for _, not := range []string{"usr/share/doc", "usr/bin/gawk"} {
		if strings.Contains(list, "\n"+not) {
			t.Errorf("%s is there", not)
		}
	}
	v, _ := g["tools"].(*schema.Artifact).Attr("packages")
	if got, _, _ := v.(*starlark.Dict).Get(starlark.String("gcc")); got != starlark.String("4:14-1") {
		t.Errorf("got gcc %v", got)
	}
	// The lock says it all: another machine, without a mirror, has the same tree.
	text := string(f.Format())
	for _, want := range []string{"\ndeb trixie/amd64/@essential deps=base-files,bash,", "\ndeb trixie/amd64/gcc 4:14-1 sha256:", "_amd64.deb deps=cpp,libc\n"} {
		if !strings.Contains(text, want) {
			t.Errorf("no %q in\n%s", want, text)
		}
	}
	asked := m.requests()
	if _, _, err := build(t, lab, m, f, `tools = debian_packages(["gcc"], docs=True)`); err != nil {
		t.Fatal(err)
	}
	if m.requests() != asked {
		t.Error("the network was asked about what is locked")
	}
}

func TestExcludeAndConflicts(t *testing.T) {
	m := newMirror(t)
	system(m)
	lab := buildtest.New(t, m.get)
	f := lock.New()
	_, list, err := build(t, lab, m, f, `tools = debian_packages(["gcc"], exclude=["cpp", "mawk"])`)
	if err != nil || strings.Contains(list, "usr/bin/cpp") || strings.Contains(list, "usr/bin/awk") {
		t.Errorf("got %v\n%s", err, list)
	}
	for _, c := range []struct{ script, want string }{
		{`tools = debian_packages(["gcc"], exclude=["cp"])`, `package "cp" is not among those needed`},
		{`tools = debian_packages(["make", "evil"])`, "packages evil and make can't be installed together"},
		{`tools = debian_packages(["make", "thief"])`, "packages make and thief both have /usr/bin/make"},
		{`tools = debian_packages(["gc"])`, `unknown package "gc" in trixie/amd64 (did you mean gcc?)`},
		{`tools = debian_packages(["gcc"], arch="mips")`, `suite trixie has no architecture "mips": got that, want one of amd64`},
		{`tools = debian_packages(["gcc"], suite="trixy")`, `suite "trixy" is not on the Debian mirror`},
		{`tools = debian_source("busybx")`, `unknown source package "busybx" in trixie`},
	} {
		_, _, err := build(t, lab, m, f.Clone(), c.script)
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: got %v, want %q", c.script, err, c.want)
		}
	}
	if _, _, err := build(t, lab, m, lock.New(), `tools = debian_packages(["awk"], essential=False)`); err == nil || !strings.Contains(err.Error(), "name one that provides it: mawk, gawk") {
		t.Errorf("a virtual package: got %v", err)
	}
}

func TestArgumentErrors(t *testing.T) {
	lab := buildtest.New(t)
	lab.SetPins(lock.NewPins(lock.New()))
	_, err := lab.TryEval(Builtins(), `debian_packages(["gcc", "../x", "a b"], suite="/etc", arch="")`, nil)
	for _, want := range []string{`"../x"`, `"a b"`, `"/etc"`, `architecture ""`} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %s in it", err, want)
		}
	}
	f := lock.New()
	if err := f.Set("deb", "trixie/amd64/make", "1", "sha256:ab", "5", "../../etc/passwd"); err != nil {
		t.Fatal(err)
	}
	lab.SetPins(lock.NewPins(f))
	_, err = lab.TryEval(Builtins(), `debian_packages(["make"], essential=False)`, nil)
	if err == nil || !strings.Contains(err.Error(), "labstar lock --update make") {
		t.Errorf("got %v", err)
	}
}

// A new release: what is locked stays until it is renewed, and then what
// belongs together is renewed together.
func TestUpdate(t *testing.T) {
	m := newMirror(t)
	system(m)
	lab := buildtest.New(t, m.get)
	f := lock.New()
	const script = `tools = debian_packages(["gcc", "make"], essential=False)`
	if err := lockFor(t, lab, f, m.env(), script); err != nil {
		t.Fatal(err)
	}
	before := string(f.Format())
	m.deb("cpp", "4:15-1", "Source: gcc-defaults", "./usr/bin/cpp", "cpp 15")
	m.deb("gcc", "4:15-1", "Source: gcc-defaults\nDepends: cpp (= 4:15-1), libc (>= 2.42)", "./usr/bin/gcc", "gcc 15")
	m.deb("libc", "2.42", "", "./lib/x.so", "libc")
	m.deb("make", "4.5", "Depends: libc", "./usr/bin/make", "make 4.5")
	m.publish()
	if err := lockFor(t, lab, f, m.env(), script); err != nil || string(f.Format()) != before {
		t.Fatalf("the lock changed by itself: %v", err)
	}
	if n := f.Remove("cpp"); n != 1 {
		t.Fatalf("removed %d entries", n)
	}
	if err := lockFor(t, lab, f, m.env(), script); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{"cpp": "4:15-1", "gcc": "4:15-1", "libc": "2.42", "make": "4.4"} {
		if fields, _ := f.Get("deb", "trixie/amd64/"+name); len(fields) == 0 || fields[0] != want {
			t.Errorf("%s: got %q, want %s", name, fields, want)
		}
	}
	// The same requests on an empty lock give the same, in whatever order.
	a, b := lock.New(), lock.New()
	if err := lockFor(t, lab, a, m.env(), script); err != nil {
		t.Fatal(err)
	}
	if err := lockFor(t, lab, b, m.env(), `debian_packages(["make"], essential=False); debian_packages(["gcc"], essential=False)`); err != nil {
		t.Fatal(err)
	}
	if string(a.Format()) != string(b.Format()) {
		t.Errorf("got\n%s\nand\n%s", a.Format(), b.Format())
	}
}

func TestMirrorDropsPackage(t *testing.T) {
	m := newMirror(t)
	system(m)
	const script = `tools = debian_packages(["make"], essential=False)`
	f := lock.New()
	lab := buildtest.New(t, m.get)
	if err := lockFor(t, lab, f, m.env(), script); err != nil {
		t.Fatal(err)
	}
	path := "pool/make_4.4_amd64.deb"
	content := m.files[path]
	delete(m.files, path)
	_, _, err := build(t, lab, m, f, script)
	for _, want := range []string{"package make is no longer on the mirror", m.url + "/" + path + ": got HTTP status 404", "`labstar lock --update make`", "debian.archive"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %q in it", err, want)
		}
	}
	// An archive that has it is enough.
	old := newMirror(t)
	old.files[path] = content
	lab = buildtest.New(t, func(key string) string {
		if key == "debian.archive" {
			return old.url
		}
		return m.get(key)
	})
	if _, list, err := build(t, lab, m, f, script); err != nil || !strings.Contains(list, "usr/bin/make") {
		t.Errorf("got %v\n%s", err, list)
	}
}

func TestUntrustedMirror(t *testing.T) {
	m, other := newMirror(t), newMirror(t)
	system(m)
	lab := buildtest.New(t, m.get)
	const script = `tools = debian_packages(["make"], essential=False)`
	err := lockFor(t, lab, lock.New(), lock.Env{Config: func(key string) string {
		if key == "debian.keyring" {
			return other.keyring
		}
		return m.get(key)
	}}, script)
	if err == nil || !strings.Contains(err.Error(), "verifying the release's signature") {
		t.Errorf("got %v", err)
	}
	index := m.files["dists/trixie/main/binary-amd64/Packages"]
	index[len(index)/2]++
	if err := lockFor(t, lab, lock.New(), m.env(), script); err == nil || !strings.Contains(err.Error(), "sha256") {
		t.Errorf("a changed index: got %v", err)
	}
	m.publish()
	env := m.env()
	env.Now = func() time.Time { return time.Now().AddDate(-1, 0, 0) }
	if err := lockFor(t, lab, lock.New(), env, script); err == nil {
		t.Error("a release from the future was taken")
	}
}

func TestSource(t *testing.T) {
	m := newMirror(t)
	m.source("hello", "1:2.0-3", map[string][]byte{
		"hello_2.0.orig.tar.bz2":     tarOf(t, "hello-2.0/hello.c", "int x;\n", "hello-2.0/Makefile", "all:\n"),
		"hello_2.0.orig-lib.tar.bz2": tarOf(t, "lib-9/new", "new"),
		"hello_2.0-3.debian.tar.xz": tarOf(t, "debian/rules", "#!/usr/bin/make -f\n", "debian/patches/series", "# none\nfix.patch -p1 # why\n",
			"debian/patches/fix.patch", "Description: fix\n--- a/hello.c\n+++ b/hello.c\n@@ -1 +1 @@\n-int x;\n+int y;\n"),
	})
	m.publish()
	lab := buildtest.New(t, m.get)
	f := lock.New()
	const script = `
tools = debian_source("hello")
patched = debian_source("hello", patches=True)
v = [tools.version, tools.debian_version, tools.name]
`
	g, list, err := build(t, lab, m, f, script)
	if err != nil {
		t.Fatal(err)
	}
	if got := g["v"].String(); got != `["2.0", "1:2.0-3", "hello"]` {
		t.Errorf("got %s", got)
	}
	if !strings.Contains(list, "\nlib/new file") || !strings.Contains(list, "\nMakefile file") || strings.Contains(list, "debian") {
		t.Errorf("got %s", list)
	}
	tr := newTree(lab.Store, lab.Build(g["patched"]))
	if text, err := tr.read(t.Context(), "hello.c"); err != nil || text != "int y;\n" {
		t.Errorf("got %q, %v", text, err)
	}
}

// BenchmarkEvaluate is one evaluation of a toolchain of 122 locked packages.
func BenchmarkEvaluate(b *testing.B) {
	lab := buildtest.New(b)
	f := lock.New()
	for i := range 122 {
		n := fmt.Sprintf("package%d", i)
		if err := f.Set("deb", "trixie/amd64/"+n, "1:2.3-4", "sha256:"+strings.Repeat("0", 61)+fmt.Sprintf("%03d", i), "5",
			"pool/main/p/"+n+"/"+n+"_2.3-4_amd64.deb", fmt.Sprintf("deps=package%d,package%d", (i+1)%122, (i*7)%122)); err != nil {
			b.Fatal(err)
		}
	}
	script := `tools = debian_packages(["package0"], essential=False)`
	for b.Loop() {
		lab.SetPins(lock.NewPins(f))
		lab.Eval(Builtins(), script, nil)
	}
}

// The trees of fixed packages. When this fails because an op was changed on
// purpose, raise that op's Version and take the new digest.
func TestGolden(t *testing.T) {
	m := newMirror(t)
	system(m)
	lab := buildtest.New(t, m.get)
	f := lock.New()
	g, _, err := build(t, lab, m, f, `tools = debian_packages(["gcc", "make"])`)
	if err != nil {
		t.Fatal(err)
	}
	const want = "79a5e2d960e9646b4b1e8fde720ab0326d3cb44cd425565e4f6f41827756b9c2"
	if got := lab.Build(g["tools"]).Hex(); got != want {
		t.Errorf("got tree %s, want %s\n%s", got, want, strings.Join(lab.List(lab.Build(g["tools"])), "\n"))
	}
}

func TestSourceVersion(t *testing.T) {
	m := newMirror(t)
	for _, v := range []string{"2.9", "2.10", "2.10.1", "3.0"} {
		m.source("hello", v+"-1", map[string][]byte{"hello_" + v + ".orig.tar.bz2": tarOf(t, "hello/version", v)})
	}
	delete(m.files, "pool/src/hello_3.0.orig.tar.bz2") // the index is ahead of the mirror
	m.publish()
	for version, want := range map[string]string{"": "2.10.1", "2": "2.10.1", "2.10": "2.10", "2.9": "2.9", "2.9-1": "2.9", "3.0": "3.0", "2.1": ""} {
		lab := buildtest.New(t, m.get)
		env := m.env()
		var note string
		env.Note = func(s string) { note += s }
		f := lock.New()
		script := fmt.Sprintf(`tools = debian_source("hello", version = %q)`, version)
		err := lockFor(t, lab, f, env, script)
		if want == "" {
			if err == nil || !strings.Contains(err.Error(), `the suite has no such version: got "2.1"`) {
				t.Errorf("%q: got %v", version, err)
			}
			continue
		}
		if err != nil {
			t.Fatal(err)
		}
		lab.SetPins(lock.NewPins(f))
		if got := lab.Eval(Builtins(), script+"\nv = tools.version", nil)["v"].String(); got != fmt.Sprintf("%q", want) {
			t.Errorf("%q: got version %s, want %s", version, got, want)
		}
		if told := strings.Contains(note, "hello 3.0-1 is in the suite's index and not on the mirror: taking 2.10.1-1"); told != (version == "") {
			t.Errorf("%q: got the note %q", version, note)
		}
	}
}
