package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"runtime"
	"time"

	"github.com/spf13/pflag"

	"github.com/labstar/labstar"
	"github.com/labstar/labstar/action"
	"github.com/labstar/labstar/internal/term"
)

func testCommand() command {
	return command{
		name: "test", args: "[FILE] [TEST…]",
		short: "run the tests of a script",
		long: `
Builds what the tests of the script (vm_test and the like) need, and runs them, all
if none are named. A name may be a pattern: 'boot*'. Of a target that is a dict of
tests, "boots.uefi" is one and "boots" are all.

A test that passed is not run again until something that it sees changes. One that
fails does not keep the others from running.

A file NAME_test.star tests a recipe: its functions test_… are run, each by itself, with
assert.eq(got, want), assert.ne, assert.true, assert.contains(in, what) and
assert.fails(function, pattern). They build nothing.`,
		examples: `
labstar test
labstar test examples/usbstick/lab.star 'boot*'
labstar test lib/web_test.star 'test_page*'
labstar test --list
labstar test --junit report.xml --quiet`,
		setup: func(a *app, fs *pflag.FlagSet) runner {
			o := &testOptions{runOptions: runOptions{app: a}}
			fs.BoolVarP(&o.list, "list", "l", false, "list the tests and whether they have passed, run nothing")
			fs.StringVar(&o.junit, "junit", "", "write a report in JUnit's XML to this `file`")
			fs.BoolVar(&o.failFast, "fail-fast", false, "start nothing new after a failure")
			fs.IntVarP(&o.jobs, "jobs", "j", runtime.NumCPU(), "how many jobs run at once (default: as many as there are cores)")
			fs.BoolVar(&o.locked, "locked", false, "fail if lab.lock lacks something, instead of adding it")
			a.quietFlag(fs)
			a.jsonFlag(fs)
			a.cacheFlag(fs)
			a.secretFlag(fs)
			return o.run
		},
	}
}

// testOptions are the flags of test.
type testOptions struct {
	runOptions
	list     bool
	failFast bool
	junit    string
}

// testEvent tells how a test ended; of --list, whether it has passed.
type testEvent struct {
	Event   string   `json:"event"` // "test"
	Name    string   `json:"name"`
	Status  string   `json:"status"`
	At      string   `json:"at"`
	Seconds float64  `json:"seconds,omitempty"`
	Message string   `json:"message,omitempty"`
	Log     string   `json:"log,omitempty"`
	Tail    []string `json:"tail,omitempty"`
}

// testSummary is the last event.
type testSummary struct {
	Event   string  `json:"event"` // "summary"
	Command string  `json:"command"`
	Passed  int     `json:"passed"`
	Failed  int     `json:"failed"`
	Cached  int     `json:"cached"`
	NotRun  int     `json:"not_run"`
	Seconds float64 `json:"seconds"`
	Exit    int     `json:"exit"`
}

func (o *testOptions) run(ctx context.Context, args []string) (err error) {
	a := o.app
	file, patterns := splitFile(args)
	if o.jobs < 1 {
		return usagef("test", "--jobs: got %d, want at least 1", o.jobs)
	}
	if isRecipeTest(file) {
		return o.runRecipe(ctx, file, patterns)
	}
	o.keepGoing = !o.failFast
	ls, lab, err := o.open(ctx, file)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, ls.Close()) }()
	tests, err := lab.Tests(patterns...)
	if err != nil {
		return err
	}
	if o.list {
		return o.listTests(ctx, ls, tests)
	}
	if len(lab.Wants) > 0 {
		if lab, err = o.fillLock(ctx, ls, lab); err != nil {
			return err
		}
		if tests, err = lab.Tests(patterns...); err != nil {
			return err
		}
	}
	a.targets = tests
	report, err := ls.BuildTargets(ctx, lab, tests)
	o.sink.close()
	if err != nil {
		return err
	}
	results := outcomes(tests, report)
	if o.junit != "" {
		if err := writeJUnit(o.junit, file, a.seconds(), results); err != nil {
			return err
		}
	}
	return o.tell(results)
}

// outcomes are how the tests ended, in their order.
func outcomes(tests []labstar.Target, report *labstar.Report) []testEvent {
	list := make([]testEvent, len(tests))
	for i, t := range tests {
		ev := testEvent{Event: "test", Name: t.Name, At: t.Site.String()}
		var failed *labstar.BuildError
		ev.Status, ev.Seconds, failed = report.Outcome(t)
		switch {
		case failed == nil && ev.Status == labstar.NotRun:
			ev.Message = "another one failed before"
		case failed == nil:
		case ev.Status == labstar.NotRun:
			ev.Message = failed.Action.Title + " failed"
			ev.Log, ev.Tail = failed.LogPath, failed.LogTail
		default:
			ev.Message, ev.Log, ev.Tail = failed.Err.Error(), failed.LogPath, failed.LogTail
		}
		list[i] = ev
	}
	return list
}

// tell prints a line for each test and the summary, and returns the exit code's error.
func (o *testOptions) tell(results []testEvent) error {
	a := o.app
	n := map[string]int{}
	for _, r := range results {
		n[r.Status]++
	}
	var failed error
	if n[labstar.Failed]+n[labstar.NotRun] > 0 {
		failed = errReported
	}
	switch {
	case a.json:
		for _, r := range results {
			if err := a.events.write(r); err != nil {
				return err
			}
		}
		ev := testSummary{Event: "summary", Command: "test", Passed: n[labstar.Passed], Failed: n[labstar.Failed],
			Cached: n[labstar.Cached], NotRun: n[labstar.NotRun], Seconds: a.seconds()}
		if failed != nil {
			ev.Exit = 1
		}
		return errors.Join(a.events.write(ev), failed)
	case a.quiet:
		return failed
	}
	if err := a.buffered(func(w io.Writer) error { return printOutcomes(w, a.outTerm, results) }); err != nil {
		return err
	}
	line := fmt.Sprintf("%d passed, %d failed, %d cached", n[labstar.Passed], n[labstar.Failed], n[labstar.Cached])
	if n[labstar.NotRun] > 0 {
		line += fmt.Sprintf(", %d not run", n[labstar.NotRun])
	}
	line += " in " + term.Duration(time.Since(a.started))
	switch {
	case failed != nil:
		line = a.term.Red(line)
	case len(results) > 0:
		line = a.term.Green(line)
	}
	a.say("%s", line)
	if len(results) == 0 {
		a.say("%s has no tests: a test is a public variable that holds one, such as boots = vm_test(…)", a.file)
	}
	return failed
}

func printOutcomes(w io.Writer, t term.Term, results []testEvent) error {
	width := 0
	for _, r := range results {
		width = max(width, term.Width(r.Name))
	}
	for _, r := range results {
		var word, more string
		switch r.Status {
		case labstar.Passed:
			word, more = t.Green("ok  "), term.Duration(time.Duration(r.Seconds*float64(time.Second)))
		case labstar.Cached:
			word, more = t.Green("ok  "), "(cached)"
		case labstar.Failed:
			word, more = t.Red("FAIL"), r.At
		default:
			word, more = t.Red("----"), "not run: "+r.Message
		}
		if _, err := fmt.Fprintf(w, "%s  %-*s  %s\n", word, width, r.Name, more); err != nil {
			return err
		}
	}
	return nil
}

func (o *testOptions) listTests(ctx context.Context, ls *labstar.Labstar, tests []labstar.Target) error {
	a := o.app
	missing := map[action.Digest]bool{}
	if len(tests) > 0 {
		plan, err := ls.PlanTargets(ctx, tests)
		if err != nil {
			return err
		}
		for _, s := range plan.Steps {
			missing[s.Action.Definition()] = true
		}
	}
	var list []testEvent
	for _, t := range tests {
		ev := testEvent{Event: "test", Name: t.Name, Status: labstar.Cached, At: t.Site.String()}
		if missing[t.Items[0].Artifact.Action.Definition()] {
			ev.Status = labstar.NotRun
		}
		list = append(list, ev)
	}
	return a.tellTests(list)
}

// tellTests lists tests, and whether they have passed.
func (a *app) tellTests(list []testEvent) error {
	width := 0
	for _, t := range list {
		width = max(width, term.Width(t.Name))
	}
	return a.buffered(func(w io.Writer) error {
		for _, t := range list {
			var err error
			if a.json {
				err = a.events.write(t)
			} else {
				_, err = fmt.Fprintf(w, "%-*s  %-7s  %s\n", width, t.Name, t.Status, t.At)
			}
			if err != nil {
				return err
			}
		}
		if a.json {
			return a.events.write(testSummary{Event: "summary", Command: "test", Seconds: a.seconds()})
		}
		return nil
	})
}
