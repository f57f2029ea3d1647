package disk

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"go.starlark.net/starlark"

	"github.com/labstar/labstar/action"
	"github.com/labstar/labstar/starlark/schema"
)

// loaderNames are those that the argument loader takes: the first two are started
// by a BIOS, the others by UEFI.
var loaderNames = []string{"syslinux", "grub", "systemd-boot", "uki", "efi-stub", "syslinux-efi", "grub-efi"}

func forBIOS(loader string) bool { return loader == "syslinux" || loader == "grub" }

func (im *image) has(loader string) bool { return slices.Contains(im.loaders, loader) }

// bios returns the loader that a BIOS starts, "" if none.
func (im *image) bios() string { return im.first(forBIOS) }

// efi returns the loader that UEFI starts, "" if none.
func (im *image) efi() string { return im.first(func(l string) bool { return !forBIOS(l) }) }

func (im *image) first(is func(loader string) bool) string {
	if i := slices.IndexFunc(im.loaders, is); i >= 0 {
		return im.loaders[i]
	}
	return ""
}

func (im *image) setLoaders() error {
	c, a := im.c, im.a
	im.entries = a.Entries
	if len(a.Entries) == 0 && a.Kernel != nil {
		im.entries = []*Entry{{title: "Linux", kernel: a.Kernel, initrd: a.Initrd, cmdline: a.Cmdline}}
	}
	im.arch = a.Arch
	if len(im.entries) > 0 && im.arch == "" {
		im.arch = attrString(im.entries[0].kernel, "arch")
	}
	if im.arch == "" {
		im.arch = "x86_64"
	}
	var list []starlark.Value
	switch v := a.Loader.(type) {
	case nil, starlark.NoneType:
		return nil
	case starlark.String:
		list = []starlark.Value{v}
	case starlark.Indexable:
		for i := range v.Len() {
			list = append(list, v.Index(i))
		}
	default:
		return c.ArgErrorf("loader", "got %s, want a name or a list of names", v.Type())
	}
	var errs []error
	for _, v := range list {
		s, _ := starlark.AsString(v)
		switch {
		case !slices.Contains(loaderNames, s):
			e := c.ArgErrorf("loader", "got %s, want one of %s", v, strings.Join(loaderNames, ", "))
			if near := schema.Suggest(s, loaderNames); near != "" {
				e = e.WithHint(fmt.Sprintf("did you mean %q?", near))
			}
			errs = append(errs, e)
		case im.arch == "arm64" && (forBIOS(s) || s == "syslinux-efi"):
			errs = append(errs, c.ArgErrorf("loader", "got %q for arm64, where it does not exist", s).WithHint("use systemd-boot, uki or efi-stub"))
		case forBIOS(s) && im.bios() != "":
			errs = append(errs, c.ArgErrorf("loader", "got %q and %q, and a BIOS starts one", im.bios(), s).WithHint("keep one of them"))
		case !forBIOS(s) && im.efi() != "":
			errs = append(errs, c.ArgErrorf("loader", "got %q and %q, and UEFI starts one", im.efi(), s).WithHint("keep one of them; syslinux or grub can be beside it, for BIOS"))
		default:
			im.loaders = append(im.loaders, s)
		}
	}
	return errors.Join(errs...)
}

// checkBoot looks at what a disk with a loader needs.
func (im *image) checkBoot() error {
	c, a := im.c, im.a
	var errs []error
	add := func(e *schema.Error) { errs = append(errs, e) }
	if len(im.loaders) == 0 {
		for _, unused := range []struct {
			arg   string
			given bool
		}{{"initrd", a.Initrd != nil}, {"cmdline", a.Cmdline != ""}, {"entries", len(a.Entries) > 0}, {"timeout", a.Timeout != nil}} {
			if unused.given {
				add(c.ArgErrorf(unused.arg, "got it and no loader, which alone would use it").WithHint("give loader, as \"systemd-boot\", or leave it out"))
			}
		}
		return errors.Join(errs...)
	}
	switch {
	case len(im.entries) == 0:
		add(c.ArgErrorf("loader", "got a loader and no kernel that it could boot").WithHint("give kernel or entries"))
	case im.esp < 0:
		add(c.ArgErrorf("loader", "got a loader and no EFI system partition to put it into").
			WithHint("add partition(type = \"esp\", size = \"64M\") as the first one; syslinux and grub are put there too"))
	case !im.a.Partitions[im.esp].made:
		add(c.ArgErrorf(at(im.esp), "got a ready file system, and the loader is to be put into it").WithHint("give the tree itself, or nothing"))
	}
	if a.Toolchain == nil && (im.efi() != "efi-stub" || im.bios() != "") {
		add(c.ArgErrorf("loader", "got no toolchain with the loader's programs").WithHint("say toolchain = disk_tools(), of @stdlib//toolchains.star"))
	}
	if im.bios() == "grub" {
		if err := im.checkGrub(); err != nil {
			errs = append(errs, err)
		}
	}
	if t := a.Timeout; t != nil && (*t < 0 || *t > 3600) {
		add(c.ArgErrorf("timeout", "got %d, want seconds from 0 to 3600", *t))
	}
	for _, con := range im.consoles() {
		if con == "" || strings.ContainsAny(con, " \t\n") {
			add(c.ArgErrorf("console", "got %q, want a console as in \"ttyS0\" or \"ttyS0,115200\"", con))
		}
	}
	for i, e := range im.entries {
		if err := im.checkEntry(i, e); err != nil {
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}

func (im *image) checkEntry(i int, e *Entry) error {
	arg := "cmdline"
	if len(im.a.Entries) > 0 {
		arg = fmt.Sprintf("entries[%d]", i)
	}
	var root string
	for _, w := range strings.Fields(string(e.cmdline)) {
		if r, ok := strings.CutPrefix(w, "root="); ok {
			root = r
		}
	}
	tag, _, _ := strings.Cut(root, "=")
	switch {
	case e.initrd == nil && (tag == "UUID" || tag == "LABEL"):
		return im.c.ArgErrorf(arg, "got root=%s= and no initial file system: the kernel itself finds a root by PARTUUID or by device, never by %s", tag, tag).
			WithHint("leave root= out, and disk_image writes root=PARTUUID=…; or give initrd")
	case root == "" && im.root < 0 && e.initrd == nil:
		return im.c.ArgErrorf("partitions", "got none that is mounted at \"/\", no root= on the command line and no initrd: the kernel would find no root").
			WithHint("say mount = \"/\" in the root's partition")
	case im.efi() == "uki" && i > 0:
		return im.c.ArgErrorf(arg, "got a second entry with \"uki\", which starts one kernel and has no menu").WithHint("use \"systemd-boot\"")
	case im.efi() == "efi-stub" && (i > 0 || e.initrd != nil || e.cmdline != ""):
		return im.c.ArgErrorf("loader", "got \"efi-stub\" with an initrd, a command line or a menu: firmware starts the kernel with none of that").
			WithHint("use \"uki\", which puts them into one program, or \"systemd-boot\"; CONFIG_CMDLINE of the kernel is the other way")
	}
	return nil
}

// timeout is how many seconds the loader waits.
func (im *image) timeout() int {
	switch {
	case im.a.Timeout != nil:
		return *im.a.Timeout
	case len(im.entries) > 1:
		return 5
	}
	return 0
}

type bootParams struct {
	Base  string     `json:"base,omitempty"` // input with what the partition holds besides
	Files []bootFile `json:"files"`
}

// bootFile is one file of the EFI system partition.
type bootFile struct {
	Path  string      `json:"path"`
	Input string      `json:"input,omitempty"` // a file, or the toolchain
	In    string      `json:"in,omitempty"`    // the path in the toolchain
	Text  action.Late `json:"text,omitempty"`
}

// withLoader makes the tree of the EFI system partition.
func (im *image) withLoader(content *schema.Artifact) (*schema.Artifact, error) {
	var p bootParams
	spec := action.Spec{Op: bootOp, Title: im.a.Name + " loader", Outputs: []action.Output{{Name: "tree", Kind: action.Tree}}}
	if content != nil {
		p.Base = "base"
		spec.Inputs = append(spec.Inputs, action.Input{Name: "base", Artifact: content.Artifact})
	}
	if im.a.Toolchain != nil {
		spec.Inputs = append(spec.Inputs, action.Input{Name: "toolchain", Artifact: im.a.Toolchain.Artifact})
	}
	checked, err := im.checkKernels()
	if err != nil {
		return nil, err
	}
	spec.Inputs = append(spec.Inputs, checked...)
	add := func(path string, a *action.Artifact) {
		name := "file " + path
		spec.Inputs = append(spec.Inputs, action.Input{Name: name, Artifact: a})
		p.Files = append(p.Files, bootFile{Path: path, Input: name})
	}
	menu := im.menu(add)
	switch im.efi() {
	case "uki":
		uki, err := im.uki()
		if err != nil {
			return nil, err
		}
		add(im.efiPath(), uki)
	case "efi-stub":
		add(im.efiPath(), im.entries[0].kernel.Artifact)
	case "grub-efi":
		grub, err := im.grub()
		if err != nil {
			return nil, err
		}
		add(im.efiPath(), grub)
	}
	p.Files = append(p.Files, im.loaderFiles(menu)...)
	spec.Params = p
	act, err := im.c.Action(spec)
	if err != nil {
		return nil, err
	}
	return schema.NewArtifact(act.Output("tree"), "tree", nil), nil
}

// efiPath is what firmware starts from a medium that it does not know.
func (im *image) efiPath() string {
	if im.arch == "arm64" {
		return "EFI/BOOT/BOOTAA64.EFI"
	}
	return "EFI/BOOT/BOOTX64.EFI"
}

// menuLine is an entry with the files it has on the partition.
type menuLine struct {
	*Entry
	kernel, initrd string
	args           action.Late
}

// menu lays kernels and initial file systems, each once, where a loader reads them.
func (im *image) menu(add func(path string, a *action.Artifact)) []menuLine {
	var lines []menuLine
	var have []*action.Artifact
	var paths []string
	put := func(base string, a *schema.Artifact) string {
		if a == nil {
			return ""
		}
		if i := slices.IndexFunc(have, a.Artifact.Equal); i >= 0 {
			return paths[i]
		}
		path := base
		for n := 2; slices.Contains(paths, path); n++ {
			path = fmt.Sprintf("%s%d", base, n)
		}
		if !(len(im.loaders) == 1 && (im.efi() == "uki" || im.efi() == "efi-stub")) {
			add(path, a.Artifact)
		}
		have, paths = append(have, a.Artifact), append(paths, path)
		return path
	}
	for _, e := range im.entries {
		lines = append(lines, menuLine{Entry: e, kernel: put("vmlinuz", e.kernel), initrd: put("initrd", e.initrd), args: im.args(e)})
	}
	return lines
}

var bootOp = &action.Op{Name: "disk/boot", Version: 1, Run: runBoot}

func runBoot(ctx context.Context, env action.Env) error {
	var p bootParams
	if err := env.Params(&p); err != nil {
		return err
	}
	var base action.Digest
	if p.Base != "" {
		base = env.Input(p.Base).Digest
	}
	e := action.NewEdit(env, base)
	for _, f := range p.Files {
		n, err := f.node(ctx, env)
		if err != nil {
			return err
		}
		if err := e.Put(ctx, f.Path, n, action.Refuse); err != nil {
			return fmt.Errorf("laying the boot loader: %w; leave it out of the partition's tree", err)
		}
	}
	root, err := e.Finish(ctx, env.PutDirectory)
	if err != nil {
		return err
	}
	return env.SetTree("tree", root)
}

func (f bootFile) node(ctx context.Context, env action.Env) (action.Node, error) {
	n := action.Node{Kind: action.Regular, Attr: action.Attr{Mode: action.ModeFile}}
	var err error
	switch {
	case f.In != "":
		var found action.Node
		found, _, err = action.NewEdit(env, env.Input(f.Input).Digest).Resolve(ctx, f.In)
		if err != nil || found.Kind != action.Regular {
			return n, fmt.Errorf("laying the boot loader: the toolchain has no %q; use disk_tools() of @stdlib//toolchains.star", "/"+f.In)
		}
		n.Digest = found.Digest
	case f.Input != "":
		n.Digest = env.Input(f.Input).Digest
	default:
		n.Digest, err = env.PutBlob([]byte(f.Text))
	}
	return n, err
}
