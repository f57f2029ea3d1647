package rootfs

import (
	"context"
	"fmt"
	"io"
	"strings"

	"go.starlark.net/starlark"

	"github.com/labstar/labstar/action"
	"github.com/labstar/labstar/internal/format/compress"
	"github.com/labstar/labstar/internal/format/cpio"
	"github.com/labstar/labstar/starlark/schema"
)

type initramfsArgs struct {
	Tree        *schema.Artifact `star:"tree" kind:"tree" doc:"the root file system"`
	Compression string           `star:"compression,keyword" default:"\"zstd\"" enum:"zstd,gzip,xz,none" doc:"how it is compressed; the kernel must have the same in CONFIG_RD_…"`
	Init        string           `star:"init,keyword" default:"\"/sbin/init\"" doc:"what /init leads to, unless the tree has an /init; \"\" for no /init"`
	Devices     bool             `star:"devices,keyword" default:"True" doc:"add /dev/console and /dev/null, without which init has no output"`
	Name        string           `star:"name,keyword" default:"\"initramfs\"" doc:"what messages call it"`
}

// Initramfs is the builtin `initramfs`.
var Initramfs = schema.New("initramfs", `initramfs packs a tree as the initial file system of a Linux kernel.

The value is a file: a cpio archive in the newc format with the owners and modes
of the tree, sorted, every time the same. The kernel starts its /init, which is
made a link to the argument init where the tree has none; that nothing would be
started is an error.

	initrd = initramfs(root, compression = "gzip")`, callInitramfs, schema.Returns("a file"))

type initramfsParams struct {
	Compression compress.Format `json:"compression"`
	Init        string          `json:"init"`
	Devices     bool            `json:"devices"`
}

func callInitramfs(c *schema.Call, a *initramfsArgs) (starlark.Value, error) {
	init, err := action.CleanPath(a.Init)
	if err != nil || a.Init != "" && !strings.HasPrefix(a.Init, "/") {
		return nil, c.ArgErrorf("init", "got %q, want an absolute path in the tree, as \"/sbin/init\"", a.Init)
	}
	act, err := c.Action(action.Spec{
		Op: initramfsOp, Title: a.Name,
		Params:  initramfsParams{Compression: compress.Format(a.Compression), Init: init, Devices: a.Devices},
		Inputs:  []action.Input{{Name: "tree", Artifact: a.Tree.Artifact}},
		Outputs: []action.Output{{Name: "initramfs", Kind: action.File}},
	})
	if err != nil {
		return nil, err
	}
	return schema.NewArtifact(act.Output("initramfs"), "file", nil), nil
}

var initramfsOp = &action.Op{Name: "rootfs/initramfs", Version: 1, Run: runInitramfs}

func runInitramfs(ctx context.Context, env action.Env) error {
	var p initramfsParams
	if err := env.Params(&p); err != nil {
		return err
	}
	e := action.NewEdit(env, env.Input("tree").Digest)
	if err := addInit(ctx, e, p.Init); err != nil {
		return err
	}
	if p.Devices {
		if err := addDevices(ctx, e); err != nil {
			return err
		}
	}
	out, err := env.CreateFile("initramfs")
	if err != nil {
		return err
	}
	defer out.Abort()
	packed, err := compress.NewWriter(out, p.Compression)
	if err != nil {
		return err
	}
	if err := writeCPIO(ctx, env, e, packed); err != nil {
		return err
	}
	if err := packed.Close(); err != nil {
		return fmt.Errorf("compressing initramfs: %w", err)
	}
	_, err = out.Commit()
	return err
}

// addInit makes /init where there is none, and checks that it leads to a program.
func addInit(ctx context.Context, e *action.Edit, init string) error {
	if init == "" {
		return nil
	}
	if _, err := e.Lookup(ctx, "init"); err != nil {
		link := action.Node{Kind: action.Symlink, Target: "/" + init, Attr: action.Attr{Mode: action.ModeSymlink}}
		if err := e.Put(ctx, "init", link, action.Refuse); err != nil {
			return err
		}
	}
	if err := e.Runnable(ctx, "init"); err != nil {
		return fmt.Errorf("checking init: %w; set init to the program that the kernel is to start", err)
	}
	return nil
}

// addDevices adds the nodes that the kernel's console needs before /dev is mounted.
func addDevices(ctx context.Context, e *action.Edit) error {
	for _, d := range []action.Node{
		{Name: "console", Kind: action.Char, Major: 5, Minor: 1, Attr: action.Attr{Mode: 0o600}},
		{Name: "null", Kind: action.Char, Major: 1, Minor: 3, Attr: action.Attr{Mode: 0o666}},
	} {
		if _, err := e.Lookup(ctx, "dev/"+d.Name); err == nil {
			continue
		}
		if err := e.Put(ctx, "dev/"+d.Name, d, action.Refuse); err != nil {
			return fmt.Errorf("adding device: %w", err)
		}
	}
	return nil
}

var cpioTypes = map[action.Kind]uint32{
	action.Regular: cpio.TypeRegular, action.Dir: cpio.TypeDir, action.Symlink: cpio.TypeSymlink,
	action.Char: cpio.TypeChar, action.Block: cpio.TypeBlock, action.Fifo: cpio.TypeFifo,
}

// writeCPIO writes the nodes in order; a folder comes before what is in it, as
// the kernel needs.
func writeCPIO(ctx context.Context, env action.Env, e *action.Edit, out io.Writer) error {
	w := cpio.NewWriter(out)
	err := e.Walk(ctx, func(p string, n action.Node) error {
		h := cpio.Header{
			Name: p, Mode: cpioTypes[n.Kind] | n.Attr.Mode, UID: n.Attr.UID, GID: n.Attr.GID,
			MTime: action.SourceDateEpoch, Major: n.Major, Minor: n.Minor,
		}
		switch {
		case p == "":
			h.Name = "."
		case n.Kind == action.Regular:
			h.Size = n.Digest.Size
		case n.Kind == action.Symlink:
			h.Size = int64(len(n.Target))
		}
		if err := w.Entry(h); err != nil {
			return err
		}
		switch n.Kind {
		case action.Symlink:
			_, err := io.WriteString(w, n.Target)
			return err
		case action.Regular:
			return copyBlob(ctx, env, w, n.Digest)
		}
		return nil
	})
	if err != nil {
		return err
	}
	return w.Close()
}

func copyBlob(ctx context.Context, env action.Env, w io.Writer, d action.Digest) error {
	b, err := env.OpenBlob(ctx, d)
	if err != nil {
		return err
	}
	defer b.Close()
	_, err = io.Copy(w, b)
	return err
}
