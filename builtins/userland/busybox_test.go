package userland

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"go.starlark.net/starlark"

	"github.com/labstar/labstar/action"
	"github.com/labstar/labstar/internal/buildtest"
	"github.com/labstar/labstar/internal/format/kconfig"
	"github.com/labstar/labstar/starlark/schema"
)

func eval(t *testing.T, script string) (starlark.StringDict, error) {
	t.Helper()
	lab := buildtest.New(t)
	empty := lab.Tree(map[string]buildtest.Node{"Makefile": {Text: "all:\n"}})
	return lab.TryEval(Builtins(), script, starlark.StringDict{"src": empty, "tools": empty, "afile": lab.File("x")})
}

// commands returns the Command of each exec action below an artifact, by title.
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

func TestGraph(t *testing.T) {
	globals, err := eval(t, `bb = busybox(src, toolchain = tools, base = "allnoconfig",
    options = {"HTTPD": True, "CONFIG_FEATURE_HTTPD_CGI": False, "FEATURE_HTTPD_PORT_DEFAULT": 8080, "EXTRA_CFLAGS": "-O\"2"})
parts = [bb.binary, bb.config, bb.links]`)
	if err != nil {
		t.Fatal(err)
	}
	cmds := commands(t, globals["bb"].(*schema.Artifact).Artifact, map[string]action.Command{})
	config, ok := cmds["busybox config"]
	if !ok || len(cmds) != 2 {
		t.Fatalf("got commands %v, want busybox config and busybox compile", cmds)
	}
	want := `CONFIG_EXTRA_CFLAGS="-O\"2"
# CONFIG_FEATURE_HTTPD_CGI is not set
CONFIG_FEATURE_HTTPD_PORT_DEFAULT=8080
CONFIG_HTTPD=y
CONFIG_STATIC=y
# CONFIG_TC is not set
`
	if config.Env["FRAGMENT"] != want || config.Env["BASE"] != "allnoconfig" {
		t.Errorf("got fragment\n%s of base %s, want\n%s", config.Env["FRAGMENT"], config.Env["BASE"], want)
	}
	if cmds["busybox compile"].Env["KCONFIG_NOTIMESTAMP"] != "1" {
		t.Error("compile: KCONFIG_NOTIMESTAMP is not set, so the banner would hold the date")
	}
}

func TestBadOptions(t *testing.T) {
	for script, want := range map[string]string{
		`busybox(src, toolchain = tools, options = {"HTTPD": "y"})`:                        `options["HTTPD"]: got the string "y", want True or False`,
		`busybox(src, toolchain = tools, options = {"HT TPD": True})`:                      `want letters, digits and '_'`,
		`busybox(src, toolchain = tools, options = {"HTTPD": None})`:                       `got NoneType, want True, False`,
		`busybox(src, toolchain = tools, options = {"HTTPD": True, "CONFIG_HTTPD": True})`: `got the option HTTPD twice`,
		`busybox(src, toolchain = tools, options = ["HTTPD"])`:                             `options: got list, want a dict`,
		`busybox(src, toolchain = tools, options = {"STATIC": False})`:                     `contradicts static = True`,
		`busybox(src, toolchain = tools, links = ["bin/sh"])`:                              `links[0]: got "bin/sh", want the name of an applet`,
		`busybox(src, toolchain = tools, base = "defconf")`:                                `did you mean "defconfig"?`,
		`busybox(afile, toolchain = tools)`:                                                `want a tree`,
	} {
		_, err := eval(t, script)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s\ngot  %v\nwant %s", script, err, want)
		}
	}
}

// As busybox 1.37 declares them, shortened.
const declared = `config HTTPD
	bool "httpd"
config FEATURE_HTTPD_CGI
	bool "CGI"
	depends on HTTPD && !NOMMU
config FEATURE_HTTPD_PORT_DEFAULT
	int "port"
	depends on HTTPD
`

func TestCheck(t *testing.T) {
	lab := buildtest.New(t)
	config := "CONFIG_STATIC=y\n# CONFIG_HTTPD is not set\n# CONFIG_FEATURE_HTTPD_CGI is not set\n# CONFIG_TC is not set\nCONFIG_WGET=y\n"
	run := func(wanted ...option) (string, error) {
		a, err := lab.Scope().Action(action.Spec{
			Op: checkOp, Params: newCheckParams(wanted),
			Inputs:  []action.Input{{Name: "config", Artifact: lab.File(config).Artifact}, {Name: "kconfig", Artifact: lab.File(declared).Artifact}},
			Outputs: []action.Output{{Name: "config", Kind: action.File}},
		})
		if err != nil {
			t.Fatal(err)
		}
		d, err := lab.TryBuild(schema.NewArtifact(a.Output("config"), "file", nil))
		if err != nil {
			return "", err
		}
		return string(lab.Blob(d)), nil
	}
	if got, err := run(option{Name: "STATIC", Value: "y"}, option{Name: "HTTPD", Value: "n"}, option{Name: "GONE", Value: "n", Recipe: true}); err != nil || got != config {
		t.Errorf("got %q, %v, want the configuration passed on", got, err)
	}
	_, err := run(option{Name: "FEATURE_HTTPD_CGI", Value: "y"}, option{Name: "HTTPDD", Value: "y"}, option{Name: "WGET", Value: "n"}, option{Name: "STATIC", Value: "y"})
	if err == nil {
		t.Fatal("got no error for options that did not take effect")
	}
	for _, want := range []string{
		"3 of 4 did not take effect",
		"FEATURE_HTTPD_CGI: got n, want y: it depends on HTTPD (off)",
		`HTTPDD: this busybox has no such option (did you mean "HTTPD"?)`,
		"WGET: got y, want n",
	} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("got %v\nwant %s", err, want)
		}
	}
}

func tree(t *testing.T, lab *buildtest.Lab, links *[]string) (action.Digest, error) {
	t.Helper()
	a, err := lab.Scope().Action(action.Spec{
		Op: treeOp, Params: treeParams{Links: links},
		Inputs: []action.Input{{Name: "binary", Artifact: lab.File("\x7fELF program").Artifact},
			{Name: "links", Artifact: lab.File("/bin/sh\n/usr/sbin/httpd\n/sbin/init\n/linuxrc\n/bin/sh\n").Artifact}},
		Outputs: []action.Output{{Name: "tree", Kind: action.Tree}},
	})
	if err != nil {
		t.Fatal(err)
	}
	return lab.TryBuild(schema.NewArtifact(a.Output("tree"), "tree", nil))
}

func TestTree(t *testing.T) {
	lab := buildtest.New(t)
	root, err := tree(t, lab, nil)
	if err != nil {
		t.Fatal(err)
	}
	got := lab.List(root)
	for _, want := range []string{"bin/busybox file 755 0:0 12", "bin/sh symlink 777 0:0 -> busybox", "linuxrc symlink 777 0:0 -> bin/busybox",
		"sbin/init symlink 777 0:0 -> ../bin/busybox", "usr/sbin/httpd symlink 777 0:0 -> ../../bin/busybox"} {
		if !slices.Contains(got, want) {
			t.Errorf("no %q in\n%s", want, strings.Join(got, "\n"))
		}
	}
	const golden = "837bb24a7a2b2206302544fe62f2cae4653b99e711c4df3a896f230ee7a12bf5"
	if root.Hex() != golden {
		t.Errorf("got tree %s, want %s: if that is meant, raise the Version of %s", root.Hex(), golden, treeOp.Name)
	}
	if root, err = tree(t, lab, &[]string{"httpd"}); err != nil || len(lab.List(root)) != 6 {
		t.Errorf("links = [httpd]: got %v, %v", lab.List(root), err)
	}
	if _, err = tree(t, lab, &[]string{"htpd"}); err == nil || !strings.Contains(err.Error(), `did you mean "httpd"?`) {
		t.Errorf("links = [htpd]: got %v", err)
	}
}

func TestFragmentComesBack(t *testing.T) {
	wanted := []option{{Name: "A", Value: "y"}, {Name: "B", Value: "n"}, {Name: "C", Value: kconfig.Quote(`a "b"`)}, {Name: "D", Value: "-5"}}
	got := kconfig.ParseConfig([]byte(fragment(wanted)))
	for _, o := range wanted {
		if got[o.Name] != o.Value {
			t.Errorf("%s: got %s, want %s", o.Name, got[o.Name], o.Value)
		}
	}
}
