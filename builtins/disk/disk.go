// Package disk makes file systems and disks: the builtins `ext4`, `fat`, `swap`,
// `squashfs`, `erofs`, `partition`, `boot_entry` and `disk_image`.
//
// A file system is a file that is made from a tree. ext4, FAT, swap space and
// partition tables are written in Go (internal/format), straight into the store,
// with holes where there is nothing; squashfs and erofs by their own tools in the
// sandbox. A disk puts partitions together, and what ties them: identifiers that
// come from the content, /etc/fstab of the root file system, the boot loader and
// its configuration, and the checks that tell before the boot why it would fail.
//
//	identify  hashes what the partitions hold to their UUIDs and GUIDs
//	fstab     lays /etc/fstab into the root tree, or holds the one it has to the disk
//	check     holds the kernel's configuration to the disk
//	boot      the tree of the EFI system partition: kernel, loader, configuration
//	layout    sizes, where one partition gets what the others leave
//	assemble  the image: table, partitions, holes
//	convert   raw to qcow2 or vmdk
package disk

import (
	"github.com/labstar/labstar/starlark/schema"
)

// Builtins returns the builtins of this group.
func Builtins() []*schema.Builtin {
	return []*schema.Builtin{Ext4, Fat, Squashfs, Erofs, Swap, NewPartition, BootEntry, Image}
}
