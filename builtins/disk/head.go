package disk

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	"github.com/labstar/labstar/action"
)

// A kernel whose configuration is not known (a distribution's) still tells in its
// head how it can be started.

type headParams struct {
	Arch   string `json:"arch"`
	Loader string `json:"loader,omitempty"` // the one that UEFI starts
}

var headOp = &action.Op{Name: "disk/head", Version: 1, Check: true, Run: runHead}

func runHead(ctx context.Context, env action.Env) error {
	var p headParams
	if err := env.Params(&p); err != nil {
		return err
	}
	b, err := env.OpenBlob(ctx, env.Input("kernel").Digest)
	if err != nil {
		return err
	}
	defer func() { _ = b.Close() }()
	head := make([]byte, 1024)
	n, err := b.ReadAt(head, 0)
	if err != nil && !errors.Is(err, io.EOF) {
		return err
	}
	if err := p.check(head[:n]); err != nil {
		return fmt.Errorf("checking kernel: %w", err)
	}
	return env.WriteFile("checked", []byte("ok\n"))
}

// The fields of the boot protocol: Documentation/arch/x86/boot.rst and
// Documentation/arch/arm64/booting.rst.
func (p headParams) check(head []byte) error {
	const handover64 = 1 << 3
	efi := len(head) > 2 && string(head[:2]) == "MZ"
	x86 := len(head) >= 0x238 && string(head[0x202:0x206]) == "HdrS"
	arm := len(head) >= 64 && string(head[56:60]) == "ARM\x64"
	switch {
	case p.Arch == "arm64" && !arm:
		return errors.New("the file is no arm64 Image; give the uncompressed arch/arm64/boot/Image")
	case p.Arch == "x86_64" && !x86:
		return errors.New("the file is no x86 bzImage; give arch/x86/boot/bzImage, as a distribution's /boot/vmlinuz")
	case p.Loader != "" && !efi:
		return fmt.Errorf("it is no EFI program, and %s starts it as one; build it with CONFIG_EFI_STUB", p.Loader)
	case p.Loader == "syslinux-efi" && binary.LittleEndian.Uint16(head[0x236:])&handover64 == 0:
		return errors.New("it has no EFI handover protocol, and syslinux' EFI loader starts it by that; build it with CONFIG_EFI_HANDOVER_PROTOCOL, or use systemd-boot")
	}
	return nil
}
