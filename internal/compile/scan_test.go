package compile

import (
	"fmt"
	"slices"
	"strings"
	"testing"
)

func TestScan(t *testing.T) {
	f := scan([]byte(`
#include <linux/a.h>
  #  include "b.h" // twice
#include "b.h"
#include_next <c.h>
#if 0
#include <never.h>
#endif
#if __has_include(<d.h>) || __has_include_next ("e.h")
#ifdef CONFIG_ONE
/* CONFIG_TWO, and NOT_CONFIG_THREE */
int x = IS_ENABLED(CONFIG_FOUR_MODULE);
`))
	var got []string
	for _, in := range f.includes {
		got = append(got, fmt.Sprint(in.name, " ", in.quote, in.asked))
	}
	want := []string{"linux/a.h false false", "b.h true false", "c.h false false", "never.h false false", "d.h false true", "e.h true true"}
	if !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
	if want := []string{"FOUR", "ONE", "TWO"}; !slices.Equal(f.symbols, want) || f.pastes || f.computed || f.opaque != "" || f.clock {
		t.Errorf("got %+v, want the symbols %q", f, want)
	}
	for text, check := range map[string]func(*facts) bool{
		"#define X(n) CONFIG_##n":       func(f *facts) bool { return f.pastes },
		"#define X(n) CONFIG_A_ ## n":   func(f *facts) bool { return f.pastes },
		"CAT(CONFIG_, X)":               func(f *facts) bool { return f.pastes },
		"/* CONFIG_* and CONFIG_xxx */": func(f *facts) bool { return !f.pastes },
		"#include MACRO(x)":             func(f *facts) bool { return f.computed },
		"#if __has_include(MACRO)":      func(f *facts) bool { return f.opaque != "" },
		"#ifdef __has_include":          func(f *facts) bool { return f.opaque == "" && !f.computed },
		"x = __TIMESTAMP__":             func(f *facts) bool { return f.opaque != "" },
		"x = __DATE__":                  func(f *facts) bool { return f.clock },
	} {
		if f := scan([]byte(text)); !check(f) {
			t.Errorf("%s: got %+v", text, f)
		}
	}
}

func TestParseConfig(t *testing.T) {
	got, ok := parseConfig([]byte("/*\n * Automatically generated\n */\n#define CONFIG_A 1\n/* one line */\n#define CONFIG_B_MODULE 1\n#define CONFIG_S \"a /* b\"\n#define CONFIG_E\n"))
	if !ok || len(got) != 4 || got["A"] != "\n 1" || got["B_MODULE"] != "\n 1" || got["S"] != "\n \"a /* b\"" || got["E"] != "\n" {
		t.Errorf("got %q, %v", got, ok)
	}
	for _, text := range []string{
		"", "/* nothing */\n", "#define CONFIG_A 1\n#define OTHER CONFIG_A\n", "#define CONFIG_A 1\nint x;\n", "#define CONFIG_A(x) x\n",
		"#define CONFIG_A 1 \\\n", "/* a */ int x; /* b */\n#define CONFIG_A 1\n", "/*\n */ int x;\n#define CONFIG_A 1\n",
		"#define CONFIG_A 1 /* open\nint x; */\n", "/* open\n#define CONFIG_A 1\n", "#ifdef X\n#define CONFIG_A 1\n#endif\n",
	} {
		if got, ok := parseConfig([]byte(text)); ok {
			t.Errorf("%q: got %q, want it refused", text, got)
		}
	}
}

func TestParseDeps(t *testing.T) {
	got, ok := parseDeps("a.o b.o: src/a\\ b.c \\\n  x$$y.h /abs.h\n\nx$$y.h:\n")
	if want := []string{"src/a b.c", "x$y.h", "/abs.h"}; !ok || !slices.Equal(got, want) {
		t.Errorf("got %q, %v, want %q", got, ok, want)
	}
	for _, text := range []string{"", "a.o:\n", "words\n"} {
		if got, ok := parseDeps(text); ok {
			t.Errorf("%q: got %q", text, got)
		}
	}
}

func TestShapeEncoding(t *testing.T) {
	s := &shape{deps: []string{"/in/a.c", "/build/x.h"}, looks: []look{{"", "x.h", "\x02"}, {"/in", "y", ""}}, config: []int{1}, symbols: []string{"A", "B"}}
	b := s.encode()
	got, err := decodeShape(b)
	if err != nil || !slices.Equal(got.deps, s.deps) || !slices.Equal(got.looks, s.looks) || !slices.Equal(got.config, s.config) || !slices.Equal(got.symbols, s.symbols) {
		t.Errorf("got %+v, %v, want %+v", got, err, s)
	}
	for n := range b {
		if _, err := decodeShape(b[:n]); err == nil {
			t.Errorf("%d of %d bytes: got no error", n, len(b))
		}
	}
	if _, err := decodeShape((&shape{deps: s.deps, config: []int{2}}).encode()); err == nil {
		t.Error("got no error for a header that is none of the files")
	}
}

func FuzzScan(f *testing.F) {
	f.Add("#include \"a\"\n#define CONFIG_A 1\n__has_include(<x>)CONFIG_##")
	f.Fuzz(func(t *testing.T, text string) {
		s := scan([]byte(text))
		for _, in := range s.includes {
			if in.name == "" || strings.Contains(in.name, "\n") {
				t.Errorf("got the name %q", in.name)
			}
		}
		if values, ok := parseConfig([]byte(text)); ok {
			for name := range values {
				if !slices.Contains(s.symbols, strings.TrimSuffix(name, "_MODULE")) {
					t.Errorf("got %q, want it among %q", name, s.symbols)
				}
			}
		}
		if values, ok := parseOptions([]byte(text)); ok {
			for name := range values {
				if m := scanOptions([]byte(text)); name != "" && !slices.Contains(append(m.symbols, s.symbols...), strings.TrimSuffix(name, "_MODULE")) {
					t.Errorf("got %q, want it among %q", name, m.symbols)
				}
			}
		}
		_, _ = parseDeps(text)
		_, _ = decodeShape([]byte(text))
	})
}
