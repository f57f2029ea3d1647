package main

import (
	"context"
	"fmt"
	"strings"

	"github.com/spf13/pflag"

	"github.com/labstar/labstar/internal/debian"
	"github.com/labstar/labstar/internal/doctor"
	"github.com/labstar/labstar/internal/sandbox/linux"
	"github.com/labstar/labstar/internal/term"
)

func doctorCommand() command {
	return command{
		name:  "doctor",
		short: "tell what this machine can and can't do, and the remedies",
		long: `
Tries what labstar needs: the sandbox (user namespaces, overlay mounts), the store
and its file system, the Debian mirror, KVM. Each problem comes with its remedy.
The exit code is 1 if something is missing that builds need.`,
		examples: `
labstar doctor
labstar doctor --json`,
		setup: func(a *app, fs *pflag.FlagSet) runner {
			a.jsonFlag(fs)
			a.cacheFlag(fs)
			return func(ctx context.Context, args []string) error {
				if err := noArgs("doctor", args); err != nil {
					return err
				}
				return a.examine(ctx)
			}
		},
	}
}

// checkEvent is one line of doctor --json.
type checkEvent struct {
	Event string `json:"event"` // "check"
	doctor.Check
}

func (a *app) examine(ctx context.Context) error {
	dir, err := a.storeDir()
	if err != nil {
		return err
	}
	cfg, err := settings()
	if err != nil {
		return err
	}
	mirror, _, _ := strings.Cut(cfg.Get("debian.mirror"), " ")
	if mirror == "" {
		mirror = debian.DefaultMirror
	}
	checks := doctor.Examine(ctx, doctor.Options{Store: dir, Mirror: mirror, Sandbox: linux.Check})
	if err := ctx.Err(); err != nil {
		return err
	}
	healthy := doctor.Healthy(checks)
	for _, c := range checks {
		if a.json {
			if err := a.events.write(checkEvent{"check", c}); err != nil {
				return err
			}
			continue
		}
		a.printCheck(c)
	}
	if a.json {
		ev := summaryEvent{Event: "summary", Command: "doctor", Seconds: a.seconds()}
		if !healthy {
			ev.Exit = 1
		}
		if err := a.events.write(ev); err != nil {
			return err
		}
	}
	if !healthy {
		return errReported
	}
	return nil
}

func (a *app) printCheck(c doctor.Check) {
	t := a.outTerm
	mark := t.Green("ok     ")
	switch c.Status {
	case doctor.Warning:
		mark = t.Yellow("warning")
	case doctor.Failed:
		mark = t.Red("failed ")
	}
	a.printf("%s  %s  %s\n", mark, t.Bold(fmt.Sprintf("%-8s", c.Name)), cleanLines(c.Detail))
	if c.Remedy == "" || c.Status == doctor.OK {
		return
	}
	for line := range strings.SplitSeq(c.Remedy, "\n") {
		a.printf("         %s\n", term.Clean(line))
	}
}
