package engine

import (
	"time"

	"github.com/labstar/labstar/action"
	"github.com/labstar/labstar/internal/compile"
)

// EventKind says what an Event tells.
type EventKind string

// The kinds of events, in the order in which an action gives them.
const (
	EventPlan     EventKind = "plan"     // the build starts: Total actions are needed
	EventCached   EventKind = "cached"   // found; Count actions are settled by it (it and what only it needs)
	EventStart    EventKind = "start"    // begins to run
	EventProgress EventKind = "progress" // Done of Size bytes
	EventFinish   EventKind = "finish"   // ran; Elapsed, Outputs
	EventFail     EventKind = "fail"     // failed; Err, LogPath, LogTail
	EventSkip     EventKind = "skip"     // not run since an input failed
	EventWait     EventKind = "wait"     // another process builds it
	EventShell    EventKind = "shell"    // a shell has the terminal (Count 1), or is left (Count 0)
)

// Event is one thing that happened in a build. Sinks are called from one
// goroutine at a time and must return quickly.
type Event struct {
	Kind    EventKind
	Time    time.Time
	Action  *action.Action // nil for EventPlan
	Total   int            // EventPlan
	Count   int            // EventCached
	Done    int64          // EventProgress, bytes
	Size    int64          // EventProgress, bytes; 0 if unknown
	Elapsed time.Duration
	Result  *action.Result // EventFinish, EventCached
	// Compiled is what the compile cache did for a command that uses it (EventFinish).
	Compiled *compile.Stats
	Slot     int // which of the budget's slots ran it, for traces
	Err      error
	LogPath  string   // full output of a failed command
	LogTail  []string // its last lines
}
