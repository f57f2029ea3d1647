package main

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/pflag"

	"github.com/labstar/labstar/internal/store/disk"
	"github.com/labstar/labstar/internal/term"
	"github.com/labstar/labstar/starlark/schema"
)

func cacheCommand() command {
	return command{
		name: "cache", args: "stats|verify|gc|dir",
		short: "look at, check and clean the store",
		long: `
stats   count what the store holds
verify  read everything in it and compare it with its digests; with --repair, drop
        what is damaged, so that it is built again when it is needed
gc      drop what was not used for the longest time, until the store is no larger
        than --max-size; what an out/ folder links to stays
dir     print the store's folder`,
		examples: `
labstar cache stats
labstar cache verify --repair
labstar cache gc --max-size 20GB
du -sh "$(labstar cache dir)"`,
		setup: func(a *app, fs *pflag.FlagSet) runner {
			o := &cacheOptions{app: a}
			fs.BoolVar(&o.repair, "repair", false, "with verify: drop what is damaged")
			fs.StringVar(&o.maxSize, "max-size", "10GB", "with gc: how large the store may be, a `size` such as 500MB or 10GiB")
			a.jsonFlag(fs)
			a.cacheFlag(fs)
			return func(ctx context.Context, args []string) error {
				return o.run(ctx, args, fs.Changed("max-size"))
			}
		},
	}
}

type cacheOptions struct {
	app     *app
	repair  bool
	maxSize string
}

var cacheParts = []string{"stats", "verify", "gc", "dir"}

func (o *cacheOptions) run(ctx context.Context, args []string, sized bool) error {
	if len(args) != 1 {
		return usagef("cache", "want one of %s", strings.Join(cacheParts, ", "))
	}
	part := args[0]
	size, err := term.ParseBytes(o.maxSize)
	switch {
	case err != nil:
		return usagef("cache", "--max-size: %v", err)
	case o.repair && part != "verify":
		return usagef("cache", "--repair goes with verify, not with %s", part)
	case sized && part != "gc":
		return usagef("cache", "--max-size goes with gc, not with %s", part)
	}
	switch part {
	case "dir":
		dir, err := o.app.storeDir()
		if err == nil {
			o.app.printf("%s\n", dir)
		}
		return err
	case "stats":
		return o.withStore(func(s *disk.Store) error { return o.stats(ctx, s) })
	case "verify":
		return o.withStore(func(s *disk.Store) error { return o.verify(ctx, s) })
	case "gc":
		return o.withStore(func(s *disk.Store) error { return o.gc(ctx, s, size) })
	}
	if s := schema.Suggest(part, cacheParts); s != "" {
		return usagef("cache", "got %q (did you mean %q?), want one of %s", part, s, strings.Join(cacheParts, ", "))
	}
	return usagef("cache", "got %q, want one of %s", part, strings.Join(cacheParts, ", "))
}

func (o *cacheOptions) withStore(f func(*disk.Store) error) error {
	dir, err := o.app.storeDir()
	if err != nil {
		return err
	}
	s, err := disk.Open(dir, disk.Options{Waiting: func() {
		o.app.say("waiting for another labstar to end with this store")
	}})
	if err != nil {
		return err
	}
	return errors.Join(f(s), s.Close())
}

// cacheEvent is the only line of cache stats, verify and gc with --json but for
// the problems that verify finds.
type cacheEvent struct {
	Event   string  `json:"event"` // "summary"
	Command string  `json:"command"`
	Stats   any     `json:"stats,omitempty"`
	Verify  any     `json:"verify,omitempty"`
	GC      any     `json:"gc,omitempty"`
	Seconds float64 `json:"seconds"`
	Exit    int     `json:"exit"`
}

func (o *cacheOptions) stats(ctx context.Context, s *disk.Store) error {
	st, err := s.Stats(ctx)
	if err != nil {
		return err
	}
	a := o.app
	if a.json {
		return a.events.write(cacheEvent{Event: "summary", Command: "cache stats", Stats: st, Seconds: a.seconds()})
	}
	printStats(a, st)
	return nil
}

// problemEvent is something that verify found.
type problemEvent struct {
	Event   string `json:"event"` // "problem"
	What    string `json:"what"`
	Digest  string `json:"digest"`
	Path    string `json:"path"`
	Message string `json:"message"`
}

// verifyCounts is what verify read.
type verifyCounts struct {
	Blobs       int   `json:"blobs"`
	Directories int   `json:"directories"`
	Results     int   `json:"results"`
	Trees       int   `json:"trees"`
	Files       int   `json:"files"`
	Bytes       int64 `json:"bytes"`
	Problems    int   `json:"problems"`
	Repaired    bool  `json:"repaired"`
}

func (o *cacheOptions) verify(ctx context.Context, s *disk.Store) error {
	a := o.app
	var progress func(int64)
	if a.term.Live && !a.json {
		p := term.NewProgress(a.term, a.err)
		a.showProgress(p)
		p.Start(s, "reading the store")
		progress = func(done int64) { p.Bytes(s, done, 0) }
	}
	rep, err := s.Verify(ctx, o.repair, progress)
	a.restore()
	if err != nil {
		return err
	}
	bad := len(rep.Problems) > 0 && !rep.Repaired
	for _, p := range rep.Problems {
		if a.json {
			err = a.events.write(problemEvent{"problem", p.What, p.Digest.String(), p.Path, p.Err.Error()})
		} else {
			a.printf("%s %s\n", a.outTerm.Red("damaged:"), cleanLines(p.String()))
		}
		if err != nil {
			return err
		}
	}
	if a.json {
		ev := cacheEvent{Event: "summary", Command: "cache verify", Seconds: a.seconds(), Verify: verifyCounts{
			rep.Blobs, rep.Directories, rep.Results, rep.Trees, rep.Files, rep.Bytes, len(rep.Problems), rep.Repaired,
		}}
		if bad {
			ev.Exit = 1
		}
		err = a.events.write(ev)
	} else {
		a.tellVerified(rep)
	}
	if bad {
		err = errors.Join(err, errReported)
	}
	return err
}

func (a *app) tellVerified(rep *disk.VerifyReport) {
	a.printf("%s read: %s, %s, %s, %s\n", term.Bytes(rep.Bytes), plural(rep.Blobs, "blob", "blobs"),
		plural(rep.Directories, "directory", "directories"), plural(rep.Results, "result", "results"), plural(rep.Trees, "tree", "trees"))
	switch n := len(rep.Problems); {
	case n == 0:
		a.printf("%s\n", a.outTerm.Green("all of it is as it was written"))
	case rep.Repaired:
		a.printf("%s dropped; what needs them is built again\n", plural(n, "damaged thing", "damaged things"))
	default:
		a.printf("%s; run `labstar cache verify --repair`\n", a.outTerm.Red(plural(n, "damaged thing", "damaged things")))
	}
}

// gcCounts is what gc did.
type gcCounts struct {
	Kept       int   `json:"kept"`    // results
	Dropped    int   `json:"dropped"` // results
	KeptBytes  int64 `json:"kept_bytes"`
	FreedBytes int64 `json:"freed_bytes"`
}

func (o *cacheOptions) gc(ctx context.Context, s *disk.Store, size int64) error {
	a := o.app
	rep, err := s.GC(ctx, disk.Policy{MaxBytes: size})
	if err != nil {
		return err
	}
	if a.json {
		return a.events.write(cacheEvent{Event: "summary", Command: "cache gc", Seconds: a.seconds(), GC: gcCounts{
			rep.Kept, rep.Dropped, rep.KeptBytes, rep.FreedBytes,
		}})
	}
	a.printf("%s dropped, %s freed; %s kept, %s\n", plural(rep.Dropped, "result", "results"), term.Bytes(rep.FreedBytes),
		plural(rep.Kept, "result", "results"), term.Bytes(rep.KeptBytes))
	if rep.KeptBytes > size {
		a.printf("%s\n", fmt.Sprintf("that is more than %s: the rest is linked from out/ folders", term.Bytes(size)))
	}
	return nil
}

func printStats(a *app, st *disk.Stats) {
	row := func(name, format string, args ...any) {
		a.printf("%s %s\n", a.outTerm.Cyan(fmt.Sprintf("%-12s", name)), fmt.Sprintf(format, args...))
	}
	row("folder", "%s", st.Dir)
	row("content", "%s in %s and %s", term.Bytes(st.Bytes), plural(st.Blobs, "blob", "blobs"), plural(st.Directories, "directory", "directories"))
	row("results", "%d", st.Results)
	row("trees", "%d unpacked", st.Trees)
	row("packs", "%d, %s", st.Packs, term.Bytes(st.PackBytes))
	row("roots", "%s", plural(st.Roots, "link keeps content", "links keep content"))
	row("free", "%s, %d files", term.Bytes(int64(min(st.FreeBytes, 1<<62))), st.FreeFiles)
	if st.ReadOnly {
		row("", "%s", "this user may only read it")
	}
}
