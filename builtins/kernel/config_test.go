package kernel

import (
	"encoding/json"
	"strings"
	"testing"

	"go.starlark.net/starlark"

	"github.com/labstar/labstar/action"
	"github.com/labstar/labstar/internal/buildtest"
	"github.com/labstar/labstar/internal/format/kconfig"
	"github.com/labstar/labstar/starlark/schema"
)

// source is a kernel's source as far as a configuration reads it.
var source = map[string]buildtest.Node{
	"Makefile":                          {Text: "# SPDX\nVERSION = 6\nPATCHLEVEL = 12\nSUBLEVEL = 107\n"},
	"kernel/configs/tiny.config":        {Text: "CONFIG_KERNEL_XZ=y\nCONFIG_SLOB=y\n"},
	"kernel/configs/tiny-base.config":   {Text: "CONFIG_EXPERT=y\n"},
	"arch/x86/configs/tiny.config":      {Text: "CONFIG_UNWINDER_GUESS=y\n"},
	"arch/x86/configs/x86_64_defconfig": {Text: "CONFIG_NET=y\nCONFIG_USB=m\nCONFIG_NET=m\n"},
	"arch/arm64/configs/defconfig":      {Text: "CONFIG_ARM64=y\n"},
	"Kconfig": {Text: `config NET
	bool "Networking"
config BRIDGE
	bool "bridge"
	depends on NET
config OVERLAY_FS
	bool "overlay"
config START
	hex "start"
config ASYNC
	def_bool $(success,true)
`},
}

// tools is what config_tools.sh makes, as far as an explanation reads it.
var tools = map[string]buildtest.Node{
	"env": {Text: "export ARCH='x86_64'\nexport SRCARCH='x86'\n"}, "probes": {},
}

// merge runs mergeOp and returns its outputs.
func merge(t *testing.T, p mergeParams, fragments ...string) (seed, requests string, err error) {
	t.Helper()
	lab := buildtest.New(t)
	spec := action.Spec{
		Op: mergeOp, Params: p, Inputs: []action.Input{{Name: "source", Artifact: lab.Tree(source).Artifact}},
		Outputs: []action.Output{{Name: "seed", Kind: action.File}, {Name: "requests", Kind: action.File}},
	}
	for i, f := range fragments {
		name := "fragments[" + string(rune('0'+i)) + "]"
		if p.Base == "" && i == 0 {
			name = "base"
		}
		spec.Inputs = append(spec.Inputs, action.Input{Name: name, Artifact: lab.File(f).Artifact})
	}
	a, err := lab.Scope().Action(spec)
	if err != nil {
		t.Fatal(err)
	}
	d, err := lab.TryBuild(schema.NewArtifact(a.Output("seed"), "file", nil))
	if err != nil {
		return "", "", err
	}
	return string(lab.Blob(d)), lab.Text(schema.NewArtifact(a.Output("requests"), "file", nil)), nil
}

func TestMerge(t *testing.T) {
	profile := map[string]string{"p": "CONFIG_A=y\nCONFIG_NEW=y {from 6.13}\nCONFIG_OLD=y {until 6.11}\nCONFIG_NOW=y {from 6.12, until 6.12, x86_64}\nCONFIG_ARM=y {arm64}\n# CONFIG_NO is not set\n"}
	for _, tc := range []struct {
		params    mergeParams
		fragments []string
		seed      string
	}{
		{mergeParams{Arch: "x86_64", Base: "tinyconfig", Options: map[string]string{"KERNEL_XZ": "n", "KERNEL_GZIP": "y"}}, nil,
			"# allnoconfig\nCONFIG_EXPERT=y\nCONFIG_SLOB=y\nCONFIG_UNWINDER_GUESS=y\nCONFIG_KERNEL_GZIP=y\n# CONFIG_KERNEL_XZ is not set\n"},
		{mergeParams{Arch: "x86_64", Base: "allnoconfig", Profiles: profile}, nil,
			"# allnoconfig\nCONFIG_A=y\n# CONFIG_NO is not set\nCONFIG_NOW=y\n"},
		{mergeParams{Arch: "x86_64", Base: "defconfig"}, []string{"# a fragment\nCONFIG_X=m\n"}, "# defconfig\nCONFIG_USB=m\nCONFIG_NET=m\nCONFIG_X=m\n"},
		{mergeParams{Arch: "arm64", Base: "defconfig", Profiles: profile, Options: map[string]string{"A": "n"}}, nil,
			"# defconfig\nCONFIG_ARM64=y\n# CONFIG_A is not set\nCONFIG_ARM=y\n# CONFIG_NO is not set\n"},
		{mergeParams{Arch: "arm64"}, []string{"CONFIG_BASE=y\n# CONFIG_Z is not set\n"}, "# defconfig\nCONFIG_BASE=y\n# CONFIG_Z is not set\n"},
	} {
		if got, _, err := merge(t, tc.params, tc.fragments...); err != nil || got != tc.seed {
			t.Errorf("%+v: got %v\n%s\nwant\n%s", tc.params, err, got, tc.seed)
		}
	}
	_, requests, err := merge(t, mergeParams{Arch: "x86_64", Base: "allnoconfig", Options: map[string]string{"A": "n"}, Profiles: profile}, "CONFIG_NET=y\n")
	const want = `[{"name":"A","value":"n","from":"options","maybe":true},{"name":"NET","value":"y","from":"fragments[0] line 1"},` +
		`{"name":"NO","value":"n","from":"profile p"},{"name":"NOW","value":"y","from":"profile p"}]`
	if err != nil || requests != want {
		t.Errorf("got requests %v\n%s\nwant\n%s", err, requests, want)
	}
}

func TestMergeErrors(t *testing.T) {
	for _, tc := range []struct {
		params    mergeParams
		fragments []string
		want      string
	}{
		{mergeParams{Arch: "x86_64", Base: "tinyconf"}, nil, `did you mean "tinyconfig"?`},
		{mergeParams{Arch: "x86_64", Base: "x86_defconfig"}, nil, `did you mean "x86_64_defconfig"?`},
		{mergeParams{Arch: "x86_64", Base: "allnoconfig", Options: map[string]string{"A": "m"}}, []string{"\nCONFIG_A=y\n"},
			`fragments[0] line 2 has A = y, options has "m": drop one`},
		{mergeParams{Arch: "x86_64", Base: "allnoconfig"}, []string{"CONFIG_A=y\n", "# CONFIG_A is not set\n"}, "fragments[0] line 1 has A = y, fragments[1] line 1 has n: drop one"},
		{mergeParams{Arch: "x86_64", Base: "allnoconfig"}, []string{"A=y\n"}, `fragments[0]: line 1: got "A=y", want CONFIG_NAME=value`},
		{mergeParams{Arch: "x86_64", Base: "allnoconfig", Profiles: map[string]string{"p": "CONFIG_A=y\n"}}, []string{"CONFIG_A=m\n"},
			"fragments[0] line 1 has A = m, profile p has y: say which in options"},
	} {
		if _, _, err := merge(t, tc.params, tc.fragments...); err == nil || !strings.Contains(err.Error(), tc.want) {
			t.Errorf("got %v, want %s", err, tc.want)
		}
	}
}

// check runs explainOp and configCheckOp on what conf is said to have made of
// requests, and of the seed with what the explanation adds.
func check(t *testing.T, requests, config, checked string) (string, error) {
	t.Helper()
	lab := buildtest.New(t)
	file := func(s string) *action.Artifact { return lab.File(s).Artifact }
	explained, err := lab.Scope().Action(action.Spec{
		Op: explainOp,
		Inputs: []action.Input{
			{Name: "source", Artifact: lab.Tree(source).Artifact}, {Name: "kconfig", Artifact: lab.Tree(tools).Artifact},
			{Name: "config", Artifact: file(config)}, {Name: "seed", Artifact: file("# allnoconfig\nCONFIG_BRIDGE=y\n")}, {Name: "requests", Artifact: file(requests)},
		},
		Outputs: []action.Output{{Name: "report", Kind: action.File}, {Name: "seed", Kind: action.File}},
	})
	if err != nil {
		t.Fatal(err)
	}
	seed := lab.Text(schema.NewArtifact(explained.Output("seed"), "file", nil))
	act, err := lab.Scope().Action(action.Spec{
		Op: configCheckOp,
		Inputs: []action.Input{
			{Name: "config", Artifact: file(config)}, {Name: "requests", Artifact: file(requests)},
			{Name: "report", Artifact: explained.Output("report")}, {Name: "checked", Artifact: file(checked)},
		},
		Outputs: []action.Output{{Name: "config", Kind: action.File}},
	})
	if err != nil {
		t.Fatal(err)
	}
	_, err = lab.TryBuild(schema.NewArtifact(act.Output("config"), "file", nil))
	return seed, err
}

func TestCheckConfig(t *testing.T) {
	const requests = `[{"name":"BRIDGE","value":"y","from":"options"},{"name":"OVERLAY","value":"y","from":"profile p"},{"name":"GONE","value":"y","from":"profile p","maybe":true}]`
	seed, err := check(t, requests, "# CONFIG_NET is not set\n# CONFIG_OVERLAY_FS is not set\n", "CONFIG_NET=y\nCONFIG_BRIDGE=y\nCONFIG_OVERLAY_FS=y\n")
	const want = `checking kernel options: 2 of 3 did not take effect
  BRIDGE (options): got n, want y: it depends on NET (Kconfig:5; off)
  OVERLAY (profile p): this source has no such option (did you mean "OVERLAY_FS"?)
add these 2, with which conf lets all 2 take effect:
  options = {
      "NET": True,
      "OVERLAY_FS": True,  # and not OVERLAY
  }`
	if err == nil || !strings.HasSuffix(err.Error(), want) {
		t.Errorf("got %v\nwant %s", err, want)
	}
	if want := "# allnoconfig\nCONFIG_BRIDGE=y\nCONFIG_NET=y\nCONFIG_OVERLAY_FS=y\n"; seed != want {
		t.Errorf("got the seed\n%s\nwant\n%s", seed, want)
	}
	if _, err = check(t, requests, "# CONFIG_NET is not set\n", "CONFIG_NET=y\nCONFIG_OVERLAY_FS=y\n"); err == nil ||
		!strings.Contains(err.Error(), "with which conf lets all take effect but BRIDGE:") {
		t.Errorf("where conf says no: got %v", err)
	}
	if seed, err = check(t, `[{"name":"NET","value":"y","from":"options"}]`, "CONFIG_NET=y\n", ""); err != nil || seed != "" {
		t.Errorf("with all in effect: got %v and a seed %q", err, seed)
	}
	if _, err = check(t, `[{"name":"START","value":"4096","from":"options"}]`, "CONFIG_START=4096\n", ""); err == nil || !strings.Contains(err.Error(), `START (options): got 0x4096, want 4096: it is a hex (Kconfig:8): want a string like "0x1000"`) {
		t.Errorf("a number for a hexadecimal option: got %v", err)
	}
	if _, err = check(t, `[{"name":"NOTHING","value":"n","from":"options"}]`, "CONFIG_NET=y\n", ""); err == nil || !strings.Contains(err.Error(), "NOTHING (options): this source has no such option") {
		t.Errorf("an unknown option that is to be off: got %v", err)
	}
	if _, err = check(t, `[{"name":"NOTHING","value":"n","from":"options","maybe":true}]`, "CONFIG_NET=y\n", ""); err != nil {
		t.Errorf("one that a profile knows: got %v", err)
	}
}

func TestOptionValues(t *testing.T) {
	lab := buildtest.New(t)
	tree := lab.Tree(source)
	eval := func(options string) (map[string]string, error) {
		globals, err := lab.TryEval([]*schema.Builtin{KernelConfig}, "c = kernel_config(src, toolchain = src, options = "+options+")", starlark.StringDict{"src": tree})
		if err != nil {
			return nil, err
		}
		var params mergeParams
		var find func(a *action.Artifact)
		find = func(a *action.Artifact) {
			if a.Action.Op == mergeOp {
				if err := json.Unmarshal(a.Action.Params, &params); err != nil {
					t.Fatal(err)
				}
			}
			a.Action.Deps(find)
		}
		find(globals["c"].(*schema.Artifact).Artifact)
		return params.Options, nil
	}
	got, err := eval(`{"EXT4_FS": True, "CONFIG_USB": "m", "HZ": 1000, "START": "0x1000", "LOCALVERSION": "-\"lab", "PM": False}`)
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{"EXT4_FS": "y", "USB": "m", "HZ": "1000", "START": "0x1000", "LOCALVERSION": `"-\"lab"`, "PM": "n"} {
		if got[name] != want {
			t.Errorf("%s: got %s, want %s", name, got[name], want)
		}
	}
	for options, want := range map[string]string{
		`{"A": "y"}`:                    `options["A"]: got the string "y", want True`,
		`{"A": "n"}`:                    `want False`,
		`{"A B": True}`:                 "want letters, digits and '_'",
		`{"A": None}`:                   "got NoneType, want True, False",
		`{"A": True, "CONFIG_A": True}`: "got the option A twice",
		`["A"]`:                         "options: got list, want a dict",
		`{"A": "x\ny"}`:                 "line break",
	} {
		if _, err := eval(options); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v, want %s", options, err, want)
		}
	}
}

// TestProfiles holds the data: every line is read, a profile that is used is
// there, and no two profiles contradict each other.
func TestProfiles(t *testing.T) {
	if len(profileNames()) < 7 {
		t.Errorf("got the profiles %v", profileNames())
	}
	type line struct{ profile, value string }
	all := map[string]line{}
	for _, name := range profileNames() {
		text, err := profileText(name)
		if err != nil {
			t.Fatal(err)
		}
		lines, err := parseProfile(name, text)
		if err != nil {
			t.Fatal(err)
		}
		if !strings.HasPrefix(text, "# ") {
			t.Errorf("%s: want a comment that says what it is for", name)
		}
		own := map[string]bool{}
		for _, l := range lines {
			if l.use != "" {
				if _, err := profileText(l.use); err != nil {
					t.Errorf("%s uses %s: %v", name, l.use, err)
				}
				continue
			}
			if own[l.name] {
				t.Errorf("%s has %s twice", name, l.name)
			}
			own[l.name] = true
			if have, ok := all[l.name]; ok && !kconfig.SameValue(have.value, l.value) {
				t.Errorf("%s has %s = %s, %s has %s", have.profile, l.name, have.value, name, l.value)
			}
			all[l.name] = line{name, l.value}
		}
	}
	for text, want := range map[string]string{
		"CONFIG_A":               `got "CONFIG_A", want CONFIG_NAME=value`,
		"CONFIG_A=y {form 6.1}":  "want from, until, if present or an architecture",
		"CONFIG_A=y {from 6}":    "want one like 6.12",
		"CONFIG_A=y {if absent}": "want from, until, if present",
	} {
		if _, err := parseProfile("p", text); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v, want %s", text, err, want)
		}
	}
}
