package main

import (
	"time"

	"github.com/labstar/labstar"
	"github.com/labstar/labstar/internal/term"
	"github.com/labstar/labstar/internal/trace"
)

// long is the time from which an action is worth a line that stays.
const long = time.Second

// sink is told what happens in a build.
type sink interface {
	event(labstar.Event)
	close()
}

// sinks passes events on to several, in order.
type sinks []sink

func (s sinks) event(ev labstar.Event) {
	for _, one := range s {
		one.event(ev)
	}
}

func (s sinks) close() {
	for _, one := range s {
		one.close()
	}
}

// traceSink feeds a trace.
type traceSink struct{ *trace.Trace }

func (t traceSink) event(ev labstar.Event) { t.Event(ev) }
func (t traceSink) close()                 {}

// liveSink shows what runs on a terminal.
type liveSink struct {
	app      *app
	progress *term.Progress
}

func newLiveSink(a *app) *liveSink {
	s := &liveSink{app: a, progress: term.NewProgress(a.term, a.err)}
	a.showProgress(s.progress)
	return s
}

func (s *liveSink) event(ev labstar.Event) {
	p := s.progress
	switch ev.Kind {
	case labstar.EventPlan:
		p.Total(ev.Total)
	case labstar.EventCached:
		p.Drop(ev.Action)
		p.Settled(ev.Count)
	case labstar.EventStart:
		p.Start(ev.Action, ev.Action.Title)
	case labstar.EventWait:
		p.Wait(ev.Action, ev.Action.Title)
	case labstar.EventProgress:
		p.Bytes(ev.Action, ev.Done, ev.Size)
	case labstar.EventFinish:
		p.End(ev.Action)
		if ev.Elapsed >= long {
			t := s.app.term
			p.Print(t.Green("done") + " " + term.Clean(ev.Action.Title) + t.Dim(" in "+term.Duration(ev.Elapsed)+compiled(ev)))
		}
	case labstar.EventFail:
		p.End(ev.Action)
		s.app.reportFailure(ev.Err)
	case labstar.EventSkip:
		p.Settled(1)
	}
}

func (s *liveSink) close() { s.app.restore() }
