package toolchain

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.starlark.net/starlark"

	"github.com/labstar/labstar/internal/buildtest"
	"github.com/labstar/labstar/internal/config"
	"github.com/labstar/labstar/internal/debian"
	"github.com/labstar/labstar/internal/lock"
	"github.com/labstar/labstar/starlark/schema"
)

// realConfig returns this machine's settings, or skips if no mirror answers.
func realConfig(t testing.TB) func(string) string {
	t.Helper()
	if testing.Short() {
		t.Skip("-short: not asking a mirror")
	}
	home, _ := os.UserHomeDir()
	c, err := config.Load(os.Getenv, home)
	if err != nil {
		t.Fatal(err)
	}
	a, err := openArchive(lock.Env{Config: c.Get})
	if err != nil {
		t.Fatal(err)
	}
	if len(strings.Fields(c.Get("debian.mirror"))) == 0 {
		t.Skip("no Debian mirror is configured on this machine")
	}
	if _, err := a.Release(t.Context(), "trixie"); err != nil {
		t.Skipf("no Debian mirror can be reached: %v", err)
	}
	return c.Get
}

func cacheDir(t testing.TB) string {
	dir, err := os.UserCacheDir()
	if err != nil {
		return t.TempDir()
	}
	return filepath.Join(dir, "labstar-test")
}

// lockFor evaluates script and resolves what it wants into f.
func lockFor(t testing.TB, lab *buildtest.Lab, f *lock.File, env lock.Env, script string) error {
	t.Helper()
	pins := lock.NewPins(f)
	lab.SetPins(pins)
	if _, err := lab.TryEval(Builtins(), script, nil); err != nil {
		return err
	}
	for kind, r := range Resolvers() {
		var wants []lock.Request
		for _, w := range pins.Wants() {
			if w.Kind == kind {
				wants = append(wants, w)
			}
		}
		if len(wants) == 0 {
			continue
		}
		if err := r.Resolve(t.Context(), env, wants, f, nil); err != nil {
			return err
		}
	}
	return nil
}

func TestRealToolchain(t *testing.T) {
	get := realConfig(t)
	lab := buildtest.New(t, get)
	names := "['make', 'mawk']"
	if os.Getenv("LABSTAR_TEST_FULL") != "" {
		names = "'gcc make flex bison bc perl python3 libelf-dev libc6-dev e2fsprogs mtools syslinux libarchive13t64'.split()"
	}
	script := `
tools = debian_packages(` + names + `)
src = debian_source("busybox")
patched = debian_source("busybox", patches=True)
`
	f := lock.New()
	start := time.Now()
	if err := lockFor(t, lab, f, lock.Env{Config: get, Dir: cacheDir(t)}, script); err != nil {
		t.Fatal(err)
	}
	t.Logf("locked %d entries in %v", len(f.Entries()), time.Since(start).Round(time.Millisecond))
	pins := lock.NewPins(f)
	lab.SetPins(pins)
	g := lab.Eval(Builtins(), script, nil)
	if w := pins.Wants(); len(w) > 0 {
		t.Fatalf("still wanted: %v", w)
	}
	before := len(f.Entries())
	f.Keep(pins.Used)
	if len(f.Entries()) != before {
		t.Errorf("%d entries of %d are used", len(f.Entries()), before)
	}
	start = time.Now()
	root := lab.Build(g["tools"])
	t.Logf("toolchain built in %v", time.Since(start).Round(time.Millisecond))
	list := lab.List(root)
	text := "\n" + strings.Join(list, "\n") + "\n"
	t.Logf("%d paths", len(list))
	for _, want := range []string{"bin symlink 777 0:0 -> usr/bin", "usr/bin/awk symlink 777 0:0 -> mawk", "tmp directory 1777 0:0",
		"lib64 symlink 777 0:0 -> usr/lib64", "usr/bin/bash file 755 0:0 ", "usr/bin/sh symlink 777 0:0 -> dash",
		"etc/ld.so.cache file 644 0:0 ", "usr/lib/x86_64-linux-gnu/libc.so.6 file 755 0:0 ", "etc/passwd file 644 0:0 "} {
		if !strings.Contains(text, "\n"+want) {
			t.Errorf("the toolchain has no %q", want)
		}
	}
	if strings.Contains(text, "usr/share/doc/") {
		t.Error("documentation was kept")
	}
	// ld.so.cache
	tr := newTree(lab.Store, root)
	cache, err := tr.read(t.Context(), "etc/ld.so.cache")
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(cache, "/lib/x86_64-linux-gnu/libc.so.6\x00") {
		t.Error("libc is not in ld.so.cache")
	}
	src := g["src"].(*schema.Artifact)
	if v, _ := src.Attr("version"); v.(starlark.String) < "1.3" {
		t.Errorf("got version %v", v)
	}
	start = time.Now()
	plain := lab.Build(src)
	patched := lab.Build(g["patched"])
	t.Logf("two sources in %v", time.Since(start).Round(time.Millisecond))
	text = strings.Join(lab.List(plain), "\n")
	if !strings.Contains(text, "\nMakefile file") || strings.Contains(text, "\ndebian ") || patched == plain {
		t.Error("the source of busybox is not as released")
	}
	if !strings.Contains(strings.Join(lab.List(patched), "\n"), "\ndebian/rules ") {
		t.Error("the patched source lacks debian/")
	}
}

// The keys built in are those of the distribution's own package.
func TestRealKeys(t *testing.T) {
	get := realConfig(t)
	lab := buildtest.New(t, get)
	const script = `k = debian_packages(["debian-archive-keyring"], essential=False)`
	f := lock.New()
	if err := lockFor(t, lab, f, lock.Env{Config: get, Dir: cacheDir(t)}, script); err != nil {
		t.Fatal(err)
	}
	lab.SetPins(lock.NewPins(f))
	root := lab.Build(lab.Eval(Builtins(), script, nil)["k"])
	tr := newTree(lab.Store, root)
	theirs := map[string]bool{}
	dir, err := tr.dir(t.Context(), "usr/share/keyrings")
	if err != nil {
		t.Fatal(err)
	}
	for _, n := range dir.Nodes {
		b, err := tr.read(t.Context(), "usr/share/keyrings/"+n.Name)
		if err != nil {
			continue // a link to nowhere
		}
		list, err := debian.ReadKeys(strings.NewReader(b))
		if err != nil {
			t.Logf("%s: %v", n.Name, err)
			continue
		}
		for _, k := range list {
			theirs[string(k.PrimaryKey.Fingerprint)] = true
		}
	}
	keys, err := debian.Keys()
	if err != nil {
		t.Fatal(err)
	}
	for _, k := range keys {
		if !theirs[string(k.PrimaryKey.Fingerprint)] {
			t.Errorf("built-in key %X is not among the %d of debian-archive-keyring", k.PrimaryKey.Fingerprint, len(theirs))
		}
	}
	t.Logf("%d keys built in, %d in the package", len(keys), len(theirs))
}
