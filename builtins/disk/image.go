package disk

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"go.starlark.net/starlark"

	"github.com/labstar/labstar/action"
	"github.com/labstar/labstar/internal/format/ptable"
	"github.com/labstar/labstar/starlark/schema"
)

type imageArgs struct {
	Partitions []*Partition     `star:"partitions" doc:"the parts, made with partition(), in their order on the disk"`
	Table      string           `star:"table,keyword" default:"\"gpt\"" enum:"gpt,mbr,hybrid" doc:"the partition table; hybrid is a GPT whose MBR names the loader's partition too, for BIOSes that boot from nothing else"`
	Size       starlark.Value   `star:"size,keyword" default:"\"fit\"" doc:"of the disk: bytes, as an int or as in \"4G\"; \"fit\" is what the partitions need"`
	Format     string           `star:"format,keyword" default:"\"raw\"" enum:"raw,qcow2,vmdk,vmdk-stream" doc:"the image's format; raw is a file with holes"`
	Align      starlark.Value   `star:"align,keyword" default:"\"1M\"" doc:"where partitions start: at multiples of this"`
	UUID       string           `star:"uuid,keyword" default:"\"\"" doc:"the disk's identifier, a GUID; by default one that comes from the content"`
	Fstab      bool             `star:"fstab,keyword" default:"True" doc:"write /etc/fstab, and hold the one that is there to the partitions"`
	Loader     starlark.Value   `star:"loader,keyword,optional" doc:"boot loaders, one or a list: \"syslinux\" or \"grub\" (BIOS); \"systemd-boot\", \"uki\", \"efi-stub\", \"syslinux-efi\", \"grub-efi\" (UEFI)"`
	Kernel     *schema.Artifact `star:"kernel,keyword,optional" kind:"file" doc:"what is booted, unless entries says"`
	Initrd     *schema.Artifact `star:"initrd,keyword,optional" kind:"file" doc:"its initial file system"`
	Cmdline    action.Late      `star:"cmdline,keyword" default:"\"\"" doc:"more words of its command line; root=, rootfstype=, console= and rootwait are added where they are missing"`
	Entries    []*Entry         `star:"entries,keyword,optional" doc:"what the loader offers, made with boot_entry(); the first is the default"`
	Console    *[]string        `star:"console,keyword,optional" doc:"consoles of the kernel, the main one last; by default [\"ttyS0\"], on arm64 [\"ttyAMA0\"]"`
	Timeout    *int             `star:"timeout,keyword,optional" doc:"seconds that the loader waits; by default 0 for one entry, 5 for more"`
	Bus        []string         `star:"bus,keyword,optional" enum:"virtio,ahci,ata,nvme,usb,scsi,mmc" doc:"what the disk will be attached to; the kernel must have the drivers of each. By default it must have those of one"`
	Arch       string           `star:"arch,keyword" default:"\"\"" enum:",x86_64,arm64" doc:"the machine's architecture; by default the kernel's, else x86_64"`
	Toolchain  *schema.Artifact `star:"toolchain,keyword,optional" kind:"tree" doc:"a tree with the loaders' programs, as from disk_tools(); for grub disk_tools([\"grub-common\", \"grub-pc-bin\"]), for grub-efi with \"grub-efi-amd64-bin\"; for systemd-boot and uki on arm64 debian_packages([\"systemd-boot-efi\"], arch = \"arm64\")"`
	Name       string           `star:"name,keyword" default:"\"disk\"" doc:"what messages call it"`
}

// Image is the builtin `disk_image`.
var Image = schema.New("disk_image", `disk_image puts partitions together to a disk that boots.

The value is a file, the image; what is empty in it is a hole, so that it takes the
room of its content alone. Its identifiers come from the content: the same script
gives the same bytes. Attributes: `+"`.uuid`"+`, `+"`.root`"+` ("PARTUUID=…", for a kernel's
root=), `+"`.partitions`"+` (a dict of names to file systems), `+"`.loaders`"+`, `+"`.arch`"+`,
`+"`.table`"+` and `+"`.format`"+`.

/etc/fstab is written into the root file system, if that is made from a tree: a
line for each partition with mount, and for swap. A line that is there already must
agree with its partition in device, type and mount point, else it is an error.

The loader is put into the EFI system partition, with the kernel, the initial file
system and its configuration, with no root and no mount. With several loaders one
disk boots on machines with BIOS and with UEFI, as a disk and as a USB stick. GRUB
for a BIOS has a second part, which lies behind an MBR or, with a GPT, in a
partition(type = "bios_boot").

Errors before anything is built, or before the disk is: partitions that overlap or
do not fit, two at one mount point, no root, an fstab that disagrees; and, where the
kernel comes from kernel(), a root device, file system, partition table, console or
boot protocol that its configuration lacks.

	stick = disk_image([
	    partition(type = "esp", size = "32M"),
	    partition(root, fs = "ext4", mount = "/", free = "64M"),
	], loader = ["syslinux", "systemd-boot"], kernel = linux, bus = ["usb"], toolchain = disk_tools())`, callImage,
	schema.Returns("a disk (file) with the attributes uuid and root (strings), partitions (dict), loaders (list), arch, table and format"))

// image is one call of disk_image in progress.
type image struct {
	c       *schema.Call
	a       *imageArgs
	align   int64
	size    int64 // 0: fit
	loaders []string
	entries []*Entry
	arch    string
	root    int // index of the partition mounted at /, or -1
	esp     int // index of the EFI system partition, or -1
	core    int // index of the partition with GRUB's second part, or -1

	ids   *action.Action
	files []*schema.Artifact // what is in each partition, nil for nothing
}

func callImage(c *schema.Call, a *imageArgs) (starlark.Value, error) {
	im := &image{c: c, a: a, root: -1, esp: -1, core: -1, files: make([]*schema.Artifact, len(a.Partitions))}
	if err := errors.Join(im.setSizes(), im.setLoaders(), im.checkPartitions()); err != nil {
		return nil, err
	}
	if err := errors.Join(im.checkLayout(), im.checkBoot()); err != nil {
		return nil, err
	}
	for _, step := range []func() error{im.identify, im.fill} {
		if err := step(); err != nil {
			return nil, err
		}
	}
	return im.assemble()
}

func (im *image) setSizes() error {
	var errSize, errAlign, errUUID error
	if s, _ := starlark.AsString(im.a.Size); s != fit {
		n, err := parseSize(im.a.Size)
		if err != nil {
			errSize = im.c.ArgErrorf("size", "%w, or \"fit\"", err)
		}
		im.size = n / ptable.Sector * ptable.Sector
	}
	n, err := parseSize(im.a.Align)
	if err != nil || n%ptable.Sector != 0 {
		errAlign = im.c.ArgErrorf("align", "got %s, want a multiple of %d bytes, as \"1M\"", im.a.Align, ptable.Sector)
	}
	im.align = max(n, ptable.Sector)
	if im.a.UUID != "" {
		if _, err := ptable.ParseGUID(im.a.UUID); err != nil {
			errUUID = im.c.ArgErrorf("uuid", "%w", err)
		}
	}
	return errors.Join(errSize, errAlign, errUUID)
}

func at(i int) string { return fmt.Sprintf("partitions[%d]", i) }

// checkPartitions looks at what the partitions are to one another.
func (im *image) checkPartitions() error {
	c, parts := im.c, im.a.Partitions
	var errs []error
	mounts, names := map[string]int{}, map[string]int{}
	resting := -1
	for i, p := range parts {
		if j, ok := mounts[p.mount]; ok {
			errs = append(errs, c.ArgErrorf(at(i), "got the mount point %q, which partitions[%d] (%s) has too", p.mount, j, parts[j].name).
				WithHint("give one of them another mount point"))
		}
		if p.mount != "" {
			mounts[p.mount] = i
		}
		if j, ok := names[p.name]; ok && p.name != "" {
			errs = append(errs, c.ArgErrorf(at(i), "got the name %q, which partitions[%d] has too", p.name, j).WithHint("give one of them another name"))
		}
		names[p.name] = i
		if p.size == sizeRest {
			if resting >= 0 {
				errs = append(errs, c.ArgErrorf(at(i), "got size \"rest\", which partitions[%d] has too: only one can get it", resting))
			}
			resting = i
		}
		if p.kind.esp() {
			if im.esp >= 0 {
				errs = append(errs, c.ArgErrorf(at(i), "got a second EFI system partition: firmware looks at one"))
			} else {
				im.esp = i
			}
		}
		if p.mount == "/" {
			im.root = i
		}
	}
	switch {
	case len(parts) == 0:
		errs = append(errs, c.ArgErrorf("partitions", "got none, want at least one"))
	case len(parts) > 4 && im.a.Table == "mbr":
		errs = append(errs, c.ArgErrorf("partitions", "got %d, and an MBR holds 4", len(parts)).WithHint("use table = \"gpt\""))
	case len(parts) > 128:
		errs = append(errs, c.ArgErrorf("partitions", "got %d, and a GPT holds 128", len(parts)))
	}
	if resting >= 0 && im.size == 0 {
		errs = append(errs, c.ArgErrorf(at(resting), "got size \"rest\", and the disk's own size is not given").WithHint("give disk_image a size"))
	}
	if len(mounts) > 0 && im.root < 0 && im.a.Fstab {
		errs = append(errs, c.ArgErrorf("partitions", "got partitions with mount points and none at \"/\", where /etc/fstab would be").
			WithHint("mount one at \"/\", or say fstab = False"))
	}
	return errors.Join(errs...)
}

// checkLayout places what has a known size, so that what can't fit is told now.
func (im *image) checkLayout() error {
	spec := im.layoutSpec()
	sizes := make([]int64, len(spec.Parts))
	_, err := spec.layout(sizes)
	var bad *layoutError
	if errors.As(err, &bad) {
		if bad.part >= 0 {
			return im.c.ArgErrorf(at(bad.part), "%s", bad.msg).WithHint(bad.hint)
		}
		return im.c.ArgErrorf("size", "%s", bad.msg).WithHint(bad.hint)
	}
	return err
}

// tokens of what identify finds out.
func (im *image) partUUID(i int) string { return im.token(fmt.Sprintf("guid%d", i)) }
func (im *image) fsUUID(i int) string {
	if u := im.a.Partitions[i].uuid; u != "" {
		return string(u)
	}
	return im.token(fmt.Sprintf("uuid%d", i))
}
func (im *image) token(output string) string { return im.ids.Output(output).Token(action.Text) }

// fill makes what is in each partition; the one that gets what is left comes last.
func (im *image) fill() error {
	for _, resting := range []bool{false, true} {
		for i, p := range im.a.Partitions {
			if (p.size == sizeRest) != resting {
				continue
			}
			if err := im.fillOne(i); err != nil {
				return err
			}
		}
	}
	return nil
}

func (im *image) fillOne(i int) error {
	p := im.a.Partitions[i]
	content, err := p.content, error(nil)
	switch {
	case i == im.core:
		im.files[i], err = im.grubCore()
		return err
	case !p.made:
		im.files[i] = content
		return nil
	case i == im.root && content != nil && im.a.Fstab:
		content, err = im.withFstab(content)
	case i == im.esp && len(im.loaders) > 0:
		content, err = im.withLoader(content)
	}
	if err != nil {
		return err
	}
	size := sizeValue(p.size)
	if p.size == sizeRest {
		if size, err = im.restSize(i); err != nil {
			return err
		}
	}
	im.files[i], err = im.make(i, content, size)
	return err
}

func sizeValue(n int64) starlark.Value {
	if n == sizeFit {
		return starlark.String(fit)
	}
	return starlark.MakeInt64(n)
}

// make makes the file system of a partition, and what a BIOS starts in it.
func (im *image) make(i int, content *schema.Artifact, size starlark.Value) (*schema.Artifact, error) {
	p := im.a.Partitions[i]
	var hidden int64
	if i == 0 {
		hidden = max(p.start, im.firstStart()) / ptable.Sector
	}
	if i == im.esp && im.has("syslinux") && p.size == sizeFit && !p.hasArg("free") {
		q := *p
		q.fsArgs = append(slices.Clone(p.fsArgs), starlark.Tuple{starlark.String("free"), starlark.MakeInt(syslinuxRoom)})
		p = &q
	}
	fs, err := p.makeFS(im.c, content, size, starlark.String(im.fsUUID(i)), im.a.Toolchain, hidden)
	if err != nil || i != im.esp {
		return fs, err
	}
	return im.install(fs)
}

func (im *image) firstStart() int64 { return max(im.align, im.a.head()) }

// head is what the table takes at the disk's start.
func (a *imageArgs) head() int64 {
	if a.Table == "mbr" {
		return ptable.Sector
	}
	return ptable.FirstUsable * ptable.Sector
}

// value makes what the script gets.
func (im *image) value(disk *action.Artifact) starlark.Value {
	parts := starlark.NewDict(len(im.files))
	for i, f := range im.files {
		v := starlark.Value(starlark.None)
		if f != nil {
			v = f
		}
		_ = parts.SetKey(starlark.String(im.a.Partitions[i].name), v) // a fresh dict and strings
	}
	loaders := make([]starlark.Value, len(im.loaders))
	for i, l := range im.loaders {
		loaders[i] = starlark.String(l)
	}
	root := ""
	if im.root >= 0 {
		root = "PARTUUID=" + im.partUUID(im.root)
	}
	uuid := strings.ToLower(im.a.UUID)
	if uuid == "" {
		uuid = im.token("disk")
	}
	return schema.NewArtifact(disk, "disk", starlark.StringDict{
		"uuid": starlark.String(uuid), "root": starlark.String(root), "partitions": parts, "loaders": starlark.NewList(loaders),
		"arch": starlark.String(im.arch), "table": starlark.String(im.a.Table), "format": starlark.String(im.a.Format),
	})
}
