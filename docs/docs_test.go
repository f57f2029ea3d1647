package docs

import (
	"bytes"
	"encoding/json"
	"flag"
	"os"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/labstar/labstar/builtins"
	"github.com/labstar/labstar/starlark/host"
	"github.com/labstar/labstar/starlark/schema"
)

var update = flag.Bool("update", false, "write the files instead of comparing them")

// reference is docs/builtins.md: a page for each builtin, by name.
func reference(all []*schema.Builtin) []byte {
	var b bytes.Buffer
	b.WriteString("# The builtins\n\nWritten by `go generate ./docs` from the declarations; " +
		"`labstar docs NAME` prints one page.\nThe language is [Starlark](https://github.com/bazelbuild/starlark/blob/master/spec.md).\n\n")
	for _, x := range all {
		b.WriteString("- [" + x.Name() + "](#" + x.Name() + "): " + x.Summary() + "\n")
	}
	for _, x := range all {
		b.WriteString("\n" + strings.TrimSpace(x.Markdown()) + "\n")
	}
	return b.Bytes()
}

func TestReference(t *testing.T) {
	all := builtins.All()
	slices.SortFunc(all, func(x, y *schema.Builtin) int { return strings.Compare(x.Name(), y.Name()) })
	hints, err := json.MarshalIndent(all, "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string][]byte{"builtins.md": reference(all), "builtins.json": append(hints, '\n')} {
		if *update {
			if err := os.WriteFile(name, want, 0o644); err != nil {
				t.Fatal(err)
			}
			continue
		}
		if got, err := os.ReadFile(name); err != nil || !bytes.Equal(got, want) {
			t.Errorf("%s is not what the declarations say (%v); run go generate ./docs", name, err)
		}
	}
}

// The script in README is one that evaluates.
func TestReadme(t *testing.T) {
	readme, err := os.ReadFile("../README.md")
	if err != nil {
		t.Fatal(err)
	}
	_, rest, ok := strings.Cut(string(readme), "```python\n")
	script, _, closed := strings.Cut(rest, "```")
	if !ok || !closed {
		t.Fatal("README has no script")
	}
	fsys := fstest.MapFS{"lab.star": {Data: []byte(script)}, "www/index.html": {Data: []byte("<h1>hi</h1>")}}
	mod, err := host.Load(t.Context(), host.Config{FS: fsys, Builtins: builtins.All()}, "lab.star")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"tools", "bb", "root", "initrd", "site", "manifests"} {
		if mod.Global(name) == nil {
			t.Errorf("README's script has no %s", name)
		}
	}
}
