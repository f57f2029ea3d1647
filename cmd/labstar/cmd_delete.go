package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spf13/pflag"

	"github.com/labstar/labstar/internal/cluster"
	"github.com/labstar/labstar/internal/term"
	"github.com/labstar/labstar/starlark/schema"
)

func deleteCommand() command {
	return command{
		name: "delete", args: "[FILE] [TARGET…]",
		short: "take out of a cluster what apply brought into it",
		long: `
Removes from the cluster what "labstar apply" brought into it of the targets, of all that
the script has or had if none are named: in the reverse order, waiting until it is gone.
Nothing is built and the script is not run: what there is to remove is what the cluster
has recorded. It lists that and asks; --yes is for scripts.

The namespace, the context and the name have to be those of the apply.`,
		examples: `
labstar delete
labstar delete lab.star manifests --context kind-lab --yes`,
		setup: func(a *app, fs *pflag.FlagSet) runner {
			o := &clusterOptions{runOptions: runOptions{app: a}}
			o.flags(fs)
			fs.BoolVar(&o.noWait, "no-wait", false, "don't wait until what was removed is gone")
			o.waitFlags(fs)
			return o.delete
		},
	}
}

func (o *clusterOptions) delete(ctx context.Context, args []string) error {
	file, names := splitFile(args)
	if err := o.connect(file); err != nil {
		return err
	}
	if err := o.guard(ctx, false); err != nil {
		return err
	}
	for {
		err := o.deleteRecorded(ctx, names)
		if !errors.Is(err, cluster.ErrAltered) {
			return err
		}
	}
}

// deleteRecorded removes what is recorded now.
func (o *clusterOptions) deleteRecorded(ctx context.Context, names []string) error {
	sets, err := o.recorded(ctx, names)
	if err != nil {
		return err
	}
	a := o.app
	if len(sets) == 0 && a.json {
		return a.clusterSummaryJSON(&cluster.Plan{}, 0)
	}
	if len(sets) == 0 {
		a.say("nothing of %s is in namespace %s of %s", o.name, o.cluster.Namespace, o.cluster)
		return nil
	}
	steps, err := o.cluster.Held(ctx, sets)
	if err != nil {
		return err
	}
	for _, s := range steps {
		if a.json {
			break // each is told when it is gone
		}
		a.say("will remove %s%s", term.Clean(s.Object.String()), s.Object.Loss())
	}
	if err := o.confirm(ctx, fmt.Sprintf("Remove %s from %s?", plural(len(steps), "object", "objects"), o.cluster)); err != nil {
		return err
	}
	hold, err := o.hold(ctx, sets)
	if err != nil {
		return err
	}
	defer hold.Release()
	tell, end := o.watch()
	began := time.Now()
	err = hold.Cause(o.cluster.Delete(hold.Context, sets, steps, cluster.Waiting{Timeout: o.timeout, NoGone: o.noWait, Tell: tell}))
	end()
	if err != nil {
		o.tellHeld(steps, err)
		return err
	}
	switch {
	case a.json:
		return a.clusterSummaryJSON(&cluster.Plan{Prune: steps}, 0)
	case !a.quiet:
		a.say("%s", a.term.Green(fmt.Sprintf("removed %s in %s", plural(len(steps), "object", "objects"), term.Duration(time.Since(began)))))
	}
	return nil
}

// recorded are the sets of the named targets, all if none are named.
func (o *clusterOptions) recorded(ctx context.Context, names []string) ([]*cluster.Set, error) {
	all, err := o.cluster.Sets(ctx, o.name)
	if err != nil || len(names) == 0 {
		return all, err
	}
	var have []string
	for _, s := range all {
		have = append(have, s.Target)
	}
	var picked []*cluster.Set
	for _, name := range names {
		i := slices.Index(have, name)
		if i < 0 {
			hint := ""
			if s := schema.Suggest(name, have); s != "" {
				hint = fmt.Sprintf(" (did you mean %q?)", s)
			}
			if len(have) == 0 {
				return nil, fmt.Errorf("nothing of %s is in namespace %s of %s; --namespace and --name have to be those of the apply", o.name, o.cluster.Namespace, o.cluster)
			}
			return nil, fmt.Errorf("%s has no target %q in %s%s; it has: %s", o.name, name, o.cluster, hint, strings.Join(have, ", "))
		}
		picked = append(picked, all[i])
	}
	return picked, nil
}

// tellHeld tells how far a deletion got.
func (o *clusterOptions) tellHeld(steps []*cluster.Step, err error) {
	var left []string
	for _, s := range steps {
		if !s.Done && o.app.json {
			_ = o.app.objectJSON(s.Object, "pending", "") // the next event reports it
		} else if !s.Done {
			left = append(left, s.Object.String())
		}
	}
	if len(left) > 0 {
		o.app.say("%d of %d objects are gone; not yet: %s", len(steps)-len(left), len(steps), term.Clean(strings.Join(left, ", ")))
	}
	if errors.Is(err, context.Canceled) && !o.app.json {
		o.app.say("the same command goes on from here")
	}
}
