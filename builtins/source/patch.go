package source

import (
	"context"
	"fmt"
	"io"

	"go.starlark.net/starlark"

	"github.com/labstar/labstar/action"
	"github.com/labstar/labstar/internal/format/patch"
	"github.com/labstar/labstar/starlark/schema"
)

type patchArgs struct {
	Tree    *schema.Artifact   `star:"tree" kind:"tree" doc:"the tree to change"`
	Patches []*schema.Artifact `star:"patches" kind:"file" doc:"unified diffs (diff -u, git diff, git format-patch), applied in this order"`
	Strip   int                `star:"strip,keyword" default:"1" doc:"how many leading parts to drop from the names in the patches, as in patch -p"`
	Name    string             `star:"name,keyword" default:"\"\"" doc:"what messages call this step"`
}

// Patch is the builtin `patch`.
var Patch = schema.New("patch", `patch applies patches to a tree.

Every hunk has to match to the letter; one that has moved is found, and logged.
Files are created, deleted and renamed, and modes changed, as the patches say.
Only the changed files are written; all else is shared with the tree as it was.

	src = patch(src, [file("0001-fix-the-build.patch")])`,
	func(c *schema.Call, a *patchArgs) (starlark.Value, error) {
		if a.Strip < 0 || a.Strip > 100 {
			return nil, c.ArgErrorf("strip", "got %d, want a number of parts from 0 to 100", a.Strip)
		}
		if len(a.Patches) == 0 {
			return a.Tree, nil
		}
		spec := action.Spec{
			Op: patchOp, Params: patchParams{a.Strip}, Outputs: treeOutput, Title: a.Name,
			Inputs: []action.Input{{Name: "tree", Artifact: a.Tree.Artifact}},
		}
		if spec.Title == "" {
			spec.Title = "patch " + a.Tree.Action.Title
		}
		for i, p := range a.Patches {
			name := fmt.Sprintf("patches[%d]", i)
			if p.Action.Source != nil {
				name += " (" + p.Action.Source.Path + ")"
			}
			spec.Inputs = append(spec.Inputs, action.Input{Name: name, Artifact: p.Artifact})
		}
		act, err := c.Action(spec)
		if err != nil {
			return nil, err
		}
		return value(act), nil
	}, schema.Returns("a tree"))

// patchOp applies the inputs after the first to the first. It is cheap, and what
// it finds should be told before anything is compiled.
var patchOp = &action.Op{Name: "source/patch", Version: 1, Check: true, Run: runPatch}

type patchParams struct {
	Strip int `json:"strip"`
}

// maxPatch is the largest patch that is read, in bytes.
const maxPatch = 256 << 20

func runPatch(ctx context.Context, env action.Env) error {
	var p patchParams
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
		files, err := patch.Parse(text, p.Strip)
		if err == nil {
			err = patch.Tree(ctx, e, files, patch.Target{Content: env, Put: env.PutBlob, Log: env.Log()})
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
