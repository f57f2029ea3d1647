package disk

import (
	"context"
	"encoding/binary"
	"fmt"
	"slices"

	"github.com/labstar/labstar/action"
	"github.com/labstar/labstar/internal/format/ptable"
	"github.com/labstar/labstar/starlark/schema"
)

// GRUB for a BIOS has two parts: boot.img, which is the code of the first sector,
// and core.img, of some 60 KB, with the modules that read the EFI system partition,
// where grub.cfg and the kernels are. Neither knows a file system yet when the next
// one is loaded: the sector where core.img lies is written into both.

const (
	grubPC     = "usr/lib/grub/i386-pc"
	grubFolder = "grub" // on the EFI system partition
)

// grubPCModules read the partition and start Linux, on the screen in text mode.
var grubPCModules = []string{
	"biosdisk", "part_gpt", "part_msdos", "fat", "normal", "configfile", "linux", "boot", "echo", "test", "serial", "terminal", "reboot", "halt",
}

// checkGrub finds the place of core.img.
func (im *image) checkGrub() error {
	im.core = slices.IndexFunc(im.a.Partitions, func(p *Partition) bool { return p.kind.guid == ptable.BIOSBoot })
	switch {
	case im.a.Table == "mbr":
		im.core = -1 // behind the table, where nothing else is
	case im.core < 0:
		return im.c.ArgErrorf("loader", "got \"grub\" on a GPT, and no partition for its second part").
			WithHint("add partition(type = \"bios_boot\"), or say table = \"mbr\"")
	case im.a.Partitions[im.core].content != nil:
		return im.c.ArgErrorf(at(im.core), "got content in a BIOS boot partition, which holds GRUB's second part").WithHint("leave it out")
	}
	return nil
}

// grubCore makes core.img. It looks for its folder on the partition of this number
// of the disk that it was loaded from.
func (im *image) grubCore() (*schema.Artifact, error) {
	table := "gpt"
	if im.a.Table == "mbr" {
		table = "msdos"
	}
	core, err := im.grubImage("i386-pc", fmt.Sprintf("(,%s%d)/%s", table, im.esp+1, grubFolder), grubPCModules)
	if err != nil {
		return nil, err
	}
	return schema.NewArtifact(core, "file", nil), nil
}

// corePlace says which input core.img is: that of a partition, or one of its own,
// which lies behind the MBR.
type corePlace struct {
	Input string `json:"input"`
}

// coreStart is the sector where core.img starts.
func (p *assembleParams) coreStart(where *placed) uint64 {
	for i, part := range p.Layout.Parts {
		if part.Input == p.Core.Input {
			return uint64(where.spans[i].start / ptable.Sector)
		}
	}
	return 1
}

// core reads core.img, and tells it where the rest of it is.
func (p *assembleParams) core(ctx context.Context, env action.Env, where *placed) ([]byte, error) {
	d := env.Input(p.Core.Input).Digest
	start := p.coreStart(where)
	room := int64(1 << 20)
	for _, sp := range where.spans {
		if start == 1 {
			room = min(room, sp.start-ptable.Sector)
		}
	}
	if d.Size > room {
		return nil, fmt.Errorf("laying GRUB: its second part has %s, and before the first partition %s are free; let that start at 1M", people(d.Size), people(room))
	}
	b, err := readBlob(ctx, env, d)
	if err != nil {
		return nil, err
	}
	return grubDiskBoot(b, start)
}

// Where the two sectors have what an installer fills in: GRUB's
// include/grub/i386/pc/boot.h and util/setup.c.
const (
	grubKernelSector = 0x5C               // of boot.img: the first sector of core.img
	grubDriveCheck   = 0x66               // two bytes: a jump past the repair of a drive number that is none
	grubBlockList    = ptable.Sector - 12 // of diskboot.img: sector, count and segment of the rest
	grubBootCode     = 440                // what is left of boot.img beside a table
)

// grubBoot is boot.img for a disk whose core.img starts at a sector.
func grubBoot(img []byte, sector uint64) ([]byte, error) {
	if len(img) != ptable.Sector || img[510] != 0x55 || img[511] != 0xAA {
		return nil, fmt.Errorf("reading boot.img of the toolchain: got %d bytes that are no boot sector", len(img))
	}
	b := slices.Clone(img[:grubBootCode])
	binary.LittleEndian.PutUint64(b[grubKernelSector:], sector)
	// Some BIOSes give a wrong number for a hard disk; two nops let it be repaired.
	b[grubDriveCheck], b[grubDriveCheck+1] = 0x90, 0x90
	return b, nil
}

// grubDiskBoot is core.img, which starts with the sector that loads the others.
func grubDiskBoot(img []byte, sector uint64) ([]byte, error) {
	le := binary.LittleEndian
	if len(img) <= ptable.Sector {
		return nil, fmt.Errorf("reading GRUB's core.img: got %d bytes, want more than a sector", len(img))
	}
	sectors := (len(img) - 1) / ptable.Sector
	if got := int(le.Uint16(img[grubBlockList+8:])); got != sectors {
		return nil, fmt.Errorf("reading GRUB's core.img: its list of blocks says %d sectors, want the %d that it has", got, sectors)
	}
	b := slices.Clone(img)
	le.PutUint64(b[grubBlockList:], sector+1)
	return b, nil
}
