//go:build linux

package compile

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/labstar/labstar/action"
)

const traps = ` trap 'rm -f fs/built-in.a; trap - HUP; kill -s HUP $$' HUP;  trap 'rm -f fs/built-in.a; trap - INT; kill -s INT $$' INT; `

const (
	archiveLine = `set -e;  echo '  AR      fs/built-in.a';  ` + traps + `rm -f fs/built-in.a;  printf "fs/%s " open.o sub/built-in.a | xargs ar cDPrST fs/built-in.a; ` +
		`printf '%s\n' 'savedcmd_fs/built-in.a := rm -f fs/built-in.a;  printf "fs/%s " open.o sub/built-in.a | xargs ar cDPrST fs/built-in.a' > fs/.built-in.a.cmd`
	emptyLine     = `set -e;  rm -f a.a;  ar cDPrST a.a; printf '%s\n' 'savedcmd_a.a := x' > .a.a.cmd`
	generatorLine = `set -e;  echo '  MKCAP   x.c';  sh /in/src/mkcapflags.sh x.c /in/src/b.h /in/src/mkcapflags.sh FORCE; printf '%s\n' 'savedcmd' > .x.c.cmd`
	tryLine       = `set -e; TMP=.tmp_$$/tmp; trap "rm -rf .tmp_$$" EXIT; mkdir -p .tmp_$$; if ( gcc -Werror -O2 -c -x c /dev/null -o "$TMP") >/dev/null 2>&1; then echo "-O2"; else echo ""; fi`
	tryLdLine     = `set -e; TMP=.tmp_$$/tmp; trap "rm -rf .tmp_$$" EXIT; mkdir -p .tmp_$$; if ( ld -m elf_x86_64 -z noexecstack --no-warn-rwx-segments -v) >/dev/null 2>&1; then echo "y"; else echo "n"; fi`
)

func TestParseLine(t *testing.T) {
	for text, want := range map[string]struct{ tools, inputs, outputs string }{
		archiveLine:   {"xargs rm ar", "fs/open.o fs/sub/built-in.a", "fs/built-in.a fs/.built-in.a.cmd"},
		emptyLine:     {"rm ar", "", "a.a .a.a.cmd"},
		generatorLine: {"sh", "/in/src/mkcapflags.sh /in/src/b.h /in/src/mkcapflags.sh FORCE", "x.c .x.c.cmd"},
		tryLine:       {"gcc rm mkdir", "", ""},
		tryLdLine:     {"ld rm mkdir", "", ""},
	} {
		l := parseLine(text)
		if l == nil {
			t.Errorf("%s: not understood", text)
			continue
		}
		var outputs []string
		for _, f := range l.outputs {
			outputs = append(outputs, f.path)
		}
		if got := strings.Join(l.tools, " "); got != want.tools {
			t.Errorf("%s: got the programs %q, want %q", text, got, want.tools)
		}
		if got := strings.Join(l.inputs, " "); got != want.inputs {
			t.Errorf("%s: got the inputs %q, want %q", text, got, want.inputs)
		}
		if got := strings.Join(outputs, " "); got != want.outputs {
			t.Errorf("%s: got the outputs %q, want %q", text, got, want.outputs)
		}
	}
	for _, change := range [][3]string{
		{archiveLine, "ar cDPrST fs", "ar cPrST fs"},            // with times and owners
		{archiveLine, "INT; rm -f fs", "INT; rm -f lib/x"},      // another file
		{archiveLine, "' INT; rm", "' EXIT; rm"},                // does more at its end
		{archiveLine, "| xargs", "| sort | xargs"},              //
		{archiveLine, "open.o sub", "$(cat list) sub"},          // what it reads is not told
		{archiveLine, `"fs/%s "`, `"fs/%s%s "`},                 //
		{archiveLine, "set -e; ", "cd fs; "},                    //
		{emptyLine, "ar cDPrST", "./ar cDPrST"},                 // a program of the build's
		{emptyLine, "; printf", "; touch b; printf"},            // does more
		{generatorLine, "mkcapflags.sh x.c", "other.sh x.c"},    //
		{generatorLine, "FORCE;", "FORCE > y;"},                 // writes more
		{tryLine, "-O2 -c", "-include x.h -c"},                  // reads a file
		{tryLine, "/dev/null", "x.c"},                           //
		{tryLine, `echo "-O2"`, `echo "$(pwd)"`},                //
		{tryLine, "/dev/null -o", "/dev/null; touch x; gcc -o"}, // does more
		{tryLdLine, "-v)", "-T x.lds -v)"},                      // reads a file
		{tryLdLine, "-v)", "x.o -v)"},                           //
		{tryLdLine, " -v)", ")"},                                // links
	} {
		text := strings.Replace(change[0], change[1], change[2], 1)
		if text == change[0] || parseLine(text) != nil {
			t.Errorf("%s: understood, want it to pass", text)
		}
	}
}

func TestParseAppending(t *testing.T) {
	text := `set -e;   ` + traps + ` { echo ; echo 'fs/open.o: $(wildcard ./tools/objtool/objtool)' ; } >> fs/.open.o.cmd`
	added, to, ok := parseAppending(text)
	if !ok || added != "\nfs/open.o: $(wildcard ./tools/objtool/objtool)\n" || to != "fs/.open.o.cmd" {
		t.Errorf("got %q to %q, %v", added, to, ok)
	}
	for _, bad := range []string{
		strings.Replace(text, "fs/open.o:", `\n:`, 1), strings.Replace(text, ">> fs", "> fs", 1), text + "; rm x", text + "\nrm x", strings.Replace(text, ">> fs", ">> $x", 1),
	} {
		if _, _, ok := parseAppending(bad); ok {
			t.Errorf("%q: understood, want it to pass", bad)
		}
	}
	l := newLab(t)
	if o := l.round(compiler{tool: "dash"}, "/bin/sh", "-c", text); o.end != 'F' || o.written["fs/.open.o.cmd"] != added || len(o.ran) != 0 {
		t.Errorf("got %c %q, want the text added", o.end, o.written)
	}
}

// thin makes a thin archive, as ar does.
func thin(names ...string) string {
	table, heads := "", ""
	pad := func(s string, n int) string { return s + strings.Repeat(" ", n-len(s)) }
	for _, n := range names {
		heads += pad("/"+string(rune('0'+len(table)/10))+string(rune('0'+len(table)%10)), 16) + pad("0", 12) + pad("0", 6) + pad("0", 6) + pad("644", 8) + pad("7", 10) + "`\n"
		table += n + "/\n"
	}
	if len(table)%2 == 1 {
		table += "\n"
	}
	size := string(rune('0'+len(table)/10)) + string(rune('0'+len(table)%10))
	return "!<thin>\n" + pad("//", 48) + pad(size, 10) + "`\n" + table + heads
}

func TestThinMembers(t *testing.T) {
	text := thin("a.o", "../lib/b.o")
	if names, ok := thinMembers([]byte(text)); !ok || !slices.Equal(names, []string{"a.o", "../lib/b.o"}) {
		t.Errorf("got %q, %v", names, ok)
	}
	for _, bad := range []string{"", "!<arch>\n", text[:len(text)-1], text[:80], strings.Replace(text, "/05 ", "/99 ", 1)} {
		if names, ok := thinMembers([]byte(bad)); ok {
			t.Errorf("%q: got %q, want it refused", bad, names)
		}
	}
	if names, ok := thinMembers([]byte("!<thin>\n")); !ok || len(names) > 0 {
		t.Errorf("an empty archive: got %q, %v", names, ok)
	}
}

// A line is run once, and again when anything that it reads is another.
func TestLine(t *testing.T) {
	l := newLab(t)
	l.opts = func(o *Options) {
		o.Root = append(o.Root, l.tree(map[string]string{"usr/bin/ar": "ar", "usr/bin/rm": "rm", "usr/bin/xargs": "xargs", "usr/bin/mkdir": "mkdir", "usr/bin/sh": "sh"}))
	}
	l.write("fs/open.o", "open")
	l.write("fs/sub/x.o", "x")
	l.write("fs/sub/built-in.a", thin("x.o"))
	sh := compiler{tool: "dash", object: "archive", stdout: "  AR      fs/built-in.a\n"}
	run := func() outcome { return l.round(sh, "/bin/sh", "-c", archiveLine) }
	if o := run(); o.end != 'K' || len(o.ran) != 1 {
		t.Fatalf("got %c, ran %q, want it run", o.end, o.ran)
	}
	if o := run(); o.end != 'F' || o.written["fs/built-in.a"] != "archive" || o.written["fs/.built-in.a.cmd"] != "archive" || o.stdout != sh.stdout || len(o.ran) != 0 {
		t.Errorf("got %+v, want a hit", o)
	}
	for _, change := range []struct {
		what string
		do   func()
	}{
		{"a member", func() { l.write("fs/open.o", "other") }},
		{"a member of a member", func() { l.write("fs/sub/x.o", "y") }},
		{"an archive in an archive", func() { l.write("fs/sub/built-in.a", thin("x.o", "z.o")) }},
		{"a member that is gone", func() { _ = os.Remove(filepath.Join(l.dir, "fs/sub/x.o")) }},
		{"a folder in place of a member", func() { _ = os.Remove(filepath.Join(l.dir, "fs/open.o")); l.write("fs/open.o/x", "") }},
	} {
		change.do()
		if o := run(); o.end != 'K' {
			t.Errorf("%s: got %c, want it run", change.what, o.end)
		}
	}
	for _, text := range []string{tryLine, tryLdLine} {
		sh := compiler{tool: "dash", stdout: "y\n"}
		first, second := l.round(sh, "/bin/sh", "-c", text), l.round(sh, "/bin/sh", "-c", text)
		if tool := parseLine(text).tools[0]; tool == "ld" { // it is not in this toolchain
			if second.end != 'P' {
				t.Errorf("got %c, want it to pass", second.end)
			}
			continue
		}
		if first.end != 'K' || second.end != 'F' || second.stdout != "y\n" || len(second.written) > 0 {
			t.Errorf("got %c and %+v, want it run and then known", first.end, second)
		}
	}
}

// A line that fails, or that is verified and says something else, is told.
func TestLineVerified(t *testing.T) {
	l := newLab(t)
	l.opts = func(o *Options) {
		o.Root = append(o.Root, l.tree(map[string]string{"usr/bin/rm": "", "usr/bin/mkdir": ""}))
	}
	sh := compiler{tool: "dash", stdout: "y\n", status: 1 << 8}
	l.round(sh, "/bin/sh", "-c", tryLine)
	sh.status = 0
	if o := l.round(sh, "/bin/sh", "-c", tryLine); o.end != 'K' {
		t.Errorf("failed before: got %c, want it run", o.end)
	}
	before := l.opts
	l.opts = func(o *Options) { before(o); o.Verify = 1 }
	for _, stdout := range []string{"y\n", "n\n"} { // what is different is kept in its place
		bad := stdout == "n\n"
		sh.stdout = stdout
		s := l.server()
		l.ask(s, sh, action.BuildDir, "/bin/sh", "-c", tryLine)
		if st, err := s.Close(); (err != nil) != bad || st.Compared != 1 {
			t.Errorf("%q: got %+v, %v, want it compared, different: %v", stdout, st, err, bad)
		}
	}
}
