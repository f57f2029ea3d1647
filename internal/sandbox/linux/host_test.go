//go:build linux && (amd64 || arm64)

package linux

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/labstar/labstar/internal/sandbox"
)

func init() {
	// A program that embeds the runner, is run on the host, and goes its own ways
	// of ending: arguments are the root, the scratch folder, a token.
	probes["embedder"] = func(args []string) int {
		r := New()
		spec := &sandbox.Spec{Root: []string{args[0]}, Inputs: libraries(), Scratch: args[1], Output: os.Stdout,
			Argv: []string{"/bin/probe:storm-and-sleep", args[2]}}
		ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
		defer stop()
		_, err := r.Run(ctx, spec)
		fmt.Println("ended:", err)
		r.Close()
		return 130
	}
}

// embedder starts the embedder and returns when its command runs.
func embedder(t *testing.T) (*exec.Cmd, *bufio.Reader, string) {
	t.Helper()
	dir := scratch(t)
	cmd := exec.Command("/proc/self/exe", root(t), dir, token(t))
	cmd.Args[0] = "host:embedder"
	cmd.Env = []string{} // no PATH either
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cmd.Process.Kill() })
	lines := bufio.NewReader(out)
	for line := ""; line != "started\n"; {
		if line, err = lines.ReadString('\n'); err != nil {
			t.Fatal(err)
		}
	}
	if n := len(leftovers(token(t))); n < 100 {
		t.Fatalf("got %d processes, want the storm of 100", n)
	}
	return cmd, lines, dir
}

func gone(t *testing.T, dir string) {
	t.Helper()
	var left []string
	for end := time.Now().Add(2 * time.Second); time.Now().Before(end); time.Sleep(10 * time.Millisecond) {
		left = append(leftovers(token(t)), mountsOf(t, dir)...)
		if len(left) == 0 {
			return
		}
	}
	t.Errorf("after two seconds there are %d left, such as %s", len(left), left[0])
}

// TestParentKilled: kill -9 of the program takes everything below with it.
func TestParentKilled(t *testing.T) {
	cmd, _, dir := embedder(t)
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait()
	gone(t, dir)
}

// TestParentKilledEarly kills it at random moments of its start.
func TestParentKilledEarly(t *testing.T) {
	base := scratch(t)
	for i := range 30 {
		dir := fmt.Sprintf("%s/%d", base, i)
		if err := os.Mkdir(dir, 0o755); err != nil {
			t.Fatal(err)
		}
		cmd := exec.Command("/proc/self/exe", root(t), dir, token(t))
		cmd.Args[0] = "host:embedder"
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Duration(i) * 500 * time.Microsecond)
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	}
	gone(t, base)
}

// TestInterrupt sends Ctrl-C to the whole process group, as a terminal does.
func TestInterrupt(t *testing.T) {
	cmd, lines, dir := embedder(t)
	start := time.Now()
	if err := syscall.Kill(-cmd.Process.Pid, syscall.SIGINT); err != nil {
		t.Fatal(err)
	}
	for {
		line, err := lines.ReadString('\n')
		if err != nil {
			t.Fatal("the program ended without saying so")
		}
		if line == "ended: context canceled\n" {
			break
		}
	}
	if d := time.Since(start); d > time.Second {
		t.Errorf("ending took %v, want at most a second", d)
	}
	gone(t, dir)
	_ = cmd.Wait()
}

// TestUnprivileged runs this package's other tests as a user without rights.
func TestUnprivileged(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("this is an unprivileged user already")
	}
	const id = 54321
	dir := scratch(t)
	if err := os.Chown(dir, id, id); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(filepath.Join(root(t), "bin/probe"), "-test.run=^Test", "-test.skip=^(TestUnprivileged|TestParentKilledEarly)$", "-test.count=1")
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: id, Gid: id, Groups: []uint32{}}}
	cmd.Env, cmd.Dir = []string{"TMPDIR=" + dir}, dir
	out, err := cmd.CombinedOutput()
	if err != nil || !strings.Contains(string(out), "PASS") {
		t.Errorf("as user %d: %v\n%s", id, err, out)
	}
}
