package kernel

import (
	_ "embed"
	"errors"
	"fmt"

	"go.starlark.net/starlark"

	"github.com/labstar/labstar/action"
	"github.com/labstar/labstar/starlark/schema"
)

type configArgs struct {
	Source    *schema.Artifact   `star:"source" kind:"tree" doc:"Linux' source tree, as from debian_source(\"linux\")"`
	Toolchain *schema.Artifact   `star:"toolchain,keyword" kind:"tree" doc:"what compiles it: gcc (for arm64 the cross compiler too), make, flex, bison, as from build_tools() of @stdlib//toolchains.star"`
	Arch      string             `star:"arch,keyword" default:"\"x86_64\"" enum:"x86_64,arm64" doc:"the machine's architecture"`
	Base      starlark.Value     `star:"base,keyword" default:"\"defconfig\"" doc:"what is on before anything is asked for: \"tinyconfig\", \"allnoconfig\", \"defconfig\", another one that the source has, such as \"i386_defconfig\", or a file with a .config"`
	Fragments []*schema.Artifact `star:"fragments,keyword" kind:"file" default:"[]" doc:"files with options in the syntax of a .config"`
	Options   starlark.Value     `star:"options,keyword,optional" doc:"a dict of option names, with or without CONFIG_, to True, False, \"m\" (a module), a number or a string"`
	Profiles  []string           `star:"profiles,keyword" default:"[]" doc:"names of sets of options that labstar knows, as \"vm\""`
	Name      string             `star:"name,keyword" default:"\"kernel\"" doc:"what messages call it"`
}

// KernelConfig is the builtin `kernel_config`.
var KernelConfig = schema.New("kernel_config", `kernel_config makes the configuration of a kernel, and proves each option of it.

The source tree's own conf decides what becomes of base, then the fragments, then
the profiles, then the options. Every one of these requests is compared with the
result. One that did not take effect is an error before anything is compiled,
which says why: the option that it depends on, with the line of the Kconfig file;
the one that selects it; its range; the name that was meant.

On "tinyconfig" and "allnoconfig" everything is off that nobody asks for, so the
kernel stays as small as it can be. On any other base an option that is not asked
for has the default of its Kconfig file.

Requests of the script must agree with each other. Options overrule what a
profile asks for, and only they can: {"TIGON3": False} leaves that network card out
of the profile pc. Numbers are given as numbers, hexadecimal ones as strings
("0x1000000").

The profiles are:

`+profilesDoc()+`
The value is a file, the .config. Its attributes are `+"`.source`, `.toolchain`"+` and
`+"`.arch`"+`, as given, and `+"`.conf`"+`, a tree with the source's conf and what it has asked the
compiler.

	cfg = kernel_config(debian_source("linux"), toolchain = build_tools(), base = "tinyconfig",
	                    profiles = ["vm"], options = {"IKCONFIG": True, "LOCALVERSION": "-lab"})
	linux = kernel(cfg)`, callKernelConfig,
	schema.Returns("a kernel_config (a file) with the attributes source, toolchain, conf and arch"))

func callKernelConfig(c *schema.Call, a *configArgs) (starlark.Value, error) {
	options, err := readOptions(c, a.Options)
	profiles, err2 := readProfiles(c, a.Profiles)
	base, err3 := a.readBase(c)
	if err := errors.Join(err, err2, err3); err != nil {
		return nil, err
	}
	tools, err := a.tools(c)
	if err != nil {
		return nil, err
	}
	merged, err := a.merge(c, mergeParams{Arch: a.Arch, Base: base, Options: options, Profiles: profiles})
	if err != nil {
		return nil, err
	}
	config, err := a.conf(c, a.Name+" config", tools, merged.Output("seed"))
	if err != nil {
		return nil, err
	}
	explained, err := a.explain(c, tools, merged, config)
	if err != nil {
		return nil, err
	}
	retried, err := a.conf(c, a.Name+" config with what is missing", tools, explained.Output("seed"))
	if err != nil {
		return nil, err
	}
	checked, err := c.Action(action.Spec{
		Op: configCheckOp, Title: a.Name + " options",
		Inputs: []action.Input{
			{Name: "config", Artifact: config}, {Name: "requests", Artifact: merged.Output("requests")},
			{Name: "report", Artifact: explained.Output("report")}, {Name: "checked", Artifact: retried},
		},
		Outputs: []action.Output{{Name: "config", Kind: action.File}},
	})
	if err != nil {
		return nil, err
	}
	return schema.NewArtifact(checked.Output("config"), "kernel_config", starlark.StringDict{
		"source": a.Source, "toolchain": a.Toolchain, "conf": schema.NewArtifact(tools, "tree", nil), "arch": starlark.String(a.Arch),
	}), nil
}

// readBase returns the name of the base, "" if it is a file.
func (a *configArgs) readBase(c *schema.Call) (string, error) {
	switch v := a.Base.(type) {
	case starlark.String:
		if err := action.ValidName(string(v)); err != nil {
			return "", c.ArgErrorf("base", "got %s, want the name of a configuration, as \"defconfig\"", v)
		}
		return string(v), nil
	case *schema.Artifact:
		if v.Kind() == action.File {
			return "", nil
		}
	}
	return "", c.ArgErrorf("base", "got %s, want a string or a file", a.Base.Type())
}

//go:embed config_tools.sh
var toolsScript string

//go:embed config_run.sh
var runScript string

// tools makes conf and what goes with it, see config_tools.sh.
func (a *configArgs) tools(c *schema.Call) (*action.Artifact, error) {
	act, err := c.Action(action.Spec{
		Op: action.Exec, Title: a.Name + " conf",
		Params: action.Command{
			Argv: []string{"/bin/sh", "-euc", toolsScript}, Root: []string{"toolchain"}, Env: makeEnv(a.Arch),
			Mounts:  []action.Mount{{Path: sourceDir, Input: "source"}},
			Outputs: []string{"kconfig"},
		},
		Inputs:  []action.Input{{Name: "toolchain", Artifact: a.Toolchain.Artifact}, {Name: "source", Artifact: a.Source.Artifact}},
		Outputs: []action.Output{{Name: "kconfig", Kind: action.Tree}},
	})
	if err != nil {
		return nil, err
	}
	return act.Output("kconfig"), nil
}

// merge makes the seed of conf and the list of requests.
func (a *configArgs) merge(c *schema.Call, p mergeParams) (*action.Action, error) {
	inputs := []action.Input{{Name: "source", Artifact: a.Source.Artifact}}
	if base, ok := a.Base.(*schema.Artifact); ok {
		inputs = append(inputs, action.Input{Name: "base", Artifact: base.Artifact})
	}
	for i, f := range a.Fragments {
		inputs = append(inputs, action.Input{Name: fmt.Sprintf("fragments[%d]", i), Artifact: f.Artifact})
	}
	return c.Action(action.Spec{
		Op: mergeOp, Title: a.Name + " requests", Params: p, Inputs: inputs,
		Outputs: []action.Output{{Name: "seed", Kind: action.File}, {Name: "requests", Kind: action.File}},
	})
}

// conf runs the tree's own conf on a seed; the output is a .config.
func (a *configArgs) conf(c *schema.Call, title string, tools, seed *action.Artifact) (*action.Artifact, error) {
	act, err := c.Action(action.Spec{
		Op: action.Exec, Title: title, Quick: true,
		Params: action.Command{
			Argv: []string{"/bin/sh", "-euc", runScript}, Root: []string{"toolchain"}, Env: makeEnv(a.Arch),
			Mounts: []action.Mount{
				{Path: sourceDir, Input: "source"}, {Path: action.InputDir + "/kconfig", Input: "kconfig"},
				{Path: action.InputDir + "/seed", Input: "seed"},
			},
			Outputs: []string{".config"},
		},
		Inputs: []action.Input{
			{Name: "toolchain", Artifact: a.Toolchain.Artifact}, {Name: "source", Artifact: a.Source.Artifact},
			{Name: "kconfig", Artifact: tools}, {Name: "seed", Artifact: seed},
		},
		Outputs: []action.Output{{Name: "config", Kind: action.File}},
	})
	if err != nil {
		return nil, err
	}
	return act.Output("config"), nil
}

// explain compares the requests with what conf made of them.
func (a *configArgs) explain(c *schema.Call, tools *action.Artifact, merged *action.Action, config *action.Artifact) (*action.Action, error) {
	return c.Action(action.Spec{
		Op: explainOp, Title: a.Name + " explanation",
		Inputs: []action.Input{
			{Name: "source", Artifact: a.Source.Artifact}, {Name: "kconfig", Artifact: tools}, {Name: "config", Artifact: config},
			{Name: "seed", Artifact: merged.Output("seed")}, {Name: "requests", Artifact: merged.Output("requests")},
		},
		Outputs: []action.Output{{Name: "report", Kind: action.File}, {Name: "seed", Kind: action.File}},
	})
}
