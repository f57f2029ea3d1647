package kernel

import (
	"context"
	"strings"

	"github.com/labstar/labstar/action"
)

// kconfigOp makes of a kernel's source the part that its conf reads: the files that
// are called Kconfig or something behind that, and scripts, which they run. What is
// made of a configuration depends on these alone, so it outlives a patch of the code.
var kconfigOp = &action.Op{Name: "kernel/kconfig", Version: 1, Run: runKconfig}

func runKconfig(ctx context.Context, env action.Env) error {
	root, err := env.Directory(ctx, env.Input("source").Digest)
	if err != nil {
		return err
	}
	kept, err := kconfigFiles(ctx, env, root, true)
	if err != nil {
		return err
	}
	d, err := env.PutDirectory(kept)
	if err != nil {
		return err
	}
	return env.SetTree("source", d)
}

// kconfigFiles returns a folder with nothing in it but such files. Folders that have
// none are left out.
func kconfigFiles(ctx context.Context, env action.Env, dir *action.Directory, top bool) (*action.Directory, error) {
	kept := &action.Directory{Attr: dir.Attr}
	for _, n := range dir.Nodes {
		switch {
		case top && n.Name == "scripts" || n.Kind != action.Dir && strings.HasPrefix(n.Name, "Kconfig"):
			kept.Nodes = append(kept.Nodes, n)
		case n.Kind == action.Dir:
			sub, err := env.Directory(ctx, n.Digest)
			if err != nil {
				return nil, err
			}
			if sub, err = kconfigFiles(ctx, env, sub, false); err != nil {
				return nil, err
			}
			if len(sub.Nodes) == 0 {
				continue
			}
			if n.Digest, err = env.PutDirectory(sub); err != nil {
				return nil, err
			}
			kept.Nodes = append(kept.Nodes, n)
		}
	}
	return kept, nil
}
