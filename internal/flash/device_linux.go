package flash

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"unsafe"

	"golang.org/x/sys/unix"
)

// device is the open device. Reads and writes go past the page cache where that is
// possible, so that what is read back comes from the device.
type device struct {
	f      *os.File
	direct bool
}

func openDevice(path string) (*device, error) {
	for _, direct := range []bool{true, false} {
		flags := os.O_RDWR | unix.O_EXCL
		if direct {
			flags |= unix.O_DIRECT
		}
		f, err := os.OpenFile(path, flags, 0)
		switch {
		case err == nil:
			return &device{f, direct}, nil
		case errors.Is(err, unix.EBUSY):
			return nil, fmt.Errorf("opening %s: something uses it or a partition of it; unmount it, or find out with lsblk", path)
		case errors.Is(err, fs.ErrPermission):
			return nil, fmt.Errorf("opening %s: %w; be root, or a member of the group that the device belongs to (mostly disk)", path, err)
		case !direct || !errors.Is(err, unix.EINVAL):
			return nil, err
		}
	}
	return nil, nil // not reached
}

// buffer returns memory that starts at a page, as O_DIRECT wants.
func (d *device) buffer(n int) []byte {
	b := make([]byte, n+4096)
	off := int(-uintptr(unsafe.Pointer(&b[0])) & 4095)
	return b[off : off+n : off+n]
}

func (d *device) writeAt(b []byte, at int64) error {
	if d.direct && uintptr(unsafe.Pointer(unsafe.SliceData(b)))&4095 != 0 {
		aligned := d.buffer(len(b))
		copy(aligned, b)
		b = aligned
	}
	_, err := d.f.WriteAt(b, at)
	return err
}

func (d *device) readAt(n int, at int64) ([]byte, error) {
	if !d.direct { // drop what the page cache has
		if err := unix.IoctlSetInt(int(d.f.Fd()), unix.BLKFLSBUF, 0); err != nil {
			return nil, err
		}
	}
	b := d.buffer(n)
	_, err := d.f.ReadAt(b, at)
	return b, err
}

func (d *device) sync() error { return d.f.Sync() }

// reread tells the kernel of the new partitions. That it may not hear (a loop
// device without them) is no failure.
func (d *device) reread() { _ = unix.IoctlSetInt(int(d.f.Fd()), unix.BLKRRPART, 0) }

func (d *device) close() error { return d.f.Close() }
