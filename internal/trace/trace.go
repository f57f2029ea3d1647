// Package trace records a run and writes it as a Chrome trace, which
// https://ui.perfetto.dev and chrome://tracing show: the phases (evaluation,
// lookups, building, delivery), each action in the slot that ran it, what was
// found by its key after its inputs were built, and the critical path, which is
// the chain of actions that nothing but faster actions could shorten.
//
//	t := trace.New(time.Now())
//	t.Phase("evaluate", from, to)
//	t.Event(ev)        // an engine.Event sink
//	err := t.Write(f)
//
// The format is Google's "Trace Event Format": a JSON object with an array of
// events, times in microseconds.
package trace

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"sync"
	"time"

	"github.com/labstar/labstar/action"
	"github.com/labstar/labstar/internal/engine"
)

// The tracks: thread numbers of the one process.
const (
	trackPhases   = 1
	trackCritical = 2
	trackLookups  = 3
	trackSlots    = 10 // and up
)

// Trace collects. It is safe for use by several goroutines.
type Trace struct {
	mu     sync.Mutex
	start  time.Time
	events []event
	runs   map[action.Digest]*run // by definition
	order  []*run
	slots  map[int]bool
}

// run is an action that was started.
type run struct {
	action     *action.Action
	slot       int
	start, end time.Time
	bytes      int64
	failed     string
	critical   bool
}

// event is one entry of the file.
type event struct {
	Name  string         `json:"name"`
	Cat   string         `json:"cat,omitempty"`
	Phase string         `json:"ph"` // X complete, i instant, M metadata
	TS    int64          `json:"ts"` // µs
	Dur   int64          `json:"dur,omitempty"`
	PID   int            `json:"pid"`
	TID   int            `json:"tid"`
	Scope string         `json:"s,omitempty"` // of an instant: t is its thread
	Color string         `json:"cname,omitempty"`
	Args  map[string]any `json:"args,omitempty"`
}

// New starts a trace whose time 0 is start.
func New(start time.Time) *Trace {
	return &Trace{start: start, runs: map[action.Digest]*run{}, slots: map[int]bool{}}
}

func (t *Trace) micros(at time.Time) int64 { return max(at.Sub(t.start).Microseconds(), 0) }

// Phase adds a part of the whole run.
func (t *Trace) Phase(name string, from, to time.Time) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.events = append(t.events, event{
		Name: name, Cat: "phase", Phase: "X", TS: t.micros(from), Dur: max(to.Sub(from).Microseconds(), 1), PID: 1, TID: trackPhases,
	})
}

// Event adds what the engine tells.
func (t *Trace) Event(ev engine.Event) {
	t.mu.Lock()
	defer t.mu.Unlock()
	switch ev.Kind {
	case engine.EventStart:
		r := &run{action: ev.Action, slot: ev.Slot, start: ev.Time}
		t.runs[ev.Action.Definition()] = r
		t.order = append(t.order, r)
		t.slots[ev.Slot] = true
	case engine.EventProgress:
		if r := t.runs[ev.Action.Definition()]; r != nil {
			r.bytes = ev.Done
		}
	case engine.EventFinish:
		if r := t.runs[ev.Action.Definition()]; r != nil {
			r.end = ev.Time
		}
	case engine.EventFail:
		if r := t.runs[ev.Action.Definition()]; r != nil {
			r.end, r.failed = ev.Time, ev.Err.Error()
		}
	case engine.EventCached, engine.EventWait:
		if ev.Action != nil {
			t.events = append(t.events, event{
				Name: ev.Action.Title, Cat: string(ev.Kind), Phase: "i", Scope: "t", TS: t.micros(ev.Time), PID: 1, TID: trackLookups,
			})
		}
	}
}

// CriticalPath returns the actions that decided how long the build took, first
// to last: from the one that ended last, always back to the input that ended last.
func (t *Trace) CriticalPath() []*action.Action {
	t.mu.Lock()
	defer t.mu.Unlock()
	var path []*action.Action
	for _, r := range t.critical() {
		path = append(path, r.action)
	}
	return path
}

func (t *Trace) critical() []*run {
	var last *run
	for _, r := range t.order {
		if !r.end.IsZero() && (last == nil || r.end.After(last.end)) {
			last = r
		}
	}
	var path []*run
	for last != nil {
		path = append(path, last)
		last = t.lastInput(last.action)
	}
	slices.Reverse(path)
	return path
}

// lastInput returns the run that ended last of those that a reads, nil if none ran.
func (t *Trace) lastInput(a *action.Action) *run {
	var last *run
	a.Deps(func(in *action.Artifact) {
		if r := t.runs[in.Action.Definition()]; r != nil && !r.end.IsZero() && (last == nil || r.end.After(last.end)) {
			last = r
		}
	})
	return last
}

// Write writes the trace. Actions that have not ended, because the run was
// interrupted, end now.
func (t *Trace) Write(w io.Writer) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	path := t.critical()
	for _, r := range path {
		r.critical = true
	}
	events := slices.Concat(t.names(), t.events)
	now := time.Now()
	for _, r := range t.order {
		events = append(events, t.runEvent(r, now))
	}
	for _, r := range path {
		ev := t.runEvent(r, now)
		ev.TID, ev.Cat = trackCritical, "critical path"
		events = append(events, ev)
	}
	b := bufio.NewWriter(w)
	fmt.Fprint(b, `{"displayTimeUnit":"ms","traceEvents":[`)
	for i, ev := range events {
		line, err := json.Marshal(ev)
		if err != nil {
			return fmt.Errorf("writing trace: %w", err)
		}
		if i > 0 {
			fmt.Fprint(b, ",")
		}
		fmt.Fprintf(b, "\n%s", line)
	}
	fmt.Fprint(b, "\n]}\n")
	if err := b.Flush(); err != nil {
		return fmt.Errorf("writing trace: %w", err)
	}
	return nil
}

// names gives the tracks theirs.
func (t *Trace) names() []event {
	names := map[int]string{trackPhases: "phases", trackCritical: "critical path", trackLookups: "found or awaited"}
	for slot := range t.slots {
		names[trackSlots+slot] = fmt.Sprintf("slot %d", slot+1)
	}
	tracks := make([]int, 0, len(names))
	for id := range names {
		tracks = append(tracks, id)
	}
	slices.Sort(tracks)
	list := []event{{Name: "process_name", Phase: "M", PID: 1, Args: map[string]any{"name": "labstar"}}}
	for _, id := range tracks {
		list = append(list,
			event{Name: "thread_name", Phase: "M", PID: 1, TID: id, Args: map[string]any{"name": names[id]}},
			event{Name: "thread_sort_index", Phase: "M", PID: 1, TID: id, Args: map[string]any{"sort_index": id}})
	}
	return list
}

func (t *Trace) runEvent(r *run, now time.Time) event {
	end := r.end
	if end.IsZero() {
		end = now
	}
	cat := "action"
	if r.action.Op.Network {
		cat = "download"
	}
	ev := event{
		Name: r.action.Title, Cat: cat, Phase: "X", TS: t.micros(r.start), Dur: max(end.Sub(r.start).Microseconds(), 1),
		PID: 1, TID: trackSlots + r.slot,
		Args: map[string]any{"op": r.action.Op.Name, "definition": r.action.Definition().Hex()},
	}
	if len(r.action.Site) > 0 {
		ev.Args["line"] = r.action.Site[0].String()
	}
	if in := t.lastInput(r.action); in != nil {
		ev.Args["waited for a slot (ms)"] = max(r.start.Sub(in.end).Milliseconds(), 0)
	}
	if r.bytes > 0 {
		ev.Args["bytes"] = r.bytes
	}
	if r.failed != "" {
		ev.Args["error"] = r.failed
	}
	if r.critical {
		ev.Args["critical"], ev.Color = true, "terrible"
	}
	return ev
}
