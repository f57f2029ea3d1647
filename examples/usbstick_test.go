package examples

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// The stick of the reference lab: built, looked at with the field's own tools,
// booted from USB by BIOS and by UEFI.
func TestUSBStick(t *testing.T) {
	endToEnd(t)
	need(t, "sgdisk", "sfdisk", "e2fsck", "fsck.vfat")
	l := newLab(t, "usbstick", sharedStore(t))
	l.long([]string{"kernel", "glibc"}, "lab.star")
	first := l.run("lab.star")
	t.Logf("run: %s", first.raw)
	stick := filepath.Join(l.dir, "out", "stick")

	t.Run("tools", func(t *testing.T) { checkStick(t, stick) })
	t.Run("boots", func(t *testing.T) {
		t.Log(l.output("test", "lab.star"))
	})
	t.Run("again", func(t *testing.T) {
		if os.Getenv("LABSTAR_E2E") != "full" {
			t.Skip("builds the kernel and the C library once more, from a cold store, which takes long: set LABSTAR_E2E=full")
		}
		again := newLab(t, "usbstick", filepath.Join(t.TempDir(), "store"))
		again.env = append(again.env, "TZ=Asia/Kathmandu", "LANG=tr_TR.UTF-8")
		second := again.run("--jobs", "1", "lab.star")
		for name, digest := range first.digests() {
			if got := second.digests()[name]; got != digest {
				t.Errorf("%s: got %s, want %s as before", name, got, digest)
			}
		}
	})
}

// checkStick asks the tools of the field about the table and the file systems.
func checkStick(t *testing.T, stick string) {
	fi, err := os.Stat(stick)
	if err != nil {
		t.Fatal(err)
	}
	if fi.Size() > 40<<20 {
		t.Errorf("got a stick of %d MB, want at most 40", fi.Size()>>20)
	}
	copied := filepath.Join(t.TempDir(), "stick.img") // the tools open their image for writing
	tool(t, "cp", "--sparse=always", stick, copied)
	if out := tool(t, "sgdisk", "-v", copied); !strings.Contains(out, "No problems found") {
		t.Errorf("sgdisk -v: %s", out)
	}
	t.Log(tool(t, "sfdisk", "--verify", copied))
	var root int64
	for n, check := range [][]string{{"fsck.vfat", "-n"}, {"e2fsck", "-fn"}, {"fsck.vfat", "-n"}} {
		part := fmt.Sprintf("%s.%d", copied, n+1)
		var start, sectors int64
		for line := range strings.Lines(tool(t, "sgdisk", "-i", fmt.Sprint(n+1), copied)) {
			_, _ = fmt.Sscanf(line, "First sector: %d", &start)
			_, _ = fmt.Sscanf(line, "Partition size: %d sectors", &sectors)
		}
		tool(t, "dd", "if="+copied, "of="+part, "bs=512", fmt.Sprint("skip=", start), fmt.Sprint("count=", sectors), "status=none")
		t.Log(tool(t, check[0], append(check[1:], part)...))
		if n == 1 {
			root = sectors * 512
		}
	}
	t.Logf("the stick has %.1f MB, its root %.1f MB", float64(fi.Size())/1e6, float64(root)/1e6)
}
