//go:build linux && (amd64 || arm64)

package linux

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"unsafe"

	"github.com/labstar/labstar/internal/sandbox"
	"golang.org/x/sys/unix"
)

func init() {
	// The command: a foreground job that talks with the user, then is interrupted.
	probes["shell"] = func([]string) int {
		group, err := unix.IoctlGetInt(0, unix.TIOCGPGRP)
		b := byte('x')
		_, _, typed := syscall.Syscall(syscall.SYS_IOCTL, 0, unix.TIOCSTI, uintptr(unsafe.Pointer(&b)))
		fmt.Printf("foreground %v, typing %v\n", err == nil && group == unix.Getpgrp(), errors.Is(typed, syscall.EPERM))
		line, err := bufio.NewReader(os.Stdin).ReadString('\n')
		fmt.Printf("got %q %v\n", line, err)
		for {
			_ = unix.Pause()
		}
	}
	// The program, which has the terminal as its own.
	probes["debugger"] = func(args []string) int {
		r := New()
		defer r.Close()
		spec := &sandbox.Spec{Root: []string{args[0]}, Inputs: libraries(), Scratch: args[1], Terminal: true, Argv: []string{"/bin/probe:shell"}}
		res, err := r.Run(context.Background(), spec)
		if err != nil {
			fmt.Println(err)
			return 1
		}
		group, err := unix.IoctlGetInt(0, unix.TIOCGPGRP)
		fmt.Printf("ended %s, terminal back %v\n", res.Signal, err == nil && group == unix.Getpgrp())
		return 0
	}
}

// openTerminal makes a pseudo terminal.
func openTerminal(t *testing.T) (master, slave *os.File) {
	t.Helper()
	master, err := os.OpenFile("/dev/ptmx", os.O_RDWR|syscall.O_NOCTTY, 0)
	if err != nil {
		t.Skip("no pseudo terminals here: ", err)
	}
	t.Cleanup(func() { master.Close() })
	n, err := unix.IoctlGetInt(int(master.Fd()), unix.TIOCGPTN)
	if err == nil {
		err = unix.IoctlSetPointerInt(int(master.Fd()), unix.TIOCSPTLCK, 0)
	}
	if err == nil {
		slave, err = os.OpenFile(fmt.Sprintf("/dev/pts/%d", n), os.O_RDWR|syscall.O_NOCTTY, 0)
	}
	if err != nil {
		t.Skip("no pseudo terminals here: ", err)
	}
	return master, slave
}

// TestTerminal talks with a command on a terminal, as run --debug does: it is
// the foreground job, Ctrl-C ends it and not the program, and afterwards the
// terminal is the program's again.
func TestTerminal(t *testing.T) {
	master, slave := openTerminal(t)
	cmd := exec.Command("/proc/self/exe", root(t), scratch(t))
	cmd.Args[0] = "host:debugger"
	cmd.Stdin, cmd.Stdout, cmd.Stderr = slave, slave, slave
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	slave.Close()
	t.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
	lines := bufio.NewReader(master)
	expect := func(want string) {
		t.Helper()
		for {
			line, err := lines.ReadString('\n')
			if err != nil {
				t.Fatalf("got %v, want a line with %q", err, want)
			}
			line = strings.TrimPrefix(strings.TrimSpace(line), "^C")
			if line == want {
				return
			}
			if strings.Contains(line, " ") && !strings.HasPrefix(line, "hello") {
				t.Fatalf("got %q, want %q", line, want)
			}
		}
	}
	expect("foreground true, typing true")
	if _, err := master.WriteString("hello you\n"); err != nil {
		t.Fatal(err)
	}
	expect(`got "hello you\n" <nil>`)
	if _, err := master.WriteString("\x03"); err != nil {
		t.Fatal(err)
	}
	expect("ended SIGINT, terminal back true")
}
