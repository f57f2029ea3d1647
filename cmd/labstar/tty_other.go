//go:build !unix

package main

import (
	"os"

	"github.com/mattn/go-isatty"
)

func isTerminal() bool { return isatty.IsTerminal(os.Stdin.Fd()) }

func saveTerminal() func() { return func() {} }
