package disk

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"go.starlark.net/starlark"

	"github.com/labstar/labstar/action"
	"github.com/labstar/labstar/internal/format/fat"
	"github.com/labstar/labstar/starlark/schema"
)

type fatArgs struct {
	Tree   *schema.Artifact `star:"tree,optional" kind:"tree" doc:"what it holds; by default nothing"`
	Size   starlark.Value   `star:"size,keyword" default:"\"fit\"" doc:"bytes, as an int or as in \"64M\"; \"fit\" is what the tree and free need"`
	Free   starlark.Value   `star:"free,keyword" default:"0" doc:"space that a fitted one has left: bytes, or a share of the tree's size such as \"10%\""`
	Bits   int              `star:"bits,keyword" default:"0" doc:"12, 16 or 32; by default by the size, as mkfs.fat does: 16 from 4 MiB on, 32 from 512 MiB on"`
	Label  string           `star:"label,keyword" default:"\"\"" doc:"name, at most 11 characters, in capitals"`
	UUID   action.Late      `star:"uuid,keyword" default:"\"\"" doc:"serial number, as in \"12AB-34CD\"; by default one that comes from the content"`
	Hidden int64            `star:"hidden,keyword" default:"0" doc:"where it starts on its disk, in sectors of 512 bytes; some boot code reads it"`
	Name   string           `star:"name,keyword" default:"\"fat\"" doc:"what messages call it"`
}

// Fat is the builtin `fat`.
var Fat = schema.New("fat", `fat makes a FAT file system from a tree, with long names.

The value is a file, the image, with the attributes `+"`.uuid`"+`, `+"`.label`"+` and
`+"`.fs`"+`. One tree always gives the same bytes. FAT keeps no owners and no modes; a
symbolic link or a device in the tree, a name that it can't hold, and two names that
differ in case only are errors that name the path.

	esp = fat(tree, size = "64M", label = "BOOT")`, callFat,
	schema.Returns("a filesystem (file) with the attributes uuid, label and fs (strings) and tree"))

type fatParams struct {
	Size        action.Late `json:"size,omitempty"`
	Free        int64       `json:"free,omitempty"`
	FreePercent int64       `json:"freePercent,omitempty"`
	Bits        int         `json:"bits,omitempty"`
	Label       string      `json:"label,omitempty"`
	UUID        action.Late `json:"uuid,omitempty"`
	Hidden      int64       `json:"hidden,omitempty"`
}

func callFat(c *schema.Call, a *fatArgs) (starlark.Value, error) {
	p := fatParams{Bits: a.Bits, Label: a.Label, UUID: a.UUID, Hidden: a.Hidden}
	var errSize, errFree, errRest error
	p.Size, errSize = fsSize(c, a.Size)
	p.Free, p.FreePercent, errFree = freeSize(c, a.Free)
	switch {
	case a.Bits != 0 && a.Bits != 12 && a.Bits != 16 && a.Bits != 32:
		errRest = c.ArgErrorf("bits", "got %d, want 12, 16 or 32", a.Bits)
	case len(a.Label) > 11 || a.Label != strings.ToUpper(a.Label):
		errRest = c.ArgErrorf("label", "got %q, want at most 11 characters, in capitals", a.Label)
	case a.Hidden < 0 || a.Hidden >= 1<<32:
		errRest = c.ArgErrorf("hidden", "got %d, want a number of sectors below 2^32", a.Hidden)
	case given(a.UUID):
		if _, err := parseSerial(string(a.UUID)); err != nil {
			errRest = c.ArgErrorf("uuid", "%w", err)
		}
	}
	if err := errors.Join(errSize, errFree, errRest); err != nil {
		return nil, err
	}
	return newFilesystem(c, fatOp, a.Name, "vfat", a.Label, a.UUID, a.Tree, p)
}

var fatOp = &action.Op{Name: "disk/fat", Version: 1, Run: runFat}

func runFat(ctx context.Context, env action.Env) error {
	var p fatParams
	if err := env.Params(&p); err != nil {
		return err
	}
	size, err := lateBytes(p.Size)
	if err != nil {
		return err
	}
	root, total := &fat.Node{Dir: true}, int64(0)
	var digests []action.Digest
	for _, in := range env.Inputs() {
		digests = append(digests, in.Digest)
		if root, total, err = fatTree(ctx, env, in.Digest); err != nil {
			return err
		}
	}
	serial := newIdentity("fat", p, digests...).serial()
	if p.UUID != "" {
		if serial, err = parseSerial(string(p.UUID)); err != nil {
			return err
		}
	}
	im, err := fat.New(root, fat.Options{
		Size: size, Free: p.Free + total*p.FreePercent/100, Bits: p.Bits, Label: p.Label,
		VolumeID: serial, Hidden: uint32(p.Hidden), Time: action.SourceDateEpoch,
	})
	var small *fat.SizeError
	var twins *fat.CaseError
	switch {
	case errors.As(err, &small):
		return fmt.Errorf("making the file system: the tree needs %s, and the size is %s; raise size, or say \"fit\"", people(small.Need), people(small.Have))
	case errors.As(err, &twins):
		return fmt.Errorf("making the file system: %w; rename one", err)
	case err != nil:
		return fmt.Errorf("making the file system: %w", err)
	}
	if err := writeImage(env, "vfat", im.Write); err != nil {
		return err
	}
	return env.WriteFile("uuid", []byte(formatSerial(serial)))
}

// fatTree reads a tree of the store, and the sum of its files' sizes.
func fatTree(ctx context.Context, env action.Env, root action.Digest) (*fat.Node, int64, error) {
	var total int64
	var build func(n action.Node, path string) (*fat.Node, error)
	build = func(n action.Node, path string) (*fat.Node, error) {
		out := &fat.Node{Name: n.Name, Dir: n.Kind == action.Dir}
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
			for _, c := range dir.Nodes {
				kid, err := build(c, path+"/"+c.Name)
				if err != nil {
					return nil, err
				}
				out.Children = append(out.Children, kid)
			}
		case action.Symlink:
			return nil, fmt.Errorf("making the file system: %q is a symlink to %q, and FAT has none; lay the file itself there", path, n.Target)
		default:
			return nil, fmt.Errorf("making the file system: %q is a %s, and FAT has none; leave it out", path, n.Kind)
		}
		return out, ctx.Err()
	}
	n, err := build(action.Node{Kind: action.Dir, Digest: root}, "")
	return n, total, err
}
