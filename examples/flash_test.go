package examples

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

const flashLab = `
load("@stdlib//toolchains.star", "disk_tools")
stick = disk_image([
    partition(tree({"hello": text("hello")}), fs = "fat", name = "EFI", type = "esp", size = "8M"),
    partition(tree({"etc/motd": text("hello")}), fs = "ext4", mount = "/", free = "8M"),
], toolchain = disk_tools())
`

// A disk goes to a larger device, which the tools of the field find in order.
func TestFlash(t *testing.T) {
	endToEnd(t)
	need(t, "losetup", "sfdisk", "fsck.ext4", "blkid")
	if os.Getuid() != 0 {
		t.Skip("needs root to make a loop device")
	}
	l := newLab(t, "tiny", sharedStore(t))
	l.writeScript("stick.star", flashLab)
	file := filepath.Join(t.TempDir(), "device")
	if err := os.WriteFile(file, []byte("what was there before"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(file, 100<<20); err != nil {
		t.Fatal(err)
	}
	device := strings.TrimSpace(tool(t, "losetup", "--find", "--show", file))
	defer tool(t, "losetup", "--detach", device)
	if out, err := l.command("flash", "--yes", "stick.star", "stick", device).CombinedOutput(); err == nil || !strings.Contains(string(out), "is no removable device") {
		t.Errorf("without --force: got %v\n%s", err, out)
	}
	out := l.output("flash", "--yes", "--force", filepath.Base(device), "stick.star", "stick", device)
	for _, want := range []string{device + ": loop device on " + file + ", not removable, 105 MB", "all of it will be lost: stick", "reading back", "and read it back in"} {
		if !strings.Contains(out, want) {
			t.Errorf("got\n%s\nwant %q", out, want)
		}
	}
	if got := tool(t, "sfdisk", "--verify", file); !strings.Contains(got, "No errors") {
		t.Errorf("sfdisk: %s", got)
	}
	parts := tool(t, "losetup", "--find", "--show", "--offset", "9437184", file) // 1M, and the 8M of the first
	part := strings.TrimSpace(parts)
	defer tool(t, "losetup", "--detach", part)
	tool(t, "fsck.ext4", "-fn", part)
}
