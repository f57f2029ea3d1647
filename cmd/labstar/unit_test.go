package main

import (
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/spf13/pflag"

	"github.com/labstar/labstar/action"
	"github.com/labstar/labstar/internal/engine"
)

func TestSplitFile(t *testing.T) {
	t.Chdir(t.TempDir())
	for _, name := range []string{"script", "lab.star", filepath.Join("lab", "lab.star"), filepath.Join("page", "index.html")} {
		if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(name, nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for _, c := range []struct {
		args []string
		file string
		rest []string
	}{
		{nil, "lab.star", nil},
		{[]string{"page"}, "lab.star", []string{"page"}}, // a folder without a script is no script
		{[]string{"disk", "page"}, "lab.star", []string{"disk", "page"}},
		{[]string{"other.star", "page"}, "other.star", []string{"page"}},
		{[]string{"script", "page"}, "script", []string{"page"}},
		{[]string{"lab", "page"}, filepath.Join("lab", "lab.star"), []string{"page"}},
		{[]string{"page", "lab.star"}, "lab.star", []string{"page", "lab.star"}},
	} {
		file, rest := splitFile(c.args)
		if file != c.file || !slices.Equal(rest, c.rest) {
			t.Errorf("%q: got %q, %q, want %q, %q", c.args, file, rest, c.file, c.rest)
		}
	}
}

func TestEstimate(t *testing.T) {
	scope := action.NewScope()
	op := &action.Op{Name: "test/op", Version: 1}
	step := func(title string, millis int64, inputs ...engine.Step) engine.Step {
		spec := action.Spec{Op: op, Params: title, Title: title, Outputs: []action.Output{{Name: "out", Kind: action.File}}}
		for _, in := range inputs {
			spec.Inputs = append(spec.Inputs, action.Input{Name: in.Action.Title, Artifact: in.Action.Output("out")})
		}
		a, err := scope.Action(spec)
		if err != nil {
			t.Fatal(err)
		}
		return engine.Step{Action: a, Millis: millis}
	}
	a := step("a", 1000)
	b := step("b", 2000, a)
	c := step("c", 0)
	d := step("d", 5000)
	for _, x := range []struct {
		steps []engine.Step
		jobs  int
		about time.Duration
		fresh int
	}{
		{nil, 2, 0, 0},
		{[]engine.Step{a, b}, 8, 3 * time.Second, 0}, // a chain
		{[]engine.Step{a, b, c, d}, 8, 5 * time.Second, 1},
		{[]engine.Step{a, b, c, d}, 1, 8 * time.Second, 1},
	} {
		if about, fresh := estimate(x.steps, x.jobs); about != x.about || fresh != x.fresh {
			t.Errorf("%d steps, %d jobs: got %v, %d, want %v, %d", len(x.steps), x.jobs, about, fresh, x.about, x.fresh)
		}
	}
}

func TestIdentLen(t *testing.T) {
	for _, c := range []struct {
		line string
		col  int
		want int
	}{{"x = run(1)", 5, 3}, {"größe()", 1, 5}, {"(", 1, 0}, {"x", 9, 0}, {"x", 0, 0}} {
		if got := identLen(c.line, c.col); got != c.want {
			t.Errorf("identLen(%q, %d): got %d, want %d", c.line, c.col, got, c.want)
		}
	}
}

// Every command has what help and completion need, and a name of its own.
func TestCommandsAreDescribed(t *testing.T) {
	seen := map[string]bool{}
	for _, c := range commands() {
		if c.name == "" || seen[c.name] || c.short == "" || c.examples == "" || c.setup == nil {
			t.Errorf("command %q lacks something, or is there twice", c.name)
		}
		seen[c.name] = true
	}
}

// Whatever stands on the command line, it is either understood or a usageError.
func FuzzFlags(f *testing.F) {
	f.Add(0, "--jobs=3\x00-k\x00page")
	f.Add(5, "--update\x00gcc\x00--")
	f.Add(8, "gc\x00--max-size\x001GB")
	f.Add(1, "-j\x00\x00---x\x00--=")
	f.Fuzz(func(t *testing.T, n int, line string) {
		list := commands()
		c := list[(n%len(list)+len(list))%len(list)]
		fs := pflag.NewFlagSet(c.name, pflag.ContinueOnError)
		fs.SetOutput(io.Discard)
		fs.Usage = func() {}
		a := &app{}
		c.setup(a, fs)
		a.commonFlags(fs)
		err := fs.Parse(strings.Split(line, "\x00"))
		if err == nil {
			return
		}
		var usage *usageError
		if err := flagError(c.name, fs, err); !errors.As(err, &usage) || usage.msg == "" {
			t.Errorf("%s %q: got %v, want a usageError", c.name, line, err)
		}
	})
}
