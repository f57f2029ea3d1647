// Package cpio writes archives in the "newc" format (070701), the one that the
// Linux kernel unpacks as its initial file system.
//
//	w := cpio.NewWriter(out)
//	err := w.Entry(cpio.Header{Name: "etc/motd", Mode: cpio.TypeRegular | 0o644, Size: 6})
//	_, err = io.WriteString(w, "hello\n")
//	err = w.Close()
//
// The format: a header of a magic number and 13 fields of 8 hexadecimal digits,
// the name with a NUL, padding to 4 bytes, the content, padding to 4 bytes; the
// entry "TRAILER!!!" ends it (Documentation/driver-api/early-userspace/
// buffer-format.rst in the kernel tree). Inode numbers count from 1, so that no
// two entries are ever taken for hard links; everything is a function of the
// entries alone.
package cpio

import (
	"errors"
	"fmt"
	"io"
	"math"
	"strings"
)

// The kinds of entries: the upper bits of Header.Mode, as in stat(2).
const (
	TypeFifo    = 0o010000
	TypeChar    = 0o020000
	TypeDir     = 0o040000
	TypeBlock   = 0o060000
	TypeRegular = 0o100000
	TypeSymlink = 0o120000

	typeMask = 0o170000
)

const (
	magic   = "070701"
	trailer = "TRAILER!!!"
	// maxName is PATH_MAX: the kernel drops entries with longer names silently.
	maxName = 4096
)

// Header is one entry.
type Header struct {
	Name         string // relative, "." for the root
	Mode         uint32 // type and permission bits
	UID, GID     uint32
	MTime        uint32 // seconds since 1970
	Size         int64  // of the content: a file's bytes, a symlink's target
	Major, Minor uint32 // of a device
}

// Writer writes an archive. It is not safe for concurrent use.
type Writer struct {
	w     io.Writer
	inode uint32
	left  int64 // bytes of the current entry still to come
	pad   int   // zero bytes after it
	err   error // the first failure, which stays
}

// NewWriter returns a Writer of an empty archive.
func NewWriter(w io.Writer) *Writer { return &Writer{w: w} }

// Entry starts an entry; its content, h.Size bytes, follows by Write.
func (w *Writer) Entry(h Header) error {
	if err := w.finishEntry(); err != nil {
		return err
	}
	if err := h.check(); err != nil {
		return err
	}
	w.inode++
	return w.entry(h, w.inode)
}

func (h Header) check() error {
	switch t := h.Mode & typeMask; {
	case h.Name == "" || strings.HasPrefix(h.Name, "/") || strings.ContainsRune(h.Name, 0) || h.Name == trailer:
		return fmt.Errorf("writing cpio entry: invalid name %q", h.Name)
	case len(h.Name)+1 > maxName:
		return fmt.Errorf("writing cpio entry: name of %d bytes, want fewer than %d: %.60q…", len(h.Name), maxName, h.Name)
	case h.Size < 0 || h.Size > math.MaxUint32:
		return fmt.Errorf("writing cpio entry %q: got %d bytes, want fewer than 4 GiB, the limit of the format", h.Name, h.Size)
	case h.Size > 0 && t != TypeRegular && t != TypeSymlink:
		return fmt.Errorf("writing cpio entry %q: only files and symlinks have content", h.Name)
	case t == 0:
		return fmt.Errorf("writing cpio entry %q: got mode %o without a type", h.Name, h.Mode)
	}
	return nil
}

func (w *Writer) entry(h Header, inode uint32) error {
	links := 1
	if h.Mode&typeMask == TypeDir {
		links = 2
	}
	head := make([]byte, 0, 160+len(h.Name))
	head = fmt.Appendf(head, "%s%08X%08X%08X%08X%08X%08X%08X%08X%08X%08X%08X%08X%08X", magic,
		inode, h.Mode, h.UID, h.GID, links, h.MTime, h.Size, 0, 0, h.Major, h.Minor, len(h.Name)+1, 0)
	head = append(head, h.Name...)
	head = append(head, 0)
	head = append(head, zeros[:padding(int64(len(head)))]...)
	w.left, w.pad = h.Size, padding(h.Size)
	_, w.err = w.w.Write(head)
	return w.err
}

var zeros [4]byte

// padding is what is missing to a multiple of 4.
func padding(n int64) int { return int(-n & 3) }

// Write adds to the content of the current entry.
func (w *Writer) Write(p []byte) (int, error) {
	if w.err != nil {
		return 0, w.err
	}
	if int64(len(p)) > w.left {
		w.err = fmt.Errorf("writing cpio content: got %d bytes more than the entry's size", int64(len(p))-w.left)
		return 0, w.err
	}
	n, err := w.w.Write(p)
	w.left -= int64(n)
	w.err = err
	return n, err
}

func (w *Writer) finishEntry() error {
	if w.err != nil {
		return w.err
	}
	if w.left > 0 {
		return fmt.Errorf("writing cpio content: %d bytes are missing from the entry", w.left)
	}
	_, w.err = w.w.Write(zeros[:w.pad])
	w.pad = 0
	return w.err
}

// Close writes the trailer. It does not close the underlying writer.
func (w *Writer) Close() error {
	if err := w.finishEntry(); err != nil {
		return err
	}
	if err := w.entry(Header{Name: trailer}, 0); err != nil {
		return err
	}
	w.err = errors.New("writing cpio entry: the archive is closed")
	return nil
}
