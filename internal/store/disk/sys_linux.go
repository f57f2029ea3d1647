package disk

import (
	"encoding/hex"
	"fmt"
	"os"
	"strings"
	"sync"
	"unsafe"

	"golang.org/x/sys/unix"
)

// readBootID returns the kernel's name for this run of the machine.
func readBootID() (id bootID, err error) {
	b, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		return id, err
	}
	raw, err := hex.DecodeString(strings.ReplaceAll(strings.TrimSpace(string(b)), "-", ""))
	if err != nil || len(raw) != len(id) {
		return id, fmt.Errorf("malformed boot id %q", b)
	}
	return bootID(raw), nil
}

// datasync writes the content of f to the disk.
func datasync(f *os.File) error {
	if err := unix.Fdatasync(int(f.Fd())); err != nil {
		return &os.PathError{Op: "fdatasync", Path: f.Name(), Err: err}
	}
	return nil
}

// syncFS writes everything of the file system that holds f to the disk.
func syncFS(f *os.File) error {
	if err := unix.Syncfs(int(f.Fd())); err != nil {
		return &os.PathError{Op: "syncfs", Path: f.Name(), Err: err}
	}
	return nil
}

// startSync lets the disk begin with bytes of a file that a later sync waits for; n
// 0 is up to the end. It is a hint: what it can't do, the sync does.
func startSync(f *os.File, off, n int64) {
	_ = unix.SyncFileRange(int(f.Fd()), off, n, unix.SYNC_FILE_RANGE_WRITE)
}

// topDir is FS_TOPDIR_FL, which chattr calls T.
const topDir = 0x00020000

// spread asks ext4 to lay the folders of dir far from one another, each with what comes
// into it. Beside the inodes of a folder that was just removed a new one is slow to
// make: ext4 does not use them again for minutes, and looks at all of them for each file,
// so a build after a build spends a tenth of its time there. It is a hint.
func spread(dir string) {
	fd, err := unix.Open(dir, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return
	}
	defer unix.Close(fd)
	if flags, err := unix.IoctlGetInt(fd, unix.FS_IOC_GETFLAGS); err == nil && flags&topDir == 0 {
		_ = unix.IoctlSetPointerInt(fd, unix.FS_IOC_SETFLAGS, flags|topDir)
	}
}

// setEpochFD gives the open file fd the time of every file of a tree.
func setEpochFD(fd int) error {
	_, _, e := unix.Syscall6(unix.SYS_UTIMENSAT, uintptr(fd), 0, uintptr(unsafe.Pointer(&epoch)), 0, 0, 0)
	if e != 0 {
		return e
	}
	return nil
}

// umask returns the process' file mode creation mask, without changing it.
var umask = sync.OnceValue(func() uint32 {
	b, err := os.ReadFile("/proc/self/status")
	if err == nil {
		if _, rest, ok := strings.Cut(string(b), "\nUmask:\t"); ok {
			var mask uint32
			if _, err := fmt.Sscanf(rest, "%o", &mask); err == nil {
				return mask
			}
		}
	}
	return 0o777 // unknown: every mode is set by hand
})

// copyRange copies up to n bytes from one file to another inside the kernel;
// 0 means that it can't, or that nothing is left.
func copyRange(from int, off *int64, to int, n int64) int {
	m, err := unix.CopyFileRange(from, off, to, nil, int(min(n, 1<<30)), 0)
	if err != nil {
		return 0
	}
	return m
}
