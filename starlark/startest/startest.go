// Package startest runs tests written in Starlark: those of the recipes in
// stdlib, of a lab, and of builtins, by embedders too.
//
// There are two kinds of files. In *_test.star every function test_… is a test;
// it uses the module assert:
//
//	load("web.star", "page")
//
//	def test_title():
//	    assert.eq(page("x").title, "x")
//	    assert.fails(lambda: page(3), "got int, want string")
//
// Any other file is cut into chunks at lines that are "---". Each is evaluated
// by itself and must fail exactly where a comment says so:
//
//	busybox("src", optoins = {}) ### "unknown argument .* did you mean .options"
//	---
//	x = busybox(3)               ### "got int, want string"
package startest

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"path"
	"strings"
	"time"

	"go.starlark.net/starlark"

	"github.com/labstar/labstar/action"
	"github.com/labstar/labstar/starlark/host"
)

// Result is what came of one test: a function, or a chunk.
type Result struct {
	File    string
	Name    string   // "test_title", or "chunk 12" with the line it starts at
	Err     error    // nil if it passed
	Output  []string // what it printed
	Elapsed time.Duration
}

// T is what Run needs of *testing.T, which it is: named here, so that a program that
// runs recipes' tests does not have the package testing in it.
type T[Sub any] interface {
	Helper()
	Context() context.Context
	Fatal(...any)
	Fatalf(string, ...any)
	Error(...any)
	Log(...any)
	Run(string, func(Sub)) bool
}

// Run runs the test files in fsys whose path or base name matches the pattern,
// each test as a subtest of t, a *testing.T. It fails if there are none.
func Run[TB T[TB]](t TB, cfg host.Config, fsys fs.FS, pattern string) {
	t.Helper()
	results, err := Files(t.Context(), cfg, fsys, pattern)
	if err != nil {
		t.Fatal(err)
	}
	if len(results) == 0 {
		t.Fatalf("no tests in files that match %q", pattern)
	}
	for _, r := range results {
		t.Run(r.File+"/"+r.Name, func(t TB) {
			for _, line := range r.Output {
				t.Log(line)
			}
			if r.Err != nil {
				t.Error(r.Err)
			}
		})
	}
}

// Files runs the test files in fsys whose path or base name matches the
// pattern, such as "*_test.star". The error is about finding them; a test that
// failed is in its Result.
func Files(ctx context.Context, cfg host.Config, fsys fs.FS, pattern string) ([]Result, error) {
	var results []Result
	err := fs.WalkDir(fsys, ".", func(p string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		whole, err := path.Match(pattern, p)
		if err != nil {
			return fmt.Errorf("malformed pattern %q: %w", pattern, err)
		}
		if base, _ := path.Match(pattern, path.Base(p)); !whole && !base {
			return nil
		}
		if strings.HasSuffix(p, "_test.star") {
			results = append(results, Functions(ctx, cfg, fsys, p)...)
			return nil
		}
		src, err := fs.ReadFile(fsys, p)
		if err != nil {
			return err
		}
		results = append(results, Chunks(ctx, cfg, fsys, p, src)...)
		return nil
	})
	return results, err
}

// Functions runs the functions test_… of one file, in their order. A file that
// can't be evaluated is one failed result.
func Functions(ctx context.Context, cfg host.Config, fsys fs.FS, file string) []Result {
	start := time.Now()
	tests, out, err := evaluate(ctx, cfg, fsys, file)
	if err != nil {
		return []Result{{File: file, Name: "load", Err: err, Output: out, Elapsed: time.Since(start)}}
	}
	var results []Result
	for _, t := range tests {
		results = append(results, t.Run(ctx))
	}
	return results
}

// Test is a function test_… of a file.
type Test struct {
	File string
	Name string
	Site action.Frame // where it is defined
	Run  func(context.Context) Result
}

// Tests evaluates one file and returns its functions test_…, in their order. It is
// an error if there are none.
func Tests(ctx context.Context, cfg host.Config, fsys fs.FS, file string) ([]Test, error) {
	tests, _, err := evaluate(ctx, cfg, fsys, file)
	return tests, err
}

// evaluate is Tests, and tells what was printed if that fails.
func evaluate(ctx context.Context, cfg host.Config, fsys fs.FS, file string) ([]Test, []string, error) {
	var out []string
	cfg = configure(cfg, fsys, &out)
	mod, err := host.Load(ctx, cfg, file)
	if err != nil {
		return nil, out, err
	}
	var tests []Test
	for _, g := range mod.Globals {
		fn, ok := g.Value.(starlark.Callable)
		if !ok || !strings.HasPrefix(g.Name, "test_") {
			continue
		}
		tests = append(tests, Test{file, g.Name, g.Site, func(ctx context.Context) Result {
			out = nil
			start := time.Now()
			_, err := mod.Call(ctx, fn)
			return Result{File: file, Name: g.Name, Err: err, Output: out, Elapsed: time.Since(start)}
		}})
	}
	if len(tests) == 0 {
		return nil, out, errors.New(file + " has no functions named test_…: add one, or end the file's name otherwise")
	}
	return tests, out, nil
}

// configure adds assert and gathers what is printed.
func configure(cfg host.Config, fsys fs.FS, out *[]string) host.Config {
	cfg.FS = fsys
	globals := starlark.StringDict{"assert": assert}
	maps.Copy(globals, cfg.Globals)
	cfg.Globals = globals
	show := cfg.Print
	cfg.Print = func(msg string) {
		*out = append(*out, msg)
		if show != nil {
			show(msg)
		}
	}
	return cfg
}
