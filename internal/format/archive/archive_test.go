package archive

import (
	"archive/tar"
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

func unpack(b []byte, opt Options) (*memTree, Stats, error) {
	t := newMemTree()
	st, err := Unpack(context.Background(), bytes.NewReader(b), int64(len(b)), t, opt)
	return t, st, err
}

// tarOf writes a tar of the given headers; a regular file's content is its Name
// unless Size says otherwise.
func tarOf(t testing.TB, headers ...tar.Header) []byte {
	t.Helper()
	var buf bytes.Buffer
	w := tar.NewWriter(&buf)
	for _, h := range headers {
		if h.Typeflag == 0 {
			h.Typeflag = tar.TypeReg
		}
		if h.Mode == 0 {
			h.Mode = 0o644
		}
		content := []byte(h.Name)
		if h.Typeflag == tar.TypeReg {
			h.Size = int64(len(content))
		}
		if err := w.WriteHeader(&h); err != nil {
			t.Fatal(err)
		}
		if h.Typeflag == tar.TypeReg {
			if _, err := w.Write(content); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return buf.Bytes()
}

func TestMembers(t *testing.T) {
	pax := map[string]string{"SCHILY.xattr.user.b": "2", "SCHILY.xattr.user.a": "1"}
	long := strings.Repeat("deep/", 60) + "file"
	b := tarOf(t,
		tar.Header{Name: "top/", Typeflag: tar.TypeDir, Mode: 0o750},
		tar.Header{Name: "./top/a", Uid: 1000, Gid: 100, Mode: 0o4755},
		tar.Header{Name: "top/a"}, // replaces the first
		tar.Header{Name: "top/hard", Typeflag: tar.TypeLink, Linkname: "top/a"},
		tar.Header{Name: "top/link", Typeflag: tar.TypeSymlink, Linkname: "dir/../a"},
		tar.Header{Name: "top/x", PAXRecords: pax, Uid: 7},
		tar.Header{Name: "top/" + long},
		tar.Header{Name: "top/null", Typeflag: tar.TypeChar, Devmajor: 1, Devminor: 3},
		tar.Header{Name: "top/dir/f", Mode: 0o600},
		tar.Header{Name: "top/dir/", Typeflag: tar.TypeDir, Mode: 0o700},
	)
	tree, st, err := unpack(b, Options{Strip: 1, Devices: true})
	if err != nil {
		t.Fatal(err)
	}
	got := tree.String()
	for _, want := range []string{
		"a 0644 \"top/a\"", "hard 0644 \"top/a\"", "link 0777 -> dir/../a", `user.a="1" user.b="2"`,
		"null 0644 character device 1:3", "dir 0700 directory", "dir/f 0600 ", long + " 0644",
	} {
		if !strings.Contains(got, want) {
			t.Errorf("got tree\n%s\nwant %q in it", got, want)
		}
	}
	if strings.Contains(got, "owner") {
		t.Errorf("got owners, want none without Owners:\n%s", got)
	}
	if st.Entries != 10 || st.Format != "tar" {
		t.Errorf("got %+v", st)
	}
	tree, _, err = unpack(b, Options{Devices: true, Owners: true})
	if err != nil || !strings.Contains(tree.String(), "top/x 0644 \"top/x\" owner 7:0") {
		t.Errorf("got %v and\n%s\nwant the owner", err, tree)
	}
}

func TestPrefix(t *testing.T) {
	b := tarOf(t, tar.Header{Name: "linux-6.1/Makefile"}, tar.Header{Name: "linux-6.1/lib/x"}, tar.Header{Name: "README"})
	for _, c := range []struct {
		opt  Options
		want string // or the error, if it begins with "!"
	}{
		{Options{Prefix: "linux-6.1"}, "Makefile 0644 \"linux-6.1/Makefile\"\nlib 0755 directory\nlib/x 0644 \"linux-6.1/lib/x\""},
		{Options{Prefix: "linux-*/lib/"}, `x 0644 "linux-6.1/lib/x"`},
		{Options{Prefix: "linux-*", Strip: 1}, `!member "linux-6.1/Makefile": stripping 1 parts leaves nothing`},
		{Options{Prefix: "linux-5"}, `!no member is below "linux-5"; at the top there are: linux-6.1, README`},
		{Options{Prefix: "["}, "!invalid prefix"},
		{Options{Strip: 1}, `!member "README": stripping 1 parts leaves nothing of its name`},
	} {
		tree, _, err := unpack(b, c.opt)
		if msg, bad := strings.CutPrefix(c.want, "!"); bad {
			if err == nil || !strings.Contains(err.Error(), msg) {
				t.Errorf("%+v: got error %v, want %q", c.opt, err, msg)
			}
		} else if err != nil || tree.String() != c.want {
			t.Errorf("%+v: got %v and\n%s\nwant\n%s", c.opt, err, tree, c.want)
		}
	}
}

func TestHostile(t *testing.T) {
	symlink := func(name, to string) tar.Header {
		return tar.Header{Name: name, Typeflag: tar.TypeSymlink, Linkname: to}
	}
	hard := func(name, to string) tar.Header {
		return tar.Header{Name: name, Typeflag: tar.TypeLink, Linkname: to}
	}
	for _, c := range []struct {
		want    string
		headers []tar.Header
	}{
		{`member "../up": name with ".."`, []tar.Header{{Name: "../up"}}},
		{`member "a/../../up": name with ".."`, []tar.Header{{Name: "a/../../up"}}},
		{`member "/etc/passwd": absolute name`, []tar.Header{{Name: "/etc/passwd"}}},
		{`file name of 300 bytes`, []tar.Header{{Name: strings.Repeat("n", 300)}}},
		{`more than 4096 bytes`, []tar.Header{{Name: strings.Repeat("n/", 3000) + "x"}}},
		{`symlink to "../x", which is outside`, []tar.Header{symlink("l", "../x")}},
		{`symlink to "a/../../../x", which is outside`, []tar.Header{symlink("d/l", "a/../../../x")}},
		{`symlink to "/etc/passwd", which is outside`, []tar.Header{symlink("l", "/etc/passwd")}},
		{`goes through a symlink`, []tar.Header{symlink("l", "."), {Name: "l/file"}}},
		{`goes through a file`, []tar.Header{{Name: "f"}, {Name: "f/file"}}},
		{`hard link to "../x": name with ".."`, []tar.Header{hard("h", "../x")}},
		{`hard link to "/etc/shadow": absolute name`, []tar.Header{hard("h", "/etc/shadow")}},
		{`hard link to "later": "later" is no file of the tree`, []tar.Header{hard("h", "later"), {Name: "later"}}},
		{`got a block device, want files`, []tar.Header{{Name: "sda", Typeflag: tar.TypeBlock, Devmajor: 8}}},
		{`got a fifo, want files`, []tar.Header{{Name: "pipe", Typeflag: tar.TypeFifo}}},
		{`unsupported type 'Z'`, []tar.Header{{Name: "odd", Typeflag: 'Z'}}},
	} {
		tree, _, err := unpack(tarOf(t, c.headers...), Options{Name: "evil.tar"})
		if err == nil || !strings.Contains(err.Error(), c.want) || !strings.HasPrefix(err.Error(), "unpacking evil.tar: ") {
			t.Errorf("%s: got error %v and\n%s", c.want, err, tree)
		}
	}
	tree, _, err := unpack(tarOf(t, symlink("l", "/etc/passwd")), Options{ExternalLinks: true})
	if err != nil || tree.String() != "l 0777 -> /etc/passwd" {
		t.Errorf("allowed external link: got %v and %s", err, tree)
	}
}

func TestLimits(t *testing.T) {
	many := tarOf(t, tar.Header{Name: "a"}, tar.Header{Name: "b"}, tar.Header{Name: "c"})
	if _, _, err := unpack(many, Options{Limits: Limits{Entries: 2}}); err == nil || !strings.Contains(err.Error(), `member "c": too many entries: got more than 2`) {
		t.Errorf("entries: got %v", err)
	}
	if _, _, err := unpack(many, Options{Limits: Limits{Size: 2}}); err == nil || !strings.Contains(err.Error(), `member "c": too large`) {
		t.Errorf("size: got %v", err)
	}
	for _, prog := range []string{"gzip", "xz", "zstd"} {
		if _, err := exec.LookPath(prog); err != nil {
			continue
		}
		var buf bytes.Buffer
		w := tar.NewWriter(&buf)
		zeros := make([]byte, 20<<20)
		if err := w.WriteHeader(&tar.Header{Name: "zeros", Size: int64(len(zeros)), Mode: 0o644}); err != nil {
			t.Fatal(err)
		}
		w.Write(zeros)
		w.Close()
		cmd := exec.Command(prog, "-c")
		cmd.Stdin = &buf
		bomb, err := cmd.Output()
		if err != nil {
			t.Fatal(err)
		}
		_, _, err = unpack(bomb, Options{Limits: Limits{Ratio: 100, RatioFrom: 1 << 20}})
		if err == nil || !strings.Contains(err.Error(), "looks like a bomb") {
			t.Errorf("%s bomb: got %v", prog, err)
		}
	}
}

// TestPrograms packs one folder with tar and every compressor there is, and with
// zip; all give the same tree.
func TestPrograms(t *testing.T) {
	dir := t.TempDir()
	sample(t, filepath.Join(dir, "top"), 300)
	want := ""
	for _, c := range []struct{ prog, format, name string }{
		{"tar", "tar", "x.tar"}, {"gzip", "tar.gz", "x.tar.gz"}, {"bzip2", "tar.bz2", "x.tar.bz2"},
		{"xz", "tar.xz", "x.tar.xz"}, {"zstd", "tar.zst", "x.tar.zst"}, {"zip", "zip", "x.zip"},
	} {
		if _, err := exec.LookPath(c.prog); err != nil {
			t.Logf("no %s here", c.prog)
			continue
		}
		cmd := exec.Command("tar", "-caf", c.name, "top")
		if c.format == "zip" {
			cmd = exec.Command("zip", "-qry", c.name, "top")
		}
		cmd.Dir = dir
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("%v: %v\n%s", cmd.Args, err, out)
		}
		b, err := os.ReadFile(filepath.Join(dir, c.name))
		if err != nil {
			t.Fatal(err)
		}
		tree, st, err := unpack(b, Options{Name: c.name, Strip: 1})
		if err != nil || st.Format != c.format {
			t.Errorf("%s: got %v and %+v", c.name, err, st)
		}
		if want == "" {
			want = tree.String()
		}
		if tree.String() != want {
			t.Errorf("%s: got a tree other than the plain tar's", c.name)
		}
		checkCuts(t, c.name, b)
	}
	if n := strings.Count(want, "\n"); n < 300 {
		t.Errorf("got %d entries, want at least 300", n)
	}
}

// checkCuts cuts the archive at several places: every cut is an error, but for
// a plain tar's between two members.
func checkCuts(t *testing.T, name string, b []byte) {
	t.Helper()
	for i := range 20 {
		n := len(b)*i/20 + 7
		if _, _, err := unpack(b[:n], Options{Name: name, Strip: 1}); err == nil {
			t.Errorf("%s cut to %d of %d bytes: no error", name, n, len(b))
		} else if !strings.HasPrefix(err.Error(), "unpacking "+name+": ") {
			t.Errorf("%s cut: got %q", name, err)
		}
	}
}

// sample makes a folder with files of many sizes, links and run bits.
func sample(t testing.TB, dir string, files int) {
	t.Helper()
	for i := range files {
		p := filepath.Join(dir, fmt.Sprintf("d%d/e%d/file%d", i%7, i%31, i))
		if err := os.MkdirAll(filepath.Dir(p), 0o755); err != nil {
			t.Fatal(err)
		}
		size := i * 37 % 9000
		if i == 5 {
			size = 3 << 20 // more than smallFile
		}
		b := bytes.Repeat([]byte(fmt.Sprintf("line %d of a file\n", i)), size/16+1)[:size]
		if err := os.WriteFile(p, b, 0o644); err != nil {
			t.Fatal(err)
		}
		if i%10 == 0 {
			if err := os.Chmod(p, 0o755); err != nil {
				t.Fatal(err)
			}
			if err := os.Symlink("file"+fmt.Sprint(i), p+".link"); err != nil {
				t.Fatal(err)
			}
		}
	}
}

func TestRefusedFormats(t *testing.T) {
	for in, want := range map[string]string{
		"":                             "the file is empty",
		"LZIP\x01abc":                  "compressed with lzip",
		"7z\xbc\xaf\x27\x1cabc":        "a 7z archive",
		"<!DOCTYPE html><html>":        "an HTML page",
		"hello":                        "neither a tar nor a zip archive",
		strings.Repeat("hello", 300):   "neither a tar nor a zip archive",
		"PK\x03\x04 and then no zip":   "damaged or truncated zip",
		"\xfd7zXZ\x00 and then no xz.": "reading xz",
		"\x1f\x8b and then no gzip":    "gzip: invalid header",
	} {
		if _, _, err := unpack([]byte(in), Options{}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%.20q: got %v, want %q", in, err, want)
		}
	}
}

func TestCancel(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	b := tarOf(t, tar.Header{Name: "a"})
	if _, err := Unpack(ctx, bytes.NewReader(b), int64(len(b)), newMemTree(), Options{}); err == nil || !strings.Contains(err.Error(), "canceled") {
		t.Errorf("got %v, want that it was cancelled", err)
	}
}

func FuzzUnpack(f *testing.F) {
	f.Add(tarOf(f, tar.Header{Name: "a/b", PAXRecords: map[string]string{"SCHILY.xattr.user.a": "1"}},
		tar.Header{Name: "l", Typeflag: tar.TypeSymlink, Linkname: "a"}))
	files, _ := filepath.Glob("testdata/*")
	for _, name := range files {
		if b, err := os.ReadFile(name); err == nil {
			f.Add(b)
		}
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		tree, _, err := unpack(b, Options{Limits: Limits{Size: 1 << 20, Entries: 1000}})
		if err != nil {
			return
		}
		for p, n := range tree.m {
			if strings.HasPrefix(p, "/") || strings.Contains("/"+p+"/", "/../") {
				t.Errorf("got path %q", p)
			}
			if strings.HasPrefix(n.target, "/") {
				t.Errorf("got target %q", n.target)
			}
		}
	})
}
