// Package vdisk writes images of disks in the formats of virtual machines: qcow2 of
// QEMU, and VMware's vmdk, in one file, with what is zeros left out, or compressed
// for transport ("stream-optimized"). The bytes are a function of the content.
//
//	err := vdisk.QCOW2(out, raw, size)
//
// The formats: docs/interop/qcow2.rst in QEMU's source; VMware's "Virtual Disk
// Format 5.0".
package vdisk

import (
	"bytes"
	"errors"
	"io"
)

var zeros [64 << 10]byte

// used tells which blocks of size block hold anything but zeros.
func used(r io.ReaderAt, size, block int64) ([]bool, error) {
	out := make([]bool, (size+block-1)/block)
	buf := make([]byte, block)
	for i := range out {
		n, err := readBlock(r, int64(i), size, buf)
		if err != nil {
			return nil, err
		}
		out[i] = !bytes.Equal(buf[:n], zeros[:n])
	}
	return out, nil
}

// readBlock reads block i into buf, and fills it with zeros after the end.
func readBlock(r io.ReaderAt, i, size int64, buf []byte) (int, error) {
	at := i * int64(len(buf))
	n := int(min(int64(len(buf)), size-at))
	if m, err := r.ReadAt(buf[:n], at); m < n {
		if errors.Is(err, io.EOF) {
			err = io.ErrUnexpectedEOF
		}
		return 0, err
	}
	clear(buf[n:])
	return n, nil
}

func ceil(a, b int64) int64 { return (a + b - 1) / b }

// writer knows where it is, and keeps the first error.
type writer struct {
	w   io.Writer
	at  int64
	err error
}

func (w *writer) write(p []byte) {
	if w.err == nil {
		var n int
		n, w.err = w.w.Write(p)
		w.at += int64(n)
	}
}

// padTo writes zeros up to a multiple.
func (w *writer) padTo(block int64) {
	for n := ceil(w.at, block)*block - w.at; n > 0 && w.err == nil; {
		m := min(n, int64(len(zeros)))
		w.write(zeros[:m])
		n -= m
	}
}
