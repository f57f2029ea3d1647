package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/pflag"

	"github.com/labstar/labstar"
	"github.com/labstar/labstar/internal/term"
)

func whyCommand() command {
	return command{
		name: "why", args: "[FILE] TARGET",
		short: "tell what made a target be built again",
		long: `
Tells which file, argument, module, package or tool made TARGET be built again in
the last run that built anything, compared with the run before it: the first
causes, with the lines of the script, and the way from each to the target.`,
		examples: `
labstar why page
labstar why examples/tiny/lab.star manifests`,
		setup: func(a *app, fs *pflag.FlagSet) runner {
			a.jsonFlag(fs)
			a.cacheFlag(fs)
			return func(ctx context.Context, args []string) error {
				file, targets := splitFile(args)
				if len(targets) != 1 {
					return usagef("why", "got %s, want one", plural(len(targets), "target", "targets"))
				}
				return a.why(ctx, file, targets[0])
			}
		},
	}
}

func (a *app) why(ctx context.Context, file, target string) (err error) {
	ls, lab, err := a.load(ctx, file)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, ls.Close()) }()
	changes, err := ls.Why(ctx, lab, target)
	if errors.Is(err, labstar.ErrNoHistory) {
		return fmt.Errorf("%w: `why` compares two runs that built something; `labstar plan` tells what a run would do now", err)
	}
	if err != nil {
		return err
	}
	if a.json {
		return errors.Join(a.changesJSON(changes),
			a.events.write(summaryEvent{Event: "summary", Command: "why", Seconds: a.seconds()}))
	}
	return a.buffered(func(w io.Writer) error {
		if len(changes) == 0 {
			fmt.Fprintf(w, "%s is what it was: nothing that it is made of changed in the last run that built anything\n", target)
			return nil
		}
		for _, tc := range changes {
			fmt.Fprintf(w, "%s was built again because of this:\n", a.outTerm.Bold(tc.Target))
			for _, c := range tc.Causes {
				a.printCause(w, "  ", c)
				if len(c.Chain) > 1 {
					fmt.Fprintf(w, "    %s\n", a.outTerm.Dim("by way of "+term.Clean(strings.Join(c.Chain, " <- "))))
				}
			}
		}
		return nil
	})
}
