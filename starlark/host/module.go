package host

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"slices"
	"strings"

	"go.starlark.net/resolve"
	"go.starlark.net/starlark"
	"go.starlark.net/syntax"

	"github.com/labstar/labstar/action"
	"github.com/labstar/labstar/starlark/schema"
)

// stdlibPrefix begins the names of the standard library's modules.
const stdlibPrefix = "@stdlib//"

// place is where a module is: its canonical name is prefix + path.
type place struct {
	fsys   fs.FS
	prefix string // "", "@stdlib//", or that of a remote repository
	path   string // inside fsys
}

func (p place) name() string { return p.prefix + p.path }

// module is one source file, parsed and perhaps evaluated.
type module struct {
	place
	digest  action.Digest
	source  []byte
	file    *syntax.File
	globals starlark.StringDict
	done    bool
	err     error
}

// loader is one evaluation.
type loader struct {
	cfg         Config
	session     *schema.Session
	files       *files
	predeclared starlark.StringDict
	thread      *starlark.Thread
	limit       *watchdog
	trace       *tracer // nil but for an evaluation that looks for places

	modules map[string]*module // by canonical name
	order   []*module          // as they ended
	active  []*module          // being evaluated, outermost first
	main    string
	remotes map[string]place // by spec
	dirs    folders
}

func newLoader(ctx context.Context, cfg Config) *loader {
	ld := &loader{
		cfg:     cfg,
		modules: map[string]*module{},
		remotes: map[string]place{},
		dirs:    folders{},
	}
	ld.files = newFiles(ld)
	pins := cfg.Pins
	if pins == nil {
		pins = noPins{}
	}
	ld.session = &schema.Session{Context: ctx, Scope: action.NewScope(), Files: ld.files, Pins: pins}
	ld.predeclared = make(starlark.StringDict, len(cfg.Builtins)+len(cfg.Globals)+len(guards))
	for name, v := range guarded(cfg.Limits.Memory) {
		ld.predeclared[name] = v
	}
	for _, b := range cfg.Builtins {
		ld.predeclared[b.Name()] = b
	}
	for name, v := range cfg.Globals {
		v.Freeze()
		ld.predeclared[name] = v
	}
	ld.newThread()
	return ld
}

func (ld *loader) newThread() {
	ld.thread = &starlark.Thread{Name: "labstar", Load: ld.load}
	ld.thread.Print = func(_ *starlark.Thread, msg string) {
		if ld.cfg.Print != nil {
			ld.cfg.Print(ld.session.Scope.Readable(msg))
		}
	}
	ld.session.Attach(ld.thread)
}

// noPins is an empty lab.lock that takes no requests.
type noPins struct{}

func (noPins) Get(string, string) ([]string, bool) { return nil, false }
func (noPins) Want(string, string, []action.Frame) {}

func (ld *loader) context() context.Context           { return ld.session.Context }
func (ld *loader) isPredeclared(name string) bool     { return ld.predeclared.Has(name) }
func (ld *loader) module(name string) (*module, bool) { m, ok := ld.modules[name]; return m, ok }

// run evaluates the main file.
func (ld *loader) run(name string) (*Module, error) {
	ld.main = name
	return guardedRun(ld, func() (*Module, error) { return ld.evaluate(place{ld.cfg.FS, "", name}) })
}

// guardedRun runs f under the watchdog, in a goroutine of its own, so that an
// operation that can't be interrupted does not hold up the caller.
func guardedRun[T any](ld *loader, f func() (T, error)) (T, error) {
	outer := ld.session.Context
	ctx, cancel := context.WithCancelCause(outer)
	defer cancel(nil)
	ld.session.Context = ctx
	ld.limit = newWatchdog(ld.cfg.Limits, ld.thread, cancel)
	type outcome struct {
		v   T
		err error
	}
	done := make(chan outcome, 1)
	go func() {
		var o outcome
		defer func() {
			if r := recover(); r != nil {
				o.err = Errors{{File: ld.main, Msg: fmt.Sprintf("internal error of the interpreter: %v", r)}}
			}
			done <- o
		}()
		o.v, o.err = f()
	}()
	stuck := ld.limit.watch(ctx)
	defer ld.limit.stop()
	select {
	case o := <-done:
		return o.v, o.err
	case <-stuck:
		var none T
		return none, ld.stuckError()
	}
}

// Call calls a function that the script left, under the same limits and with
// the same rendering of errors; for tests and for embedders. Calls of one Module
// must not overlap.
func (m *Module) Call(ctx context.Context, fn starlark.Value, args ...starlark.Value) (starlark.Value, error) {
	ld := m.loader
	ld.session.Context = ctx
	ld.newThread()
	return guardedRun(ld, func() (starlark.Value, error) {
		v, err := starlark.Call(ld.thread, fn, args, nil)
		if err != nil {
			return nil, ld.diagnose(err)
		}
		return v, nil
	})
}

func (ld *loader) evaluate(main place) (*Module, error) {
	m, err := ld.exec(main, nil)
	if err != nil {
		return nil, err
	}
	mod := &Module{File: m.name(), Scope: ld.session.Scope, Files: ld.files.list(), Steps: ld.thread.ExecutionSteps(), loader: ld}
	for _, m := range ld.order {
		mod.Modules = append(mod.Modules, Read{Path: m.name(), Digest: m.digest, Kind: action.File})
	}
	for _, b := range m.file.Module.(*resolve.Module).Globals {
		if v := m.globals[b.First.Name]; v != nil {
			pos := b.First.NamePos
			mod.Globals = append(mod.Globals, Global{b.First.Name, v,
				action.Frame{File: m.name(), Line: int(pos.Line), Col: int(pos.Col), Func: "<toplevel>"}})
		}
	}
	return mod, nil
}

// exec evaluates the module at p, once. from is the load statement that asks
// for it, nil for the main file.
func (ld *loader) exec(p place, from *Error) (*module, error) {
	name := p.name()
	if m, ok := ld.module(name); ok {
		switch {
		case m.done:
			return m, m.err
		default:
			return nil, ld.cycle(m, from)
		}
	}
	source, err := ld.readSource(p)
	if err != nil {
		return nil, ld.missing(p, err, from)
	}
	m := &module{place: p, digest: action.Of(source), source: source}
	ld.modules[name] = m
	ld.active = append(ld.active, m)
	m.globals, m.err = ld.execSource(m)
	ld.active = ld.active[:len(ld.active)-1]
	m.done = true
	if m.err == nil {
		ld.order = append(ld.order, m)
	}
	return m, m.err
}

func (ld *loader) execSource(m *module) (starlark.StringDict, error) {
	prog, err := ld.compile(m)
	if err != nil {
		return nil, err
	}
	globals, err := prog.Init(ld.thread, ld.predeclared)
	if err != nil {
		return nil, ld.diagnose(err)
	}
	if err := checkFreezable(m, globals); err != nil {
		return nil, err
	}
	globals.Freeze()
	return globals, nil
}

// compile parses and resolves; all undefined names are reported at once.
func (ld *loader) compile(m *module) (*starlark.Program, error) {
	if err := checkSource(m); err != nil {
		return nil, err
	}
	f, err := options.Parse(m.name(), m.source, 0)
	if err != nil {
		return nil, ld.syntaxErrors(m, err)
	}
	m.file = f
	guardFile(f)
	if ld.trace != nil {
		ld.trace.wrap(f)
	}
	prog, err := starlark.FileProgram(f, ld.isPredeclared)
	if err != nil {
		return nil, ld.resolveErrors(m, err)
	}
	return prog, nil
}

// maxSource bounds one source file.
const maxSource = 16 << 20

func (ld *loader) readSource(p place) ([]byte, error) {
	real, _, err := ld.dirs.inside(p)
	if err != nil {
		return nil, err
	}
	f, err := p.fsys.Open(real)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	if fi, err := f.Stat(); err != nil {
		return nil, err
	} else if !fi.Mode().IsRegular() {
		return nil, fmt.Errorf("%s is no regular file", p.path)
	}
	b, err := io.ReadAll(io.LimitReader(f, maxSource+1))
	if err == nil && len(b) > maxSource {
		err = fmt.Errorf("source file of more than %d MB", maxSource>>20)
	}
	return b, err
}

// load implements the load statement.
func (ld *loader) load(thread *starlark.Thread, spec string) (starlark.StringDict, error) {
	from := ld.loadSite(thread, spec)
	if err := ld.context().Err(); err != nil {
		return nil, from.because("%w", context.Cause(ld.context()))
	}
	p, err := ld.place(spec)
	if err != nil {
		return nil, from.because("%w", err)
	}
	m, err := ld.exec(p, from)
	if err != nil {
		return nil, err
	}
	return m.globals, ld.checkLoaded(thread, m, spec)
}

// place finds what a load statement names, from the module being evaluated.
func (ld *loader) place(spec string) (place, error) {
	cur := ld.active[len(ld.active)-1].place
	rest, isStdlib := strings.CutPrefix(spec, stdlibPrefix)
	switch {
	case isStdlib:
		if ld.cfg.Stdlib == nil {
			return place{}, errors.New("there is no standard library here")
		}
		if !fs.ValidPath(rest) {
			return place{}, fmt.Errorf("malformed module name %q: want @stdlib//NAME.star", spec)
		}
		return place{ld.cfg.Stdlib, stdlibPrefix, rest}, nil
	case strings.HasPrefix(spec, "@") || strings.Contains(spec, "://"):
		return ld.remote(spec)
	case strings.HasPrefix(spec, "//"):
		cur.path = path.Clean(spec[2:])
	case strings.HasPrefix(spec, "/"):
		return place{}, fmt.Errorf("got the absolute path %q, want one relative to this module, or //PATH from the top of the tree", spec)
	case spec == "":
		return place{}, errors.New(`got an empty module name, want a path such as "lib/app.star"`)
	default:
		cur.path = path.Join(path.Dir(cur.path), spec)
	}
	if !fs.ValidPath(cur.path) {
		return place{}, fmt.Errorf("%q leads out of the tree that scripts may read: move the module below the folder of the main script", spec)
	}
	return cur, nil
}

func (ld *loader) remote(spec string) (place, error) {
	if p, ok := ld.remotes[spec]; ok {
		return p, nil
	}
	if ld.cfg.Remote == nil {
		return place{}, fmt.Errorf("modules of other repositories are not available here: %q: copy the module below the folder of the main script (a git submodule is one way)", spec)
	}
	fsys, file, err := ld.cfg.Remote(ld.context(), spec)
	if err != nil {
		return place{}, err
	}
	if !fs.ValidPath(file) {
		return place{}, fmt.Errorf("malformed path %q of the remote module %s", file, spec)
	}
	prefix, ok := strings.CutSuffix(spec, file)
	if !ok {
		prefix = spec + "//"
	}
	p := place{fsys, prefix, file}
	ld.remotes[spec] = p
	return p, nil
}

// cycle reports modules that load each other: a.star:3 -> b.star:1 -> a.star.
func (ld *loader) cycle(m *module, from *Error) error {
	i := slices.Index(ld.active, m)
	var chain strings.Builder
	for _, a := range ld.active[i:] {
		fmt.Fprintf(&chain, "%s:%d -> ", a.name(), ld.loadLine(a))
	}
	return from.because("modules load each other: %s%s", chain.String(), m.name()).
		withHint("move what both need into a third module")
}
