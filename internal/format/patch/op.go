package patch

import (
	"context"
	"fmt"
	"io"

	"github.com/labstar/labstar/action"
)

// Spec is the action that applies patches to a tree, in order; its output is
// called "tree". strip is how many leading parts the names in the patches lose,
// as in patch -p. Equal calls of any builtin are the same action.
func Spec(tree *action.Artifact, patches []*action.Artifact, strip int, title string) action.Spec {
	spec := action.Spec{
		Op: op, Params: params{strip}, Title: title,
		Inputs:  []action.Input{{Name: "tree", Artifact: tree}},
		Outputs: []action.Output{{Name: "tree", Kind: action.Tree}},
	}
	if spec.Title == "" {
		spec.Title = "patch " + tree.Action.Title
	}
	for i, p := range patches {
		name := fmt.Sprintf("patches[%d]", i)
		if p.Action.Source != nil {
			name += " (" + p.Action.Source.Path + ")"
		}
		spec.Inputs = append(spec.Inputs, action.Input{Name: name, Artifact: p})
	}
	return spec
}

// op applies the inputs after the first to the first. It is cheap, and what it
// finds should be told before anything is compiled.
var op = &action.Op{Name: "source/patch", Version: 1, Check: true, Run: runOp}

type params struct {
	Strip int `json:"strip"`
}

// maxPatch is the largest patch that is read, in bytes.
const maxPatch = 256 << 20

func runOp(ctx context.Context, env action.Env) error {
	var p params
	if err := env.Params(&p); err != nil {
		return err
	}
	inputs := env.Inputs()
	e := action.NewEdit(env, inputs[0].Digest)
	for _, in := range inputs[1:] {
		if in.Digest.Size > maxPatch {
			return fmt.Errorf("%s: got %d bytes, want at most %d", in.Name, in.Digest.Size, maxPatch)
		}
		r, err := env.OpenBlob(ctx, in.Digest)
		if err != nil {
			return err
		}
		text, err := io.ReadAll(r)
		r.Close()
		if err != nil {
			return err
		}
		files, err := Parse(text, p.Strip)
		if err == nil {
			err = Tree(ctx, e, files, Target{Content: env, Put: env.PutBlob, Log: env.Log()})
		}
		if err != nil {
			return fmt.Errorf("applying %s: %w", in.Name, err)
		}
	}
	root, err := e.Finish(ctx, env.PutDirectory)
	if err != nil {
		return err
	}
	return env.SetTree("tree", root)
}
