package vm

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"strings"

	"github.com/labstar/labstar/action"
	"github.com/labstar/labstar/internal/format/kconfig"
	"github.com/labstar/labstar/starlark/schema"
)

// checked returns the inputs of the machine, each looked at by a check first where
// there is something to know before the machine starts. The checks run before what
// is long: that of the options before the kernel is compiled.
func (m *machine) checked(c *schema.Call) ([]action.Input, error) {
	a := m.args
	tools, err := c.Action(action.Spec{
		Op: toolsOp, Title: "tools of " + a.Name, Params: toolsParams{Arch: m.arch, Files: m.needed()},
		Inputs:  []action.Input{{Name: "toolchain", Artifact: a.Toolchain.Artifact}},
		Outputs: []action.Output{{Name: "toolchain", Kind: action.Tree}},
	})
	if err != nil {
		return nil, err
	}
	inputs := []action.Input{{Name: "toolchain", Artifact: tools.Output("toolchain")}}
	if a.Kernel != nil {
		kernel, err := m.checkedKernel(c)
		if err != nil {
			return nil, err
		}
		inputs = append(inputs, action.Input{Name: "kernel", Artifact: kernel})
	}
	add := func(name string, v *schema.Artifact) {
		if v != nil {
			inputs = append(inputs, action.Input{Name: name, Artifact: v.Artifact})
		}
	}
	add("initrd", a.Initrd)
	add("usb", a.USB)
	for _, d := range m.disks {
		add(d.input, d.artifact)
	}
	seen := map[*schema.Artifact]bool{}
	for _, s := range a.Steps {
		if s.key != nil && !seen[s.key] {
			seen[s.key] = true
			add(m.keys[s.key], s.key)
		}
	}
	return inputs, nil
}

// checkedKernel looks at the kernel and the initramfs; a kernel with a
// configuration is held to what the machine needs.
func (m *machine) checkedKernel(c *schema.Call) (*action.Artifact, error) {
	a := m.args
	inputs := []action.Input{{Name: "kernel", Artifact: a.Kernel.Artifact}}
	if a.Initrd != nil {
		inputs = append(inputs, action.Input{Name: "initrd", Artifact: a.Initrd.Artifact})
	}
	if v, _ := a.Kernel.Attr("config"); v != nil {
		if config, ok := v.(*schema.Artifact); ok && config.Kind() == action.File {
			options, err := c.Action(action.Spec{
				Op: optionsOp, Title: "options for " + a.Name, Params: optionsParams{Needs: m.needs()},
				Inputs:  []action.Input{{Name: "config", Artifact: config.Artifact}},
				Outputs: []action.Output{{Name: "config", Kind: action.File}},
			})
			if err != nil {
				return nil, err
			}
			inputs = append(inputs, action.Input{Name: "config", Artifact: options.Output("config")})
		}
	}
	act, err := c.Action(action.Spec{
		Op: kernelOp, Title: "kernel of " + a.Name, Params: kernelParams{Arch: m.arch},
		Inputs: inputs, Outputs: []action.Output{{Name: "kernel", Kind: action.File}},
	})
	if err != nil {
		return nil, err
	}
	return act.Output("kernel"), nil
}

// need is an option that the kernel must have.
type need struct {
	Option string `json:"option"`
	For    string `json:"for"`              // "the disk"
	Module bool   `json:"module,omitempty"` // "m" will do
}

// needs are the options that what the machine has asks for.
func (m *machine) needs() []need {
	a := m.args
	var list []need
	add := func(what string, module bool, options ...string) {
		for _, o := range options {
			list = append(list, need{o, what, module})
		}
	}
	loaded := a.Initrd != nil // what can load modules before the root is mounted
	if m.arch == "arm64" {
		add("the console on ttyAMA0", false, "SERIAL_AMBA_PL011_CONSOLE")
	} else {
		add("the console on ttyS0", false, "SERIAL_8250_CONSOLE")
	}
	if a.Initrd != nil {
		add("the initrd", false, "BLK_DEV_INITRD")
	}
	if m.firmware == "uefi" {
		add("a start from UEFI", false, "EFI_STUB")
	}
	if m.arch == "arm64" && (m.network || len(m.disks) > 0 || a.USB != nil) {
		add("the machine's PCI bus", loaded, "PCI_HOST_GENERIC")
	}
	if len(m.disks) > 0 {
		add("the disk", loaded, map[string][]string{
			"virtio": {"VIRTIO_PCI", "VIRTIO_BLK"}, "sata": {"SATA_AHCI", "BLK_DEV_SD"}, "nvme": {"BLK_DEV_NVME"},
		}[a.DiskBus]...)
	}
	if a.USB != nil {
		add("the USB stick", loaded, map[string]string{"2.0": "USB_EHCI_PCI", "3.1": "USB_XHCI_PCI"}[a.USBSpeed], "USB_STORAGE", "BLK_DEV_SD")
	}
	if m.network {
		add("the network card", true, map[string][]string{"virtio": {"VIRTIO_PCI", "VIRTIO_NET"}, "e1000e": {"E1000E"}}[a.NIC]...)
	}
	return list
}

type optionsParams struct {
	Needs []need `json:"needs"`
}

var optionsOp = &action.Op{Name: "vm/options", Version: 1, Check: true, Run: runOptions}

func runOptions(ctx context.Context, env action.Env) error {
	var p optionsParams
	if err := env.Params(&p); err != nil {
		return err
	}
	in := env.Input("config")
	text, err := readBlob(ctx, env, in.Digest, 4<<20)
	if err != nil {
		return err
	}
	if err := lacking(kconfig.ParseConfig(text), p.Needs); err != nil {
		return err
	}
	return env.SetFile("config", in.Digest)
}

// lacking returns an error that names all the options that a configuration lacks.
func lacking(config kconfig.Config, needs []need) error {
	var lines, add []string
	seen := map[string]bool{}
	for _, n := range needs {
		got := config.Get(n.Option)
		if got == "y" || got == "m" && n.Module || seen[n.Option] {
			continue
		}
		seen[n.Option] = true
		state := "off"
		if got == "m" {
			state = "a module, which nothing loads in time"
		}
		lines = append(lines, fmt.Sprintf("CONFIG_%s is %s, and %s needs it", n.Option, state, n.For))
		add = append(add, fmt.Sprintf("%q: True", n.Option))
	}
	if len(lines) == 0 {
		return nil
	}
	return fmt.Errorf("checking kernel: %s; add options = {%s} to kernel_config", strings.Join(lines, "\n  "), strings.Join(add, ", "))
}

type kernelParams struct {
	Arch string `json:"arch"`
}

var kernelOp = &action.Op{Name: "vm/kernel", Version: 1, Check: true, Run: runKernel}

func runKernel(ctx context.Context, env action.Env) error {
	var p kernelParams
	if err := env.Params(&p); err != nil {
		return err
	}
	kernel := env.Input("kernel")
	head, err := readBlob(ctx, env, kernel.Digest, 4096)
	if err != nil {
		return err
	}
	if got := kernelArch(head); got == "" {
		return fmt.Errorf("checking kernel: got a file that is no kernel image, want a bzImage (x86_64) or an Image (arm64)")
	} else if got != p.Arch {
		return fmt.Errorf("checking kernel: got an image for %s, and the machine is %s; set arch = %q", got, p.Arch, got)
	}
	var initrd, config bool
	for _, in := range env.Inputs() {
		initrd, config = initrd || in.Name == "initrd", config || in.Name == "config"
	}
	if initrd {
		if err := checkInitrd(ctx, env, config); err != nil {
			return err
		}
	}
	return env.SetFile("kernel", kernel.Digest)
}

// kernelArch tells an image's architecture by its magic number.
func kernelArch(head []byte) string {
	at := func(offset int, magic string) bool {
		return len(head) >= offset+len(magic) && string(head[offset:offset+len(magic)]) == magic
	}
	switch {
	case at(0x202, "HdrS"):
		return "x86_64"
	case at(0x38, "ARM\x64"), at(0, "MZ\x00\x00zimg"): // Image, vmlinuz.efi
		return "arm64"
	}
	return ""
}

// compressions are those of an initramfs, by magic number, with the kernel's option.
var compressions = []struct{ magic, name, option string }{
	{"\x1f\x8b", "gzip", "RD_GZIP"}, {"\xfd7zXZ", "xz", "RD_XZ"}, {"\x28\xb5\x2f\xfd", "zstd", "RD_ZSTD"},
	{"\x02\x21\x4c\x18", "lz4", "RD_LZ4"}, {"\x89LZO", "lzo", "RD_LZO"}, {"BZh", "bzip2", "RD_BZIP2"}, {"\x5d\x00\x00", "lzma", "RD_LZMA"},
}

func checkInitrd(ctx context.Context, env action.Env, hasConfig bool) error {
	head, err := readBlob(ctx, env, env.Input("initrd").Digest, 16)
	if err != nil {
		return err
	}
	if bytes.HasPrefix(head, []byte("07070")) {
		return nil
	}
	for _, z := range compressions {
		if !bytes.HasPrefix(head, []byte(z.magic)) {
			continue
		}
		if !hasConfig {
			return nil
		}
		text, err := readBlob(ctx, env, env.Input("config").Digest, 4<<20)
		if err != nil {
			return err
		}
		return lacking(kconfig.ParseConfig(text), []need{{Option: z.option, For: "an initrd compressed with " + z.name}})
	}
	return errors.New("checking initrd: got a file that is no cpio archive, compressed or not, want one made by initramfs()")
}

type toolsParams struct {
	Arch  string   `json:"arch"`
	Files []needed `json:"files"`
}

// needed is a file of the toolchain and the Debian package that has it.
type needed struct {
	Path    string `json:"path"`
	Package string `json:"package"`
}

func (m *machine) needed() []needed {
	qemu := map[string]string{"x86_64": "qemu-system-x86", "arm64": "qemu-system-arm"}[m.arch]
	list := []needed{{m.program(), qemu}, {"/usr/bin/perl", "perl-base"}}
	switch {
	case m.firmware == "uefi":
		code, vars := m.firmwareFiles()
		firmware := map[string]string{"x86_64": "ovmf", "arm64": "qemu-efi-aarch64"}[m.arch]
		list = append(list, needed{code, firmware}, needed{vars, firmware})
	case m.firmware == "bios":
		list = append(list, needed{"/usr/share/seabios/bios-256k.bin", "seabios"})
	}
	for _, s := range m.args.Steps {
		if s.kind == "ssh" {
			list = append(list, needed{"/usr/bin/ssh", "openssh-client"})
			break
		}
	}
	return list
}

var toolsOp = &action.Op{Name: "vm/tools", Version: 1, Check: true, Run: runTools}

func runTools(ctx context.Context, env action.Env) error {
	var p toolsParams
	if err := env.Params(&p); err != nil {
		return err
	}
	in := env.Input("toolchain")
	tree := action.NewEdit(env, in.Digest)
	for _, f := range p.Files {
		_, err := tree.Lookup(ctx, f.Path)
		switch {
		case errors.Is(err, fs.ErrNotExist):
			return fmt.Errorf("checking toolchain: it has no %s, which is in the package %s; use machine_tools(arch = %q) of @stdlib//toolchains.star, or add the package", f.Path, f.Package, p.Arch)
		case err != nil:
			return err
		}
	}
	return env.SetTree("toolchain", in.Digest)
}

// readBlob reads at most the first n bytes.
func readBlob(ctx context.Context, env action.Env, d action.Digest, n int64) ([]byte, error) {
	r, err := env.OpenBlob(ctx, d)
	if err != nil {
		return nil, err
	}
	defer r.Close()
	return io.ReadAll(io.LimitReader(r, n))
}
