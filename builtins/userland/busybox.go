// Package userland builds the programs of a small system from their sources:
// the builtin `busybox`.
//
// A busybox goes through four actions, each of which stops a rebuild when its
// output stays the same:
//
//	config  the tree's own conf makes a .config of the options asked for
//	check   each option asked for is compared with that .config
//	compile make, out of tree, with the checked .config
//	tree    bin/busybox and the links of its applets
//
// Nothing is compiled before the check: an option that conf dropped is an error
// after seconds and not after minutes, or never.
package userland

import (
	_ "embed"
	"errors"

	"go.starlark.net/starlark"

	"github.com/labstar/labstar/action"
	"github.com/labstar/labstar/starlark/schema"
)

// Builtins returns the builtins of this group.
func Builtins() []*schema.Builtin { return []*schema.Builtin{Busybox, Glibc, Musl} }

type busyboxArgs struct {
	Source    *schema.Artifact `star:"source" kind:"tree" doc:"busybox' source tree, as from debian_source(\"busybox\")"`
	Toolchain *schema.Artifact `star:"toolchain,keyword" kind:"tree" doc:"a tree with gcc, make, binutils, sed, awk, coreutils and, for a static program, the static C library"`
	Base      string           `star:"base,keyword" default:"\"defconfig\"" enum:"defconfig,allnoconfig" doc:"what is on before options is looked at: nearly everything, or nothing"`
	Options   starlark.Value   `star:"options,keyword,optional" doc:"a dict of option names, with or without CONFIG_, to True, False, a number or a string; each must take effect"`
	Static    bool             `star:"static,keyword" default:"True" doc:"link statically, so that the program needs no C library where it runs"`
	Libc      *schema.Artifact `star:"libc,keyword,optional" kind:"libc" doc:"the C library to compile and link with, as from glibc() or musl(); by default the toolchain's"`
	Arch      *string          `star:"arch,keyword,optional" enum:"x86_64,arm64" doc:"the architecture that it is for; other than x86_64 wants a cross compiler, build_tools(arch = …); by default that of libc, else x86_64"`
	Links     *[]string        `star:"links,keyword,optional" doc:"the applets that get a link, by name; by default all that are compiled in, [] for none"`
	Name      string           `star:"name,keyword" default:"\"busybox\"" doc:"what messages call it"`
}

// Busybox is the builtin `busybox`.
var Busybox = schema.New("busybox", `busybox compiles busybox from its source.

The value is a tree: bin/busybox, and a symbolic link for each applet where
`+"`make install`"+` would put it (/bin/sh, /usr/sbin/httpd …). Its attributes:

- `+"`.binary`"+` is the program alone, a file;
- `+"`.config`"+` is the configuration that it was made with, a file;
- `+"`.links`"+` is the list of the applets' paths, a file.

Every option is compared with the configuration that busybox' own tool made of
it. One that is unknown, or that did not take effect because another one is off,
is an error before anything is compiled.

The applet tc is off unless options has TC: it does not compile against the
headers of Linux 6.8 and newer, which no longer have the class-based queues. So are
the instructions for SHA on anything but x86, for which busybox has none.

A dynamically linked one runs on the C library that it was linked with: put
libc.runtime beside it.

	tools = debian_packages(["gcc", "make", "libc6-dev", …])
	bb = busybox(debian_source("busybox"), toolchain = tools,
	             options = {"HTTPD": True, "FEATURE_HTTPD_CGI": False})
	bb = busybox(debian_source("busybox"), toolchain = tools, libc = libc, static = False)
	root = rootfs([bb, libc.runtime])`, callBusybox)

func callBusybox(c *schema.Call, a *busyboxArgs) (starlark.Value, error) {
	wanted, err := wantedOptions(c, a)
	target, errTarget := a.target(c)
	if err := errors.Join(err, errTarget, checkLinks(c, a.Links)); err != nil {
		return nil, err
	}
	config, err := a.configure(c, wanted)
	if err != nil {
		return nil, err
	}
	checked, err := c.Action(action.Spec{
		Op: checkOp, Title: a.Name + " options",
		Params:  newCheckParams(wanted),
		Inputs:  []action.Input{{Name: "config", Artifact: config.Output("config")}, {Name: "kconfig", Artifact: config.Output("kconfig")}},
		Outputs: []action.Output{{Name: "config", Kind: action.File}},
	})
	if err != nil {
		return nil, err
	}
	return a.compile(c, target, checked.Output("config"))
}

//go:embed config.sh
var configScript string

//go:embed compile.sh
var compileScript string

// buildEnv is what both commands get besides the sandbox' own environment.
// KCONFIG_NOTIMESTAMP leaves the date out of .config and of the program's banner.
func buildEnv(more map[string]string) map[string]string {
	env := map[string]string{"KCONFIG_NOTIMESTAMP": "1"}
	for k, v := range more {
		env[k] = v
	}
	return env
}

const sourceDir = action.InputDir + "/source"

// configure runs the tree's own conf: base first, then what is wanted over it.
func (a *busyboxArgs) configure(c *schema.Call, wanted []option) (*action.Action, error) {
	return c.Action(action.Spec{
		Op: action.Exec, Title: a.Name + " config",
		Params: action.Command{
			Argv: []string{"/bin/sh", "-euc", configScript}, Root: []string{"toolchain"},
			Env:     buildEnv(map[string]string{"BASE": a.Base, "FRAGMENT": fragment(wanted)}),
			Mounts:  []action.Mount{{Path: sourceDir, Input: "source"}},
			Outputs: []string{".config", "options.in"},
		},
		Inputs:  []action.Input{{Name: "toolchain", Artifact: a.Toolchain.Artifact}, {Name: "source", Artifact: a.Source.Artifact}},
		Outputs: []action.Output{{Name: "config", Kind: action.File}, {Name: "kconfig", Kind: action.File}},
	})
}

// libcDir is where the compiler sees the argument libc.
const libcDir = action.InputDir + "/libc"

// machine returns the architecture that busybox is for.
func (a *busyboxArgs) machine() string {
	switch {
	case a.Libc != nil:
		return a.ofLibc("arch")
	case a.Arch != nil:
		return *a.Arch
	}
	return "x86_64"
}

// ofLibc returns an attribute of the argument libc, a string.
func (a *busyboxArgs) ofLibc(name string) string {
	v, _ := a.Libc.Attr(name) // the error is always nil
	s, _ := starlark.AsString(v)
	return s
}

// target returns what make has to know of the architecture and the C library.
func (a *busyboxArgs) target(c *schema.Call) (map[string]string, error) {
	name := a.machine()
	if a.Arch != nil && *a.Arch != name {
		return nil, c.ArgErrorf("arch", "got %q, and libc is for %q: leave arch out", *a.Arch, name)
	}
	env := map[string]string{}
	if cross := archs[name].cross; cross != "" {
		env["CROSS"] = cross
	}
	if a.Libc != nil {
		env["LIBC_CC"] = libcDir + "/" + wrapperName
		if !a.Static {
			env["LOADER"] = a.ofLibc("loader")
		}
	}
	return env, nil
}

func (a *busyboxArgs) compile(c *schema.Call, env map[string]string, config *action.Artifact) (starlark.Value, error) {
	cmd := action.Command{
		Argv: []string{"/bin/sh", "-euc", compileScript}, Root: []string{"toolchain"}, Env: buildEnv(env), Compile: true,
		Mounts:  []action.Mount{{Path: sourceDir, Input: "source"}, {Path: action.InputDir + "/config", Input: "config"}},
		Outputs: []string{"busybox", "busybox.links"},
	}
	spec := action.Spec{
		Op: action.Exec, Title: a.Name + " compile",
		Inputs: []action.Input{
			{Name: "toolchain", Artifact: a.Toolchain.Artifact}, {Name: "source", Artifact: a.Source.Artifact},
			{Name: "config", Artifact: config},
		},
		Outputs: []action.Output{{Name: "binary", Kind: action.File}, {Name: "links", Kind: action.File}},
	}
	if a.Libc != nil {
		cmd.Mounts = append(cmd.Mounts, action.Mount{Path: libcDir, Input: "libc"})
		spec.Inputs = append(spec.Inputs, action.Input{Name: "libc", Artifact: a.Libc.Artifact})
	}
	spec.Params = cmd
	built, err := c.Action(spec)
	if err != nil {
		return nil, err
	}
	tree, err := c.Action(action.Spec{
		Op: treeOp, Title: a.Name,
		Params:  treeParams{Links: a.Links},
		Inputs:  []action.Input{{Name: "binary", Artifact: built.Output("binary")}, {Name: "links", Artifact: built.Output("links")}},
		Outputs: []action.Output{{Name: "tree", Kind: action.Tree}},
	})
	if err != nil {
		return nil, err
	}
	return schema.NewArtifact(tree.Output("tree"), "tree", starlark.StringDict{
		"binary": schema.NewArtifact(built.Output("binary"), "file", nil),
		"config": schema.NewArtifact(config, "file", nil),
		"links":  schema.NewArtifact(built.Output("links"), "file", nil),
	}), nil
}
