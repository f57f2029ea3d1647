package disk

import (
	"fmt"
	"strings"

	"github.com/labstar/labstar/action"
)

// GRUB for UEFI is one program with the modules that it needs, which reads grub.cfg
// from beside itself. It knows nothing of the disk, so one serves all.

// grubModules read the partition and start Linux.
var grubModules = []string{
	"part_gpt", "part_msdos", "fat", "normal", "configfile", "linux", "boot", "echo", "test", "serial", "terminal", "all_video", "gfxterm", "reboot", "halt",
}

func (im *image) grub() (*action.Artifact, error) {
	format := "x86_64-efi"
	if im.arch == "arm64" {
		format = "arm64-efi"
	}
	return im.grubImage(format, "/EFI/BOOT", grubModules)
}

// grubImage makes GRUB itself: its kernel with modules, and where its folder is.
func (im *image) grubImage(format, prefix string, modules []string) (*action.Artifact, error) {
	argv := append([]string{"grub-mkimage", "-d", "/usr/lib/grub/" + format, "-O", format, "-p", prefix, "-o", "grub"}, modules...)
	act, err := im.c.Action(action.Spec{
		Op: action.Exec, Title: "grub " + format,
		Params:  action.Command{Argv: argv, Root: []string{"toolchain"}, Outputs: []string{"grub"}},
		Inputs:  []action.Input{{Name: "toolchain", Artifact: im.a.Toolchain.Artifact}},
		Outputs: []action.Output{{Name: "grub", Kind: action.File}},
	})
	if err != nil {
		return nil, err
	}
	return act.Output("grub"), nil
}

func (im *image) grubConfig(menu []menuLine) action.Late {
	var b strings.Builder
	for _, con := range im.consoles() {
		if port, ok := strings.CutPrefix(con, "ttyS"); ok {
			unit, _, _ := strings.Cut(port, ",")
			fmt.Fprintf(&b, "serial --unit=%s --speed=115200\nterminal_input console serial\nterminal_output console serial\n", unit)
			break
		}
	}
	fmt.Fprintf(&b, "set default=0\nset timeout=%d\n", im.timeout())
	for _, l := range menu {
		title := strings.NewReplacer(`\`, `\\`, `"`, `\"`, "$", `\$`).Replace(l.title)
		fmt.Fprintf(&b, "menuentry \"%s\" {\n\tlinux /%s %s\n", title, l.kernel, l.args)
		if l.initrd != "" {
			fmt.Fprintf(&b, "\tinitrd /%s\n", l.initrd)
		}
		b.WriteString("}\n")
	}
	return action.Late(b.String())
}
