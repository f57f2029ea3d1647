//go:build !unix

package main

import (
	"os"
	"syscall"

	"github.com/mattn/go-isatty"
)

func isTerminal() bool { return isatty.IsTerminal(os.Stdin.Fd()) }

func saveTerminal() func() { return func() {} }

func detached() *syscall.SysProcAttr { return nil }
