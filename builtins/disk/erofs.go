package disk

import (
	"fmt"

	"go.starlark.net/starlark"

	"github.com/labstar/labstar/action"
	"github.com/labstar/labstar/starlark/schema"
)

type erofsArgs struct {
	Tree        *schema.Artifact `star:"tree" kind:"tree" doc:"what it holds, with owners, modes, devices and extended attributes"`
	Toolchain   *schema.Artifact `star:"toolchain,keyword" kind:"tree" doc:"a tree with mkfs.erofs, as from disk_tools()"`
	Compression string           `star:"compression,keyword" default:"\"none\"" enum:"none,lz4,lz4hc,zstd,lzma,deflate" doc:"how it is compressed; the kernel must have the same in CONFIG_EROFS_FS_ZIP…"`
	Label       string           `star:"label,keyword" default:"\"\"" doc:"name, at most 15 bytes"`
	UUID        action.Late      `star:"uuid,keyword" default:"\"\"" doc:"identifier; by default one that comes from the content"`
	Name        string           `star:"name,keyword" default:"\"erofs\"" doc:"what messages call it"`
}

// Erofs is the builtin `erofs`.
var Erofs = schema.New("erofs", `erofs makes an EROFS file system from a tree, to be read only.

The value is a file, the image, with the attributes `+"`.uuid`"+`, `+"`.label`"+` and
`+"`.fs`"+`. mkfs.erofs makes it, in the sandbox; owners, modes, devices and extended
attributes are those of the tree.

	root = erofs(tree, toolchain = disk_tools(), compression = "lz4hc")`, callErofs,
	schema.Returns("a filesystem (file) with the attributes uuid, label and fs (strings) and tree"))

func callErofs(c *schema.Call, a *erofsArgs) (starlark.Value, error) {
	if len(a.Label) > 15 {
		return nil, c.ArgErrorf("label", "got %d bytes, want at most 15", len(a.Label))
	}
	if given(a.UUID) {
		if _, err := parseUUID(string(a.UUID)); err != nil {
			return nil, c.ArgErrorf("uuid", "%w", err)
		}
	}
	packed, err := c.Action(action.Spec{
		Op: tarOp, Title: a.Name + " tar", Params: tarParams{What: "erofs", UUID: a.UUID},
		Inputs:  []action.Input{{Name: "tree", Artifact: a.Tree.Artifact}},
		Outputs: []action.Output{{Name: "tar", Kind: action.File}, {Name: "uuid", Kind: action.File}},
	})
	if err != nil {
		return nil, err
	}
	uuid := packed.Output("uuid").Token(action.Text)
	argv := []string{"mkfs.erofs", "--quiet", "--tar=f", fmt.Sprintf("-T%d", action.SourceDateEpoch), "-U", uuid}
	if a.Label != "" {
		argv = append(argv, "-L", a.Label)
	}
	if a.Compression != "none" {
		argv = append(argv, "-z"+a.Compression)
	}
	act, err := c.Action(action.Spec{
		Op: action.Exec, Title: a.Name,
		Params: action.Command{
			Argv: append(argv, "erofs.img", action.InputDir+"/tar"), Root: []string{"toolchain"},
			Mounts: []action.Mount{{Path: action.InputDir + "/tar", Input: "tar"}}, Outputs: []string{"erofs.img"},
		},
		Inputs:  []action.Input{{Name: "toolchain", Artifact: a.Toolchain.Artifact}, {Name: "tar", Artifact: packed.Output("tar")}},
		Outputs: []action.Output{{Name: "erofs", Kind: action.File}},
	})
	if err != nil {
		return nil, err
	}
	return schema.NewArtifact(act.Output("erofs"), "filesystem", starlark.StringDict{
		"fs": starlark.String("erofs"), "label": starlark.String(a.Label), "uuid": starlark.String(uuid), "tree": a.Tree,
	}), nil
}
