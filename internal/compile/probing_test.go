//go:build linux

package compile

import (
	"strings"
	"testing"
)

// What a build asks about the compiler is answered from the cache: also a refusal.
func TestProbe(t *testing.T) {
	l := newLab(t)
	argv := func(out string) []string { return strings.Fields("gcc -Werror -x c -c - -o " + out) }
	cc := compiler{input: "int x;", object: "tmp", stdout: "said\n", stderr: "warned\n", status: 1 << 8}
	if o := l.round(cc, argv("x1")...); o.end != 'K' || len(o.ran) != 1 {
		t.Fatalf("got %c, ran %q, want it asked", o.end, o.ran)
	}
	o := l.round(cc, argv("x2")...)
	if o.end != 'F' || o.status != 1 || o.stdout != "said\n" || o.stderr != "warned\n" || o.written["x2"] != "tmp" || len(o.ran) != 0 {
		t.Errorf("got %+v, want the same answer", o)
	}
	for name, change := range map[string]func(*compiler) []string{
		"another text":    func(cc *compiler) []string { cc.input = "int y;"; return argv("x") },
		"another option":  func(*compiler) []string { return append(argv("x"), "-O2") },
		"another machine": func(*compiler) []string { l.tool = "gcc 15"; return argv("x") },
	} {
		cc := cc
		if o := l.round(cc, change(&cc)...); o.end != 'K' {
			t.Errorf("%s: got %c, want it asked", name, o.end)
		}
	}
	cc.input = "#include <a.h>\n"
	if o := l.round(cc, argv("x")...); o.end != 'P' {
		t.Errorf("a text that reads files: got %c, want it to pass", o.end)
	}
}
