package lock

import (
	"bytes"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/labstar/labstar/action"
	"github.com/labstar/labstar/starlark/schema"
)

var _ schema.Pins = (*Pins)(nil)

const sample = `# labstar lock 1
deb trixie/amd64/@essential deps=bash,dash
deb trixie/amd64/make 4.4.1-2 sha256:00 463776 pool/m.deb deps=libc6
src trixie/busybox 1:1.37.0-6 quilt
`

func TestRoundTrip(t *testing.T) {
	f, err := Parse("lab.lock", []byte(sample))
	if err != nil {
		t.Fatal(err)
	}
	if got := string(f.Format()); got != sample {
		t.Errorf("got\n%swant\n%s", got, sample)
	}
	// The order of lines and of additions makes no difference.
	lines := strings.SplitAfter(sample, "\n")[1:4]
	slices.Reverse(lines)
	g, err := Parse("lab.lock", []byte(Header+"\n"+strings.Join(lines, "")+lines[0]+"\n# a comment\n"))
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(g.Format(), f.Format()) {
		t.Errorf("got\n%s", g.Format())
	}
	if fields, ok := f.Get("deb", "trixie/amd64/make"); !ok || fields[0] != "4.4.1-2" {
		t.Errorf("got %q, %v", fields, ok)
	}
	h := f.Clone()
	if n := h.Remove("make"); n != 1 || len(h.Entries()) != 2 || len(f.Entries()) != 3 {
		t.Errorf("removed %d", n)
	}
	if n := f.Remove("mak"); n != 0 {
		t.Errorf("removed %d for a name that isn't there", n)
	}
}

func TestParseErrors(t *testing.T) {
	for _, test := range []struct{ text, want string }{
		{"deb a b\n", "lab.lock:1: not a lock of this version"},
		{"# labstar lock 2\n", `got "# labstar lock 2"`},
		{Header + "\ndeb x\n", "lab.lock:2: malformed entry: got 2 words"},
		{Header + "\ndeb  x y\n", "lab.lock:2: invalid lock entry"},
		{Header + "\ndeb x y\ttab\n", "lab.lock:2: invalid lock entry"},
		{Header + "\ndeb a 1\ndeb a 2\n", "lab.lock:3: deb a is locked twice, differently"},
		{Header + "\n<<<<<<< HEAD\ndeb a 1\n=======\ndeb a 2\n>>>>>>> x\n", "lab.lock:2: unresolved merge conflict"},
		{"<<<<<<< HEAD\n" + Header + "\n", "lab.lock:1: unresolved merge conflict"},
	} {
		_, err := Parse("lab.lock", []byte(test.text))
		if err == nil || !strings.Contains(err.Error(), test.want) || !strings.Contains(err.Error(), "labstar lock") {
			t.Errorf("%q: got %v, want %q and what to run", test.text, err, test.want)
		}
	}
}

func TestFiles(t *testing.T) {
	p := filepath.Join(t.TempDir(), "lab.lock")
	f, err := ReadFile(p)
	if err != nil || len(f.Entries()) != 0 {
		t.Fatalf("a missing lock: got %v, %v", f, err)
	}
	if err := f.Set("deb", "trixie/amd64/make", "1", "sha256:ab"); err != nil {
		t.Fatal(err)
	}
	if err := f.Set("deb", "a b", "1"); err == nil {
		t.Error("a name with a space was taken")
	}
	if err := WriteFile(p, f); err != nil {
		t.Fatal(err)
	}
	g, err := ReadFile(p)
	if err != nil || !bytes.Equal(g.Format(), f.Format()) {
		t.Fatalf("got %s, %v", g.Format(), err)
	}
	list, _ := os.ReadDir(filepath.Dir(p))
	if len(list) != 1 {
		t.Errorf("got %v left beside the lock", list)
	}
}

func TestPins(t *testing.T) {
	f, _ := Parse("lab.lock", []byte(sample))
	p := NewPins(f)
	first := []action.Frame{{File: "lab.star", Line: 3, Col: 1}}
	p.Want("src", "trixie/linux", first)
	p.Want("deb", "trixie/amd64/gcc", nil)
	p.Want("src", "trixie/linux", nil)
	wants := p.Wants()
	if len(wants) != 2 || wants[0].Kind != "deb" || wants[1].Site[0].Line != 3 {
		t.Errorf("got %+v", wants)
	}
	if _, ok := p.Get("src", "trixie/busybox"); !ok {
		t.Fatal("not found")
	}
	f.Keep(p.Used)
	if e := f.Entries(); len(e) != 1 || e[0].Kind != "src" {
		t.Errorf("got %v", e)
	}
	err := &RequestError{Request: wants[1], Err: os.ErrNotExist, Hint: "do that"}
	if got := err.Error(); got != "lab.star:3:1: file does not exist\n  hint: do that" {
		t.Errorf("got %q", got)
	}
}

func FuzzParse(f *testing.F) {
	f.Add([]byte(sample))
	f.Add([]byte(Header + "\r\na b c\r\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		file, err := Parse("lab.lock", b)
		if err != nil {
			return
		}
		again, err := Parse("lab.lock", file.Format())
		if err != nil || !bytes.Equal(again.Format(), file.Format()) {
			t.Fatalf("%q: got %v\n%q\n%q", b, err, file.Format(), again.Format())
		}
	})
}
