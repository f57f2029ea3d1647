package kernel

import (
	"encoding/json"
	"maps"
	"slices"
	"strings"
	"testing"

	"go.starlark.net/starlark"

	"github.com/labstar/labstar/action"
	"github.com/labstar/labstar/internal/buildtest"
	"github.com/labstar/labstar/starlark/schema"
)

// evalKernel evaluates a script that has cfg, a configuration of the text for
// arch, and afile.
func evalKernel(t *testing.T, lab *buildtest.Lab, text, arch, script string) (starlark.StringDict, error) {
	t.Helper()
	tree := lab.Tree(map[string]buildtest.Node{"Makefile": {Text: "VERSION = 6\n"}})
	cfg := schema.NewArtifact(lab.File(text).Artifact, "kernel_config", starlark.StringDict{
		"source": tree, "toolchain": tree, "conf": tree, "arch": starlark.String(arch)})
	return lab.TryEval([]*schema.Builtin{Kernel}, script, starlark.StringDict{"cfg": cfg, "afile": lab.File("--- a/x\n"), "tree": tree})
}

// commands gathers the Command of each exec action below an artifact, by title.
func commands(t *testing.T, a *action.Artifact, into map[string]action.Command) map[string]action.Command {
	t.Helper()
	if a.Action.Op == action.Exec {
		var cmd action.Command
		if err := json.Unmarshal(a.Action.Params, &cmd); err != nil {
			t.Fatal(err)
		}
		into[a.Action.Title] = cmd
	}
	a.Action.Deps(func(dep *action.Artifact) { commands(t, dep, into) })
	return into
}

func attr(t *testing.T, v starlark.Value, name string) *action.Artifact {
	t.Helper()
	got, _ := v.(*schema.Artifact).Attr(name)
	a, ok := got.(*schema.Artifact)
	if !ok {
		t.Fatalf("attribute %s: got %v, want an artifact", name, got)
	}
	return a.Artifact
}

func TestKernelGraph(t *testing.T) {
	globals, err := evalKernel(t, buildtest.New(t), "", "arm64", `k = kernel(cfg, name = "lab")
same = k.image == k
arch = k.arch
release = "vmlinuz-" + k.release`)
	if err != nil {
		t.Fatal(err)
	}
	k := globals["k"].(*schema.Artifact)
	cmds := commands(t, k.Artifact, map[string]action.Command{})
	compile, ok := cmds["lab"]
	if _, synced := cmds["lab syncconfig"]; !ok || !synced || len(cmds) != 2 {
		t.Fatalf("got commands %v, want the compilation and what conf makes for it alone: headers don't belong to the image", slices.Sorted(maps.Keys(cmds)))
	}
	if got := compile.Outputs[0]; got != "arch/arm64/boot/Image" {
		t.Errorf("got the image %s", got)
	}
	for name, want := range map[string]string{"ARCH": "arm64", "CROSS_COMPILE": "aarch64-linux-gnu-", "KBUILD_BUILD_USER": "labstar", "KBUILD_BUILD_HOST": "labstar",
		"KBUILD_BUILD_VERSION": "1", "KBUILD_BUILD_TIMESTAMP": "Wed Jan  1 00:00:00 UTC 2020", "KCONFIG_NOTIMESTAMP": "1"} {
		if compile.Env[name] != want {
			t.Errorf("%s: got %q, want %q", name, compile.Env[name], want)
		}
	}
	// Neither the headers nor the configuration wait for the compilation.
	for _, name := range []string{"headers", "config"} {
		if below := commands(t, attr(t, k, name), map[string]action.Command{}); len(below) > 1 || below["lab"].Argv != nil {
			t.Errorf("%s waits for %v", name, slices.Sorted(maps.Keys(below)))
		}
	}
	if globals["same"] != starlark.True || globals["arch"] != starlark.String("arm64") {
		t.Errorf("got image == kernel %v, arch %v", globals["same"], globals["arch"])
	}
}

// An option changes nothing for the headers, and so nothing for a C library.
func TestHeadersDependOnTheSourceAlone(t *testing.T) {
	lab := buildtest.New(t)
	var made []*action.Artifact
	for _, text := range []string{"CONFIG_A=y\n", "CONFIG_B=y\n"} {
		globals, err := evalKernel(t, lab, text, "x86_64", `k = kernel(cfg)`)
		if err != nil {
			t.Fatal(err)
		}
		made = append(made, attr(t, globals["k"], "headers"))
	}
	if !made[0].Equal(made[1]) {
		t.Error("the headers of two configurations are two actions")
	}
}

func TestKernelPatches(t *testing.T) {
	globals, err := evalKernel(t, buildtest.New(t), "", "x86_64", `k = kernel(cfg, patches = [afile])`)
	if err != nil {
		t.Fatal(err)
	}
	k := globals["k"].(*schema.Artifact)
	for _, a := range []*action.Artifact{k.Artifact, attr(t, k, "headers")} {
		i := slices.IndexFunc(a.Action.Inputs, func(in action.Input) bool { return in.Name == "source" })
		if op := a.Action.Inputs[i].Artifact.Action.Op; op == nil || op.Name != "source/patch" {
			t.Errorf("%s: the source is not the patched one", a.Describe())
		}
	}
}

func TestBadKernel(t *testing.T) {
	for script, want := range map[string]string{
		`kernel(tree)`:                    `got a tree, want a kernel_config`,
		`kernel(afile)`:                   `got a file, want a kernel_config`,
		`kernel(cfg, patches = ["x"])`:    `patches[0]: got string, want a file`,
		`kernel(cfg, patch = [])`:         `did you mean "patches"?`,
		`kernel(cfg, signing_key = tree)`: `signing_key: got a tree, want a file`,
	} {
		_, err := evalKernel(t, buildtest.New(t), "", "x86_64", "x = "+script)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v, want %q", script, err, want)
		}
	}
	if _, err := evalKernel(t, buildtest.New(t), "", "sparc", "x = kernel(cfg)"); err == nil || !strings.Contains(err.Error(), "made by kernel_config()") {
		t.Errorf("an unknown architecture: got %v", err)
	}
}

func TestChance(t *testing.T) {
	for _, c := range []struct {
		config string
		key    bool
		want   string // "" for no problem
	}{
		{"CONFIG_MODULES=y\n", false, ""},
		{"CONFIG_RANDSTRUCT_NONE=y\n# CONFIG_RANDSTRUCT is not set\n", false, ""},
		{"CONFIG_RANDSTRUCT=y\n", false, `"RANDSTRUCT_NONE": True`},
		{"CONFIG_GCC_PLUGIN_LATENT_ENTROPY=y\n", false, `"GCC_PLUGIN_LATENT_ENTROPY": False`},
		{"CONFIG_MODULE_SIG_KEY=\"certs/signing_key.pem\"\n", false, `switch MODULE_SIG off, or add options = {"MODULE_SIG_KEY": "/in/signing-key"}`},
		{"CONFIG_MODULE_SIG_KEY=\"certs/signing_key.pem\"\n", true, `signing_key = file("key.pem")`},
		{"CONFIG_MODULE_SIG_KEY=\"/in/signing-key\"\n", false, `no key is given; add signing_key`},
		{"CONFIG_MODULE_SIG_KEY=\"/in/signing-key\"\n", true, ""},
		{"CONFIG_MODULE_SIG_KEY=\"/in/signing-key\"\nCONFIG_MODULE_SIG_KEY_TYPE_ECDSA=y\n", true, `"MODULE_SIG_KEY_TYPE_RSA": True`},
		{"CONFIG_MODULE_SIG_KEY=\"\"\n", false, ""},
		{"CONFIG_MODULE_SIG_KEY=\"\"\n", true, "which the build can't see"},
		{"CONFIG_MODULE_SIG_KEY=\"/keys/key.pem\"\n", false, "which the build can't see"},
		{"CONFIG_MODULES=y\n", true, "signs nothing"},
	} {
		lab := buildtest.New(t)
		globals, err := evalKernel(t, lab, c.config, "x86_64", map[bool]string{false: "k = kernel(cfg)", true: "k = kernel(cfg, signing_key = afile)"}[c.key])
		if err != nil {
			t.Fatal(err)
		}
		checked, _ := globals["k"].(*schema.Artifact).Attr("config")
		_, err = lab.TryBuild(checked)
		switch {
		case c.want == "" && err != nil:
			t.Errorf("%q: %v", c.config, err)
		case c.want == "" && lab.Text(checked) != c.config:
			t.Errorf("%q: got another configuration", c.config)
		case c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)):
			t.Errorf("%q: got %v, want %q", c.config, err, c.want)
		}
	}
}
