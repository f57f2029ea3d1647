//go:build linux

package disk

import (
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"
)

// Folders of scratch folders are spread over the disk, where it is ext4.
func TestSpread(t *testing.T) {
	s, err := Open(t.TempDir(), Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	dir, err := s.Scratch(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	flags := func(dir string) int {
		t.Helper()
		f, err := os.Open(dir)
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		n, err := unix.IoctlGetInt(int(f.Fd()), unix.FS_IOC_GETFLAGS)
		if err != nil {
			t.Skip("the file system has no flags:", err)
		}
		return n
	}
	var fs unix.Statfs_t
	if err := unix.Statfs(dir, &fs); err != nil {
		t.Fatal(err)
	}
	if fs.Type != unix.EXT4_SUPER_MAGIC {
		t.Skip("the folder for temporary files is not on ext4")
	}
	if flags(dir)&topDir != 0 {
		t.Error("got that a scratch folder's own folders are spread, want them together")
	}
	for _, at := range []string{filepath.Dir(dir), filepath.Dir(filepath.Dir(dir))} {
		if flags(at)&topDir == 0 {
			t.Errorf("%s: got folders that are laid together, want them spread", at)
		}
	}
}
