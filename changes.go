package labstar

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"

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

// remember records a run in which something was built. Targets that this run
// left out keep their old record.
func (l *Labstar) remember(lab *Lab, picked []Target, rep *engine.Report) error {
	if rep.Ran == 0 && rep.Failed == 0 {
		if have, err := l.recall(lab, "last"); err != nil || have != nil && sameTargets(have, picked) {
			return err
		}
	}
	old, err := l.store.Note(l.note(lab, "last"))
	if err == nil {
		if err := l.store.PutNote(l.note(lab, "before"), old); err != nil {
			return err
		}
	}
	b, err := history.Capture(named(lab.Targets), history.Run{
		Ran:    func(d action.Digest) bool { return rep.RanActions[d] != nil },
		Result: rep.Result,
	}).Encode()
	if err != nil {
		return err
	}
	return l.store.PutNote(l.note(lab, "last"), b)
}

// sameTargets reports whether the record has the targets as they are now.
func sameTargets(g *history.Graph, targets []Target) bool {
	for _, t := range named(targets) {
		n, ok := g.Find(t.Name)
		if !ok || n.Definition != t.Artifact.Action.Definition().Hex() {
			return false
		}
	}
	return true
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
	now := history.Capture(named(lab.Targets), history.Run{})
	return l.diff(ctx, last, now, named(picked), liveSources(named(picked))), nil
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
