package examples

import (
	"bytes"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
)

// sleepLab has one command that takes longer than any test; the number marks its
// process.
const sleepLab = `
tools = debian_packages([])
long = run("echo started; sleep 86399 & sleep 86399", toolchain = tools, outputs = "out", name = "long")
`

// writeScript puts a script into the lab's folder.
func (l *lab) writeScript(name, content string) {
	l.t.Helper()
	if err := os.WriteFile(filepath.Join(l.dir, name), []byte(content), 0o644); err != nil {
		l.t.Fatal(err)
	}
}

// processes counts the processes whose command line has text in it.
func processes(t *testing.T, text string) int {
	t.Helper()
	n := 0
	dirs, err := filepath.Glob("/proc/[0-9]*/cmdline")
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range dirs {
		if b, err := os.ReadFile(p); err == nil && bytes.Contains(bytes.ReplaceAll(b, []byte{0}, []byte(" ")), []byte(text)) {
			n++
		}
	}
	return n
}

// waitFor waits until there are n of the marked processes.
func waitFor(t *testing.T, text string, n int, limit time.Duration) bool {
	t.Helper()
	for end := time.Now().Add(limit); time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
		if got := processes(t, text); got == n || n > 0 && got >= n {
			return true
		}
	}
	return false
}

// scratch lists the folders of runs in the store but those of others.
func (l *lab) scratch(others []string) []string {
	l.t.Helper()
	list, err := filepath.Glob(filepath.Join(l.store, "tmp", "*"))
	if err != nil {
		l.t.Fatal(err)
	}
	return slices.DeleteFunc(list, func(p string) bool { return slices.Contains(others, p) })
}

// An interrupted or killed run leaves no process, no mount and no scratch.
func TestInterrupt(t *testing.T) {
	endToEnd(t)
	const mark = "sleep 86399"
	l := newLab(t, "tiny", sharedStore(t))
	l.writeScript("sleep.star", sleepLab)
	l.run("sleep.star", "tools")
	others := l.scratch(nil)
	for _, sig := range []syscall.Signal{syscall.SIGINT, syscall.SIGTERM, syscall.SIGKILL} {
		cmd := l.command("run", "sleep.star")
		var out bytes.Buffer
		cmd.Stdout, cmd.Stderr = &out, &out
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		if !waitFor(t, mark, 2, 30*time.Second) {
			_ = cmd.Process.Kill()
			t.Fatalf("the command did not start:\n%s", out.String())
		}
		start := time.Now()
		if err := cmd.Process.Signal(sig); err != nil {
			t.Fatal(err)
		}
		err := cmd.Wait()
		took := time.Since(start)
		var exit *exec.ExitError
		if !errors.As(err, &exit) {
			t.Fatalf("%v: got %v, want a failure", sig, err)
		}
		if sig != syscall.SIGKILL && exit.ExitCode() != 130 {
			t.Errorf("%v: exit code %d, want 130\n%s", sig, exit.ExitCode(), out.String())
		}
		if !waitFor(t, mark, 0, 5*time.Second) {
			t.Errorf("%v: %d processes are left", sig, processes(t, mark))
		}
		t.Logf("%v: ended after %v", sig, took)
		if mounts, err := os.ReadFile("/proc/self/mounts"); err != nil || strings.Contains(string(mounts), l.store) {
			t.Errorf("%v: mounts are left (%v)", sig, err)
		}
		left := l.scratch(others)
		if sig != syscall.SIGKILL && len(left) > 0 {
			t.Errorf("%v: scratch is left: %v", sig, left)
		}
	}
	// What a killed run left goes when the next one opens the store.
	l.run("sleep.star", "tools")
	if left := l.scratch(others); len(left) > 0 {
		t.Errorf("scratch of a killed run is left: %v", left)
	}
	l.output("cache", "verify")
}

// With everything in the store no network is needed; without it, the error names
// the address and what to do.
func TestNoNetwork(t *testing.T) {
	endToEnd(t)
	l := newLab(t, "tiny", sharedStore(t))
	l.run("lab.star")
	l.env = append(l.env, "LABSTAR_DEBIAN_MIRROR=http://127.0.0.1:1/debian")
	if s := l.run("lab.star"); s.Ran != 0 {
		t.Errorf("ran %d actions: %s", s.Ran, s.raw)
	}
	l.store = filepath.Join(t.TempDir(), "cold")
	s, err := l.tryRun("lab.star")
	if err == nil {
		t.Fatal("a cold build without a network succeeded")
	}
	if all := s.stdout + s.standardError; !strings.Contains(all, "127.0.0.1:1/debian") || !strings.Contains(all, "refused") {
		t.Errorf("the error names neither address nor cause:\n%s", all)
	}
}
