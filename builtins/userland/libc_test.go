package userland

import (
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/labstar/labstar/action"
	"github.com/labstar/labstar/internal/buildtest"
	"github.com/labstar/labstar/starlark/schema"
)

func TestLibcGraph(t *testing.T) {
	globals, err := eval(t, `
g = glibc(src, kernel_headers = src, toolchain = tools, oldest_kernel = "6.1", configure = ["--enable-nscd"])
m = musl(src, kernel_headers = src, toolchain = tools, arch = "arm64")
words = [g.loader, g.arch, m.loader, m.arch]
same = musl(src, toolchain = tools, arch = "arm64")
bb = busybox(src, toolchain = tools, libc = m, static = False)
static = busybox(src, toolchain = tools, libc = g)
cc = "CC=" + g.cc`)
	if err != nil {
		t.Fatal(err)
	}
	at := func(name string) map[string]action.Command {
		return commands(t, globals[name].(*schema.Artifact).Artifact, map[string]action.Command{})
	}
	g := at("g")["glibc"]
	for name, want := range map[string]string{"HOST": "x86_64-linux-gnu", "CROSS": "", "LIBDIR": "/lib64", "OLDEST_KERNEL": "6.1", "CFLAGS": "-O2"} {
		if got, ok := g.Env[name]; !ok || got != want {
			t.Errorf("glibc: %s: got %q, want %q", name, got, want)
		}
	}
	if want := []string{"glibc", "--enable-nscd"}; !slices.Equal(g.Argv[3:], want) {
		t.Errorf("got arguments %q, want %q", g.Argv[3:], want)
	}
	m := at("m")["musl"]
	if m.Env["HOST"] != "aarch64-linux-gnu" || m.Env["CROSS"] != "aarch64-linux-gnu-" || len(m.Mounts) != 1 {
		t.Errorf("musl: got %v with mounts %v; the kernel's headers have no part in its compilation", m.Env, m.Mounts)
	}
	if got := globals["words"].String(); got != `["/lib64/ld-linux-x86-64.so.2", "x86_64", "/lib/ld-musl-aarch64.so.1", "arm64"]` {
		t.Errorf("got the attributes %s", got)
	}
	bb := at("bb")["busybox compile"]
	for name, want := range map[string]string{"CROSS": "aarch64-linux-gnu-", "LIBC_CC": "/in/libc/cc", "LOADER": "/lib/ld-musl-aarch64.so.1"} {
		if bb.Env[name] != want {
			t.Errorf("busybox: %s: got %q, want %q", name, bb.Env[name], want)
		}
	}
	if got := at("bb")["busybox config"].Env["FRAGMENT"]; !strings.Contains(got, "# CONFIG_SHA256_HWACCEL is not set\n") {
		t.Errorf("busybox for arm64: got the options\n%s, want no instructions of x86", got)
	}
	if env := at("static")["busybox compile"].Env; env["LIBC_CC"] != "/in/libc/cc" || env["LOADER"] != "" {
		t.Errorf("a static busybox: got %v", slices.Sorted(maps.Keys(env)))
	}
}

func TestBadLibc(t *testing.T) {
	for script, want := range map[string]string{
		`glibc(src, toolchain = tools)`:                                                        `kernel_headers`,
		`glibc(src, kernel_headers = src, toolchain = tools, oldest_kernel = "new")`:           `oldest_kernel: got "new", want the version of a kernel`,
		`glibc(src, kernel_headers = src, toolchain = tools, oldest_kernel = "5.x")`:           `want the version of a kernel`,
		`glibc(src, kernel_headers = src, toolchain = tools, cflags = "-g -O0")`:               `can't be compiled without optimisation`,
		`musl(src, toolchain = tools, arch = "aarch64")`:                                       `want one of "x86_64", "arm64"`,
		`busybox(src, toolchain = tools, libc = src)`:                                          `libc: got a tree, want a libc`,
		`busybox(src, toolchain = tools, libc = musl(src, toolchain = tools).runtime)`:         `libc: got a tree, want a libc`,
		`busybox(src, toolchain = tools, libc = musl(src, toolchain = tools), arch = "arm64")`: `got "arm64", and libc is for "x86_64"`,
	} {
		_, err := eval(t, "x = "+script)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s\ngot  %v\nwant %s", script, err, want)
		}
	}
}

// sysroot runs the op on a C library as it was installed, and on headers.
func sysroot(lab *buildtest.Lab, built map[string]buildtest.Node, headers *schema.Artifact, loader string) (root, runtime action.Digest, err error) {
	spec := action.Spec{
		Op: sysrootOp, Params: sysrootParams{Wrapper: "#!/bin/sh\n", Specs: "*x:\n", Loader: loader},
		Inputs:  []action.Input{{Name: "built", Artifact: lab.Tree(built).Artifact}},
		Outputs: []action.Output{{Name: "sysroot", Kind: action.Tree}, {Name: "runtime", Kind: action.Tree}},
	}
	if headers != nil {
		spec.Inputs = append(spec.Inputs, action.Input{Name: "headers", Artifact: headers.Artifact})
	}
	a, err := lab.Scope().Action(spec)
	if err != nil {
		return
	}
	if root, err = lab.TryBuild(schema.NewArtifact(a.Output("sysroot"), "tree", nil)); err != nil {
		return
	}
	runtime, err = lab.TryBuild(schema.NewArtifact(a.Output("runtime"), "tree", nil))
	return
}

func TestSysroot(t *testing.T) {
	lab := buildtest.New(t)
	headers := lab.Tree(map[string]buildtest.Node{"usr/include/linux/if.h": {Text: "/* if */"}, "usr/include/asm/unistd.h": {Text: "/* nr */"}})
	built := map[string]buildtest.Node{
		"lib64/ld-linux-x86-64.so.2": {Text: "ELF ld", Mode: 0o755}, "lib64/libc.so.6": {Text: "ELF libc", Mode: 0o755},
		"usr/lib/libc.so": {Text: "GROUP(/lib64/libc.so.6)"}, "usr/lib/libc.a": {Text: "ar"}, "usr/include/stdio.h": {Text: "/* io */"},
	}
	root, runtime, err := sysroot(lab, built, headers, "/lib64/ld-linux-x86-64.so.2")
	if err != nil {
		t.Fatal(err)
	}
	list := lab.List(root)
	for _, want := range []string{"cc file 755 0:0 10", "cc.specs file 644 0:0 4", "usr/include/linux/if.h file 644 0:0 8", "usr/include/stdio.h file 644 0:0 8", "usr/lib/libc.a file 644 0:0 2"} {
		if !slices.Contains(list, want) {
			t.Errorf("sysroot: no %q in\n%s", want, strings.Join(list, "\n"))
		}
	}
	if got := files(lab.List(runtime)); !slices.Equal(got, []string{"lib64/ld-linux-x86-64.so.2", "lib64/libc.so.6"}) {
		t.Errorf("got the runtime %v", got)
	}
	const golden = "46ef506dbd8561448e99b87c16ba434aaffbd850e0329ee600606e541cf6ff26"
	if root.Hex() != golden {
		t.Errorf("got tree %s, want %s: if that is meant, raise the Version of %s", root.Hex(), golden, sysrootOp.Name)
	}
}

// files returns the paths of what is no folder in a list of Lab.List.
func files(list []string) []string {
	var paths []string
	for _, line := range list {
		if words := strings.Fields(line); !slices.Contains(words[:2], "directory") {
			paths = append(paths, words[0])
		}
	}
	return paths
}

func TestSysrootOfMusl(t *testing.T) {
	_, runtime, err := sysroot(buildtest.New(t), map[string]buildtest.Node{}, nil, "/lib/ld-musl-x86_64.so.1")
	if err == nil || !strings.Contains(err.Error(), `looking for the dynamic linker: "/lib/ld-musl-x86_64.so.1" is not there`) {
		t.Errorf("without a dynamic linker: got %v, %v", runtime, err)
	}
	lab := buildtest.New(t)
	built := map[string]buildtest.Node{
		"lib/ld-musl-x86_64.so.1": {Text: "ELF", Mode: 0o755}, "usr/lib/libc.so": {Target: "../../lib/ld-musl-x86_64.so.1"}, "usr/lib/libc.a": {Text: "ar"},
	}
	if _, runtime, err = sysroot(lab, built, nil, "/lib/ld-musl-x86_64.so.1"); err != nil {
		t.Fatal(err)
	}
	if got := files(lab.List(runtime)); !slices.Equal(got, []string{"lib/ld-musl-x86_64.so.1", "usr/lib/libc.so"}) {
		t.Errorf("got the runtime %v", got)
	}
	_, _, err = sysroot(lab, built, lab.Tree(map[string]buildtest.Node{"include/linux/if.h": {}}), "/lib/ld-musl-x86_64.so.1")
	if err == nil || !strings.Contains(err.Error(), "give it the headers of a kernel") {
		t.Errorf("headers elsewhere: got %v", err)
	}
}

// The compiler's script is one that a shell reads, and has the flags.
func TestWrapper(t *testing.T) {
	for _, b := range []libcBuild{{flags: glibcFlags, arch: "x86_64", loader: "/lib64/ld.so"}, {flags: muslFlags, arch: "arm64", loader: "/lib/ld.so"}} {
		text := b.wrapper()
		for _, want := range []string{"\ncc=" + archs[b.arch].cross + "gcc\n", `--sysroot="$root"`, "--dynamic-linker=" + b.loader, `root=${0%/*}`, `"$@"`} {
			if !strings.Contains(text, want) {
				t.Errorf("no %q in\n%s", want, text)
			}
		}
	}
}
