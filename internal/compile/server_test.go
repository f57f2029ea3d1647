//go:build linux

package compile

import (
	"errors"
	"maps"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/labstar/labstar/action"
)

func TestHit(t *testing.T) {
	l, cc := project(t)
	first := l.round(cc, mainLine...)
	if first.end != 'K' || len(first.ran) != 1 || !strings.HasPrefix(first.ran[0], strings.Join(mainLine, " ")+" -Wa,--MD,/tmp/labstar-compile-") {
		t.Fatalf("got %c, ran %q, want a miss that runs the compiler", first.end, first.ran)
	}
	o := l.round(cc, mainLine...)
	if o.end != 'F' || o.written["main.o"] != "object" || o.written["main.d"] != "x.o: "+cc.deps+"\n" || o.stderr != cc.stderr || len(o.ran) != 0 {
		t.Errorf("got %c %q, want a hit", o.end, o.written)
	}
}

// With -Wmissing-include-dirs the compiler tells of folders that are not there, which no
// entry knows of.
func TestMissingFolders(t *testing.T) {
	for _, option := range []string{"-Wmissing-include-dirs", "-Werror=missing-include-dirs"} {
		l, cc := project(t)
		argv := append(slices.Clone(mainLine), option, "-Igenerated")
		if o := l.round(cc, argv...); o.end != 'P' {
			t.Errorf("%s: got %c, want it to pass, as a folder is missing", option, o.end)
		}
		l.write("generated/x.h", "")
		for _, want := range "KF" {
			if o := l.round(cc, argv...); rune(o.end) != want {
				t.Errorf("%s: got %c, want %c", option, o.end, want)
			}
		}
		if err := os.RemoveAll(filepath.Join(l.dir, "generated")); err != nil {
			t.Fatal(err)
		}
		if o := l.round(cc, argv...); o.end != 'P' {
			t.Errorf("%s: got %c, want it to pass, as a folder is gone", option, o.end)
		}
	}
}

// Everything that a compilation depends on makes a miss when it changes, and the
// old entry is found again when it changes back.
func TestMiss(t *testing.T) {
	for name, change := range map[string]func(*lab){
		"source":                   func(l *lab) { l.src["main.c"] += "int x;\n" },
		"header":                   func(l *lab) { l.src["b.h"] = "int b;\n" },
		"written header":           func(l *lab) { l.write("include/gen.h", "#define GEN 2\n") },
		"toolchain":                func(l *lab) { l.tool = "gcc 15" },
		"header found earlier":     func(l *lab) { l.src["include/b.h"] = "" },
		"written header earlier":   func(l *lab) { l.write("include/a.h", "") },
		"header beside the source": func(l *lab) { l.src["gen.h"] = "#define GEN 3\n" },
		"header is a link":         func(l *lab) { l.src["include/b.h"] = "-> ../b.h" },
		"header gone":              func(l *lab) { delete(l.src, "b.h") },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			l, cc := project(t)
			l.round(cc, mainLine...)
			before := maps.Clone(l.src)
			change(l)
			if o := l.round(cc, mainLine...); o.end != 'K' || len(o.ran) != 1 {
				t.Errorf("changed: got %c, ran %q, want a miss", o.end, o.ran)
			}
			l.src, l.tool = before, "gcc 14"
			_ = os.Remove(filepath.Join(l.dir, "include/a.h"))
			l.write("include/gen.h", "#define GEN 1\n")
			if o := l.round(cc, mainLine...); o.end != 'F' {
				t.Errorf("changed back: got %c, want a hit", o.end)
			}
		})
	}
	l, cc := project(t)
	l.round(cc, mainLine...)
	for _, argv := range [][]string{append(slices.Clone(mainLine), "-O2"), append(slices.Clone(mainLine), "-DX")} {
		if o := l.round(cc, argv...); o.end != 'K' {
			t.Errorf("%q: got %c, want a miss", argv, o.end)
		}
	}
}

// Within one build a header that appears is seen, although nothing was hashed again.
func TestMissWithinABuild(t *testing.T) {
	l, cc := project(t)
	s := l.server()
	defer s.Close()
	l.ask(s, cc, action.BuildDir, mainLine...)
	if o := l.ask(s, cc, action.BuildDir, mainLine...); o.end != 'F' {
		t.Fatalf("got %c, want a hit", o.end)
	}
	l.write("include/b.h", "")
	if o := l.ask(s, cc, action.BuildDir, mainLine...); o.end != 'K' {
		t.Errorf("got %c, want a miss", o.end)
	}
	_ = os.Remove(filepath.Join(l.dir, "include/b.h"))
	if o := l.ask(s, cc, action.BuildDir, mainLine...); o.end != 'F' {
		t.Errorf("got %c, want a hit", o.end)
	}
}

// What can't be known is compiled and not kept.
func TestNotKept(t *testing.T) {
	for name, change := range map[string]func(*lab, *compiler){
		"failed":                  func(_ *lab, cc *compiler) { cc.status = 1 << 8 },
		"unexplained":             func(l *lab, _ *compiler) { l.src["main.c"] = "" },
		"the time of a file":      func(l *lab, _ *compiler) { l.src["b.h"] = "__TIMESTAMP__" },
		"reads /proc":             func(_ *lab, cc *compiler) { cc.deps += " /proc/version" },
		"a computed question":     func(l *lab, _ *compiler) { l.src["b.h"] = "#if __has_include(X)" },
		"no list of what it read": func(_ *lab, cc *compiler) { cc.deps = "" },
	} {
		l, cc := project(t)
		change(l, &cc)
		l.round(cc, mainLine...)
		if o := l.round(cc, mainLine...); o.end != 'K' || len(o.ran) == 0 {
			t.Errorf("%s: got %c, want it compiled again", name, o.end)
		}
	}
}

// A header that changes while the compiler runs may have been read before or after.
func TestChangesMeanwhile(t *testing.T) {
	l, cc := project(t)
	s := l.server()
	l.write("include/gen.h", "#define GEN 4\n")
	future := time.Now().Add(time.Hour)
	if err := os.Chtimes(filepath.Join(l.dir, "include/gen.h"), future, future); err != nil {
		t.Fatal(err)
	}
	l.ask(s, cc, action.BuildDir, mainLine...)
	st, err := s.Close()
	if err != nil || st.Reasons["a dependency that changes"] != 1 {
		t.Errorf("got %+v, %v, want it not kept", st, err)
	}
}

// A user's -MMD leaves the system's headers out, so they are asked for apart.
func TestUserDependencies(t *testing.T) {
	l := newLab(t)
	l.src["main.c"] = "#include <stdio.h>\n"
	cc := compiler{deps: "/in/src/main.c /usr/include/stdio.h /usr/include/bits/types.h", object: "o"}
	o := l.round(cc, strings.Fields("gcc -MMD -c -o main.o /in/src/main.c")...)
	if len(o.ran) != 2 || !strings.Contains(o.ran[1], " -M -MF ") || strings.Contains(o.ran[1], "-MMD") {
		t.Errorf("ran %q, want a second run for the list", o.ran)
	}
}

func TestVerify(t *testing.T) {
	l, cc := project(t)
	l.round(cc, mainLine...)
	l.opts = func(o *Options) { o.Verify = 1 }
	s := l.server()
	if o := l.ask(s, cc, action.BuildDir, mainLine...); o.end != 'K' || len(o.ran) != 1 {
		t.Errorf("got %c, want it compiled again", o.end)
	}
	st, err := s.Close()
	if err != nil || st.Compared != 1 || st.ComparedBytes == 0 {
		t.Errorf("got %+v, %v, want one compared", st, err)
	}
	s = l.server()
	cc.object = "another"
	l.ask(s, cc, action.BuildDir, mainLine...)
	_, err = s.Close()
	var d *DifferentError
	if !errors.As(err, &d) || len(d.Outputs) != 1 || !strings.Contains(d.Error(), "main.o") {
		t.Errorf("got %v, want a difference", err)
	}
}

// A shim that goes away, or talks nonsense, leaves nothing behind.
func TestHostileShims(t *testing.T) {
	l, cc := project(t)
	s := l.server()
	for _, b := range [][]byte{nil, []byte("x"), encodeRequest(&request{tool: "gcc", dir: "/build", argv: mainLine})[:40], encodeRequest(&request{tool: "gcc", dir: "/build", argv: mainLine})} {
		c, err := net.Dial("unix", s.Socket())
		if err != nil {
			t.Fatal(err)
		}
		_, _ = c.Write(b)
		_ = c.Close()
	}
	open, err := net.Dial("unix", s.Socket()) // says nothing until the end
	if err != nil {
		t.Fatal(err)
	}
	defer open.Close()
	if o := l.ask(s, cc, action.BuildDir, "make"); o.end != 'P' {
		t.Errorf("got %c, want it to pass", o.end)
	}
	done := make(chan error, 1)
	go func() { _, err := s.Close(); done <- err }()
	select {
	case err := <-done:
		if err != nil {
			t.Error(err)
		}
	case <-time.After(20 * time.Second):
		t.Fatal("Close waits for a shim that says nothing")
	}
	if _, err := os.Lstat(s.Socket()); !os.IsNotExist(err) {
		t.Errorf("got %v, want the socket gone", err)
	}
}
