package labstar_test

import (
	"context"
	"strings"
	"testing"
	"testing/fstest"

	"go.starlark.net/starlark"

	"github.com/labstar/labstar"
	"github.com/labstar/labstar/action"
	"github.com/labstar/labstar/starlark/schema"
)

type checkArgs struct {
	Text string `star:"text" doc:"what it writes; \"bad\" fails"`
}

var checkOp = &action.Op{Name: "test/check", Version: 1, Run: func(_ context.Context, env action.Env) error {
	var a checkArgs
	if err := env.Params(&a); err != nil {
		return err
	}
	if a.Text == "bad" {
		return context.DeadlineExceeded
	}
	return env.WriteFile("out", []byte(a.Text))
}}

// builtinOf makes a builtin whose artifacts have a type: "test" or another.
func builtinOf(name, typ string) *schema.Builtin {
	return schema.New(name, name+" checks.", func(c *schema.Call, a *checkArgs) (starlark.Value, error) {
		act, err := c.Action(action.Spec{Op: checkOp, Params: *a, Outputs: []action.Output{{Name: "out", Kind: action.File}}})
		if err != nil {
			return nil, err
		}
		return schema.NewArtifact(act.Output("out"), typ, nil), nil
	})
}

const testScript = `
plain = made("plain")
one = check("one")
bad = check("bad")
group = {"a": check("a"), "b": check("b"), "file": made("file")}
`

func loadTests(t *testing.T) (*labstar.Labstar, *labstar.Lab) {
	t.Helper()
	ls, err := labstar.New(labstar.WithBuiltins(builtinOf("check", labstar.TestType), builtinOf("made", "file")),
		labstar.WithFS(fstest.MapFS{"lab.star": {Data: []byte(testScript)}}), labstar.WithStore(labstar.NewMemoryStore()), labstar.WithKeepGoing(true))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = ls.Close() })
	lab, err := ls.Load(context.Background(), "lab.star")
	if err != nil {
		t.Fatal(err)
	}
	return ls, lab
}

func names(targets []labstar.Target) string {
	var list []string
	for _, t := range targets {
		name := t.Name
		for _, i := range t.Items {
			if i.Path != "" {
				name += "/" + i.Path
			}
		}
		list = append(list, name)
	}
	return strings.Join(list, " ")
}

func TestTests(t *testing.T) {
	_, lab := loadTests(t)
	all, err := lab.Pick()
	if err != nil || names(all) != "group/file plain" {
		t.Errorf("a build of all: got %s %v, want no tests", names(all), err)
	}
	for patterns, want := range map[string]string{
		"": "bad group.a group.b one", "one": "one", "group": "group.a group.b", "group.b": "group.b", "*": "bad group.a group.b one", "?ne bad": "bad one",
	} {
		got, err := lab.Tests(strings.Fields(patterns)...)
		if err != nil || names(got) != want {
			t.Errorf("%q: got %s %v, want %s", patterns, names(got), err, want)
		}
	}
	for pattern, want := range map[string]string{"on": `has no test "on" (did you mean "one"?)`, "plain": `has no test "plain"`, "[": `got the pattern "["`} {
		if _, err := lab.Tests(pattern); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v, want %s", pattern, err, want)
		}
	}
}

func TestOutcome(t *testing.T) {
	ls, lab := loadTests(t)
	tests, err := lab.Tests()
	if err != nil {
		t.Fatal(err)
	}
	for round, want := range []string{"bad:failed group.a:passed group.b:passed one:passed", "bad:failed group.a:cached group.b:cached one:cached"} {
		report, err := ls.BuildTargets(context.Background(), lab, tests)
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, one := range tests {
			outcome, _, failure := report.Outcome(one)
			got = append(got, one.Name+":"+outcome)
			if (failure != nil) != (outcome == labstar.Failed) {
				t.Errorf("%s: got failure %v", one.Name, failure)
			}
		}
		if strings.Join(got, " ") != want {
			t.Errorf("round %d: got %s, want %s", round, got, want)
		}
	}
}

// A script that is in no file loads those that are.
func TestLoadText(t *testing.T) {
	ls, _ := loadTests(t)
	lab, err := ls.LoadText(context.Background(), "(made up)", `load("//lab.star", "plain")`+"\nmine = check('x')\nsame = plain\n")
	if err != nil {
		t.Fatal(err)
	}
	if got := names(lab.Targets); got != "mine same" || lab.File != "(made up)" {
		t.Errorf("got the targets %s of %s", got, lab.File)
	}
	if again, err := ls.Reload(context.Background(), lab); err != nil || names(again.Targets) != "mine same" {
		t.Errorf("loaded again: got %v %v", again, err)
	}
	_, err = ls.LoadText(context.Background(), "(made up)", "x = nothing\n")
	if err == nil || !strings.Contains(err.Error(), "(made up):1:5") {
		t.Errorf("got %v, want an error at a line of the text", err)
	}
}
