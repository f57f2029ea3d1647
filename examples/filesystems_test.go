package examples

import (
	"path/filepath"
	"regexp"
	"testing"
)

const filesystemsLab = `
load("@stdlib//toolchains.star", "disk_tools")

tools = disk_tools()
root = rootfs(
    [],
    hostname = "disks",
    files = {"/home/lab/a note": "kept\n", "/etc/secret": "for root alone\n", "/usr/bin/tool": "#!/usr/bin/tool\n"},
    owners = {"/home/lab": "1000:1000"},
    modes = {"/etc/secret": 0o600, "/usr/bin/tool": 0o4755},
    symlinks = {"/usr/bin/link": "tool"},
)
ext4_image = ext4(root, label = "disks", free = "8M")
squashfs_image = squashfs(root, toolchain = tools)
squashfs_xz = squashfs(root, toolchain = tools, compression = "xz", block_size = "1M")
erofs_image = erofs(root, toolchain = tools, label = "disks", compression = "lz4hc")
read_only = disk_image([
    partition(root, fs = "squashfs", mount = "/"),
    partition(erofs_image, mount = "/opt"),
    partition(fs = "ext4", size = "8M", mount = "/var"),
], toolchain = tools)
`

// One tree, and what the readers of each file system find in it.
func TestFilesystems(t *testing.T) {
	endToEnd(t)
	l := newLab(t, "tiny", sharedStore(t))
	l.writeScript("fs.star", filesystemsLab)
	l.output("run", "fs.star")
	out := func(name string) string {
		at, err := filepath.EvalSymlinks(filepath.Join(l.dir, "out", name))
		if err != nil {
			t.Fatal(err)
		}
		return at
	}
	expect := func(t *testing.T, what, got string, want ...string) {
		t.Helper()
		for _, w := range want {
			if !regexp.MustCompile(w).MatchString(got) {
				t.Errorf("%s: got no %q in\n%.3000s", what, w, got)
			}
		}
	}
	t.Run("ext4", func(t *testing.T) {
		need(t, "e2fsck", "debugfs")
		tool(t, "e2fsck", "-fn", out("ext4_image"))
		expect(t, "ext4", tool(t, "debugfs", "-R", "stat /usr/bin/tool", out("ext4_image")), `Mode:  04755`)
		expect(t, "ext4", tool(t, "debugfs", "-R", `stat "/home/lab/a note"`, out("ext4_image")), `User:  1000`)
	})
	t.Run("squashfs", func(t *testing.T) {
		need(t, "unsquashfs")
		for _, name := range []string{"squashfs_image", "squashfs_xz"} {
			expect(t, name, tool(t, "unsquashfs", "-lln", out(name)),
				`-rwsr-xr-x 0/0 .* squashfs-root/usr/bin/tool`, `-rw------- 0/0 +15 2020-01-01 .* squashfs-root/etc/secret`,
				`-rw-r--r-- 1000/1000 +5 .* squashfs-root/home/lab/a note`, `squashfs-root/usr/bin/link -> tool`)
		}
	})
	t.Run("erofs", func(t *testing.T) {
		need(t, "fsck.erofs", "dump.erofs")
		tool(t, "fsck.erofs", out("erofs_image"))
		expect(t, "erofs", tool(t, "dump.erofs", "--path=/etc/secret", out("erofs_image")), `0600`) // dump.erofs shows no set-id bits
		expect(t, "erofs", tool(t, "dump.erofs", "--path=/home/lab/a note", out("erofs_image")), `Uid: 1000`)
	})
	t.Run("disk", func(t *testing.T) {
		need(t, "sfdisk", "sgdisk")
		expect(t, "disk", tool(t, "sfdisk", "--verify", out("read_only")), "No errors detected")
		expect(t, "disk", tool(t, "sgdisk", "-v", out("read_only")), "No problems found")
	})
}
