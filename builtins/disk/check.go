package disk

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/labstar/labstar/action"
	"github.com/labstar/labstar/internal/format/kconfig"
	"github.com/labstar/labstar/starlark/schema"
)

// need is something that the kernel must have: one of several sets of options.
type need struct {
	Why string `json:"why"` // "the root file system is ext4"
	// Any has alternatives, each a list of options that are all needed.
	Any [][]string `json:"any"`
	// Early is set for what must be there before the root file system is: built in,
	// or a module in the initial file system.
	Early bool `json:"early,omitempty"`
}

func all(why string, early bool, options ...string) need {
	return need{Why: why, Any: [][]string{options}, Early: early}
}

// fsOptions are what a kernel needs to mount a file system.
var fsOptions = map[string][]string{
	"ext4": {"EXT4_FS"}, "squashfs": {"SQUASHFS"}, "erofs": {"EROFS_FS"},
	// A FAT is mounted with the code page 437 and the characters iso8859-1 unless
	// the options of the mount say otherwise.
	"vfat": {"VFAT_FS", "NLS_CODEPAGE_437", "NLS_ISO8859_1"},
	"swap": {"SWAP"},
}

// busOptions are the drivers of what a disk can be attached to.
var busOptions = map[string][]string{
	"virtio": {"VIRTIO_BLK", "VIRTIO_PCI"},
	"ahci":   {"SATA_AHCI", "BLK_DEV_SD"},
	"ata":    {"ATA_PIIX", "BLK_DEV_SD"},
	"nvme":   {"BLK_DEV_NVME"},
	"usb":    {"USB_STORAGE", "USB_XHCI_HCD", "USB_XHCI_PCI", "BLK_DEV_SD"},
	"scsi":   {"SCSI_VIRTIO", "BLK_DEV_SD"},
	"mmc":    {"MMC_BLOCK"},
}

var buses = []string{"virtio", "ahci", "nvme", "usb", "ata", "scsi", "mmc"}

// needs lists what a disk asks of a kernel that is started with a command line.
func (im *image) needs(e *Entry) []need {
	needs := []need{all("programs are ELF", false, "BINFMT_ELF")}

	if e.initrd != nil {
		needs = append(needs, all("there is an initrd", true, "BLK_DEV_INITRD"))
	}
	if im.root >= 0 {
		fs := im.a.Partitions[im.root].fs
		needs = append(needs, all("the root file system is "+fs, true, fsOptions[fs]...))
		if im.a.Table == "mbr" {
			needs = append(needs, all("the partition table is an MBR", true, "MSDOS_PARTITION"))
		} else {
			needs = append(needs, all("the partition table is a GPT", true, "EFI_PARTITION"))
		}
		needs = append(needs, im.busNeeds()...)
	}
	for i, p := range im.a.Partitions {
		if i == im.root || p.mount == "" && p.fs != "swap" {
			continue
		}
		options := fsOptions[p.fs]
		if p.fs == "vfat" && (strings.Contains(p.options, "codepage=") || strings.Contains(p.options, "iocharset=") || strings.Contains(p.options, "utf8")) {
			options = options[:1]
		}
		needs = append(needs, all(fmt.Sprintf("partition %q is %s", p.name, p.fs), false, options...))
	}
	switch im.efi() {
	case "":
	case "syslinux-efi":
		needs = append(needs, all("syslinux' EFI loader starts the kernel by the handover protocol", true, "EFI_STUB", "EFI_HANDOVER_PROTOCOL"))
	default:
		needs = append(needs, all(fmt.Sprintf("%s starts the kernel as an EFI program", im.efi()), true, "EFI_STUB"))
	}

	return needs
}

func (im *image) busNeeds() []need {
	if len(im.a.Bus) == 0 {
		any := make([][]string, len(buses))
		for i, b := range buses {
			any[i] = busOptions[b]
		}
		return []need{{Why: "the root is on a disk", Any: any, Early: true}}
	}
	var out []need
	for _, b := range im.a.Bus {
		out = append(out, all(fmt.Sprintf("the disk is attached by %s", b), true, busOptions[b]...))
	}
	return out
}

type checkParams struct {
	Needs    []need        `json:"needs"`
	Consoles []action.Late `json:"consoles"`
}

// checkKernels makes the checks of every entry's kernel, and returns their outputs
// for what comes after them to wait for.
func (im *image) checkKernels() ([]action.Input, error) {
	var out []action.Input
	for i, e := range im.entries {
		spec := action.Spec{
			Op: headOp, Title: fmt.Sprintf("%s kernel check", im.a.Name),
			Params:  headParams{Arch: im.arch, Loader: im.efi()},
			Inputs:  []action.Input{{Name: "kernel", Artifact: e.kernel.Artifact}},
			Outputs: []action.Output{{Name: "checked", Kind: action.File}},
		}
		if config, _ := e.kernel.Attr("config"); config != nil {
			a, ok := config.(*schema.Artifact)
			if !ok {
				return nil, fmt.Errorf("got a kernel whose config is %s, want a file", config.Type())
			}
			// Without what comes from identify, which is there after the kernel.
			p := checkParams{Needs: im.needs(e)}
			for _, w := range strings.Fields(string(im.args(e))) {
				if con, ok := strings.CutPrefix(w, "console="); ok {
					p.Consoles = append(p.Consoles, action.Late(con))
				}
			}
			spec.Op, spec.Params = checkOp, p
			spec.Inputs = []action.Input{{Name: "config", Artifact: a.Artifact}}
			if e.initrd != nil {
				spec.Inputs = append(spec.Inputs, action.Input{Name: "initrd", Artifact: e.initrd.Artifact})
			}
		}
		act, err := im.c.Action(spec)
		if err != nil {
			return nil, err
		}
		out = append(out, action.Input{Name: fmt.Sprintf("check%d", i), Artifact: act.Output("checked")})
	}
	return out, nil
}

var checkOp = &action.Op{Name: "disk/check", Version: 1, Check: true, Run: runCheck}

func runCheck(ctx context.Context, env action.Env) error {
	var p checkParams
	if err := env.Params(&p); err != nil {
		return err
	}
	config, err := readConfig(ctx, env)
	if err != nil {
		return err
	}
	k := &checker{config: config, modules: func() (map[string]bool, error) { return initrdModules(ctx, env) }}
	var errs []error
	for _, n := range p.Needs {
		errs = append(errs, k.check(n))
	}
	for _, con := range p.Consoles {
		tty, _, _ := strings.Cut(string(con), ",")
		if n, ok := kconfig.Console(tty); ok {
			errs = append(errs, k.check(all(fmt.Sprintf("the command line says console=%s, which would stay silent", con), true, n.Option)))
		}
	}
	if config.Get("CMDLINE_OVERRIDE") == "y" || config.Get("CMDLINE_FORCE") == "y" {
		errs = append(errs, errors.New("checking kernel: CONFIG_CMDLINE_OVERRIDE is on, and then the loader's command line with root= and console= is not looked at; switch it off"))
	}
	if err := errors.Join(errs...); err != nil {
		return err
	}
	return env.WriteFile("checked", []byte("ok\n"))
}

func readConfig(ctx context.Context, env action.Env) (kconfig.Config, error) {
	b, err := env.OpenBlob(ctx, env.Input("config").Digest)
	if err != nil {
		return nil, err
	}
	defer func() { _ = b.Close() }()
	text, err := io.ReadAll(b)
	return kconfig.ParseConfig(text), err
}

// checker compares needs with a configuration.
type checker struct {
	config  kconfig.Config
	modules func() (map[string]bool, error) // of the initial file system
	loaded  map[string]bool
}

func (k *checker) check(n need) error {
	var best []string // what is missing in the alternative that lacks least
	module := ""
	for i, options := range n.Any {
		missing, mod, err := k.missing(options, n.Early)
		if err != nil {
			return err
		}
		if len(missing) == 0 {
			return nil
		}
		if i == 0 || len(missing) < len(best) {
			best, module = missing, mod
		}
	}
	add := make([]string, len(best))
	for i, o := range best {
		add[i] = fmt.Sprintf("%q: True", o)
	}
	remedy := fmt.Sprintf("add options = {%s} to kernel_config", strings.Join(add, ", "))
	switch {
	case len(n.Any) > 1:
		return fmt.Errorf("checking kernel: %s, and it has the drivers of no bus, of %s; for the nearest %s, or say profiles = [\"vm\"] or [\"pc\"]", n.Why, strings.Join(buses, ", "), remedy)
	case module != "":
		return fmt.Errorf("checking kernel: CONFIG_%s is a module that nothing loads in time, and %s; %s, or put %s.ko into an initrd", module, n.Why, remedy, moduleName(module))
	case len(best) == 1:
		return fmt.Errorf("checking kernel: CONFIG_%s is off, and %s; %s", best[0], n.Why, remedy)
	}
	return fmt.Errorf("checking kernel: CONFIG_%s are off, and %s; %s", strings.Join(best, ", CONFIG_"), n.Why, remedy)
}

// missing returns the options that are not there; module is one of them that is,
// too late.
func (k *checker) missing(options []string, early bool) (missing []string, module string, err error) {
	for _, o := range options {
		switch v := k.config.Get(o); {
		case v == "y" || v == "m" && !early:
			continue
		case v == "m":
			if k.loaded == nil {
				if k.loaded, err = k.modules(); err != nil {
					return nil, "", err
				}
			}
			if k.loaded[moduleName(o)] {
				continue
			}
			module = o
		}
		missing = append(missing, o)
	}
	return missing, module, nil
}

// moduleNames are the modules that options make where the name says it not.
var moduleNames = map[string]string{
	"EXT4_FS": "ext4", "EROFS_FS": "erofs", "VFAT_FS": "vfat", "SATA_AHCI": "ahci", "BLK_DEV_SD": "sd_mod",
	"BLK_DEV_NVME": "nvme", "USB_XHCI_HCD": "xhci_hcd", "USB_XHCI_PCI": "xhci_pci", "USB_STORAGE": "usb_storage",
	"SCSI_VIRTIO": "virtio_scsi", "NLS_CODEPAGE_437": "nls_cp437", "NLS_ISO8859_1": "nls_iso8859_1",
}

func moduleName(option string) string {
	if n, ok := moduleNames[option]; ok {
		return n
	}
	return strings.ToLower(option)
}

// initrdModules lists the modules in the initial file system, with "_" for "-".
func initrdModules(ctx context.Context, env action.Env) (map[string]bool, error) {
	mods := map[string]bool{}
	i := slices.IndexFunc(env.Inputs(), func(in action.OutputDigest) bool { return in.Name == "initrd" })
	if i < 0 {
		return mods, nil
	}
	b, err := env.OpenBlob(ctx, env.Inputs()[i].Digest)
	if err != nil {
		return nil, err
	}
	defer func() { _ = b.Close() }()
	err = listInitrd(b, func(path string) {
		name := path[strings.LastIndexByte(path, '/')+1:]
		if base, _, ok := strings.Cut(name, ".ko"); ok {
			mods[strings.ReplaceAll(base, "-", "_")] = true
		}
	})
	return mods, err
}
