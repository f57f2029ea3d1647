package examples

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// mounted mounts a file system for the time of the test.
func mounted(t *testing.T, source, dir, kind string, flags uintptr, data string) {
	t.Helper()
	if os.Getuid() != 0 {
		t.Skip("needs root to mount")
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Mount(source, dir, kind, flags, data); err != nil {
		t.Fatalf("mounting %s: %v", dir, err)
	}
	t.Cleanup(func() { _ = syscall.Unmount(dir, syscall.MNT_DETACH) })
}

// fails runs labstar and returns what it said; success is an error of the test.
func (l *lab) fails(args ...string) string {
	l.t.Helper()
	cmd := l.command(args...)
	out, err := cmd.CombinedOutput()
	if err == nil {
		l.t.Fatalf("labstar %v succeeded:\n%s", args, out)
	}
	if code := cmd.ProcessState.ExitCode(); code != 1 {
		l.t.Errorf("labstar %v: exit code %d, want 1\n%s", args, code, out)
	}
	return string(out)
}

// A store that fills up: a clear error, nothing half-made, and it goes on when
// there is room.
func TestFullDisk(t *testing.T) {
	endToEnd(t)
	l := newLab(t, "tiny", filepath.Join(t.TempDir(), "store"))
	mounted(t, "tmpfs", l.store, "tmpfs", 0, "size=40m")
	out := l.fails("run", "lab.star", "toolchain")
	if !strings.Contains(out, "no space left") || !strings.Contains(out, l.store) {
		t.Errorf("the error does not say which disk is full:\n%s", out)
	}
	l.output("cache", "verify")
	if left, err := filepath.Glob(filepath.Join(l.store, "tmp", "*")); err != nil || len(left) > 0 {
		t.Errorf("scratch is left: %v %v", left, err)
	}
	if err := syscall.Mount("tmpfs", l.store, "tmpfs", syscall.MS_REMOUNT, "size=2g"); err != nil {
		t.Fatal(err)
	}
	l.run("lab.star", "toolchain")
	l.output("cache", "verify")
}

// A store that can't be written: what is in it is used, the rest is a clear error.
func TestReadOnlyStore(t *testing.T) {
	endToEnd(t)
	l := newLab(t, "tiny", filepath.Join(t.TempDir(), "store"))
	l.writeScript("ro.star", `a = text("a")`)
	first := l.run("ro.star")
	dir := l.store
	mounted(t, dir, dir, "", syscall.MS_BIND, "")
	if err := syscall.Mount("", dir, "", syscall.MS_BIND|syscall.MS_REMOUNT|syscall.MS_RDONLY, ""); err != nil {
		t.Fatal(err)
	}
	if s := l.run("ro.star"); s.Ran != 0 || s.digests()["a"] != first.digests()["a"] {
		t.Errorf("got %s", s.raw)
	}
	l.writeScript("ro.star", `a = text("b")`)
	if out := l.fails("run", "ro.star"); !strings.Contains(out, "read-only") {
		t.Errorf("the error does not say that the store is read-only:\n%s", out)
	}
}

func TestNewerStore(t *testing.T) {
	endToEnd(t)
	l := newLab(t, "tiny", filepath.Join(t.TempDir(), "store"))
	l.writeScript("new.star", `a = text("a")`)
	l.run("new.star")
	if err := os.WriteFile(filepath.Join(l.store, "version"), []byte("labstar store 999\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	out := l.fails("run", "new.star")
	if !strings.Contains(out, "999") || !strings.Contains(out, "newer") {
		t.Errorf("the error does not tell the versions:\n%s", out)
	}
}
