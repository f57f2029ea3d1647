package kernel

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/labstar/labstar/action"
	"github.com/labstar/labstar/internal/format/kconfig"
	"github.com/labstar/labstar/starlark/schema"
)

// report is what explainOp found out; nothing is in it if every request took effect.
type report struct {
	Failed []failure `json:"failed"`
	// Add are the smallest sets of options with which all requests would take
	// effect, the best first. None is known if it is empty.
	Add []kconfig.Config `json:"add,omitempty"`
	// Wants are the requests with the names that were meant, for the check of Add.
	Wants []request `json:"wants,omitempty"`
}

// failure is a request that did not take effect.
type failure struct {
	request
	Got   string `json:"got"`
	Why   string `json:"why,omitempty"`
	Meant string `json:"meant,omitempty"` // of an unknown name, the most similar one
}

// explainOp compares the requests with the .config that conf made. If all took
// effect, both outputs are empty and no Kconfig file is read. Otherwise "report"
// says why each did not, and "seed" is the seed with what would help, for conf to
// try.
var explainOp = &action.Op{Name: "kernel/config-explain", Version: 3, Check: true, Run: runExplain}

func runExplain(ctx context.Context, env action.Env) error {
	config, err := readInput(ctx, env, "config")
	if err != nil {
		return err
	}
	requests, err := readRequests(ctx, env)
	if err != nil {
		return err
	}
	e := explainer{requests: requests, got: kconfig.ParseConfig(config)}
	if !e.suspicious() {
		return errors.Join(env.WriteFile("report", nil), env.WriteFile("seed", nil))
	}
	if e.seed, err = readInput(ctx, env, "seed"); err != nil {
		return err
	}
	if e.tree, err = readKconfig(ctx, env); err != nil {
		return err
	}
	rep := e.explain()
	if len(rep.Failed) == 0 {
		return errors.Join(env.WriteFile("report", nil), env.WriteFile("seed", nil))
	}
	text, err := json.Marshal(rep)
	if err != nil {
		return err
	}
	var more []byte
	if len(rep.Add) > 0 {
		more = reseed(e.seed, rep.Add[0])
	}
	return errors.Join(env.WriteFile("report", text), env.WriteFile("seed", more))
}

// readKconfig reads the Kconfig files of the input "source" with the environment
// and the probes of the input "kconfig".
func readKconfig(ctx context.Context, env action.Env) (*kconfig.Tree, error) {
	source := action.NewEdit(env, env.Input("source").Digest)
	tools := action.NewEdit(env, env.Input("kconfig").Digest)
	open := func(tree *action.Edit, name string) ([]byte, error) {
		n, err := tree.Lookup(ctx, name)
		if err != nil {
			return nil, err
		}
		return readBlob(ctx, env, n.Digest)
	}
	environment, err := open(tools, "env")
	if err != nil {
		return nil, err
	}
	recorded, err := open(tools, "probes")
	if err != nil {
		return nil, err
	}
	probes, err := kconfig.ParseProbes(recorded)
	if err != nil {
		return nil, err
	}
	return kconfig.Read(kconfig.Source{
		Open: func(name string) ([]byte, error) { return open(source, name) },
		Env:  kconfig.ParseEnv(environment), Probes: probes,
	}, "Kconfig")
}

type explainer struct {
	requests []request
	got      kconfig.Config
	seed     []byte
	tree     *kconfig.Tree
}

// suspicious reports whether a request did not take effect, or may be for an
// option that there is not.
func (e *explainer) suspicious() bool {
	return slices.ContainsFunc(e.requests, func(r request) bool {
		_, known := e.got[r.Name]
		return !heeded(r, e.got) || !known || r.decimal()
	})
}

// decimal reports whether a script gave a number of several digits: should the
// option be hexadecimal, conf takes 4096 for 0x4096.
func (r request) decimal() bool {
	return r.From == "options" && len(r.Value) > 1 && strings.Trim(r.Value, "0123456789") == ""
}

func heeded(r request, got kconfig.Config) bool { return kconfig.SameValue(got.Get(r.Name), r.Value) }

func (e *explainer) explain() *report {
	mode, set := parseSeed(e.seed)
	m := kconfig.NewModel(e.tree, set)
	m.NoDefaults, m.Known = mode == "allnoconfig", e.got
	asked := kconfig.Config{}
	for _, r := range e.requests {
		asked[r.Name] = r.Value
	}
	rep := &report{}
	names := e.tree.Names()
	for _, r := range e.requests {
		unknown := e.tree.Lookup(r.Name) == nil
		if unknown && r.Maybe {
			continue
		}
		misread := !unknown && r.decimal() && e.tree.Lookup(r.Name).Type == "hex"
		if heeded(r, e.got) && !unknown && !misread {
			rep.Wants = append(rep.Wants, r)
			continue
		}
		got := e.got.Get(r.Name)
		if misread {
			got = "0x" + r.Value
		}
		f := failure{request: r, Got: got, Why: m.Why(r.Name, r.Value, e.got, asked)}
		if unknown {
			f.Meant = e.meant(r.Name, names)
		}
		rep.Failed = append(rep.Failed, f)
		if f.Meant != "" {
			r.Name = f.Meant
		}
		if e.tree.Lookup(r.Name) != nil && !misread {
			rep.Wants = append(rep.Wants, r)
		}
	}
	e.solve(m, rep)
	return rep
}

// meant returns the option that an unknown name was most likely meant to be: that
// of a file system (BTRFS), or the most similar one.
func (e *explainer) meant(name string, names []string) string {
	if fs := name + "_FS"; e.tree.Lookup(fs) != nil {
		return fs
	}
	return schema.Suggest(name, names)
}

// solve looks for what would make all requests take effect.
func (e *explainer) solve(m *kconfig.Model, rep *report) {
	keep := kconfig.Config{}
	meant := kconfig.Config{}
	for _, f := range rep.Failed {
		if f.Meant != "" {
			meant[f.Meant] = f.Value
		}
	}
	m = m.With(meant)
	var wants []kconfig.Want
	for _, r := range rep.Wants {
		keep[r.Name] = r.Value
		w := kconfig.Want{Name: r.Name, Value: r.Value}
		// What took effect must go on to. Where the model has it otherwise it is
		// no judge of that option; conf will tell.
		if !heeded(r, e.got) || m.Has(w) {
			wants = append(wants, w)
		}
	}
	sets := m.Solve(wants, keep)
	if len(sets) == 0 {
		// Some can't be had together, or at all: what helps the others?
		sets = m.Solve(e.possible(m, wants, keep), keep)
	}
	for _, add := range sets {
		for name, value := range meant {
			add[name] = value
		}
		if len(add) > 0 {
			rep.Add = append(rep.Add, add)
		}
	}
}

// possible leaves out the wants that can't be had by themselves.
func (e *explainer) possible(m *kconfig.Model, wants []kconfig.Want, keep kconfig.Config) []kconfig.Want {
	return slices.DeleteFunc(slices.Clone(wants), func(w kconfig.Want) bool {
		return !m.Has(w) && len(m.Solve([]kconfig.Want{w}, keep)) == 0
	})
}

// parseSeed reads what seed wrote.
func parseSeed(b []byte) (mode string, set kconfig.Config) {
	first, _, _ := strings.Cut(string(b), "\n")
	return strings.TrimPrefix(first, "# "), kconfig.ParseConfig(b)
}

// reseed returns the seed with more options.
func reseed(b []byte, add kconfig.Config) []byte {
	mode, _ := parseSeed(b)
	var requests []request
	for _, name := range add.Names() {
		requests = append(requests, request{Name: name, Value: add[name]})
	}
	return seed(mode, assignments(b), requests)
}

// message renders the report for the person who wrote the script. checked is the
// .config that conf made of the first set of Add.
func (rep *report) message(requests int, checked kconfig.Config) error {
	var b strings.Builder
	fmt.Fprintf(&b, "checking kernel options: %d of %d did not take effect", len(rep.Failed), requests)
	for _, f := range rep.Failed {
		if f.Meant != "" || f.Why == noSuchOption {
			fmt.Fprintf(&b, "\n  %s (%s): %s", f.Name, f.From, noSuchOption)
		} else {
			fmt.Fprintf(&b, "\n  %s (%s): got %s, want %s", f.Name, f.From, f.Got, f.Value)
			if f.Why != "" {
				b.WriteString(": " + f.Why)
			}
		}
		if f.Meant != "" {
			fmt.Fprintf(&b, " (did you mean %q?)", f.Meant)
		}
	}
	if len(rep.Add) == 0 {
		b.WriteString("\nchange or remove them: no options were found with which they take effect")
		return errors.New(b.String())
	}
	open := unheeded(rep.Wants, checked)
	if len(open) == 0 {
		fmt.Fprintf(&b, "\nadd these %d, with which conf lets all %d take effect:", len(rep.Add[0]), len(rep.Wants))
	} else {
		var names []string
		for _, r := range open {
			names = append(names, r.Name)
		}
		fmt.Fprintf(&b, "\nadd these %d, with which conf lets all take effect but %s:", len(rep.Add[0]), strings.Join(names, ", "))
	}
	b.WriteString("\n  options = {\n")
	for _, name := range rep.Add[0].Names() {
		fmt.Fprintf(&b, "      %q: %s,", name, script(rep.Add[0][name]))
		for _, f := range rep.Failed {
			if f.Meant == name {
				fmt.Fprintf(&b, "  # and not %s", f.Name)
			}
		}
		b.WriteString("\n")
	}
	b.WriteString("  }")
	for _, other := range rep.Add[1:] {
		less, more := difference(rep.Add[0], other)
		fmt.Fprintf(&b, "\n  or, instead of %s: %s", less, more)
	}
	return errors.New(b.String())
}

const noSuchOption = "this source has no such option"

// difference names the options that are in one set only.
func difference(a, b kconfig.Config) (onlyA, onlyB string) {
	only := func(x, y kconfig.Config) string {
		var list []string
		for _, n := range x.Names() {
			if y[n] != x[n] {
				list = append(list, fmt.Sprintf("%q: %s", n, script(x[n])))
			}
		}
		return strings.Join(list, ", ")
	}
	return only(a, b), only(b, a)
}
