package rootfs

import (
	"debug/elf"
	"fmt"
	"maps"
	"strings"
	"testing"

	"go.starlark.net/starlark"

	"github.com/labstar/labstar/internal/buildtest"
	"github.com/labstar/labstar/internal/format/dynlink/elftest"
	"github.com/labstar/labstar/internal/format/ldcache"
	"github.com/labstar/labstar/starlark/schema"
)

const publicKeyLine = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJ7vyzZr6KJmYcqAOEzF0ZqF3mUO6KgJN4e3WkMpbHcJ me"

const (
	glibcLoader = "/lib64/ld-linux-x86-64.so.2"
	muslLoader  = "/lib/ld-musl-x86_64.so.1"
)

func program(f elftest.File) buildtest.Node { return buildtest.Node{Text: f.String(), Mode: 0o755} }

// library is one that has its name and versions of symbols.
func library(name string, f elftest.File) buildtest.Node {
	f.Library, f.SoName = true, name
	return buildtest.Node{Text: f.String()}
}

// bigBusybox is a tree with every program that the services of rootfs call.
func bigBusybox(lab *buildtest.Lab, more map[string]buildtest.Node) *schema.Artifact {
	nodes := map[string]buildtest.Node{"bin/busybox": program(elftest.File{}), "usr/sbin/dropbear": program(elftest.File{}), "usr/sbin/sshd": program(elftest.File{})}
	for _, applet := range strings.Fields("bin/sh bin/ash bin/grep bin/mkdir bin/mount bin/umount bin/date bin/hostname bin/ip bin/cat bin/sleep sbin/switch_root sbin/modprobe sbin/findfs sbin/init sbin/getty sbin/udhcpc sbin/loadkmap sbin/reboot sbin/sulogin usr/sbin/httpd usr/bin/ssh-keygen") {
		nodes[applet] = buildtest.Node{Target: strings.Repeat("../", strings.Count(applet, "/")) + "bin/busybox"}
	}
	maps.Copy(nodes, more)
	return lab.Tree(nodes)
}

// glibc is a tree with a C library for programs.
func glibc(lab *buildtest.Lab) *schema.Artifact {
	loader := elftest.File{Library: true, Needed: nil}.String() + "\x00/lib64/\x00/usr/lib64/\x00"
	return lab.Tree(map[string]buildtest.Node{
		"lib64/ld-linux-x86-64.so.2": {Text: loader, Mode: 0o755},
		"lib64/libc.so.6":            library("libc.so.6", elftest.File{Has: []string{"GLIBC_2.2.5", "GLIBC_2.9", "GLIBC_2.36", "GLIBC_ABI_DT_RELR", "GLIBC_PRIVATE"}}),
	})
}

// kernel is a kernel of that architecture with a configuration.
func kernel(lab *buildtest.Lab, arch string, config ...string) *schema.Artifact {
	all := []string{
		"BINFMT_ELF", "BINFMT_SCRIPT", "PROC_FS", "SYSFS", "DEVTMPFS", "TMPFS", "NET", "INET", "PACKET", "MULTIUSER", "UNIX98_PTYS",
		"VT", "VT_CONSOLE", "VIRTIO_PCI", "VIRTIO_BLK", "EXT4_FS", "SERIAL_8250_CONSOLE", "IKCONFIG_PROC", "RD_ZSTD", "RD_GZIP", "BLK_DEV_INITRD",
	}
	var text strings.Builder
	for _, o := range all {
		value := "y"
		for _, c := range config {
			if name, v, ok := strings.Cut(c, "="); ok && name == o {
				value = v
			}
		}
		fmt.Fprintf(&text, "CONFIG_%s=%s\n", o, value)
	}
	const dir = "lib/modules/6.12.0-lab/"
	modules := lab.Tree(map[string]buildtest.Node{
		dir + "modules.dep": {Text: "kernel/drivers/block/virtio_blk.ko.xz: kernel/drivers/virtio/virtio-ring.ko.xz kernel/drivers/virtio/virtio.ko.xz\n" +
			"kernel/drivers/virtio/virtio-ring.ko.xz: kernel/drivers/virtio/virtio.ko.xz\nkernel/drivers/virtio/virtio.ko.xz:\n" +
			"kernel/fs/ext4/ext4.ko: kernel/fs/jbd2/jbd2.ko\nkernel/fs/jbd2/jbd2.ko:\nkernel/lib/crc32c.ko:\n"},
		dir + "modules.builtin":                       {Text: "kernel/fs/binfmt_elf.ko\n"},
		dir + "modules.softdep":                       {Text: "# soft dependencies\nsoftdep ext4 pre: crc32c nothere\n"},
		dir + "modules.dep.bin":                       {Text: "binary"},
		dir + "kernel/drivers/block/virtio_blk.ko.xz": {Text: "blk"}, dir + "kernel/drivers/virtio/virtio-ring.ko.xz": {Text: "ring"},
		dir + "kernel/drivers/virtio/virtio.ko.xz": {Text: "virtio"}, dir + "kernel/fs/ext4/ext4.ko": {Text: "ext4"},
		dir + "kernel/fs/jbd2/jbd2.ko": {Text: "jbd2"}, dir + "kernel/lib/crc32c.ko": {Text: "crc"},
	})
	return schema.NewArtifact(lab.File("image").Artifact, "kernel", starlark.StringDict{
		"modules": modules,
		"config":  lab.File(text.String()), "arch": starlark.String(arch),
	})
}

// evalChecks evaluates a script against trees that can be booted, and some that
// can't.
func evalChecks(t *testing.T, script string) (*buildtest.Lab, starlark.Value, error) {
	t.Helper()
	lab := buildtest.New(t)
	bin := func(f elftest.File) *schema.Artifact {
		return lab.Tree(map[string]buildtest.Node{"usr/bin/tool": program(f)})
	}
	lib := func(name string, f elftest.File) *schema.Artifact {
		return lab.Tree(map[string]buildtest.Node{name: library(name[strings.LastIndexByte(name, '/')+1:], f)})
	}
	cache, err := ldcache.Encode([]ldcache.Library{{Name: "liba.so.1", Path: "/opt/a/liba.so.1", Flags: ldcache.X8664}})
	if err != nil {
		t.Fatal(err)
	}
	sshd := func(config string) *schema.Artifact {
		return lab.Tree(map[string]buildtest.Node{"etc/ssh/sshd_config": {Text: config}, "etc/ssh/sshd_config.d/a.conf": {Text: "AllowUsers lab r*\n"}})
	}
	globals, err := lab.TryEval(Builtins(), script, starlark.StringDict{
		"bb": bigBusybox(lab, nil), "glibc": glibc(lab), "packet": lab.Tree(map[string]buildtest.Node{"lib/modules/6.12.0/kernel/net/packet/af_packet.ko.xz": {Text: "x"}}), "badkey": lab.File("-----BEGIN OPENSSH PRIVATE KEY-----\nAAAA\n"), "key": starlark.String(publicKeyLine),
		"dyn":        bin(elftest.File{Interp: glibcLoader, Needed: []string{"libc.so.6"}, Wants: map[string][]string{"libc.so.6": {"GLIBC_2.9"}}}),
		"newer":      bin(elftest.File{Interp: glibcLoader, Needed: []string{"libc.so.6"}, Wants: map[string][]string{"libc.so.6": {"GLIBC_2.38"}}}),
		"needs_a":    bin(elftest.File{Interp: glibcLoader, Needed: []string{"liba.so.1", "libc.so.6"}}),
		"runpath":    bin(elftest.File{Interp: glibcLoader, Needed: []string{"liba.so.1", "libc.so.6"}, RunPath: "$ORIGIN/../../opt/a"}),
		"rpath":      bin(elftest.File{Interp: glibcLoader, Needed: []string{"liba.so.1"}, RPath: "/opt/a"}),
		"muslbin":    bin(elftest.File{Interp: muslLoader, Needed: []string{"liba.so.1", "libc.so"}}),
		"arm":        bin(elftest.File{Machine: elf.EM_AARCH64}),
		"i386":       bin(elftest.File{Machine: elf.EM_386}),
		"damaged":    lab.Tree(map[string]buildtest.Node{"usr/bin/tool": {Text: "\x7fELF\x02\x01 and no more", Mode: 0o755}}),
		"norunbit":   lab.Tree(map[string]buildtest.Node{"usr/bin/tool": {Text: elftest.File{}.String()}}),
		"a_opt":      lib("opt/a/liba.so.1", elftest.File{Needed: []string{"libb.so.1"}}),
		"b_opt":      lib("opt/a/libb.so.1", elftest.File{}),
		"a_lib64":    lib("lib64/liba.so.1", elftest.File{}),
		"a_usr":      lib("usr/lib/liba.so.1", elftest.File{}),
		"a_arm":      lib("lib64/liba.so.1", elftest.File{Machine: elf.EM_AARCH64}),
		"cache":      lab.Tree(map[string]buildtest.Node{"etc/ld.so.cache": {Text: string(cache)}}),
		"musl":       lab.Tree(map[string]buildtest.Node{"lib/ld-musl-x86_64.so.1": program(elftest.File{Library: true, SoName: "libc.so"})}),
		"musl_norun": lab.Tree(map[string]buildtest.Node{"lib/ld-musl-x86_64.so.1": library("libc.so", elftest.File{})}),
		"k":          kernel(lab, "x86_64"), "k_arm": kernel(lab, "arm64"), "k_net": kernel(lab, "x86_64", "PACKET=n", "INET=n"),
		"k_packet_m": kernel(lab, "x86_64", "PACKET=m"), "k_vt": kernel(lab, "x86_64", "VT=n", "VT_CONSOLE=n"),
		"k_serial": kernel(lab, "x86_64", "SERIAL_8250_CONSOLE=m"), "k_ikconfig": kernel(lab, "x86_64", "IKCONFIG_PROC=n"),
		"k_tiny": kernel(lab, "x86_64", "BINFMT_SCRIPT=n", "MULTIUSER=n", "DEVTMPFS=n"),
		"k_mod":  kernel(lab, "x86_64", "VIRTIO_BLK=m", "EXT4_FS=m", "RD_ZSTD=n"), "k_noinitrd": kernel(lab, "x86_64", "BLK_DEV_INITRD=n", "VIRTIO_BLK=n"),
		"sshd_no":      sshd("# mine\nPermitRootLogin no\nInclude sshd_config.d/*.conf\nMatch User x\nPermitRootLogin yes\n"),
		"sshd_default": sshd("Port 22\n"), "sshd_yes": sshd("Include /etc/ssh/sshd_config.d/*.conf\nPermitRootLogin yes\n"),
		"sshd_allow": sshd("AllowUsers lab admin\n"),
	})
	return lab, globals["r"], err
}

const (
	sshdService = `service("sshd", "ssh-keygen -A\n/usr/sbin/sshd -D", respawn = True)`
	sshdUser    = `user("sshd", system = True)`
	rootKey     = `user("root", ssh_keys = [key])`
	rootHash    = `user("root", password_hash = "$6$salt$hash")`
)

// TestChecks breaks one thing after the other; each message is exact.
func TestChecks(t *testing.T) {
	for script, want := range map[string]string{
		`r = rootfs([dyn, glibc], init = "/sbin/init")`:                               `checking init: "/sbin/init" is not there; add busybox to contents, or say init = what the kernel is to start`,
		`r = rootfs([bb], init = "/etc/rc", files = {"/etc/rc": "echo no script\n"})`: `checking init: "/etc/rc" has no run bit (mode 0o644); say modes = {"/etc/rc": 0o755} where it is laid`,
		`r = rootfs([bb, dyn])`:        `checking program "/usr/bin/tool": the loader "/lib64/ld-linux-x86-64.so.2" is not there; add the C library to contents (its .runtime), or link the program statically`,
		`r = rootfs([bb, dyn, glibc])`: ``,
		`r = rootfs([bb, newer, glibc])`: `checking program "/usr/bin/tool": it needs GLIBC_2.38 of libc.so.6, and "/lib64/libc.so.6" has GLIBC_2.36 at most; ` +
			`build it against this library, or lay a newer one`,
		`r = rootfs([bb, needs_a, glibc])`: `checking program "/usr/bin/tool": the shared library "liba.so.1" is not where the loader looks (/lib64, /usr/lib64); ` +
			`add the tree or the package that has it to contents, or link the program statically`,
		`r = rootfs([bb, needs_a, glibc, a_opt, b_opt])`: `checking program "/usr/bin/tool": the shared library "liba.so.1" is not where the loader looks (/lib64, /usr/lib64); ` +
			`it is at "/opt/a/liba.so.1": say symlinks = {"/usr/lib64/liba.so.1": "/opt/a/liba.so.1"}`,
		`r = rootfs([bb, needs_a, glibc, a_arm])`: `checking program "/usr/bin/tool": the shared library "liba.so.1" is not where the loader looks (/lib64, /usr/lib64); ` +
			`"/lib64/liba.so.1" is for another machine`,
		`r = rootfs([bb, needs_a, glibc, a_lib64])`: ``,
		`r = rootfs([bb, needs_a, glibc, a_opt, b_opt, cache])`: `checking program "/opt/a/liba.so.1": the shared library "libb.so.1" is not where the loader looks (/lib64, /usr/lib64); ` +
			`it is at "/opt/a/libb.so.1": say symlinks = {"/usr/lib64/libb.so.1": "/opt/a/libb.so.1"}`,
		`r = rootfs([bb, rpath, glibc, a_opt, b_opt])`: ``, // an RPATH holds for the libraries below too
		`r = rootfs([bb, runpath, glibc, a_opt, b_opt])`: `checking program "/opt/a/liba.so.1": the shared library "libb.so.1" is not where the loader looks (/lib64, /usr/lib64); ` +
			`it is at "/opt/a/libb.so.1": say symlinks = {"/usr/lib64/libb.so.1": "/opt/a/libb.so.1"}`, // a RUNPATH does not
		`r = rootfs([bb, muslbin, musl, a_usr])`:       ``,
		`r = rootfs([bb, muslbin, musl_norun, a_usr])`: `checking program "/usr/bin/tool": its loader "/lib/ld-musl-x86_64.so.1" has no run bit (mode 0o644); say modes = {"/lib/ld-musl-x86_64.so.1": 0o755} where it is laid`,
		`r = rootfs([bb, muslbin, musl, a_opt])`: `checking program "/usr/bin/tool": the shared library "liba.so.1" is not where the loader looks (/lib, /usr/local/lib, /usr/lib); ` +
			`it is at "/opt/a/liba.so.1": say files = {"/etc/ld-musl-x86_64.path": "/lib\n/usr/local/lib\n/usr/lib\n/opt/a\n"}`,
		`r = rootfs([bb, needs_a, glibc], unchecked = ["/usr/bin"])`: ``,
		`r = rootfs([bb, damaged])`:                                  `checking program "/usr/bin/tool": damaged ELF file: it ends too early`,
		`r = rootfs([bb, norunbit])`:                                 `checking program "/usr/bin/tool": it has no run bit (mode 0o644); say modes = {"/usr/bin/tool": 0o755}`,

		`r = rootfs([bb, arm], kernel = k)`:                               `checking program "/usr/bin/tool": it is for arm64, and the kernel is for x86_64; build it with a toolchain for x86_64`,
		`r = rootfs([arm], kernel = k_arm)`:                               ``,
		`r = rootfs([bb, i386], kernel = k)`:                              `checking kernel: CONFIG_IA32_EMULATION is off, and "/usr/bin/tool", a 32-bit program, needs it; add options = {"IA32_EMULATION": True} to kernel_config`,
		`r = rootfs([bb], kernel = k, network = dhcp())`:                  ``,
		`r = rootfs([bb, packet], kernel = k_packet_m, network = dhcp())`: ``,
		`r = rootfs([bb], kernel = k_packet_m, network = dhcp())`:         `checking kernel: CONFIG_PACKET is a module, and udhcpc needs it built in; add options = {"PACKET": True} to kernel_config, or the kernel's .modules to contents`,
		`r = rootfs([bb], kernel = k_net, network = dhcp())`: `checking kernel: CONFIG_INET is off, and /etc/init.d/network needs it; add options = {"INET": True} to kernel_config` + "\n" +
			`checking kernel: CONFIG_PACKET is off, and udhcpc needs it; add options = {"PACKET": True} to kernel_config`,
		`r = rootfs([bb], kernel = k_net, rc = "#!/bin/sh\nudhcpc -i eth0\n", files = {"/usr/share/udhcpc/default.script": "#!/bin/sh\n"})`: `checking kernel: CONFIG_PACKET is off, and udhcpc needs it; add options = {"PACKET": True} to kernel_config`,
		`r = rootfs([bb], rc = "#!/bin/sh\nudhcpc -i eth0\n")`:                                                                              `checking "/etc/init.d/rcS": it runs udhcpc, which puts no address on the interface without its script, and "/usr/share/udhcpc/default.script" is not there; say network = dhcp("eth0")`,
		`r = rootfs([bb], rc = "#!/bin/sh\nudhcpc -i eth0 -s /etc/dhcp.sh\n", files = {"/etc/dhcp.sh": "echo no script\n"})`:                `checking the script that "/etc/init.d/rcS" gives to udhcpc: "/etc/dhcp.sh" has no run bit (mode 0o644); say modes = {"/etc/dhcp.sh": 0o755} where it is laid`,
		`r = rootfs([bb], kernel = k_vt, consoles = ["tty1", "ttyS0"])`:                                                                     `checking kernel: CONFIG_VT_CONSOLE is off, and the console tty1 needs it; add options = {"VT_CONSOLE": True} to kernel_config`,
		`r = rootfs([bb], kernel = k_serial, inittab = ["ttyS0::respawn:/sbin/getty 115200 ttyS0"])`:                                        `checking kernel: CONFIG_SERIAL_8250_CONSOLE is a module, and the console ttyS0 needs it built in; add options = {"SERIAL_8250_CONSOLE": True} to kernel_config`,
		`r = rootfs([bb], kernel = k_ikconfig, rc = "#!/bin/sh\nzcat /proc/config.gz\n")`:                                                   `checking kernel: CONFIG_IKCONFIG_PROC is off, and "/etc/init.d/rcS", which reads /proc/config.gz, needs it; add options = {"IKCONFIG_PROC": True} to kernel_config`,
		`r = rootfs([bb], kernel = k_tiny, consoles = ["tty1"])`: `checking kernel: CONFIG_BINFMT_SCRIPT is off, and "/etc/init.d/clock", a script, needs it; add options = {"BINFMT_SCRIPT": True} to kernel_config` + "\n" +
			`checking kernel: CONFIG_DEVTMPFS is off, and /etc/init.d/mounts needs it; add options = {"DEVTMPFS": True} to kernel_config` + "\n" +
			`checking kernel: CONFIG_MULTIUSER is off, and getty needs it; add options = {"MULTIUSER": True} to kernel_config`,

		`r = rootfs([bb], inittab = ["::sysinti:/etc/rc"])`:                                              `checking inittab: got "sysinti" in the line "::sysinti:/etc/rc", want TERMINAL::ACTION:COMMAND with an action of sysinit, wait, once, respawn, askfirst, shutdown, restart, ctrlaltdel (did you mean "sysinit"?)`,
		`r = rootfs([bb], inittab = ["::sysinit:/etc/rc"])`:                                              `checking inittab: the line "::sysinit:/etc/rc": "/etc/rc" is not there`,
		`r = rootfs([bb], inittab = ["id:2:initdefault:"])`:                                              ``,
		`r = rootfs([bb], services = [service("x", "/opt/x -d")])`:                                       `checking service "x": "/opt/x" is not there`,
		`r = rootfs([bb], services = [service("x", "ntpd -n", respawn = True)])`:                         `checking service "x": the program "ntpd" is in none of the folders for programs`,
		`r = rootfs([bb], services = [service("x", "if true; then echo yes; fi\n/bin/cat /etc/hosts")])`: ``,

		`r = rootfs([bb, sshd_default], users = [` + rootKey + `, ` + sshdUser + `], services = [` + sshdService + `])`:                            ``,
		`r = rootfs([bb, sshd_no], users = [` + rootKey + `, ` + sshdUser + `], services = [` + sshdService + `])`:                                 `checking service "sshd": root has a key and is to log in over ssh, and /etc/ssh/sshd_config says PermitRootLogin no; say PermitRootLogin prohibit-password there`,
		`r = rootfs([bb, sshd_no], users = [` + rootHash + `, user("lab", ssh_keys = [key]), ` + sshdUser + `], services = [` + sshdService + `])`: ``, // root logs in on the console
		`r = rootfs([bb, sshd_default], users = [` + rootHash + `, ` + sshdUser + `], services = [` + sshdService + `])`:                           `checking service "sshd": root has a password only, and /etc/ssh/sshd_config does not say PermitRootLogin, which is then prohibit-password; give root ssh_keys, or say PermitRootLogin yes there`,
		`r = rootfs([bb, sshd_yes], users = [` + rootHash + `, ` + sshdUser + `], services = [` + sshdService + `])`:                               ``,
		`r = rootfs([bb, sshd_allow], users = [` + rootKey + `, ` + sshdUser + `], services = [` + sshdService + `])`:                              `checking service "sshd": root is to log in over ssh, and /etc/ssh/sshd_config says AllowUsers lab admin; add root there`,
		`r = rootfs([bb, sshd_yes], users = [` + sshdUser + `], services = [` + sshdService + `])`:                                                 `checking service "sshd": nobody can log in over ssh, since no user has a password or a key; say users = [user("root", ssh_keys = [file("id.pub")])]`,
		`r = rootfs([bb, sshd_yes], users = [` + rootKey + `], services = [` + sshdService + `])`:                                                  `checking service "sshd": sshd runs in part as the user sshd, which is not there; say users = [openssh_user()], from @stdlib//openssh.star`,
		`r = rootfs([bb, sshd_yes], users = [` + rootKey + `, ` + sshdUser + `], services = [service("sshd", "/usr/sbin/sshd -D")])`:               `checking service "sshd": sshd has no host keys; add a service that runs ssh-keygen -A before it, as openssh_service() of @stdlib//openssh.star does`,
		`r = rootfs([bb], users = [` + rootKey + `], services = [service("ssh", "dropbear -RFw")], dirs = ["/etc/dropbear"])`:                      `checking service "ssh": root is to log in over ssh, and -w forbids it; leave -w out`,
		`r = rootfs([bb], users = [` + rootHash + `], services = [service("ssh", "dropbear -R -F -g")], dirs = ["/etc/dropbear"])`:                 `checking service "ssh": root has a password only, and -g forbids passwords; give root ssh_keys, or leave it out`,
		`r = rootfs([bb], users = [` + rootKey + `], services = [service("ssh", "dropbear -F")])`:                                                  `checking service "ssh": dropbear has no host keys; say -R, by which dropbear makes them when they are first needed`,
		`r = rootfs([bb], users = [` + rootKey + `], services = [service("ssh", "dropbear -R")])`:                                                  `checking service "ssh": dropbear keeps its host keys in /etc/dropbear, which is not there; say dirs = ["/etc/dropbear"]`,
		`r = rootfs([bb], users = [` + rootKey + `], services = [service("ssh", "dropbear -R -p 22")], dirs = ["/etc/dropbear"])`:                  ``,

		`r = initramfs(bb, kernel = k)`:                                                                                 ``,
		`r = initramfs(bb, kernel = k_mod)`:                                                                             `checking kernel: CONFIG_RD_ZSTD is off, and the compression zstd of the initramfs needs it; add options = {"RD_ZSTD": True} to kernel_config`,
		`r = initramfs(bb, kernel = k_noinitrd, compression = "none")`:                                                  `checking kernel: CONFIG_BLK_DEV_INITRD is off, and an initramfs needs it; add options = {"BLK_DEV_INITRD": True} to kernel_config`,
		`r = initramfs(bb, kernel = k, root = "/dev/vda2")`:                                                             ``,
		`r = initramfs(bb, kernel = k_mod, compression = "gzip", root = "/dev/vda2", modules = ["ext4"])`:               `checking kernel: CONFIG_VIRTIO_BLK is a module, and the root device /dev/vda2 needs it built in; add options = {"VIRTIO_BLK": True} to kernel_config, or modules = ["virtio_blk"] to initramfs`,
		`r = initramfs(bb, kernel = k_mod, compression = "gzip", root = "/dev/vda2", modules = ["virtio-blk", "ext4"])`: ``,
		`r = initramfs(bb, kernel = k_mod, compression = "gzip", modules = ["virtoi_blk"])`:                             `finding modules: the kernel has no module "virtoi_blk" (did you mean "virtio_blk"?); switch its option on in kernel_config`,
		`r = initramfs(bb, kernel = k_noinitrd, compression = "none", root = "/dev/vda2")`: `checking kernel: CONFIG_BLK_DEV_INITRD is off, and an initramfs needs it; add options = {"BLK_DEV_INITRD": True} to kernel_config` + "\n" +
			`checking kernel: CONFIG_VIRTIO_BLK is off, and the root device /dev/vda2 needs it; add options = {"VIRTIO_BLK": True} to kernel_config`,
		`r = initramfs(rootfs([dyn, glibc]), root = "/dev/vda2")`: `making /init: the program "sh" is in none of the folders for programs; add busybox to the tree, with its option for it`,
	} {
		lab, v, err := evalChecks(t, script)
		if err != nil {
			t.Errorf("%s: %v", script, err)
			continue
		}
		got := ""
		if _, err := lab.TryBuild(v); err != nil {
			_, got, _ = strings.Cut(err.Error(), "lab.star:1:")
			_, got, _ = strings.Cut(got, "fs: ") // rootfs or initramfs
		}
		if got != want {
			t.Errorf("%s\ngot  %s\nwant %s", script, got, want)
		}
	}
}

// What is wrong with a service or a user is told at its own line; of several
// things each is told with it.
func TestErrorLines(t *testing.T) {
	for script, want := range map[string]string{
		"u = user(\"lab\", shell = \"/bin/fish\")\nr = rootfs(\n    [bb], users = [u])": `lab.star:1:9: rootfs: checking shell of user "lab": "/bin/fish" is not there`,
		"s = service(\"x\", \"/opt/x\")\nt = service(\"y\", \"/opt/y\")\nr = rootfs([bb], services = [s, t])": `lab.star:3:11: rootfs: checking service "x": "/opt/x" is not there (lab.star:1:12)` +
			"\n" + `checking service "y": "/opt/y" is not there (lab.star:2:12)`,
		"u = user(\"root\", ssh_keys = [badkey])\nr = rootfs([bb], users = [u])": `lab.star:1:9: rootfs: reading ssh_keys of user "root": got a private key, want the public one (the file whose name ends in .pub)`,
	} {
		lab, v, err := evalChecks(t, script)
		if err != nil {
			t.Errorf("%s: %v", script, err)
			continue
		}
		_, err = lab.TryBuild(v)
		if err == nil || !strings.HasSuffix(err.Error(), want) {
			t.Errorf("%s\ngot  %v\nwant %s", script, err, want)
		}
	}
}
