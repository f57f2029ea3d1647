package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"runtime"
	"strings"
	"time"

	"github.com/spf13/pflag"

	"github.com/labstar/labstar"
	"github.com/labstar/labstar/action"
	"github.com/labstar/labstar/internal/engine"
	"github.com/labstar/labstar/internal/term"
)

func planCommand() command {
	return command{
		name: "plan", args: "[FILE] [TARGET…]",
		short: "tell what a run would do, and what changed since the last one",
		long: `
Tells what changed since the last run and the line of the script that set it, which
steps a run would take, and about how long that takes. It runs none of them, but for
one: where options of a kernel changed and its configuration is made in seconds, plan
makes it and tells which other options come with them. Of manifests it tells which
fields a cluster that has the objects of the last run would refuse to change.

A step marked "perhaps" has inputs that would be built first: if they come out as
they were, it needs not run.`,
		examples: `
labstar plan
labstar plan examples/tiny/lab.star page`,
		setup: func(a *app, fs *pflag.FlagSet) runner {
			jobs := fs.IntP("jobs", "j", runtime.NumCPU(), "how many jobs would run at once (default: as many as there are cores)")
			a.jsonFlag(fs)
			a.cacheFlag(fs)
			a.secretFlag(fs)
			return func(ctx context.Context, args []string) error {
				if *jobs < 1 {
					return usagef("plan", "--jobs: got %d, want at least 1", *jobs)
				}
				file, targets := splitFile(args)
				return a.plan(ctx, file, targets, *jobs)
			}
		},
	}
}

// stepEvent is a step of a plan.
type stepEvent struct {
	Event   string  `json:"event"` // "step"
	ID      string  `json:"id"`
	Title   string  `json:"title"`
	Op      string  `json:"op"`
	At      string  `json:"at,omitempty"`
	Sure    bool    `json:"sure"`
	Seconds float64 `json:"seconds"`
}

// planEvent is the last line of plan --json.
type planEvent struct {
	Event     string  `json:"event"` // "summary"
	Command   string  `json:"command"`
	ToRun     int     `json:"to_run"`
	Perhaps   int     `json:"perhaps"` // of those, the ones that may turn out to be there
	Cached    int     `json:"cached"`
	Estimated float64 `json:"estimated"` // seconds; steps that never ran count nothing
	Unlocked  int     `json:"unlocked"`  // entries that lab.lock lacks
	Seconds   float64 `json:"seconds"`
	Exit      int     `json:"exit"`
}

func (a *app) plan(ctx context.Context, file string, targets []string, jobs int) (err error) {
	ls, lab, err := a.load(ctx, file, labstar.WithJobs(jobs))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, ls.Close()) }()
	changes, err := ls.Changes(ctx, lab, targets...)
	if err != nil {
		return err
	}
	altered, err := ls.Altered(ctx, lab, manifestOp, targets...)
	if err != nil {
		return err
	}
	fixed, err := a.fixedSince(ctx, ls, lab, altered)
	if err != nil {
		return err
	}
	plan, err := ls.Plan(ctx, lab, targets...)
	if err != nil {
		return err
	}
	if err := ls.Preview(ctx, lab, changes); err != nil {
		return err
	}
	if a.json {
		if err := a.fixedJSON(fixed); err != nil {
			return err
		}
		return a.planJSON(lab, plan, changes, jobs)
	}
	return a.buffered(func(w io.Writer) error {
		if len(changes) > 0 {
			fmt.Fprintln(w, a.outTerm.Bold("changed since the last run:"))
			a.printChanges(w, changes)
			if len(fixed) > 0 {
				fmt.Fprintf(w, "\n%s\n", a.outTerm.Bold(refusal))
				fixed.Render(w, a.outTerm.Color)
			}
			fmt.Fprintln(w)
		}
		a.printSteps(w, plan)
		a.printEstimate(w, plan, jobs)
		if n := len(lab.Wants); n > 0 {
			fmt.Fprintf(w, "%s lacks %s, so more may change: run `labstar lock`\n", labstar.LockFile, plural(n, "entry", "entries"))
		}
		return nil
	})
}

func (a *app) planJSON(lab *labstar.Lab, plan *engine.Plan, changes []labstar.TargetChange, jobs int) error {
	err := a.changesJSON(changes)
	perhaps := 0
	for _, s := range plan.Steps {
		if !s.Sure {
			perhaps++
		}
		err = errors.Join(err, a.events.write(stepEvent{
			Event: "step", ID: s.Action.Definition().Hex(), Title: s.Action.Title, Op: s.Action.Op.Name, At: at(s.Action),
			Sure: s.Sure, Seconds: float64(s.Millis) / 1000,
		}))
	}
	estimate, _ := estimate(plan.Steps, jobs)
	return errors.Join(err, a.events.write(planEvent{
		Event: "summary", Command: "plan", ToRun: len(plan.Steps), Perhaps: perhaps, Cached: plan.Cached,
		Estimated: estimate.Seconds(), Unlocked: len(lab.Wants), Seconds: a.seconds(),
	}))
}

func (a *app) printSteps(w io.Writer, plan *engine.Plan) {
	if len(plan.Steps) == 0 {
		return
	}
	t := a.outTerm
	fmt.Fprintln(w, t.Bold("would run:"))
	width := 0
	for _, s := range plan.Steps {
		width = max(width, min(term.Width(term.Clean(s.Action.Title)), 50))
	}
	for _, s := range plan.Steps {
		title := term.Clean(s.Action.Title)
		var notes []string
		if s.Millis > 0 {
			notes = append(notes, term.Duration(time.Duration(s.Millis)*time.Millisecond))
		}
		if !s.Sure {
			notes = append(notes, "perhaps")
		}
		if len(s.Action.Site) > 0 {
			notes = append(notes, s.Action.Site[0].String())
		}
		pad := strings.Repeat(" ", max(width-term.Width(title), 0))
		fmt.Fprintf(w, "  %s%s  %s\n", title, pad, t.Dim(strings.Join(notes, "  ")))
	}
}

func (a *app) printEstimate(w io.Writer, plan *engine.Plan, jobs int) {
	if len(plan.Steps) == 0 {
		fmt.Fprintf(w, "nothing to run, %d cached\n", plan.Cached)
		return
	}
	line := fmt.Sprintf("%d to run, %d cached", len(plan.Steps), plan.Cached)
	about, fresh := estimate(plan.Steps, jobs)
	if about >= 100*time.Millisecond {
		line += ", about " + term.Duration(about)
	}
	if fresh > 0 {
		line += fmt.Sprintf(" (%s never ran before)", plural(fresh, "step", "steps"))
	}
	fmt.Fprintln(w, line)
}

// estimate tells how long the steps take by what they took before: their sum
// over the jobs, but at least the longest chain. fresh counts those not known.
func estimate(steps []engine.Step, jobs int) (about time.Duration, fresh int) {
	var sum, longest int64
	ends := map[action.Digest]int64{}
	for _, s := range steps { // inputs come first
		if s.Millis == 0 {
			fresh++
		}
		var start int64
		s.Action.Deps(func(in *action.Artifact) { start = max(start, ends[in.Action.Definition()]) })
		end := start + s.Millis
		ends[s.Action.Definition()] = end
		sum += s.Millis
		longest = max(longest, end)
	}
	return time.Duration(max(sum/int64(jobs), longest)) * time.Millisecond, fresh
}
