package ext4_test

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
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/labstar/labstar/internal/format/ext4"
)

const epoch = 1577836800

func file(name string, mode uint32, content []byte) *ext4.Node {
	return &ext4.Node{
		Name: name, Mode: ext4.TypeRegular | mode, Size: int64(len(content)),
		Open: func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(content)), nil },
	}
}

func folder(name string, mode uint32, kids ...*ext4.Node) *ext4.Node {
	return &ext4.Node{Name: name, Mode: ext4.TypeDir | mode, Children: kids}
}

// noise is n bytes that are the same every time and have no zeros in a row.
func noise(n int) []byte {
	b := make([]byte, 0, n+32)
	sum := sha256.Sum256([]byte("noise"))
	for len(b) < n {
		sum = sha256.Sum256(sum[:])
		b = append(b, sum[:]...)
	}
	return b[:n]
}

// everything is a tree with each kind of node.
func everything() *ext4.Node {
	owned := file("owned", 0o4751, []byte("set-id\n"))
	owned.UID, owned.GID = 70000, 1234
	small := file("capable", 0o755, []byte("x"))
	small.Xattrs = []ext4.Xattr{{Name: "security.capability", Value: []byte("\x01\x00\x00\x02\x00\x20\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00")}}
	big := file("annotated", 0o644, []byte("y"))
	big.Xattrs = []ext4.Xattr{{Name: "user.long", Value: bytes.Repeat([]byte("v"), 2000)}, {Name: "user.a", Value: []byte("b")}, {Name: "trusted.empty"}}
	many := folder("many", 0o755)
	for i := range 3000 {
		many.Children = append(many.Children, file(fmt.Sprintf("a file with number %d", i), 0o600, nil))
	}
	return folder("", 0o755,
		folder("etc", 0o755, file("motd", 0o644, []byte("hello\n")), owned, small, big),
		folder("dev", 0o755,
			&ext4.Node{Name: "console", Mode: ext4.TypeChar | 0o600, Major: 5, Minor: 1},
			&ext4.Node{Name: "sda300", Mode: ext4.TypeBlock | 0o660, Major: 259, Minor: 300, GID: 6},
			&ext4.Node{Name: "pipe", Mode: ext4.TypeFifo | 0o644}),
		&ext4.Node{Name: "short", Mode: ext4.TypeSymlink | 0o777, Target: "etc/motd"},
		&ext4.Node{Name: "long", Mode: ext4.TypeSymlink | 0o777, Target: strings.Repeat("a/", 100) + "b"},
		&ext4.Node{Name: "edge59", Mode: ext4.TypeSymlink | 0o777, Target: strings.Repeat("e", 59)},
		&ext4.Node{Name: "edge60", Mode: ext4.TypeSymlink | 0o777, Target: strings.Repeat("e", 60)},
		folder("tmp", 0o1777),
		many,
		file("noise", 0o644, noise(5<<20+123)),
		file("empty", 0o644, nil),
	)
}

var options = ext4.Options{
	UUID: [16]byte{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16}, HashSeed: [16]byte{9, 9, 9, 9}, Label: "test", Time: epoch,
}

func write(t testing.TB, root *ext4.Node, o ext4.Options) string {
	t.Helper()
	im, err := ext4.New(root, o)
	if err != nil {
		t.Fatal(err)
	}
	name := filepath.Join(t.TempDir(), "image")
	f, err := os.Create(name)
	if err != nil {
		t.Fatal(err)
	}
	w := &sparse{f: f}
	if err := errors.Join(im.Write(w), f.Truncate(w.at), f.Close()); err != nil {
		t.Fatal(err)
	}
	if w.at != im.Size() {
		t.Fatalf("got %d bytes, want %d", w.at, im.Size())
	}
	return name
}

var zeros [1 << 20]byte

// sparse leaves holes, so that large images are quick to write.
type sparse struct {
	f  *os.File
	at int64
}

func (s *sparse) Write(p []byte) (int, error) {
	if len(p) > len(zeros) || !bytes.Equal(p, zeros[:len(p)]) {
		if _, err := s.f.WriteAt(p, s.at); err != nil {
			return 0, err
		}
	}
	s.at += int64(len(p))
	return len(p), nil
}

func tool(t testing.TB, name string) string {
	t.Helper()
	for _, p := range []string{name, "/sbin/" + name, "/usr/sbin/" + name} {
		if at, err := exec.LookPath(p); err == nil {
			return at
		}
	}
	t.Skipf("%s is not installed", name)
	return ""
}

func output(t testing.TB, name string, args ...string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	out, err := exec.CommandContext(ctx, tool(t, name), args...).CombinedOutput()
	if err != nil {
		t.Fatalf("%s %v: %v\n%.4000s", name, args, err, out)
	}
	return string(out)
}

func TestFsck(t *testing.T) {
	for name, o := range map[string]ext4.Options{
		"fitted":       {},
		"free":         {Free: 300 << 20},
		"2 GiB":        {Size: 2 << 30},
		"odd size":     {Size: 128<<20 + 123*4096 + 77},
		"short tail":   {Size: 128<<20 + 9*4096},
		"20 GiB":       {Size: 20 << 30},
		"no journal":   {Journal: -1},
		"no checksums": {NoChecksums: true, Size: 200 << 20},
		"many inodes":  {Size: 4 << 30, Inodes: 500000},
		"reserved":     {Size: 64 << 20, Reserved: 5, Journal: 8 << 20},
	} {
		t.Run(name, func(t *testing.T) {
			o.UUID, o.HashSeed, o.Label, o.Time = options.UUID, options.HashSeed, options.Label, options.Time
			image := write(t, everything(), o)
			if out := output(t, "e2fsck", "-fn", image); strings.Contains(out, "?") {
				t.Error(out)
			}
		})
	}
}

// A folder with so many names that its tree of hashes has two levels.
func TestHugeFolder(t *testing.T) {
	huge := folder("huge", 0o755)
	for i := range 60000 {
		huge.Children = append(huge.Children, file(fmt.Sprintf("%0100d", i), 0o644, nil))
	}
	image := write(t, folder("", 0o755, huge), options)
	output(t, "e2fsck", "-fn", image)
	if out := output(t, "debugfs", "-R", "htree_dump /huge", image); !strings.Contains(out, "Indirect levels: 1") {
		t.Errorf("got no second level: %.300s", out)
	}
	if out := output(t, "debugfs", "-R", "stat /huge/"+fmt.Sprintf("%0100d", 57777), image); !strings.Contains(out, "Type: regular") {
		t.Errorf("debugfs does not find a name: %s", out)
	}
}

// debugfs, a reader that shares no code with the writer, sees what was given.
func TestLossless(t *testing.T) {
	image := write(t, everything(), options)
	for cmd, want := range map[string]string{
		"stat /etc/owned":   `(?s)Mode:  04751 .*User: 70000   Group:  1234 `,
		"cat /etc/motd":     `hello\n`,
		"stat /short":       `Fast link dest: "etc/motd"`,
		"cat /long":         `(a/){100}b$`,
		"stat /edge59":      `Fast link dest: "e{59}"`,
		"cat /edge60":       `e{60}$`,
		"stat /tmp":         `Mode:  01777 `,
		"stat /dev/console": `(?s)Type: character special .*Mode:  0600 .*05:01`,
		"stat /dev/sda300":  `(?s)Type: block special .*Device major/minor number: 259:300`,
		"stat /dev/pipe":    `Type: FIFO`,
		"ea_get /etc/capable security.capability": `security.capability \(20\) = 01 00 00 02 00 20`,
		"ea_get /etc/annotated user.long":         `v{1000}v{1000}`,
		"ea_get /etc/annotated user.a":            `user.a \(1\) = "b"`,
		"ea_list /etc/annotated":                  `trusted.empty \(0\)`,
		"stat \"/many/a file with number 2999\"":  `Mode:  0600`,
		"stat /lost+found":                        `Size: 16384`,
		"stat /empty":                             `(?s)Size: 0.*mtime: 0x5e0be100:00000000 -- Wed Jan  1 00:00:00 2020.*Inode checksum`,
	} {
		out := output(t, "debugfs", "-R", cmd, image)
		if !regexp.MustCompile(want).MatchString(out) {
			t.Errorf("%s: got %.600s, want %s", cmd, out, want)
		}
	}
	dump := filepath.Join(t.TempDir(), "noise")
	output(t, "debugfs", "-R", "dump /noise "+dump, image)
	if got, _ := os.ReadFile(dump); !bytes.Equal(got, noise(5<<20+123)) {
		t.Error("the content of a file of many blocks is not what was given")
	}
}

// A file over many groups has more extents than its inode holds.
func TestLargeFile(t *testing.T) {
	const size = 3<<30 + 5
	huge := &ext4.Node{Name: "huge", Mode: ext4.TypeRegular | 0o644, Size: size, Open: func() (io.ReadCloser, error) {
		return io.NopCloser(io.LimitReader(nothing{}, size)), nil
	}}
	image := write(t, folder("", 0o755, huge), ext4.Options{Time: epoch})
	output(t, "e2fsck", "-fn", image)
	if out := output(t, "debugfs", "-R", "ex /huge", image); !strings.Contains(out, " 1/ 1 ") {
		t.Errorf("got no extent tree of two levels: %s", out)
	}
}

// nothing gives zeros without end.
type nothing struct{}

func (nothing) Read(p []byte) (int, error) {
	clear(p)
	return len(p), nil
}

func TestTooSmall(t *testing.T) {
	_, err := ext4.New(everything(), ext4.Options{Size: 4 << 20})
	var size *ext4.SizeError
	if !errors.As(err, &size) {
		t.Fatalf("got %v, want a SizeError", err)
	}
	if _, err := ext4.New(everything(), ext4.Options{Size: size.Need}); err != nil {
		t.Errorf("with the size that the error asks for, %d: %v", size.Need, err)
	}
	if _, err := ext4.New(everything(), ext4.Options{Size: 8192}); !errors.As(err, &size) {
		t.Errorf("got %v, want a SizeError", err)
	}
}

func TestFree(t *testing.T) {
	for _, free := range []int64{0, 1 << 20, 50 << 20, 500 << 20} {
		im, err := ext4.New(everything(), ext4.Options{Free: free})
		if err != nil {
			t.Fatal(err)
		}
		if got := im.Free(); got < free || got > free+free/100+256<<10 {
			t.Errorf("got %d bytes free, want %d or a little more", got, free)
		}
	}
}

func TestRefuses(t *testing.T) {
	link := func(n int) *ext4.Node {
		return &ext4.Node{Name: "l", Mode: ext4.TypeSymlink | 0o777, Target: strings.Repeat("x", n)}
	}
	attr := file("f", 0o644, nil)
	attr.Xattrs = []ext4.Xattr{{Name: "os2.x", Value: []byte("y")}}
	for want, kid := range map[string]*ext4.Node{
		"invalid name":    folder("a/b", 0o755),
		"at most 255":     file(strings.Repeat("n", 256), 0o644, nil),
		"want 1 to 4095":  link(5000),
		"ext4 can't hold": attr,
		"12 and 20 bits":  {Name: "d", Mode: ext4.TypeChar, Major: 5000},
	} {
		if _, err := ext4.New(folder("", 0o755, kid), options); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want an error with %q", err, want)
		}
	}
	if _, err := ext4.New(folder("", 0o755), ext4.Options{Label: "seventeen letters"}); err == nil {
		t.Error("got no error for a label of 17 bytes")
	}
}

// The bytes are these, whatever the order in which the tree was given.
func TestGolden(t *testing.T) {
	tree := everything()
	sum := func() string {
		im, err := ext4.New(tree, options)
		if err != nil {
			t.Fatal(err)
		}
		h := sha256.New()
		if err := im.Write(h); err != nil {
			t.Fatal(err)
		}
		return fmt.Sprintf("%x", h.Sum(nil))
	}
	first := sum()
	for i, j := 0, len(tree.Children)-1; i < j; i, j = i+1, j-1 {
		tree.Children[i], tree.Children[j] = tree.Children[j], tree.Children[i]
	}
	if second := sum(); second != first {
		t.Errorf("got %s and, in another order, %s", first, second)
	}
	const want = "df1b904749ca1697c4876db80714c33505448cf9e284d66a8e4572aa004f1022"
	if first != want {
		t.Errorf("got %s, want %s; raise the version of disk/ext4 if the change is meant", first, want)
	}
}
