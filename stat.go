package labstar

import "golang.org/x/sys/unix"

// statAt returns what a change of the regular file at path, below the folder dir,
// would change; false for anything else, a symlink too.
func statAt(dir int, path string) (statEntry, bool) {
	var st unix.Stat_t
	if err := unix.Fstatat(dir, path, &st, unix.AT_SYMLINK_NOFOLLOW); err != nil || st.Mode&unix.S_IFMT != unix.S_IFREG {
		return statEntry{}, false
	}
	return statEntry{Size: st.Size, Mtime: st.Mtim.Nano(), Ctime: st.Ctim.Nano(), Inode: st.Ino}, true
}
