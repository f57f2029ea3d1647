package engine

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/labstar/labstar/action"
	"github.com/labstar/labstar/internal/compile"
	"github.com/labstar/labstar/internal/jobserver"
	"github.com/labstar/labstar/internal/store"
)

// settle finds or makes the result of a node whose inputs are built.
func (e *Engine) settle(ctx context.Context, s *schedule, n *node, slot int) (res *action.Result, ran bool, err error) {
	a, st := n.action, e.opts.Store
	if len(a.Secrets) > 0 {
		res, err = e.Bind(ctx, a)
		return res, err == nil, err
	}
	name, ok := storeName(a, s.result)
	if !ok {
		return nil, false, fmt.Errorf("internal error: %s is run before what its secrets give", a.Title)
	}
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
		return true, st.PutResult(ctx, res, name)
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
	return res, true, st.PutResult(ctx, res, key, name)
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
	b, err := src.ReadAll(d)
	if err != nil {
		return nil, err
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
	var compiled *compile.Stats
	var err error
	if a.Op == action.Exec {
		res, compiled, err = e.runCommand(ctx, r, key)
	} else {
		res, err = e.runNative(ctx, r, key, slot)
	}
	if err != nil {
		return nil, err
	}
	elapsed := time.Since(start)
	res.Millis = elapsed.Milliseconds()
	e.emit(Event{Kind: EventFinish, Action: a, Slot: slot, Elapsed: elapsed, Result: res, Compiled: compiled})
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
