//go:build linux && (amd64 || arm64)

package linux

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/labstar/labstar/internal/sandbox"
)

// TestHelperKilled: the spawner is killed while a command runs; the command
// ends, Run says so, and the next Run works.
func TestHelperKilled(t *testing.T) {
	r := runner(t)
	spec, _ := probe(t, "sleep", token(t))
	pr, pw := io.Pipe()
	spec.Output = pw
	done := make(chan error)
	go func() { _, err := r.Run(t.Context(), spec); done <- err }()
	if _, err := bufio.NewReader(pr).ReadString('\n'); err != nil {
		t.Fatal(err)
	}
	if err := r.spawner.process.Kill(); err != nil {
		t.Fatal(err)
	}
	if err := <-done; err == nil || !strings.Contains(err.Error(), "killed from outside") {
		t.Errorf("got %v, want an error that says that it was killed", err)
	}
	if left := leftovers(token(t)); len(left) > 0 {
		t.Errorf("left %v", left)
	}
	spec, out := probe(t, "hello")
	mustRun(t, r, spec, out)
}

func TestClosed(t *testing.T) {
	r := New()
	spec, out := probe(t, "hello")
	mustRun(t, r, spec, out)
	if err := r.Close(); err != nil {
		t.Fatal(err)
	}
	spec, _ = probe(t, "hello")
	if _, err := r.Run(t.Context(), spec); err == nil || !strings.Contains(err.Error(), "closed") {
		t.Errorf("got %v, want an error that says that it is closed", err)
	}
}

func TestBadSpec(t *testing.T) {
	r := runner(t)
	for want, change := range map[string]func(*sandbox.Spec){
		"no command":         func(s *sandbox.Spec) { s.Argv = nil },
		"a zero byte":        func(s *sandbox.Spec) { s.Env = []string{"A=\x00"} },
		"absolute":           func(s *sandbox.Spec) { s.Root = []string{"relative"} },
		"clean absolute":     func(s *sandbox.Spec) { s.Inputs = []sandbox.Mount{{Source: "/tmp", Target: "/in/../x"}} },
		"a file in the root": func(s *sandbox.Spec) { s.Inputs = []sandbox.Mount{{Source: "/tmp", Target: "/bin/probe/x"}} },
		"the root has a file there": func(s *sandbox.Spec) {
			s.Inputs = []sandbox.Mount{{Source: "/tmp", Target: "/bin/probe"}}
		},
		"no such file":          func(s *sandbox.Spec) { s.Inputs = []sandbox.Mount{{Source: "/nothing", Target: "/in/x"}} },
		"entering the working":  func(s *sandbox.Spec) { s.Dir = "/none" },
		"laying the root: no s": func(s *sandbox.Spec) { s.Root = []string{"/nothing"} },
	} {
		spec, _ := probe(t, "hello")
		change(spec)
		if _, err := r.Run(t.Context(), spec); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want an error with %q", err, want)
		}
	}
}

// TestParallel runs many at once, some with scripts too long for a message.
func TestParallel(t *testing.T) {
	r := runner(t)
	for i := range 24 {
		t.Run(strconv.Itoa(i), func(t *testing.T) {
			t.Parallel()
			args := slices.Repeat([]string{strings.Repeat("x", 20000)}, i)
			spec, out := probe(t, "hello", args...)
			if got := mustRun(t, r, spec, out); got != "hello "+strings.Join(args, " ")+"\n" {
				t.Errorf("got %d bytes, want %d", len(got), i*20001+7)
			}
		})
	}
}

func TestUsage(t *testing.T) {
	spec, out := probe(t, "hello")
	res, err := runner(t).Run(t.Context(), spec)
	if err != nil {
		t.Fatal(err, out)
	}
	if res.MaxRSS < 1<<20 || res.MaxRSS > 1<<30 || res.Elapsed <= 0 || res.User+res.System <= 0 {
		t.Errorf("got %+v, want memory and times of a small program", res)
	}
}

func TestJobs(t *testing.T) {
	fifo := filepath.Join(scratch(t), "jobs")
	if err := syscall.Mkfifo(fifo, 0o600); err != nil {
		t.Fatal(err)
	}
	f, err := os.OpenFile(fifo, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	spec, out := probe(t, "write", sandbox.JobsPath)
	spec.Jobs = fifo
	mustRun(t, runner(t), spec, out)
	b := make([]byte, 100)
	if n, err := f.Read(b); err != nil || string(b[:n]) != sandbox.JobsPath {
		t.Errorf("got %q, %v", b[:n], err)
	}
}

// TestNoLeaks runs many and counts descriptors and children afterwards.
func TestNoLeaks(t *testing.T) {
	r := runner(t)
	count := func() (fds int) {
		list, err := os.ReadDir("/proc/self/fd")
		if err != nil {
			t.Fatal(err)
		}
		return len(list)
	}
	helperFiles := func() int {
		list, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", r.spawner.process.Pid))
		if err != nil {
			t.Fatal(err)
		}
		return len(list)
	}
	spec, out := probe(t, "hello")
	mustRun(t, r, spec, out)
	before, helper := count(), helperFiles()
	for i := range 30 {
		spec, _ := probe(t, "hello")
		if i%3 == 1 {
			spec.Argv[0] = "/nothing"
		}
		ctx, cancel := context.WithCancel(t.Context())
		if i%3 == 2 {
			time.AfterFunc(time.Duration(i*100)*time.Microsecond, cancel)
		}
		_, err := r.Run(ctx, spec)
		if err != nil && !errors.Is(err, context.Canceled) {
			t.Error(err)
		}
		cancel()
	}
	if n := count(); n != before {
		t.Errorf("got %d descriptors, had %d", n, before)
	}
	if n := helperFiles(); n != helper {
		t.Errorf("the helper has %d descriptors, had %d", n, helper)
	}
	time.Sleep(20 * time.Millisecond)
	children, err := os.ReadFile(fmt.Sprintf("/proc/%d/task/%d/children", r.spawner.process.Pid, r.spawner.process.Pid))
	if err == nil && len(children) > 0 {
		t.Errorf("the helper has children: %s", children)
	}
}
