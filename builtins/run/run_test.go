package run

import (
	"encoding/json"
	"reflect"
	"strings"
	"testing"

	"go.starlark.net/starlark"

	"github.com/labstar/labstar/action"
	"github.com/labstar/labstar/internal/buildtest"
	"github.com/labstar/labstar/starlark/schema"
)

func eval(t *testing.T, script string) (*buildtest.Lab, starlark.StringDict, error) {
	t.Helper()
	lab := buildtest.New(t)
	globals, err := lab.TryEval(Builtins(), script, starlark.StringDict{
		"tools": lab.Tree(map[string]buildtest.Node{"bin/sh": {Text: "x", Mode: 0o755}}),
		"src":   lab.Tree(map[string]buildtest.Node{"main.c": {Text: "int main;"}}),
		"page":  lab.File("page"),
	})
	return lab, globals, err
}

func commandOf(t *testing.T, a *schema.Artifact) action.Command {
	t.Helper()
	var cmd action.Command
	if err := json.Unmarshal(a.Action.Params, &cmd); err != nil {
		t.Fatal(err)
	}
	return cmd
}

func TestCommand(t *testing.T) {
	_, g, err := eval(t, `
r = run(["cc", "-o", "app", page, 3], toolchain = tools, source = src, inputs = {"cfg": page, "lib.a": src},
        outputs = {"app": "app", "hdr": "include/", "x.y": "z"}, env = {"CFLAGS": "-I%s" % page}, workdir = "sub/", timeout = 60)
shell = run("cat %s > out" % page, toolchain = tools, outputs = "out")
named = [r.app, r.hdr, r.outputs["x.y"]]
`)
	if err != nil {
		t.Fatal(err)
	}
	r := g["r"].(*schema.Artifact)
	token := g["shell"].(*schema.Artifact).Action.Refs[0].Artifact.Token(action.Path)
	want := action.Command{
		Argv: []string{"cc", "-o", "app", token, "3"}, Env: map[string]string{"CFLAGS": "-I" + token}, Dir: "/build/sub",
		Root: []string{"toolchain"}, Work: "source", Timeout: 60, Outputs: []string{"app", "include", "z"},
		Mounts: []action.Mount{{Path: "/in/cfg", Input: "in/cfg"}, {Path: "/in/lib.a", Input: "in/lib.a"}},
	}
	if got := commandOf(t, r); !reflect.DeepEqual(got, want) {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
	if r.Kind() != action.File || r.Type() != "file" || len(r.Action.Inputs) != 4 {
		t.Errorf("got a %s %s of %d inputs, want a file of 4", r.Type(), r.Kind(), len(r.Action.Inputs))
	}
	if hdr, _ := r.Attr("hdr"); hdr == nil || hdr.Type() != "tree" {
		t.Errorf("got hdr %v, want a tree", hdr)
	}
	shell := commandOf(t, g["shell"].(*schema.Artifact))
	if want := []string{"/bin/sh", "-euc", "cat " + token + " > out"}; !reflect.DeepEqual(shell.Argv, want) {
		t.Errorf("got %q, want %q", shell.Argv, want)
	}
}

func TestOnePathDeclaresTheInput(t *testing.T) {
	_, g, err := eval(t, `r = run("cp %s out" % page, toolchain = tools, outputs = ["out"])`)
	if err != nil {
		t.Fatal(err)
	}
	act := g["r"].(*schema.Artifact).Action
	if len(act.Refs) != 1 || act.Refs[0].Kind != action.Path {
		t.Errorf("got refs %v, want the path of the page", act.Refs)
	}
}

func TestErrors(t *testing.T) {
	for script, want := range map[string]string{
		`run("", toolchain = tools, outputs = "x")`:                                          `cmd: got an empty command`,
		`run([], toolchain = tools, outputs = "x")`:                                          `cmd: got an empty command`,
		`run(["a", None], toolchain = tools, outputs = "x")`:                                 `cmd: got NoneType as element 1, want a string or an artifact`,
		`run(5, toolchain = tools, outputs = "x")`:                                           `cmd: got int, want a list of arguments`,
		`run("a", toolchain = tools, outputs = "/x")`:                                        `outputs: got the absolute path "/x"`,
		`run("a", toolchain = tools, outputs = "../x")`:                                      `an output must stay below the working folder`,
		`run("a", toolchain = tools, outputs = [])`:                                          `outputs: got none`,
		`run("a", toolchain = tools, outputs = ["a/", "a/b"])`:                               `one is inside the other`,
		`run("a", toolchain = tools, outputs = ["a", "a"])`:                                  `got the output "a" twice`,
		`run("a", toolchain = tools, outputs = {"a": 1})`:                                    `got int, want a path`,
		`run("a", toolchain = tools, outputs = "x", inputs = {"a/b": page})`:                 `got the input name "a/b"`,
		`run("a", toolchain = tools, outputs = "x", env = {"A=B": "c"})`:                     `want one without '='`,
		`run("a", toolchain = tools, outputs = "x", workdir = "/tmp")`:                       `workdir: got the absolute path`,
		`run("a", toolchain = tools, outputs = "x", timeout = -1)`:                           `timeout: got -1`,
		`run("a", toolchain = page, outputs = "x")`:                                          `want a tree`,
		`run("a" + str(page)[5:40], toolchain = tools, outputs = "x")`:                       `damaged late-bound string`,
		`run("a", toolchain = tools, outputs = "/x", timeout = -1, env = {"=": "", "b": 1})`: `env["b"]: got int, want string`,
		`run("a", toolchan = tools, outputs = "x")`:                                          `toolchan`,
	} {
		if _, _, err := eval(t, script); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s\ngot  %v\nwant %s", script, err, want)
		}
	}
}
