package config

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

func write(t *testing.T, root, name, text string) {
	t.Helper()
	p := filepath.Join(root, name)
	if err := os.MkdirAll(filepath.Dir(p), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(p, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

func TestAptMirrors(t *testing.T) {
	root := t.TempDir()
	write(t, root, "etc/apt/sources.list", `# deb http://off.example/debian trixie main
deb [arch=amd64 signed-by=/x] https://one.example/debian/ bookworm main contrib # why
deb https://third.example/apt stable main
deb https://vendor.example/debian cloud main
deb http://sec.example/debian-security trixie-security main
deb https://broken.example/debian [x trixie main
`)
	write(t, root, "etc/apt/sources.list.d/debian.sources", `Types: deb deb-src
# a comment
URIs: https://two.example/debian
 http://three.example/pub/debian
Suites: trixie
 trixie-updates
Components: main

Types: deb
URIs: https://off.example/debian
Suites: trixie
Components: main
Enabled: no

Types: deb
URIs: cdrom:[x]/debian
Suites: trixie
Components: main
`)
	write(t, root, "etc/apt/sources.list.d/x.list.save", "deb https://saved.example/debian trixie main\n")
	got := aptMirrors(root)
	want := []string{"https://one.example/debian", "https://two.example/debian", "http://three.example/pub/debian"}
	if !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
	if got := aptMirrors(t.TempDir()); len(got) != 0 {
		t.Errorf("got %q on a machine without apt", got)
	}
}

func TestOrder(t *testing.T) {
	root, home := t.TempDir(), t.TempDir()
	vars := map[string]string{}
	get := func(key string) (string, string) {
		t.Helper()
		c, err := load(func(k string) string { return vars[k] }, home, root)
		if err != nil {
			t.Fatal(err)
		}
		return c.Lookup(key)
	}
	check := func(value, from string) {
		t.Helper()
		if v, f := get("debian.mirror"); v != value || !strings.HasSuffix(f, from) {
			t.Errorf("got %q from %q, want %q from %q", v, f, value, from)
		}
	}
	check("", "")
	write(t, root, "etc/apt/sources.list", "deb http://apt.example/debian trixie main\n")
	check("http://apt.example/debian", "apt sources")
	write(t, home, ".config/labstar/config", "# mine\n\ndebian.mirror = http://file.example/debian http://b.example/debian\nnpm.registry=x\n")
	check("http://file.example/debian http://b.example/debian", "labstar/config")
	vars["LABSTAR_DEBIAN_MIRROR"] = "http://env.example/debian"
	check("http://env.example/debian", "LABSTAR_DEBIAN_MIRROR")
	if v, _ := get("npm.registry"); v != "x" {
		t.Errorf("got %q, want x", v)
	}
	vars["LABSTAR_DEBIAN_IGNORE_EXPIRY"] = "yes"
	if v, _ := get("debian.ignore-expiry"); v != "yes" {
		t.Errorf("got %q, want yes", v)
	}
	write(t, home, ".config/labstar/config", "debian.mirror\n")
	if _, err := load(func(string) string { return "" }, home, root); err == nil || !strings.Contains(err.Error(), "config:1: malformed setting") {
		t.Errorf("got %v", err)
	}
}

func TestNpmSettings(t *testing.T) {
	root, home := t.TempDir(), t.TempDir()
	vars := map[string]string{"TOKEN": "t0ken"}
	check := func(key, value, from string) {
		t.Helper()
		c, err := load(func(k string) string { return vars[k] }, home, root)
		if err != nil {
			t.Fatal(err)
		}
		if v, f := c.Lookup(key); v != value || f != from {
			t.Errorf("%s: got %q from %q, want %q from %q", key, v, f, value, from)
		}
	}
	check("npm.registry", "", "")
	write(t, root, "etc/npmrc", "registry = https://machine.example/\n")
	check("npm.registry", "https://machine.example/", "npm's settings")
	write(t, home, ".npmrc", "; mine\nregistry=\"https://user.example/\"\n@lab:registry=https://lab.example\n//lab.example/:_authToken=${TOKEN}$1\nbroken\n")
	check("npm.registry", "https://user.example/", "npm's settings")
	check("npmrc.@lab:registry", "https://lab.example", "npm's settings")
	check("npmrc.//lab.example/:_authToken", "t0ken$1", "npm's settings")
	vars["npm_config_registry"] = "https://env.example"
	check("npm.registry", "https://env.example", "npm's settings")
	vars["LABSTAR_NPM_REGISTRY"] = "https://own.example"
	check("npm.registry", "https://own.example", "LABSTAR_NPM_REGISTRY")
	write(t, home, "other", "registry=https://other.example\n")
	vars = map[string]string{"npm_config_userconfig": filepath.Join(home, "other")}
	check("npm.registry", "https://other.example", "npm's settings")
}

func FuzzApt(f *testing.F) {
	f.Add("deb [x] https://a/debian trixie main\n")
	f.Add("Types: deb\nURIs: a\n b\n\nEnabled:\n")
	f.Fuzz(func(t *testing.T, s string) {
		parseDeb822(s)
		parseOneLine(s)
	})
}
