package main

import (
	"context"
	"path"
	"sync"

	"github.com/labstar/labstar"
	"github.com/labstar/labstar/internal/term"
)

// transfers shows what Lock downloads, on a terminal.
type transfers struct {
	mu       sync.Mutex
	progress *term.Progress
}

func (t *transfers) tell(what string, done, total int64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.progress == nil {
		return
	}
	switch {
	case done == 0, !t.progress.Has(what):
		t.progress.Start(what, "fetch "+path.Base(what))
	case done == total:
		t.progress.Drop(what)
		return
	}
	t.progress.Bytes(what, done, total)
}

// resolve is Labstar.Lock with its downloads on the screen.
func (a *app) resolve(ctx context.Context, ls *labstar.Labstar, lab *labstar.Lab, update []string, all, quiet bool) ([]labstar.LockChange, error) {
	if a.term.Live && !quiet && !a.json {
		p := term.NewProgress(a.term, a.err)
		a.showProgress(p)
		defer a.restore()
		a.transfers.mu.Lock()
		a.transfers.progress = p
		a.transfers.mu.Unlock()
	}
	changes, err := ls.Lock(ctx, lab, update, all)
	a.transfers.mu.Lock()
	a.transfers.progress = nil
	a.transfers.mu.Unlock()
	return changes, err
}
