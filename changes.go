package labstar

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"

	"github.com/labstar/labstar/action"
	"github.com/labstar/labstar/internal/engine"
	"github.com/labstar/labstar/internal/history"
	"github.com/labstar/labstar/internal/store"
)

// Cause is one first reason for which a target is built again.
type Cause = history.Cause

// TargetChange is a target that is not what it was in the last run.
type TargetChange struct {
	Target string
	Causes []Cause
}

// The store keeps the graphs of the last run and of the one before it that
// differed, for each script.
func (l *Labstar) note(lab *Lab, which string) string {
	sum := sha256.Sum256([]byte(l.dir + "\x00" + lab.File))
	return "run-" + hex.EncodeToString(sum[:12]) + "-" + which
}

func (l *Labstar) recall(lab *Lab, which string) (*history.Graph, error) {
	st, err := l.openStore()
	if err != nil {
		return nil, err
	}
	b, err := st.Note(l.note(lab, which))
	if errors.Is(err, store.ErrNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	return history.Decode(b)
}

// remember records the graph of a run, keeping the one before it that differed.
func (r *Report) remember() error {
	l, lab, rep := r.owner, r.lab, r.Report
	// The note of the targets alone spares reading the whole graph.
	state := targetState(lab.Targets, rep)
	have, err := l.store.Note(l.note(lab, "targets"))
	same := err == nil && bytes.Equal(have, state)
	if same && rep.Ran == 0 {
		return nil
	}
	err = r.record(same, state)
	if rep.Ran == 0 {
		return nil // with all of it there, a store that can't be written will do
	}
	return err
}

func (r *Report) record(same bool, state []byte) error {
	l, lab, rep := r.owner, r.lab, r.Report
	graph := history.Capture(named(lab.Targets), history.Run{
		Ran:    func(d action.Digest) bool { return rep.RanActions[d] != nil },
		Result: rep.Result,
	})
	if old, err := l.store.Note(l.note(lab, "last")); err == nil && !same {
		r.before, r.graph = old, graph
		if err := l.store.PutNote(l.note(lab, "before"), old); err != nil {
			return err
		}
	}
	b, err := graph.Encode()
	if err != nil {
		return err
	}
	return errors.Join(l.store.PutNote(l.note(lab, "last"), b), l.store.PutNote(l.note(lab, "targets"), state))
}

// Altered is a target's action in two runs.
type Altered = history.Pair

// Altered returns those of the targets that the op makes with other parameters than in
// the last run. Late-bound strings are the names of what they come from.
func (l *Labstar) Altered(ctx context.Context, lab *Lab, op string, targets ...string) ([]Altered, error) {
	picked, err := lab.pick(targets)
	if err != nil {
		return nil, err
	}
	last, err := l.recall(lab, "last")
	if err != nil || last == nil {
		return nil, err
	}
	return history.Targets(last, history.Capture(named(picked), history.Run{}), op), nil
}

// Altered is Labstar.Altered of the run that the report is about, and the one before it.
func (r *Report) Altered(op string) ([]Altered, error) {
	if r.graph == nil || !r.graph.Has(op) {
		return nil, nil
	}
	old, err := history.Decode(r.before)
	if err != nil {
		return nil, err
	}
	return history.Targets(old, r.graph, op), nil
}

// targetState is a digest of the targets' names and definitions, and of what
// their secrets gave.
func targetState(targets []Target, rep *engine.Report) []byte {
	h := sha256.New()
	for _, t := range named(targets) {
		d := t.Artifact.Action.Definition()
		fmt.Fprintf(h, "%q %d ", t.Name, t.Artifact.Index)
		h.Write(d.Hash[:])
		for _, b := range t.Artifact.Action.Bound() {
			if res := rep.Result(b.Definition()); res != nil {
				bare := action.Result{Outputs: res.Outputs}
				h.Write(bare.Encode())
			}
		}
	}
	return h.Sum(nil)
}

// Changes tells why the targets differ from the last run; nil for those that
// don't. Without a last run there is nothing to tell.
func (l *Labstar) Changes(ctx context.Context, lab *Lab, targets ...string) ([]TargetChange, error) {
	picked, err := lab.pick(targets)
	if err != nil {
		return nil, err
	}
	last, err := l.recall(lab, "last")
	if err != nil || last == nil {
		return nil, err
	}
	bound, err := l.bind(ctx, lab)
	if err != nil {
		return nil, err
	}
	now := history.Capture(named(lab.Targets), history.Run{Result: bound})
	return l.diff(ctx, last, now, named(picked), liveSources(named(picked))), nil
}

// bind returns what the secrets of the lab give, by definition; those that are
// not given give nothing.
func (l *Labstar) bind(ctx context.Context, lab *Lab) (func(action.Digest) *action.Result, error) {
	results := map[action.Digest]*action.Result{}
	find := func(d action.Digest) *action.Result { return results[d] }
	var bound []*action.Action
	for _, a := range artifacts(lab.Targets) {
		bound = append(bound, a.Action.Bound()...)
	}
	if len(bound) == 0 {
		return find, nil
	}
	e, err := l.newEngine()
	if err != nil {
		return nil, err
	}
	for _, b := range bound {
		if results[b.Definition()] == nil {
			if res, err := e.Bind(ctx, b); err == nil {
				results[b.Definition()] = res
			}
		}
	}
	return find, e.Close()
}

// ErrNoHistory is returned by Why when there was no run, or only one.
var ErrNoHistory = errors.New("no earlier run to compare with")

// Why tells what made the target be built again in the last run that built
// anything, against the run before it.
func (l *Labstar) Why(ctx context.Context, lab *Lab, target string) ([]TargetChange, error) {
	picked, err := lab.pick([]string{target})
	if err != nil {
		return nil, err
	}
	last, err := l.recall(lab, "last")
	if err != nil {
		return nil, err
	}
	before, err := l.recall(lab, "before")
	if err != nil {
		return nil, err
	}
	if last == nil || before == nil {
		return nil, ErrNoHistory
	}
	return l.diff(ctx, before, last, named(picked), nil), nil
}
