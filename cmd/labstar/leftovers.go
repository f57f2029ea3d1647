package main

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"time"

	"github.com/labstar/labstar/internal/store/disk"
)

// A command that ends for good before it has removed its scratch (half of a
// kernel's source is 40,000 files) leaves that to a process which outlives it:
// this program, called with a hidden command.
const (
	// removeName is that command. It takes the store's folder and the process
	// that is about to end.
	removeName = "__remove-leftovers"
	// removeWithin bounds it: what is not gone by then goes with the next run.
	removeWithin = time.Minute
)

// leaveBehind starts the process if there is anything in tmp/ of the store.
func leaveBehind(store string) {
	if list, err := os.ReadDir(filepath.Join(store, "tmp")); err != nil || len(list) == 0 {
		return
	}
	exe, err := os.Executable()
	if err != nil {
		return
	}
	cmd := exec.Command(exe, removeName, store, strconv.Itoa(os.Getpid()))
	cmd.Args[0] = os.Args[0]
	cmd.Dir = "/"
	cmd.SysProcAttr = detached() // Ctrl-C once more is not for it
	_ = cmd.Start()              // else the next run removes it
}

// removeLeftovers waits until the process parent, which started this one, is
// gone and its locks with it.
func removeLeftovers(ctx context.Context, args []string) error {
	if len(args) != 2 {
		return usagef("", "unknown command %q", removeName)
	}
	parent, err := strconv.Atoi(args[1])
	if err != nil {
		return usagef("", "unknown command %q", removeName)
	}
	ctx, cancel := context.WithTimeout(ctx, removeWithin)
	defer cancel()
	gone := make(chan struct{})
	go func() {
		defer close(gone)
		for os.Getppid() == parent && ctx.Err() == nil {
			time.Sleep(2 * time.Millisecond)
		}
		disk.RemoveLeftovers(args[0])
	}()
	select {
	case <-gone:
	case <-ctx.Done():
	}
	return nil
}
