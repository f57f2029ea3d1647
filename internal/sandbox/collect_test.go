//go:build unix

package sandbox

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// left makes a build folder that a command without Spec.Build left.
func left(t *testing.T) (*Spec, *Result) {
	t.Helper()
	scratch := t.TempDir()
	upper := filepath.Join(scratch, "build")
	for _, dir := range []string{"out/bin", "empty"} {
		if err := os.MkdirAll(filepath.Join(upper, dir), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	for name, content := range map[string]string{"out/bin/prog": "prog", "out/log": "log", "top": "top"} {
		if err := os.WriteFile(filepath.Join(upper, name), []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	for name, to := range map[string]string{
		"lib": "out", "abs": "/build/out/log", "self": "/build", "etc": "/etc", "up": "..", "in": "out/../top", "dangling": "none", "loop": "loop",
		"sneaky": "/build/../etc/passwd", "deep": "out/bin/../../../../etc/passwd", "near": "/buildings",
	} {
		if err := os.Symlink(to, filepath.Join(upper, name)); err != nil {
			t.Fatal(err)
		}
	}
	return &Spec{Scratch: scratch}, &Result{Upper: upper}
}

func TestCollect(t *testing.T) {
	spec, res := left(t)
	for output, want := range map[string]string{
		"top": "top", "./top": "top", "out/bin/prog": "prog", "lib/log": "log", "abs": "log", "in": "top", "self/out/log": "log", "lib/../top": "top",
	} {
		p, err := Collect(spec, res, output)
		if err != nil {
			t.Errorf("%s: %v", output, err)
			continue
		}
		if b, err := os.ReadFile(p); err != nil || string(b) != want {
			t.Errorf("%s: got %q, %v, want %q", output, b, err, want)
		}
		linked := !strings.HasPrefix(p, res.Upper)
		if wantLinked := strings.ContainsAny(output[:1], "las") && output != "lib/../top" || output == "in"; linked != wantLinked {
			t.Errorf("%s: got %s, want a copy: %v", output, p, wantLinked)
		}
	}
	if p, err := Collect(spec, res, "out"); err != nil || p != filepath.Join(res.Upper, "out") {
		t.Errorf("got %s, %v, want the folder itself", p, err)
	}
	if p, err := Collect(spec, res, "."); err != nil || p != res.Upper {
		t.Errorf("got %s, %v, want the build folder", p, err)
	}
}

func TestCollectRefuses(t *testing.T) {
	spec, res := left(t)
	for output, want := range map[string]string{
		"etc": "etc is a symbolic link to /etc, outside", "etc/passwd": "etc is a symbolic link to /etc, outside",
		"up": "leads out of the build folder", "up/build/top": "leads out", "sneaky": "outside", "deep": "leads out", "near": "outside",
		"../top": "below the build folder", "/top": "below the build folder", "out/../../x": "below the build folder", "": "below the build folder",
		"loop": "too many symbolic links",
	} {
		if p, err := Collect(spec, res, output); err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), `"`+output+`"`) {
			t.Errorf("%s: got %s, %v, want an error with %q", output, p, err, want)
		}
	}
	for output, want := range map[string]MissingError{
		"out/x":        {Folder: "out", Listing: []string{"bin/", "log"}},
		"out/bin/x/y":  {Folder: "out/bin", Listing: []string{"prog"}},
		"out/log/x":    {Folder: "out", Listing: []string{"bin/", "log"}},
		"empty/x":      {Folder: "empty"},
		"dangling":     {Folder: ".", Listing: []string{"abs", "dangling", "deep", "empty/", "etc", "in", "lib", "loop", "near", "out/", "self", "sneaky", "top", "up"}},
		"lib/bin/nope": {Folder: "out/bin", Listing: []string{"prog"}},
	} {
		_, err := Collect(spec, res, output)
		var m *MissingError
		if !errors.As(err, &m) || m.Output != output || m.Folder != want.Folder || !slices.Equal(m.Listing, want.Listing) {
			t.Errorf("%s: got %#v, want %#v", output, err, want)
		}
	}
}

// TestCollectAll takes outputs that overlap, and moves each away.
func TestCollectAll(t *testing.T) {
	spec, res := left(t)
	outputs := []string{"out/bin/prog", "out", "out/log", "abs", "top", "in", "out/bin"}
	paths, err := CollectAll(spec, res, outputs)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	for i, p := range paths {
		if err := os.Rename(p, filepath.Join(dir, strings.ReplaceAll(outputs[i], "/", "-"))); err != nil {
			t.Error(err)
		}
	}
	for name, want := range map[string]string{"out-bin-prog": "prog", "out/bin/prog": "prog", "out-log": "log", "abs": "log", "top": "top", "in": "top", "out-bin/prog": "prog"} {
		if b, err := os.ReadFile(filepath.Join(dir, name)); err != nil || string(b) != want {
			t.Errorf("%s: got %q, %v, want %q", name, b, err, want)
		}
	}
	_, err = CollectAll(spec, res, []string{"none", "dangling"})
	if err == nil || !strings.Contains(err.Error(), `"none"`) {
		t.Errorf("got %v, want an error about none", err)
	}
	spec, res = left(t)
	if _, err = CollectAll(spec, res, []string{"none", "top", "etc"}); err == nil || !strings.Contains(err.Error(), `"none"`) || !strings.Contains(err.Error(), `"etc"`) {
		t.Errorf("got %v, want both failures", err)
	}
}

func TestRemoveAll(t *testing.T) {
	dir := t.TempDir()
	at := filepath.Join(dir, "a/b/c")
	if err := os.MkdirAll(at, 0o755); err != nil {
		t.Fatal(err)
	}
	for _, d := range []string{"a/b/c", "a/b", "a"} {
		if err := os.WriteFile(filepath.Join(dir, d, "f"), nil, 0); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(filepath.Join(dir, d), 0); err != nil {
			t.Fatal(err)
		}
	}
	if err := RemoveAll(filepath.Join(dir, "a")); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Lstat(filepath.Join(dir, "a")); !os.IsNotExist(err) {
		t.Errorf("got %v, want it gone", err)
	}
}
