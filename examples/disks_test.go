package examples

import (
	"fmt"
	"os"
	"testing"
)

// One system, started by every loader on both kinds of firmware, from roots of every
// kind, and on arm64.
func TestDisks(t *testing.T) {
	endToEnd(t)
	l := newLab(t, "disks", sharedStore(t))
	l.long([]string{"kernel", "kernel arm64"}, "lab.star")
	results, out := l.testResults("lab.star")
	for name, r := range results {
		t.Run(name, func(t *testing.T) {
			if s := r["status"]; s != "passed" && s != "cached" {
				console, _ := os.ReadFile(fmt.Sprint(r["log"])) // for the eyes
				t.Errorf("%s: %s\n%s", s, r["message"], console)
			}
		})
	}
	for _, want := range []string{
		"boots.syslinux", "boots.grub", "boots.grub mbr", "boots.grub-efi", "boots.systemd-boot", "boots.syslinux-efi", "boots.uki",
		"boots.efi-stub", "boots.squashfs", "boots.erofs", "arm64_boots",
	} {
		if _, ok := results[want]; !ok {
			t.Errorf("%s: no result\n%s", want, out)
		}
	}
}
