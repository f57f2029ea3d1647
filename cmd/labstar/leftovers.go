package main

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"time"

	"github.com/labstar/labstar/internal/store/disk"
)

// A command that ends for good before it has removed its scratch (half of a
// kernel's source is 40,000 files) leaves that to a process which outlives it:
// this program, called with a hidden command.
const (
	// removeName is that command. It takes the process that is about to end, the
	// store's folder, "" for none, and folders outside of it.
	removeName = "__remove-leftovers"
	// removeWithin bounds it: what is not gone by then goes with the next run.
	removeWithin = time.Minute
)

// leaveBehind starts the process if there is anything in tmp/ of the store, or any of
// the folders.
func leaveBehind(store string, folders []string) {
	if store != "" {
		if list, err := os.ReadDir(filepath.Join(store, "tmp")); err != nil || len(list) == 0 {
			store = ""
		}
	}
	folders = slices.DeleteFunc(slices.Clone(folders), func(f string) bool {
		_, err := os.Lstat(f)
		return err != nil
	})
	if store == "" && len(folders) == 0 {
		return
	}
	exe, err := os.Executable()
	if err != nil {
		return
	}
	cmd := exec.Command(exe, append([]string{removeName, strconv.Itoa(os.Getpid()), store}, folders...)...)
	cmd.Args[0] = os.Args[0]
	cmd.Dir = "/"
	cmd.SysProcAttr = detached() // Ctrl-C once more is not for it
	_ = cmd.Start()              // else the next run removes what is in the store
}

// removeLeftovers waits until the process parent, which started this one, is
// gone and its locks with it.
func removeLeftovers(ctx context.Context, args []string) error {
	if len(args) < 2 {
		return usagef("", "unknown command %q", removeName)
	}
	parent, err := strconv.Atoi(args[0])
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
		for _, folder := range args[2:] {
			for os.RemoveAll(folder) != nil && ctx.Err() == nil { // a sandbox that is ending writes into it
				time.Sleep(20 * time.Millisecond)
			}
		}
		if args[1] != "" {
			disk.RemoveLeftovers(args[1])
		}
	}()
	select {
	case <-gone:
	case <-ctx.Done():
	}
	return nil
}
