// Package engine builds graphs: it finds out what is needed, looks up what is
// there, runs the rest side by side, and publishes what came out.
//
// A build has two passes. The first goes down from the targets and asks the store
// for each action's definition; what is found ends the descent there. The second
// goes up through what is left: once the inputs of an action are known its key is
// computed and asked for (the early cutoff), and only then is it run. The pieces:
//
//	graph.go     the first pass
//	bind.go      what depends on secrets, and under which name it is found
//	schedule.go  the second: what runs next, and the budget
//	settle.go    one action: found by its key, or run under its lock
//	resolve.go   an action and its built inputs -> a key
//	exec.go      running a command in the sandbox
//	compile.go   the compile cache of a command that asks for it
//	native.go    running a Go function, and what it sees (action.Env)
//	plan.go      what a build would do
package engine

import (
	"context"
	"errors"
	"os"
	"sync"
	"time"

	"github.com/labstar/labstar/action"
	"github.com/labstar/labstar/internal/jobserver"
	"github.com/labstar/labstar/internal/sandbox"
	"github.com/labstar/labstar/internal/store"
)

// Options say how an Engine works.
type Options struct {
	Store  store.Store
	Runner sandbox.Runner
	// Jobs is how many actions, and jobs of a make inside them, run at once.
	Jobs int
	// Downloads is how many actions with Op.Network run at once, besides Jobs.
	Downloads int
	// Config gives the settings of this machine to ops with Network.
	Config func(key string) string
	// Secret gives the value of a secret, or an error that says how to give it.
	Secret func(name string) (string, error)
	// Events is told what happens; nil for nobody.
	Events func(Event)
	// KeepGoing runs what does not depend on a failed action.
	KeepGoing bool
	// Debug opens a shell in the sandbox of a command that failed.
	Debug bool
}

// Engine builds. It is safe for use by several goroutines.
type Engine struct {
	opts Options
	jobs *jobserver.Server
	dir  string // of the job server's FIFO

	eventMu sync.Mutex
	sources sync.Mutex // held while local content goes into the store

	removals sync.WaitGroup // scratch folders that are being removed

	compiler compilers // see compile.go
}

// New returns an engine; Close ends it.
func New(opts Options) (*Engine, error) {
	if opts.Jobs < 1 {
		opts.Jobs = 1
	}
	if opts.Downloads < 1 {
		opts.Downloads = 6
	}
	if opts.Config == nil {
		opts.Config = func(string) string { return "" }
	}
	return &Engine{opts: opts}, nil
}

// Close waits until nothing of the builds is left in the store's scratch, and
// ends the job server. The store and the runner are the caller's.
func (e *Engine) Close() error {
	e.removals.Wait()
	if e.jobs == nil {
		return nil
	}
	return errors.Join(e.jobs.Close(), os.RemoveAll(e.dir))
}

func (e *Engine) emit(ev Event) {
	if e.opts.Events == nil {
		return
	}
	e.eventMu.Lock()
	defer e.eventMu.Unlock()
	ev.Time = time.Now()
	e.opts.Events(ev)
}

// Report is what a build did.
type Report struct {
	Ran     int // actions that ran
	Cached  int // actions that were needed and did not run
	Failed  int
	Skipped int // not run since an input failed
	Elapsed time.Duration
	// Errors are those of the failed actions, in the order in which they failed.
	Errors []error
	// RanActions tells which ran, by definition.
	RanActions map[action.Digest]*action.Result
	outputs    map[action.Digest]*action.Result
}

// Output returns what was built for a, one of the targets or an input of an
// action that ran.
func (r *Report) Output(a *action.Artifact) (action.OutputDigest, bool) {
	if src := a.Action.Source; src != nil {
		return action.OutputDigest{Name: a.Output().Name, Kind: src.Kind, Digest: src.Digest}, true
	}
	res := r.outputs[a.Action.Definition()]
	if res == nil {
		return action.OutputDigest{}, false
	}
	return res.Output(a.Output().Name)
}

// Result returns the result of the action with that definition, if the build
// came to know it.
func (r *Report) Result(definition action.Digest) *action.Result { return r.outputs[definition] }

// Build builds the artifacts and what they need. The error is of the build as
// a whole (the context's end, a broken store); failed actions are in the report.
func (e *Engine) Build(ctx context.Context, targets []*action.Artifact) (*Report, error) {
	return e.BuildThen(ctx, targets, func(*Report) {})
}

// BuildThen is Build, and calls then when all targets are there, before what came
// of them is made to outlast a crash of the machine. What failed is no reason to call it.
func (e *Engine) BuildThen(ctx context.Context, targets []*action.Artifact, then func(*Report)) (*Report, error) {
	start := time.Now()
	g, err := e.discover(ctx, targets)
	if err != nil {
		return nil, err
	}
	rep := &Report{RanActions: map[action.Digest]*action.Result{}, outputs: g.results}
	if len(g.needed) > 0 {
		e.emit(Event{Kind: EventPlan, Total: len(g.needed)})
		s := e.newSchedule(g, rep)
		err = s.run(ctx)
		defer e.saveTimes(s)
	}
	rep.Cached = g.total - rep.Ran - rep.Failed - rep.Skipped
	rep.Elapsed = time.Since(start)
	if err != nil {
		return rep, err
	}
	ingested, err := e.ingestTargets(ctx, targets)
	if err == nil && rep.Failed+rep.Skipped == 0 {
		then(rep)
	}
	if err != nil || len(g.needed) == 0 && !ingested {
		return rep, err // nothing was written, so that a read-only store will do
	}
	return rep, e.opts.Store.Sync(ctx)
}

// ingestTargets puts local files that are targets themselves into the store,
// and reports whether there were any that it had not got.
func (e *Engine) ingestTargets(ctx context.Context, targets []*action.Artifact) (ingested bool, err error) {
	for _, t := range targets {
		src := t.Action.Source
		if src == nil || e.hasSource(src) {
			continue
		}
		if err := e.ingest(ctx, src); err != nil {
			return ingested, err
		}
		ingested = true
	}
	return ingested, nil
}

func (e *Engine) hasSource(src *action.Source) bool {
	if src.Kind == action.Tree {
		return e.opts.Store.HasTree(src.Digest)
	}
	return e.opts.Store.Has(src.Digest)
}
