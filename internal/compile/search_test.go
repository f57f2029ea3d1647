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
