package engine

import (
	"container/heap"
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/labstar/labstar/action"
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
		b = &BuildError{Action: n.action, Site: n.action.Site, Err: err}
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
	if res := s.result(a.Action.Definition()); res != nil {
		if out, ok := res.Output(a.Output().Name); ok {
			return out, nil
		}
	}
	return action.OutputDigest{}, fmt.Errorf("%s has no result", a.Describe())
}

// result returns what is settled, by definition; nil for what is not.
func (s *schedule) result(definition action.Digest) *action.Result {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.graph.results[definition]
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
