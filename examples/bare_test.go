package examples

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
)

// A bare machine is a root with the labstar binary, the lab, the store, /proc and
// /dev, and what finds the mirror: no /usr, no /bin, no shell. The test binary
// makes it by running itself again: in a mount namespace of its own it pivots into
// that root, becomes an unprivileged user and then labstar.
const bareVar = "LABSTAR_TEST_BARE"

func TestMain(m *testing.M) {
	if dir := os.Getenv(bareVar); dir != "" {
		fmt.Fprintln(os.Stderr, "entering a bare machine:", enterBare(dir))
		os.Exit(125)
	}
	code := m.Run()
	if plane != nil {
		plane.stop()
	}
	os.Exit(code)
}

const bareUser = 23456

// enterBare does not return if all goes well.
func enterBare(dir string) error {
	mount := func(source, target, kind string, flags uintptr) error {
		if err := syscall.Mount(source, target, kind, flags, ""); err != nil {
			return fmt.Errorf("mounting %s: %w", target, err)
		}
		return nil
	}
	steps := []func() error{
		func() error { return mount("", "/", "", syscall.MS_REC|syscall.MS_PRIVATE) },
		func() error { return mount(dir, dir, "", syscall.MS_BIND) },
		func() error { return mount("/proc", dir+"/proc", "", syscall.MS_BIND|syscall.MS_REC) },
		func() error { return mount("/dev", dir+"/dev", "", syscall.MS_BIND|syscall.MS_REC) },
		func() error { return syscall.PivotRoot(dir, dir+"/old") },
		func() error { return os.Chdir("/lab") },
		func() error { return syscall.Unmount("/old", syscall.MNT_DETACH) },
		func() error { return syscall.Sethostname([]byte("bare")) },
		func() error { syscall.Umask(0o077); return nil },
		func() error { return syscall.Setgroups(nil) },
		func() error { return syscall.Setgid(bareUser) },
		func() error { return syscall.Setuid(bareUser) },
	}
	for _, step := range steps {
		if err := step(); err != nil {
			return err
		}
	}
	os.Unsetenv(bareVar)
	return syscall.Exec("/labstar", append([]string{"labstar"}, os.Args[1:]...), os.Environ())
}

// bare prepares `labstar args…` on a bare machine around the lab.
func (l *lab) bare(args ...string) *exec.Cmd {
	l.t.Helper()
	bin, err := program()
	if err != nil {
		l.t.Fatal(err)
	}
	root := filepath.Join(l.t.TempDir(), "root")
	for _, dir := range []string{"proc", "dev", "old", "etc", "tmp", "home"} {
		if err := os.MkdirAll(filepath.Join(root, dir), 0o755); err != nil {
			l.t.Fatal(err)
		}
	}
	if err := os.CopyFS(filepath.Join(root, "lab"), os.DirFS(l.dir)); err != nil {
		l.t.Fatal(err)
	}
	for from, to := range map[string]string{bin: "labstar", "/etc/resolv.conf": "etc/resolv.conf", "/etc/hosts": "etc/hosts"} {
		b, err := os.ReadFile(from)
		if err != nil {
			l.t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(root, to), b, 0o755); err != nil {
			l.t.Fatal(err)
		}
	}
	for _, dir := range []string{"lab", "home", "tmp"} {
		err := filepath.Walk(filepath.Join(root, dir), func(p string, _ os.FileInfo, err error) error {
			if err != nil {
				return err
			}
			return os.Lchown(p, bareUser, bareUser)
		})
		if err != nil {
			l.t.Fatal(err)
		}
	}
	for p := root; len(p) > len(os.TempDir()); p = filepath.Dir(p) {
		if err := os.Chmod(p, 0o755); err != nil {
			l.t.Fatal(err)
		}
	}
	cmd := exec.Command("/proc/self/exe", args...)
	cmd.Env = append([]string{bareVar + "=" + root, "LABSTAR_CACHE=/home/store"}, l.env...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNS | syscall.CLONE_NEWUTS}
	return cmd
}
