package userland

import (
	_ "embed"
	"errors"
	"fmt"
	"path"
	"strings"

	"go.starlark.net/starlark"

	"github.com/labstar/labstar/action"
	"github.com/labstar/labstar/starlark/schema"
)

type glibcArgs struct {
	Source       *schema.Artifact `star:"source" kind:"tree" doc:"glibc's source tree, as from debian_source(\"glibc\")"`
	Headers      *schema.Artifact `star:"kernel_headers,keyword" kind:"tree" doc:"the kernel's headers, usr/include, as from kernel(…).headers"`
	Toolchain    *schema.Artifact `star:"toolchain,keyword" kind:"tree" doc:"a tree with gcc, make, binutils, bison, gawk, python3, sed and coreutils, as from build_tools()"`
	Arch         string           `star:"arch,keyword" default:"\"x86_64\"" enum:"x86_64,arm64" doc:"the architecture that it is for; other than x86_64 wants a cross compiler, build_tools(arch = …)"`
	OldestKernel string           `star:"oldest_kernel,keyword" default:"\"5.10\"" doc:"the oldest kernel that its programs run on; code for older ones is left out"`
	CFlags       string           `star:"cflags,keyword" default:"\"-O2\"" doc:"flags for the compiler; glibc wants optimisation"`
	Configure    []string         `star:"configure,keyword" default:"[]" doc:"more arguments for its configure, which win over the recipe's"`
	Name         string           `star:"name,keyword" default:"\"glibc\"" doc:"what messages call it"`
}

const libcPage = `
The value is a tree, a sysroot: what a compiler needs to make programs for this
library (usr/include with the kernel's headers in it, usr/lib) and what these need
to run. Its attributes:

- ` + "`.runtime`" + ` is a tree with what a dynamically linked program needs to run, and
  nothing else: put it into rootfs();
- ` + "`.cc`" + ` is a string, the path of a compiler that compiles and links with this
  library, for CC= in a run() command; naming it declares the sysroot as an input;
- ` + "`.loader`" + ` is the path of the dynamic linker, as programs hold it;
- ` + "`.arch`" + ` is "x86_64" or "arm64".
`

// Glibc is the builtin `glibc`.
var Glibc = schema.New("glibc", `glibc compiles the GNU C library from its source.
`+libcPage+`
Shared libraries and the dynamic linker are in /lib64 (on arm64 in /lib), what a
linker needs in /usr/lib. glibc has had no crypt() since 2.39: programs that check
passwords bring their own, as busybox does, or take libxcrypt() of
@stdlib//libxcrypt.star.

	linux = kernel(cfg)
	libc = glibc(debian_source("glibc"), kernel_headers = linux.headers, toolchain = tools)
	bb = busybox(debian_source("busybox"), toolchain = tools, libc = libc, static = False)
	root = rootfs([bb, libc.runtime])`, callGlibc,
	schema.Returns("a libc (a tree) with the attributes runtime, cc, loader and arch"))

type muslArgs struct {
	Source    *schema.Artifact `star:"source" kind:"tree" doc:"musl's source tree, as from debian_source(\"musl\")"`
	Headers   *schema.Artifact `star:"kernel_headers,keyword,optional" kind:"tree" doc:"the kernel's headers, usr/include, as from kernel(…).headers; busybox and the like want them"`
	Toolchain *schema.Artifact `star:"toolchain,keyword" kind:"tree" doc:"a tree with gcc, make, binutils, sed and coreutils, as from build_tools()"`
	Arch      string           `star:"arch,keyword" default:"\"x86_64\"" enum:"x86_64,arm64" doc:"the architecture that it is for; other than x86_64 wants a cross compiler, build_tools(arch = …)"`
	CFlags    string           `star:"cflags,keyword" default:"\"-O2\"" doc:"flags for the compiler"`
	Configure []string         `star:"configure,keyword" default:"[]" doc:"more arguments for its configure, which win over the recipe's"`
	Name      string           `star:"name,keyword" default:"\"musl\"" doc:"what messages call it"`
}

// Musl is the builtin `musl`.
var Musl = schema.New("musl", `musl compiles the C library musl from its source.
`+libcPage+`
It takes less than a minute, where glibc takes twenty, and is a tenth of its size.

	libc = musl(debian_source("musl", patches = True), kernel_headers = linux.headers, toolchain = tools)
	bb = busybox(debian_source("busybox"), toolchain = tools, libc = libc)`, callMusl,
	schema.Returns("a libc (a tree) with the attributes runtime, cc, loader and arch"))

//go:embed glibc.sh
var glibcScript string

//go:embed strip.sh
var stripScript string

//go:embed musl.sh
var muslScript string

func callGlibc(c *schema.Call, a *glibcArgs) (starlark.Value, error) {
	var errs []error
	if !kernelVersion(a.OldestKernel) {
		errs = append(errs, c.ArgErrorf("oldest_kernel", "got %q, want the version of a kernel, as \"5.10\"", a.OldestKernel))
	}
	if !strings.Contains(a.CFlags, "-O") || strings.Contains(a.CFlags, "-O0") {
		errs = append(errs, c.ArgErrorf("cflags", "got %q: glibc can't be compiled without optimisation; say \"-O2\"", a.CFlags))
	}
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	b := libcBuild{
		name: a.Name, script: glibcScript, flags: glibcFlags, loader: archs[a.Arch].glibc, arch: a.Arch, configure: a.Configure,
		source: a.Source, toolchain: a.Toolchain, headers: a.Headers,
		env:   map[string]string{"CFLAGS": a.CFlags, "OLDEST_KERNEL": a.OldestKernel},
		strip: true,
	}
	return b.value(c)
}

func callMusl(c *schema.Call, a *muslArgs) (starlark.Value, error) {
	b := libcBuild{
		name: a.Name, script: muslScript, flags: muslFlags, loader: archs[a.Arch].musl, arch: a.Arch, configure: a.Configure,
		source: a.Source, toolchain: a.Toolchain, headers: a.Headers,
		env: map[string]string{"CFLAGS": a.CFlags},
	}
	return b.value(c)
}

// kernelVersion reports whether s is two or three numbers with points between.
func kernelVersion(s string) bool {
	parts := strings.Split(s, ".")
	for _, p := range parts {
		if p == "" || len(p) > 3 || strings.Trim(p, "0123456789") != "" {
			return false
		}
	}
	return len(parts) == 2 || len(parts) == 3
}

// libcBuild is a C library to be built: one command that compiles, and one op
// that makes the sysroot of what it left.
type libcBuild struct {
	name, script, flags, loader, arch string
	configure                         []string
	source, toolchain, headers        *schema.Artifact // headers may be nil
	env                               map[string]string
	strip                             bool // see strip.sh; otherwise script did it
}

func (b *libcBuild) value(c *schema.Call) (starlark.Value, error) {
	built, err := b.compile(c)
	if err == nil && b.strip {
		built, err = b.stripped(c, built)
	}
	if err != nil {
		return nil, err
	}
	spec := action.Spec{
		Op: sysrootOp, Title: b.name + " sysroot",
		Params:  sysrootParams{Wrapper: b.wrapper(), Specs: specsText, Loader: b.loader},
		Inputs:  []action.Input{{Name: "built", Artifact: built.Output("root")}},
		Outputs: []action.Output{{Name: "sysroot", Kind: action.Tree}, {Name: "runtime", Kind: action.Tree}},
	}
	if b.headers != nil {
		spec.Inputs = append(spec.Inputs, action.Input{Name: "headers", Artifact: b.headers.Artifact})
	}
	act, err := c.Action(spec)
	if err != nil {
		return nil, err
	}
	sysroot := act.Output("sysroot")
	return schema.NewArtifact(sysroot, "libc", starlark.StringDict{
		"runtime": schema.NewArtifact(act.Output("runtime"), "tree", nil),
		"cc":      starlark.String(sysroot.Token(action.Path) + "/" + wrapperName),
		"loader":  starlark.String(b.loader),
		"arch":    starlark.String(b.arch),
	}), nil
}

func (b *libcBuild) compile(c *schema.Call) (*action.Action, error) {
	ar := archs[b.arch]
	env := map[string]string{"BUILD": buildTriplet, "HOST": ar.triplet, "CROSS": ar.cross, "LIBDIR": path.Dir(b.loader)}
	for k, v := range b.env {
		env[k] = v
	}
	cmd := action.Command{
		Argv: append([]string{"/bin/sh", "-euc", b.script, b.name}, b.configure...), Root: []string{"toolchain"}, Env: env,
		Mounts:  []action.Mount{{Path: sourceDir, Input: "source"}},
		Outputs: []string{"root"},
	}
	spec := action.Spec{
		Op: action.Exec, Title: b.name,
		Inputs:  []action.Input{{Name: "toolchain", Artifact: b.toolchain.Artifact}, {Name: "source", Artifact: b.source.Artifact}},
		Outputs: []action.Output{{Name: "root", Kind: action.Tree}},
	}
	// musl is compiled without the kernel's headers, so that it does not wait.
	if b.script == glibcScript {
		cmd.Mounts = append(cmd.Mounts, action.Mount{Path: action.InputDir + "/headers", Input: "headers"})
		spec.Inputs = append(spec.Inputs, action.Input{Name: "headers", Artifact: b.headers.Artifact})
	}
	spec.Params = cmd
	return c.Action(spec)
}

func (b *libcBuild) stripped(c *schema.Call, built *action.Action) (*action.Action, error) {
	return c.Action(action.Spec{
		Op: action.Exec, Title: b.name + " strip",
		Params: action.Command{
			Argv: []string{"/bin/sh", "-euc", stripScript}, Root: []string{"toolchain"},
			Env:     map[string]string{"CROSS": archs[b.arch].cross, "LIBDIR": path.Dir(b.loader)},
			Mounts:  []action.Mount{{Path: action.InputDir + "/built", Input: "built"}},
			Outputs: []string{"root"},
		},
		Inputs:  []action.Input{{Name: "toolchain", Artifact: b.toolchain.Artifact}, {Name: "built", Artifact: built.Output("root")}},
		Outputs: []action.Output{{Name: "root", Kind: action.Tree}},
	})
}

// What a compiler is told besides where the sysroot is. gcc's own headers go
// before glibc's, as they do without a sysroot, and after musl's, as in musl-gcc.
const (
	glibcFlags = `-isystem "$gcc/include" -isystem "$root/usr/include"`
	muslFlags  = `-isystem "$root/usr/include" -isystem "$gcc/include" -static-libgcc`
)

// wrapperName is the compiler's script, in the root of the sysroot.
const wrapperName = "cc"

// specsName is a file beside it that takes gcc's list of folders with libraries
// away. All of them are the toolchain's, and what is in one of them and not in the
// sysroot, such as libcrypt, would be linked and be missing where the program runs.
// gcc takes no empty text; this one says nothing.
const (
	specsName = "cc.specs"
	specsText = "*link_libgcc:\n%{nostdlib:}\n\n"
)

// wrapper is the text of the compiler's script.
func (b *libcBuild) wrapper() string {
	return fmt.Sprintf(`#!/bin/sh
# Compiles and links with the C library in whose folder this script is.
root=${0%%/*}
cc=%sgcc
gcc=$($cc -print-libgcc-file-name)
gcc=${gcc%%/*}
exec $cc --sysroot="$root" -specs="$root/%s" -nostdinc %s \
	-B"$root/usr/lib/" -L"$root/usr/lib" -L"$root%s" -L"$gcc" -Wl,--dynamic-linker=%s "$@"
`, archs[b.arch].cross, specsName, b.flags, path.Dir(b.loader), b.loader)
}
