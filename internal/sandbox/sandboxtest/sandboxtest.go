// Package sandboxtest is the conformance suite of sandbox.Runner: what holds for
// every implementation, one that runs programs and one that plays them.
//
// The commands of the suite are Go functions of a World. An implementation's test
// says how one of them becomes a command:
//
//	sandboxtest.Run(t, func(t *testing.T, program string, spec *sandbox.Spec) sandbox.Runner {
//		// make spec.Argv run sandboxtest.Programs[program]
//	})
package sandboxtest

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/labstar/labstar/internal/sandbox"
)

// World is what a program of the suite sees.
type World interface {
	Getenv(name string) string
	ReadFile(name string) ([]byte, error)
	WriteFile(name string, b []byte) error
	Print(text string)
	// Wait returns when the program is to end, or never.
	Wait()
}

// Programs are the commands of the suite. They return their exit code.
var Programs = map[string]func(World) int{
	"exit": func(w World) int { return len(w.Getenv("CODE")) },
	"copy": func(w World) int {
		b, err := w.ReadFile(w.Getenv("FROM"))
		if err == nil {
			w.Print(string(b))
			err = w.WriteFile(w.Getenv("TO"), b)
		}
		if err != nil {
			w.Print(err.Error())
			return 1
		}
		return 0
	},
	"wait": func(w World) int {
		w.Print("waiting")
		w.Wait()
		return 0
	},
}

// Prepare makes spec's command the named program and returns the runner for it.
type Prepare func(t *testing.T, program string, spec *sandbox.Spec) sandbox.Runner

// Run runs the suite.
func Run(t *testing.T, prepare Prepare) {
	t.Run("ExitCode", func(t *testing.T) {
		for code, env := range []string{"CODE=", "CODE=x", "CODE=xx"} {
			res, _ := run(t, prepare, "exit", &sandbox.Spec{Env: []string{env}})
			if res.ExitCode != code || res.Signal != "" || res.TimedOut {
				t.Errorf("got %+v, want exit code %d", res, code)
			}
		}
	})
	t.Run("Layers", func(t *testing.T) { layers(t, prepare) })
	t.Run("ReadOnly", func(t *testing.T) { readOnly(t, prepare) })
	t.Run("Build", func(t *testing.T) { build(t, prepare) })
	t.Run("Ends", func(t *testing.T) { ends(t, prepare) })
}

// run runs a program to its end.
func run(t *testing.T, prepare Prepare, program string, spec *sandbox.Spec) (*sandbox.Result, string) {
	t.Helper()
	var out bytes.Buffer
	spec.Output, spec.Scratch = &out, scratch(t)
	res, err := prepare(t, program, spec).Run(t.Context(), spec)
	if err != nil {
		t.Fatal(err)
	}
	return res, out.String()
}

// scratch returns an empty folder. Commands may leave in it what only
// sandbox.RemoveAll can remove.
func scratch(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "labstar-conformance-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := sandbox.RemoveAll(dir); err != nil {
			t.Error(err)
		}
	})
	return dir
}

// files makes a folder of files.
func files(t *testing.T, content map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for name, text := range content {
		at := filepath.Join(dir, name)
		if err := errors.Join(os.MkdirAll(filepath.Dir(at), 0o755), os.WriteFile(at, []byte(text), 0o644)); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// copying is the environment of the program "copy".
func copying(from, to string) []string { return []string{"FROM=" + from, "TO=" + to} }

// layers: a higher folder of the root hides a lower one, an input hides both, and what
// is laid over an input hides the input.
func layers(t *testing.T, prepare Prepare) {
	low := files(t, map[string]string{"data/low": "low", "data/both": "low", "data/in": "low"})
	high := files(t, map[string]string{"data/high": "high", "data/both": "high"})
	in := files(t, map[string]string{"file": "input", "tree/deep/file": "deep"})
	over, top := files(t, map[string]string{"deep/both": "over", "deep/over": "over"}), files(t, map[string]string{"deep/both": "top"})
	for from, want := range map[string]string{
		"/in/laid/deep/file": "deep", "/in/laid/deep/over": "over", "/in/laid/deep/both": "top",
		"/data/low": "low", "/data/high": "high", "/data/both": "high", "/data/in": "input", "/in/new/deep/file": "deep", "/in/file": "input",
	} {
		spec := &sandbox.Spec{Root: []string{low, high}, Env: copying(from, "out"), Inputs: []sandbox.Mount{
			{Source: filepath.Join(in, "file"), Target: "/data/in"}, {Source: filepath.Join(in, "file"), Target: "/in/file"},
			{Source: filepath.Join(in, "tree"), Target: "/in/new"},
			{Source: filepath.Join(in, "tree"), Target: "/in/laid", Over: []string{over, top}},
		}}
		if res, out := run(t, prepare, "copy", spec); res.ExitCode != 0 || out != want {
			t.Errorf("%s: got %q with exit code %d, want %q", from, out, res.ExitCode, want)
		}
	}
}

// readOnly: nothing but the build folder can be written to.
func readOnly(t *testing.T, prepare Prepare) {
	in := files(t, map[string]string{"file": "input"})
	over := files(t, map[string]string{"over": "over"})
	for _, to := range []string{"/in/tree/file", "/in/tree/new", "/in/laid/file", "/in/laid/over", "/in/laid/new", "/data/file", "/new"} {
		spec := &sandbox.Spec{
			Root: []string{files(t, map[string]string{"data/file": "root"})}, Env: copying("/in/tree/file", to),
			Inputs: []sandbox.Mount{{Source: in, Target: "/in/tree"}, {Source: in, Target: "/in/laid", Over: []string{over}}},
		}
		if res, out := run(t, prepare, "copy", spec); res.ExitCode != 1 {
			t.Errorf("%s: got exit code %d, %q, want it refused", to, res.ExitCode, out)
		}
	}
	if b, err := os.ReadFile(filepath.Join(in, "file")); err != nil || string(b) != "input" {
		t.Errorf("the input is now %q, %v", b, err)
	}
}

// build: the build folder starts with a copy, and Collect finds what was left.
func build(t *testing.T, prepare Prepare) {
	low, high := files(t, map[string]string{"a": "old", "same": "same"}), files(t, map[string]string{"a": "a", "dir/b": "b"})
	spec := &sandbox.Spec{Build: []string{low, high}, Env: copying("dir/b", "a")}
	res, out := run(t, prepare, "copy", spec)
	if res.ExitCode != 0 || out != "b" {
		t.Fatalf("got %q with exit code %d", out, res.ExitCode)
	}
	for output, want := range map[string]string{"a": "b", "same": "same", "dir/b": "b"} {
		at, err := sandbox.Collect(spec, res, output)
		if err != nil {
			t.Error(err)
			continue
		}
		if b, err := os.ReadFile(at); err != nil || string(b) != want {
			t.Errorf("output %s: got %q, %v, want %q", output, b, err, want)
		}
	}
	var missing *sandbox.MissingError
	if _, err := sandbox.Collect(spec, res, "none"); !errors.As(err, &missing) {
		t.Errorf("got %v, want a MissingError", err)
	}
	if b, err := os.ReadFile(filepath.Join(high, "a")); err != nil || string(b) != "a" {
		t.Errorf("the folder it started with now holds %q, %v", b, err)
	}
}

// ends: a timeout is a result, an ended context an error, and so is a closed runner.
func ends(t *testing.T, prepare Prepare) {
	res, out := run(t, prepare, "wait", &sandbox.Spec{Timeout: 200 * time.Millisecond})
	if !res.TimedOut || res.ExitCode == 0 || out != "waiting" {
		t.Errorf("got %+v, %q, want a timeout", res, out)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	spec := &sandbox.Spec{Scratch: scratch(t)}
	r := prepare(t, "wait", spec)
	start := time.Now()
	if _, err := r.Run(ctx, spec); !errors.Is(err, context.DeadlineExceeded) || time.Since(start) > time.Second {
		t.Errorf("got %v after %v, want the context's error within a second", err, time.Since(start))
	}
	if err := r.Close(); err != nil {
		t.Fatal(err)
	}
	spec.Scratch = scratch(t)
	if _, err := r.Run(t.Context(), spec); err == nil {
		t.Error("got no error from a closed runner")
	}
}
