package engine

import (
	"container/heap"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"sync"
	"time"

	"github.com/labstar/labstar/action"
	"github.com/labstar/labstar/internal/jobserver"
	"github.com/labstar/labstar/internal/store"
)

// schedule is the second pass of one build.
//
// What is ready waits in two queues, downloads and the rest, most urgent first:
// an action that is (or leads to) a check before all others, then the one with
// the longest way to a target, by the times that earlier runs took.
type schedule struct {
	engine *Engine
	graph  *graph
	report *Report

	mu       sync.Mutex
	wake     *sync.Cond
	ready    [2]nodeQueue // by lane
	running  [2]int
	slots    []bool // in use, for traces
	left     int    // nodes that are neither done, failed nor skipped
	stop     bool   // no new action is started
	fatal    error
	times    map[string]int64 // milliseconds of earlier runs, by op and title
	newTimes bool
}

// The lanes.
const (
	work = iota
	download
)

// checkBonus puts checks, and what they need, before everything else.
const checkBonus = int64(1) << 40

// guess is the time assumed for an action that never ran, in milliseconds.
const guess = 100

func (e *Engine) newSchedule(g *graph, rep *Report) *schedule {
	s := &schedule{engine: e, graph: g, report: rep, left: len(g.needed), slots: make([]bool, e.opts.Jobs+e.opts.Downloads)}
	s.wake = sync.NewCond(&s.mu)
	s.times = e.loadTimes()
	// Dependents come after their inputs in needed, so backwards every
	// dependent's priority is known.
	for i := len(g.needed) - 1; i >= 0; i-- {
		n := g.needed[i]
		for _, d := range n.dependents {
			n.priority = max(n.priority, d.priority)
		}
		if t, ok := s.times[timeName(n.action)]; ok {
			n.priority += t
		} else {
			n.priority += guess
		}
		if n.action.Op.Check {
			n.priority += checkBonus
		}
	}
	for _, n := range g.needed {
		if n.waits == 0 {
			s.push(n)
		}
	}
	return s
}

func (s *schedule) push(n *node) {
	heap.Push(&s.ready[lane(n)], n)
}

func lane(n *node) int {
	if n.action.Op.Network {
		return download
	}
	return work
}

// run runs what is needed and returns when all of it is settled, or when
// nothing more can be started.
func (s *schedule) run(ctx context.Context) error {
	stopWatching := context.AfterFunc(ctx, func() {
		s.mu.Lock()
		s.stop = true
		s.wake.Broadcast()
		s.mu.Unlock()
	})
	defer stopWatching()
	limits := [2]int{work: s.engine.opts.Jobs, download: s.engine.opts.Downloads}
	s.mu.Lock()
	for s.left > 0 {
		started := false
		for l := range s.ready {
			for !s.stop && s.ready[l].Len() > 0 && s.running[l] < limits[l] {
				n := heap.Pop(&s.ready[l]).(*node)
				s.running[l]++
				started = true
				slot := s.takeSlot()
				go s.settle(ctx, n, l, slot)
			}
		}
		if !started && s.running[work]+s.running[download] == 0 {
			break // stopped, or all that is left waits for what failed
		}
		s.wake.Wait()
	}
	for s.running[work]+s.running[download] > 0 {
		s.wake.Wait()
	}
	s.skipRest()
	s.mu.Unlock()
	s.engine.saveTimes(s)
	if s.fatal == nil {
		s.fatal = ctx.Err()
	}
	return s.fatal
}

func (s *schedule) takeSlot() int {
	for i, used := range s.slots {
		if !used {
			s.slots[i] = true
			return i
		}
	}
	return -1
}

// settle makes one node done or failed and lets its dependents go on.
func (s *schedule) settle(ctx context.Context, n *node, l, slot int) {
	res, ran, err := s.engine.settle(ctx, s, n, slot)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.running[l]--
	s.slots[slot] = false
	switch {
	case err == nil:
		n.state = done
		s.left--
		s.graph.results[n.action.Definition()] = res
		if ran {
			s.report.Ran++
			s.report.RanActions[n.action.Definition()] = res
			s.times[timeName(n.action)] = max(res.Millis, 1) // 0 is not known
			s.newTimes = true
		}
		for _, d := range n.dependents {
			if d.waits--; d.waits == 0 && d.state == waiting {
				s.push(d)
			}
		}
	case ctx.Err() != nil:
		s.stop = true
	default:
		s.fail(n, err)
	}
	s.wake.Broadcast()
}

func (s *schedule) fail(n *node, err error) {
	n.state = failed
	s.left--
	s.report.Failed++
	var b *BuildError
	if !errors.As(err, &b) {
		b = &BuildError{Action: n.action, Err: err}
		err = b
	}
	s.report.Errors = append(s.report.Errors, err)
	s.engine.emit(Event{Kind: EventFail, Action: n.action, Err: err, LogPath: b.LogPath, LogTail: b.LogTail})
	if !s.engine.opts.KeepGoing {
		s.stop = true
	}
}

// skipRest counts what could not be run.
func (s *schedule) skipRest() {
	for _, n := range s.graph.needed {
		if n.state == waiting {
			n.state = skipped
			s.report.Skipped++
			s.engine.emit(Event{Kind: EventSkip, Action: n.action})
		}
	}
}

// output returns what was built for an artifact that a node depends on.
func (s *schedule) output(a *action.Artifact) (action.OutputDigest, error) {
	if src := a.Action.Source; src != nil {
		return action.OutputDigest{Name: a.Output().Name, Kind: src.Kind, Digest: src.Digest}, nil
	}
	s.mu.Lock()
	res := s.graph.results[a.Action.Definition()]
	s.mu.Unlock()
	if res != nil {
		if out, ok := res.Output(a.Output().Name); ok {
			return out, nil
		}
	}
	return action.OutputDigest{}, fmt.Errorf("%s has no result", a.Describe())
}

// settle finds or makes the result of a node whose inputs are built.
func (e *Engine) settle(ctx context.Context, s *schedule, n *node, slot int) (res *action.Result, ran bool, err error) {
	a, st := n.action, e.opts.Store
	r, err := e.resolve(ctx, a, s.output)
	if err != nil {
		return nil, false, err
	}
	var preimage [][]byte
	key, err := e.key(ctx, r, func(b []byte) { preimage = append(preimage, b) })
	if err != nil {
		return nil, false, err
	}
	n.key = key
	find := func() (bool, error) {
		res, err = st.Result(ctx, key)
		if errors.Is(err, store.ErrNotFound) || err == nil && !hasOutputs(res, a) {
			return false, nil
		}
		if err != nil {
			return false, err
		}
		e.emit(Event{Kind: EventCached, Action: a, Count: 1, Result: res})
		return true, st.PutResult(ctx, res, a.Definition())
	}
	if ok, err := find(); ok || err != nil {
		return res, false, err
	}
	unlock, err := e.lock(ctx, key, a)
	if err != nil {
		return nil, false, err
	}
	defer unlock()
	if ok, err := find(); ok || err != nil {
		return res, false, err
	}
	for _, b := range preimage {
		if _, err := st.PutBlob(ctx, b); err != nil {
			return nil, false, err
		}
	}
	res, err = e.execute(ctx, r, key, slot)
	if err != nil {
		return nil, false, err
	}
	return res, true, st.PutResult(ctx, res, key, a.Definition())
}

// key returns the key; a fixed output's is its hash, whoever fetches it from where.
func (e *Engine) key(ctx context.Context, r *action.Resolved, keep func([]byte)) (action.Digest, error) {
	if r.Action.Fixed != [32]byte{} {
		return r.Action.Definition(), nil
	}
	return r.Key(ctx, withSources{e.opts.Store, r.Action}, func(b []byte) (action.Digest, error) {
		keep(b)
		return action.Of(b), nil
	})
}

// withSources is the store, and the directories of an action's local trees,
// which are put into the store only if the action runs.
type withSources struct {
	store.Store
	action *action.Action
}

func (w withSources) Directory(ctx context.Context, d action.Digest) (*action.Directory, error) {
	dir, err := w.Store.Directory(ctx, d)
	if !errors.Is(err, store.ErrNotFound) {
		return dir, err
	}
	w.action.Deps(func(in *action.Artifact) {
		src := in.Action.Source
		if dir != nil || src == nil || src.Kind != action.Tree {
			return
		}
		if found, openErr := openDirectory(src, d); openErr == nil {
			dir, err = found, nil
		}
	})
	return dir, err
}

// openDirectory reads one directory of a local tree.
func openDirectory(src *action.Source, d action.Digest) (*action.Directory, error) {
	r, err := src.Open(d)
	if err != nil {
		return nil, fmt.Errorf("reading %s: %w", src.Path, err)
	}
	b, err := io.ReadAll(r)
	if err := errors.Join(err, r.Close()); err != nil {
		return nil, fmt.Errorf("reading %s: %w", src.Path, err)
	}
	return action.DecodeDirectory(b)
}

// lock takes the key's lock, telling when it has to wait for another process.
func (e *Engine) lock(ctx context.Context, key action.Digest, a *action.Action) (func(), error) {
	t := time.AfterFunc(300*time.Millisecond, func() { e.emit(Event{Kind: EventWait, Action: a}) })
	defer t.Stop()
	return e.opts.Store.Lock(ctx, key)
}

// execute runs the action within the budget.
func (e *Engine) execute(ctx context.Context, r *action.Resolved, key action.Digest, slot int) (*action.Result, error) {
	a := r.Action
	if err := e.ingestInputs(ctx, a); err != nil {
		return nil, err
	}
	if !a.Op.Network {
		jobs, err := e.jobserver(ctx)
		if err != nil {
			return nil, err
		}
		if err := jobs.Acquire(ctx); err != nil {
			return nil, err
		}
		defer jobs.Release()
	}
	e.emit(Event{Kind: EventStart, Action: a, Slot: slot})
	start := time.Now()
	var res *action.Result
	var err error
	if a.Op == action.Exec {
		res, err = e.runCommand(ctx, r, key)
	} else {
		res, err = e.runNative(ctx, r, key, slot)
	}
	if err != nil {
		return nil, err
	}
	elapsed := time.Since(start)
	res.Millis = elapsed.Milliseconds()
	e.emit(Event{Kind: EventFinish, Action: a, Slot: slot, Elapsed: elapsed, Result: res})
	return res, nil
}

func (e *Engine) ingestInputs(ctx context.Context, a *action.Action) error {
	var err error
	a.Deps(func(in *action.Artifact) {
		if err == nil && in.Action.Source != nil {
			err = e.ingest(ctx, in.Action.Source)
		}
	})
	return err
}

// jobserver starts the job server at the first action that runs.
func (e *Engine) jobserver(ctx context.Context) (*jobserver.Server, error) {
	e.sources.Lock()
	defer e.sources.Unlock()
	if e.jobs == nil {
		dir, err := e.opts.Store.Scratch(ctx)
		if err != nil {
			return nil, err
		}
		jobs, err := jobserver.New(e.opts.Jobs, dir)
		if err != nil {
			return nil, errors.Join(err, os.RemoveAll(dir))
		}
		e.jobs, e.dir = jobs, dir
	}
	return e.jobs, nil
}

// timesNote holds how long actions took, by op and title.
const timesNote = "times"

func timeName(a *action.Action) string { return a.Op.Name + " " + a.Title }

func (e *Engine) loadTimes() map[string]int64 {
	times := map[string]int64{}
	if b, err := e.opts.Store.Note(timesNote); err == nil {
		if json.Unmarshal(b, &times) != nil {
			return map[string]int64{} // a damaged note only costs the order
		}
	}
	return times
}

func (e *Engine) saveTimes(s *schedule) {
	if !s.newTimes {
		return
	}
	if b, err := json.Marshal(s.times); err == nil {
		_ = e.opts.Store.PutNote(timesNote, b) // only a hint for the next run
	}
}

// nodeQueue is a heap of nodes, most urgent first, then as the script made them.
type nodeQueue []*node

func (q nodeQueue) Len() int           { return len(q) }
func (q nodeQueue) Less(i, j int) bool { return q[i].priority > q[j].priority }
func (q nodeQueue) Swap(i, j int)      { q[i], q[j] = q[j], q[i] }
func (q *nodeQueue) Push(x any)        { *q = append(*q, x.(*node)) }
func (q *nodeQueue) Pop() any {
	old := *q
	n := old[len(old)-1]
	*q = old[:len(old)-1]
	return n
}
