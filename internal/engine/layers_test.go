package engine

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"github.com/labstar/labstar/action"
	"github.com/labstar/labstar/internal/sandbox/fake"
)

// editTree changes, adds or removes a file of a tree; params say which.
var editTree = &action.Op{Name: "test/edit", Version: 1, Run: func(ctx context.Context, env action.Env) error {
	var p struct{ Path, Text string }
	if err := env.Params(&p); err != nil {
		return err
	}
	e := action.NewEdit(env, env.Input("tree").Digest)
	if p.Text == "" {
		if err := e.Remove(ctx, p.Path); err != nil {
			return err
		}
	} else {
		d, err := env.PutBlob([]byte(p.Text))
		if err != nil {
			return err
		}
		if err := e.Put(ctx, p.Path, action.Node{Kind: action.Regular, Digest: d, Attr: action.Attr{Mode: action.ModeFile}}, action.Replace); err != nil {
			return err
		}
	}
	root, err := e.Finish(ctx, env.PutDirectory)
	if err != nil {
		return err
	}
	return env.SetTree("tree", root)
}}

// An input that is a shown tree with a few changes is that tree with these laid over it;
// one from which something was removed is shown on its own.
func TestTreeMount(t *testing.T) {
	for _, c := range []struct {
		edits []string // PATH=TEXT
		reads string
		want  string
		over  int
	}{
		{nil, "/in/src/f1", "1", 0},
		{[]string{"f1=one"}, "/in/src/f1", "one", 1},
		{[]string{"f1=one", "new/f=new"}, "/in/src/new/f", "new", 1},
		{[]string{"f2=", "f1=one"}, "/in/src/f1", "one", 0},
	} {
		var over int
		var shows bool // the command that has the tree as it was shown
		r := &fake.Runner{Func: func(cmd *fake.Command) int {
			if shows {
				return cmd.Exit(cmd.WriteFile("out", nil))
			}
			in := cmd.Spec.Inputs[len(cmd.Spec.Inputs)-1]
			over = len(in.Over)
			b, err := cmd.ReadFile(c.reads)
			if err == nil && string(b) != c.want {
				err = fmt.Errorf("got %q, want %q", b, c.want)
			}
			if err == nil {
				err = cmd.WriteFile("out", b)
			}
			return cmd.Exit(err)
		}}
		e := newEngine(t, t.TempDir(), Options{Runner: r})
		ctx, st := t.Context(), e.opts.Store
		edit := action.NewEdit(st, action.Digest{})
		for i := range 9 {
			d, err := st.PutBlob(ctx, []byte(fmt.Sprint(i)))
			if err == nil {
				err = edit.Put(ctx, fmt.Sprintf("f%d", i), action.Node{Kind: action.Regular, Digest: d, Attr: action.Attr{Mode: action.ModeFile}}, action.Replace)
			}
			if err != nil {
				t.Fatal(err)
			}
		}
		root, err := edit.Finish(ctx, func(d *action.Directory) (action.Digest, error) { return st.PutDirectory(ctx, d) })
		if err != nil {
			t.Fatal(err)
		}
		s := action.NewScope()
		src := s.Source(action.Source{Kind: action.Tree, Digest: root, Path: "src"}, "src", nil)
		command := func(in *action.Artifact) *action.Artifact {
			empty, err := st.PutDirectory(ctx, &action.Directory{Attr: action.Attr{Mode: action.ModeDir}})
			if err != nil {
				t.Fatal(err)
			}
			base := s.Source(action.Source{Kind: action.Tree, Digest: empty, Path: "root"}, "root", nil)
			a, err := s.Action(action.Spec{
				Op: action.Exec, Title: "command", Outputs: []action.Output{{Name: "out", Kind: action.File}},
				Params: action.Command{Argv: []string{"x"}, Root: []string{"root"}, Outputs: []string{"out"}, Mounts: []action.Mount{{Path: "/in/src", Input: "src"}}},
				Inputs: []action.Input{{Name: "root", Artifact: base}, {Name: "src", Artifact: in}},
			})
			if err != nil {
				t.Fatal(err)
			}
			return a.Output("out")
		}
		build := func(a *action.Artifact) {
			t.Helper()
			if rep, err := e.Build(ctx, []*action.Artifact{a}); err != nil || len(rep.Errors) > 0 {
				t.Fatalf("%q: %v %v", c.edits, err, rep.Errors)
			}
		}
		if c.edits != nil {
			shows = true
			build(command(src))
			shows = false
		}
		last := src
		for _, ed := range c.edits {
			path, text, _ := strings.Cut(ed, "=")
			a, err := s.Action(action.Spec{
				Op: editTree, Params: map[string]string{"Path": path, "Text": text}, Title: "edit", Outputs: []action.Output{{Name: "tree", Kind: action.Tree}},
				Inputs: []action.Input{{Name: "tree", Artifact: last}},
			})
			if err != nil {
				t.Fatal(err)
			}
			last = a.Output("tree")
		}
		build(command(last))
		if over != c.over {
			t.Errorf("%q: got %d folders laid over, want %d", c.edits, over, c.over)
		}
	}
}
