//go:build linux

package compile

import (
	"strings"
	"testing"

	"github.com/labstar/labstar/action"
)

// A line of Kbuild whose compilation is known, and whose programs are the same, is
// spared as a whole.
func TestRecipe(t *testing.T) {
	text := "set -e; echo '  CC      main.o'; " + strings.Join(mainLine, " ") + " ; ./tools/objtool --orc main.o; scripts/basic/fixdep main.d main.o 'gcc' > .main.o.cmd; rm -f main.d"
	l, cc := project(t)
	l.write("scripts/basic/fixdep", "fixdep 1")
	l.write("tools/objtool", "objtool 1")
	run := func(text string) outcome {
		t.Helper()
		s := l.server()
		sh := compiler{tool: "dash", object: "rewritten", stdout: "  CC      main.o\n", stderr: "a warning\n"}
		sh.nested = func() { l.ask(s, cc, action.BuildDir, mainLine...) }
		o := l.ask(s, sh, action.BuildDir, "/bin/sh", "-c", text)
		if _, err := s.Close(); err != nil {
			t.Error(err)
		}
		return o
	}
	if o := run(text); o.end != 'K' || len(o.ran) != 1 {
		t.Fatalf("got %c, ran %q, want it run", o.end, o.ran)
	}
	o := run(text)
	if o.end != 'F' || o.written["main.o"] != "rewritten" || o.written[".main.o.cmd"] != "rewritten" || len(o.written) != 2 || o.stdout != "  CC      main.o\n" || o.stderr != "a warning\n" {
		t.Errorf("got %+v, want a hit", o)
	}
	for name, change := range map[string]func() string{
		"another line": func() string { return strings.Replace(text, "'gcc'", "'cc'", 1) },
		"fixdep":       func() string { l.write("scripts/basic/fixdep", "fixdep 2"); return text },
		"objtool":      func() string { l.write("tools/objtool", "objtool 2"); return text },
		"header":       func() string { l.src["b.h"] = "int b;\n"; return text },
	} {
		if o := run(change()); o.end != 'K' {
			t.Errorf("%s changed: got %c, want it run", name, o.end)
		}
	}
	if o := run("echo x/fixdep "); o.end != 'P' {
		t.Errorf("another command: got %c, want it to pass", o.end)
	}
}
