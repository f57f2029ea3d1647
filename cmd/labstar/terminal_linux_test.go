package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// openTerminal makes a pseudo-terminal: what labstar believes to be a screen, and
// the end at which a terminal program would read.
func openTerminal(t *testing.T) (screen, user *os.File) {
	t.Helper()
	fd, err := unix.Open("/dev/ptmx", unix.O_RDWR|unix.O_NOCTTY|unix.O_CLOEXEC|unix.O_NONBLOCK, 0)
	if err != nil {
		t.Skipf("no pseudo-terminals here: %v", err)
	}
	if err := unix.IoctlSetPointerInt(fd, unix.TIOCSPTLCK, 0); err != nil {
		t.Fatal(err)
	}
	n, err := unix.IoctlGetInt(fd, unix.TIOCGPTN)
	if err != nil {
		t.Fatal(err)
	}
	if err := unix.IoctlSetWinsize(fd, unix.TIOCSWINSZ, &unix.Winsize{Row: 24, Col: 60}); err != nil {
		t.Fatal(err)
	}
	user = os.NewFile(uintptr(fd), "ptmx")
	screen, err = os.OpenFile(fmt.Sprintf("/dev/pts/%d", n), os.O_RDWR|syscall.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = screen.Close(); _ = user.Close() })
	return screen, user
}

// On a terminal a run shows what it does, and Ctrl-C leaves the screen clean and
// the cursor visible.
func TestTerminal(t *testing.T) {
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	labstar := filepath.Join(dir, "labstar") // testscript.Main goes by the name
	if err := os.Symlink(exe, labstar); err != nil {
		t.Fatal(err)
	}
	stall := newStall()
	defer stall.server.Close()
	script := fmt.Sprintf("x = fetch(%q, sha256 = %q, name = \"the-file\")\n", stall.server.URL+"/x", strings.Repeat("5", 64))
	if err := os.WriteFile(filepath.Join(dir, "lab.star"), []byte(script), 0o600); err != nil {
		t.Fatal(err)
	}
	screen, user := openTerminal(t)
	cmd := exec.Command(labstar, "run", "--cache", filepath.Join(dir, "cache"))
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "TERM=xterm", "LANG=C.UTF-8", "LC_ALL=", "NO_COLOR=")
	cmd.Stdout, cmd.Stderr = screen, screen
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	var shown strings.Builder
	sent := false
	b := make([]byte, 4096)
	deadline := time.Now().Add(15 * time.Second)
	for !strings.Contains(shown.String(), "interrupted") {
		if err := user.SetReadDeadline(deadline); err != nil {
			t.Fatal(err)
		}
		n, err := user.Read(b)
		if err != nil {
			t.Fatalf("%v; the screen got %q", err, shown.String())
		}
		shown.Write(b[:n])
		if !sent && strings.Contains(shown.String(), "0 of 1, 1 running") {
			sent = true
			if err := cmd.Process.Signal(os.Interrupt); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := cmd.Wait(); cmd.ProcessState.ExitCode() != 130 {
		t.Errorf("got %v, want exit code 130", err)
	}
	out := shown.String()
	if !strings.Contains(out, "fetch the-file") || !strings.Contains(out, "1.00 kB of 1.00 MB") {
		t.Errorf("the transfer is not shown: %q", out)
	}
	hide, show := strings.LastIndex(out, "\x1b[?25l"), strings.LastIndex(out, "\x1b[?25h")
	if hide < 0 || show < hide {
		t.Errorf("the cursor was hidden at %d and shown at %d of %q", hide, show, out)
	}
	if end := out[show:]; strings.Contains(end, "running") {
		t.Errorf("progress after the end: %q", end)
	}
}
