package rootfs

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"go.starlark.net/starlark"

	"github.com/labstar/labstar/action"
	"github.com/labstar/labstar/internal/format/compress"
	"github.com/labstar/labstar/internal/format/cpio"
	"github.com/labstar/labstar/internal/format/kconfig"
	"github.com/labstar/labstar/internal/programs"
	"github.com/labstar/labstar/starlark/schema"
)

type initramfsArgs struct {
	Tree        *schema.Artifact `star:"tree" kind:"tree" doc:"the root file system"`
	Compression string           `star:"compression,keyword" default:"\"zstd\"" enum:"zstd,gzip,xz,none" doc:"how it is compressed; the kernel must have the same in CONFIG_RD_…"`
	Init        string           `star:"init,keyword" default:"\"/sbin/init\"" doc:"what /init leads to, unless the tree has an /init; \"\" for no /init. With root, what is started there"`
	Devices     bool             `star:"devices,keyword" default:"True" doc:"add /dev/console and /dev/null, without which init has no output"`
	Kernel      *schema.Artifact `star:"kernel,keyword,optional" kind:"kernel,kernel_config" doc:"the kernel that is to start it: its options are checked, and modules come from it"`
	Modules     []string         `star:"modules,keyword,optional" doc:"modules of kernel that it brings along, by name, with all that they depend on; their names are in /etc/modules, and loaded at boot"`
	Root        action.Late      `star:"root,keyword" default:"\"\"" doc:"the root file system that it goes on to, as \"/dev/vda2\" or \"UUID=…\": /init is then a script that loads the modules, mounts it and starts init there"`
	RootFS      string           `star:"root_fs,keyword" default:"\"ext4\"" doc:"its type"`
	RootOptions string           `star:"root_options,keyword" default:"\"ro\"" doc:"options to mount it with"`
	Name        string           `star:"name,keyword" default:"\"initramfs\"" doc:"what messages call it"`
}

// Initramfs is the builtin `initramfs`.
var Initramfs = schema.New("initramfs", `initramfs packs a tree as the initial file system of a Linux kernel.

The value is a file: a cpio archive in the newc format with the owners and modes
of the tree, sorted, every time the same. The kernel starts its /init, which is
made a link to the argument init where the tree has none; that nothing would be
started is an error.

With kernel it is an error, too, that the kernel can't read the compression, or
that root is on a device or of a type whose driver is neither built in nor among
modules.

	initrd = initramfs(root, compression = "gzip")
	initrd = initramfs(rootfs([bb]), kernel = linux, modules = ["virtio_blk", "ext4"], root = "/dev/vda2")`, callInitramfs, schema.Returns("a file"))

type initramfsParams struct {
	Compression compress.Format `json:"compression"`
	Init        string          `json:"init"`
	Devices     bool            `json:"devices"`
	Modules     []string        `json:"modules,omitempty"`
	Root        action.Late     `json:"root,omitempty"`
	RootFS      string          `json:"rootFS,omitempty"`
	RootOptions string          `json:"rootOptions,omitempty"`
}

func callInitramfs(c *schema.Call, a *initramfsArgs) (starlark.Value, error) {
	init, err := action.CleanPath(a.Init)
	if err != nil || a.Init != "" && !strings.HasPrefix(a.Init, "/") {
		return nil, c.ArgErrorf("init", "got %q, want an absolute path in the tree, as \"/sbin/init\"", a.Init)
	}
	p := initramfsParams{Compression: compress.Format(a.Compression), Init: init, Devices: a.Devices, Modules: a.Modules}
	spec := action.Spec{
		Op: initramfsOp, Title: a.Name,
		Inputs:  []action.Input{{Name: "tree", Artifact: a.Tree.Artifact}},
		Outputs: []action.Output{{Name: "initramfs", Kind: action.File}},
	}
	if a.Root != "" {
		p.Root, p.RootFS, p.RootOptions = a.Root, a.RootFS, a.RootOptions
	}
	_, errKernel := kernelInput(c, a.Kernel, &spec)
	if err := errors.Join(errKernel, a.check(c), a.modules(c, &spec)); err != nil {
		return nil, err
	}
	spec.Params = p
	act, err := c.Action(spec)
	if err != nil {
		return nil, err
	}
	return schema.NewArtifact(act.Output("initramfs"), "file", nil), nil
}

// check looks at root and what goes with it.
func (a *initramfsArgs) check(c *schema.Call) error {
	if a.Root == "" {
		return nil
	}
	if a.Init == "" {
		return c.ArgErrorf("init", "got \"\" with root, want the program that is started there")
	}
	for arg, v := range map[string]string{"root": string(a.Root), "root_fs": a.RootFS, "root_options": a.RootOptions} {
		if strings.ContainsAny(v, " \t\n'\"\\$`") || v == "" {
			return c.ArgErrorf(arg, "got %q, want one word", v)
		}
	}
	for _, tag := range []string{"/dev/", "UUID=", "LABEL=", "PARTUUID=", "PARTLABEL="} {
		if strings.HasPrefix(string(a.Root), tag) {
			return nil
		}
	}
	return c.ArgErrorf("root", "got %q, want a device, as \"/dev/vda2\", or UUID=…, LABEL=…", a.Root)
}

// modules adds the kernel's modules to the inputs.
func (a *initramfsArgs) modules(c *schema.Call, spec *action.Spec) error {
	if len(a.Modules) == 0 {
		return nil
	}
	if a.Kernel == nil {
		return c.ArgErrorf("modules", "got modules and no kernel that they come from")
	}
	v, err := a.Kernel.Attr("modules")
	modules, ok := v.(*schema.Artifact)
	if err != nil || !ok {
		return c.ArgErrorf("modules", "got modules and a %s, which has none: want kernel = kernel(…)", a.Kernel.Type())
	}
	for i, m := range a.Modules {
		if m == "" || strings.ContainsAny(m, " \t\n/.") {
			return c.ArgErrorf(fmt.Sprintf("modules[%d]", i), "got %q, want a name, as \"virtio_blk\"", m)
		}
	}
	spec.Inputs = append(spec.Inputs, action.Input{Name: "modules", Artifact: modules.Artifact})
	return nil
}

var initramfsOp = &action.Op{Name: "rootfs/initramfs", Version: 2, Run: runInitramfs}

//go:embed boot/init.sh
var initScript string

func runInitramfs(ctx context.Context, env action.Env) error {
	c := composer{env: env, e: action.NewEdit(env, env.Input("tree").Digest)}
	var p initramfsParams
	if err := env.Params(&p); err != nil {
		return err
	}
	if in, ok := c.input("modules"); ok {
		if err := c.addModules(ctx, in.Digest, p.Modules); err != nil {
			return err
		}
	}
	if err := c.rootInit(ctx, p); err != nil {
		return err
	}
	k, err := c.kernel(ctx, "")
	if err != nil {
		return err
	}
	if err := errors.Join(addInit(ctx, c.e, p), k.starts(p)); err != nil {
		return err
	}
	if p.Devices {
		if err := addDevices(ctx, c.e); err != nil {
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
	if err := writeCPIO(ctx, env, c.e, packed); err != nil {
		return err
	}
	if err := packed.Close(); err != nil {
		return fmt.Errorf("compressing initramfs: %w", err)
	}
	_, err = out.Commit()
	return err
}

// addInit makes /init where there is none, and checks that it leads to a program.
func addInit(ctx context.Context, e *action.Edit, p initramfsParams) error {
	if p.Init == "" {
		return nil
	}
	if _, err := e.Lookup(ctx, "init"); err != nil {
		link := action.Node{Kind: action.Symlink, Target: "/" + p.Init, Attr: action.Attr{Mode: action.ModeSymlink}}
		if err := e.Put(ctx, "init", link, action.Refuse); err != nil {
			return err
		}
	}
	if err := e.Runnable(ctx, "init"); err != nil {
		return fmt.Errorf("checking init: %w; set init to the program that the kernel is to start", err)
	}
	return nil
}

// rootInit makes the script that goes on to the root file system.
func (c *composer) rootInit(ctx context.Context, p initramfsParams) error {
	if p.Root == "" {
		return nil
	}
	if c.there(ctx, "init") {
		return errors.New("making /init: the tree has one; leave root out, or the file")
	}
	need := []string{"sh", "mount", "umount", "mkdir", "sleep", "cat", "switch_root"}
	if len(p.Modules) > 0 {
		need = append(need, "modprobe")
	}
	for _, program := range need {
		if !programs.InPath(ctx, c.e, program) {
			return fmt.Errorf("making /init: the program %q is in none of the folders for programs; add busybox to the tree, with its option for it", program)
		}
	}
	find := fmt.Sprintf("echo %s", p.Root)
	if !strings.HasPrefix(string(p.Root), "/") {
		find = fmt.Sprintf("findfs %s 2>/dev/null", p.Root)
		if !programs.InPath(ctx, c.e, "findfs") {
			return errors.New("making /init: the program \"findfs\", which finds a root by its UUID, is in none of the folders for programs; add busybox to the tree, with FINDFS")
		}
	}
	script := fmt.Sprintf("#!/bin/sh\nroot=%s\nfs=%s\noptions=%s\ninit=/%s\nfind_root() {\n\t%s\n}\n", p.Root, p.RootFS, p.RootOptions, p.Init, find)
	for _, dir := range []string{"dev", "proc", "sys"} {
		if err := c.e.Mkdir(ctx, dir); err != nil {
			return err
		}
	}
	return c.text(ctx, text{Path: "init", Text: action.Late(script + initScript), Mode: action.ModeExec})
}

// starts checks that a kernel can read the archive, and reach the root from it.
func (k kernelConfig) starts(p initramfsParams) error {
	if k.config == nil {
		return nil
	}
	errs := []error{k.need("BLK_DEV_INITRD", "an initramfs", true)}
	if option := map[compress.Format]string{"gzip": "RD_GZIP", "zstd": "RD_ZSTD", "xz": "RD_XZ"}[p.Compression]; option != "" {
		errs = append(errs, k.need(option, "the compression "+string(p.Compression)+" of the initramfs", true))
	}
	if p.Root == "" {
		return errors.Join(errs...)
	}
	drivers := kconfig.RootDevice(string(p.Root))
	if fs, ok := kconfig.FileSystem(p.RootFS); ok {
		drivers = append(drivers, fs)
	}
	for _, d := range drivers {
		err := k.config.CheckDriver(d, func(module string) bool {
			return slices.ContainsFunc(p.Modules, func(m string) bool { return strings.ReplaceAll(m, "-", "_") == module })
		})
		if err != nil && k.config.Get(d.Option) == "m" {
			err = fmt.Errorf("%w, or modules = [%q] to initramfs", err, d.Module)
		}
		errs = append(errs, err)
	}
	return errors.Join(errs...)
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
