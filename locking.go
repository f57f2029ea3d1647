package labstar

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"path/filepath"
	"slices"
	"strings"

	"github.com/labstar/labstar/internal/lock"
	"github.com/labstar/labstar/starlark/schema"
)

// LockFile is the name of the lock, beside the script.
const LockFile = "lab.lock"

// readLock reads lab.lock; a missing one is empty.
func (l *Labstar) readLock() (*lock.File, error) {
	if l.files != nil {
		b, err := fs.ReadFile(l.files, LockFile)
		if errors.Is(err, fs.ErrNotExist) {
			return lock.New(), nil
		}
		if err != nil {
			return nil, err
		}
		return lock.Parse(LockFile, b)
	}
	return lock.ReadFile(filepath.Join(l.dir, LockFile))
}

// LockChange is one entry that Lock added, changed or removed.
type LockChange struct {
	Kind, Name string
	Old, New   string // "" when added or removed
}

// Lock fills in what lab.lock lacks for lab, asking the network, and writes it.
// With all, everything that lab uses is resolved again; with update, the entries
// of those names are.
func (l *Labstar) Lock(ctx context.Context, lab *Lab, update []string, all bool) ([]LockChange, error) {
	if l.files != nil {
		return nil, errors.New("writing lab.lock: this script is not in a folder")
	}
	have, err := l.readLock()
	if err != nil {
		return nil, err
	}
	next, err := l.startLock(have, update, all)
	if err != nil {
		return nil, err
	}
	// What the script wants is found out by evaluating it against what is left.
	// What it wants may depend on what it gets (a version), so this goes on until
	// nothing is missing.
	for range lockRounds {
		pins := lock.NewPins(next)
		if _, err := l.evaluate(ctx, pins, lab.File, lab.text); err != nil {
			return nil, err
		}
		if len(pins.Wants()) == 0 {
			break
		}
		if err := l.resolve(ctx, pins.Wants(), next, update); err != nil {
			return nil, err
		}
	}
	changes := diffLocks(have, next)
	if len(changes) == 0 {
		return nil, nil
	}
	return changes, lock.WriteFile(filepath.Join(l.dir, LockFile), next)
}

// lockRounds ends the resolving of a script that always wants something else.
const lockRounds = 8

// resolve adds what wants need to next.
func (l *Labstar) resolve(ctx context.Context, wants []lock.Request, next *lock.File, update []string) error {
	byKind := map[string][]lock.Request{}
	for _, w := range wants {
		byKind[w.Kind] = append(byKind[w.Kind], w)
	}
	var errs []error
	for _, kind := range slices.Sorted(maps.Keys(byKind)) {
		resolver := l.resolvers[kind]
		if resolver == nil {
			return fmt.Errorf("lab.lock lacks a %s entry and nothing here can resolve it", kind)
		}
		env := lock.Env{Config: l.config, Progress: l.progress, Note: l.lockNote}
		errs = append(errs, resolver.Resolve(ctx, env, byKind[kind], next, update))
	}
	return errors.Join(errs...)
}

// startLock returns the entries that stay.
func (l *Labstar) startLock(have *lock.File, update []string, all bool) (*lock.File, error) {
	if all {
		return lock.New(), nil
	}
	next := have.Clone()
	for _, name := range update {
		if next.Remove(name) == 0 {
			msg := fmt.Sprintf("lab.lock has no entry %q", name)
			if s := schema.Suggest(name, have.Names()); s != "" {
				msg += fmt.Sprintf(" (did you mean %q?)", s)
			}
			return nil, &TargetError{msg}
		}
	}
	return next, nil
}

func diffLocks(old, now *lock.File) []LockChange {
	var list []LockChange
	before := map[[2]string]string{}
	for _, e := range old.Entries() {
		before[[2]string{e.Kind, e.Name}] = strings.Join(e.Fields, " ")
	}
	for _, e := range now.Entries() {
		k := [2]string{e.Kind, e.Name}
		s := strings.Join(e.Fields, " ")
		if was, ok := before[k]; !ok || was != s {
			list = append(list, LockChange{Kind: e.Kind, Name: e.Name, Old: was, New: s})
		}
		delete(before, k)
	}
	for k, was := range before {
		list = append(list, LockChange{Kind: k[0], Name: k[1], Old: was})
	}
	slices.SortFunc(list, func(a, b LockChange) int {
		return strings.Compare(a.Kind+" "+a.Name, b.Kind+" "+b.Name)
	})
	return list
}
