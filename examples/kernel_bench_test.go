package examples

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// benchKernel is a lab with a kernel's source and toolchain, and a
// chroot of that toolchain with the same places as the sandbox.
func benchKernel(b *testing.B) (l *lab, chroot func(script string)) {
	b.Helper()
	if os.Getenv("LABSTAR_E2E") != "full" {
		b.Skip("compiles kernels: set LABSTAR_E2E=full")
	}
	if os.Getuid() != 0 {
		b.Skip("needs root for the chroot")
	}
	l = newLab(b, "kernel", os.Getenv("LABSTAR_E2E_CACHE"))
	if l.store == "" {
		l.store = filepath.Join(b.TempDir(), "store")
	}
	l.env = append(l.env, "LABSTAR_COMPILE_CACHE=off")
	l.writeScript("parts.star", `
load("@stdlib//toolchains.star", "build_tools")
source = debian_source("linux")
tools = build_tools()
def config(version):
    return kernel_config(source, toolchain = tools, base = "tinyconfig", options = {"LOCALVERSION": version})
`)
	l.run("parts.star")
	root := filepath.Join(l.dir, "root")
	out := filepath.Join(l.dir, "out")
	must(b, l.dir, "cp", "-a", "out/tools/.", root)
	must(b, l.dir, "sh", "-c", fmt.Sprintf("mkdir -p %[1]s/in/source %[1]s/build %[1]s/tmp %[1]s/dev && mknod -m 666 %[1]s/dev/null c 1 3 && mknod -m 666 %[1]s/dev/zero c 1 5 && mknod -m 666 %[1]s/dev/urandom c 1 9", root))
	return l, func(script string) {
		b.Helper()
		must(b, l.dir, "unshare", "-m", "sh", "-c", fmt.Sprintf("mount --bind $(readlink -f %s/source) %s/in/source && exec chroot %[2]s /bin/sh -euc '%s'", out, root, script))
	}
}

const chrootMake = `export HOME=/build LC_ALL=C.UTF-8 SOURCE_DATE_EPOCH=1577836800 ARCH=x86_64 KCONFIG_NOTIMESTAMP=1 \
	KBUILD_BUILD_USER=labstar KBUILD_BUILD_HOST=labstar KBUILD_BUILD_VERSION=1 KBUILD_BUILD_TIMESTAMP="Wed Jan  1 00:00:00 UTC 2020"
cd /build
make -s -j$(nproc) -C /in/source O=/build bzImage </dev/null`

// Compiling tinyconfig, against plain make in a chroot of the same toolchain with
// the same configuration; neither has a compile cache.
func BenchmarkKernelCold(b *testing.B) {
	l, chroot := benchKernel(b)
	sideBySide(b, func(int) {
		version := fmt.Sprintf("-b%d", time.Now().UnixNano())
		l.writeScript("cold.star", fmt.Sprintf("load(\"parts.star\", _config = \"config\")\nconfig = _config(%q)\nlinux = kernel(config)\n", version))
		l.run("cold.star", "config")
		must(b, l.dir, "sh", "-c", "rm -rf root/build && mkdir root/build && cat out/config > root/build/.config && sync")
	},
		func(int) { l.quiet("cold.star", "linux") },
		func(int) { chroot(chrootMake) })
	must(b, l.dir, "cmp", "out/linux", "root/build/arch/x86/boot/bzImage")
}

// The same kernel when nothing changed, against make in its up-to-date tree.
func BenchmarkKernelNoOp(b *testing.B) {
	l, chroot := benchKernel(b)
	l.writeScript("noop.star", "load(\"parts.star\", _config = \"config\")\nconfig = _config(\"-noop\")\nlinux = kernel(config)\n")
	l.run("noop.star")
	must(b, l.dir, "sh", "-c", "cat out/config > root/build/.config")
	chroot(chrootMake)
	versus(b, 11, func(int) {},
		func(int) { l.quiet("noop.star", "linux") },
		func(int) { chroot(chrootMake) })
}
