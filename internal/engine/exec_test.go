package engine

import (
	"context"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/labstar/labstar/action"
	"github.com/labstar/labstar/internal/sandbox"
	"github.com/labstar/labstar/internal/sandbox/fake"
)

// execAction makes an action of a command with an empty root.
func execAction(t *testing.T, e *Engine, cmd action.Command) *action.Artifact {
	t.Helper()
	s := action.NewScope()
	empty := action.Directory{Attr: action.Attr{Mode: action.ModeDir}}
	d, err := e.opts.Store.PutDirectory(context.Background(), &empty)
	if err != nil {
		t.Fatal(err)
	}
	root := s.Source(action.Source{Kind: action.Tree, Digest: d, Path: "root"}, "root", nil)
	cmd.Root, cmd.Outputs = []string{"root"}, []string{"out"}
	a, err := s.Action(action.Spec{Op: action.Exec, Params: cmd, Title: "command",
		Inputs: []action.Input{{Name: "root", Artifact: root}}, Outputs: []action.Output{{Name: "out", Kind: action.File}}})
	if err != nil {
		t.Fatal(err)
	}
	return a.Output("out")
}

// A command that fails may say why; else its exit code is all that is known.
func TestReason(t *testing.T) {
	for _, c := range []struct{ declared, written, want string }{
		{"why", "step 2: got a, want b\n", "step 2: got a, want b"},
		{"why", "", "the command failed with exit code 4"},
		{"", "not asked for", "the command failed with exit code 4"},
		{"why", strings.Repeat("x", 9<<10), "the command failed with exit code 4"},
	} {
		r := &fake.Runner{Func: func(cmd *fake.Command) int {
			if c.written != "" {
				if err := cmd.WriteFile("why", []byte(c.written)); err != nil {
					t.Error(err)
				}
			}
			return 4
		}}
		e := newEngine(t, t.TempDir(), Options{Runner: r})
		rep, err := e.Build(context.Background(), []*action.Artifact{execAction(t, e, action.Command{Argv: []string{"x"}, Reason: c.declared})})
		if err != nil || len(rep.Errors) != 1 || !strings.HasSuffix(rep.Errors[0].Error(), "command: "+c.want) {
			t.Errorf("%+.60v: got %v %v, want %q", c, err, rep.Errors, c.want)
		}
	}
}

// An input that a command looked for in its folder is told where it is.
func TestSoughtInput(t *testing.T) {
	c := &action.Command{Mounts: []action.Mount{{Path: action.InputDir + "/main.c", Input: "input:main.c"}, {Path: "/etc/passwd", Input: "x"}}}
	for line, want := range map[string]string{
		"cc1: fatal error: main.c: No such file or directory":      action.InputDir + "/main.c",
		"cat: ./main.c: No such file or directory":                 action.InputDir + "/main.c",
		"cp: cannot stat 'main.c': No such file or directory":      action.InputDir + "/main.c",
		"sh: 1: ./main.c: not found":                               action.InputDir + "/main.c",
		"cat: /in/main.c: No such file or directory":               "",
		"main.c:1:10: fatal error: x.h: No such file or directory": "",
		"cat: passwd: No such file or directory":                   "",
		"main.c: undefined":                                        "",
	} {
		if got := soughtInput(c, []string{"before", line}); got != want {
			t.Errorf("%s: got %q, want %q", line, got, want)
		}
	}
}

// KVM is offered to who asks for it, where it is there, and is in no key.
func TestKVM(t *testing.T) {
	var devices []string
	r := &fake.Runner{Func: func(c *fake.Command) int {
		devices = c.Spec.Devices
		return c.Exit(c.WriteFile("out", nil))
	}}
	e := newEngine(t, t.TempDir(), Options{Runner: r})
	var keys []*action.Result
	for _, asks := range []bool{false, true} {
		a := execAction(t, e, action.Command{Argv: []string{"x"}, KVM: asks})
		devices = nil
		rep, err := e.Build(context.Background(), []*action.Artifact{a})
		if err != nil || rep.Failed > 0 {
			t.Fatal(err, rep.Errors)
		}
		if !asks && len(devices) > 0 {
			t.Errorf("got the devices %q without asking", devices)
		}
		keys = append(keys, rep.Result(a.Action.Definition()))
	}
	if r.Runs() != 1 || !slices.Equal(keys[0].Outputs, keys[1].Outputs) {
		t.Errorf("ran %d times, want once: the device is no part of the key", r.Runs())
	}
	_, err := os.OpenFile(kvm, os.O_RDWR, 0)
	a := execAction(t, e, action.Command{Argv: []string{"y"}, KVM: true})
	if _, err := e.Build(context.Background(), []*action.Artifact{a}); err != nil {
		t.Fatal(err)
	}
	if got, want := slices.Contains(devices, kvm), err == nil; got != want {
		t.Errorf("offered %v, want %v: it can be opened", got, want)
	}
}

// Attach builds what a command needs and runs it, changed, and keeps nothing.
func TestAttach(t *testing.T) {
	var got []string
	r := &fake.Runner{Func: func(c *fake.Command) int {
		if !c.Spec.Terminal { // the build that comes after
			return 1
		}
		got = append(slices.Clone(c.Spec.Argv), c.Spec.Inputs[len(c.Spec.Inputs)-1].Target)
		if c.Spec.Timeout != 0 {
			t.Error("the command has a time limit")
		}
		return 3
	}}
	e := newEngine(t, t.TempDir(), Options{Runner: r})
	a := execAction(t, e, action.Command{Argv: []string{"x"}, Timeout: 5})
	started := false
	_, res, err := e.Attach(context.Background(), a.Action, Attachment{
		Command: func(c *action.Command) { c.Argv = append(c.Argv, "--by-hand") },
		Folders: []sandbox.Mount{{Source: t.TempDir(), Target: "/host", Write: true}},
		Started: func() { started = true },
	})
	if err != nil || res.ExitCode != 3 || !started || !slices.Equal(got, []string{"x", "--by-hand", "/host"}) {
		t.Errorf("got %q %+v %v", got, res, err)
	}
	rep, err := e.Build(context.Background(), []*action.Artifact{a})
	if err != nil || rep.Failed != 1 {
		t.Errorf("the result of a command run by hand was kept: %v %+v", err, rep)
	}
}
