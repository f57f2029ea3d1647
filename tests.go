package labstar

import (
	"context"
	"errors"
	"fmt"
	"path"
	"slices"

	"github.com/labstar/labstar/action"
	"github.com/labstar/labstar/internal/lock"
	"github.com/labstar/labstar/starlark/schema"
	"github.com/labstar/labstar/starlark/startest"
)

// withoutTests returns the targets less the tests in them.
func (lab *Lab) withoutTests() []Target {
	isTest := func(i Item) bool { return i.Type == TestType }
	var kept []Target
	for _, t := range lab.Targets {
		if slices.ContainsFunc(t.Items, isTest) {
			t.Items = slices.DeleteFunc(slices.Clone(t.Items), isTest)
		}
		if len(t.Items) > 0 {
			kept = append(kept, t)
		}
	}
	return kept
}

// Tests returns the tests that the patterns name, all if there are none, each as a
// target of one item: "boots", and "boots.uefi" of a target that is a dict. A
// pattern is a test's name, that of a target with several, or has *, ? and [a-z]
// as in file names. One that names no test is a *TargetError.
func (lab *Lab) Tests(patterns ...string) ([]Target, error) {
	var all []Target
	var names []string
	in := map[string]string{} // the target of each
	for _, t := range lab.Targets {
		for _, item := range t.Items {
			if item.Type != TestType {
				continue
			}
			one := Target{Name: t.Name, Type: TestType, Site: t.Site, Items: []Item{{Type: TestType, Artifact: item.Artifact}}}
			if item.Path != "" {
				one.Name += "." + item.Path
			}
			all = append(all, one)
			names = append(names, one.Name)
			in[one.Name] = t.Name
		}
	}
	if len(patterns) == 0 {
		return all, nil
	}
	picked, err := pickTests(lab.File, names, in, patterns)
	if picked == nil {
		return nil, err
	}
	return slices.DeleteFunc(all, func(t Target) bool { return !picked[t.Name] }), err
}

// pickTests returns which of a file's tests the patterns name; in has the target of
// each where there are targets. It is nil if a pattern is none.
func pickTests(file string, names []string, in map[string]string, patterns []string) (map[string]bool, error) {
	picked := map[string]bool{}
	var errs []error
	for _, p := range patterns {
		found := false
		for _, name := range names {
			match, err := path.Match(p, name)
			if err != nil {
				return nil, &TargetError{fmt.Sprintf("got the pattern %q, want a name, or one with *, ? and [a-z]", p)}
			}
			if target, ok := in[name]; match || ok && p == target {
				picked[name], found = true, true
			}
		}
		if !found {
			errs = append(errs, noTest(file, p, names))
		}
	}
	return picked, errors.Join(errs...)
}

// RecipeTests evaluates a file of tests, NAME_test.star, which has the module assert,
// and returns those of its functions test_… that the patterns name, as Lab.Tests does.
// They build nothing.
func (l *Labstar) RecipeTests(ctx context.Context, file string, patterns ...string) ([]startest.Test, error) {
	locked, err := l.readLock()
	if err != nil {
		return nil, err
	}
	cfg := l.bareConfig(lock.NewPins(locked))
	all, err := startest.Tests(ctx, cfg, cfg.FS, file)
	if err != nil || len(patterns) == 0 {
		return all, err
	}
	var names []string
	for _, t := range all {
		names = append(names, t.Name)
	}
	picked, err := pickTests(file, names, nil, patterns)
	if err != nil {
		return nil, err
	}
	return slices.DeleteFunc(all, func(t startest.Test) bool { return !picked[t.Name] }), nil
}

func noTest(file, name string, names []string) error {
	msg := fmt.Sprintf("%s has no test %q", file, name)
	if s := schema.Suggest(name, names); s != "" {
		msg += fmt.Sprintf(" (did you mean %q?)", s)
	}
	return &TargetError{msg}
}

// The outcomes of a test.
const (
	Passed = "passed"
	Failed = "failed"
	Cached = "cached"  // it passed before, with the same inputs
	NotRun = "not run" // something that it needs failed
)

// Outcome tells how a test ended in a build, how long it ran, and what failed: the
// test, or something that it needs.
func (r *Report) Outcome(test Target) (outcome string, seconds float64, failure *BuildError) {
	a := test.Items[0].Artifact
	if _, ok := r.Output(a); ok {
		if ran := r.RanActions[a.Action.Definition()]; ran != nil {
			return Passed, float64(ran.Millis) / 1000, nil
		}
		return Cached, 0, nil
	}
	failed := map[action.Digest]*BuildError{}
	for _, err := range r.Errors {
		if errors.As(err, &failure) {
			failed[failure.Action.Definition()] = failure
		}
	}
	if failure = failed[a.Action.Definition()]; failure != nil {
		return Failed, 0, failure
	}
	return NotRun, 0, firstFailed(a.Action, failed, map[*action.Action]bool{})
}

// firstFailed returns the failure of an action below a, in the order of inputs.
func firstFailed(a *action.Action, failed map[action.Digest]*BuildError, seen map[*action.Action]bool) *BuildError {
	if f := failed[a.Definition()]; f != nil || seen[a] {
		return f
	}
	seen[a] = true
	var found *BuildError
	a.Deps(func(in *action.Artifact) {
		if found == nil {
			found = firstFailed(in.Action, failed, seen)
		}
	})
	return found
}
