package rootfs

import (
	"context"

	"github.com/labstar/labstar/action"
	"github.com/labstar/labstar/starlark/schema"
)

// A tree with a kernel's modules is composed when the kernel is compiled. That two of
// the other trees have one path is found before, by a check of those alone.

type overlapParams struct {
	Trees []string `json:"trees"`
}

// overlapBefore makes that check, if a tree of the kernel is among contents.
func overlapBefore(c *schema.Call, a *rootfsArgs, spec *action.Spec) error {
	if a.Kernel == nil || a.Overwrite {
		return nil
	}
	modules, _ := a.Kernel.Attr("modules")
	late, ok := modules.(*schema.Artifact)
	if !ok {
		return nil
	}
	var p overlapParams
	check := action.Spec{Op: overlapOp, Title: a.Name + " contents", Outputs: []action.Output{{Name: "checked", Kind: action.File}}}
	for i, t := range a.Contents {
		if !t.Artifact.Equal(late.Artifact) {
			name := contentsName(i)
			p.Trees = append(p.Trees, name)
			check.Inputs = append(check.Inputs, action.Input{Name: name, Artifact: t.Artifact})
		}
	}
	if len(p.Trees) < 2 || len(p.Trees) == len(a.Contents) {
		return nil
	}
	check.Params = p
	act, err := c.Action(check)
	if err != nil {
		return err
	}
	noteParts(c, act, a)
	spec.Inputs = append(spec.Inputs, action.Input{Name: "checked", Artifact: act.Output("checked")})
	return nil
}

var overlapOp = &action.Op{Name: "rootfs/overlap", Version: 1, Check: true, Run: runOverlap}

func runOverlap(ctx context.Context, env action.Env) error {
	var p overlapParams
	if err := env.Params(&p); err != nil {
		return err
	}
	c := composer{env: env, e: action.NewEdit(env, action.Digest{}), p: composeParams{Trees: p.Trees}}
	if err := c.trees(ctx); err != nil {
		return err
	}
	return env.WriteFile("checked", []byte("ok\n"))
}
