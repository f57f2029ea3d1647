//go:build linux

package disk

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/labstar/labstar/action"
	"golang.org/x/sys/unix"
)

// inNamespace runs a helper in a user and mount namespace of its own, where it
// may mount: no root is needed. It skips where namespaces are refused.
func inNamespace(t *testing.T, name string, args ...string) string {
	t.Helper()
	cmd := helper(name, args...)
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags:  syscall.CLONE_NEWUSER | syscall.CLONE_NEWNS,
		UidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getuid(), Size: 1}},
		GidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getgid(), Size: 1}},
	}
	out, err := cmd.CombinedOutput()
	if err != nil && cmd.ProcessState == nil {
		t.Skipf("user namespaces are refused here: %v", err)
	}
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	return string(out)
}

// helperFull fills a store on a disk of 2 MB, and goes on when there is room again.
func helperFull(args []string) {
	dir := args[0]
	fatal(unix.Mount("tmpfs", dir, "tmpfs", 0, "size=2m"))
	s, err := Open(filepath.Join(dir, "store"), Options{})
	fatal(err)
	done := 0
	for {
		if err = writeOne(s, done); err != nil {
			break
		}
		if done++; done > 1000 {
			fatal(fmt.Errorf("the disk is never full"))
		}
	}
	fmt.Println("error:", err)
	for _, n := range []int{100, 90_000, 3_000_000} {
		w, err := s.CreateBlob(ctx)
		if err == nil {
			_, err = w.Write(fillSeed(n, n))
			if err == nil {
				_, err = w.Commit()
			}
			w.Abort()
		}
		if n == 3_000_000 {
			fmt.Println("blob error:", err)
		}
	}
	_, err = takeIn(s, fillSeed(7, 2_500_000), fillSeed(8, 2_500_000))
	fmt.Println("intake error:", err)
	tw, err := s.CreateTree(ctx)
	if err == nil {
		for i := 0; err == nil; i++ {
			_, err = tw.File(fmt.Sprint("f", i), action.Attr{}, bytes.NewReader(fillSeed(i, 20_000)))
		}
		tw.Abort()
	}
	fmt.Println("tree error:", err)
	check := func(when string, s *Store) {
		v, err := s.Verify(ctx, false, nil)
		fatal(err)
		fmt.Println(when, "problems:", len(v.Problems), v.Problems)
		for i := range done {
			if _, err := s.Result(ctx, keyOf(i)); err != nil {
				fmt.Println(when, "lost", i)
			}
		}
	}
	check("full", s)
	fatal(s.Close())
	s, err = Open(filepath.Join(dir, "store"), Options{})
	fatal(err)
	check("reopened", s)
	rep, err := s.GC(ctx, Policy{})
	fatal(err)
	fmt.Println("gc kept", rep.Kept)
	done = 0
	check("collected", s)
	fatal(writeOne(s, 1))
	done = 2
	fatal(writeOne(s, 0))
	check("going on", s)
	fatal(s.Close())
}

func TestFullDisk(t *testing.T) {
	out := inNamespace(t, "full", t.TempDir())
	for _, want := range []string{"tree error: writing a tree to the store", "blob error: writing to the store", "intake error: writing to the store",
		"no space left on its disk", "labstar cache gc", "full problems: 0", "reopened problems: 0", "gc kept 0", "collected problems: 0", "going on problems: 0"} {
		if !strings.Contains(out, want) {
			t.Errorf("no %q in what it printed", want)
		}
	}
	if strings.Contains(out, "lost") || t.Failed() {
		t.Errorf("it printed:\n%s", out)
	}
}

// helperReadOnly uses a store on a disk that is mounted read-only.
func helperReadOnly(args []string) {
	dir := args[0]
	fatal(unix.Mount(dir, dir, "", unix.MS_BIND, ""))
	if err := unix.Mount("", dir, "", unix.MS_BIND|unix.MS_REMOUNT|unix.MS_RDONLY, ""); err != nil {
		var st unix.Statfs_t // flags that the mount has may not be cleared in a user namespace
		fatal(unix.Statfs(dir, &st))
		fatal(unix.Mount("", dir, "", unix.MS_BIND|unix.MS_REMOUNT|unix.MS_RDONLY|uintptr(st.Flags)&(unix.MS_NOSUID|unix.MS_NODEV|unix.MS_NOEXEC|unix.MS_NOATIME|unix.MS_RELATIME), ""))
	}
	s, err := Open(dir, Options{})
	fatal(err)
	if !s.ReadOnly() {
		fatal(fmt.Errorf("the store is not read-only"))
	}
	r, err := s.Result(ctx, keyOf(1))
	fatal(err)
	_, err = s.TreePath(ctx, r.Outputs[2].Digest)
	fatal(err)
	_, err = s.PutBlob(ctx, []byte("new"))
	fmt.Println("error:", err)
	_, err = Open(filepath.Join(dir, "notes"), Options{})
	fmt.Println("making one:", err)
	fatal(s.Close())
}

func TestReadOnlyDisk(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir)
	publish(t, s, 1)
	check(t, s.Close())
	out := inNamespace(t, "readonly", dir)
	for _, want := range []string{"error: writing to the store", "the store is read-only", "making one:", "read-only file system"} {
		if !strings.Contains(out, want) {
			t.Errorf("no %q in what it printed:\n%s", want, out)
		}
	}
}
