package disk_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"go.starlark.net/starlark"

	"github.com/labstar/labstar/action"
	"github.com/labstar/labstar/builtins/disk"
	"github.com/labstar/labstar/internal/buildtest"
	"github.com/labstar/labstar/internal/format/compress"
	"github.com/labstar/labstar/internal/format/cpio"
	"github.com/labstar/labstar/starlark/schema"
)

// image builds an artifact and writes it to a file.
func image(t *testing.T, lab *buildtest.Lab, v starlark.Value) string {
	t.Helper()
	return export(t, lab, lab.Build(v))
}

func export(t *testing.T, lab *buildtest.Lab, d action.Digest) string {
	t.Helper()
	b, err := lab.Store.OpenBlob(context.Background(), d)
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	name := filepath.Join(t.TempDir(), "image")
	f, err := os.Create(name)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if _, err := io.Copy(f, b); err != nil {
		t.Fatal(err)
	}
	return name
}

// tool runs a reader of what we write.
func tool(t *testing.T, name string, args ...string) string {
	t.Helper()
	at, err := exec.LookPath(name)
	if err != nil {
		if at, err = exec.LookPath("/usr/sbin/" + name); err != nil {
			t.Skipf("%s is not installed", name)
		}
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	out, err := exec.CommandContext(ctx, at, args...).CombinedOutput()
	if err != nil {
		t.Fatalf("%s %v: %v\n%.4000s", name, args, err, out)
	}
	return string(out)
}

func wantAll(t *testing.T, got string, want ...string) {
	t.Helper()
	for _, w := range want {
		if !regexp.MustCompile(w).MatchString(got) {
			t.Errorf("got no %q in\n%s", w, got)
		}
	}
}

func rootTree(lab *buildtest.Lab, more map[string]buildtest.Node) starlark.StringDict {
	nodes := map[string]buildtest.Node{
		"bin/su":     {Text: "#!/bin/sh\n", Mode: 0o4755},
		"etc/shadow": {Text: "root:!:::::::\n", Mode: 0o640, GID: 42},
		"home/lab/":  {Mode: 0o700, UID: 1000, GID: 1000},
		"home/lab/x": {Text: strings.Repeat("x", 100000), UID: 1000, GID: 1000},
		"bin/ping":   {Text: "ping", Mode: 0o755, Xattrs: []action.Xattr{{Name: "user.note", Value: []byte("kept")}}},
		"usr/bin/vi": {Target: "../../bin/su"},
	}
	for p, n := range more {
		nodes[p] = n
	}
	return starlark.StringDict{"root": lab.Tree(nodes)}
}

func TestExt4(t *testing.T) {
	lab := buildtest.New(t)
	g := lab.Eval(disk.Builtins(), `
fs = ext4(root, label = "top", size = "32M")
other = ext4(root, label = "top", size = "32M")
given = ext4(root, uuid = "11111111-2222-3333-4444-555555555555")
small = ext4(root, size = "64K")
`, rootTree(lab, nil))
	name := image(t, lab, g["fs"])
	tool(t, "e2fsck", "-fn", name)
	wantAll(t, tool(t, "dumpe2fs", "-h", name), "volume name: +top", "Block count: +8192", "Filesystem created: +Wed Jan  1")
	wantAll(t, tool(t, "debugfs", "-R", "stat /etc/shadow", name), `Mode:  0640`, `Group:    42`)
	wantAll(t, tool(t, "debugfs", "-R", "stat /bin/su", name), `Mode:  04755`)
	wantAll(t, tool(t, "debugfs", "-R", "stat /home/lab", name), `Mode:  0700`, `User:  1000`)
	wantAll(t, tool(t, "debugfs", "-R", "ea_get /bin/ping user.note", name), `"kept"`)
	if lab.Build(g["fs"]) != lab.Build(g["other"]) {
		t.Error("got other bytes for the same arguments")
	}
	wantAll(t, tool(t, "dumpe2fs", "-h", image(t, lab, g["given"])), "UUID: +11111111-2222-3333-4444-555555555555")
	if _, err := lab.TryBuild(g["small"]); err == nil || !strings.Contains(err.Error(), "raise size") {
		t.Errorf("got %v, want an error about the size", err)
	}
}

func TestFat(t *testing.T) {
	lab := buildtest.New(t)
	g := lab.Eval(disk.Builtins(), `
fs = fat(root, label = "BOOT", size = "8M")
empty = fat(size = "4M", uuid = "12AB-34CD")
`, starlark.StringDict{"root": lab.Tree(map[string]buildtest.Node{"EFI/BOOT/BOOTX64.EFI": {Text: "MZ"}, "a long name.txt": {Text: "hello\n"}})})
	name := image(t, lab, g["fs"])
	tool(t, "fsck.vfat", "-n", name)
	if got := tool(t, "mtype", "-i", name, "::/a long name.txt"); got != "hello\n" {
		t.Errorf("got %q, want hello", got)
	}
	wantAll(t, tool(t, "mdir", "-i", image(t, lab, g["empty"]), "::"), "12AB-34CD")
	for what, nodes := range map[string]map[string]buildtest.Node{
		"is a symlink to":          {"l": {Target: "x"}},
		"one name to FAT.*rename":  {"x/README": {Text: "1"}, "x/readme": {Text: "2"}},
		"FAT's names have none of": {"a:b": {Text: "1"}},
	} {
		g := lab.Eval(disk.Builtins(), `fs = fat(root)`, starlark.StringDict{"root": lab.Tree(nodes)})
		if _, err := lab.TryBuild(g["fs"]); err == nil || !regexp.MustCompile(what).MatchString(err.Error()) {
			t.Errorf("got %v, want an error with %q", err, what)
		}
	}
}

func TestSwap(t *testing.T) {
	lab := buildtest.New(t)
	g := lab.Eval(disk.Builtins(), `fs = swap("2M", label = "more", uuid = "11111111-2222-3333-4444-555555555555")`, nil)
	b := lab.Blob(lab.Build(g["fs"]))
	if len(b) != 2<<20 || string(b[4086:4096]) != "SWAPSPACE2" {
		t.Errorf("got %d bytes that end their first page in %q", len(b), b[4086:4096])
	}
	wantAll(t, tool(t, "blkid", "-p", image(t, lab, g["fs"])), `UUID="11111111-2222-3333-4444-555555555555"`, `LABEL="more"`, `TYPE="swap"`)
}

const twoParts = `
d = disk_image([
    partition(type = "esp", size = "4M"),
    partition(root, fs = "ext4", mount = "/", free = "1M"),
    partition(fs = "ext4", mount = "/var/data", size = "rest", name = "data"),
    partition(fs = "swap", size = "1M"),
], size = "64M", TABLE)
`

// A disk is what its script says, to the tools that read disks, and its partitions
// are where the table has them.
func TestDisk(t *testing.T) {
	for _, table := range []string{"gpt", "hybrid", "mbr"} {
		t.Run(table, func(t *testing.T) {
			lab := buildtest.New(t)
			g := lab.Eval(disk.Builtins(), strings.Replace(twoParts, "TABLE", `table = "`+table+`"`, 1), rootTree(lab, nil))
			name := image(t, lab, g["d"])
			wantAll(t, tool(t, "sfdisk", "--verify", name), "No errors detected")
			if table != "mbr" {
				wantAll(t, tool(t, "sgdisk", "-v", name), "No problems found")
			}
			dump := tool(t, "sfdisk", "--dump", name)
			starts := regexp.MustCompile(`start= *(\d+), size= *(\d+)`).FindAllStringSubmatch(dump, -1)
			if len(starts) != 4 {
				t.Fatalf("got %d partitions in\n%s", len(starts), dump)
			}
			for i, check := range []string{"fsck.vfat", "e2fsck", "e2fsck"} {
				part := filepath.Join(t.TempDir(), "part")
				tool(t, "dd", "if="+name, "of="+part, "bs=512", "skip="+starts[i][1], "count="+starts[i][2])
				tool(t, check, map[string]string{"fsck.vfat": "-n", "e2fsck": "-fn"}[check], part)
				if i == 1 {
					wantAll(t, tool(t, "debugfs", "-R", "cat /etc/fstab", part), `(?m)^UUID=[0-9a-f-]{36}\t/\text4\tdefaults\t0\t1$`,
						`(?m)^UUID=[0-9a-f-]{36}\t/var/data\text4\tdefaults\t0\t2$`, `(?m)^UUID=[0-9a-f-]{36}\tnone\tswap\tsw\t0\t0$`)
					uuid := regexp.MustCompile(`UUID="([^"]+)"`).FindStringSubmatch(tool(t, "blkid", "-p", part))
					wantAll(t, tool(t, "debugfs", "-R", "cat /etc/fstab", part), "UUID="+uuid[1]+"\t/\t")
				}
			}
			if twice := lab.Build(g["d"]); export(t, lab, twice) == "" {
				t.Error("nothing exported")
			}
			// In another store, later: the same bytes.
			second := buildtest.New(t)
			g2 := second.Eval(disk.Builtins(), strings.Replace(twoParts, "TABLE", `table = "`+table+`"`, 1), rootTree(second, nil))
			if a, b := lab.Build(g["d"]), second.Build(g2["d"]); a != b {
				t.Errorf("got %s, and in another store %s", a, b)
			}
		})
	}
}

// The content of the same disk is the same in time: a change of this digest wants
// a new version of the op that made it.
func TestGolden(t *testing.T) {
	lab := buildtest.New(t)
	g := lab.Eval(disk.Builtins(), strings.Replace(twoParts, "TABLE", "", 1), rootTree(lab, nil))
	const want = "bf2a196f3ea61f54329dcfe8e4e89942475d6728dd0917cc2cd14c5ad1b57c27"
	if got := lab.Build(g["d"]).Hex(); got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

// What is empty takes no room in the store.
func TestSparse(t *testing.T) {
	lab := buildtest.New(t)
	g := lab.Eval(disk.Builtins(), `d = disk_image([partition(root, fs = "ext4", mount = "/", size = "1G")], size = "2G")`, rootTree(lab, nil))
	path, err := lab.Store.BlobPath(t.Context(), lab.Build(g["d"]), false)
	if err != nil {
		t.Fatal(err)
	}
	fi, err := os.Stat(path)
	if err != nil || fi.Size() != 2<<30 {
		t.Fatalf("got %v, %v, want 2 GiB", fi, err)
	}
	if used := allocated(fi); used > 4<<20 {
		t.Errorf("got %d bytes on the disk for an image with next to nothing in it", used)
	}
}

// fstab: what the tree has is held to the disk, line by line.
func TestFstab(t *testing.T) {
	const guid = `guid = "11111111-2222-3333-4444-555555555555", uuid = "99999999-2222-3333-4444-555555555555"`
	for name, c := range map[string]struct{ fstab, want string }{
		"agrees":          {"proc /proc proc defaults 0 0\nUUID=99999999-2222-3333-4444-555555555555 / ext4 ro 0 1\n", ""},
		"agrees by part":  {"PARTUUID=11111111-2222-3333-4444-555555555555 / ext4 ro 0 1\n", ""},
		"agrees by name":  {"/dev/vda2 / auto ro 0 1\n", ""},
		"another's":       {"//server/share /mnt cifs nofail 0 0\nUUID=77777777-2222-3333-4444-555555555555 /mnt/x ext4 nofail 0 0\n", ""},
		"type":            {"UUID=99999999-2222-3333-4444-555555555555 / xfs ro 0 1\n", `line 1: got type xfs for /, and partition "root" is ext4: write ext4`},
		"uuid":            {"\nUUID=88888888-2222-3333-4444-555555555555 / ext4 ro 0 1\n", `line 2: got device UUID=88888888.* is no partition of this disk; partition "root" is UUID=99999999-2222-3333-4444-555555555555`},
		"device":          {"/dev/sda1 / ext4 ro 0 1\n", `got device /dev/sda1 for /, and that is partition "EFI system"; / is partition "root"`},
		"no such device":  {"/dev/nvme0n1p7 / ext4 ro 0 1\n", `got device /dev/nvme0n1p7 for /, and that is no partition of this disk`},
		"twice":           {"/dev/sda2 / ext4 ro 0 1\n/dev/sda2 / ext4 ro 0 1\n", `lines 1 and 2 both mount /; drop one`},
		"nobody's":        {"UUID=77777777-2222-3333-4444-555555555555 /data ext4 defaults 0 0\n", `no partition of this disk has that; add the option nofail`},
		"type of another": {"/dev/sda1 /boot ext4 defaults 0 0\n", `got type ext4 for /boot, and partition "EFI system" is vfat`},
	} {
		t.Run(name, func(t *testing.T) {
			lab := buildtest.New(t)
			g := lab.Eval(disk.Builtins(), `d = disk_image([partition(type = "esp", size = "4M"), partition(root, fs = "ext4", mount = "/", `+guid+`)])`,
				rootTree(lab, map[string]buildtest.Node{"etc/fstab": {Text: c.fstab}}))
			_, err := lab.TryBuild(g["d"])
			switch {
			case c.want == "" && err != nil:
				t.Error(err)
			case c.want != "" && (err == nil || !regexp.MustCompile(c.want).MatchString(err.Error())):
				t.Errorf("got %v, want an error with %q", err, c.want)
			}
		})
	}
}

func TestFormats(t *testing.T) {
	lab := buildtest.New(t)
	for _, format := range []string{"qcow2", "vmdk", "vmdk-stream"} {
		g := lab.Eval(disk.Builtins(), `
raw = disk_image([partition(root, fs = "ext4", mount = "/")], size = "64M")
d = disk_image([partition(root, fs = "ext4", mount = "/")], size = "64M", format = "`+format+`")
`, rootTree(lab, nil))
		name := image(t, lab, g["d"])
		tool(t, "qemu-img", "check", name)
		wantAll(t, tool(t, "qemu-img", "compare", name, image(t, lab, g["raw"])), "Images are identical")
	}
}

// What is wrong with the arguments is told before anything is built.
func TestErrors(t *testing.T) {
	const esp, root = `partition(type = "esp", size = "8M"), `, `partition(t, fs = "ext4", mount = "/"), `
	for script, want := range map[string]string{
		`disk_image([` + root + root[:len(root)-3] + `, name = "b")])`:       `got the mount point "/", which partitions\[0\] \(root\) has too`,
		`disk_image([partition(fs = "ext4", size = "8M", mount = "/home")])`: `none at "/", where /etc/fstab would be`,
		`partition(t, mount = "/")`:                                          `got a tree and no file system.*say fs = "ext4"`,
		`partition(type = "esp", fs = "ext4", size = "8M")`:                  `firmware reads FAT alone`,
		`partition(type = "linxu", size = "8M")`:                             `got "linxu", want one of`,
		`partition(size = "8 apples")`:                                       `got "8 apples", want a size such as`,
		`partition()`:                                                        `got "fit" and no content, want a size`,
		`partition(name = "x" * 37, size = "1M")`:                            `got 37 characters, want at most 36`,
		`partition(ext4(t), fs = "ext4")`:                                    `with fs, label, uuid, free or fs_args`,
		`partition(t, fs = "ext4", fs_args = {"inode": 5}) and disk_image([partition(t, fs = "ext4", fs_args = {"inode": 5})])`: `unknown argument "inode" \(did you mean "inodes"\?\)`,
		`disk_image([partition(size = "8M"), partition(size = "8M", start = "4M", name = "b")])`:                                `they overlap`,
		`disk_image([partition(size = "80M")], size = "64M")`:                                                                   `the partitions need 81.0 MiB, and the disk has 64.0 MiB`,
		`disk_image([partition(size = "rest")])`:                                                                                `got size "rest", and the disk's own size is not given`,
		`disk_image([partition(size = "64M"), partition(size = "rest", name = "b")], size = "64M")`:                             `nothing is left for partition "b"`,
		`disk_image([partition(size = "1M", name = "%d" % i) for i in range(5)], table = "mbr")`:                                `got 5, and an MBR holds 4`,
		`disk_image([` + root + `], loader = "systemd-boot", kernel = k)`:                                                       `no EFI system partition to put it into`,
		`disk_image([` + esp + root + `], timeout = 3)`:                                                                         `timeout: got it and no loader`,
		`disk_image([` + esp + root + `], cmdline = "quiet", kernel = k)`:                                                       `cmdline: got it and no loader`,
		`disk_image([` + esp + root + `], entries = [boot_entry(kernel = k)])`:                                                  `entries: got it and no loader`,
		`disk_image([` + esp + root + `], initrd = k)`:                                                                          `initrd: got it and no loader`,
		`disk_image([` + esp + root + `], loader = "systemd-boot", toolchain = t)`:                                              `got a loader and no kernel`,
		`disk_image([` + esp + root + `], loader = "sytemd-boot", toolchain = t, kernel = k)`:                                   `got "sytemd-boot", want one of`,
		`disk_image([` + esp + root + `], loader = "uki", kernel = k)`:                                                          `no toolchain with the loader's programs`,
		`disk_image([` + esp + root + `], loader = ["uki", "systemd-boot"], toolchain = t, kernel = k)`:                         `UEFI starts one`,
		`disk_image([` + esp + root + `], loader = ["grub", "syslinux"], table = "mbr", toolchain = t, kernel = k)`:             `a BIOS starts one`,
		`disk_image([` + esp + root + `], loader = "grub", toolchain = t, kernel = k)`:                                          `no partition for its second part.*add partition\(type = "bios_boot"\)`,
		`disk_image([partition(k, type = "bios_boot"),` + esp + root + `], loader = "grub", toolchain = t, kernel = k)`:         `got content in a BIOS boot partition`,
		`disk_image([` + esp + root + `], loader = "syslinux", toolchain = t, kernel = k, arch = "arm64")`:                      `for arm64, where it does not exist`,
		`disk_image([` + esp + root + `], loader = "uki", toolchain = t, kernel = k, cmdline = "root=UUID=x")`:                  `never by UUID`,
		`disk_image([` + esp + `], loader = "uki", toolchain = t, kernel = k)`:                                                  `the kernel would find no root`,
		`disk_image([` + esp + root + `], loader = "efi-stub", kernel = k, cmdline = "quiet")`:                                  `firmware starts the kernel with none of that`,
		`ext4(t, label = "more than sixteen")`:                                                                                  `got 17 bytes, want at most 16`,
		`ext4(t, uuid = "12")`:                                                                                                  `want 32 hexadecimal digits`,
		`ext4(t, journal = "1M")`:                                                                                               `want at least 4M`,
		`fat(t, label = "small")`:                                                                                               `in capitals`,
		`fat(t, bits = 8)`:                                                                                                      `want 12, 16 or 32`,
		`swap("fit")`:                                                                                                           `nothing is there that it could fit`,
		`squashfs(t, toolchain = t, block_size = 5000)`:                                                                         `want a power of two`,
	} {
		lab := buildtest.New(t)
		_, err := lab.TryEval(disk.Builtins(), "x = "+script, starlark.StringDict{"t": rootTree(lab, nil)["root"], "k": lab.File("kernel")})
		if err == nil || !regexp.MustCompile("(?s)"+want).MatchString(told(err)) {
			t.Errorf("%s: got %v, want an error with %q", script, err, want)
		}
	}
}

// told is an error with its hint.
func told(err error) string {
	s := err.Error()
	var e *schema.Error
	if errors.As(err, &e) {
		s += " " + e.Hint
	}
	return s
}

// A kernel's configuration is held to the disk before the kernel is compiled.
func TestKernelChecks(t *testing.T) {
	const good = "CONFIG_BINFMT_ELF=y\nCONFIG_EXT4_FS=y\nCONFIG_EFI_PARTITION=y\nCONFIG_MSDOS_PARTITION=y\nCONFIG_VIRTIO_BLK=y\nCONFIG_VIRTIO_PCI=y\n" +
		"CONFIG_EFI_STUB=y\nCONFIG_EFI_HANDOVER_PROTOCOL=y\nCONFIG_SERIAL_8250_CONSOLE=y\nCONFIG_VFAT_FS=m\nCONFIG_NLS_CODEPAGE_437=m\nCONFIG_NLS_ISO8859_1=m\nCONFIG_BLK_DEV_INITRD=y\n"
	for name, c := range map[string]struct{ off, on, args, want string }{
		"good":          {},
		"file system":   {off: "EXT4_FS", want: `CONFIG_EXT4_FS is off, and the root file system is ext4; add options = {"EXT4_FS": True} to kernel_config`},
		"module":        {off: "EXT4_FS", on: "CONFIG_EXT4_FS=m\n", want: `CONFIG_EXT4_FS is a module that nothing loads in time`},
		"in the initrd": {off: "EXT4_FS", on: "CONFIG_EXT4_FS=m\n", args: `, initrd = initrd`},
		"not in it":     {off: "VIRTIO_BLK", on: "CONFIG_VIRTIO_BLK=m\n", args: `, initrd = initrd`, want: `the drivers of no bus`},
		"table":         {off: "EFI_PARTITION", want: `CONFIG_EFI_PARTITION is off, and the partition table is a GPT`},
		"MBR":           {off: "MSDOS_PARTITION", args: `, table = "mbr"`, want: `CONFIG_MSDOS_PARTITION is off, and the partition table is an MBR`},
		"any bus":       {off: "VIRTIO_BLK", want: `the root is on a disk, and it has the drivers of no bus, of virtio, ahci`},
		"one bus":       {args: `, bus = ["usb"]`, want: `CONFIG_USB_STORAGE, CONFIG_USB_XHCI_HCD, CONFIG_USB_XHCI_PCI, CONFIG_BLK_DEV_SD are off, and the disk is attached by usb`},
		"console":       {args: `, console = ["tty0", "ttyS0"]`, want: `CONFIG_VT_CONSOLE is off, and the command line says console=tty0, which would stay silent`},
		"its console":   {args: `, cmdline = "console=hvc0"`, want: `CONFIG_VIRTIO_CONSOLE is off`},
		"stub":          {off: "EFI_STUB", want: `CONFIG_EFI_STUB is off, and systemd-boot starts the kernel as an EFI program`},
		"handover":      {off: "EFI_HANDOVER_PROTOCOL", args: `, loader = "syslinux-efi"`, want: `CONFIG_EFI_HANDOVER_PROTOCOL is off, and syslinux' EFI loader`},
		"characters":    {off: "NLS_ISO8859_1", want: `CONFIG_NLS_ISO8859_1 is off, and partition "EFI system" is vfat`},
		"override":      {on: "CONFIG_CMDLINE_OVERRIDE=y\n", want: `CONFIG_CMDLINE_OVERRIDE is on`},
	} {
		t.Run(name, func(t *testing.T) {
			lab := buildtest.New(t)
			config := good + c.on
			if c.off != "" {
				config = regexp.MustCompile("CONFIG_"+c.off+"=.\n").ReplaceAllString(good, "") + c.on
			}
			loader := `, loader = "systemd-boot"`
			if strings.Contains(c.args, "loader =") {
				loader = ""
			}
			kernel := lab.File("kernel")
			more := rootTree(lab, nil)
			more["kernel"] = schema.NewArtifact(kernel.Artifact, "kernel", starlark.StringDict{"config": lab.File(config), "arch": starlark.String("x86_64")})
			more["initrd"] = lab.File(initrd(t, "lib/modules/6.12/kernel/fs/ext4/ext4.ko.xz"))
			more["tools"] = lab.Tree(map[string]buildtest.Node{
				"usr/lib/systemd/boot/efi/systemd-bootx64.efi": {Text: "MZ"}, "usr/lib/SYSLINUX.EFI/efi64/syslinux.efi": {Text: "MZ"},
				"usr/lib/syslinux/modules/efi64/ldlinux.e64": {Text: "e64"},
			})
			g := lab.Eval(disk.Builtins(), `d = disk_image([partition(type = "esp", size = "4M", mount = "/boot"), partition(root, fs = "ext4", mount = "/")], kernel = kernel, toolchain = tools`+loader+c.args+`)`, more)
			_, err := lab.TryBuild(g["d"])
			switch {
			case c.want == "" && err != nil:
				t.Error(err)
			case c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)):
				t.Errorf("got %v, want an error with %q", err, c.want)
			}
		})
	}
}

// initrd is an archive with one file, after an empty one as processors' microcode
// comes in, compressed.
func initrd(t *testing.T, path string) string {
	t.Helper()
	var out bytes.Buffer
	w := cpio.NewWriter(&out)
	if err := errors.Join(w.Entry(cpio.Header{Name: "early", Mode: cpio.TypeRegular | 0o644}), w.Close()); err != nil {
		t.Fatal(err)
	}
	out.Write(make([]byte, 512))
	z, err := compress.NewWriter(&out, compress.Zstd)
	if err != nil {
		t.Fatal(err)
	}
	w = cpio.NewWriter(z)
	if err := errors.Join(w.Entry(cpio.Header{Name: path, Mode: cpio.TypeRegular | 0o644}), w.Close(), z.Close()); err != nil {
		t.Fatal(err)
	}
	return out.String()
}

// A kernel of a distribution tells in its head how it starts.
func TestKernelHead(t *testing.T) {
	head := make([]byte, 1024)
	copy(head, "MZ")
	copy(head[0x202:], "HdrS")
	bios := bytes.Clone(head)
	copy(bios, "\xea\x05")
	for name, c := range map[string]struct{ kernel, loader, want string }{
		"good":     {string(head), "systemd-boot", ""},
		"text":     {"no kernel", "systemd-boot", "no x86 bzImage"},
		"no EFI":   {string(bios), "systemd-boot", "it is no EFI program"},
		"handover": {string(head), "syslinux-efi", "no EFI handover protocol"},
	} {
		lab := buildtest.New(t)
		more := rootTree(lab, nil)
		more["kernel"] = lab.File(c.kernel)
		more["tools"] = lab.Tree(map[string]buildtest.Node{"usr/lib/systemd/boot/efi/systemd-bootx64.efi": {Text: "MZ"}})
		g := lab.Eval(disk.Builtins(), `d = disk_image([partition(type = "esp", size = "4M"), partition(root, fs = "ext4", mount = "/")], kernel = kernel, loader = "`+c.loader+`", toolchain = tools)`, more)
		_, err := lab.TryBuild(g["d"])
		if c.want == "" && err != nil || c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
			t.Errorf("%s: got %v, want an error with %q", name, err, c.want)
		}
	}
}

// The loader's files, and what its configuration says.
func TestLoader(t *testing.T) {
	lab := buildtest.New(t)
	head := make([]byte, 1024)
	copy(head, "MZ")
	copy(head[0x202:], "HdrS")
	more := rootTree(lab, nil)
	more["kernel"] = lab.File(string(head))
	more["tools"] = lab.Tree(map[string]buildtest.Node{"usr/lib/systemd/boot/efi/systemd-bootx64.efi": {Text: "MZ"}})
	g := lab.Eval(disk.Builtins(), `
d = disk_image([partition(type = "esp", size = "4M"), partition(root, fs = "ext4", mount = "/", guid = "11111111-2222-3333-4444-555555555555")],
               entries = [boot_entry(kernel, title = "Lab"), boot_entry(kernel, title = "Quiet", cmdline = "quiet console=tty0")],
               loader = "systemd-boot", toolchain = tools)
esp = d.partitions["EFI system"]
root_is = d.root
`, more)
	name := image(t, lab, g["esp"])
	for path, want := range map[string]string{
		"loader/loader.conf":         "timeout 5\ndefault linux1.conf\neditor yes\n",
		"loader/entries/linux1.conf": "title Lab\nsort-key 001\nlinux /vmlinuz\noptions root=PARTUUID=11111111-2222-3333-4444-555555555555 rootfstype=ext4 rootwait rw console=ttyS0\n",
		"loader/entries/linux2.conf": "title Quiet\nsort-key 002\nlinux /vmlinuz\noptions root=PARTUUID=11111111-2222-3333-4444-555555555555 rootfstype=ext4 rootwait rw quiet console=tty0\n",
		"EFI/BOOT/BOOTX64.EFI":       "MZ",
	} {
		if got := tool(t, "mtype", "-i", name, "::/"+path); got != want {
			t.Errorf("%s: got %q, want %q", path, got, want)
		}
	}
}

// GRUB's menu, with what its language would take for its own in quotes.
func TestGrubConfig(t *testing.T) {
	got := string(disk.GrubConfig(`Lab "$5"`, "quiet", "ttyS1,9600"))
	const want = "serial --unit=1 --speed=115200\nterminal_input console serial\nterminal_output console serial\nset default=0\nset timeout=0\n" +
		"menuentry \"Lab \\\"\\$5\\\"\" {\n\tlinux /vmlinuz console=ttyS1,9600 quiet\n}\n"
	if got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}
