// Package kernel builds Linux: the builtins `kernel_config`, a configuration
// whose every option is proven, and `kernel`, which compiles it.
//
// A configuration is five small actions, after the first of which a changed option
// costs about a second:
//
//	conf      the source tree's own conf is compiled, and what it asks the compiler recorded
//	requests  base, fragments, profiles and options are joined: the seed of conf
//	config    conf makes a .config of the seed
//	explain   compares it with the requests; says why one did not take effect, and looks
//	          for what would help, which conf then tries
//	options   passes the .config on, or fails with the explanation
//
// A kernel is some small actions and a large one:
//
//	patch    the source tree with the patches applied, if there are any
//	headers  the headers for user space; they depend on the source alone
//	check    what would make two builds differ is refused
//	kconfig  what conf reads of the source, see kernel_kconfig.go
//	sync     conf makes of the configuration what Kbuild's files see
//	compile  make, out of tree; nothing of the source is copied
//
// Nothing is compiled before the check, and headers wait for nothing, so that a
// C library can be built while the kernel is.
package kernel

import (
	_ "embed"

	"go.starlark.net/starlark"

	"github.com/labstar/labstar/action"
	"github.com/labstar/labstar/internal/format/patch"
	"github.com/labstar/labstar/starlark/schema"
)

// Builtins returns the builtins of this group.
func Builtins() []*schema.Builtin { return []*schema.Builtin{KernelConfig, Kernel} }

type kernelArgs struct {
	Config     *schema.Artifact   `star:"config" kind:"kernel_config" doc:"what to build, as from kernel_config: it brings the source, the toolchain and the architecture"`
	Patches    []*schema.Artifact `star:"patches,keyword" kind:"file" default:"[]" doc:"unified diffs that are applied to the source after it was configured; those that change Kconfig files, or conf, go to the source of kernel_config, with patch()"`
	SigningKey *schema.Artifact   `star:"signing_key,keyword,optional" kind:"file" doc:"a PEM file with an RSA key and its certificate, with which modules are signed; the configuration has MODULE_SIG_KEY = \"/in/signing-key\" then"`
	Name       string             `star:"name,keyword" default:"\"kernel\"" doc:"what messages call it"`
}

// Kernel is the builtin `kernel`.
var Kernel = schema.New("kernel", `kernel compiles Linux.

The value is a file: the image that a boot loader takes (bzImage on x86_64, Image
on arm64). Its attributes:

- `+"`.image`"+` is the same file;
- `+"`.modules`"+` is a tree, lib/modules/RELEASE with what depmod makes of it; empty if
  the configuration has no modules;
- `+"`.headers`"+` is a tree, usr/include, for a C library; it does not wait for the
  kernel and does not depend on its options;
- `+"`.system_map`"+` is System.map, a file;
- `+"`.config`"+` is the configuration, a file;
- `+"`.release`"+` is what uname -r will say, a string known after the build;
- `+"`.arch`"+` is "x86_64" or "arm64".

The source is read in place and never written, and the configuration is used to
the letter: should the build want to change it, that is an error. The image says
user and host "labstar", number 1 and the date of all of labstar's files, so that
it is the same to the bit wherever and whenever it is built. Options that put
chance into a kernel are refused before anything is compiled: a module signing
key that the build would make up, randomised structures, latent entropy.

	cfg = kernel_config(debian_source("linux"), toolchain = build_tools(), profiles = ["vm"])
	linux = kernel(cfg)
	root = rootfs([bb, linux.modules])`, callKernel,
	schema.Returns("a kernel (a file) with the attributes image, modules, headers, system_map, config, release and arch"))

func callKernel(c *schema.Call, a *kernelArgs) (starlark.Value, error) {
	in, err := readConfig(c, a.Config)
	if err != nil {
		return nil, err
	}
	if len(a.Patches) > 0 {
		patches := make([]*action.Artifact, len(a.Patches))
		for i, p := range a.Patches {
			patches[i] = p.Artifact
		}
		act, err := c.Action(patch.Spec(in.source, patches, 1, a.Name+" patches"))
		if err != nil {
			return nil, err
		}
		in.source = act.Output("tree")
	}
	headers, err := in.headers(c, a)
	if err != nil {
		return nil, err
	}
	checked, err := c.Action(action.Spec{
		Op: checkOp, Title: a.Name + " options", Params: checkParams{Key: a.SigningKey != nil},
		Inputs:  []action.Input{{Name: "config", Artifact: a.Config.Artifact}},
		Outputs: []action.Output{{Name: "config", Kind: action.File}},
	})
	if err != nil {
		return nil, err
	}
	synced, err := in.sync(c, a, checked.Output("config"))
	if err != nil {
		return nil, err
	}
	built, err := in.compile(c, a, checked.Output("config"), synced.Output("include"))
	if err != nil {
		return nil, err
	}
	file := func(name string) starlark.Value { return schema.NewArtifact(built.Output(name), "file", nil) }
	return schema.NewArtifact(built.Output("image"), "kernel", starlark.StringDict{
		"image":      file("image"),
		"modules":    schema.NewArtifact(built.Output("modules"), "tree", nil),
		"headers":    schema.NewArtifact(headers.Output("headers"), "tree", nil),
		"system_map": file("system_map"),
		"config":     schema.NewArtifact(checked.Output("config"), "file", nil),
		"release":    schema.LateText(built.Output("release")),
		"arch":       starlark.String(in.arch),
	}), nil
}

// inputs is what a kernel_config brings.
type inputs struct {
	source, toolchain *action.Artifact
	conf              *action.Artifact // see config_tools.sh
	arch              string
}

// readConfig gets the inputs out of the attributes of a kernel_config.
func readConfig(c *schema.Call, config *schema.Artifact) (inputs, error) {
	in := inputs{}
	get := func(name string) starlark.Value {
		v, _ := config.Attr(name) // the error is always nil
		return v
	}
	source, ok1 := get("source").(*schema.Artifact)
	toolchain, ok2 := get("toolchain").(*schema.Artifact)
	conf, ok3 := get("conf").(*schema.Artifact)
	arch, ok4 := starlark.AsString(get("arch"))
	if !ok1 || !ok2 || !ok3 || !ok4 || archs[arch] == nil {
		return in, c.ArgErrorf("config", "got a kernel_config without source, toolchain, conf or architecture, want one made by kernel_config()")
	}
	return inputs{source.Artifact, toolchain.Artifact, conf.Artifact, arch}, nil
}

//go:embed kernel_headers.sh
var headersScript string

//go:embed kernel_sync.sh
var syncScript string

//go:embed kernel_compile.sh
var compileScript string

const sourceDir = action.InputDir + "/source"

func (in inputs) headers(c *schema.Call, a *kernelArgs) (*action.Action, error) {
	return c.Action(action.Spec{
		Op: action.Exec, Title: a.Name + " headers",
		Params: action.Command{
			Argv: []string{"/bin/sh", "-euc", headersScript}, Root: []string{"toolchain"}, Env: makeEnv(in.arch),
			Mounts:  []action.Mount{{Path: sourceDir, Input: "source"}},
			Outputs: []string{"headers"},
		},
		Inputs:  []action.Input{{Name: "toolchain", Artifact: in.toolchain}, {Name: "source", Artifact: in.source}},
		Outputs: []action.Output{{Name: "headers", Kind: action.Tree}},
	})
}

// sync makes what Kbuild's files see of a configuration. It depends on what conf reads
// of the source, so a patched C file leaves it as it is.
func (in inputs) sync(c *schema.Call, a *kernelArgs, config *action.Artifact) (*action.Action, error) {
	read, err := c.Action(action.Spec{
		Op: kconfigOp, Title: a.Name + " Kconfig files",
		Inputs:  []action.Input{{Name: "source", Artifact: in.source}},
		Outputs: []action.Output{{Name: "source", Kind: action.Tree}},
	})
	if err != nil {
		return nil, err
	}
	return c.Action(action.Spec{
		Op: action.Exec, Title: a.Name + " syncconfig", Quick: true,
		Params: action.Command{
			Argv: []string{"/bin/sh", "-euc", syncScript}, Root: []string{"toolchain"}, Env: makeEnv(in.arch),
			Mounts: []action.Mount{
				{Path: sourceDir, Input: "source"}, {Path: action.InputDir + "/config", Input: "config"}, {Path: action.InputDir + "/kconfig", Input: "kconfig"},
			},
			Outputs: []string{"include"},
		},
		Inputs: []action.Input{
			{Name: "toolchain", Artifact: in.toolchain}, {Name: "source", Artifact: read.Output("source")},
			{Name: "config", Artifact: config}, {Name: "kconfig", Artifact: in.conf},
		},
		Outputs: []action.Output{{Name: "include", Kind: action.Tree}},
	})
}

func (in inputs) compile(c *schema.Call, a *kernelArgs, config, synced *action.Artifact) (*action.Action, error) {
	env := makeEnv(in.arch)
	env["IMAGE"] = archs[in.arch].image
	cmd := action.Command{
		Argv: []string{"/bin/sh", "-euc", compileScript}, Root: []string{"toolchain"}, Env: env, Compile: true,
		Mounts: []action.Mount{
			{Path: sourceDir, Input: "source"}, {Path: action.InputDir + "/config", Input: "config"}, {Path: action.InputDir + "/synced", Input: "synced"},
		},
		Outputs: []string{archs[in.arch].path(), "modules", "System.map", "release"},
	}
	spec := action.Spec{
		Op: action.Exec, Title: a.Name,
		Inputs: []action.Input{
			{Name: "toolchain", Artifact: in.toolchain}, {Name: "source", Artifact: in.source}, {Name: "config", Artifact: config}, {Name: "synced", Artifact: synced},
		},
		Outputs: []action.Output{
			{Name: "image", Kind: action.File}, {Name: "modules", Kind: action.Tree},
			{Name: "system_map", Kind: action.File}, {Name: "release", Kind: action.File},
		},
	}
	if a.SigningKey != nil {
		cmd.Mounts = append(cmd.Mounts, action.Mount{Path: signingKeyPath, Input: "signing-key"})
		spec.Inputs = append(spec.Inputs, action.Input{Name: "signing-key", Artifact: a.SigningKey.Artifact})
	}
	spec.Params = cmd
	return c.Action(spec)
}
