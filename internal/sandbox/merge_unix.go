//go:build unix

package sandbox

import (
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// How an overlay in a user namespace marks a folder that hides those below it
// (Documentation/filesystems/overlayfs.rst, "User xattr").
const opaqueMark = "user.overlay.opaque"

// isWhiteout tells whether an entry hides one below it: a device 0/0.
func isWhiteout(fi fs.FileInfo) bool {
	st, ok := fi.Sys().(*syscall.Stat_t)
	return ok && fi.Mode()&fs.ModeCharDevice != 0 && st.Rdev == 0
}

// isOpaque tells whether a folder hides those below it.
func isOpaque(dir string) bool {
	var b [4]byte
	n, err := unix.Lgetxattr(dir, opaqueMark, b[:])
	return err == nil && n == 1 && b[0] == 'y'
}

// copyEntry copies an entry to the host path to, which must not exist. The lower
// folders are only read: their files are the store's.
func copyEntry(e entry, to string) error {
	switch mode := e.info.Mode(); {
	case mode.IsDir():
		if err := os.Mkdir(to, 0o700); err != nil {
			return err
		}
		names, err := e.names()
		if err != nil {
			return err
		}
		for _, name := range names {
			if c := e.child(name); c.info != nil {
				if err := copyEntry(c, filepath.Join(to, name)); err != nil {
					return err
				}
			}
		}
		return os.Chmod(to, mode.Perm())
	case mode.IsRegular():
		return copyFile(e.top(), to, mode.Perm())
	case mode&fs.ModeSymlink != 0:
		target, err := os.Readlink(e.top())
		if err != nil {
			return err
		}
		return os.Symlink(target, to)
	case mode&fs.ModeNamedPipe != 0:
		return syscall.Mkfifo(to, uint32(mode.Perm()))
	default:
		return fmt.Errorf("%s is a %s, which can't be part of an output", filepath.Base(e.top()), mode.Type())
	}
}

// copyFile copies a file's bytes; the file system shares them if it can.
func copyFile(from, to string, perm fs.FileMode) error {
	r, err := os.Open(from)
	if err != nil {
		return err
	}
	defer func() { _ = r.Close() }()
	w, err := os.OpenFile(to, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	_, err = io.Copy(w, r) // copy_file_range
	if e := w.Close(); err == nil {
		err = e
	}
	if err != nil {
		return err
	}
	return os.Chmod(to, perm)
}

// RemoveAll is os.RemoveAll for folders in which a command may have taken its
// own user's permissions away.
func RemoveAll(dir string) error {
	err := os.RemoveAll(dir)
	if err == nil || !isPermission(err) {
		return err
	}
	_ = filepath.WalkDir(dir, func(name string, d fs.DirEntry, err error) error {
		if d == nil {
			return nil
		}
		if d.IsDir() {
			if err != nil {
				return fs.SkipDir // reading it failed although its mode was set before
			}
			_ = os.Chmod(name, 0o700)
		}
		return nil
	})
	return os.RemoveAll(dir)
}

func isPermission(err error) bool {
	return os.IsPermission(err) || strings.Contains(err.Error(), "permission denied")
}
