package main

import (
	"fmt"
	"sync"
	"time"

	"github.com/labstar/labstar"
	"github.com/labstar/labstar/action"
	"github.com/labstar/labstar/internal/term"
)

// plainSink writes lines, for logs: one when an action turns out to be long,
// one at its end, and what failed.
type plainSink struct {
	app   *app
	quiet bool // only what failed
	mu    sync.Mutex
	slow  map[*action.Action]*time.Timer
	bytes map[*action.Action]int64
}

func newPlainSink(a *app, quiet bool) *plainSink {
	return &plainSink{app: a, quiet: quiet, slow: map[*action.Action]*time.Timer{}, bytes: map[*action.Action]int64{}}
}

func (s *plainSink) event(ev labstar.Event) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if ev.Kind == labstar.EventFail {
		s.end(ev.Action)
		s.app.reportFailure(ev.Err)
		return
	}
	if ev.Kind == labstar.EventShell { // Ctrl-C is the shell's then
		s.app.in.shell.Store(ev.Count > 0)
		s.end(ev.Action) // its screen is its own
		return
	}
	if s.quiet {
		return
	}
	switch ev.Kind {
	case labstar.EventStart:
		title := term.Clean(ev.Action.Title)
		s.slow[ev.Action] = time.AfterFunc(long, func() { s.app.say("running %s", title) })
	case labstar.EventWait:
		s.app.say("waiting for %s, which another labstar builds", term.Clean(ev.Action.Title))
	case labstar.EventProgress:
		s.bytes[ev.Action] = ev.Done
	case labstar.EventFinish:
		n := s.end(ev.Action)
		if ev.Elapsed < long {
			return
		}
		size := ""
		if n > 0 {
			size = ", " + term.Bytes(n)
		}
		s.app.say("done    %s in %s%s%s", term.Clean(ev.Action.Title), term.Duration(ev.Elapsed), size, compiled(ev))
	}
}

// compiled tells what the compile cache gave.
func compiled(ev labstar.Event) string {
	c := ev.Compiled
	if c == nil || c.Objects() == 0 {
		return ""
	}
	text := fmt.Sprintf(", %d of %d objects from the compile cache", c.Hits, c.Objects())
	if c.Compared > 0 {
		text += fmt.Sprintf(", %d (%s) compiled again and equal", c.Compared, term.Bytes(c.ComparedBytes))
	}
	return text
}

// end forgets an action and returns how many bytes it transferred.
func (s *plainSink) end(a *action.Action) int64 {
	if t := s.slow[a]; t != nil {
		t.Stop()
	}
	n := s.bytes[a]
	delete(s.slow, a)
	delete(s.bytes, a)
	return n
}

func (s *plainSink) close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for a := range s.slow {
		s.end(a)
	}
}
