package labstar

import (
	"context"
	"fmt"
	"os"
	"sort"
	"strings"

	"go.starlark.net/starlark"

	"github.com/labstar/labstar/action"
	"github.com/labstar/labstar/internal/history"
	"github.com/labstar/labstar/internal/lock"
	"github.com/labstar/labstar/starlark/host"
	"github.com/labstar/labstar/starlark/schema"
)

// Lab is an evaluated script: its targets, and what it read.
type Lab struct {
	// File is the script, as it was named.
	File string
	// Targets are what the script offers, sorted by name.
	Targets []Target
	// Modules and Files are what the evaluation read, with their digests.
	Modules []host.Read
	Files   []host.Read
	// Wants are what lab.lock lacks. A lab with wants can be planned and listed
	// but not built before Lock has filled them in.
	Wants []lock.Request

	text string // the script, if it is in no file
}

// Target is a public global of the script that holds an artifact, or a list or
// dict of them.
type Target struct {
	Name  string
	Type  string       // "file", "tree", "image", …
	Site  action.Frame // where the global is defined
	Items []Item
}

// Item is one artifact of a target.
type Item struct {
	// Path is "" for a target that is one artifact; else its key or index.
	Path     string
	Type     string // "file", "tree", "image", …
	Artifact *action.Artifact
}

// TestType is the type of the artifacts that are tests: what is built is that
// they passed. A build of all targets leaves them out.
const TestType = "test"

// Pick returns the named targets, all but the tests if none are named. A name that
// the script has no target for is a *TargetError.
func (lab *Lab) Pick(names ...string) ([]Target, error) { return lab.pick(names) }

func (lab *Lab) pick(names []string) ([]Target, error) {
	if len(names) == 0 {
		return lab.withoutTests(), nil
	}
	var picked []Target
	for _, name := range names {
		i := sort.Search(len(lab.Targets), func(i int) bool { return lab.Targets[i].Name >= name })
		if i == len(lab.Targets) || lab.Targets[i].Name != name {
			return nil, lab.noTarget(name)
		}
		picked = append(picked, lab.Targets[i])
	}
	return picked, nil
}

// TargetError is a name that the script has no target for.
type TargetError struct{ msg string }

func (e *TargetError) Error() string { return e.msg }

func (lab *Lab) noTarget(name string) error {
	names := make([]string, len(lab.Targets))
	for i, t := range lab.Targets {
		names[i] = t.Name
	}
	msg := fmt.Sprintf("%s has no target %q", lab.File, name)
	if s := schema.Suggest(name, names); s != "" {
		msg += fmt.Sprintf(" (did you mean %q?)", s)
	}
	if len(names) > 0 {
		msg += "; it has: " + strings.Join(names, ", ")
	}
	return &TargetError{msg}
}

// named lists the artifacts under the names by which history knows them.
func named(targets []Target) []history.Named {
	var list []history.Named
	for _, t := range targets {
		for _, item := range t.Items {
			name := t.Name
			if item.Path != "" {
				name += "/" + item.Path
			}
			list = append(list, history.Named{Name: name, Artifact: item.Artifact})
		}
	}
	return list
}

// Load evaluates the script file, a path relative to the script's folder. It
// runs nothing, opens no connection and writes nothing. Errors of the script are
// host.Errors; those of a context that has ended wrap its error and its cause.
func (l *Labstar) Load(ctx context.Context, file string) (*Lab, error) {
	return l.load(ctx, file, "")
}

// LoadText is Load of a script that is not in a file: text, which evaluates as if
// it stood in the script's folder under the name file.
func (l *Labstar) LoadText(ctx context.Context, file, text string) (*Lab, error) {
	return l.load(ctx, file, text)
}

// Reload evaluates the script of a lab again, with what lab.lock says now.
func (l *Labstar) Reload(ctx context.Context, lab *Lab) (*Lab, error) {
	return l.load(ctx, lab.File, lab.text)
}

func (l *Labstar) load(ctx context.Context, file, text string) (*Lab, error) {
	locked, err := l.readLock()
	if err != nil {
		return nil, err
	}
	pins := lock.NewPins(locked)
	mod, err := l.evaluate(ctx, pins, file, text)
	if err != nil {
		return nil, err
	}
	lab := &Lab{File: file, text: text, Modules: mod.Modules, Files: mod.Files, Wants: pins.Wants()}
	for _, g := range mod.Globals {
		if t, ok := newTarget(g); ok {
			lab.Targets = append(lab.Targets, t)
		}
	}
	sort.Slice(lab.Targets, func(i, j int) bool { return lab.Targets[i].Name < lab.Targets[j].Name })
	return lab, nil
}

// evaluate runs the script against pins.
func (l *Labstar) evaluate(ctx context.Context, pins *lock.Pins, file, text string) (*host.Module, error) {
	cfg, end := l.hostConfig(pins, file, text)
	defer end()
	return host.Load(ctx, cfg, file)
}

// hostConfig is what an evaluation may use; end is called after it.
func (l *Labstar) hostConfig(pins *lock.Pins, file, text string) (cfg host.Config, end func()) {
	cfg, end = l.bareConfig(pins), func() {}
	if l.files == nil {
		// Without a store, or with a broken one, files are read; the build tells.
		if st, err := l.openStore(); err == nil {
			cache := readStatCache(st, l.dir)
			cfg.StatCache, end = cache, cache.save
		}
	}
	if text != "" {
		cfg.FS, cfg.Dir, cfg.StatCache = withText(cfg.FS, file, text), "", nil
	}
	return cfg, end
}

// bareConfig is what an evaluation may use that remembers no files.
func (l *Labstar) bareConfig(pins *lock.Pins) host.Config {
	cfg := host.Config{
		FS: l.files, Stdlib: l.stdlib, Remote: l.remote, Builtins: l.builtins,
		Limits: l.limits, Print: l.print, Pins: pins,
	}
	if l.files == nil {
		cfg.FS, cfg.Dir = os.DirFS(l.dir), l.dir
	}
	return cfg
}

// newTarget makes the target of a public global that holds artifacts.
func newTarget(g host.Global) (Target, bool) {
	if !g.Public() {
		return Target{}, false
	}
	t := Target{Name: g.Name, Type: g.Value.Type(), Site: g.Site}
	ok := collectItems(&t, "", g.Value)
	return t, ok && len(t.Items) > 0
}

// collectItems adds the artifacts in v. It reports false for a value that holds
// anything else, which is then no target.
func collectItems(t *Target, at string, v starlark.Value) bool {
	join := func(s string) string {
		if at == "" {
			return s
		}
		return at + "." + s
	}
	switch v := v.(type) {
	case *schema.Artifact:
		t.Items = append(t.Items, Item{Path: at, Type: v.Type(), Artifact: v.Artifact})
		return true
	case *starlark.Dict:
		for _, kv := range v.Items() {
			key, ok := starlark.AsString(kv[0])
			if !ok {
				key = kv[0].String()
			}
			if !collectItems(t, join(key), kv[1]) {
				return false
			}
		}
		return true
	case *starlark.List, starlark.Tuple:
		list := v.(starlark.Sequence)
		it := list.Iterate()
		defer it.Done()
		var item starlark.Value
		for i := 0; it.Next(&item); i++ {
			if !collectItems(t, join(fmt.Sprint(i)), item) {
				return false
			}
		}
		return true
	}
	return false
}
