package disk

import "github.com/labstar/labstar/action"

// GrubConfig is what a disk with one entry and no root file system gives GRUB.
func GrubConfig(title string, cmdline action.Late, console string) action.Late {
	im := &image{a: &imageArgs{Console: &[]string{console}}, root: -1, entries: []*Entry{{title: title, cmdline: cmdline}}}
	return im.grubConfig([]menuLine{{Entry: im.entries[0], kernel: "vmlinuz", args: im.args(im.entries[0])}})
}
