package compile

import (
	"slices"
	"strings"
	"testing"
)

// kbuild is a command line of a kernel's build, shortened.
const kbuild = "gcc -Wp,-MMD,init/.main.o.d -nostdinc -I/in/source/arch/x86/include -I./arch/x86/include/generated -I/in/source/include -I./include " +
	"-include /in/source/include/linux/compiler-version.h -include /in/source/include/linux/kconfig.h -D__KERNEL__ -fmacro-prefix-map=/in/source/= " +
	"-Wall -Wundef -std=gnu11 -fshort-wchar -mno-sse -m64 -O2 --param=allow-store-data-races=0 -fno-stack-protector -g0 -Wa,-gdwarf-5 " +
	"-DKBUILD_MODFILE='\"init/main\"' -D KBUILD_BASENAME=CONFIG_X -I /in/source/init -I ./init -c -o init/main.o /in/source/init/main.c"

func TestParseCC(t *testing.T) {
	u, why := parseCC(strings.Fields(kbuild))
	if why != "" {
		t.Fatal(why)
	}
	if u.source != "/in/source/init/main.c" || u.output != "init/main.o" || u.depfile != "init/.main.o.d" || u.sysDeps || !u.nostd || u.mode != 'c' {
		t.Errorf("got %+v", u)
	}
	if len(u.dirs) != 6 || u.dirs[4] != "/in/source/init" || len(u.forced) != 2 || !slices.Contains(u.defines, "KBUILD_BASENAME=CONFIG_X") {
		t.Errorf("got folders %q, forced %q, macros %q", u.dirs, u.forced, u.defines)
	}
	for line, want := range map[string]unit{
		"gcc -c a.c":                                    {output: "a.o"},
		"gcc -c -MD dir/a.c -o dir/b.o":                 {output: "dir/b.o", depfile: "dir/b.d", sysDeps: true},
		"gcc -S a.c":                                    {output: "a.s"},
		"gcc -MMD -MF x.d -MT y -c a.c":                 {output: "a.o", depfile: "x.d"},
		"gcc -isystem s -Ip -iquote q -c a.S -ox.o -g3": {output: "x.o", asm: true, macros: true},
		"gcc -E -P -C -o x.lds x.lds.S":                 {output: "x.lds", asm: true},
		"gcc -c a.s":                                    {output: "a.o", asm: true, raw: true},
	} {
		u, why := parseCC(strings.Fields(line))
		if why != "" {
			t.Errorf("%s: %s", line, why)
			continue
		}
		if u.output != want.output || u.depfile != want.depfile || u.sysDeps != want.sysDeps || u.asm != want.asm || u.raw != want.raw || u.macros != want.macros {
			t.Errorf("%s: got %+v", line, *u)
		}
	}
	u, _ = parseCC(strings.Fields("gcc -isystem s -Ip -iquote q -c a.c"))
	if !slices.Equal(u.dirs, []string{"q", "p", "s"}) || u.quotes != 1 {
		t.Errorf("got %q, %d for quotes", u.dirs, u.quotes)
	}
}

// What is not understood, reads more than is known or writes more than one output passes.
func TestParseCCPasses(t *testing.T) {
	for _, line := range []string{
		"gcc a.o -o a", "gcc -c a.c b.c", "gcc -c -", "gcc -c @args", "gcc -dumpversion", "gcc --version", "gcc -E a.c", "gcc -M a.c", "gcc -MM -c a.c",
		"gcc -c a.c -o -", "gcc -c a.c -o /dev/null", "gcc -c -x c /dev/null -o x", "gcc -c -x f77 a.f", "gcc -c a.f", "gcc -c a.c -o",
		"gcc -c -save-temps a.c", "gcc -c --coverage a.c", "gcc -c -fprofile-use=x a.c", "gcc -c -gsplit-dwarf a.c", "gcc -c -fplugin=x.so a.c",
		"gcc -c -march=native a.c", "gcc -c -wrapper x a.c", "gcc -c -fdump-tree-all a.c", "gcc -c -fstack-usage a.c",
		"gcc -c --sysroot=/x a.c", "gcc -c -Wa,-a=list a.c", "gcc -c -Wa,-Ix a.S", "gcc -c -Wp,-H a.c", "gcc -c -H a.c",
		"gcc -E -dM -o x a.c", "gcc -c -MF x.d a.c", "gcc -c -MD -Wp,-MD,x.d a.c", "gcc -c -unknown a.c", "gcc -S a.s",
		"gcc -c -frecord-gcc-switches a.c", "gcc", "gcc -c",
	} {
		if u, why := parseCC(strings.Fields(line)); why == "" {
			t.Errorf("%s: got %+v, want it to pass", line, *u)
		}
	}
}

// A C library's own compiler is gcc with more words.
func TestParseCCSysroot(t *testing.T) {
	u, why := parseCC(strings.Fields("gcc --sysroot=/in/libc -specs=/in/libc/cc.specs -nostdinc -isystem /g/include -isystem /in/libc/usr/include -B/in/libc/usr/lib/ -L/in/libc/usr/lib -Wl,--dynamic-linker=/lib/ld -static-libgcc -Wp,-MD,a.d -c a.c"))
	if why != "" {
		t.Fatal(why)
	}
	if !slices.Equal(u.specs, []string{"/in/libc/cc.specs"}) || !slices.Equal(u.tools, []string{"/in/libc/usr/lib/"}) || !slices.Contains(u.dirs, "/in/libc/usr/lib/include") || !u.nostd {
		t.Errorf("got %+v", *u)
	}
}

func TestPreprocessed(t *testing.T) {
	got := strings.Join(preprocessed(strings.Fields("gcc -Wp,-MMD,a.d -O2 -I x -MD -MF y -c -oa.o -D -o a.c"), "/tmp/d"), " ")
	if want := "gcc -O2 -I x -D -o a.c -M -MF /tmp/d -w"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

func TestKindOf(t *testing.T) {
	for name, want := range map[string]Kind{
		"gcc": CC, "x86_64-linux-gnu-gcc-14": CC, "aarch64-linux-gnu-gcc": CC, "cc": CC, "c++": CC, "g++-14": CC,
		"gcc-ar": None, "cpp": None, "gccgo": None, "make": None, "occ": None,
	} {
		if got := KindOf(name); got != want {
			t.Errorf("%s: got %d, want %d", name, got, want)
		}
	}
}

// FuzzParseCC holds that what is understood is one compilation with an output of its own.
func FuzzParseCC(f *testing.F) {
	for _, s := range []string{kbuild, "gcc -c a.c", "gcc -MMD -MF x -MT y -c a.c", "gcc -x c -Wp,-MD,a,-DX -S a"} {
		f.Add(strings.ReplaceAll(s, " ", "\x00"))
	}
	f.Fuzz(func(t *testing.T, line string) {
		argv := strings.Split(line, "\x00")
		u, why := parseCC(argv)
		if (u == nil) != (why != "") {
			t.Fatalf("got %+v and %q", u, why)
		}
		if u != nil && (u.source == "" || u.output == "" || u.mode == 0 || strings.HasPrefix(u.source, "-")) {
			t.Errorf("%q: got %+v", argv, *u)
		}
		_ = preprocessed(argv, "d")
	})
}

func TestParseProbe(t *testing.T) {
	for line, want := range map[string]probe{
		"gcc --version": {}, "gcc -print-file-name=plugin": {}, "gcc -Werror -c -x c /dev/null -o /dev/null": {},
		"gcc -Werror -Ix -DX -m64 -c -x c - -o /dev/null": {input: true}, "gcc -E -P -x c -": {input: true}, "gcc -dM -E -x c /dev/null": {},
		"gcc -c -x c /dev/null -o .tmp_1/tmp": {output: 6}, "gcc -fmacro-prefix-map=/in/source/= -E -": {input: true}, "gcc -x c - -lelf -o /dev/null": {input: true},
	} {
		if p := parseProbe(strings.Fields(line)); p == nil || p.input != want.input || p.output != want.output {
			t.Errorf("%s: got %+v, want %+v", line, p, want)
		}
	}
	for _, line := range []string{
		"gcc -c a.c", "gcc -E a.c", "gcc -c -x c /dev/null", "gcc -x c -", "gcc -S -x c -", "gcc -include x -E -", "gcc -E - -MD", "gcc -L. -lx -x c - -o x",
		"gcc -fplugin=x -E -", "gcc -specs=x -E -", "gcc @x -E -", "gcc -v -E -", "gcc -###", "gcc -Wl,-T,x -x c - -o x", "gcc -Wa,-a=x -c -x c - -o x",
		"gcc -march=native -E -", "gcc -fprofile-use=x -E -", "gcc -E - a.c", "gcc", "gcc -T x -x c - -o x", "gcc -Bx --version", "gcc --sysroot=/x --version",
	} {
		if p := parseProbe(strings.Fields(line)); p != nil {
			t.Errorf("%s: got %+v, want none", line, *p)
		}
	}
	a, b := parseProbe(strings.Fields("gcc -c - -o x1")), parseProbe(strings.Fields("gcc -c - -o x2"))
	if !slices.Equal(a.key, b.key) {
		t.Errorf("got %q and %q, want the same key", a.key, b.key)
	}
}

const recipeLine = `set -e; echo '  CC      init/main.o'; trap 'rm -f init/main.o; trap - HUP; kill -s HUP $$' HUP; trap 'x $$' PIPE; gcc -Wp,-MMD,init/.main.o.d -DKBUILD_MODNAME='"main"' -c -o init/main.o /in/source/init/main.c ; ./tools/objtool/objtool --orc --stackval init/main.o; scripts/basic/fixdep init/.main.o.d init/main.o 'gcc -D'\''"main"'\'' x.c' > init/.main.o.cmd; rm -f init/.main.o.d`

func TestParseRecipe(t *testing.T) {
	r := parseRecipe(recipeLine)
	if r == nil {
		t.Fatal("got none")
	}
	if r.output != "init/main.o" || r.depfile != "init/.main.o.d" || r.cmdfile != "init/.main.o.cmd" || !slices.Equal(r.tools, []string{"./tools/objtool/objtool", "scripts/basic/fixdep"}) ||
		!slices.Contains(r.cc, `-DKBUILD_MODNAME="main"`) || len(r.cc) != 7 {
		t.Errorf("got %+v", r)
	}
	for _, change := range [][2]string{
		{"rm -f init/.main.o.d", "rm -f init/main.o"}, {"; rm -f init/.main.o.d", ""}, {"set -e; ", ""}, {" > init", " >> init"},
		{"--orc", "$(x)"}, {"--orc", "other.o"}, {"objtool/objtool", "objtool/other"}, {"fixdep init/.main.o.d", "fixdep x.d"}, {"gcc -Wp", "CC=x gcc -Wp"},
		{"gcc -Wp", "./gcc -Wp"}, {"-c -o", "-c >x -o"}, {"-Wp,-MMD,init/.main.o.d", ""}, {"; scripts", "& scripts"}, {"; scripts", "\nscripts"}, {"-c -o", "-c * -o"},
		{"-c -o", "-c `x` -o"}, {"-c -o", `-c "$x" -o`}, {"-c -o", "-c 'open -o"}, {"basic/fixdep ", "basic/other "},
	} {
		text := strings.Replace(recipeLine, change[0], change[1], 1)
		if text == recipeLine {
			t.Fatalf("%q is not there", change[0])
		}
		if r := parseRecipe(text); r != nil {
			t.Errorf("%q for %q: got %+v, want none", change[1], change[0], *r)
		}
	}
}

// As busybox has it.
func TestParseOldRecipe(t *testing.T) {
	const text = `set -e; echo '  CC      libbb/x.o'; gcc -Wp,-MD,libbb/.x.o.d -std=gnu99 -D"BB_VER=KBUILD_STR(1.37.0)" -include include/autoconf.h -c -o libbb/x.o /in/source/libbb/x.c; ` +
		`scripts/basic/fixdep libbb/.x.o.d libbb/x.o 'gcc' > libbb/.x.o.tmp; rm -f libbb/.x.o.d; mv -f libbb/.x.o.tmp libbb/.x.o.cmd`
	r := parseRecipe(text)
	if r == nil || r.cmdfile != "libbb/.x.o.cmd" || r.output != "libbb/x.o" || !slices.Equal(r.tools, []string{"scripts/basic/fixdep"}) {
		t.Errorf("got %+v", r)
	}
	for _, change := range [][2]string{{"mv -f libbb/.x.o.tmp", "mv -f libbb/y"}, {"mv -f", "mv"}, {"mv -f", "cp -f"}} {
		if r := parseRecipe(strings.Replace(text, change[0], change[1], 1)); r != nil {
			t.Errorf("%q for %q: got %+v, want none", change[1], change[0], *r)
		}
	}
}

func FuzzParseRecipe(f *testing.F) {
	f.Add(recipeLine)
	f.Add(`a 'b' "c" \d > e; f`)
	f.Fuzz(func(t *testing.T, text string) {
		for _, c := range shellCommands(text) {
			if len(c) == 0 {
				t.Errorf("%q: got an empty command", text)
			}
		}
		if r := parseRecipe(text); r != nil && (r.output == "" || r.cmdfile == "" || len(r.cc) == 0) {
			t.Errorf("%q: got %+v", text, *r)
		}
	})
}

// A program that is made of one source and the toolchain's libraries is understood.
func TestLinksAlone(t *testing.T) {
	u, why := parseCC(strings.Fields("gcc -Wp,-MMD,scripts/.fixdep.d -O2 -o scripts/fixdep /in/source/fixdep.c -lelf -lpthread"))
	if why != "" || u.mode != 'l' || u.output != "scripts/fixdep" || u.depfile != "scripts/.fixdep.d" || !u.object().exec {
		t.Fatalf("got %+v, %q", u, why)
	}
	for _, line := range []string{
		"gcc -o a a.o", "gcc -o a a.c b.c", "gcc -o a a.c b.o", "gcc -o a a.c libx.a", "gcc a.c", "gcc -o a a.S", "gcc -L. -o a a.c -lx", "gcc -Wl,-T,x.lds -o a a.c",
		"gcc -o a a.c -l:x.a", "gcc -o a a.c -T x.lds", "gcc -B. -o a a.c", "gcc -specs=x -o a a.c", "gcc --sysroot=/in/x -nostdinc -o a a.c", "gcc -x c -o a a.c",
	} {
		if u, why := parseCC(strings.Fields(line)); why == "" {
			t.Errorf("%s: got %+v, want it to pass", line, u)
		}
	}
}
