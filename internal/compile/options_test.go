//go:build linux

package compile

import (
	"slices"
	"strings"
	"testing"

	"github.com/labstar/labstar/action"
)

// on and off are what busybox' configuration says of a symbol.
func on(name string) string {
	return strings.ReplaceAll("#define CONFIG_X 1\n#define ENABLE_X 1\n#ifdef MAKE_SUID\n# define IF_X(...) __VA_ARGS__ \"CONFIG_X\"\n#else\n# define IF_X(...) __VA_ARGS__\n#endif\n#define IF_NOT_X(...)\n", "X", name)
}

func off(name string) string {
	return strings.ReplaceAll("#undef CONFIG_X\n#define ENABLE_X 0\n#define IF_X(...)\n#define IF_NOT_X(...) __VA_ARGS__\n", "X", name)
}

const optionsHead = "/*\n * Automatically generated C config: don't edit\n */\n#define AUTOCONF_TIMESTAMP \"\"\n\n"

func TestParseOptions(t *testing.T) {
	values, ok := parseOptions([]byte(optionsHead + on("A") + "\n/*\n * Part\n */\n" + off("B_C") + "#define CONFIG_PREFIX \"./_install\"\n#define ENABLE_PREFIX 1\n"))
	if !ok || len(values) != 4 || values[""] != "\n define AUTOCONF_TIMESTAMP \"\"" || !strings.Contains(values["A"], "\nMAKE_SUID define IF_A(...) __VA_ARGS__ \"CONFIG_A\"\n!MAKE_SUID define IF_A(...)") ||
		!strings.Contains(values["B_C"], "\n undef CONFIG_B_C\n define ENABLE_B_C 0") || !strings.Contains(values["PREFIX"], "_install") {
		t.Errorf("got %q, %v", values, ok)
	}
	for _, text := range []string{
		"", on("A") + "int x;\n", on("A") + "#include <x.h>\n", on("A") + "#if 1\n#endif\n", on("A") + "#define ENABLE_B \\\n1\n", on("A") + "#ifdef X\n",
		on("A") + "#ifdef ENABLE_B\n#define B 1\n#endif\n", on("A") + "#define Y 1\n#ifdef Y\n#endif\n", on("A") + "#define ENABLE_B \"\" /* open\n", on("A") + "/* open\n",
		on("A") + "#endif\n", on("A") + "#ifdef X\n#else\n#else\n#endif\n", on("A") + "/* a */ int x; /* b */\n", "#define CONFIG_A 1\n",
	} {
		if values, ok := parseOptions([]byte(text)); ok {
			t.Errorf("%q: got %q, want it refused", text, values)
		}
	}
}

func TestScanOptions(t *testing.T) {
	m := scanOptions([]byte("if (ENABLE_A) IF_B(x) IF_NOT_C(y) XENABLE_D /* ENABLE_E */ CONFIG_F"))
	if want := []string{"A", "B", "C", "E", "NOT_C"}; !slices.Equal(m.symbols, want) || m.pastes {
		t.Errorf("got %q, %v, want %q", m.symbols, m.pastes, want)
	}
	for _, text := range []string{"#define X(n) ENABLE_##n", "CAT(IF_, a)", "#define X(n) IF_NOT_ ## n"} {
		if !scanOptions([]byte(text)).pastes {
			t.Errorf("%q: got no paste", text)
		}
	}
}

// Of busybox' configuration header the key has the symbols that a text mentions in
// any form, and what belongs to no symbol.
func TestOptionsHeader(t *testing.T) {
	argv := strings.Fields("gcc -include include/autoconf.h -I/in/src -nostdinc -Wp,-MD,main.d -c -o main.o /in/src/main.c")
	header := optionsHead + on("A") + on("B") + on("C") + on("D")
	setup := func(source string) (*lab, compiler) {
		l := newLab(t)
		l.src["main.c"], l.src["a.h"] = "#include <a.h>\n"+source, "int a = IF_NOT_B(1 +) 2;\n"
		l.write("include/autoconf.h", header)
		cc := compiler{deps: "/in/src/main.c include/autoconf.h /in/src/a.h", object: "o"}
		l.round(cc, argv...)
		return l, cc
	}
	for _, c := range []struct {
		what, text string
		want       byte
	}{
		{"what nobody mentions", strings.Replace(header, on("D"), off("D")+on("E"), 1), 'F'},
		{"an ENABLE_", strings.Replace(header, on("A"), off("A"), 1), 'K'},
		{"an IF_NOT_ in a header", strings.Replace(header, on("B"), off("B"), 1), 'K'},
		{"a CONFIG_", strings.Replace(header, on("C"), "", 1), 'K'},
		{"half of a symbol", strings.Replace(header, "#define ENABLE_A 1\n", "#define ENABLE_A 2\n", 1), 'K'},
		{"another condition", strings.Replace(header, "MAKE_SUID", "MAKE_SGID", 1), 'K'},
		{"what belongs to none", strings.Replace(header, `TIMESTAMP ""`, `TIMESTAMP "now"`, 1), 'K'},
		{"another form", strings.Replace(header, on("D"), "int d;\n", 1), 'K'},
		{"CONFIG_ alone", "#define CONFIG_A 1\n#define CONFIG_B 1\n#define CONFIG_C 1\n", 'K'},
	} {
		l, cc := setup("int x = ENABLE_A;\n#ifdef CONFIG_C\n#endif\n")
		l.write("include/autoconf.h", c.text)
		if o := l.round(cc, argv...); o.end != c.want {
			t.Errorf("%s changed: got %c, want %c", c.what, o.end, c.want)
		}
		l.write("include/autoconf.h", header)
		if o := l.round(cc, argv...); o.end != 'F' {
			t.Errorf("%s changed back: got %c, want a hit", c.what, o.end)
		}
	}
	l, cc := setup("#define X(n) ENABLE_##n\n")
	l.write("include/autoconf.h", strings.Replace(header, on("D"), off("D"), 1))
	if o := l.round(cc, argv...); o.end != 'K' {
		t.Errorf("names that are pasted: got %c, want a miss", o.end)
	}
	// What the toolchain's headers mention counts as well.
	l, _ = setup("#include <stdio.h>\n")
	l.opts = func(o *Options) {
		o.Root = []action.Digest{l.tree(map[string]string{"usr/bin/gcc": "", "usr/include/stdio.h": "#ifdef ENABLE_D\n#endif\n"})}
	}
	cc = compiler{deps: "/in/src/main.c include/autoconf.h /in/src/a.h /usr/include/stdio.h", object: "o"}
	l.round(cc, argv...)
	l.write("include/autoconf.h", strings.Replace(header, on("D"), off("D"), 1))
	if o := l.round(cc, argv...); o.end != 'K' {
		t.Errorf("mentioned by the toolchain: got %c, want a miss", o.end)
	}
}
