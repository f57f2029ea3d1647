package action

import (
	"context"
	"errors"
	"io/fs"
	"strings"
	"testing"

	repb "github.com/bazelbuild/remote-apis/build/bazel/remote/execution/v2"
	"google.golang.org/protobuf/proto"
)

// memory is the Content of these tests: directories by digest.
type memory map[Digest]*Directory

func (m memory) Directory(_ context.Context, d Digest) (*Directory, error) {
	if dir := m[d]; dir != nil {
		return dir, nil
	}
	return nil, errors.New("no such directory")
}
func (m memory) OpenBlob(context.Context, Digest) (Blob, error) {
	return nil, errors.New("no blobs here")
}
func (m memory) put(d *Directory) (Digest, error) {
	b := d.Encode()
	m[Of(b)] = d
	return Of(b), nil
}

func full() *Directory {
	d := &Directory{
		Attr: Attr{Mode: 0o1777, UID: 1, GID: 2},
		Nodes: []Node{
			{Name: "plain", Kind: Regular, Digest: Of([]byte("x")), Attr: Attr{Mode: ModeFile}},
			{Name: "empty", Kind: Regular, Digest: Empty, Attr: Attr{Mode: ModeFile}},
			{Name: "run", Kind: Regular, Digest: Of([]byte("y")), Attr: Attr{Mode: ModeExec}},
			{Name: "private-run", Kind: Regular, Digest: Of([]byte("y")), Attr: Attr{Mode: 0o700}},
			{Name: "set-id", Kind: Regular, Digest: Of([]byte("z")), Attr: Attr{Mode: 0o4755, UID: 1000, GID: 1001,
				Xattrs: []Xattr{{Name: "security.capability", Value: []byte{1, 0, 0xff}}}}},
			{Name: "mode-0", Kind: Regular, Digest: Of([]byte("z")), Attr: Attr{Mode: 0}},
			{Name: "sub", Kind: Dir, Digest: Of((&Directory{Attr: Attr{Mode: ModeDir}}).Encode())},
			{Name: "link", Kind: Symlink, Target: "../x y", Attr: Attr{Mode: ModeSymlink}},
			{Name: "owned-link", Kind: Symlink, Target: "/", Attr: Attr{Mode: ModeSymlink, UID: 7}},
			{Name: "console", Kind: Char, Major: 5, Minor: 1, Attr: Attr{Mode: ModeDevice}},
			{Name: "null", Kind: Char, Major: 1, Minor: 3, Attr: Attr{Mode: 0o666}},
			{Name: "odd", Kind: Char, Major: 1, Minor: 3, Attr: Attr{Mode: 0o644}},
			{Name: "sda", Kind: Block, Major: 8, Attr: Attr{Mode: 0o660, GID: 6}},
			{Name: "pipe", Kind: Fifo, Attr: Attr{Mode: ModeDevice}},
		},
	}
	d.Sort()
	return d
}

func TestDirectoryRoundTrip(t *testing.T) {
	d := full()
	b := d.Encode()
	back, err := DecodeDirectory(b)
	if err != nil {
		t.Fatal(err)
	}
	if len(back.Nodes) != len(d.Nodes) || !sameAttr(back.Attr, d.Attr) {
		t.Fatalf("got %+v, want %+v", back, d)
	}
	for i := range d.Nodes {
		if back.Nodes[i].Name != d.Nodes[i].Name || !sameNode(back.Nodes[i], d.Nodes[i]) {
			t.Errorf("got  %+v\nwant %+v", back.Nodes[i], d.Nodes[i])
		}
	}
	if string(back.Encode()) != string(b) {
		t.Error("encoding what was decoded gives other bytes")
	}
}

// The API's own types must read what is written, and write the same bytes.
func TestDirectoryIsREAPI(t *testing.T) {
	b := full().Encode()
	var m repb.Directory
	if err := proto.Unmarshal(b, &m); err != nil {
		t.Fatal(err)
	}
	again, err := proto.MarshalOptions{Deterministic: true}.Marshal(&m)
	if err != nil {
		t.Fatal(err)
	}
	if string(again) != string(b) {
		t.Errorf("got %x, want %x", b, again)
	}
	if len(m.Files) != 11 || len(m.Directories) != 1 || len(m.Symlinks) != 2 || m.NodeProperties.UnixMode.Value != 0o1777 {
		t.Errorf("read as %v", &m)
	}
	if len(m.ProtoReflect().GetUnknown()) > 0 {
		t.Errorf("unknown fields: %x", m.ProtoReflect().GetUnknown())
	}
}

func TestPlainTreeHasNoProperties(t *testing.T) {
	d := &Directory{Attr: Attr{Mode: ModeDir}, Nodes: []Node{{Name: "a", Kind: Regular, Digest: Empty, Attr: Attr{Mode: ModeFile}}}}
	var m repb.Directory
	if err := proto.Unmarshal(d.Encode(), &m); err != nil {
		t.Fatal(err)
	}
	if m.NodeProperties != nil || m.Files[0].NodeProperties != nil {
		t.Errorf("got properties in %v", &m)
	}
}

func FuzzDecodeDirectory(f *testing.F) {
	f.Add(full().Encode())
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, b []byte) {
		d, err := DecodeDirectory(b)
		if err != nil {
			return
		}
		again, err := DecodeDirectory(d.Encode())
		if err != nil || string(again.Encode()) != string(d.Encode()) {
			t.Fatalf("not stable: %v", err)
		}
	})
}

func TestResultRoundTrip(t *testing.T) {
	r := &Result{Millis: 1234, Log: Of([]byte("log")), Outputs: []OutputDigest{
		{Name: "bin", Kind: File, Digest: Of([]byte("b"))}, {Name: "tree", Kind: Tree, Digest: Of([]byte("t"))}}}
	var m repb.ActionResult
	if err := proto.Unmarshal(r.Encode(), &m); err != nil {
		t.Fatal(err)
	}
	if m.OutputFiles[0].Path != "bin" || m.OutputDirectories[0].RootDirectoryDigest.Hash != Of([]byte("t")).Hex() || m.StdoutDigest.SizeBytes != 3 {
		t.Errorf("read as %v", &m)
	}
	back, err := DecodeResult(r.Encode())
	if err != nil {
		t.Fatal(err)
	}
	if string(back.Encode()) != string(r.Encode()) || back.Millis != 1234 {
		t.Errorf("got %+v, want %+v", back, r)
	}
}

func regular(s string) Node {
	return Node{Kind: Regular, Digest: Of([]byte(s)), Attr: Attr{Mode: ModeFile}}
}

// list writes a tree as "path mode content" lines.
func list(t *testing.T, e *Edit) string {
	t.Helper()
	var b strings.Builder
	err := e.Walk(t.Context(), func(p string, n Node) error {
		if n.Kind == Dir {
			p += "/"
		}
		b.WriteString(p + " ")
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(b.String())
}

func TestEdit(t *testing.T) {
	ctx, m := t.Context(), memory{}
	e := NewEdit(m, Digest{})
	check := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	check(e.Put(ctx, "/usr/bin//a", regular("a"), Refuse))
	check(e.Put(ctx, "etc/motd", regular("hi"), Refuse))
	check(e.Put(ctx, "etc/motd", regular("hi"), Refuse)) // equal: no conflict
	check(e.Mkdir(ctx, "proc"))
	base, err := e.Finish(ctx, m.put)
	check(err)

	e = NewEdit(m, base)
	var conflict *ConflictError
	if err := e.Put(ctx, "etc/motd", regular("other"), Refuse); !errors.As(err, &conflict) || conflict.Path != "etc/motd" {
		t.Errorf("got %v, want a conflict", err)
	}
	if err := e.Put(ctx, "etc/motd/x", regular("x"), Replace); err == nil || !strings.Contains(err.Error(), "goes through") {
		t.Errorf("got %v, want an error about the file in the way", err)
	}
	for _, bad := range []string{"../x", "a/../b", "a\x00b", ""} {
		if err := e.Put(ctx, bad, regular("x"), Replace); err == nil {
			t.Errorf("path %q was taken", bad)
		}
	}
	check(e.Move(ctx, "usr/bin", "bin"))
	if err := e.Move(ctx, "bin", "bin/below"); err == nil {
		t.Error("a directory was moved into itself")
	}
	check(e.Merge(ctx, "opt/lab", base, Refuse))
	check(e.SetAttr(ctx, "opt", func(_ Kind, a *Attr) { a.Mode = 0o700 }))
	check(e.Remove(ctx, "opt/lab/etc"))
	if err := e.Remove(ctx, "opt/lab/etc"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("got %v, want not exist", err)
	}
	want := "/ bin/ bin/a etc/ etc/motd opt/ opt/lab/ opt/lab/proc/ opt/lab/usr/ opt/lab/usr/bin/ opt/lab/usr/bin/a proc/ usr/"
	if got := list(t, e); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	root, err := e.Finish(ctx, m.put)
	check(err)
	if got := list(t, NewEdit(m, root)); got != want {
		t.Errorf("after Finish: got %s", got)
	}
	if n, err := NewEdit(m, root).Lookup(ctx, "bin/a"); err != nil || n.Digest != Of([]byte("a")) {
		t.Errorf("got %v %v", n, err)
	}
}

// What is not touched is not loaded: the directory behind a digest need not exist.
func TestEditIsLazy(t *testing.T) {
	ctx, m := t.Context(), memory{}
	root, err := m.put(&Directory{Attr: Attr{Mode: ModeDir}, Nodes: []Node{{Name: "huge", Kind: Dir, Digest: Of([]byte("not there"))}}})
	if err != nil {
		t.Fatal(err)
	}
	e := NewEdit(m, root)
	if err := e.Put(ctx, "in/x", regular("x"), Refuse); err != nil {
		t.Fatal(err)
	}
	if _, err := e.Finish(ctx, m.put); err != nil {
		t.Fatal(err)
	}
}

func TestCleanPath(t *testing.T) {
	for in, want := range map[string]string{"a": "a", "/a/b/": "a/b", "./a//b/.": "a/b", "": "", "/": "", "a/b": "a/b"} {
		if got, err := CleanPath(in); err != nil || got != want {
			t.Errorf("CleanPath(%q) = %q, %v, want %q", in, got, err, want)
		}
	}
	for _, in := range []string{"..", "a/..", "a/\x00", strings.Repeat("x", 256)} {
		if got, err := CleanPath(in); err == nil {
			t.Errorf("CleanPath(%q) = %q, want an error", in, got)
		}
	}
}
