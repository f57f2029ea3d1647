package examples

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/labstar/labstar/builtins"
	"github.com/labstar/labstar/starlark/host"
)

var updateMessages = flag.Bool("update-messages", false, "write the messages of mistakes/ instead of comparing them")

// mistakes are thirty manifests with one mistake each.
func mistakes(t testing.TB) []string {
	t.Helper()
	files, err := filepath.Glob("mistakes/*.yaml")
	if err != nil || len(files) != 30 {
		t.Fatalf("got %d files (%v), want 30", len(files), err)
	}
	return files
}

// importing evaluates a script that imports the files.
func importing(t testing.TB, dir, call string) error {
	t.Helper()
	script := filepath.Join(t.TempDir(), "lab")
	if err := os.CopyFS(script, os.DirFS(dir)); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(script, "lab.star"), []byte("manifests = "+call+"\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	_, err := host.Load(t.Context(), host.Config{FS: os.DirFS(script), Builtins: builtins.All()}, "lab.star")
	return err
}

// golden holds a text against that of a file, which -update-messages writes.
func golden(t *testing.T, file, got string) {
	t.Helper()
	if *updateMessages {
		if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

// Each mistake is found, and nothing else: one error, with its line, its caret and its
// remedy, to the letter.
func TestMistakes(t *testing.T) {
	var all strings.Builder
	for _, file := range mistakes(t) {
		name := filepath.Base(file)
		err := importing(t, "mistakes", fmt.Sprintf("k8s_import([%q], k8s_version = \"1.33..1.36\")", name))
		var es host.Errors
		if !errors.As(err, &es) || len(es) != 1 {
			t.Errorf("%s: got %v, want one error", name, err)
		}
		fmt.Fprintf(&all, "%v\n\n", err)
	}
	golden(t, "mistakes/messages.txt", all.String())
}
