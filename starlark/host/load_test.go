package host_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"testing/fstest"

	"go.starlark.net/starlark"

	"github.com/labstar/labstar/action"
	"github.com/labstar/labstar/starlark/host"
	"github.com/labstar/labstar/starlark/schema"
)

func TestModules(t *testing.T) {
	var printed []string
	cfg := config(map[string]string{
		"labs/lab.star":     `load("lib/a.star", "a"); load("//top.star", "top"); load("lib/b.star", "b"); load("@stdlib//web.star", "web"); x = [a, top, b, web]`,
		"labs/lib/a.star":   `load("b.star", "b"); load("../../top.star", "top"); a = ["a", b, top]`,
		"labs/lib/b.star":   `print("b is evaluated"); b = "b"`,
		"top.star":          `top = "top"`,
		"labs/unused.star":  `fail("not loaded")`,
		"labs/lib/web.star": `fail("not this one")`,
	})
	cfg.Stdlib = fstest.MapFS{
		"web.star":      {Data: []byte(`load("lib/c.star", "c"); load("@stdlib//lib/d.star", "d"); web = [c, d]`)},
		"lib/c.star":    {Data: []byte(`c = "c"`)},
		"lib/d.star":    {Data: []byte(`load("//lib/c.star", "c"); d = "d" + c`)},
		"lib/other.txt": {Data: []byte(`x`)},
	}
	cfg.Print = func(s string) { printed = append(printed, s) }
	mod, err := host.Load(t.Context(), cfg, "labs/lab.star")
	if err != nil {
		t.Fatal(err)
	}
	if got, want := mod.Global("x").String(), `[["a", "b", "top"], "top", "b", ["c", "dc"]]`; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	if len(printed) != 1 {
		t.Errorf("got %q, want b evaluated once", printed)
	}
	var names []string
	for _, m := range mod.Modules {
		names = append(names, m.Path)
	}
	want := "labs/lib/b.star top.star labs/lib/a.star @stdlib//lib/c.star @stdlib//lib/d.star @stdlib//web.star labs/lab.star"
	if got := strings.Join(names, " "); got != want {
		t.Errorf("got modules %s, want %s", got, want)
	}
	if mod.Modules[1].Digest != action.Of([]byte(`top = "top"`)) {
		t.Error("the digest of top.star is not that of its content")
	}
	if g := mod.Globals[0]; g.Name != "x" || g.Site.Line != 1 || g.Site.File != "labs/lab.star" || !g.Public() {
		t.Errorf("got global %+v", g)
	}
}

func TestLoadErrors(t *testing.T) {
	for _, c := range []struct{ src, want string }{
		{`load("../x.star", "x")`, "leads out of the tree"},
		{`load("/etc/x.star", "x")`, "absolute path"},
		{`load("", "x")`, "empty module name"},
		{`load("@stdlib//../x.star", "x")`, "malformed module name"},
		{`load("@stdlib//wbe.star", "x")`, `no module @stdlib//wbe.star (did you mean "@stdlib//web.star"?)`},
		{`load("@github.com/x/y//z.star", "x")`, "not available here"},
		{`load("sub", "x")`, "no regular file"},
		{`load("libb.star", "x")`, `did you mean "lib.star"?`},
		{`load("lib.star", "y")`, `lib.star has no "y"`},
		{`load("lib.star", "_hidden")`, "underscore"},
		{`load("lib.star", l = "x"); l.append(1)`, "frozen list"},
	} {
		t.Run(c.src, func(t *testing.T) {
			cfg := config(map[string]string{"lab.star": c.src, "lib.star": "x = []\n_hidden = 1", "sub/x.star": ""})
			cfg.Stdlib = fstest.MapFS{"web.star": {Data: []byte("web = 1")}}
			_, err := host.Load(t.Context(), cfg, "lab.star")
			var es host.Errors
			if !errors.As(err, &es) || !strings.Contains(err.Error(), c.want) || es[0].Line != 1 {
				t.Errorf("got %v, want %q on line 1", err, c.want)
			}
		})
	}
	if _, err := host.Load(t.Context(), config(map[string]string{"lab.star": ""}), "lob.star"); err == nil || !strings.Contains(err.Error(), `no such script (did you mean "lab.star"?)`) {
		t.Errorf("got %v", err)
	}
	if _, err := host.Load(t.Context(), config(nil), "../lab.star"); err == nil {
		t.Error("got no error for a script outside of the tree")
	}
}

func TestRemote(t *testing.T) {
	calls := 0
	cfg := config(map[string]string{
		"lab.star": `load("@example.com/lib//web/page.star", "page"); load("@example.com/lib//web/page.star", p2 = "page"); x = page`,
	})
	cfg.Remote = func(_ context.Context, spec string) (fs.FS, string, error) {
		calls++
		if spec != "@example.com/lib//web/page.star" {
			return nil, "", fmt.Errorf("no module %s", spec)
		}
		return fstest.MapFS{
			"web/page.star": {Data: []byte(`load("../base.star", "base"); page = base + file("logo.txt")`)},
			"base.star":     {Data: []byte(`base = "base "`)},
			"web/logo.txt":  {Data: []byte(`logo`)},
		}, "web/page.star", nil
	}
	mod, err := host.Load(t.Context(), cfg, "lab.star")
	if err != nil {
		t.Fatal(err)
	}
	if calls != 1 {
		t.Errorf("got %d calls, want 1", calls)
	}
	if got := mod.Modules[0].Path; got != "@example.com/lib//base.star" {
		t.Errorf("got %s", got)
	}
	if got := mod.Files[0].Path; got != "@example.com/lib//web/logo.txt" {
		t.Errorf("got %s", got)
	}
}

// A symlink must not lead out of the tree, neither for modules nor for files.
func TestSymlinks(t *testing.T) {
	out, dir := t.TempDir(), t.TempDir()
	write(t, filepath.Join(out, "secret.star"), "x = 1")
	write(t, filepath.Join(dir, "real", "lib.star"), "x = file('data.txt')")
	write(t, filepath.Join(dir, "real", "data.txt"), "data")
	link(t, filepath.Join(out, "secret.star"), filepath.Join(dir, "secret.star"))
	link(t, out, filepath.Join(dir, "out"))
	link(t, "real", filepath.Join(dir, "alias"))
	link(t, "loop", filepath.Join(dir, "loop"))
	for src, want := range map[string]string{
		`load("secret.star", "x")`:     "out of the tree",
		`load("out/secret.star", "x")`: "out of the tree",
		`load("loop", "x")`:            "too many symlinks",
		`x = file("out/secret.star")`:  "out of the tree",
		`x = file("../x")`:             "leads out of the tree",
		`x = glob("out")`:              "out of the tree",
		`load("alias/lib.star", "x")`:  "",
		`x = file("alias/data.txt")`:   "",
	} {
		write(t, filepath.Join(dir, "lab.star"), src)
		cfg := config(nil)
		cfg.FS = os.DirFS(dir)
		_, err := host.Load(t.Context(), cfg, "lab.star")
		if (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v, want %q", src, err, want)
		}
	}
}

func TestErrorJSON(t *testing.T) {
	_, err := load(t, "def f():\n  compile(text('x'), optoins = 1)\nf()\n")
	b, jerr := json.Marshal(err)
	if jerr != nil {
		t.Fatal(jerr)
	}
	var got []map[string]any
	if err := json.Unmarshal(b, &got); err != nil {
		t.Fatal(err)
	}
	delete(got[0], "stack")
	want := []map[string]any{{
		"file": "lab.star", "line": 2.0, "col": 22.0, "endcol": 29.0, "builtin": "compile", "arg": "optoins",
		"message": `compile: unknown argument "optoins" (did you mean "options"?)`,
		"source":  "  compile(text('x'), optoins = 1)",
	}}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got %s", b)
	}
	if !strings.Contains(string(b), `"stack":[{"file":"lab.star","line":3,"col":1,"func":"\u003ctoplevel\u003e"}]`) {
		t.Errorf("got %s, want the stack in it", b)
	}
}

// An action knows its line, and the host the source of that.
func TestErrorAt(t *testing.T) {
	mod, err := load(t, "def f(x):\n  return compile(x)\n\nimage = f(text('x'))\n")
	if err != nil {
		t.Fatal(err)
	}
	a := mod.Global("image").(*schema.Artifact)
	got := host.Errors{mod.ErrorAt(a.Action.Site, "compile failed")}.Error()
	want := "lab.star:2:10: compile failed\n     2 |   return compile(x)\n       |          ^^^^^^^\n  called from lab.star:4:9"
	if got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

// Control characters of a script don't reach the terminal.
func TestRenderControl(t *testing.T) {
	_, err := load(t, "x = compile('\x1b[31mred', \"a\x1bb\")\nfail('\x1b]0;title\x07')")
	if err == nil || strings.ContainsAny(err.Error(), "\x1b\x07") {
		t.Errorf("got %q, want no escape characters", err)
	}
}

func write(t *testing.T, name, content string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(name, []byte(content), 0o644); err != nil {
		t.Fatal(err)
	}
}

func link(t *testing.T, target, name string) {
	t.Helper()
	if err := os.Symlink(target, name); err != nil {
		t.Fatal(err)
	}
}

// Evaluations share builtins and nothing else.
func TestParallelLoads(t *testing.T) {
	cfg := config(map[string]string{"lab.star": "load('lib.star', 'f')\nx = [f(i) for i in range(200)]\n", "lib.star": "def f(i):\n  return compile(text('%d' % i), options = {'N': i})\n"})
	digests := make(chan action.Digest)
	for range 8 {
		go func() {
			mod, err := host.Load(t.Context(), cfg, "lab.star")
			if err != nil {
				t.Error(err)
				digests <- action.Digest{}
				return
			}
			list := mod.Global("x").(*starlark.List)
			digests <- list.Index(199).(*schema.Artifact).Action.Definition()
		}()
	}
	first := <-digests
	for range 7 {
		if d := <-digests; d != first {
			t.Errorf("got definitions %v and %v, want the same", d, first)
		}
	}
}
