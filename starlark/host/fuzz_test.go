package host_test

import (
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/labstar/labstar/starlark/host"
)

// FuzzLoad evaluates any source: it never panics, ends within its limits, and
// what is wrong has a rendering and a position.
func FuzzLoad(f *testing.F) {
	files, _ := filepath.Glob("testdata/*/*.star")
	for _, name := range files {
		if b, err := os.ReadFile(name); err == nil && len(b) < 4000 {
			f.Add(string(b))
		}
	}
	for _, s := range []string{
		"x = [1][0]", "x = 'a' * 10", "def f(a, *b, c = 1, **d): return a\nf(1, 2, c = 3, e = 4)",
		"compile(text('x'), **{'a': 1})", "x = '%s' % (1,)", "load('lab.star', 'x')", "x = {1: 2}[1]", "'a'.join(['b'])",
		"x = (lambda y: y)(1, 2)", "[x for x in range(3) if x % 2]", "compile(", "x\t=\r\n1", "\xff", "if 1:\n x = 2\nelse:\n x *= 3",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, src string) {
		cfg := config(map[string]string{"lab.star": src})
		cfg.Limits = host.Limits{Steps: 20_000, Time: 2 * time.Second, Memory: 64 << 20}
		start := time.Now()
		_, err := host.Load(t.Context(), cfg, "lab.star")
		if took := time.Since(start); took > 8*time.Second {
			t.Errorf("it took %v", took)
		}
		if err == nil {
			return
		}
		var es host.Errors
		if !errors.As(err, &es) || len(es) == 0 {
			t.Fatalf("got %T, want host.Errors", err)
		}
		for _, e := range es {
			if e.File == "" || e.Msg == "" || e.Error() == "" {
				t.Errorf("got %+v, want a file and a message", e)
			}
			if e.Line < 0 || e.Line > 0 && (e.Col < 0 || e.EndCol < e.Col) {
				t.Errorf("got the span %d:%d-%d of %q", e.Line, e.Col, e.EndCol, e.Msg)
			}
		}
	})
}
