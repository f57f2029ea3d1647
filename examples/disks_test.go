package examples

import (
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// One tree, and what the readers of each file system find in it.
func TestDisks(t *testing.T) {
	endToEnd(t)
	l := newLab(t, "disks", sharedStore(t))
	l.output("run", "lab.star", "root_ext4", "root_squashfs", "root_squashfs_xz", "root_erofs", "bios", "uki", "sdboot")
	out := func(name string) string {
		at, err := filepath.EvalSymlinks(filepath.Join(l.dir, "out", name))
		if err != nil {
			t.Fatal(err)
		}
		return at
	}
	expect := func(what, got string, want ...string) {
		for _, w := range want {
			if !regexp.MustCompile(w).MatchString(got) {
				t.Errorf("%s: got no %q in\n%.3000s", what, w, got)
			}
		}
	}
	t.Run("ext4", func(t *testing.T) {
		need(t, "e2fsck", "debugfs")
		tool(t, "e2fsck", "-fn", out("root_ext4"))
		expect("ext4", tool(t, "debugfs", "-R", "stat /bin/busybox", out("root_ext4")), `Mode:  04755`)
		expect("ext4", tool(t, "debugfs", "-R", "stat /home/lab/note", out("root_ext4")), `User:  1000`)
	})
	t.Run("squashfs", func(t *testing.T) {
		need(t, "unsquashfs")
		for _, name := range []string{"root_squashfs", "root_squashfs_xz"} {
			expect(name, tool(t, "unsquashfs", "-lln", out(name)),
				`-rwsr-xr-x 0/0 .* squashfs-root/bin/busybox`, `-rw------- 0/0 +15 2020-01-01 .* squashfs-root/etc/secret`, `-rw-r--r-- 1000/1000 +5 .* squashfs-root/home/lab/note`)
		}
	})
	t.Run("erofs", func(t *testing.T) {
		need(t, "fsck.erofs", "dump.erofs")
		tool(t, "fsck.erofs", out("root_erofs"))
		expect("erofs", tool(t, "dump.erofs", "--path=/bin/busybox", out("root_erofs")), `4755`)
		expect("erofs", tool(t, "dump.erofs", "--path=/home/lab/note", out("root_erofs")), `Uid: 1000`)
	})
	t.Run("tables", func(t *testing.T) {
		need(t, "sfdisk", "sgdisk")
		for _, name := range []string{"bios", "uki", "sdboot"} {
			expect(name, tool(t, "sfdisk", "--verify", out(name)), "No errors detected")
			if name != "bios" {
				expect(name, tool(t, "sgdisk", "-v", out(name)), "No problems found")
			}
		}
	})
}

// Each loader starts the system on its firmware, and the root file system is
// written to.
func TestDisksBoot(t *testing.T) {
	endToEnd(t)
	l := newLab(t, "disks", sharedStore(t))
	results, out := l.testResults("lab.star")
	for name, r := range results {
		if r["status"] != "passed" && r["status"] != "cached" {
			t.Errorf("%s: %s: %s\n%s", name, r["status"], r["message"], strings.TrimSpace(out))
		}
	}
}
