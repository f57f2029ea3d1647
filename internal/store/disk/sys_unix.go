//go:build unix

package disk

import (
	"errors"
	"os"
	"strings"
	"syscall"

	"github.com/labstar/labstar/action"
	"golang.org/x/sys/unix"
)

// What the store needs of the system and package os does not give; what differs
// between systems is in sys_linux.go and sys_darwin.go.

// flock takes a lock on f; it is false if another open file has it and wait is not set.
func flock(f *os.File, exclusive, wait bool) (bool, error) {
	how := unix.LOCK_SH
	if exclusive {
		how = unix.LOCK_EX
	}
	if !wait {
		how |= unix.LOCK_NB
	}
	for {
		err := unix.Flock(int(f.Fd()), how)
		switch {
		case err == nil:
			return true, nil
		case errors.Is(err, unix.EWOULDBLOCK):
			return false, nil
		case !errors.Is(err, unix.EINTR):
			return false, &os.PathError{Op: "flock", Path: f.Name(), Err: err}
		}
	}
}

// unlinked reports whether f's last name is gone.
func unlinked(f *os.File) bool {
	var st unix.Stat_t
	return unix.Fstat(int(f.Fd()), &st) != nil || st.Nlink == 0
}

// openPlain opens a regular file for reading. Unlike os.Open it does not try the
// poller first, which costs more system calls than all else that a pack needs.
func openPlain(path string) (*os.File, error) {
	fd, err := ignoringEINTR(func() (int, error) { return unix.Open(path, unix.O_RDONLY|unix.O_CLOEXEC, 0) })
	if err != nil {
		return nil, &os.PathError{Op: "open", Path: path, Err: err}
	}
	return os.NewFile(uintptr(fd), path), nil
}

func mapFile(f *os.File, size int64) ([]byte, error) {
	b, err := unix.Mmap(int(f.Fd()), 0, int(size), unix.PROT_READ, unix.MAP_SHARED)
	if err != nil {
		return nil, &os.PathError{Op: "mmap", Path: f.Name(), Err: err}
	}
	return b, nil
}

func unmapFile(b []byte) { _ = unix.Munmap(b) }

// links returns how many names a file has.
func links(st os.FileInfo) uint64 {
	if sys, ok := st.Sys().(*syscall.Stat_t); ok {
		return uint64(sys.Nlink)
	}
	return 1
}

// noFollow makes opening a symlink an error.
const noFollow = unix.O_NOFOLLOW

func inodeOf(st os.FileInfo) inode {
	sys := st.Sys().(*syscall.Stat_t)
	return inode{uint64(sys.Dev), sys.Ino}
}

// freeSpace returns what an unprivileged user can still write below dir.
func freeSpace(dir string) (bytes, inodes uint64, err error) {
	var st unix.Statfs_t
	if err := unix.Statfs(dir, &st); err != nil {
		return 0, 0, err
	}
	return st.Bavail * uint64(st.Bsize), st.Ffree, nil
}

func writable(dir string) bool { return unix.Access(dir, unix.W_OK|unix.X_OK) == nil }

// epoch is the time of every file of a tree.
var epoch = [2]unix.Timespec{{Sec: action.SourceDateEpoch}, {Sec: action.SourceDateEpoch}}

// setEpochAt does the same for the entry name of the folder dirfd, no symlink followed.
func setEpochAt(dirfd int, name string) error {
	return unix.UtimesNanoAt(dirfd, name, epoch[:], unix.AT_SYMLINK_NOFOLLOW)
}

// openDirAt opens the folder name in dirfd; a symlink is an error.
func openDirAt(dirfd int, name string) (int, error) {
	return ignoringEINTR(func() (int, error) {
		return unix.Openat(dirfd, name, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	})
}

// createAt makes the file name in dirfd, which must not be there.
func createAt(dirfd int, name string, mode uint32) (int, error) {
	return ignoringEINTR(func() (int, error) {
		return unix.Openat(dirfd, name, unix.O_WRONLY|unix.O_CREAT|unix.O_EXCL|unix.O_NOFOLLOW|unix.O_CLOEXEC, mode)
	})
}

// openAt opens the file name in dirfd for reading; a symlink is an error.
func openAt(dirfd int, name string) (int, error) {
	return ignoringEINTR(func() (int, error) {
		return unix.Openat(dirfd, name, unix.O_RDONLY|unix.O_NOFOLLOW|unix.O_CLOEXEC|unix.O_NONBLOCK, 0)
	})
}

func writeAll(fd int, b []byte) error {
	for len(b) > 0 {
		n, err := ignoringEINTR(func() (int, error) { return unix.Write(fd, b) })
		if err != nil {
			return err
		}
		b = b[n:]
	}
	return nil
}

func ignoringEINTR(f func() (int, error)) (int, error) {
	for {
		n, err := f()
		if !errors.Is(err, syscall.EINTR) {
			return n, err
		}
	}
}

// dropXattrs removes every extended attribute of an open file that its owner may remove.
func dropXattrs(fd int) {
	var buf [4096]byte
	n, err := unix.Flistxattr(fd, buf[:])
	if err != nil || n == 0 {
		return
	}
	for name := range strings.SplitSeq(strings.TrimRight(string(buf[:n]), "\x00"), "\x00") {
		_ = unix.Fremovexattr(fd, name)
	}
}

// noSpace reports whether err says that a disk or a quota is full.
func noSpace(err error) bool {
	return errors.Is(err, unix.ENOSPC) || errors.Is(err, unix.EDQUOT)
}

// crossLink reports whether err says that a hard link can't be made: too many
// links, another file system, or one that has none.
func crossLink(err error) bool {
	return errors.Is(err, unix.EMLINK) || errors.Is(err, unix.EXDEV) || errors.Is(err, unix.EPERM) || errors.Is(err, unix.EOPNOTSUPP)
}

// readNames returns the names in the open folder fd.
func readNames(fd int) ([]string, error) {
	dup, err := unix.FcntlInt(uintptr(fd), unix.F_DUPFD_CLOEXEC, 0)
	if err != nil {
		return nil, err
	}
	f := os.NewFile(uintptr(dup), "folder")
	defer f.Close()
	return f.Readdirnames(-1)
}

func readlinkAt(dirfd int, name string) (string, error) {
	var buf [4096]byte
	n, err := ignoringEINTR(func() (int, error) { return unix.Readlinkat(dirfd, name, buf[:]) })
	if err != nil {
		return "", err
	}
	return string(buf[:n]), nil
}
