package disk

import (
	"context"
	"errors"
	"fmt"
	"io"

	"go.starlark.net/starlark"

	"github.com/labstar/labstar/action"
	"github.com/labstar/labstar/internal/format/ext4"
	"github.com/labstar/labstar/internal/format/ptable"
	"github.com/labstar/labstar/starlark/schema"
)

type ext4Args struct {
	Tree      *schema.Artifact `star:"tree,optional" kind:"tree" doc:"what it holds, by default nothing; with owners, modes, devices and extended attributes"`
	Size      starlark.Value   `star:"size,keyword" default:"\"fit\"" doc:"bytes, as an int or as in \"64M\"; \"fit\" is what the tree and free need"`
	Free      starlark.Value   `star:"free,keyword" default:"\"10%\"" doc:"space that a fitted one has left: bytes, or a share of the tree's size"`
	Label     string           `star:"label,keyword" default:"\"\"" doc:"name, at most 16 bytes"`
	UUID      action.Late      `star:"uuid,keyword" default:"\"\"" doc:"identifier; by default one that comes from the content"`
	Inodes    int              `star:"inodes,keyword" default:"0" doc:"how many files it can hold at least; by default one for every 16 KiB, and in a fitted one a tenth more than there are"`
	Journal   starlark.Value   `star:"journal,keyword" default:"True" doc:"True for a journal of the usual size, False for none, or its size"`
	Reserved  int              `star:"reserved,keyword" default:"0" doc:"percent of the space that only root may use"`
	Checksums bool             `star:"checksums,keyword" default:"True" doc:"checksums of all metadata; False for kernels before 3.6"`
	Name      string           `star:"name,keyword" default:"\"ext4\"" doc:"what messages call it"`
}

// Ext4 is the builtin `ext4`.
var Ext4 = schema.New("ext4", `ext4 makes an ext4 file system from a tree.

The value is a file, the image, with the attributes `+"`.uuid`"+`, `+"`.label`"+` and
`+"`.fs`"+`. It holds exactly the tree, with its owners, modes, set-id bits, devices
and extended attributes; every time is the same constant, and the identifiers come
from the content, so that one tree always gives the same bytes. Files lie in one
piece. What is empty is a hole: the image takes no more room than its content.

	root = ext4(rootfs([bb]), size = "256M", label = "root")

In a disk give the tree itself to partition(): disk_image then writes /etc/fstab.`, callExt4,
	schema.Returns("a filesystem (file) with the attributes uuid, label and fs (strings) and tree"))

type ext4Params struct {
	Size        action.Late `json:"size,omitempty"` // of bytes, in decimal
	Free        int64       `json:"free,omitempty"`
	FreePercent int64       `json:"freePercent,omitempty"`
	Label       string      `json:"label,omitempty"`
	UUID        action.Late `json:"uuid,omitempty"`
	Inodes      int         `json:"inodes,omitempty"`
	Journal     int64       `json:"journal,omitempty"`
	Reserved    int         `json:"reserved,omitempty"`
	NoChecksums bool        `json:"noChecksums,omitempty"`
}

func callExt4(c *schema.Call, a *ext4Args) (starlark.Value, error) {
	p := ext4Params{Label: a.Label, UUID: a.UUID, Inodes: a.Inodes, Reserved: a.Reserved, NoChecksums: !a.Checksums}
	var errSize, errFree, errJournal, errRest error
	p.Size, errSize = fsSize(c, a.Size)
	p.Free, p.FreePercent, errFree = freeSize(c, a.Free)
	p.Journal, errJournal = journalSize(c, a.Journal)
	switch {
	case len(a.Label) > 16:
		errRest = c.ArgErrorf("label", "got %d bytes, want at most 16", len(a.Label))
	case a.Inodes < 0:
		errRest = c.ArgErrorf("inodes", "got %d, want a positive number", a.Inodes)
	case a.Reserved < 0 || a.Reserved > 50:
		errRest = c.ArgErrorf("reserved", "got %d, want a percentage from 0 to 50", a.Reserved)
	case given(a.UUID):
		if _, err := parseUUID(string(a.UUID)); err != nil {
			errRest = c.ArgErrorf("uuid", "%w", err)
		}
	}
	if err := errors.Join(errSize, errFree, errJournal, errRest); err != nil {
		return nil, err
	}
	return newFilesystem(c, ext4Op, a.Name, "ext4", a.Label, a.UUID, a.Tree, p)
}

// newFilesystem makes the value of a file system that a native op makes.
func newFilesystem(c *schema.Call, op *action.Op, title, fs, label string, uuid action.Late, tree *schema.Artifact, params any) (starlark.Value, error) {
	spec := action.Spec{
		Op: op, Title: title, Params: params,
		Outputs: []action.Output{{Name: fs, Kind: action.File}, {Name: "uuid", Kind: action.File}},
	}
	attrs := starlark.StringDict{"fs": starlark.String(fs), "label": starlark.String(label)}
	if tree != nil {
		spec.Inputs = []action.Input{{Name: "tree", Artifact: tree.Artifact}}
		attrs["tree"] = tree
	}
	act, err := c.Action(spec)
	if err != nil {
		return nil, err
	}
	attrs["uuid"] = starlark.String(uuid)
	if uuid == "" {
		attrs["uuid"] = schema.LateText(act.Output("uuid"))
	}
	return schema.NewArtifact(act.Output(fs), "filesystem", attrs), nil
}

// journalSize reads the argument journal: 0 is the usual size, -1 none.
func journalSize(c *schema.Call, v starlark.Value) (int64, error) {
	switch v {
	case starlark.True:
		return 0, nil
	case starlark.False:
		return -1, nil
	}
	n, err := parseSize(v)
	switch {
	case err != nil:
		return 0, c.ArgErrorf("journal", "%w, True or False", err)
	case n < 4<<20:
		return 0, c.ArgErrorf("journal", "got %s, want at least 4M, the smallest that Linux takes", people(n))
	}
	return n, nil
}

var ext4Op = &action.Op{Name: "disk/ext4", Version: 1, Run: runExt4}

func runExt4(ctx context.Context, env action.Env) error {
	var p ext4Params
	if err := env.Params(&p); err != nil {
		return err
	}
	size, err := lateBytes(p.Size)
	if err != nil {
		return err
	}
	var trees []action.Digest
	for _, in := range env.Inputs() {
		trees = append(trees, in.Digest)
	}
	id := newIdentity("ext4", p, trees...)
	uuid := id.uuid()
	if p.UUID != "" {
		if uuid, err = parseUUID(string(p.UUID)); err != nil {
			return err
		}
	}
	root, total := &ext4.Node{Mode: ext4.TypeDir | 0o755}, int64(0)
	if len(trees) > 0 {
		if root, total, err = ext4Tree(ctx, env, trees[0]); err != nil {
			return err
		}
	}
	im, err := ext4.New(root, ext4.Options{
		Size: size, Free: p.Free + total*p.FreePercent/100, UUID: uuid, HashSeed: id.sub("hash seed").uuid(), Label: p.Label,
		Inodes: p.Inodes, Journal: p.Journal, Reserved: p.Reserved, NoChecksums: p.NoChecksums, Time: action.SourceDateEpoch,
	})
	var small *ext4.SizeError
	if errors.As(err, &small) {
		return fmt.Errorf("making the file system: the tree needs %s, and the size is %s; raise size, or say \"fit\"", people(small.Need), people(small.Have))
	}
	if err != nil {
		return err
	}
	if err := writeImage(env, "ext4", im.Write); err != nil {
		return err
	}
	return env.WriteFile("uuid", []byte(ptable.FormatUUID(uuid)))
}

// writeImage streams an image into an output.
func writeImage(env action.Env, name string, write func(io.Writer) error) error {
	out, err := env.CreateFile(name)
	if err != nil {
		return err
	}
	defer out.Abort()
	if err := write(out); err != nil {
		return err
	}
	_, err = out.Commit()
	return err
}

// ext4Tree reads a tree of the store, and the sum of its files' sizes.
func ext4Tree(ctx context.Context, env action.Env, root action.Digest) (*ext4.Node, int64, error) {
	var total int64
	var build func(n action.Node) (*ext4.Node, error)
	build = func(n action.Node) (*ext4.Node, error) {
		out := &ext4.Node{
			Name: n.Name, Mode: ext4Kinds[n.Kind] | n.Attr.Mode, UID: n.Attr.UID, GID: n.Attr.GID,
			Target: n.Target, Major: n.Major, Minor: n.Minor,
		}
		switch n.Kind {
		case action.Regular:
			d := n.Digest
			out.Size = d.Size
			total += d.Size
			out.Open = func() (io.ReadCloser, error) { return env.OpenBlob(ctx, d) }
		case action.Dir:
			dir, err := env.Directory(ctx, n.Digest)
			if err != nil {
				return nil, err
			}
			out.Mode = ext4.TypeDir | dir.Attr.Mode
			out.UID, out.GID, n.Attr.Xattrs = dir.Attr.UID, dir.Attr.GID, dir.Attr.Xattrs
			for _, c := range dir.Nodes {
				kid, err := build(c)
				if err != nil {
					return nil, err
				}
				out.Children = append(out.Children, kid)
			}
		}
		for _, x := range n.Attr.Xattrs {
			out.Xattrs = append(out.Xattrs, ext4.Xattr{Name: x.Name, Value: x.Value})
		}
		return out, ctx.Err()
	}
	n, err := build(action.Node{Kind: action.Dir, Digest: root})
	return n, total, err
}

var ext4Kinds = map[action.Kind]uint32{
	action.Regular: ext4.TypeRegular, action.Dir: ext4.TypeDir, action.Symlink: ext4.TypeSymlink,
	action.Char: ext4.TypeChar, action.Block: ext4.TypeBlock, action.Fifo: ext4.TypeFifo,
}
