package cpio_test

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"io"
	"os/exec"
	"strings"
	"testing"

	"github.com/labstar/labstar/internal/format/cpio"
)

func write(t *testing.T, w *cpio.Writer, h cpio.Header, content string) {
	t.Helper()
	h.Size = int64(len(content))
	if err := w.Entry(h); err != nil {
		t.Fatal(err)
	}
	if _, err := io.WriteString(w, content); err != nil {
		t.Fatal(err)
	}
}

func sample(t *testing.T) []byte {
	t.Helper()
	var buf bytes.Buffer
	w := cpio.NewWriter(&buf)
	write(t, w, cpio.Header{Name: ".", Mode: cpio.TypeDir | 0o755}, "")
	write(t, w, cpio.Header{Name: "dev", Mode: cpio.TypeDir | 0o755}, "")
	write(t, w, cpio.Header{Name: "dev/console", Mode: cpio.TypeChar | 0o600, Major: 5, Minor: 1}, "")
	write(t, w, cpio.Header{Name: "motd", Mode: cpio.TypeRegular | 0o644, UID: 1000, GID: 100, MTime: 1577836800}, "hello")
	write(t, w, cpio.Header{Name: "link", Mode: cpio.TypeSymlink | 0o777}, "motd")
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return buf.Bytes()
}

func TestBytes(t *testing.T) {
	got := sample(t)
	if len(got)%4 != 0 {
		t.Errorf("archive of %d bytes, want a multiple of 4", len(got))
	}
	entry := "070701" + "00000004" + "000081A4" + "000003E8" + "00000064" + "00000001" + "5E0BE100" + "00000005" +
		"00000000" + "00000000" + "00000000" + "00000000" + "00000005" + "00000000" + "motd\x00" + "\x00" + "hello\x00\x00\x00"
	if !bytes.Contains(got, []byte(entry)) {
		t.Errorf("no entry as the format says it is; want\n%q in\n%q", entry, got)
	}
	const want = "f7871f4b0129d483a37fc0f00b4ed4f9a3c9cb628e1c5c8308db9d4036e0da01"
	if sum := fmt.Sprintf("%x", sha256.Sum256(got)); sum != want {
		t.Errorf("archive has sha256 %s, want %s: if that is meant, raise the Version of the ops that write cpio", sum, want)
	}
}

// TestReadByCpio has the archive read by an independent reader, where there is one.
func TestReadByCpio(t *testing.T) {
	bin, err := exec.LookPath("cpio")
	if err != nil {
		t.Skip("no cpio on this machine")
	}
	cmd := exec.Command(bin, "-tvn", "--quiet")
	cmd.Stdin = bytes.NewReader(sample(t))
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("cpio: %v\n%s", err, out)
	}
	for _, want := range []string{"crw-------", "5,   1", "dev/console", "-rw-r--r--   1 1000     100             5", "link -> motd"} {
		if !strings.Contains(string(out), want) {
			t.Errorf("listing lacks %q:\n%s", want, out)
		}
	}
}

func TestMisuse(t *testing.T) {
	for name, h := range map[string]cpio.Header{
		"empty name":   {Mode: cpio.TypeDir},
		"absolute":     {Name: "/etc", Mode: cpio.TypeDir},
		"trailer":      {Name: "TRAILER!!!", Mode: cpio.TypeRegular},
		"no type":      {Name: "x", Mode: 0o644},
		"too large":    {Name: "x", Mode: cpio.TypeRegular, Size: 1 << 32},
		"sized folder": {Name: "x", Mode: cpio.TypeDir, Size: 1},
		"long name":    {Name: strings.Repeat("x", 4096), Mode: cpio.TypeRegular},
	} {
		if err := cpio.NewWriter(io.Discard).Entry(h); err == nil {
			t.Errorf("%s: got no error", name)
		}
	}
	w := cpio.NewWriter(io.Discard)
	write(t, w, cpio.Header{Name: "a", Mode: cpio.TypeRegular}, "1234")
	if _, err := w.Write([]byte("5")); err == nil {
		t.Error("content beyond the size: got no error")
	}
	w = cpio.NewWriter(io.Discard)
	if err := w.Entry(cpio.Header{Name: "a", Mode: cpio.TypeRegular, Size: 3}); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err == nil || !strings.Contains(err.Error(), "3 bytes are missing") {
		t.Errorf("short content: got %v", err)
	}
}
