package disk

import (
	"bytes"
	"context"
	_ "embed"
	"encoding/hex"
	"fmt"
	"strings"

	"go.starlark.net/starlark"

	"github.com/labstar/labstar/action"
	"github.com/labstar/labstar/starlark/schema"
)

type squashfsArgs struct {
	Tree        *schema.Artifact `star:"tree" kind:"tree" doc:"what it holds, with owners, modes, devices and extended attributes"`
	Toolchain   *schema.Artifact `star:"toolchain,keyword" kind:"tree" doc:"a tree with mksquashfs, as from disk_tools()"`
	Compression string           `star:"compression,keyword" default:"\"zstd\"" enum:"zstd,xz,gzip,lz4,none" doc:"how it is compressed; the kernel must have the same in CONFIG_SQUASHFS_…"`
	BlockSize   starlark.Value   `star:"block_size,keyword" default:"\"128K\"" doc:"what is compressed together: a power of two from 4K to 1M"`
	Name        string           `star:"name,keyword" default:"\"squashfs\"" doc:"what messages call it"`
}

// Squashfs is the builtin `squashfs`.
var Squashfs = schema.New("squashfs", `squashfs makes a compressed file system from a tree, to be read only.

The value is a file, the image, with the attributes `+"`.fs`"+`, `+"`.label`"+` and `+"`.uuid`"+`
(both empty: squashfs has none). mksquashfs makes it, in the sandbox; owners, modes,
devices and extended attributes are those of the tree.

	app = squashfs(tree, toolchain = disk_tools(), compression = "xz")`, callSquashfs,
	schema.Returns("a filesystem (file) with the attributes fs, label, uuid (strings) and tree"))

//go:embed squashfs.sh
var squashfsScript string

func callSquashfs(c *schema.Call, a *squashfsArgs) (starlark.Value, error) {
	block, err := parseSize(a.BlockSize)
	if err != nil || block < 4096 || block > 1<<20 || block&(block-1) != 0 {
		return nil, c.ArgErrorf("block_size", "got %s, want a power of two from \"4K\" to \"1M\"", a.BlockSize)
	}
	defs, err := c.Action(action.Spec{
		Op: pseudoOp, Title: a.Name + " attributes",
		Inputs:  []action.Input{{Name: "tree", Artifact: a.Tree.Artifact}},
		Outputs: []action.Output{{Name: "pseudo", Kind: action.File}},
	})
	if err != nil {
		return nil, err
	}
	compression := "-comp " + a.Compression
	if a.Compression == "none" {
		compression = "-comp gzip -noI -noD -noF -noX"
	}
	act, err := c.Action(action.Spec{
		Op: action.Exec, Title: a.Name,
		Params: action.Command{
			Argv: []string{"/bin/sh", "-euc", squashfsScript}, Root: []string{"toolchain"},
			Env:     map[string]string{"COMPRESSION": compression, "BLOCK": fmt.Sprint(block)},
			Mounts:  []action.Mount{{Path: action.InputDir + "/tree", Input: "tree"}, {Path: action.InputDir + "/pseudo", Input: "pseudo"}},
			Outputs: []string{"squashfs.img"},
		},
		Inputs: []action.Input{
			{Name: "toolchain", Artifact: a.Toolchain.Artifact}, {Name: "tree", Artifact: a.Tree.Artifact},
			{Name: "pseudo", Artifact: defs.Output("pseudo")},
		},
		Outputs: []action.Output{{Name: "squashfs", Kind: action.File}},
	})
	if err != nil {
		return nil, err
	}
	return schema.NewArtifact(act.Output("squashfs"), "filesystem", starlark.StringDict{
		"fs": starlark.String("squashfs"), "label": starlark.String(""), "uuid": starlark.String(""), "tree": a.Tree,
	}), nil
}

// pseudoOp writes what a materialised tree does not show (owners, modes, devices,
// extended attributes) as mksquashfs' pseudo file definitions.
var pseudoOp = &action.Op{Name: "disk/pseudo", Version: 1, Run: runPseudo}

func runPseudo(ctx context.Context, env action.Env) error {
	var b bytes.Buffer
	err := action.NewEdit(env, env.Input("tree").Digest).Walk(ctx, func(path string, n action.Node) error {
		name, err := pseudoName(path)
		if err != nil {
			return err
		}
		at := n.Attr
		switch {
		case n.Kind == action.Char:
			fmt.Fprintf(&b, "%s c %o %d %d %d %d\n", name, at.Mode, at.UID, at.GID, n.Major, n.Minor)
		case n.Kind == action.Block:
			fmt.Fprintf(&b, "%s b %o %d %d %d %d\n", name, at.Mode, at.UID, at.GID, n.Major, n.Minor)
		case n.Kind == action.Fifo:
			fmt.Fprintf(&b, "%s i %o %d %d f\n", name, at.Mode, at.UID, at.GID)
		case n.Kind == action.Symlink && at.UID == 0 && at.GID == 0, n.Kind == action.Dir && at.Mode == action.ModeDir && at.UID == 0 && at.GID == 0,
			n.Kind == action.Regular && (at.Mode == action.ModeFile || at.Mode == action.ModeExec) && at.UID == 0 && at.GID == 0:
			// as the tree shows it, with -all-root
		default:
			fmt.Fprintf(&b, "%s m %o %d %d\n", name, at.Mode, at.UID, at.GID)
		}
		for _, x := range at.Xattrs {
			fmt.Fprintf(&b, "%s x %s=0x%s\n", name, x.Name, hex.EncodeToString(x.Value))
		}
		return nil
	})
	if err != nil {
		return err
	}
	return env.WriteFile("pseudo", b.Bytes())
}

// pseudoName is a path as a definition has it, quoted.
func pseudoName(path string) (string, error) {
	if strings.ContainsAny(path, "\n") {
		return "", fmt.Errorf("making squashfs: %q: mksquashfs takes no name with a line break and attributes of its own; rename it", path)
	}
	if path == "" {
		return "/", nil
	}
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(path) + `"`, nil
}
