package history

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/labstar/labstar/action"
)

type params struct {
	Options map[string]any `json:"options,omitempty"`
	List    []string       `json:"list,omitempty"`
	Script  string         `json:"script,omitempty"`
	Ref     string         `json:"ref,omitempty"`
}

var (
	compile = &action.Op{Name: "test/compile", Version: 1}
	pack    = &action.Op{Name: "test/pack", Version: 1}
)

// lab is a graph like a script's: a source, compiled with options, packed.
type lab struct {
	file    string
	options map[string]any
	list    []string
	script  string
	version int
	extra   bool
	line    int
	run     Run
}

func (l lab) capture(t *testing.T) *Graph {
	t.Helper()
	s := action.NewScope()
	make := func(op *action.Op, title string, line int, p params, in ...action.Input) *action.Artifact {
		if l.version != 0 {
			op = &action.Op{Name: op.Name, Version: l.version}
		}
		a, err := s.Action(action.Spec{Op: op, Params: p, Inputs: in, Title: title,
			Outputs: []action.Output{{Name: "out", Kind: action.File}},
			Site:    []action.Frame{{File: "lab.star", Line: line + l.line, Col: 1}}})
		if err != nil {
			t.Fatal(err)
		}
		return a.Output("out")
	}
	src := s.Source(action.Source{Kind: action.File, Path: "main.c", Digest: action.Of([]byte(l.file))}, "main.c",
		[]action.Frame{{File: "lab.star", Line: 1 + l.line, Col: 1}})
	bin := make(compile, "program", 2, params{Options: l.options, List: l.list, Script: l.script}, action.Input{Name: "source", Artifact: src})
	inputs := []action.Input{{Name: "bin", Artifact: bin}}
	if l.extra {
		inputs = append(inputs, action.Input{Name: "extra", Artifact: src})
	}
	image := make(pack, "image", 3, params{Ref: "x" + bin.Token(action.Text)}, inputs...)
	other := make(pack, "other", 4, params{Ref: "y"})
	return Capture([]Named{{"image", image}, {"other", other}}, l.run)
}

// explain writes causes on lines: where: what; what.
func explain(causes []Cause) string {
	var b strings.Builder
	for _, c := range causes {
		fmt.Fprintf(&b, "%d %s: %s\n", c.Site.Line, strings.Join(c.Chain, " <- "), strings.Join(c.What, "; "))
	}
	return b.String()
}

func TestDiff(t *testing.T) {
	base := lab{file: "a", options: map[string]any{"STATIC": true, "HZ": 100}, list: []string{"x", "y"}, script: "one\ntwo\nthree\n"}
	for name, c := range map[string]struct {
		change func(*lab)
		want   string
	}{
		"nothing":     {func(*lab) {}, ""},
		"moved lines": {func(l *lab) { l.line = 7 }, ""},
		"file":        {func(l *lab) { l.file = "b" }, "1 image <- program <- main.c: main.c changed\n"},
		"option": {func(l *lab) { l.options = map[string]any{"STATIC": false, "NEW": "m"} },
			"2 image <- program: options.HZ: removed (was 100); options.NEW: added \"m\"; options.STATIC: true -> false\n"},
		"list": {func(l *lab) { l.list = []string{"x", "z", "w"} }, "2 image <- program: list: added \"z\"; list: added \"w\"; list: removed \"y\"\n"},
		"script": {func(l *lab) { l.script = "one\n2\nthree\n" },
			"2 image <- program: script line 2 - two; script line 2 + 2\n"},
		"new input": {func(l *lab) { l.extra = true }, "3 image: input extra is new: main.c\n"},
		"two causes": {func(l *lab) { l.file = "b"; l.list = []string{"x", "q"} },
			"2 image <- program: list[1]: \"y\" -> \"q\"\n1 image <- program <- main.c: main.c changed\n"},
		"tool": {func(l *lab) { l.version = 2 },
			"3 image: labstar's test/pack: version 1 -> 2\n2 image <- program: labstar's test/compile: version 1 -> 2\n"},
	} {
		changed := base
		c.change(&changed)
		old, now := base.capture(t), changed.capture(t)
		b, err := old.Encode()
		if err != nil {
			t.Fatal(err)
		}
		if old, err = Decode(b); err != nil {
			t.Fatal(err)
		}
		if got := explain(Diff(old, now, "image")); got != c.want {
			t.Errorf("%s: got\n%swant\n%s", name, got, c.want)
		}
		if got := Diff(old, now, "other"); name != "tool" && len(got) > 0 {
			t.Errorf("%s: the other target differs: %s", name, explain(got))
		}
	}
}

// What was made anew and came out the same is no cause of what is above it.
func TestCutoff(t *testing.T) {
	same := Run{Result: func(action.Digest) *action.Result {
		return &action.Result{Outputs: []action.OutputDigest{{Name: "out", Kind: action.File, Digest: action.Empty}}}
	}}
	old, now := lab{file: "a", run: same}.capture(t), lab{file: "b", run: same}.capture(t)
	if got := Diff(old, now, "image"); len(got) != 0 {
		t.Errorf("got %s", explain(got))
	}
}

func TestNewTarget(t *testing.T) {
	now := lab{file: "a"}.capture(t)
	got := Diff(&Graph{}, now, "image")
	if len(got) != 1 || !slices.Equal(got[0].What, []string{"new target"}) {
		t.Errorf("got %s", explain(got))
	}
	if got := Diff(now, now, "no such target"); got != nil {
		t.Errorf("got %s", explain(got))
	}
}

func TestDiffLines(t *testing.T) {
	for _, c := range []struct{ a, b, want string }{
		{"a\nb\nc", "a\nx\nc", "line 2 - b|line 2 + x"},
		{"a\n", "a\nb\n", "line 2 + b"},
		{"same", "same", ""},
		{"1\n2\n3\n4\n5", "", "line 1 - 1|line 2 - 2|line 3 - 3|- 2 more lines"},
	} {
		if got := strings.Join(DiffLines("", c.a, c.b), "|"); got != c.want {
			t.Errorf("DiffLines(%q, %q) = %q, want %q", c.a, c.b, got, c.want)
		}
	}
}

func FuzzDecode(f *testing.F) {
	f.Add([]byte(`{"targets":[{"name":"x","node":0}],"nodes":[{"op":"a","inputs":[]}]}`))
	f.Add([]byte(`{"targets":[{"name":"x","node":7}]}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		g, err := Decode(b)
		if err != nil {
			return
		}
		for _, target := range g.Targets {
			if got := Diff(g, g, target.Name); got != nil {
				t.Errorf("a graph differs from itself: %v", got)
			}
		}
	})
}
