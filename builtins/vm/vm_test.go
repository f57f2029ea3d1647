package vm

import (
	"encoding/json"
	"os/exec"
	"slices"
	"strings"
	"testing"

	"go.starlark.net/starlark"

	"github.com/labstar/labstar/action"
	"github.com/labstar/labstar/internal/buildtest"
	"github.com/labstar/labstar/starlark/schema"
)

// image is the beginning of a kernel image.
func image(arch string) string {
	b := make([]byte, 1024)
	if arch == "arm64" {
		copy(b[0x38:], "ARM\x64")
	} else {
		copy(b[0x202:], "HdrS")
	}
	return string(b)
}

// world has a toolchain, kernels and what else scripts of these tests name.
func world(t *testing.T, lab *buildtest.Lab) starlark.StringDict {
	t.Helper()
	full := map[string]buildtest.Node{}
	for _, p := range []string{
		"usr/bin/qemu-system-x86_64", "usr/bin/qemu-system-aarch64", "usr/bin/perl", "usr/bin/ssh", "usr/share/seabios/bios-256k.bin",
		"usr/share/OVMF/OVMF_CODE_4M.fd", "usr/share/OVMF/OVMF_VARS_4M.fd", "usr/share/AAVMF/AAVMF_CODE.fd", "usr/share/AAVMF/AAVMF_VARS.fd",
	} {
		full[p] = buildtest.Node{Text: p, Mode: 0o755}
	}
	bare := map[string]buildtest.Node{"usr/bin/qemu-system-x86_64": {Text: "x"}, "usr/bin/perl": {Text: "x"}, "usr/share/seabios/bios-256k.bin": {Text: "x"}}
	kernel := func(arch, config string) *schema.Artifact {
		return schema.NewArtifact(lab.File(image(arch)).Artifact, "kernel", starlark.StringDict{
			"arch": starlark.String(arch), "config": lab.File(config)})
	}
	return starlark.StringDict{
		"tools": lab.Tree(full), "bare": lab.Tree(bare), "disk": lab.File("disk"), "stick": lab.File("stick"), "key": lab.File("key"),
		"bz": lab.File(image("x86_64")), "arm": lab.File(image("arm64")), "nokernel": lab.File("#!/bin/sh\n"),
		"linux":  kernel("x86_64", "CONFIG_SERIAL_8250_CONSOLE=y\nCONFIG_BLK_DEV_INITRD=y\nCONFIG_RD_XZ=y\nCONFIG_VIRTIO_PCI=m\n# CONFIG_VIRTIO_NET is not set\n"),
		"linux2": kernel("arm64", "CONFIG_SERIAL_AMBA_PL011_CONSOLE=y\n"),
		"cpio":   lab.File("070701…"), "gz": lab.File("\x1f\x8b\x08…"), "junk": lab.File("junk"),
	}
}

func evalTest(t *testing.T, script string) (*buildtest.Lab, *schema.Artifact, error) {
	t.Helper()
	lab := buildtest.New(t)
	globals, err := lab.TryEval(Builtins(), "x = "+script, world(t, lab))
	if err != nil {
		return lab, nil, err
	}
	return lab, globals["x"].(*schema.Artifact), nil
}

// argv is a test's command without perl and the driver.
func argv(t *testing.T, a *schema.Artifact) []string {
	t.Helper()
	var cmd action.Command
	if err := json.Unmarshal(a.Action.Params, &cmd); err != nil {
		t.Fatal(err)
	}
	if cmd.Argv[0] != "/usr/bin/perl" || cmd.Argv[2] != driver || cmd.Argv[3] != "--" {
		t.Fatalf("got the command %.80q", cmd.Argv)
	}
	return cmd.Argv[4:]
}

func TestMachine(t *testing.T) {
	for script, want := range map[string][]string{
		`vm_test(toolchain = tools, kernel = bz, initrd = cpio, append = "quiet", memory = 64, steps = [])`: {
			"arch=x86_64", "program=/usr/bin/qemu-system-x86_64", "qemu=q35,graphics=off", "qemu=64", "qemu=/in/kernel", "qemu=/in/initrd",
			"qemu=console=ttyS0 panic=-1 quiet", "qemu=base=2020-01-01T00:00:00,clock=vm", "cpu_tcg=max", "cpu_kvm=host", "!netdev", "!usb", "!drive"},
		`vm_test(toolchain = tools, kernel = bz, disks = ["1M", "1M"], disk_bus = "sata", steps = [])`: {
			"qemu=ide-hd,bus=ide.0,drive=d0", "qemu=ide-hd,bus=ide.1,drive=d1"},
		`vm_test(toolchain = tools, kernel = linux2, steps = [])`: {
			"arch=arm64", "program=/usr/bin/qemu-system-aarch64", "qemu=virt", "cpu_tcg=cortex-a72", "qemu=console=ttyAMA0 panic=-1", "!pflash"},
		`vm_test(toolchain = tools, usb = stick, usb_version = "2.0", firmware = "uefi", disks = ["1G"], disk_bus = "nvme", steps = [])`: {
			"qemu=usb-ehci,id=usb", "qemu=if=none,id=stick,file=/in/usb,format=@format(/in/usb),snapshot=on",
			"qemu=usb-storage,bus=usb.0,drive=stick,removable=on,bootindex=1", "qemu=nvme,serial=labstard0,drive=d0,bootindex=2",
			"blank=1073741824>/tmp/disk2", "copy=/usr/share/OVMF/OVMF_VARS_4M.fd>/tmp/vars.fd"},
		`vm_test(toolchain = tools, disk = disk, disks = [stick], arch = "arm64", cpu = "max", steps = [])`: {
			"qemu=if=pflash,format=raw,readonly=on,file=/usr/share/AAVMF/AAVMF_CODE.fd", "qemu=virtio-blk-pci,drive=d0,bootindex=1",
			"qemu=if=none,id=d1,file=/in/disk2,format=@format(/in/disk2),snapshot=on", "cpu_tcg=max", "cpu_kvm=max"},
		`vm_test(toolchain = tools, kernel = bz, steps = [vm_tcp(22), vm_ssh("id", key = key), vm_http(80), vm_ssh("id", key = key)])`: {
			"qemu=user,id=net,hostfwd=tcp:127.0.0.1:10001-:22,hostfwd=tcp:127.0.0.1:10002-:80", "key=/in/ssh-key1", "port=10001", "port=10002"},
	} {
		_, a, err := evalTest(t, script)
		if err != nil {
			t.Errorf("%s: %v", script, err)
			continue
		}
		got := argv(t, a)
		for _, w := range want {
			if absent, ok := strings.CutPrefix(w, "!"); ok {
				if slices.ContainsFunc(got, func(s string) bool { return strings.Contains(s, absent) }) {
					t.Errorf("%s: got %q, want no %s", script, got, absent)
				}
			} else if !slices.Contains(got, w) {
				t.Errorf("%s\ngot  %q\nwant %q", script, got, w)
			}
		}
	}
}

func TestSteps(t *testing.T) {
	_, a, err := evalTest(t, `vm_test(toolchain = tools, kernel = bz, steps = [
		vm_expect("^Welcome", timeout = 9), vm_send("hi"), vm_send("\x03", enter = False), vm_login("lab", password = "pw"),
		vm_run("id", output = ["uid", "gid"], exit = None), vm_run("true"), vm_poweroff(), ])`)
	if err != nil {
		t.Fatal(err)
	}
	got := argv(t, a)
	got = got[slices.Index(got, "+expect"):]
	want := []string{
		"+expect", `shown=vm_expect("^Welcome")`, "timeout=9", "regex=^Welcome",
		"+send", `shown=vm_send("hi")`, "text=hi\n", "+send", `shown=vm_send("\x03")`, "text=\x03",
		"+login", `shown=vm_login("lab")`, "user=lab", "password=pw", `prompt=[#$] ?\z`,
		"+run", `shown=vm_run("id")`, "command=id", "output=uid", "output=gid",
		"+run", `shown=vm_run("true")`, "command=true", "exit=0",
		"+poweroff", "shown=vm_poweroff()", "command=poweroff",
	}
	if !slices.Equal(got, want) {
		t.Errorf("got  %q\nwant %q", got, want)
	}
}

func TestErrors(t *testing.T) {
	for script, want := range map[string]string{
		`vm_test(toolchain = tools, steps = [])`:                                                 `got nothing to start, want a kernel, a disk or a USB stick`,
		`vm_test(toolchain = tools, disk = disk, initrd = cpio, steps = [])`:                     `initrd: got an initramfs without a kernel`,
		`vm_test(toolchain = tools, disk = disk, append = "quiet", steps = [])`:                  `append: got a command line without a kernel`,
		`vm_test(toolchain = tools, kernel = linux, arch = "arm64", steps = [])`:                 `kernel: got a kernel for x86_64, want one for the machine's architecture, arm64`,
		`vm_test(toolchain = tools, disk = disk, arch = "arm64", firmware = "bios", steps = [])`: `firmware: got "bios", which arm64 machines don't have`,
		`vm_test(toolchain = tools, kernel = bz, steps = [vm_poweroff(), vm_expect("x")])`:       `steps[0]: got vm_poweroff() before vm_expect("x"), and the machine is off then`,
		`vm_test(toolchain = tools, kernel = bz, disks = ["1 GB"], steps = [])`:                  `disks[0]: got the size "1 GB"`,
		`vm_test(toolchain = tools, kernel = bz, disks = [tools], steps = [])`:                   `disks[0]: got a tree (a tree), want a disk or a file`,
		`vm_test(toolchain = tools, kernel = bz, memory = 1, steps = [])`:                        `memory: got 1, want 16 to`,
		`vm_test(toolchain = tools, kernel = bz, date = "today", steps = [])`:                    `date: got "today", want YYYY-MM-DD`,
		`vm_test(toolchain = tools, kernel = bz, forbid = ["("], steps = [])`:                    `forbid[0]: got the regular expression "(", which does not compile: missing closing )`,
		`vm_test(toolchain = tools, kernel = bz, network = False, steps = [vm_tcp(1)])`:          `network: got False, and a step needs the network`,
		`vm_test(toolchain = tools, kernel = bz, steps = ["login:"])`:                            `steps[0]: got string, want step`,
		`vm_test(toolchain = tools, kernel = bz, step = [])`:                                     `did you mean "steps"?`,
		`vm_expect("")`:                      `got an empty regular expression`,
		`vm_expect("a{2,1}")`:                `regex: got the regular expression "a{2,1}", which does not compile`,
		`vm_expect("x", timeout = -1)`:       `timeout: got -1`,
		`vm_run("x", output = ["ok", "["])`:  `output[1]: got the regular expression "["`,
		`vm_run("x", exit = 256)`:            `exit: got 256, want an exit code of 0 to 255`,
		`vm_run("x", output = 5)`:            `output: got int, want string or list of strings`,
		`vm_ssh("x")`:                        `password: got neither a key nor a password`,
		`vm_tcp(0)`:                          `port: got 0, want a port of 1 to 65535`,
		`vm_http(80, path = "x")`:            `path: got "x", want a path that starts with /`,
		`vm_http(80, status = 1)`:            `status: got 1, want 100 to 599`,
		`vm_http(80, header = {"A B": "c"})`: `header["A B"]: got a name or value`,
		`vm_login("a b")`:                    `user: got "a b", want a user's name`,
		`vm_login(prompt = "(")`:             `prompt: got the regular expression "("`,
		`vm_send("a\x00b")`:                  `text: got a zero byte`,
	} {
		if _, _, err := evalTest(t, script); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s\ngot  %v\nwant %s", script, err, want)
		}
	}
}

// What is found before the machine starts, by looking at the inputs.
func TestChecks(t *testing.T) {
	for script, want := range map[string]string{
		`vm_test(toolchain = bare, kernel = bz, firmware = "uefi", steps = [])`:         `checking toolchain: it has no /usr/share/OVMF/OVMF_CODE_4M.fd, which is in the package ovmf; use machine_tools(arch = "x86_64")`,
		`vm_test(toolchain = bare, kernel = arm, arch = "arm64", steps = [])`:           `it has no /usr/bin/qemu-system-aarch64, which is in the package qemu-system-arm`,
		`vm_test(toolchain = bare, kernel = bz, steps = [vm_ssh("x", password = "p")])`: `it has no /usr/bin/ssh, which is in the package openssh-client`,
		`vm_test(toolchain = tools, kernel = arm, steps = [])`:                          `checking kernel: got an image for arm64, and the machine is x86_64; set arch = "arm64"`,
		`vm_test(toolchain = tools, kernel = nokernel, steps = [])`:                     `checking kernel: got a file that is no kernel image`,
		`vm_test(toolchain = tools, kernel = bz, initrd = junk, steps = [])`:            `checking initrd: got a file that is no cpio archive`,
		`vm_test(toolchain = tools, kernel = linux, initrd = gz, steps = [])`:           `CONFIG_RD_GZIP is off, and an initrd compressed with gzip needs it; add options = {"RD_GZIP": True} to kernel_config`,
		`vm_test(toolchain = tools, kernel = linux, disk = disk, steps = [])`:           `CONFIG_VIRTIO_PCI is a module, which nothing loads in time, and the disk needs it` + "\n  " + `CONFIG_VIRTIO_BLK is off, and the disk needs it; add options = {"VIRTIO_PCI": True, "VIRTIO_BLK": True} to kernel_config`,
		`vm_test(toolchain = tools, kernel = linux, network = True, steps = [])`:        `CONFIG_VIRTIO_NET is off, and the network card needs it`,
		`vm_test(toolchain = tools, kernel = linux, usb = stick, steps = [])`:           `CONFIG_USB_XHCI_PCI is off, and the USB stick needs it`,
		`vm_test(toolchain = tools, kernel = linux2, initrd = cpio, steps = [])`:        `CONFIG_BLK_DEV_INITRD is off, and the initrd needs it`,
	} {
		lab, a, err := evalTest(t, script)
		if err != nil {
			t.Errorf("%s: %v", script, err)
			continue
		}
		if _, err := lab.TryBuild(a); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s\ngot  %v\nwant %s", script, err, want)
		}
	}
}

// The driver is perl that compiles, where there is a perl to ask.
func TestDriverCompiles(t *testing.T) {
	perl, err := exec.LookPath("perl")
	if err != nil {
		t.Skip("needs perl")
	}
	if out, err := exec.Command(perl, "-ce", driver).CombinedOutput(); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
}
