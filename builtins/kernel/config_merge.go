package kernel

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"slices"
	"strings"

	"github.com/labstar/labstar/action"
	"github.com/labstar/labstar/internal/format/kconfig"
	"github.com/labstar/labstar/starlark/schema"
)

// mergeParams has dicts and no lists, so that `labstar plan` names what changed.
type mergeParams struct {
	Arch     string            `json:"arch"`
	Base     string            `json:"base"`     // "" if it is the input "base"
	Options  map[string]string `json:"options"`  // values as a .config has them
	Profiles map[string]string `json:"profiles"` // their texts
}

// mergeOp joins base, fragments, profiles and options: the output "seed" is what
// conf starts from, with the way that conf goes in its first line, "requests" the
// list of what was asked for. Requests of the script that contradict each other
// are an error.
var mergeOp = &action.Op{Name: "kernel/requests", Version: 1, Check: true, Run: runMerge}

func runMerge(ctx context.Context, env action.Env) error {
	m := merger{ctx: ctx, env: env, source: action.NewEdit(env, env.Input("source").Digest)}
	if err := env.Params(&m.params); err != nil {
		return err
	}
	mode, base, err := m.base()
	if err != nil {
		return err
	}
	requests, err := m.requests()
	if err != nil {
		return err
	}
	list, err := json.Marshal(requests)
	if err != nil {
		return err
	}
	return errors.Join(env.WriteFile("seed", seed(mode, base, requests)), env.WriteFile("requests", list))
}

type merger struct {
	ctx    context.Context
	env    action.Env
	params mergeParams
	source *action.Edit
}

// conf's own bases: it sets everything that the seed does not.
var confModes = []string{"allnoconfig", "allyesconfig", "allmodconfig", "alldefconfig"}

// base returns the way that conf goes and what the base sets.
func (m *merger) base() (mode string, set []kconfig.Assignment, err error) {
	name := m.params.Base
	if name == "" {
		text, err := readInput(m.ctx, m.env, "base")
		return "defconfig", assignments(text), err
	}
	if slices.Contains(confModes, name) {
		return name, nil, nil
	}
	dir := "arch/" + archs[m.params.Arch].src + "/configs/"
	if name == "tinyconfig" {
		// As the source's own Makefile has it, up to its order.
		for _, f := range []string{"kernel/configs/tiny-base.config", "kernel/configs/tiny.config", dir + "tiny.config"} {
			text, err := m.read(f)
			if err != nil && !errors.Is(err, fs.ErrNotExist) {
				return "", nil, err
			}
			set = append(set, assignments(text)...)
		}
		return "allnoconfig", set, nil
	}
	if name == "defconfig" && m.params.Arch == "x86_64" {
		name = "x86_64_defconfig"
	}
	text, err := m.read(dir + name)
	if errors.Is(err, fs.ErrNotExist) {
		return "", nil, m.noBase(dir)
	}
	return "defconfig", assignments(text), err
}

// noBase lists the bases that there are.
func (m *merger) noBase(dir string) error {
	names := slices.Concat(confModes, []string{"tinyconfig"})
	// A folder that was looked into has no digest: start anew.
	source := action.NewEdit(m.env, m.env.Input("source").Digest)
	if n, err := source.Lookup(m.ctx, strings.TrimSuffix(dir, "/")); err == nil && n.Kind == action.Dir {
		if d, err := m.env.Directory(m.ctx, n.Digest); err == nil {
			for _, n := range d.Nodes {
				if !strings.HasSuffix(n.Name, ".config") { // a fragment
					names = append(names, n.Name)
				}
			}
		}
	}
	slices.Sort(names)
	err := fmt.Errorf("got the base %q, which this source has not, want one of %s, or a file", m.params.Base, strings.Join(names, ", "))
	if s := schema.Suggest(m.params.Base, names); s != "" {
		err = fmt.Errorf("%w (did you mean %q?)", err, s)
	}
	return err
}

// requests returns what is asked for, each option once, sorted by name.
func (m *merger) requests() ([]request, error) {
	v, err := m.version()
	if err != nil {
		return nil, err
	}
	all := map[string]request{}
	problems := m.fragments(all)
	for _, name := range slices.Sorted(maps.Keys(m.params.Profiles)) {
		lines, err := parseProfile(name, m.params.Profiles[name])
		if err != nil {
			return nil, err
		}
		for _, l := range lines {
			if l.holds(v, m.params.Arch) {
				problems = append(problems, m.profile(all, request{l.name, l.value, "profile " + name, l.maybe}))
			}
		}
	}
	for _, name := range slices.Sorted(maps.Keys(m.params.Options)) {
		r := request{Name: name, Value: m.params.Options[name], From: "options"}
		have, ok := all[name]
		switch {
		case ok && strings.HasPrefix(have.From, "profile"):
			r.Maybe = r.Value == "n" // what a profile asks for some kernels have not
		case ok && !kconfig.SameValue(have.Value, r.Value):
			problems = append(problems, fmt.Errorf("%s has %s = %s, options has %s: drop one", have.From, name, have.Value, script(r.Value)))
		}
		all[name] = r
	}
	if err := errors.Join(problems...); err != nil {
		return nil, fmt.Errorf("joining the requests: %w", err)
	}
	list := slices.Collect(maps.Values(all))
	slices.SortFunc(list, func(a, b request) int { return strings.Compare(a.Name, b.Name) })
	return list, nil
}

func (m *merger) fragments(all map[string]request) (problems []error) {
	for _, in := range m.env.Inputs() {
		if !strings.HasPrefix(in.Name, "fragments[") {
			continue
		}
		text, err := readInput(m.ctx, m.env, in.Name)
		if err != nil {
			return append(problems, err)
		}
		list, err := kconfig.ParseFragment(text)
		if err != nil {
			problems = append(problems, fmt.Errorf("%s: %w", in.Name, err))
		}
		for _, a := range list {
			r := request{Name: a.Name, Value: a.Value, From: fmt.Sprintf("%s line %d", in.Name, a.Line)}
			if have, ok := all[a.Name]; ok && !kconfig.SameValue(have.Value, r.Value) {
				problems = append(problems, fmt.Errorf("%s has %s = %s, %s has %s: drop one", have.From, r.Name, have.Value, r.From, r.Value))
			}
			all[a.Name] = r
		}
	}
	return problems
}

// profile adds what a profile asks for. Two that both want an option have it
// built in if one of them needs that.
func (m *merger) profile(all map[string]request, r request) error {
	have, ok := all[r.Name]
	_, overruled := m.params.Options[r.Name]
	switch {
	case !ok || kconfig.SameValue(have.Value, r.Value):
		if !ok {
			all[r.Name] = r
		}
		return nil
	case strings.HasPrefix(have.From, "profile") && have.Value == "m" && r.Value == "y":
		all[r.Name] = r
		return nil
	case strings.HasPrefix(have.From, "profile") && have.Value == "y" && r.Value == "m", overruled:
		return nil
	}
	return fmt.Errorf("%s has %s = %s, %s has %s: say which in options", have.From, r.Name, have.Value, r.From, r.Value)
}

// version reads that of the source from its Makefile.
func (m *merger) version() (version, error) {
	text, err := m.read("Makefile")
	if err != nil {
		return version{}, fmt.Errorf("reading the kernel's version: %w", err)
	}
	return kernelVersion(text)
}

func kernelVersion(makefile []byte) (version, error) {
	found := map[string]string{}
	for line := range strings.Lines(string(makefile)) {
		if name, value, ok := strings.Cut(line, "="); ok && len(found) < 2 {
			switch name = strings.TrimSpace(name); name {
			case "VERSION", "PATCHLEVEL":
				found[name] = strings.TrimSpace(value)
			}
		}
	}
	v, err := parseVersion(found["VERSION"] + "." + found["PATCHLEVEL"])
	if err != nil {
		return v, errors.New("reading the kernel's version: got a Makefile without VERSION and PATCHLEVEL, want Linux' source tree")
	}
	return v, nil
}

// read returns a file of the source.
func (m *merger) read(name string) ([]byte, error) {
	n, err := m.source.Lookup(m.ctx, name)
	if err != nil {
		return nil, err
	}
	return readBlob(m.ctx, m.env, n.Digest)
}

func assignments(text []byte) []kconfig.Assignment {
	list, _ := kconfig.ParseFragment(text) // conf skips what is no assignment, too
	return list
}

// seed writes what conf starts from. Each option is there once, the requests
// last, since of the members of a choice conf takes the last one.
func seed(mode string, base []kconfig.Assignment, requests []request) []byte {
	asked := map[string]bool{}
	for _, r := range requests {
		asked[r.Name] = true
	}
	var b strings.Builder
	b.WriteString("# " + mode + "\n")
	last := map[string]int{}
	for i, a := range base {
		last[a.Name] = i
	}
	for i, a := range base {
		if !asked[a.Name] && last[a.Name] == i {
			b.WriteString(kconfig.Line(a.Name, a.Value))
		}
	}
	for _, r := range requests {
		b.WriteString(kconfig.Line(r.Name, r.Value))
	}
	return []byte(b.String())
}

func readInput(ctx context.Context, env action.Env, name string) ([]byte, error) {
	return readBlob(ctx, env, env.Input(name).Digest)
}

func readBlob(ctx context.Context, c action.Content, d action.Digest) ([]byte, error) {
	b, err := c.OpenBlob(ctx, d)
	if err != nil {
		return nil, err
	}
	defer b.Close()
	return io.ReadAll(b)
}
