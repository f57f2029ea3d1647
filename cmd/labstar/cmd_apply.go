package main

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"strings"
	"time"

	"github.com/spf13/pflag"

	"github.com/labstar/labstar/internal/cluster"
	"github.com/labstar/labstar/internal/term"
)

func applyCommand() command {
	return command{
		name: "apply", args: "[FILE] [TARGET…]",
		short: "bring manifests into a Kubernetes cluster",
		long: `
Builds the targets that are manifests, all if none are named, and applies them to the
cluster of your kubeconfig, as its current context says. The server is asked first what
would change; what it would refuse is told before anything is changed. Then objects are
applied in order of dependency (namespaces and definitions of kinds first, webhooks
last), and waited for until they are ready, or until it is clear why they are not.

What was applied and is no longer in the script is removed, once the rest is ready. A
ConfigMap or Secret that a pod, or a revision that is kept, still uses stays until it is
not; those with a hash in their names then go without a question. Fields of labstar's are its own: one that somebody else set to another value is a
conflict, which tells who. What can't be changed (a Job's template, a Deployment's
selector) needs --recreate.

What is superfluous or replaced is removed after a question, or with --yes. The first
apply of a script records the cluster in labstar's settings; another cluster later is
refused unless --context names it, or --cluster-change makes it the script's.

Values of secret(…) are filled in now, from where "labstar help run" says; they are never
shown. An apply that was interrupted is gone on with by the next one; of two at the same
time the second waits for the first.`,
		examples: `
labstar apply
labstar apply examples/tiny/lab.star manifests --context kind-lab
labstar apply --dry-run=server
labstar apply --yes --timeout 10m --secret db=password.txt`,
		setup: func(a *app, fs *pflag.FlagSet) runner {
			o := &applyOptions{clusterOptions: clusterOptions{runOptions: runOptions{app: a, jobs: runtime.NumCPU()}}}
			o.flags(fs)
			fs.StringVar(&o.dryRun, "dry-run", "none", "change nothing: `server` asks the cluster, client only lists the objects")
			fs.BoolVar(&o.noWait, "no-wait", false, "don't wait until what was applied is ready")
			fs.BoolVar(&o.choices.ForceConflicts, "force-conflicts", false, "take over fields and objects that others own")
			fs.BoolVar(&o.choices.Recreate, "recreate", false, "remove and make anew what can't be changed")
			o.waitFlags(fs)
			fs.DurationVar(&o.patience, "patience", 30*time.Second, "how `long` an image may fail to be pulled, or a container to start, before the wait ends")
			o.buildFlags(fs)
			return o.run
		},
	}
}

// applyOptions are the flags of apply.
type applyOptions struct {
	clusterOptions
	dryRun  string
	choices cluster.Choices
}

func (o *applyOptions) run(ctx context.Context, args []string) error {
	file, names := splitFile(args)
	if err := oneOf("apply", "dry-run", o.dryRun, "none", "client", "server"); err != nil {
		return err
	}
	if o.dryRun == "client" {
		return o.listObjects(ctx, file, names)
	}
	// What speaks against the cluster is told before anything is built.
	if err := o.connect(file); err != nil {
		return err
	}
	if o.dryRun == "none" {
		if err := o.guard(ctx, false); err != nil {
			return err
		}
	}
	sets, err := o.sets(ctx, file, names)
	if err != nil {
		return err
	}
	for {
		plan, err := o.cluster.Plan(ctx, sets, o.choices)
		if err != nil {
			return o.atTheirLines(ctx, err)
		}
		if o.dryRun == "server" {
			return o.showPlan(plan)
		}
		if err := o.ask(ctx, plan); err != nil {
			return err
		}
		if err := o.guard(ctx, true); err != nil {
			return err
		}
		hold, err := o.hold(ctx, plan.Sets)
		if errors.Is(err, cluster.ErrAltered) {
			continue // what there is to do is another thing now
		}
		if err != nil {
			return err
		}
		return o.apply(hold, plan)
	}
}

// listObjects tells what would be applied, in that order, without a cluster.
func (o *applyOptions) listObjects(ctx context.Context, file string, names []string) error {
	built, err := o.manifests(ctx, file, names)
	if err != nil {
		return err
	}
	var all []*cluster.Object
	for _, t := range built {
		all = append(all, t.objects...)
	}
	for _, obj := range cluster.InOrder(all) {
		if !o.app.json {
			o.app.printf("%s\n", term.Clean(obj.String()))
		} else if err := o.app.objectJSON(obj, "", ""); err != nil {
			return err
		}
	}
	if o.app.json {
		return o.app.clusterSummaryJSON(&cluster.Plan{}, 0)
	}
	return nil
}

// showPlan prints a line for each object.
func (o *applyOptions) showPlan(p *cluster.Plan) error {
	t := o.app.outTerm
	for _, s := range slices.Concat(p.Steps, p.Prune) {
		if o.app.json {
			if err := o.app.objectJSON(s.Object, string(s.Verb), s.Why); err != nil {
				return err
			}
			continue
		}
		why := ""
		if s.Why != "" {
			why = t.Dim(" (" + term.Clean(s.Why) + ")")
		}
		o.app.printf("%s %-7s %s%s\n", mark(t, s.Verb), s.Verb, term.Clean(s.Object.String()), why)
	}
	switch {
	case o.app.json:
		return o.app.clusterSummaryJSON(p, 0)
	case !o.app.quiet:
		o.app.say("dry run: nothing was changed in %s", o.cluster)
	}
	return nil
}

// ask lists what would be lost and asks.
func (o *applyOptions) ask(ctx context.Context, p *cluster.Plan) error {
	var lost []string
	hashed := 0
	for _, s := range slices.Concat(p.Steps, p.Prune) {
		switch {
		case s.Verb == cluster.Remove && s.Object.Hashed():
			hashed++ // made again whenever it is needed
		case s.Verb == cluster.Remove:
			lost = append(lost, "remove "+s.Object.String()+s.Object.Loss())
		case s.Verb == cluster.Replace:
			lost = append(lost, fmt.Sprintf("replace %s, since %s can't be changed", s.Object, s.Why))
		}
	}
	if len(lost) == 0 {
		return nil
	}
	for _, l := range lost {
		if !o.app.json {
			o.app.say("will %s", term.Clean(l))
		}
	}
	return o.confirm(ctx, fmt.Sprintf("%s, in %s?", question(p, hashed), o.cluster))
}

// question words what is lost.
func question(p *cluster.Plan, hashed int) string {
	var parts []string
	if n := p.Count(cluster.Remove) - hashed; n > 0 {
		parts = append(parts, "remove "+plural(n, "object", "objects"))
	}
	if n := p.Count(cluster.Replace); n > 0 {
		parts = append(parts, "replace "+plural(n, "object", "objects"))
	}
	text := strings.Join(parts, " and ")
	return strings.ToUpper(text[:1]) + text[1:]
}

// apply carries the plan out.
func (o *applyOptions) apply(hold *cluster.Hold, p *cluster.Plan) error {
	defer hold.Release()
	ctx := hold.Context
	tell, end := o.watch()
	w := cluster.Waiting{Timeout: o.timeout, Patience: o.patience, NoGone: o.noWait, Tell: tell}
	began := time.Now()
	err := o.cluster.Apply(hold, p, o.choices, w)
	if err == nil && !o.noWait {
		err = o.cluster.Wait(ctx, p.Objects(), w)
	}
	pruned := err == nil
	if pruned {
		err = o.cluster.Prune(ctx, p, w)
	}
	err = hold.Cause(err)
	end()
	if err != nil {
		o.tellLeft(p, pruned, err)
		return err
	}
	switch {
	case o.app.json:
		return o.app.clusterSummaryJSON(p, 0)
	case !o.app.quiet:
		o.app.say("%s", o.app.term.Green(o.summary(p, time.Since(began))))
	}
	return nil
}

// tellLeft tells how far an apply got.
func (o *applyOptions) tellLeft(p *cluster.Plan, pruned bool, err error) {
	var left []string
	done := 0
	for _, s := range p.Steps {
		if s.Done {
			done++
		} else {
			left = append(left, s.Object.String())
		}
	}
	a := o.app
	if a.json {
		for _, s := range p.Steps {
			if !s.Done {
				_ = a.objectJSON(s.Object, "pending", "") // the next event reports it
			}
		}
		return
	}
	rest := ""
	if len(left) > 0 {
		rest = "; not yet: " + term.Clean(strings.Join(left, ", "))
	}
	a.say("applied %d of %s%s", done, plural(len(p.Steps), "object", "objects"), rest)
	if n := p.Count(cluster.Remove); n > 0 && !pruned {
		a.say("nothing was removed: %s to go once the rest is ready", plural(n, "object is", "objects are"))
	}
	if errors.Is(err, context.Canceled) {
		a.say("the same command goes on from here")
	}
}

func (o *applyOptions) summary(p *cluster.Plan, d time.Duration) string {
	var parts []string
	for _, v := range []cluster.Verb{cluster.Create, cluster.Change, cluster.Replace, cluster.Remove} {
		if n := p.Count(v); n > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", n, past[v]))
		}
	}
	if n := p.Count(cluster.Keep); n > 0 {
		parts = append(parts, fmt.Sprintf("%d unchanged", n))
	}
	for _, s := range p.Prune {
		if s.Verb == cluster.Leave {
			parts = append(parts, fmt.Sprintf("%s left, since %s", s.Object, s.Why))
		}
	}
	line := strings.Join(parts, ", ")
	if !o.noWait {
		line += ", all ready"
	}
	return fmt.Sprintf("%s in %s", line, term.Duration(d))
}
