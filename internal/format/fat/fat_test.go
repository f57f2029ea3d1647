package fat_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/labstar/labstar/internal/format/fat"
)

func file(name string, content []byte) *fat.Node {
	return &fat.Node{Name: name, Size: int64(len(content)), Open: func() (io.ReadCloser, error) {
		return io.NopCloser(bytes.NewReader(content)), nil
	}}
}

func folder(name string, kids ...*fat.Node) *fat.Node {
	return &fat.Node{Name: name, Dir: true, Children: kids}
}

func noise(n int) []byte {
	b := make([]byte, 0, n+32)
	sum := sha256.Sum256([]byte("noise"))
	for len(b) < n {
		sum = sha256.Sum256(sum[:])
		b = append(b, sum[:]...)
	}
	return b[:n]
}

func tree() *fat.Node {
	many := folder("many")
	for i := range 300 {
		many.Children = append(many.Children, file(fmt.Sprintf("a long name with the number %d.text", i), []byte{byte(i)}))
	}
	return folder("",
		folder("EFI", folder("BOOT", file("BOOTX64.EFI", noise(100000)))),
		folder("loader", file("loader.conf", []byte("timeout 3\n")), folder("entries", file("arch linux.conf", []byte("title x\n")))),
		file("vmlinuz", noise(1<<20)),
		file("Grüße an Ömer €.txt", []byte("hello\n")),
		file("exactly13char", nil),
		file("a.b.c.tar.gz", []byte("x")),
		file(".hidden", []byte("y")),
		many,
	)
}

func write(t testing.TB, root *fat.Node, o fat.Options) string {
	t.Helper()
	im, err := fat.New(root, o)
	if err != nil {
		t.Fatal(err)
	}
	name := filepath.Join(t.TempDir(), "image")
	f, err := os.Create(name)
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(im.Write(f), f.Close()); err != nil {
		t.Fatal(err)
	}
	if fi, err := os.Stat(name); err != nil || fi.Size() != im.Size() {
		t.Fatalf("got %v, %v, want %d bytes", fi, err, im.Size())
	}
	return name
}

func output(t testing.TB, name string, args ...string) string {
	t.Helper()
	at, err := exec.LookPath(name)
	if err != nil {
		at, err = exec.LookPath("/usr/sbin/" + name)
	}
	if err != nil {
		t.Skipf("%s is not installed", name)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, at, args...)
	cmd.Env = append(os.Environ(), "MTOOLS_SKIP_CHECK=0", "LC_ALL=C.UTF-8", "TZ=UTC")
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%s %v: %v\n%.4000s", name, args, err, out)
	}
	return string(out)
}

// fsck.vfat finds nothing, and mtools reads back what was written.
func TestReaders(t *testing.T) {
	for name, o := range map[string]fat.Options{
		"fitted":        {},
		"free":          {Free: 40 << 20},
		"FAT12":         {Bits: 12, Size: 8 << 20},
		"FAT16":         {Bits: 16, Size: 64 << 20},
		"FAT32":         {Bits: 32, Size: 64 << 20},
		"FAT32 fitted":  {Bits: 32},
		"FAT16 fitted":  {Bits: 16},
		"FAT32 by size": {Size: 600 << 20},
		"odd":           {Size: 9<<20 + 513},
	} {
		t.Run(name, func(t *testing.T) {
			o.Label, o.VolumeID, o.Hidden, o.Time = "LAB STICK", 0x1234ABCD, 2048, 1577836800
			image := write(t, tree(), o)
			out := output(t, "fsck.vfat", "-n", "-v", image)
			if strings.Contains(out, "differ") || strings.Contains(out, "orrect") || !strings.Contains(out, "files") {
				t.Error(out)
			}
			if bits := o.Bits; bits != 0 && !strings.Contains(output(t, "minfo", "-i", image), fmt.Sprintf("FAT%d", bits)) {
				t.Errorf("minfo does not find FAT%d", bits)
			}
			to := t.TempDir()
			output(t, "mcopy", "-s", "-n", "-m", "-i", image, "::/*", to)
			compare(t, tree(), to)
			if dir := output(t, "mdir", "-i", image, "::"); !strings.Contains(dir, "LAB STICK") || !strings.Contains(dir, "1234-ABCD") || !strings.Contains(dir, "2020-01-01") {
				t.Error(dir)
			}
		})
	}
}

func compare(t *testing.T, n *fat.Node, at string) {
	t.Helper()
	if n.Dir {
		list, err := os.ReadDir(at)
		if err != nil || len(list) != len(n.Children) {
			t.Errorf("%s: got %d entries and %v, want %d", at, len(list), err, len(n.Children))
		}
		for _, c := range n.Children {
			compare(t, c, filepath.Join(at, c.Name))
		}
		return
	}
	r, _ := n.Open()
	want, _ := io.ReadAll(r)
	if got, err := os.ReadFile(at); err != nil || !bytes.Equal(got, want) {
		t.Errorf("%s: got %d bytes and %v, want %d", at, len(got), err, len(want))
	}
}

// Short names stay apart where long ones begin alike, and a name that is short but
// for its case keeps it.
func TestShortNames(t *testing.T) {
	root := folder("", file("longname-one.txt", nil), file("longname-two.txt", nil), file("LONGNA~1.TXT", nil), file("readme.txt", nil))
	out := output(t, "mdir", "-a", "-i", write(t, root, fat.Options{}), "::")
	for _, want := range []string{"LONGNA~2 TXT", "LONGNA~3 TXT", "LONGNA~1 TXT", "README   TXT"} {
		if !strings.Contains(out, want) {
			t.Errorf("got no %q in\n%s", want, out)
		}
	}
}

func TestRefuses(t *testing.T) {
	for want, root := range map[string]*fat.Node{
		`"/x/ReadMe" and "/x/README" are one name`: folder("", folder("x", file("ReadMe", nil), file("README", nil))),
		"none of \" * / :":                         folder("", file("a:b", nil)),
		"end with a dot":                           folder("", file("a.", nil)),
		"at most 255":                              folder("", file(strings.Repeat("ü", 256), nil)),
		"no UTF-8":                                 folder("", file("\xff", nil)),
		"4 GiB":                                    folder("", &fat.Node{Name: "big", Size: 1 << 32}),
	} {
		if _, err := fat.New(root, fat.Options{}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want an error with %q", err, want)
		}
	}
	if _, err := fat.New(folder(""), fat.Options{Label: "small"}); err == nil {
		t.Error("got no error for a label in small letters")
	}
	if _, err := fat.New(folder(""), fat.Options{Bits: 32, Size: 8 << 20}); err == nil || !strings.Contains(err.Error(), "at least") {
		t.Errorf("got %v for a FAT32 of 8 MiB", err)
	}
	var size *fat.SizeError
	if _, err := fat.New(tree(), fat.Options{Size: 1 << 20}); !errors.As(err, &size) {
		t.Fatalf("got %v, want a SizeError", err)
	}
	if _, err := fat.New(tree(), fat.Options{Size: size.Need}); err != nil {
		t.Errorf("with the size that the error asks for: %v", err)
	}
}

func TestGolden(t *testing.T) {
	im, err := fat.New(tree(), fat.Options{Label: "LAB", VolumeID: 7, Time: 1577836800})
	if err != nil {
		t.Fatal(err)
	}
	h := sha256.New()
	if err := im.Write(h); err != nil {
		t.Fatal(err)
	}
	const want = "a58e3d2662a9cfe10ac94a5ce33a651c458eb85bdedc5032ef022d7433771bfc"
	if got := fmt.Sprintf("%x", h.Sum(nil)); got != want {
		t.Errorf("got %s, want %s; raise the version of disk/fat if the change is meant", got, want)
	}
}
