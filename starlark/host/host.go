// Package host runs labstar scripts: the dialect, load(), the limits, the files
// a script may read, and the errors it gets.
//
//	mod, err := host.Load(ctx, host.Config{FS: os.DirFS(dir), Builtins: builtins}, "lab.star")
//	for _, g := range mod.Globals { … }
//
// Evaluation is pure. A script sees its own folder, the modules it loads and
// what lab.lock pins; no clock, no network, no process, no environment. What it
// read is in Module.Modules and Module.Files.
//
// The language is Starlark as go.starlark.net has it, with if, for and
// reassignment at the top level and with sets; without while and recursion, so
// that a script ends. Limits hold what could still go on for ever or grow
// without end; see limits.go and guard.go.
//
// What is wrong with a script comes back as Errors: all of it that can be known
// at once, each with its position, the source line, a hint and the call stack.
package host

import (
	"context"
	"fmt"
	"io/fs"
	"path"
	"reflect"
	"strings"
	"time"

	"go.starlark.net/starlark"
	"go.starlark.net/syntax"

	"github.com/labstar/labstar/action"
	"github.com/labstar/labstar/starlark/schema"
)

// Config is what an evaluation may use.
type Config struct {
	// FS holds the script and its files. If it is os.DirFS of an absolute path,
	// or Dir is set, StatCache spares reading what did not change.
	FS fs.FS
	// Dir is where FS is on this machine, "" if nowhere.
	Dir string
	// Stdlib is what load("@stdlib//…") reads; nil if there is none.
	Stdlib fs.FS
	// Remote finds the modules of other repositories; nil if there are none.
	Remote Remote
	// Builtins are the functions of the language besides Starlark's own.
	Builtins []*schema.Builtin
	// Globals are further predeclared values; they are frozen.
	Globals starlark.StringDict
	// Limits bounds the script; the zero value means the defaults.
	Limits Limits
	// Print is called with what the script prints; nil drops it.
	Print func(msg string)
	// Pins is what lab.lock says; nil means that nothing is pinned.
	Pins schema.Pins
	// StatCache remembers digests of files; nil remembers nothing.
	StatCache StatCache
}

// Remote finds the module that spec names: the file system it is in, where its
// relative loads stay, and its path there. The digest of what it returns is
// checked before it returns; the host calls it once for each spec.
type Remote func(ctx context.Context, spec string) (fsys fs.FS, path string, err error)

// Limits bounds a script.
type Limits struct {
	Steps  uint64        // of the interpreter, some 100 million a second; 0 means DefaultSteps
	Time   time.Duration // 0 means DefaultTime
	Memory int64         // growth of the process' heap in bytes; 0 means DefaultMemory
}

// The default limits. A graph of 100,000 actions takes 2 million steps, half a
// second and 200 MB.
const (
	DefaultSteps  = 50_000_000
	DefaultTime   = time.Minute
	DefaultMemory = 1 << 30
)

func (l Limits) withDefaults() Limits {
	if l.Steps == 0 {
		l.Steps = DefaultSteps
	}
	if l.Time == 0 {
		l.Time = DefaultTime
	}
	if l.Memory == 0 {
		l.Memory = DefaultMemory
	}
	return l
}

// Module is an evaluated script.
type Module struct {
	File string
	// Globals are the script's own, in the order of their definitions.
	Globals []Global
	// Scope made the actions.
	Scope *action.Scope
	// Modules are the sources that were evaluated, in the order in which they
	// ended; the script itself is the last.
	Modules []Read
	// Files are the files and trees that builtins read, sorted by path.
	Files []Read
	// Steps is how many the interpreter took.
	Steps uint64

	loader *loader
}

// Global is a global variable of the script.
type Global struct {
	Name  string
	Value starlark.Value
	Site  action.Frame // of its first definition
}

// Public reports whether the name does not start with "_".
func (g Global) Public() bool { return !strings.HasPrefix(g.Name, "_") }

// Read is something that the evaluation read, and what it found.
type Read struct {
	Path   string
	Digest action.Digest
	Kind   action.OutputKind
}

// Global returns the value of the global called name, or nil.
func (m *Module) Global(name string) starlark.Value {
	for _, g := range m.Globals {
		if g.Name == name {
			return g.Value
		}
	}
	return nil
}

// options is the dialect.
var options = &syntax.FileOptions{Set: true, TopLevelControl: true, GlobalReassign: true}

// Load evaluates the script file, a path inside cfg.FS. What is wrong with the
// script is an Errors.
func Load(ctx context.Context, cfg Config, file string) (*Module, error) {
	if cfg.FS == nil {
		return nil, fmt.Errorf("evaluating %s: no file system given", file)
	}
	name := path.Clean(file)
	if !fs.ValidPath(name) {
		return nil, fmt.Errorf("script %s is outside of the folder that scripts may read: give a path inside it", file)
	}
	cfg.Limits = cfg.Limits.withDefaults()
	if cfg.Dir == "" {
		cfg.Dir = dirOf(cfg.FS)
	}
	ld := newLoader(ctx, cfg)
	ld.session.Scope.SetPlaces(placesOf(cfg, name))
	mod, err := ld.run(name)
	if worthTracing(err) {
		err = traced(ctx, cfg, name, err)
	}
	return mod, err
}

// dirOf returns the folder that an os.DirFS is for, if it is absolute.
func dirOf(fsys fs.FS) string {
	if v := reflect.ValueOf(fsys); v.Kind() == reflect.String && strings.HasPrefix(v.String(), "/") {
		return v.String()
	}
	return ""
}
