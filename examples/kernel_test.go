package examples

import (
	"bytes"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/binary"
	"encoding/json"
	"encoding/pem"
	"maps"
	"math/big"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
)

// long skips what takes more than some minutes of compiling, unless
// LABSTAR_E2E=full asks for it or the store has it already: `labstar plan` says
// which steps would run.
func (l *lab) long(steps []string, args ...string) {
	l.t.Helper()
	if os.Getenv("LABSTAR_E2E") == "full" {
		return
	}
	var missing []string
	for line := range strings.Lines(l.output(append([]string{"plan", "--json"}, args...)...)) {
		var step struct{ Event, Title string }
		if json.Unmarshal([]byte(line), &step) == nil && step.Event == "step" && slices.Contains(steps, step.Title) {
			missing = append(missing, step.Title)
		}
	}
	if len(missing) > 0 {
		l.t.Skipf("%s would be compiled, which takes long: set LABSTAR_E2E=full", strings.Join(missing, " and "))
	}
}

func read(t *testing.T, parts ...string) []byte {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(parts...))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// The kernel of examples/kernel, and its parts.
const kernelParts = `
load("lab.star", _linux = "linux", _arm64 = "arm64_linux")
image = _linux.image
modules = _linux.modules
headers = _linux.headers
system_map = _linux.system_map
config = _linux.config
release = text(_linux.release + "\n")
`

func TestKernel(t *testing.T) {
	endToEnd(t)
	l := newLab(t, "kernel", sharedStore(t))
	l.writeScript("parts.star", kernelParts)
	s := l.run("parts.star")
	t.Logf("%s", s.raw)
	out := filepath.Join(l.dir, "out")

	image := read(t, out, "image")
	if string(image[0x202:0x206]) != "HdrS" {
		t.Fatal("the image has no header of a bzImage")
	}
	at := int(binary.LittleEndian.Uint16(image[0x20e:])) + 0x200
	version, _, _ := bytes.Cut(image[at:], []byte{0})
	release := strings.TrimSpace(string(read(t, out, "release")))
	if want := release + " (labstar@labstar) #1 SMP Wed Jan  1 00:00:00 UTC 2020"; string(version) != want {
		t.Errorf("got the version %q, want %q", version, want)
	}
	if !regexp.MustCompile(`^6\.12\.\d+$`).MatchString(release) {
		t.Errorf("got the release %q", release)
	}
	if !regexp.MustCompile(`(?m)^[0-9a-f]{16} T start_kernel$`).Match(read(t, out, "system_map")) {
		t.Error("System.map has no start_kernel")
	}
	if config := string(read(t, out, "config")); !strings.Contains(config, "\nCONFIG_VIRTIO_NET=y\n") || !strings.HasPrefix(config, "#\n# Automatically generated file") {
		t.Errorf("got the configuration\n%.300s", config)
	}
	if entries, err := os.ReadDir(filepath.Join(out, "modules")); err != nil || len(entries) != 0 {
		t.Errorf("a kernel without modules: got %v, %v", entries, err)
	}
	for _, h := range []string{"linux/version.h", "asm/unistd_64.h", "asm-generic/errno.h", "linux/if_packet.h"} {
		if b := read(t, out, "headers/usr/include", h); bytes.Contains(b, []byte("\n#ifdef __KERNEL__")) {
			t.Errorf("%s is not the version for user space", h)
		}
	}
	if err := filepath.WalkDir(filepath.Join(out, "headers")+"/", func(p string, d os.DirEntry, err error) error {
		if err == nil && !d.IsDir() && !strings.HasSuffix(p, ".h") {
			t.Errorf("%s among the headers", p)
		}
		return err
	}); err != nil {
		t.Error(err)
	}
	if again := l.run("parts.star"); again.Ran != 0 {
		t.Errorf("the second run ran something: %s", again.raw)
	}
}

// kernelWithModules has a module that needs others, one that needs none, and a
// release of its own.
const kernelWithModules = `
load("lab.star", _linux = "linux")
load("@stdlib//toolchains.star", "build_tools")
_config = kernel_config(
    debian_source("linux"),
    toolchain = build_tools(),
    base = "tinyconfig",
    profiles = ["vm"],
    options = {"MODULES": True, "BRIDGE": "m", "DUMMY": "m", "LOCALVERSION": "-modules"},
)
linux = kernel(_config, name = "kernel with modules")
modules = linux.modules
config = linux.config
`

func TestKernelModules(t *testing.T) {
	endToEnd(t)
	l := newLab(t, "kernel", sharedStore(t))
	l.writeScript("modules.star", kernelWithModules)
	l.long([]string{"kernel with modules"}, "modules.star")
	l.run("modules.star")
	found, err := filepath.Glob(filepath.Join(l.dir, "out/modules/lib/modules/6.12.*-modules"))
	if err != nil || len(found) != 1 {
		t.Fatalf("got %v, %v, want one folder of a release", found, err)
	}
	dep := string(read(t, found[0], "modules.dep"))
	if !strings.Contains(dep, "kernel/drivers/net/dummy.ko:\n") || !strings.Contains(dep, "kernel/net/bridge/bridge.ko: kernel/net/802/stp.ko kernel/net/llc/llc.ko\n") {
		t.Errorf("got modules.dep\n%s", dep)
	}
	for _, name := range []string{"modules.dep.bin", "modules.alias.bin", "modules.builtin", "kernel/drivers/net/dummy.ko"} {
		if len(read(t, found[0], name)) == 0 {
			t.Errorf("%s is empty", name)
		}
	}
	for _, name := range []string{"build", "source"} {
		if _, err := os.Lstat(filepath.Join(found[0], name)); err == nil {
			t.Errorf("the link %s leads out of the tree", name)
		}
	}
	if module := read(t, found[0], "kernel/drivers/net/dummy.ko"); bytes.Contains(module, []byte(".debug_info")) {
		t.Error("dummy.ko is not stripped")
	}
}

// signedKernel is a kernel whose modules are signed with key.pem.
const signedKernel = `
load("@stdlib//toolchains.star", "build_tools")
_config = kernel_config(
    debian_source("linux"),
    toolchain = build_tools(),
    base = "tinyconfig",
    profiles = ["vm"],
    options = {"MODULES": True, "DUMMY": "m", "MODULE_SIG": True, "MODULE_SIG_ALL": True, "MODULE_SIG_KEY": "/in/signing-key"},
)
linux = kernel(_config, signing_key = file("key.pem"))
modules = linux.modules
system_map = linux.system_map
`

// signingKey makes an RSA key and its certificate.
func signingKey(t *testing.T) string {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	cert := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "labstar's tests"}, NotAfter: time.Now().AddDate(10, 0, 0),
		SubjectKeyId: []byte("labstar")}
	der, err := x509.CreateCertificate(rand.Reader, cert, cert, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private})) +
		string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}))
}

// Two builds of a kernel with signed modules, in other folders and time zones, with
// other numbers of jobs, at other times, and without the compile cache, are the same
// to the bit.
func TestKernelIsReproducible(t *testing.T) {
	endToEnd(t)
	if os.Getenv("LABSTAR_E2E") != "full" {
		t.Skip("compiles two kernels: set LABSTAR_E2E=full")
	}
	key := signingKey(t)
	var first map[string]string
	for i, jobs := range []string{"1", "4"} {
		l := newLab(t, "kernel", filepath.Join(t.TempDir(), "store"))
		l.env = append(l.env, "LABSTAR_COMPILE_CACHE=off", "TZ="+[]string{"UTC", "Asia/Tokyo"}[i])
		l.writeScript("signed.star", signedKernel)
		l.writeScript("key.pem", key)
		got := l.run("--jobs", jobs, "signed.star").digests()
		if first == nil {
			first = got
		}
		if len(got) != 3 || !maps.Equal(first, got) {
			t.Errorf("with %s jobs: got %v, want %v", jobs, got, first)
		}
		module, err := filepath.Glob(filepath.Join(l.dir, "out/modules/lib/modules/*/kernel/drivers/net/dummy.ko"))
		if err != nil || len(module) != 1 || !bytes.HasSuffix(read(t, module[0]), []byte("~Module signature appended~\n")) {
			t.Errorf("got %v, %v, want one module with a signature", module, err)
		}
	}
	t.Logf("two builds agree: %v", first)
}

// A patch reaches the kernel; one that changes what the configuration means is
// refused before anything is compiled, and so is a key that would be made up.
func TestKernelThatFails(t *testing.T) {
	endToEnd(t)
	l := newLab(t, "kernel", sharedStore(t))
	l.writeScript("option.patch", `--- a/init/Kconfig
+++ b/init/Kconfig
@@ -1,2 +1,6 @@
 # SPDX-License-Identifier: GPL-2.0-only
+config LABSTAR_NEW
+	bool "an option that no configuration knows"
+	default y
+
 config CC_VERSION_TEXT
`)
	l.writeScript("bad.star", `
load("@stdlib//toolchains.star", "build_tools")
def _config(**options):
    return kernel_config(debian_source("linux"), toolchain = build_tools(), base = "tinyconfig", profiles = ["vm"], options = options)
patched = kernel(_config(), patches = [file("option.patch")])
signed = kernel(_config(MODULES = True, MODULE_SIG = True))
`)
	for target, want := range map[string]string{
		"patched": "The configuration does not fit this source tree",
		"signed":  "the build makes a new key each time",
	} {
		s, err := l.tryRun("bad.star", target)
		if err == nil || !strings.Contains(s.stdout+s.standardError, want) || s.Seconds > 120 {
			t.Errorf("%s: got %v after %.0f s, want %q\n%s%s", target, err, s.Seconds, want, s.stdout, s.standardError)
		}
	}
}

// runsOn is a program that was compiled against a C library and runs on it: the
// root of the sandbox is busybox and that library, and nothing else.
const runsOn = `
load("lab.star", "glibc_libc", "musl_libc")
load("@stdlib//toolchains.star", "build_tools")
_program = text("""
#include <errno.h>
#include <limits.h>
#include <linux/version.h>
#include <pthread.h>
#include <stdio.h>
static void *thread(void *p) { pthread_exit(p); }
int main(void)
{
	pthread_t t;
	void *p = NULL;
	if (pthread_create(&t, NULL, thread, &p) || pthread_join(t, &p))
		return 1;
	printf("%d threads, headers of %d.%d\\n", 1, LINUX_VERSION_CODE >> 16, LINUX_VERSION_CODE >> 8 & 255);
	return 0;
}
""")
def _try(libc):
    out = {}
    for how in ["dynamic", "static"]:
        flag = "-static" if how == "static" else ""
        program = run("%s -O2 -Wall -Werror %s -x c -o program %s" % (libc.cc, flag, _program), toolchain = build_tools(), outputs = "program")
        bb = busybox(debian_source("busybox"), toolchain = build_tools(), libc = libc, static = False)
        root = rootfs([bb, libc.runtime], files = {"/usr/bin/program": program})
        out[how] = run("program > out; busybox | head -1 >> out; grep -o '/lib[^ ]*/ld-[^ ]*' /proc/$$/maps | sort -u >> out", toolchain = root, outputs = "out")
    return out
glibc = _try(glibc_libc)
musl = _try(musl_libc)
`

func TestProgramsRunOnTheirLibrary(t *testing.T) {
	endToEnd(t)
	for name, loader := range map[string]string{"musl": "/lib/ld-musl-x86_64.so.1", "glibc": "/lib64/ld-linux-x86-64.so.2"} {
		t.Run(name, func(t *testing.T) {
			l := newLab(t, "kernel", sharedStore(t))
			l.writeScript("runs.star", runsOn)
			l.long([]string{"glibc"}, "runs.star", name)
			l.run("runs.star", name)
			for _, how := range []string{"dynamic", "static"} {
				lines := strings.Split(strings.TrimSpace(string(read(t, l.dir, "out", name, how))), "\n")
				if len(lines) != 3 || lines[0] != "1 threads, headers of 6.12" || !strings.HasPrefix(lines[1], "BusyBox v1.") || lines[2] != loader {
					t.Errorf("%s: got %q, want the program, busybox, and %s", how, lines, loader)
				}
			}
		})
	}
}

// What is in the toolchain and not in the C library is not linked: glibc has no
// crypt(), the toolchain's libcrypt has one, and dropbear says what to do.
func TestNothingOfTheToolchainIsLinked(t *testing.T) {
	endToEnd(t)
	l := newLab(t, "kernel", sharedStore(t))
	l.writeScript("ssh.star", `
load("lab.star", "glibc_libc")
load("@stdlib//dropbear.star", "dropbear")
ssh = dropbear(libc = glibc_libc, static = False)
`)
	l.long([]string{"glibc"}, "ssh.star")
	s, err := l.tryRun("ssh.star", "ssh")
	if err == nil || !strings.Contains(s.stdout+s.standardError, "say passwords = False and log in with keys") {
		t.Errorf("dropbear with passwords on glibc: got %v, want an error that says what to do\n%s%s", err, s.stdout, s.standardError)
	}
}

// The example's machines: busybox on each C library, on each architecture.
func TestKernelBoots(t *testing.T) {
	endToEnd(t)
	l := newLab(t, "kernel", sharedStore(t))
	for target, compiled := range map[string]string{"musl_boots": "", "glibc_boots": "glibc", "glibc_dropbear": "glibc", "glibc_openssh": "glibc", "arm64_boots": "kernel arm64"} {
		t.Run(target, func(t *testing.T) {
			m := *l
			m.t = t
			m.long([]string{compiled}, "lab.star", target)
			m.output("test", "lab.star", target)
		})
	}
}
