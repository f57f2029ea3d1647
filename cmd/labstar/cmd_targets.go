package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/pflag"

	"github.com/labstar/labstar"
	"github.com/labstar/labstar/action"
	"github.com/labstar/labstar/internal/engine"
	"github.com/labstar/labstar/internal/term"
)

func targetsCommand() command {
	return command{
		name: "targets", args: "[FILE]",
		short: "list what a script offers",
		long: `
Lists the targets of the script: its public variables that hold something to
build, their types, where they are defined, whether the store has them, how large
they are, and how long all that they are made of took to build, each action once.`,
		examples: `
labstar targets
labstar targets --json examples/tiny/lab.star`,
		setup: func(a *app, fs *pflag.FlagSet) runner {
			a.jsonFlag(fs)
			a.cacheFlag(fs)
			a.secretFlag(fs)
			return func(ctx context.Context, args []string) error {
				file, rest := splitFile(args)
				if len(rest) > 0 {
					return usagef("targets", "got %q, want a script", rest[0])
				}
				return a.listTargets(ctx, file)
			}
		},
	}
}

func (a *app) listTargets(ctx context.Context, file string) (err error) {
	ls, lab, err := a.load(ctx, file)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, ls.Close()) }()
	plan, err := ls.PlanTargets(ctx, lab.Targets) // the tests too
	if err != nil {
		return err
	}
	missing := map[action.Digest]bool{}
	for _, s := range plan.Steps {
		missing[s.Action.Definition()] = true
	}
	measures, err := ls.Measure(ctx, lab.Targets)
	if err != nil {
		return err
	}
	if a.json {
		for i, t := range lab.Targets {
			cached := isCached(t, missing)
			ev := targetEvent{Event: "target", Name: t.Name, Type: t.Type, At: t.Site.String(), Items: len(t.Items), Cached: &cached}
			if m := measures[i]; cached && m.Built {
				ev.Size, ev.Files = m.Bytes, m.Files
				ev.Seconds = float64(m.Millis) / 1000
			}
			if len(t.Items) == 1 {
				ev.Kind = t.Items[0].Artifact.Kind().String()
			}
			if err := a.events.write(ev); err != nil {
				return err
			}
		}
		return a.events.write(summaryEvent{Event: "summary", Command: "targets", Seconds: a.seconds()})
	}
	if len(lab.Targets) == 0 {
		a.say("%s has no targets", file)
		return nil
	}
	return a.buffered(func(w io.Writer) error {
		a.printTargets(w, lab.Targets, measures, missing)
		return nil
	})
}

func isCached(t labstar.Target, missing map[action.Digest]bool) bool {
	for _, item := range t.Items {
		if missing[item.Artifact.Action.Definition()] {
			return false
		}
	}
	return true
}

func (a *app) printTargets(w io.Writer, targets []labstar.Target, measures []engine.Measure, missing map[action.Digest]bool) {
	nameWidth, typeWidth, siteWidth := 0, 0, 0
	for _, t := range targets {
		nameWidth = max(nameWidth, term.Width(t.Name))
		typeWidth = max(typeWidth, term.Width(typeOf(t)))
		siteWidth = max(siteWidth, len(t.Site.String()))
	}
	pad := func(s string, width int) string { return s + strings.Repeat(" ", max(width-term.Width(s), 0)) }
	for i, t := range targets {
		state := a.outTerm.Green("cached")
		if !isCached(t, missing) {
			state = a.outTerm.Yellow("to build")
		} else {
			state += made(measures[i])
		}
		fmt.Fprintf(w, "%s  %s  %s  %s\n", a.outTerm.Bold(pad(t.Name, nameWidth)), pad(typeOf(t), typeWidth), pad(t.Site.String(), siteWidth), state)
	}
}

// leastMade is the time below which nobody cares.
const leastMade = time.Second

// made tells of a target that the store has.
func made(m engine.Measure) string {
	s := ""
	if m.Built && m.Files > 0 {
		s = "  " + term.Bytes(m.Bytes) + " in " + plural(m.Files, "file", "files")
	} else if m.Built {
		s = "  " + term.Bytes(m.Bytes)
	}
	if took := time.Duration(m.Millis) * time.Millisecond; took >= leastMade {
		s += ", made in " + term.Duration(took)
		if !m.All {
			s += " or more"
		}
	}
	return s
}

// typeOf is the target's type, with the number of its items if it is several.
func typeOf(t labstar.Target) string {
	if len(t.Items) == 1 && t.Items[0].Path == "" {
		return t.Type
	}
	return fmt.Sprintf("%s of %d", t.Type, len(t.Items))
}
