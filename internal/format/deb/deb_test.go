package deb

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/klauspost/compress/zstd"
	"github.com/ulikunitz/xz"

	"github.com/labstar/labstar/action"
)

// arFile writes an ar archive of name, content pairs.
func arFile(members ...string) []byte {
	var b bytes.Buffer
	b.WriteString(arMagic)
	for i := 0; i+1 < len(members); i += 2 {
		fmt.Fprintf(&b, "%-16s%-12d%-6d%-6d%-8s%-10d`\n", members[i], 0, 0, 0, "100644", len(members[i+1]))
		b.WriteString(members[i+1])
		if len(members[i+1])%2 == 1 {
			b.WriteByte('\n')
		}
	}
	return b.Bytes()
}

func tarFile(t testing.TB, headers ...tar.Header) string {
	t.Helper()
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for _, h := range headers {
		body := ""
		if h.Typeflag == tar.TypeReg {
			body = "content of " + h.Name
			h.Size = int64(len(body))
		}
		if err := w.WriteHeader(&h); err != nil {
			t.Fatal(err)
		}
		io.WriteString(w, body)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func compress(t testing.TB, kind, s string) string {
	t.Helper()
	var b bytes.Buffer
	var w io.WriteCloser
	var err error
	switch kind {
	case ".gz":
		w = gzip.NewWriter(&b)
	case ".xz":
		w, err = xz.NewWriter(&b)
	case ".zst":
		w, err = zstd.NewWriter(&b)
	default:
		return s
	}
	if err != nil {
		t.Fatal(err)
	}
	io.WriteString(w, s)
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// recorder is a tree in memory, one line a path.
type recorder struct {
	mu    sync.Mutex
	paths map[string]string
}

func (r *recorder) put(p, s string) error {
	if _, err := action.CleanPath(p); err != nil {
		return err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.paths[p] = s
	return nil
}

func (r *recorder) Mkdir(p string, a action.Attr) error {
	return r.put(p, fmt.Sprintf("dir %o %d:%d", a.Mode, a.UID, a.GID))
}
func (r *recorder) File(p string, a action.Attr, b io.Reader) (action.Digest, error) {
	c, err := io.ReadAll(b)
	if err != nil {
		return action.Digest{}, err
	}
	return action.Of(c), r.put(p, fmt.Sprintf("file %o %d:%d %s", a.Mode, a.UID, a.GID, c))
}
func (r *recorder) Symlink(p, target string, a action.Attr) error { return r.put(p, "-> "+target) }
func (r *recorder) Link(p, old string) error                      { return r.put(p, "= "+old) }
func (r *recorder) Device(p string, k action.Kind, a, b uint32, _ action.Attr) error {
	return r.put(p, k.String())
}
func (r *recorder) Commit() (action.Digest, error) { return action.Digest{}, nil }
func (r *recorder) Abort()                         {}

func unpack(b []byte, opt Options) (string, error) {
	p, err := Open(bytes.NewReader(b), int64(len(b)))
	if err != nil {
		return "", err
	}
	r := &recorder{paths: map[string]string{}}
	_, err = p.Unpack(context.Background(), r, opt)
	var lines []string
	for _, k := range slices.Sorted(maps.Keys(r.paths)) {
		lines = append(lines, k+" "+r.paths[k])
	}
	return strings.Join(lines, "\n"), err
}

func sampleControl(t testing.TB) string {
	return tarFile(t, tar.Header{Name: "./", Typeflag: tar.TypeDir, Mode: 0o755},
		tar.Header{Name: "./postinst", Typeflag: tar.TypeReg, Mode: 0o755}, tar.Header{Name: "./control", Typeflag: tar.TypeReg, Mode: 0o644})
}

func sampleData(t testing.TB) string {
	return tarFile(t,
		tar.Header{Name: "./", Typeflag: tar.TypeDir, Mode: 0o755},
		tar.Header{Name: "./bin/", Typeflag: tar.TypeDir, Mode: 0o755},
		tar.Header{Name: "./bin/su", Typeflag: tar.TypeReg, Mode: 0o4755},
		tar.Header{Name: "./bin/su2", Typeflag: tar.TypeLink, Linkname: "./bin/su"},
		tar.Header{Name: "./lib64", Typeflag: tar.TypeSymlink, Linkname: "usr/lib64"},
		tar.Header{Name: "./usr/lib/x.so", Typeflag: tar.TypeSymlink, Linkname: "/lib/y.so"},
		tar.Header{Name: "./usr/share/doc/x/copyright", Typeflag: tar.TypeReg, Mode: 0o644},
		tar.Header{Name: "./usr/share/docs", Typeflag: tar.TypeReg, Mode: 0o644},
		tar.Header{Name: "./var/mail", Typeflag: tar.TypeDir, Mode: 0o2775, Gid: 8},
	)
}

func TestUnpack(t *testing.T) {
	const want = ` dir 755 0:0
usr/bin dir 755 0:0
usr/bin/su file 4755 0:0 content of ./bin/su
usr/bin/su2 = usr/bin/su
usr/lib/x.so -> /lib/y.so
usr/share/docs file 644 0:0 content of ./usr/share/docs
var/mail dir 2775 0:8`
	for _, c := range []string{"", ".gz", ".xz", ".zst"} {
		b := arFile("debian-binary", "2.0\n", "control.tar"+c, compress(t, c, sampleControl(t)),
			"_vendor", "x", "data.tar"+c+"/", compress(t, c, sampleData(t)))
		got, err := unpack(b, Options{Drop: []string{"usr/share/doc"}})
		if err != nil {
			t.Fatalf("%s: %v", c, err)
		}
		if got != want {
			t.Errorf("%s: got\n%s\nwant\n%s", c, got, want)
		}
		p, _ := Open(bytes.NewReader(b), int64(len(b)))
		if control, err := p.Info(); err != nil || control.Control != "content of ./control" {
			t.Errorf("%s: got %q, %v", c, control, err)
		}
	}
}

func TestHostile(t *testing.T) {
	deb := func(h ...tar.Header) []byte {
		return arFile("debian-binary", "2.0\n", "control.tar", sampleControl(t), "data.tar", tarFile(t, h...))
	}
	reg := func(name string) tar.Header { return tar.Header{Name: name, Typeflag: tar.TypeReg, Mode: 0o644} }
	good := deb(reg("./usr/x"))
	huge := bytes.Replace(good, []byte("`\n2.0\n"), []byte("`\n9.0\n"), 1)
	size := bytes.Clone(good)
	copy(size[8+48:], "9999999999")
	negative := bytes.Clone(good)
	copy(negative[8+48:], "-4        ")
	many := []string{"debian-binary", "2.0\n"}
	for range 30 {
		many = append(many, "_x", "")
	}
	for _, c := range []struct {
		name string
		b    []byte
		want string
	}{
		{"empty", nil, "got no ar archive"},
		{"html", []byte("<html><body>not found</body></html>"), "got no ar archive"},
		{"cut", good[:len(good)-600], "truncated"},
		{"cut header", good[:100], "truncated"},
		{"only first", arFile("debian-binary", "2.0\n"), "a member is missing"},
		{"version", huge, `got format version "9.0"`},
		{"size", size, "truncated"},
		{"negative", negative, "got size"},
		{"many", arFile(many...), "more than 16 members"},
		{"twice", arFile("debian-binary", "2.0\n", "control.tar", "", "control.tar", ""), `got member "control.tar"`},
		{"order", arFile("debian-binary", "2.0\n", "data.tar", "", "control.tar", ""), `got member "control.tar"`},
		{"dotdot", deb(reg("../x")), `..`},
		{"absolute", deb(reg("/etc/passwd")), "absolute name"},
		{"link out", deb(tar.Header{Name: "x", Typeflag: tar.TypeLink, Linkname: "../../etc/shadow"}), "hard link"},
		{"link to dropped", deb(reg("usr/share/doc/a"), tar.Header{Name: "usr/b", Typeflag: tar.TypeLink, Linkname: "usr/share/doc/a"}), "left out"},
		{"device", deb(tar.Header{Name: "dev/sda", Typeflag: tar.TypeBlock}), "block device"},
		{"one file twice", deb(reg("bin/x"), reg("usr/bin/x")), "the same with /usr merged"},
	} {
		got, err := unpack(c.b, Options{Drop: []string{"usr/share/doc"}})
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: got %q, error %v, want %q", c.name, got, err, c.want)
		}
	}
}

// The tars inside are fuzzed in package archive.
func FuzzOpen(f *testing.F) {
	f.Add(arFile("debian-binary", "2.0\n", "control.tar.gz", compress(f, ".gz", sampleControl(f)), "data.tar", "x"))
	f.Add(arFile("debian-binary", "2.0\n", "_x", "y"))
	f.Fuzz(func(t *testing.T, b []byte) {
		p, err := Open(bytes.NewReader(b), int64(len(b)))
		if err != nil {
			return
		}
		if n := p.control.Size() + p.data.Size(); n > int64(len(b)) {
			t.Fatalf("members of %d bytes in a file of %d", n, len(b))
		}
	})
}
