package fake

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

var _ sandbox.Runner = (*Runner)(nil)

func TestRun(t *testing.T) {
	dir := t.TempDir()
	for name, content := range map[string]string{"in/main.c": "int", "root/etc/conf": "conf", "build/src": "source"} {
		if err := os.MkdirAll(filepath.Join(dir, filepath.Dir(name)), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o444); err != nil {
			t.Fatal(err)
		}
	}
	r := &Runner{Func: func(c *Command) int {
		var all []byte
		for _, name := range []string{"/in/main.c", "/etc/conf", "src"} {
			b, err := c.ReadFile(name)
			if err != nil {
				return c.Exit(err)
			}
			all = append(all, b...)
		}
		if err := c.WriteFile("/in/main.c", nil); err == nil {
			return c.Exit(errors.New("an input was writable"))
		}
		all = append(all, c.Arg(1)+c.Getenv("A")...)
		return c.Exit(c.WriteFile("out/all", all))
	}}
	var out bytes.Buffer
	spec := &sandbox.Spec{
		Root: []string{filepath.Join(dir, "root")}, Build: []string{filepath.Join(dir, "build")}, Scratch: t.TempDir(),
		Inputs: []sandbox.Mount{{Source: filepath.Join(dir, "in"), Target: "/in"}},
		Argv:   []string{"cc", "-c"}, Env: []string{"A=1"}, Output: &out,
	}
	res, err := r.Run(t.Context(), spec)
	if err != nil || res.ExitCode != 0 {
		t.Fatal(err, out.String())
	}
	p, err := sandbox.Collect(spec, res, "out/all")
	if err != nil {
		t.Fatal(err)
	}
	if b, err := os.ReadFile(p); err != nil || string(b) != "intconfsource-c1" {
		t.Errorf("got %q, %v", b, err)
	}
	if r.Runs() != 1 {
		t.Errorf("got %d runs, want 1", r.Runs())
	}
}

func TestEnds(t *testing.T) {
	r := &Runner{Func: func(c *Command) int { <-c.Done(); return 0 }}
	res, err := r.Run(t.Context(), &sandbox.Spec{Argv: []string{"x"}, Scratch: t.TempDir(), Timeout: time.Millisecond})
	if err != nil || !res.TimedOut {
		t.Errorf("got %+v, %v, want a timeout", res, err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
	defer cancel()
	if _, err := r.Run(ctx, &sandbox.Spec{Argv: []string{"x"}, Scratch: t.TempDir()}); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got %v, want the context's error", err)
	}
	if err := r.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := r.Run(t.Context(), &sandbox.Spec{Argv: []string{"x"}}); err == nil {
		t.Error("got no error from a closed runner")
	}
}
