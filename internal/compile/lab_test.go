//go:build linux

package compile

import (
	"encoding/binary"
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
