package labstar

import (
	"io/fs"
	"syscall"
)

// statOf returns what a change of the file would change.
func statOf(fi fs.FileInfo) (statEntry, bool) {
	st, ok := fi.Sys().(*syscall.Stat_t)
	if !ok {
		return statEntry{}, false
	}
	return statEntry{Size: fi.Size(), Mtime: fi.ModTime().UnixNano(), Ctime: st.Ctimespec.Nano(), Inode: st.Ino}, true
}
