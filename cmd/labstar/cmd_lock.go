package main

import (
	"context"
	"errors"
	"slices"
	"strings"

	"github.com/spf13/pflag"

	"github.com/labstar/labstar"
)

func lockCommand() command {
	return command{
		name: "lock", args: "[FILE] [--update [NAME…]]",
		short: "pin what a script uses in lab.lock",
		long: `
Pins the packages and sources that the script uses in lab.lock, beside it: what is
missing is added, what is there stays. With --update everything is chosen anew;
with --update and names, those entries are.

No other command ever chooses a version. Keep lab.lock with the script.`,
		examples: `
labstar lock
labstar lock --update               # all
labstar lock --update gcc-14 make   # these`,
		setup: func(a *app, fs *pflag.FlagSet) runner {
			update := fs.Bool("update", false, "choose anew: all entries, or those named")
			a.quietFlag(fs)
			a.jsonFlag(fs)
			a.cacheFlag(fs)
			return func(ctx context.Context, args []string) error {
				file, names := defaultScript, args
				if len(args) > 0 && (strings.HasSuffix(args[0], ".star") || !*update) {
					file, names = splitFile(args)
				}
				if len(names) > 0 && !*update {
					return usagef("lock", "got %q, want a script; to choose an entry anew: labstar lock --update %s", names[0], strings.Join(names, " "))
				}
				return a.lock(ctx, file, names, *update)
			}
		},
	}
}

func (a *app) lock(ctx context.Context, file string, names []string, update bool) (err error) {
	ls, lab, err := a.load(ctx, file)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, ls.Close()) }()
	var changes []labstar.LockChange
	if len(lab.Wants) > 0 || update {
		if changes, err = a.resolve(ctx, ls, lab, names, update && len(names) == 0); err != nil {
			return err
		}
	}
	if err := a.tellLock(changes); err != nil {
		return err
	}
	if len(changes) == 0 && !a.quiet && !a.json {
		a.say("%s has all that %s uses", labstar.LockFile, file)
	}
	if a.json {
		return a.events.write(summaryEvent{Event: "summary", Command: "lock", Seconds: a.seconds()})
	}
	return nil
}

// lockEvent is an entry of lab.lock that changed.
type lockEvent struct {
	Event string `json:"event"` // "lock"
	Kind  string `json:"kind"`
	Name  string `json:"name"`
	Old   string `json:"old,omitempty"`
	New   string `json:"new,omitempty"`
}

// tellLock tells what changed in lab.lock.
func (a *app) tellLock(changes []labstar.LockChange) error {
	if a.json {
		for _, c := range changes {
			if err := a.events.write(lockEvent{"lock", c.Kind, c.Name, c.Old, c.New}); err != nil {
				return err
			}
		}
		return nil
	}
	if a.quiet || len(changes) == 0 {
		return nil
	}
	added := slices.IndexFunc(changes, func(c labstar.LockChange) bool { return c.Old != "" }) < 0
	if added && len(changes) > 10 {
		a.say("%s written: %s added", labstar.LockFile, plural(len(changes), "entry", "entries"))
		return nil
	}
	for _, c := range changes {
		switch {
		case c.Old == "":
			a.say("%s %s %s %s", a.term.Green("+"), c.Kind, c.Name, firstField(c.New))
		case c.New == "":
			a.say("%s %s %s %s", a.term.Red("-"), c.Kind, c.Name, firstField(c.Old))
		case firstField(c.Old) == firstField(c.New):
			a.say("%s %s %s %s (other content)", a.term.Yellow("~"), c.Kind, c.Name, firstField(c.New))
		default:
			a.say("%s %s %s %s -> %s", a.term.Yellow("~"), c.Kind, c.Name, firstField(c.Old), firstField(c.New))
		}
	}
	a.say("%s written: %s", labstar.LockFile, plural(len(changes), "change", "changes"))
	return nil
}

// firstField is the version, or what else an entry starts with.
func firstField(fields string) string {
	first, _, _ := strings.Cut(fields, " ")
	return first
}
