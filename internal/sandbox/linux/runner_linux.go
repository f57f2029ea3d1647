//go:build amd64 || arm64

package linux

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
	"unsafe"

	"github.com/labstar/labstar/internal/sandbox"
	"github.com/labstar/labstar/internal/sandbox/linux/spawn"
	"golang.org/x/sys/unix"
)

// Runner is a sandbox.Runner. Its helper process starts at the first Run.
type Runner struct {
	mu      sync.Mutex
	spawner *spawner
	closed  bool
}

// New returns a Runner. It does nothing yet and so never fails: what this
// machine lacks is an error of Run, and of Check.
func New() *Runner { return &Runner{} }

// Close ends the helper process and all commands that still run.
func (r *Runner) Close() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.closed = true
	if r.spawner != nil {
		r.spawner.close()
		r.spawner = nil
	}
	return nil
}

// fork asks the spawner for a child; a spawner that was killed is started anew.
func (r *Runner) fork(script []byte, files []int) (int, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for try := 0; ; try++ {
		if r.closed {
			return -1, errors.New("running a command: the sandbox is closed")
		}
		if r.spawner == nil {
			s, err := startSpawner()
			if err != nil {
				return -1, err
			}
			r.spawner = s
		}
		fd, err := r.spawner.fork(script, files)
		if !errors.Is(err, errGone) {
			return fd, err
		}
		r.spawner.close()
		r.spawner = nil
		if try == 1 {
			return -1, fmt.Errorf("%w twice; is something killing it? (out of memory, see dmesg)", err)
		}
	}
}

// Run implements sandbox.Runner.
func (r *Runner) Run(ctx context.Context, spec *sandbox.Spec) (*sandbox.Result, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	plan, err := newPlan(spec)
	if err != nil {
		return nil, err
	}
	run := &run{plan: plan, start: time.Now()}
	if err := run.open(); err != nil {
		return nil, err
	}
	defer run.close()
	script := plan.encode(plan.files)
	run.pidfd, err = r.fork(script, run.files)
	run.closeTheirs()
	var errno syscall.Errno
	if errors.As(err, &errno) && !errors.Is(err, errGone) {
		return nil, explain("making the user and pid namespaces", errno)
	}
	if err != nil {
		return nil, err
	}
	return run.wait(ctx)
}

// run is one command that runs.
type run struct {
	plan   *plan
	start  time.Time
	pidfd  int
	status *os.File // this end of the report's pipe
	output *os.File // this end of the output's, nil with a terminal
	theirs []*os.File
	files  []int // what the child gets
}

// open makes the pipes.
func (r *run) open() (err error) {
	r.pidfd = -1
	var w *os.File
	if r.status, w, err = os.Pipe(); err != nil {
		return fmt.Errorf("making a pipe: %w", err)
	}
	r.theirs = append(r.theirs, w)
	if r.plan.spec.Terminal {
		r.files = []int{int(w.Fd()), 0, 1, 2}
		return nil
	}
	var out *os.File
	if r.output, out, err = os.Pipe(); err != nil {
		r.close()
		return fmt.Errorf("making a pipe: %w", err)
	}
	r.theirs = append(r.theirs, out)
	r.files = []int{int(w.Fd()), int(out.Fd())}
	return nil
}

func (r *run) closeTheirs() {
	for _, f := range r.theirs {
		_ = f.Close()
	}
	r.theirs = nil
}

func (r *run) close() {
	r.closeTheirs()
	_ = r.status.Close()
	if r.output != nil {
		_ = r.output.Close()
	}
	if r.pidfd >= 0 {
		_ = unix.Close(r.pidfd)
	}
}

// kill ends process 1 and with it, by the kernel, all others of the namespace.
func (r *run) kill() { _ = unix.PidfdSendSignal(r.pidfd, unix.SIGKILL, nil, 0) }

// wait waits for the command's end.
func (r *run) wait(ctx context.Context) (*sandbox.Result, error) {
	spec := r.plan.spec
	if spec.Terminal {
		defer takeTerminal()()
	}
	var killing sync.WaitGroup
	killing.Add(1)
	stop := context.AfterFunc(ctx, func() { defer killing.Done(); r.kill() })
	var timedOut atomic.Bool
	if spec.Timeout > 0 {
		t := time.AfterFunc(spec.Timeout, func() { timedOut.Store(true); r.kill() })
		defer t.Stop()
	}
	copied := make(chan error, 1)
	go func() { copied <- r.copyOutput(spec.Output) }()

	var status spawn.Status
	_, err := io.ReadFull(r.status, asBytes(&status))
	if !stop() {
		killing.Wait()
	}
	if err != nil || status.Kind != spawn.StatusEnded {
		// Killed, or the sandbox could not be made: gone before this returns.
		if e := r.reap(); e != nil {
			return nil, e
		}
	}
	copyErr := <-copied
	res := &sandbox.Result{
		Upper: r.plan.upper, Lower: spec.Build, Elapsed: time.Since(r.start), TimedOut: timedOut.Load(),
		User: time.Duration(status.User) * time.Microsecond, System: time.Duration(status.System) * time.Microsecond,
		MaxRSS: status.MaxRSS << 10,
	}
	switch {
	case err != nil && ctx.Err() != nil:
		return nil, ctx.Err()
	case err != nil && res.TimedOut:
		setEnd(res, syscall.WaitStatus(syscall.SIGKILL))
	case err != nil:
		return nil, errors.New("running a command: its process 1 was killed from outside; was the machine out of memory? (see dmesg)")
	case status.Kind == spawn.StatusFailed:
		if err := r.failed(res, int(status.Op), syscall.Errno(status.Errno)); err != nil {
			return nil, err
		}
	default:
		res.TimedOut = false
		setEnd(res, syscall.WaitStatus(status.Wait))
	}
	if copyErr != nil {
		return nil, fmt.Errorf("keeping the command's output: %w", copyErr)
	}
	return res, nil
}

// setEnd fills in how the command ended.
func setEnd(res *sandbox.Result, w syscall.WaitStatus) {
	if w.Signaled() {
		res.Signal = unix.SignalName(w.Signal())
		res.ExitCode = 128 + int(w.Signal())
		return
	}
	res.ExitCode = w.ExitStatus()
}

// reap waits until the process is gone, and with it its whole namespace.
func (r *run) reap() error {
	deadline := time.Now().Add(20 * time.Second)
	for time.Now().Before(deadline) {
		fds := []unix.PollFd{{Fd: int32(r.pidfd), Events: unix.POLLIN}}
		n, err := unix.Poll(fds, 1000)
		if n == 1 || (err != nil && err != unix.EINTR) {
			return nil
		}
		r.kill()
	}
	return errors.New("ending a command: it does not die, most likely it waits for a disk that doesn't answer (state D in ps)")
}

// copyOutput passes on what the command prints until all its processes are
// gone. If w fails the rest is dropped, so that the command can go on.
func (r *run) copyOutput(w io.Writer) error {
	if r.output == nil {
		return nil
	}
	if w == nil {
		w = io.Discard
	}
	buf := make([]byte, 32<<10)
	var failed error
	for {
		n, err := r.output.Read(buf)
		if n > 0 && failed == nil {
			_, failed = w.Write(buf[:n])
		}
		if err != nil {
			return failed
		}
	}
}

// failed turns a failed step into an error, or, if it was the command's own
// fault, into its end as a shell would tell it.
func (r *run) failed(res *sandbox.Result, op int, errno syscall.Errno) error {
	if op < 0 || op >= len(r.plan.steps) {
		return fmt.Errorf("making the sandbox: got a report of step %d, want below %d", op, len(r.plan.steps))
	}
	step := r.plan.steps[op]
	code, text := r.plan.commandError(step, errno)
	if code == 0 {
		return explain(step, errno)
	}
	res.ExitCode = code
	if r.plan.spec.Terminal {
		fmt.Fprintln(os.Stderr, text)
	} else if r.plan.spec.Output != nil {
		if _, err := fmt.Fprintln(r.plan.spec.Output, text); err != nil {
			return fmt.Errorf("keeping the command's output: %w", err)
		}
	}
	return nil
}

// takeTerminal gives the terminal back to labstar's process group when the
// returned function is called, and keeps labstar from being stopped meanwhile.
func takeTerminal() func() {
	signal.Ignore(syscall.SIGTTOU, syscall.SIGTTIN)
	return func() {
		group := int32(unix.Getpgrp())
		_, _, _ = syscall.Syscall(syscall.SYS_IOCTL, 0, unix.TIOCSPGRP, uintptr(unsafe.Pointer(&group)))
		signal.Reset(syscall.SIGTTOU, syscall.SIGTTIN)
	}
}
