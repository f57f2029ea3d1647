package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"runtime"
	"slices"

	"github.com/spf13/pflag"

	"github.com/labstar/labstar/internal/cluster"
	"github.com/labstar/labstar/internal/term"
)

func diffCommand() command {
	return command{
		name: "diff", args: "[FILE] [TARGET…]",
		short: "show what an apply would change in the cluster",
		long: `
Builds the targets that are manifests, all if none are named, asks the cluster what an
apply of each object would make of it, and prints the fields that would differ from what
is there: what others set, and what the cluster fills in by itself, is no difference. The
values of Secrets are never shown. Nothing is changed.

The exit code is 0 if there is no difference, 1 if there are some, and 2 if something
went wrong, as that of kubectl diff.`,
		examples: `
labstar diff
labstar diff lab.star manifests --context kind-lab
labstar diff --quiet || labstar apply`,
		setup: func(a *app, fs *pflag.FlagSet) runner {
			o := &diffOptions{clusterOptions: clusterOptions{runOptions: runOptions{app: a, jobs: runtime.NumCPU()}}}
			o.flags(fs)
			fs.BoolVar(&o.choices.ForceConflicts, "force-conflicts", false, "as apply with that flag would")
			fs.BoolVar(&o.choices.Recreate, "recreate", false, "as apply with that flag would")
			o.buildFlags(fs)
			return o.run
		},
	}
}

// diffOptions are the flags of diff.
type diffOptions struct {
	clusterOptions
	choices cluster.Choices
}

// errDifferent ends a diff that found something.
var errDifferent = &exitError{code: 1, err: errReported}

func (o *diffOptions) run(ctx context.Context, args []string) error {
	different, err := o.diff(ctx, args)
	var usage *usageError
	switch {
	case errors.As(err, &usage):
		return err
	case err != nil:
		return &exitError{code: 2, err: err}
	case different:
		return errDifferent
	}
	return nil
}

func (o *diffOptions) diff(ctx context.Context, args []string) (bool, error) {
	file, names := splitFile(args)
	if err := o.connect(file); err != nil {
		return false, err
	}
	if _, err := o.cluster.UID(ctx); err != nil { // that it can't be reached is told before anything is built
		return false, err
	}
	sets, err := o.sets(ctx, file, names)
	if err != nil {
		return false, err
	}
	plan, err := o.cluster.Plan(ctx, sets, o.choices)
	if err != nil {
		return false, o.atTheirLines(ctx, err)
	}
	steps := slices.DeleteFunc(slices.Concat(plan.Steps, plan.Prune), func(s *cluster.Step) bool {
		return s.Verb == cluster.Keep || s.Verb == cluster.Leave
	})
	switch {
	case o.app.json:
		return len(steps) > 0, o.json(plan, steps)
	case o.app.quiet:
		return len(steps) > 0, nil
	}
	if len(steps) == 0 {
		o.app.say("no differences: %s of %s", plural(plan.Count(cluster.Keep), "object", "objects"), o.cluster)
	}
	return len(steps) > 0, o.app.buffered(func(w io.Writer) error {
		for _, s := range steps {
			o.print(w, s)
		}
		return nil
	})
}

// json writes an event for each object that differs.
func (o *diffOptions) json(p *cluster.Plan, steps []*cluster.Step) error {
	for _, s := range steps {
		if err := o.app.objectJSON(s.Object, string(s.Verb), s.Why, s.Differences()...); err != nil {
			return err
		}
	}
	return o.app.clusterSummaryJSON(p, min(len(steps), 1))
}

// print shows one object and the fields of it that differ.
func (o *diffOptions) print(w io.Writer, s *cluster.Step) {
	t := o.app.outTerm
	note := ""
	differences := s.Differences()
	switch {
	case s.Verb == cluster.Remove:
		note = "  (not in the script)" + s.Object.Loss()
	case s.Verb == cluster.Replace:
		note = "  (made anew: " + s.Why + " can't be changed)"
	case s.Verb == cluster.Change && len(differences) == 0:
		note = "  (labstar becomes the owner of its fields)"
	}
	fmt.Fprintf(w, "%s %s%s\n", mark(t, s.Verb), t.Bold(term.Clean(s.Object.String())), t.Dim(term.Clean(note)))
	for _, d := range differences {
		fmt.Fprintf(w, "    %s\n", term.Clean(d.String()))
		for _, line := range d.Lines {
			line = term.Clean(line)
			if line[0] == '+' {
				line = t.Green(line)
			} else {
				line = t.Red(line)
			}
			fmt.Fprintf(w, "      %s\n", line)
		}
	}
}
