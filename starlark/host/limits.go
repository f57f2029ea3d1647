package host

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"runtime/metrics"
	"sync"
	"sync/atomic"
	"time"

	"go.starlark.net/starlark"
)

// A watchdog looks after one evaluation: at the end of the context, at the time
// limit and when the heap has grown too much, it cancels the thread, which the
// interpreter sees at its next step, and the context, which builtins see.
//
// What a single step may take is bounded in guard.go. If a step still does not
// end within the grace period, the evaluation is given up: the caller gets its
// error, and the goroutine ends whenever the step does.
type watchdog struct {
	limits Limits
	thread *starlark.Thread
	cancel context.CancelCauseFunc
	quit   chan struct{}
	once   sync.Once
	reason atomic.Pointer[limitError]
}

// limitError says which limit was hit, or that the context has ended; err is then why.
type limitError struct {
	msg, hint string
	err       error
}

func (e *limitError) Error() string { return e.msg }

func (e *limitError) Unwrap() error { return e.err }

// lookEvery is how often the watchdog looks. Most scripts end before the first.
const lookEvery = 2 * time.Millisecond

// grace is how long a step may still take after the evaluation was cancelled.
var grace = 3 * time.Second

func newWatchdog(l Limits, t *starlark.Thread, cancel context.CancelCauseFunc) *watchdog {
	w := &watchdog{limits: l, thread: t, cancel: cancel, quit: make(chan struct{})}
	t.SetMaxExecutionSteps(l.Steps)
	t.OnMaxSteps = func(*starlark.Thread) {
		w.end(&limitError{
			msg:  fmt.Sprintf("the script takes more than %d steps", l.Steps),
			hint: "is there a loop that is far too long? (see the limits in the documentation)",
		})
	}
	return w
}

// end cancels the evaluation, for the first reason given.
func (w *watchdog) end(err *limitError) {
	if w.reason.CompareAndSwap(nil, err) {
		w.thread.Cancel(err.msg)
		w.cancel(err)
	}
}

func (w *watchdog) stop() { w.once.Do(func() { close(w.quit) }) }

// watch starts the watchdog. The channel is closed when the evaluation has not
// ended within the grace period after it was cancelled.
func (w *watchdog) watch(ctx context.Context) (stuck <-chan struct{}) {
	late := make(chan struct{})
	start := time.Now()
	base := heapBytes()
	go func() {
		tick := time.NewTicker(lookEvery)
		defer tick.Stop()
		collected := make(chan struct{}, 1)
		collecting := false
		for w.reason.Load() == nil {
			select {
			case <-w.quit:
				return
			case <-ctx.Done():
				if w.reason.Load() == nil {
					w.end(contextReason(ctx))
				}
			case <-collected:
				collecting = false
				if heapBytes()-base > w.limits.Memory {
					w.end(w.tooMuchMemory())
				}
			case <-tick.C:
				if time.Since(start) > w.limits.Time {
					w.end(&limitError{
						msg:  fmt.Sprintf("the script takes longer than %v", w.limits.Time),
						hint: "is there a loop that is far too long?",
					})
				}
				// The heap's size counts garbage too: collect before judging,
				// unless it goes on growing meanwhile.
				switch grown := heapBytes() - base; {
				case grown > w.limits.Memory+w.limits.Memory/4:
					w.end(w.tooMuchMemory())
				case grown > w.limits.Memory && !collecting:
					collecting = true
					go func() { runtime.GC(); collected <- struct{}{} }()
				}
			}
		}
		select {
		case <-w.quit:
		case <-time.After(grace):
			close(late)
		}
	}()
	return late
}

func (w *watchdog) tooMuchMemory() *limitError {
	return &limitError{
		msg:  fmt.Sprintf("the script takes more than %d MB of memory", w.limits.Memory>>20),
		hint: "is there a string, list or dict that grows without end?",
	}
}

func contextReason(ctx context.Context) *limitError {
	cause := context.Cause(ctx)
	var l *limitError
	if errors.As(cause, &l) {
		return l
	}
	ended := ctx.Err()
	if !errors.Is(cause, ended) {
		ended = errors.Join(ended, cause)
	}
	if errors.Is(cause, context.DeadlineExceeded) {
		return &limitError{msg: "the evaluation ran out of time", err: ended}
	}
	return &limitError{msg: "the evaluation was cancelled", err: ended}
}

// heapBytes is the size of all objects on the heap, dead ones that were not
// swept yet included.
func heapBytes() int64 {
	sample := [1]metrics.Sample{{Name: "/memory/classes/heap/objects:bytes"}}
	metrics.Read(sample[:])
	return int64(sample[0].Value.Uint64())
}

// stuckError is for a step that does not end.
func (ld *loader) stuckError() error {
	r := ld.limit.reason.Load()
	e := ld.at(stuckStack(ld.thread))
	if e.File == "" {
		e.File = ld.main
	}
	e.Msg, e.Hint, e.Err = r.msg+", in a single operation that can't be interrupted", r.hint, r
	return Errors{e}
}
