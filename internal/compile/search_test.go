//go:build linux

package compile

import (
	"strings"
	"testing"
)

// The names that a macro makes are inferred from the file.
func TestComputedInclude(t *testing.T) {
	l, cc := project(t)
	l.src["b.h"] = "#include TRACE(x)\n"
	l.src["include/trace/x.h"] = ""
	cc.deps += " /in/src/include/trace/x.h"
	l.round(cc, mainLine...)
	if o := l.round(cc, mainLine...); o.end != 'F' {
		t.Errorf("got %c, want a hit", o.end)
	}
	l.src["trace/x.h"] = ""
	if o := l.round(cc, mainLine...); o.end != 'K' {
		t.Errorf("a candidate appeared: got %c, want a miss", o.end)
	}
}

// Headers of the toolchain are searched in the build's folders first.
func TestToolchainHeaders(t *testing.T) {
	l := newLab(t)
	l.src["main.c"] = "#include <stdio.h>\n"
	l.write("include/x", "")
	cc := compiler{deps: "/in/src/main.c /usr/include/stdio.h /usr/include/bits/types.h", object: "o"}
	argv := strings.Fields("gcc -I./include -c -o main.o /in/src/main.c")
	if o := l.round(cc, argv...); len(o.ran) != 1 || !strings.Contains(o.ran[0], " -MD -MF /tmp/labstar-compile-") {
		t.Fatalf("ran %q, want it asked for the dependencies", o.ran)
	}
	if o := l.round(cc, argv...); o.end != 'F' {
		t.Errorf("got %c, want a hit", o.end)
	}
	l.write("include/bits/types.h", "")
	if o := l.round(cc, argv...); o.end != 'K' {
		t.Errorf("a header hides the toolchain's: got %c, want a miss", o.end)
	}
}

// The files and folders of a C library's own compiler count too.
func TestSysroot(t *testing.T) {
	argv := strings.Fields("gcc --sysroot=/in/src -specs=/in/src/cc.specs -nostdinc -isystem /in/src/include -B/in/src/lib/ -Wp,-MD,main.d -c -o main.o /in/src/main.c")
	for name, change := range map[string]func(*lab){
		"specs":     func(l *lab) { l.src["cc.specs"] = "*cc1:\n-O3\n" },
		"assembler": func(l *lab) { l.src["lib/as"] = "" },
		"header":    func(l *lab) { l.src["lib/include/a.h"] = "" },
		"compiler":  func(l *lab) { l.src["lib/x86_64-linux-gnu/14/cc1"] = "" },
	} {
		l := newLab(t)
		l.src = map[string]string{"main.c": "#include <a.h>\n", "include/a.h": "", "cc.specs": "*cc1:\n", "lib/crt1.o": ""}
		cc := compiler{deps: "/in/src/main.c /in/src/include/a.h", object: "o"}
		l.round(cc, argv...)
		if o := l.round(cc, argv...); o.end != 'F' {
			t.Fatalf("got %c, want a hit", o.end)
		}
		change(l)
		if o := l.round(cc, argv...); o.end != 'K' {
			t.Errorf("%s: got %c, want a miss", name, o.end)
		}
	}
}

// Kbuild searches the source's own folder and the output's last: what is known of the
// others is shared by the sources of all folders, of these two it is not.
func TestOwnFolders(t *testing.T) {
	argv := func(dir string) []string {
		return strings.Fields(strings.ReplaceAll("gcc -I/in/src/include -I/in/src/DIR/. -I./DIR -nostdinc -Wp,-MMD,DIR/main.d -c -o DIR/main.o /in/src/DIR/main.c", "DIR", dir))
	}
	of := func(dir, local string) compiler {
		return compiler{deps: strings.ReplaceAll("/in/src/DIR/main.c /in/src/include/a.h "+local, "DIR", dir), object: dir}
	}
	fs, lib := of("fs", "/in/src/DIR/./local.h DIR/made/gen.h"), of("lib", "DIR/local.h DIR/made/gen.h")
	same := map[string]bool{"other.h in the source's folder": true, "other.h in the output's folder": true, "another folder's": true}
	for name, change := range map[string]func(*lab){
		"other.h in the source's folder":   func(l *lab) { l.src["fs/other.h"] = "" },
		"other.h in the output's folder":   func(l *lab) { l.write("fs/other.h", "") },
		"another folder's":                 func(l *lab) { l.write("lib/a.h", "") },
		"local.h in a folder before":       func(l *lab) { l.src["include/local.h"] = "" },
		"local.h in the output's folder":   func(l *lab) { l.write("fs/local.h", "") },
		"gen.h in the source's folder":     func(l *lab) { l.src["fs/made/gen.h"] = "" },
		"local.h is another":               func(l *lab) { l.src["fs/local.h"] = "int x;\n" },
		"a.h in the source's folder too":   func(l *lab) { l.src["fs/a.h"] = "" },
		"a.h in the output's folder too":   func(l *lab) { l.write("fs/a.h", "") },
		"gen.h of the output is no longer": func(l *lab) { l.write("fs/made/gen.h", "int x;\n") },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			l := newLab(t)
			for _, dir := range []string{"fs", "lib"} {
				l.src[dir+"/main.c"] = "#include <a.h>\n#include <local.h>\n#include <made/gen.h>\n"
				l.write(dir+"/made/gen.h", "")
			}
			l.src["include/a.h"], l.src["fs/local.h"] = "", ""
			l.write("lib/local.h", "")
			s := l.server()
			for range 2 { // the second time each knows what the other one looked for
				for _, dir := range []string{"fs", "lib"} {
					l.ask(s, map[string]compiler{"fs": fs, "lib": lib}[dir], "/build", argv(dir)...)
				}
			}
			for dir, cc := range map[string]compiler{"fs": fs, "lib": lib} {
				if o := l.ask(s, cc, "/build", argv(dir)...); o.end != 'F' || o.written[dir+"/main.o"] != dir {
					t.Fatalf("%s: got %c and %q, want a hit", dir, o.end, o.written)
				}
			}
			if _, err := s.Close(); err != nil {
				t.Fatal(err)
			}
			change(l)
			if o := l.round(fs, argv("fs")...); (o.end == 'F') != same[name] {
				t.Errorf("got %c, want a hit: %v", o.end, same[name])
			}
		})
	}
}
