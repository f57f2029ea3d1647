package trace

import (
	"bytes"
	"encoding/json"
	"errors"
	"testing"
	"time"

	"github.com/labstar/labstar/action"
	"github.com/labstar/labstar/internal/engine"
)

var op = &action.Op{Name: "test/op", Version: 1}
var netOp = &action.Op{Name: "test/fetch", Version: 1, Network: true}

func makeAction(t *testing.T, scope *action.Scope, op *action.Op, title string, inputs ...*action.Action) *action.Action {
	t.Helper()
	spec := action.Spec{Op: op, Params: title, Title: title, Outputs: []action.Output{{Name: "out", Kind: action.File}},
		Site: []action.Frame{{File: "lab.star", Line: 3, Col: 7}}}
	for _, in := range inputs {
		spec.Inputs = append(spec.Inputs, action.Input{Name: in.Title, Artifact: in.Output("out")})
	}
	a, err := scope.Action(spec)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// Two chains lead to the last action; the slower one is the critical path.
func TestTrace(t *testing.T) {
	scope := action.NewScope()
	fetch := makeAction(t, scope, netOp, "fetch")
	quick := makeAction(t, scope, op, "quick")
	slow := makeAction(t, scope, op, "slow", fetch)
	last := makeAction(t, scope, op, "last", quick, slow)
	never := makeAction(t, scope, op, "never ends")

	start := time.Now()
	at := func(ms int) time.Time { return start.Add(time.Duration(ms) * time.Millisecond) }
	tr := New(start)
	tr.Phase("evaluate", at(0), at(5))
	ev := func(kind engine.EventKind, a *action.Action, ms, slot int) {
		tr.Event(engine.Event{Kind: kind, Action: a, Time: at(ms), Slot: slot})
	}
	ev(engine.EventStart, fetch, 10, 2)
	ev(engine.EventStart, quick, 10, 0)
	tr.Event(engine.Event{Kind: engine.EventProgress, Action: fetch, Time: at(15), Done: 4096, Size: 4096})
	ev(engine.EventFinish, quick, 30, 0)
	ev(engine.EventFinish, fetch, 20, 2)
	ev(engine.EventCached, makeAction(t, scope, op, "found"), 21, 0)
	ev(engine.EventStart, slow, 25, 0)
	ev(engine.EventFinish, slow, 90, 0)
	ev(engine.EventStart, last, 91, 1)
	tr.Event(engine.Event{Kind: engine.EventFail, Action: last, Time: at(99), Err: errors.New("broken")})
	ev(engine.EventStart, never, 95, 3)

	var path []string
	for _, a := range tr.CriticalPath() {
		path = append(path, a.Title)
	}
	if got, want := path, []string{"fetch", "slow", "last"}; len(got) != 3 || got[0] != want[0] || got[1] != want[1] || got[2] != want[2] {
		t.Errorf("critical path: got %v, want %v", got, want)
	}

	var b bytes.Buffer
	if err := tr.Write(&b); err != nil {
		t.Fatal(err)
	}
	var file struct{ TraceEvents []event }
	if err := json.Unmarshal(b.Bytes(), &file); err != nil {
		t.Fatalf("%v in\n%s", err, &b)
	}
	find := func(name string, track int) event {
		t.Helper()
		for _, e := range file.TraceEvents {
			if e.Name == name && e.TID == track && e.Phase != "M" {
				return e
			}
		}
		t.Errorf("no event %q in track %d", name, track)
		return event{}
	}
	if e := find("evaluate", trackPhases); e.TS != 0 || e.Dur != 5000 {
		t.Errorf("evaluate: got %+v", e)
	}
	if e := find("fetch", trackSlots+2); e.TS != 10000 || e.Dur != 10000 || e.Cat != "download" || e.Args["bytes"] != 4096.0 || e.Args["critical"] != true {
		t.Errorf("fetch: got %+v", e)
	}
	if e := find("slow", trackSlots); e.Args["waited for a slot (ms)"] != 5.0 || e.Args["line"] != "lab.star:3:7" {
		t.Errorf("slow: got %+v", e)
	}
	if e := find("quick", trackSlots); e.Args["critical"] != nil {
		t.Errorf("quick: got %+v", e)
	}
	if e := find("last", trackSlots+1); e.Args["error"] != "broken" {
		t.Errorf("last: got %+v", e)
	}
	find("slow", trackCritical)
	find("found", trackLookups)
	find("never ends", trackSlots+3)
}
