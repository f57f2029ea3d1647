package main

import (
	"context"
	"os"
	"os/signal"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

// patience is how long a command may take to end after the first signal.
const patience = 900 * time.Millisecond

// interrupts turns SIGINT and SIGTERM into the end of a context. The first one
// lets the command end in order, for a moment; the second one is the end.
type interrupts struct {
	count   atomic.Int32
	shell   atomic.Bool // a shell in the sandbox has the terminal: Ctrl-C is its own
	mu      sync.Mutex
	last    func() // puts the terminal right, and says so
	store   string // whose tmp/ the command writes to
	folders []string
}

func interruptible(parent context.Context) (context.Context, *interrupts) {
	ctx, cancel := context.WithCancel(parent)
	in := &interrupts{}
	ch := make(chan os.Signal, 4)
	signal.Notify(ch, os.Interrupt, syscall.SIGTERM)
	go func() {
		for sig := range ch {
			if sig == os.Interrupt && in.shell.Load() {
				continue
			}
			if in.count.Add(1) > 1 {
				in.exit()
			}
			cancel()
			time.AfterFunc(patience, in.exit)
		}
	}()
	return ctx, in
}

func (in *interrupts) happened() bool { return in.count.Load() > 0 }

// atExit sets what to do before an exit that waits for nobody.
func (in *interrupts) atExit(f func()) {
	in.mu.Lock()
	defer in.mu.Unlock()
	in.last = f
}

// removes tells of a folder that goes with the command.
func (in *interrupts) removes(folder string) {
	in.mu.Lock()
	defer in.mu.Unlock()
	in.folders = append(in.folders, folder)
}

// uses tells in which store a command works.
func (in *interrupts) uses(store string) {
	in.mu.Lock()
	defer in.mu.Unlock()
	in.store = store
}

// exit ends the process. Sandboxes die with it, locks are released by the
// kernel, and temporary files are removed by a process that stays for that.
func (in *interrupts) exit() {
	in.mu.Lock()
	last, store, folders := in.last, in.store, in.folders
	in.mu.Unlock()
	leaveBehind(store, folders)
	if last != nil {
		done := make(chan struct{})
		go func() { last(); close(done) }()
		select {
		case <-done:
		case <-time.After(100 * time.Millisecond): // a terminal that was stopped, a full pipe
		}
	}
	os.Exit(130)
}
