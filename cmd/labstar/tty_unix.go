//go:build unix

package main

import (
	"os"
	"syscall"

	"github.com/mattn/go-isatty"
	"golang.org/x/sys/unix"
)

// isTerminal reports whether a person is at standard input.
func isTerminal() bool { return isatty.IsTerminal(os.Stdin.Fd()) }

// saveTerminal returns what puts the terminal's mode back: a program that was killed
// may have left it raw.
func saveTerminal() func() {
	fd := int(os.Stdin.Fd())
	mode, err := unix.IoctlGetTermios(fd, getTermios)
	if err != nil {
		return func() {}
	}
	return func() { _ = unix.IoctlSetTermios(fd, setTermios, mode) } // it may be gone
}

// detached makes a process that outlives this one and its terminal.
func detached() *syscall.SysProcAttr { return &syscall.SysProcAttr{Setsid: true} }
