// Package run is the builtin `run`: one command in the sandbox, for what no
// other builtin does.
//
//	page = run("markdown < %s > index.html" % file("page.md"),
//	           toolchain = tools, outputs = "index.html")
//
// The command sees the toolchain as its root, its inputs read-only, a writable
// working folder (action.BuildDir), no network and nothing else. A path of an
// artifact inside the command (`%s` above) declares that input by itself.
package run

import (
	"errors"
	"fmt"
	"path"
	"slices"
	"strings"

	"go.starlark.net/starlark"

	"github.com/labstar/labstar/action"
	"github.com/labstar/labstar/starlark/schema"
)

// Builtins returns the builtins of this group.
func Builtins() []*schema.Builtin { return []*schema.Builtin{Run} }

type runArgs struct {
	Cmd       starlark.Value                `star:"cmd" doc:"the command: a list of arguments, or a string that /bin/sh -euc runs; artifacts in it are their paths"`
	Toolchain *schema.Artifact              `star:"toolchain,keyword" kind:"tree" doc:"the tree that is the root of the sandbox"`
	Outputs   starlark.Value                `star:"outputs,keyword" doc:"what the command leaves, relative to the working folder: one path, a list, or a dict of names to paths; a path that ends in / is a tree"`
	Inputs    schema.Dict[*schema.Artifact] `star:"inputs,keyword,optional" doc:"more inputs, by name; each is laid read-only at /in/NAME"`
	Source    *schema.Artifact              `star:"source,keyword,optional" kind:"tree" doc:"a tree that the working folder starts with; it can be written, the original stays as it is"`
	Env       map[string]action.Late        `star:"env,keyword,optional,paths" doc:"environment variables, on top of the fixed ones (PATH, HOME, TMPDIR, LANG, TZ, SOURCE_DATE_EPOCH)"`
	Workdir   string                        `star:"workdir,keyword" default:"\"\"" doc:"where the command starts, relative to the working folder"`
	Timeout   int                           `star:"timeout,keyword" default:"0" doc:"seconds after which the command is ended and has failed; 0 is no limit"`
	Compiles  bool                          `star:"compiles,keyword" default:"False" doc:"True for a command that compiles C: each object that an earlier build made of the same text comes from the compile cache; the outputs are the same either way"`
	Name      string                        `star:"name,keyword" default:"\"\"" doc:"what messages call this step; by default the command's name"`
}

// Run is the builtin `run`.
var Run = schema.New("run", `run runs a command in the sandbox and returns what it leaves.

The root of the sandbox is exactly the toolchain; the command has no network and
sees no file that is not an input. It starts in an empty folder (or with what
`+"`source`"+` has), the same path every time, and only the outputs leave it.

The value is the output. With several outputs it is the first, and each is an
attribute by its name: `+"`r.lib`"+`, or `+"`r.outputs[\"lib/x.a\"]`"+` where the name is no
identifier.

	objs = run("make -C lib", toolchain = tools, source = src,
	           outputs = {"lib": "lib/libx.a", "headers": "include/"})
	app  = run(["cc", "-o", "app", main, objs.lib], toolchain = tools, outputs = "app")`, call)

func call(c *schema.Call, a *runArgs) (starlark.Value, error) {
	argv, errCmd := command(c, a.Cmd)
	outs, errOut := outputs(c, a.Outputs)
	dir, errDir := workdir(c, a.Workdir)
	if err := errors.Join(errCmd, errOut, errDir, checkInputs(c, a), checkEnv(c, a), checkTimeout(c, a)); err != nil {
		return nil, err
	}
	cmd := action.Command{Argv: argv, Env: env(a.Env), Dir: dir, Root: []string{"toolchain"}, Timeout: a.Timeout, Compile: a.Compiles}
	spec := action.Spec{Op: action.Exec, Title: title(a, c), Inputs: []action.Input{{Name: "toolchain", Artifact: a.Toolchain.Artifact}}}
	if a.Source != nil {
		cmd.Work = "source"
		spec.Inputs = append(spec.Inputs, action.Input{Name: "source", Artifact: a.Source.Artifact})
	}
	for _, in := range a.Inputs {
		name := inputPrefix + in.Key
		cmd.Mounts = append(cmd.Mounts, action.Mount{Path: action.InputDir + "/" + in.Key, Input: name})
		spec.Inputs = append(spec.Inputs, action.Input{Name: name, Artifact: in.Value.Artifact})
	}
	for _, o := range outs {
		cmd.Outputs = append(cmd.Outputs, o.path)
		spec.Outputs = append(spec.Outputs, action.Output{Name: o.name, Kind: o.kind})
	}
	spec.Params = cmd
	act, err := c.Action(spec)
	if err != nil {
		return nil, err
	}
	return value(act, a.Outputs), nil
}

// inputPrefix keeps the user's input names apart from "toolchain" and "source".
const inputPrefix = "in/"

// command makes the argument list of cmd, a string or a list.
func command(c *schema.Call, v starlark.Value) ([]string, error) {
	switch v := v.(type) {
	case starlark.String:
		if strings.TrimSpace(string(v)) == "" {
			return nil, c.ArgErrorf("cmd", "got an empty command, want a shell script or a list of arguments")
		}
		return []string{"/bin/sh", "-euc", string(v)}, nil
	case starlark.Iterable:
		var argv []string
		for i, e := range elements(v) {
			switch e := e.(type) {
			case starlark.String:
				argv = append(argv, string(e))
			case *schema.Artifact:
				argv = append(argv, e.Token(action.Path))
			case starlark.Int:
				argv = append(argv, e.String())
			default:
				return nil, c.ArgErrorf("cmd", "got %s as element %d, want a string or an artifact", e.Type(), i)
			}
		}
		if len(argv) == 0 || argv[0] == "" {
			return nil, c.ArgErrorf("cmd", "got an empty command, want at least the program's name")
		}
		return argv, nil
	}
	return nil, c.ArgErrorf("cmd", "got %s, want a list of arguments or a string for the shell", v.Type())
}

func elements(it starlark.Iterable) []starlark.Value {
	var vs []starlark.Value
	iter := it.Iterate()
	defer iter.Done()
	for v := starlark.Value(nil); iter.Next(&v); {
		vs = append(vs, v)
	}
	return vs
}

// env drops the type that says "may hold tokens": inside a Command every string may.
func env(m map[string]action.Late) map[string]string {
	if len(m) == 0 {
		return nil
	}
	out := make(map[string]string, len(m))
	for k, v := range m {
		out[k] = string(v)
	}
	return out
}

// title names the step for people: the given name, else the program's.
func title(a *runArgs, c *schema.Call) string {
	if a.Name != "" {
		return a.Name
	}
	var first string
	switch v := a.Cmd.(type) {
	case starlark.String:
		first, _, _ = strings.Cut(strings.TrimSpace(string(v)), "\n")
	case starlark.Indexable:
		if s, ok := v.Index(0).(starlark.String); ok {
			first = path.Base(string(s))
		}
	}
	first = c.Session().Scope.Readable(first)
	if r := []rune(first); len(r) > 40 {
		first = string(r[:39]) + "…"
	}
	return "run " + first
}

func checkInputs(c *schema.Call, a *runArgs) error {
	var errs []error
	for _, in := range a.Inputs {
		if err := inputName(in.Key); err != nil {
			errs = append(errs, c.ArgErrorf("inputs", "%w", err))
		}
	}
	return errors.Join(errs...)
}

// inputName reports why s can't be the name of an input: it becomes the last
// part of a path that shell scripts will hold.
func inputName(s string) error {
	ok := s != "" && s[0] != '.' && len(s) <= 100 && !strings.ContainsFunc(s, func(r rune) bool {
		return !(r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("._-+", r))
	})
	if !ok {
		return fmt.Errorf("got the input name %q, want letters, digits, '_', '-', '+' and '.' (it is laid at %s/NAME)", s, action.InputDir)
	}
	return nil
}

func checkEnv(c *schema.Call, a *runArgs) error {
	names := make([]string, 0, len(a.Env))
	for k := range a.Env {
		names = append(names, k)
	}
	slices.Sort(names)
	var errs []error
	for _, k := range names {
		if k == "" || strings.ContainsAny(k, "=\x00") {
			errs = append(errs, c.ArgErrorf("env", "got the variable name %q, want one without '='", k))
		}
	}
	return errors.Join(errs...)
}

func checkTimeout(c *schema.Call, a *runArgs) error {
	if a.Timeout < 0 {
		return c.ArgErrorf("timeout", "got %d, want a number of seconds, or 0 for no limit", a.Timeout)
	}
	return nil
}

// workdir returns the absolute working directory, "" for the default.
func workdir(c *schema.Call, dir string) (string, error) {
	if dir == "" {
		return "", nil
	}
	if strings.HasPrefix(dir, "/") {
		return "", c.ArgErrorf("workdir", "got the absolute path %q, want one relative to the working folder", dir)
	}
	p, err := action.CleanPath(dir)
	if err != nil {
		return "", c.ArgErrorf("workdir", "%w", err)
	}
	return path.Join(action.BuildDir, p), nil
}
