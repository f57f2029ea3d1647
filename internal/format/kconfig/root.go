package kconfig

import "strings"

// Driver is an option that reaches a device or reads a file system, and the module
// that it makes when it is "m".
type Driver struct {
	Need
	Module string
}

// RootDevice returns what a kernel needs to reach the disk at a path such as
// /dev/vda2, by the name that its driver gives; nil for one that is named otherwise
// (UUID=…), which says nothing of its driver. Of a disk of the SCSI layer only that
// layer's part is known, not what it hangs on.
func RootDevice(dev string) []Driver {
	name, ok := strings.CutPrefix(dev, "/dev/")
	if !ok {
		return nil
	}
	by := "the root device " + dev
	driver := func(option, module string) Driver {
		return Driver{Need{Option: option, By: by, BuiltIn: true}, module}
	}
	for _, known := range []struct {
		prefix  string
		drivers []Driver
	}{
		{"vd", []Driver{driver("VIRTIO_PCI|VIRTIO_MMIO", "virtio_pci"), driver("VIRTIO_BLK", "virtio_blk")}},
		{"sd", []Driver{driver("SCSI", "scsi_mod"), driver("BLK_DEV_SD", "sd_mod")}},
		{"nvme", []Driver{driver("BLK_DEV_NVME", "nvme")}},
		{"mmcblk", []Driver{driver("MMC_BLOCK", "mmc_block")}},
	} {
		if strings.HasPrefix(name, known.prefix) {
			return known.drivers
		}
	}
	return nil
}

// FileSystem returns what a kernel needs to mount a root of that type; ok is false
// for one that is not known.
func FileSystem(typ string) (Driver, bool) {
	known := map[string][2]string{
		"ext4": {"EXT4_FS", "ext4"}, "ext3": {"EXT4_FS", "ext4"}, "ext2": {"EXT4_FS|EXT2_FS", "ext2"}, "squashfs": {"SQUASHFS", "squashfs"},
		"erofs": {"EROFS_FS", "erofs"}, "vfat": {"VFAT_FS", "vfat"}, "xfs": {"XFS_FS", "xfs"}, "btrfs": {"BTRFS_FS", "btrfs"},
		"f2fs": {"F2FS_FS", "f2fs"}, "nfs": {"NFS_FS", "nfs"}, "overlay": {"OVERLAY_FS", "overlay"}, "iso9660": {"ISO9660_FS", "isofs"},
	}
	k, ok := known[typ]
	return Driver{Need{Option: k[0], By: "the root file system " + typ, BuiltIn: true}, k[1]}, ok
}

// CheckDriver reports a driver that is neither built in nor a module among loaded,
// which come before the root is mounted.
func (c Config) CheckDriver(d Driver, loaded func(module string) bool) error {
	if loaded != nil && loaded(d.Module) {
		d.BuiltIn = false
	}
	return c.Check(d.Need)
}
