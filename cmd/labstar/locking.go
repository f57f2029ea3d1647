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
func (a *app) resolve(ctx context.Context, ls *labstar.Labstar, lab *labstar.Lab, update []string, all bool) ([]labstar.LockChange, error) {
	if a.term.Live && !a.quiet && !a.json {
		p, mine := a.shareProgress()
		if mine {
			defer a.restore()
		}
		p.Start(a, "choose versions for "+labstar.LockFile)
		defer p.Drop(a)
		a.transfers.show(p)
		defer a.transfers.show(nil)
	}
	return ls.Lock(ctx, lab, update, all)
}

// show sets where to show transfers; nil for nowhere.
func (t *transfers) show(p *term.Progress) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.progress = p
}

// shareProgress returns the progress that is on the screen, or puts one there:
// there can only be one.
func (a *app) shareProgress() (p *term.Progress, mine bool) {
	a.mu.Lock()
	p = a.progress
	a.mu.Unlock()
	if p != nil {
		return p, false
	}
	p = term.NewProgress(a.term, a.err)
	a.showProgress(p)
	return p, true
}
