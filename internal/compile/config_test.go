//go:build linux

package compile

import (
	"slices"
	"testing"
)

// A configuration header counts by the symbols that are mentioned.
func TestConfigHeader(t *testing.T) {
	setup := func() (*lab, compiler) {
		l, cc := project(t)
		l.src["main.c"] = "#include <a.h>\n#include \"gen.h\"\n#ifdef CONFIG_A\n#endif\nIS_ENABLED(CONFIG_M)\n"
		l.write("include/gen.h", "#define CONFIG_A 1\n#define CONFIG_B 1\n")
		l.round(cc, mainLine...)
		return l, cc
	}
	for text, want := range map[string]byte{
		"/* new */\n#define CONFIG_A 1\n":                              'F',
		"#define CONFIG_A 1\n#define CONFIG_C 5\n#define CONFIG_B 2\n": 'F',
		"#define CONFIG_A 2\n#define CONFIG_B 1\n":                     'K',
		"#define CONFIG_B 1\n":                                         'K',
		"#define CONFIG_A 1\n#define CONFIG_M_MODULE 1\n":              'K',
		"#define CONFIG_A 1\nint x;\n":                                 'K',
	} {
		l, cc := setup()
		l.write("include/gen.h", text)
		if o := l.round(cc, mainLine...); o.end != want {
			t.Errorf("%q: got %c, want %c", text, o.end, want)
		}
	}
	for why, change := range map[string]func(*lab) []string{
		"pastes":     func(l *lab) []string { l.src["b.h"] = "#define X(n) CONFIG_##n\n"; return mainLine },
		"all macros": func(l *lab) []string { return append(slices.Clone(mainLine), "-g3") },
	} {
		l, cc := setup()
		argv := change(l)
		l.round(cc, argv...)
		l.write("include/gen.h", "#define CONFIG_A 1\n#define CONFIG_B 2\n")
		if o := l.round(cc, argv...); o.end != 'K' {
			t.Errorf("%s: got %c, want a miss", why, o.end)
		}
	}
	l, cc := setup()
	argv := append(slices.Clone(mainLine), "-DX=CONFIG_Z")
	l.round(cc, argv...)
	l.write("include/gen.h", "#define CONFIG_A 1\n#define CONFIG_Z 2\n")
	if o := l.round(cc, argv...); o.end != 'K' {
		t.Errorf("mentioned by the command line: got %c, want a miss", o.end)
	}
}
