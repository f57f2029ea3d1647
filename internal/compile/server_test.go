//go:build linux

package compile

import (
	"encoding/binary"
	"errors"
	"io"
	"maps"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/labstar/labstar/action"
	"github.com/labstar/labstar/internal/store/mem"
)

// lab is a build folder, an input tree at /in/src, and a server for each round.
// The test plays the shim: real sockets and files, and a compiler that writes what
// it is told to have read.
type lab struct {
	t     testing.TB
	st    *mem.Store
	cache *Cache
	dir   string // BuildDir on the host
	src   map[string]string
	tool  string // content of the toolchain
	opts  func(*Options)
	wait  time.Duration
}

func newLab(t testing.TB) *lab {
	st := mem.New()
	l := &lab{t: t, st: st, cache: NewCache(st), dir: t.TempDir(), src: map[string]string{}, tool: "gcc 14"}
	return l
}

func (l *lab) tree(files map[string]string) action.Digest {
	l.t.Helper()
	ctx := l.t.Context()
	e := action.NewEdit(l.st, action.Digest{})
	for _, p := range slices.Sorted(maps.Keys(files)) {
		n := action.Node{Kind: action.Regular, Attr: action.Attr{Mode: action.ModeFile}}
		if to, ok := strings.CutPrefix(files[p], "-> "); ok {
			n = action.Node{Kind: action.Symlink, Target: to, Attr: action.Attr{Mode: action.ModeSymlink}}
		} else {
			d, err := l.st.PutBlob(ctx, []byte(files[p]))
			if err != nil {
				l.t.Fatal(err)
			}
			n.Digest = d
		}
		if err := e.Put(ctx, p, n, action.Replace); err != nil {
			l.t.Fatal(err)
		}
	}
	root, err := e.Finish(ctx, func(d *action.Directory) (action.Digest, error) { return l.st.PutDirectory(ctx, d) })
	if err != nil {
		l.t.Fatal(err)
	}
	return root
}

// write writes a file below BuildDir, long enough ago to be trusted.
func (l *lab) write(name, text string) {
	l.t.Helper()
	at := filepath.Join(l.dir, name)
	if err := os.MkdirAll(filepath.Dir(at), 0o755); err != nil {
		l.t.Fatal(err)
	}
	if err := os.WriteFile(at, []byte(text), 0o644); err != nil {
		l.t.Fatal(err)
	}
}

func (l *lab) server() *Server {
	l.t.Helper()
	o := Options{
		Cache: l.cache, Store: l.st, Dir: l.t.TempDir(), Build: l.dir, Tmp: l.t.TempDir(),
		Root:   []action.Digest{l.tree(map[string]string{"usr/bin/gcc": l.tool, "usr/include/stdio.h": "#include <bits/types.h>\n", "usr/include/bits/types.h": ""})},
		Mounts: []action.PathInput{{Path: "/in/src", Kind: action.Tree, Digest: l.tree(l.src)}},
	}
	if l.opts != nil {
		l.opts(&o)
	}
	s, err := New(l.t.Context(), o)
	if err != nil {
		l.t.Fatal(err)
	}
	return s
}

// outcome is what a shim was told.
type outcome struct {
	end     byte // P, K or F
	ran     []string
	written map[string]string
	stderr  string
	stdout  string
	status  uint32
}

// compiler is the real tool: what it leaves besides the dependencies it is asked for.
type compiler struct {
	deps   string // what it read, in the form of make
	object string
	stderr string
	status uint32
	input  string // on its standard input
	tool   string // "gcc" if empty
	nested func() // what else it runs
	stdout string
}

// ask plays a shim.
func (l *lab) ask(s *Server, cc compiler, dir string, argv ...string) outcome {
	l.t.Helper()
	if l.wait == 0 {
		l.wait = 120 * time.Millisecond
	}
	time.Sleep(l.wait) // the files that were written are settled
	c, err := net.Dial("unix", s.Socket())
	if err != nil {
		l.t.Fatal(err)
	}
	defer c.Close()
	tool := cc.tool
	if tool == "" {
		tool = "gcc"
	}
	q := &request{tool: tool, dir: dir, argv: argv, env: []string{"PATH=/usr/bin", "SOURCE_DATE_EPOCH=1"}, umask: 0o22}
	if _, err := c.Write(encodeRequest(q)); err != nil {
		l.t.Fatal(err)
	}
	o := outcome{written: map[string]string{}}
	word := func() uint32 {
		var b [4]byte
		if _, err := io.ReadFull(c, b[:]); err != nil {
			l.t.Fatal(err)
		}
		return binary.LittleEndian.Uint32(b[:])
	}
	text := func(n uint32) string {
		b := make([]byte, n)
		if _, err := io.ReadFull(c, b); err != nil {
			l.t.Fatal(err)
		}
		return string(b)
	}
	send := func(words []uint32, text string) {
		var b []byte
		for _, w := range words {
			b = binary.LittleEndian.AppendUint32(b, w)
		}
		if _, err := c.Write(append(b, text...)); err != nil {
			l.t.Fatal(err)
		}
	}
	for {
		o.end = text(1)[0]
		switch o.end {
		case 'P', 'K':
			return o
		case 'F':
			o.status = word()
			n, more := word(), word()
			o.stderr, o.stdout = text(n), text(more)
			return o
		case 'W':
			word()
			n, size, _ := word(), word(), word()
			name := text(n)
			o.written[name] = text(size)
		case 'R':
			word()
			n, capture := word(), word()
			o.ran = append(o.ran, strings.ReplaceAll(strings.TrimSuffix(text(n), "\x00"), "\x00", " "))
			if cc.nested != nil {
				cc.nested()
			}
			stdout := ""
			if capture != 0 {
				stdout = cc.stdout
			}
			send([]uint32{cc.status, uint32(len(cc.stderr)), uint32(len(stdout))}, cc.stderr+stdout)
		case 'I':
			word()
			send([]uint32{uint32(len(cc.input))}, cc.input)
		case 'G':
			name, content := text(word()), cc.object
			switch {
			case strings.HasSuffix(name, ".as"):
				content = "x.o: /tmp/ccAbCdEf.s main.c\n"
			case strings.HasSuffix(name, ".d") || strings.HasSuffix(name, ".all"):
				content = "x.o: " + cc.deps + "\n"
			}
			send([]uint32{uint32(len(content)), 0}, content)
		default:
			l.t.Fatalf("got the answer %q", o.end)
		}
	}
}

// round asks once of a server of its own, and reports whether it was a hit.
func (l *lab) round(cc compiler, argv ...string) outcome {
	l.t.Helper()
	s := l.server()
	o := l.ask(s, cc, action.BuildDir, argv...)
	if _, err := s.Close(); err != nil {
		l.t.Error(err)
	}
	return o
}

var mainLine = strings.Fields("gcc -I/in/src/include -I./include -I/in/src -nostdinc -Wp,-MMD,main.d -c -o main.o /in/src/main.c")

// project is a source with two headers, one of which the build itself made.
func project(t *testing.T) (*lab, compiler) {
	l := newLab(t)
	l.src["main.c"] = "#include <a.h>\n#include \"gen.h\"\n"
	l.src["include/a.h"] = "#include <b.h>\n"
	l.src["b.h"] = ""
	l.write("include/gen.h", "#define GEN 1\n")
	return l, compiler{deps: "/in/src/main.c /in/src/include/a.h /in/src/b.h include/gen.h", object: "object", stderr: "a warning\n"}
}

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

// A sandbox can't make the server look at anything of the host.
func TestView(t *testing.T) {
	l, _ := project(t)
	secret := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(secret, []byte("host"), 0o644); err != nil {
		t.Fatal(err)
	}
	for name, to := range map[string]string{"out": secret, "up": "../../../../../../../../" + secret, "dir": filepath.Dir(secret), "in": "/in/src/b.h", "loop": "loop", "self": "/build/include/gen.h"} {
		if err := os.Symlink(to, filepath.Join(l.dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	s := l.server()
	defer s.Close()
	for name, want := range map[string]bool{
		"out": false, "up": false, "dir/secret": false, "loop": false, "../../../.." + secret: false, secret: false, "/build/../../" + secret: false,
		"in": true, "self": true, "include/../include/gen.h": true, "/in/src/include/../b.h": true, "./include//gen.h": true, "/in": false,
	} {
		p := s.view.find(action.BuildDir, name)
		_, _, err := s.view.content(p)
		if (err == nil) != want {
			t.Errorf("%s: got %+v, %v, want readable: %v", name, p, err, want)
		}
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
