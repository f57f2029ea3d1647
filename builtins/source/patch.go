package source

import (
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
		var patches []*action.Artifact
		for _, p := range a.Patches {
			patches = append(patches, p.Artifact)
		}
		act, err := c.Action(patch.Spec(a.Tree.Artifact, patches, a.Strip, a.Name))
		if err != nil {
			return nil, err
		}
		return value(act), nil
	}, schema.Returns("a tree"))
