package disk

import (
	_ "embed"
	"fmt"
	"strings"

	"go.starlark.net/starlark"

	"github.com/labstar/labstar/action"
	"github.com/labstar/labstar/starlark/schema"
)

// The loaders: which files each has on the EFI system partition, and what its
// configuration says.

// Where Debian's packages have the programs.
const (
	syslinuxModules = "usr/lib/syslinux/modules"
	syslinuxEFI     = "usr/lib/SYSLINUX.EFI/efi64/syslinux.efi"
	systemdBoot     = "usr/lib/systemd/boot/efi/systemd-boot%s.efi"
	systemdStub     = "usr/lib/systemd/boot/efi/linux%s.efi.stub"
)

// mbrCode is where the toolchain has what a BIOS runs first.
func (im *image) mbrCode() string {
	switch {
	case im.has("grub"):
		return grubPC + "/boot.img"
	case im.a.Table == "mbr":
		return "usr/lib/SYSLINUX/mbr.bin"
	}
	return "usr/lib/SYSLINUX/gptmbr.bin"
}

// efiName is the machine's name in the names of EFI programs.
func (im *image) efiName() string {
	if im.arch == "arm64" {
		return "aa64"
	}
	return "x64"
}

func (im *image) loaderFiles(menu []menuLine) []bootFile {
	var files []bootFile
	tool := func(path, in string) { files = append(files, bootFile{Path: path, Input: "toolchain", In: in}) }
	text := func(path string, s action.Late) { files = append(files, bootFile{Path: path, Text: s}) }
	if im.has("syslinux") {
		for _, m := range im.modules() { // ldlinux.c32 comes with the installation
			tool("syslinux/"+m, syslinuxModules+"/bios/"+m)
		}
		text("syslinux/syslinux.cfg", im.syslinuxConfig(menu))
	}
	if im.has("grub") {
		text(grubFolder+"/grub.cfg", im.grubConfig(menu))
	}
	switch im.efi() {
	case "syslinux-efi":
		tool(im.efiPath(), syslinuxEFI)
		for _, m := range append(im.modules(), "ldlinux.e64") {
			tool("EFI/BOOT/"+m, syslinuxModules+"/efi64/"+m)
		}
		text("EFI/BOOT/syslinux.cfg", im.syslinuxConfig(menu))
	case "grub-efi":
		text("EFI/BOOT/grub.cfg", im.grubConfig(menu))
	case "systemd-boot":
		tool(im.efiPath(), fmt.Sprintf(systemdBoot, im.efiName()))
		text("loader/loader.conf", action.Late(fmt.Sprintf("timeout %d\ndefault linux1.conf\neditor yes\n", im.timeout())))
		for i, l := range menu {
			text(fmt.Sprintf("loader/entries/linux%d.conf", i+1), l.systemdEntry(i))
		}
	}
	return files
}

// modules are those of syslinux that a menu needs.
func (im *image) modules() []string {
	if len(im.entries) > 1 {
		return []string{"libutil.c32", "menu.c32"}
	}
	return nil
}

// syslinuxRoom is what is left free in a fitted partition for the installation.
const syslinuxRoom = 512 << 10

func (im *image) syslinuxConfig(menu []menuLine) action.Late {
	var b strings.Builder
	for _, con := range im.consoles() {
		if port, ok := strings.CutPrefix(con, "ttyS"); ok {
			port, speed, given := strings.Cut(port, ",")
			if speed = strings.TrimRight(speed, "noe8"); !given || speed == "" {
				speed = "115200"
			}
			fmt.Fprintf(&b, "SERIAL %s %s\n", port, speed)
			break
		}
	}
	if len(menu) > 1 {
		fmt.Fprintf(&b, "UI menu.c32\nTIMEOUT %d\n", 10*im.timeout())
	} else {
		prompt := 0
		if im.timeout() > 0 {
			prompt = 1
		}
		fmt.Fprintf(&b, "PROMPT %d\nTIMEOUT %d\n", prompt, 10*im.timeout())
	}
	b.WriteString("DEFAULT linux1\n")
	for i, l := range menu {
		fmt.Fprintf(&b, "LABEL linux%d\n  MENU LABEL %s\n  KERNEL /%s\n", i+1, l.title, l.kernel)
		if l.initrd != "" {
			fmt.Fprintf(&b, "  INITRD /%s\n", l.initrd)
		}
		fmt.Fprintf(&b, "  APPEND %s\n", l.args)
	}
	return action.Late(b.String())
}

func (l menuLine) systemdEntry(i int) action.Late {
	var b strings.Builder
	fmt.Fprintf(&b, "title %s\nsort-key %03d\nlinux /%s\n", l.title, i+1, l.kernel)
	if l.initrd != "" {
		fmt.Fprintf(&b, "initrd /%s\n", l.initrd)
	}
	fmt.Fprintf(&b, "options %s\n", l.args)
	return action.Late(b.String())
}

//go:embed syslinux.sh
var syslinuxScript string

// install makes a FAT that a BIOS can start: syslinux writes its boot sector and
// ldlinux.sys into the image, by mtools.
func (im *image) install(fs *schema.Artifact) (*schema.Artifact, error) {
	if !im.has("syslinux") {
		return fs, nil
	}
	act, err := im.c.Action(action.Spec{
		Op: action.Exec, Title: im.a.Name + " syslinux",
		Params: action.Command{
			Argv: []string{"/bin/sh", "-euc", syslinuxScript}, Root: []string{"toolchain"},
			Mounts: []action.Mount{{Path: action.InputDir + "/esp", Input: "esp"}}, Outputs: []string{"esp.img"},
		},
		Inputs:  []action.Input{{Name: "toolchain", Artifact: im.a.Toolchain.Artifact}, {Name: "esp", Artifact: fs.Artifact}},
		Outputs: []action.Output{{Name: "vfat", Kind: action.File}},
	})
	if err != nil {
		return nil, err
	}
	attrs := starlark.StringDict{}
	for _, name := range fs.AttrNames() {
		attrs[name], _ = fs.Attr(name)
	}
	return schema.NewArtifact(act.Output("vfat"), fs.Type(), attrs), nil
}
