package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"time"

	"github.com/spf13/pflag"

	"github.com/labstar/labstar"
	"github.com/labstar/labstar/action"
	"github.com/labstar/labstar/internal/term"
	"github.com/labstar/labstar/internal/trace"
)

func runCommand() command {
	return command{
		name: "run", args: "[FILE] [TARGET…]",
		short: "build targets and lay them under out/",
		long: `
Evaluates the script FILE (lab.star if none is named, or the one in the folder
FILE), builds the targets, all if none are named, and lays each under out/ by its
name: as a link into the store, or as a copy with --copy.

What the script uses for the first time is pinned in lab.lock, beside the script;
nothing else ever changes what is pinned but "labstar lock".`,
		examples: `
labstar run
labstar run examples/tiny/lab.star page --out /tmp/site
labstar run --copy --jobs 4
labstar run --json | jq 'select(.event == "fail")'
labstar run --debug lab.star busybox     # a shell where it failed`,
		setup: func(a *app, fs *pflag.FlagSet) runner {
			o := &runOptions{app: a}
			fs.StringVar(&o.out, "out", "out", "`folder` to lay the targets in")
			fs.BoolVar(&o.copies, "copy", false, "lay copies instead of links")
			fs.IntVarP(&o.jobs, "jobs", "j", runtime.NumCPU(), "how many jobs run at once (default: as many as there are cores)")
			fs.BoolVarP(&o.keepGoing, "keep-going", "k", false, "after a failure, build what does not depend on it")
			fs.BoolVar(&o.locked, "locked", false, "fail if lab.lock lacks something, instead of adding it")
			fs.BoolVar(&o.debug, "debug", false, "open a shell in the sandbox of a command that fails")
			a.quietFlag(fs)
			fs.StringVar(&o.trace, "trace", "", "write a trace for https://ui.perfetto.dev to this `file`")
			a.jsonFlag(fs)
			a.cacheFlag(fs)
			a.secretFlag(fs)
			return o.run
		},
	}
}

// runOptions are the flags of run, and what it works on.
type runOptions struct {
	app       *app
	out       string
	trace     string
	jobs      int
	copies    bool
	keepGoing bool
	locked    bool
	debug     bool

	tracer   *trace.Trace
	sink     sink
	lookedUp bool // events came
}

// summaryEvent is the last event of a command with --json.
type summaryEvent struct {
	Event   string  `json:"event"` // "summary"
	Command string  `json:"command"`
	Ran     int     `json:"ran"`
	Cached  int     `json:"cached"`
	Failed  int     `json:"failed"`
	Skipped int     `json:"skipped"`
	Seconds float64 `json:"seconds"` // of the whole command
	Exit    int     `json:"exit"`    // the exit code
}

func (o *runOptions) run(ctx context.Context, args []string) (err error) {
	a := o.app
	file, targets := splitFile(args)
	if err := o.check(); err != nil {
		return err
	}
	if o.trace != "" {
		o.tracer = trace.New(a.started)
		defer func() { err = errors.Join(err, o.writeTrace()) }()
	}
	ls, lab, err := o.open(ctx, file)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, ls.Close()) }()
	if len(lab.Wants) > 0 {
		if lab, err = o.fillLock(ctx, ls, lab); err != nil {
			return err
		}
	}
	a.targets = lab.Targets
	began := time.Now()
	report, err := ls.Build(ctx, lab, targets...)
	o.sink.close()
	if o.lookedUp {
		o.phase("build", began)
	} else {
		o.phase("look up", began) // and nothing was to be built
	}
	if err != nil {
		return err
	}
	if err := o.deliver(ctx, lab, report); err != nil {
		return err
	}
	if err := o.warnFixed(ctx, ls, lab, report); err != nil {
		return err
	}
	return o.summarise(lab, report)
}

func (o *runOptions) check() error {
	if o.jobs < 1 {
		return usagef("run", "--jobs: got %d, want at least 1", o.jobs)
	}
	if o.debug && (o.app.quiet || o.app.json) {
		return usagef("run", "--debug opens a shell: it does not go with --quiet or --json")
	}
	if o.debug && !term.Of(os.Stdin, "never").Live {
		return usagef("run", "--debug opens a shell: it needs a terminal")
	}
	return nil
}

// open evaluates the script, with the events going where the flags say.
func (o *runOptions) open(ctx context.Context, file string) (*labstar.Labstar, *labstar.Lab, error) {
	began := time.Now()
	events := func(ev labstar.Event) {
		if !o.lookedUp { // the first event comes when everything was looked up
			o.lookedUp = true
			o.phase("look up", began)
		}
		o.sink.event(ev)
	}
	ls, lab, err := o.app.load(ctx, file, labstar.WithEvents(events), labstar.WithJobs(o.jobs),
		labstar.WithKeepGoing(o.keepGoing), labstar.WithDebug(o.debug))
	o.phase("evaluate", began)
	began = time.Now()
	o.sink = o.newSink()
	return ls, lab, err
}

func (o *runOptions) newSink() sink {
	a := o.app
	var s sinks
	if o.tracer != nil {
		s = append(s, traceSink{o.tracer})
	}
	switch {
	case a.json:
		s = append(s, a.events)
	case a.term.Live && !o.app.quiet && !o.debug:
		s = append(s, newLiveSink(a))
	default:
		s = append(s, newPlainSink(a, o.app.quiet))
	}
	return s
}

func (o *runOptions) phase(name string, began time.Time) {
	if o.tracer != nil {
		o.tracer.Phase(name, began, time.Now())
	}
}

func (o *runOptions) writeTrace() error {
	f, err := os.Create(o.trace)
	if err != nil {
		return fmt.Errorf("writing trace: %w", err)
	}
	return errors.Join(o.tracer.Write(f), f.Close())
}

// fillLock pins what the script uses for the first time, and evaluates again.
func (o *runOptions) fillLock(ctx context.Context, ls *labstar.Labstar, lab *labstar.Lab) (*labstar.Lab, error) {
	if o.locked {
		return nil, explainWants(lab)
	}
	if !o.app.quiet && !o.app.json {
		o.app.say("%s lacks %s: asking for them", labstar.LockFile, plural(len(lab.Wants), "entry", "entries"))
	}
	began := time.Now()
	changes, err := o.app.resolve(ctx, ls, lab, nil, false)
	o.phase("lock", began)
	if err != nil {
		return nil, err
	}
	if err := o.app.tellLock(changes); err != nil {
		return nil, err
	}
	began = time.Now()
	lab, err = ls.Reload(ctx, lab)
	o.phase("evaluate again", began)
	if err == nil && len(lab.Wants) > 0 {
		err = explainWants(lab)
	}
	return lab, err
}

// deliver lays what was built, and prints a line for each target.
func (o *runOptions) deliver(ctx context.Context, lab *labstar.Lab, report *labstar.Report) error {
	began := time.Now()
	list, err := report.Deliver(ctx, o.out, o.copies)
	o.phase("deliver", began)
	if err != nil {
		return err
	}
	if o.app.json {
		for _, d := range list {
			ev := targetEvent{Event: "target", Name: d.Target, Path: d.Path, Kind: d.Kind.String(), Digest: d.Digest.String(), Size: d.Size.Bytes}
			if d.Kind == action.Tree {
				ev.Files = d.Size.Files
			}
			if err := o.app.events.write(ev); err != nil {
				return err
			}
		}
		return nil
	}
	if o.app.quiet {
		return nil
	}
	return o.app.buffered(func(w io.Writer) error { return printDelivered(w, o.out, list) })
}

// summarise prints the last line and tells the exit code.
func (o *runOptions) summarise(lab *labstar.Lab, r *labstar.Report) error {
	a := o.app
	elapsed := time.Since(a.started)
	var err error
	if r.Failed > 0 {
		err = errReported
	}
	switch {
	case a.json:
		ev := summaryEvent{Event: "summary", Command: "run", Ran: r.Ran, Cached: r.Cached, Failed: r.Failed, Skipped: r.Skipped, Seconds: elapsed.Seconds()}
		if err != nil {
			ev.Exit = 1
		}
		return errors.Join(a.events.write(ev), err)
	case o.app.quiet:
		return err
	}
	line := fmt.Sprintf("%d ran, %d cached, %d failed", r.Ran, r.Cached, r.Failed)
	if r.Skipped > 0 {
		line += fmt.Sprintf(", %d skipped", r.Skipped)
	}
	line += " in " + term.Duration(elapsed)
	switch {
	case r.Failed > 0:
		line = a.term.Red(line)
	case r.Ran > 0:
		line = a.term.Green(line)
	}
	a.say("%s", line)
	if len(lab.Targets) == 0 {
		a.say("%s has no targets: a target is a public variable that holds something to build, such as greeting = text(\"hello\\n\")", filepath.ToSlash(a.file))
	}
	return err
}

func plural(n int, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %s", n, many)
}
