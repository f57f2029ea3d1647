// Package labstar embeds the labstar engine in a Go program: it evaluates a
// Starlark script that describes a lab, and builds what the script describes.
//
//	ls, err := labstar.New(labstar.WithBuiltins(builtins.All()...))
//	lab, err := ls.Load(ctx, "lab.star")    // pure: reads the script and its files
//	plan, err := ls.Plan(ctx, lab)          // what a build would do
//	report, err := ls.Build(ctx, lab)       // does it
//
// A Labstar is immutable and safe for use by several goroutines. A program that
// hands in only builtins of its own links nothing of labstar's: no container
// library, no Kubernetes types.
package labstar

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"sync"

	"github.com/labstar/labstar/action"
	"github.com/labstar/labstar/internal/engine"
	"github.com/labstar/labstar/internal/lock"
	"github.com/labstar/labstar/internal/sandbox"
	"github.com/labstar/labstar/internal/sandbox/linux"
	"github.com/labstar/labstar/internal/store"
	"github.com/labstar/labstar/internal/store/disk"
	"github.com/labstar/labstar/internal/store/mem"
	"github.com/labstar/labstar/starlark/host"
	"github.com/labstar/labstar/starlark/schema"
	"github.com/labstar/labstar/stdlib"
)

// Version is labstar's version, as in `labstar version`.
const Version = "0.1.0"

// Labstar evaluates and builds. Make one with New.
type Labstar struct {
	builtins  []*schema.Builtin
	resolvers map[string]lock.Resolver
	dir       string // of the script and lab.lock; "" with files
	files     fs.FS
	stdlib    fs.FS
	remote    host.Remote
	limits    host.Limits
	print     func(string)
	config    func(string) string
	secret    func(string) (string, error)
	events    func(Event)
	progress  func(what string, done, total int64)
	lockNote  func(string)
	storeDir  string
	jobs      int
	keepGoing bool
	debug     bool

	once    sync.Once
	openErr error
	store   store.Store
	given   bool // the store is the program's
	runner  sandbox.Runner
}

// Event is one thing that happened in a build; see the EventKind constants.
type Event = engine.Event

// EventKind says what an Event tells.
type EventKind = engine.EventKind

// The kinds of events.
const (
	EventPlan     = engine.EventPlan
	EventCached   = engine.EventCached
	EventStart    = engine.EventStart
	EventProgress = engine.EventProgress
	EventFinish   = engine.EventFinish
	EventFail     = engine.EventFail
	EventSkip     = engine.EventSkip
	EventWait     = engine.EventWait
	EventShell    = engine.EventShell
)

// BuildError is an action that failed, as found in Report.Errors.
type BuildError = engine.BuildError

// Point is one of several errors of an action, and what it is about.
type Point = engine.Point

// Option configures New.
type Option func(*Labstar)

// WithBuiltins adds builtins to the language: those of package builtins, or a
// program's own, made with schema.New.
func WithBuiltins(b ...*schema.Builtin) Option {
	return func(l *Labstar) { l.builtins = append(l.builtins, b...) }
}

// WithResolvers adds what fills in lab.lock, by the kind of entry.
func WithResolvers(r map[string]lock.Resolver) Option {
	return func(l *Labstar) {
		for kind, resolver := range r {
			l.resolvers[kind] = resolver
		}
	}
}

// WithDir sets the folder that the script is in; the default is the working
// directory. Scripts read nothing outside it.
func WithDir(dir string) Option { return func(l *Labstar) { l.dir = dir } }

// WithFS reads the script and its files from fsys instead of a folder. There is
// then no lab.lock but the one in fsys.
func WithFS(fsys fs.FS) Option { return func(l *Labstar) { l.files = fsys } }

// WithStdlib replaces what load("@stdlib//…") finds.
func WithStdlib(fsys fs.FS) Option { return func(l *Labstar) { l.stdlib = fsys } }

// WithRemote sets what load finds for modules of other repositories.
func WithRemote(r host.Remote) Option { return func(l *Labstar) { l.remote = r } }

// WithLimits bounds what a script may use.
func WithLimits(limits host.Limits) Option { return func(l *Labstar) { l.limits = limits } }

// WithPrint is called with what the script prints.
func WithPrint(f func(string)) Option { return func(l *Labstar) { l.print = f } }

// WithConfig gives the settings of this machine: mirrors and the like.
func WithConfig(get func(key string) string) Option { return func(l *Labstar) { l.config = get } }

// WithSecrets gives the values of secrets, by name; an error should say how the
// user gives one. A value is asked for in every build that needs it, never
// while a script is evaluated, and is kept nowhere.
func WithSecrets(get func(name string) (string, error)) Option {
	return func(l *Labstar) { l.secret = get }
}

// WithEvents is told what happens in builds, from one goroutine at a time.
func WithEvents(f func(Event)) Option { return func(l *Labstar) { l.events = f } }

// WithLockProgress is told what Lock fetches, in bytes; total is 0 if unknown.
func WithLockProgress(f func(what string, done, total int64)) Option {
	return func(l *Labstar) { l.progress = f }
}

// WithLockNotes is told what the user should know of Lock's choices, a line at a time.
func WithLockNotes(f func(string)) Option { return func(l *Labstar) { l.lockNote = f } }

// WithStoreDir sets the store's folder; the default is DefaultStoreDir.
func WithStoreDir(dir string) Option { return func(l *Labstar) { l.storeDir = dir } }

// Store keeps content and results; see WithStore.
type Store = store.Store

// StoreLog is the file that takes what an action prints; see Store.LogFile.
type StoreLog = store.Log

// ErrNotFound is what a Store returns, wrapped, for what it has not got.
var ErrNotFound = store.ErrNotFound

// NewMemoryStore returns a store in memory, for tests and for programs that build
// small things. What a command mounts is written to a temporary folder, which goes
// when the store is closed.
func NewMemoryStore() Store { return mem.New() }

// WithStore takes a store of the program's own instead of a folder. The program
// closes it, after the Labstar.
func WithStore(s Store) Option {
	return func(l *Labstar) { l.store, l.given = s, true }
}

// WithJobs sets how many jobs run at once; the default is the number of cores.
func WithJobs(n int) Option { return func(l *Labstar) { l.jobs = n } }

// WithKeepGoing builds on after a failure what does not depend on it.
func WithKeepGoing(on bool) Option { return func(l *Labstar) { l.keepGoing = on } }

// WithDebug opens a shell in the sandbox of a command that failed.
func WithDebug(on bool) Option { return func(l *Labstar) { l.debug = on } }

// New returns a Labstar. Nothing is opened or started before it is needed.
func New(opts ...Option) (*Labstar, error) {
	l := &Labstar{resolvers: map[string]lock.Resolver{}, stdlib: stdlib.FS, jobs: runtime.NumCPU(), dir: "."}
	for _, o := range opts {
		o(l)
	}
	if l.jobs < 1 {
		return nil, fmt.Errorf("got %d jobs, want at least 1", l.jobs)
	}
	if l.files == nil {
		abs, err := filepath.Abs(l.dir)
		if err != nil {
			return nil, err
		}
		l.dir = abs
	}
	if l.storeDir == "" && !l.given {
		dir, err := DefaultStoreDir()
		if err != nil {
			return nil, err
		}
		l.storeDir = dir
	}
	if l.given && l.store == nil {
		return nil, errors.New("WithStore got nil, want a store, as NewMemoryStore()")
	}
	names := map[string]bool{}
	for i, b := range l.builtins {
		if b == nil {
			return nil, fmt.Errorf("WithBuiltins got nil as builtin %d, want one made with schema.New", i)
		}
		if names[b.Name()] {
			return nil, fmt.Errorf("builtin %s is given twice", b.Name())
		}
		names[b.Name()] = true
	}
	return l, nil
}

// DefaultStoreDir is $LABSTAR_CACHE, or labstar in the user's cache folder.
func DefaultStoreDir() (string, error) {
	if dir := os.Getenv("LABSTAR_CACHE"); dir != "" {
		return filepath.Abs(dir)
	}
	dir, err := os.UserCacheDir()
	if err != nil {
		return "", fmt.Errorf("finding the store's folder: %w; set LABSTAR_CACHE", err)
	}
	return filepath.Join(dir, "labstar"), nil
}

// Store returns the store, for what is done with things that were built. It is
// closed with the Labstar.
func (l *Labstar) Store() (Store, error) { return l.openStore() }

// openStore opens the store, at the first call.
func (l *Labstar) openStore() (store.Store, error) {
	l.once.Do(func() {
		if l.store == nil {
			s, err := disk.Open(l.storeDir, disk.Options{})
			if err != nil {
				l.openErr = err
				return
			}
			l.store = s
		}
		if l.runner == nil {
			l.runner = linux.New()
		}
	})
	return l.store, l.openErr
}

// Close ends the sandbox's helper process and closes the store.
func (l *Labstar) Close() error {
	var err error
	if l.runner != nil {
		err = l.runner.Close()
	}
	if l.store != nil && !l.given {
		err = errors.Join(err, l.store.Close())
	}
	return err
}

func (l *Labstar) newEngine() (*engine.Engine, error) {
	st, err := l.openStore()
	if err != nil {
		return nil, err
	}
	return engine.New(engine.Options{
		Store: st, Runner: l.runner, Jobs: l.jobs, Config: l.config, Secret: l.secret,
		Events: l.events, KeepGoing: l.keepGoing, Debug: l.debug,
	})
}

// Plan tells what Build would do, running nothing.
func (l *Labstar) Plan(ctx context.Context, lab *Lab, targets ...string) (*engine.Plan, error) {
	picked, err := lab.pick(targets)
	if err != nil {
		return nil, err
	}
	return l.PlanTargets(ctx, picked)
}

// PlanTargets is Plan for targets of the lab that Pick or Tests returned.
func (l *Labstar) PlanTargets(ctx context.Context, picked []Target) (*engine.Plan, error) {
	e, err := l.newEngine()
	if err != nil {
		return nil, err
	}
	defer e.Close()
	return e.Plan(ctx, artifacts(picked))
}

// Measure says how large targets of the lab are and what they took to make, as far
// as the store has them; it builds nothing.
func (l *Labstar) Measure(ctx context.Context, targets []Target) ([]engine.Measure, error) {
	e, err := l.newEngine()
	if err != nil {
		return nil, err
	}
	defer e.Close()
	items := make([][]*action.Artifact, len(targets))
	for i, t := range targets {
		items[i] = artifacts([]Target{t})
	}
	return e.Measure(ctx, items)
}

// Build builds the targets, all but the tests if none are named. Actions that
// failed are in the report; the error is of the build as a whole.
func (l *Labstar) Build(ctx context.Context, lab *Lab, targets ...string) (*Report, error) {
	picked, err := lab.pick(targets)
	if err != nil {
		return nil, err
	}
	return l.BuildTargets(ctx, lab, picked)
}

// BuildTargets is Build for targets of the lab that Pick or Tests returned.
func (l *Labstar) BuildTargets(ctx context.Context, lab *Lab, picked []Target) (*Report, error) {
	return l.BuildAndUse(ctx, lab, picked, func(*Report) error { return nil })
}

// BuildAndUse is BuildTargets, and calls use when all of the targets are there: it
// works while the store makes them last. It is not called if anything failed.
func (l *Labstar) BuildAndUse(ctx context.Context, lab *Lab, picked []Target, use func(*Report) error) (*Report, error) {
	e, err := l.newEngine()
	if err != nil {
		return nil, err
	}
	var used chan error
	report := func(rep *engine.Report) *Report { return &Report{Report: rep, lab: lab, targets: picked, owner: l} }
	rep, err := e.BuildThen(ctx, artifacts(picked), func(rep *engine.Report) {
		used = make(chan error, 1)
		go func() { used <- use(report(rep)) }()
	})
	var r *Report
	if rep != nil {
		r = report(rep)
		err = errors.Join(err, r.remember())
	}
	_ = e.Close() // what is left of its scratch is swept
	if used != nil {
		err = errors.Join(err, <-used)
	}
	return r, err
}

// Make builds artifacts, leaving the record of the last run as it is.
func (l *Labstar) Make(ctx context.Context, list ...*action.Artifact) (*Report, error) {
	e, err := l.newEngine()
	if err != nil {
		return nil, err
	}
	defer e.Close()
	rep, err := e.Build(ctx, list)
	if rep == nil {
		return nil, err
	}
	return &Report{Report: rep, owner: l}, err
}

// FilePath returns where the store holds a file that was built. It is read-only.
func (r *Report) FilePath(ctx context.Context, a *action.Artifact) (string, error) {
	out, ok := r.Output(a)
	if !ok || out.Kind != action.File {
		return "", fmt.Errorf("%s is no file that was built", a.Describe())
	}
	return r.owner.store.BlobPath(ctx, out.Digest, false)
}

// Folder is a folder of this machine that Attach lays in the sandbox.
type Folder = sandbox.Mount

// Attach builds what the command of an item needs and runs it with the terminal of
// this process as its own, after change changed it; nothing of it is kept. The exit
// code is -1 if something that the command needs failed, which the report has.
func (l *Labstar) Attach(ctx context.Context, item Item, change func(*action.Command), started func(), folders ...Folder) (*engine.Report, int, error) {
	e, err := l.newEngine()
	if err != nil {
		return nil, -1, err
	}
	defer e.Close()
	rep, res, err := e.Attach(ctx, item.Artifact.Action, engine.Attachment{Command: change, Folders: folders, Started: started})
	if err != nil || res == nil {
		return rep, -1, err
	}
	return rep, res.ExitCode, nil
}

func artifacts(targets []Target) []*action.Artifact {
	var list []*action.Artifact
	for _, t := range targets {
		for _, item := range t.Items {
			list = append(list, item.Artifact)
		}
	}
	return list
}
