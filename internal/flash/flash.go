// Package flash writes disk images to the sticks and cards of this machine, and
// refuses what is anything else.
//
//	dev, err := flash.Inspect("/dev/sdb")     // what it is, who uses it
//	err = dev.Refuse(size, "")                // why not, if so
//	err = flash.Write(ctx, dev, "stick.img", progress)
//
// Write opens the device for itself alone, which the kernel refuses while anything
// on it is mounted or in use, whatever this package knows. It takes the device's
// partition table away first and writes it last, when all the rest was read back
// and found right: one that was interrupted, or that keeps other bytes than it was
// given, has no table at all, never one of two halves. The second copy of a GPT
// goes to the end of the device, which is mostly larger than the image.
package flash

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
)

// Phase is what Write is at.
type Phase string

// The phases, in order.
const (
	Writing Phase = "writing"
	Reading Phase = "reading back"
)

// Progress is told how many bytes of a phase are done.
type Progress func(phase Phase, done, total int64)

const (
	chunk  = 4 << 20
	head   = 1 << 20 // what is written last
	sector = 512
)

// CompareError is a device that gives other bytes back than were written.
type CompareError struct {
	Device string
	Offset int64
}

func (e *CompareError) Error() string {
	return fmt.Sprintf("reading %s back: it has other bytes at %d than were written; it is broken, or smaller than it says; don't use it", e.Device, e.Offset)
}

// Write writes the image to the device and compares.
func Write(ctx context.Context, dev *Device, image string, progress Progress) (err error) {
	if progress == nil {
		progress = func(Phase, int64, int64) {}
	}
	img, err := openImage(image, dev.Size)
	if err != nil {
		return err
	}
	defer img.Close()
	d, err := openDevice(dev.Path)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, d.close()) }()
	w := &writer{ctx: ctx, dev: d, image: img, progress: progress, path: dev.Path}
	if err := w.run(); err != nil {
		if w.started { // what is there is neither the old nor the new
			err = errors.Join(err, d.writeAt(make([]byte, min(head, img.size)), 0), d.sync())
		}
		return err
	}
	d.reread()
	return nil
}

type writer struct {
	ctx      context.Context
	dev      *device
	image    *image
	path     string
	progress Progress
	started  bool
}

func (w *writer) run() error {
	if err := w.ctx.Err(); err != nil {
		return err
	}
	first := min(head, w.image.size)
	w.started = true
	if err := w.clear(); err != nil {
		return err
	}
	steps := []struct {
		phase    Phase
		do       func(b []byte, at int64) error
		from, to int64
	}{
		{Writing, w.dev.writeAt, first, w.image.size},
		{Reading, w.compare, first, w.image.size},
		{Writing, w.dev.writeAt, 0, first},
		{Reading, w.compare, 0, first},
	}
	for _, s := range steps {
		if err := w.each(s.phase, s.from, s.to, s.do); err != nil {
			return err
		}
		if s.from != 0 {
			if err := w.tail(s.do); err != nil {
				return err
			}
		}
		if s.phase == Writing {
			if err := w.dev.sync(); err != nil {
				return fmt.Errorf("writing %s: %w", w.path, err)
			}
		}
	}
	return nil
}

// clear takes the table away, at the start and the copy at the end.
func (w *writer) clear() error {
	zeros := make([]byte, head)
	err := w.dev.writeAt(zeros[:min(head, w.image.device)], 0)
	if end := w.image.device - head; err == nil && end > head {
		err = w.dev.writeAt(zeros, end&^(4096-1))
	}
	if err == nil {
		err = w.dev.sync()
	}
	if err != nil {
		return fmt.Errorf("writing %s: %w", w.path, err)
	}
	return nil
}

// each calls do for the chunks of a range of the image.
func (w *writer) each(phase Phase, from, to int64, do func([]byte, int64) error) error {
	buf := w.dev.buffer(chunk)
	for at := from; at < to; {
		if err := w.ctx.Err(); err != nil {
			return err
		}
		n := min(chunk, to-at)
		if err := w.image.read(buf[:n], at); err != nil {
			return fmt.Errorf("reading the image: %w", err)
		}
		if err := do(buf[:n], at); err != nil {
			return w.explain(phase, err)
		}
		at += n
		if from > 0 {
			w.progress(phase, at, to)
		}
	}
	return nil
}

// tail calls do for the second table, at the device's end.
func (w *writer) tail(do func([]byte, int64) error) error {
	if len(w.image.backup) == 0 {
		return nil
	}
	return w.explain("", do(w.image.backup, w.image.device-int64(len(w.image.backup))))
}

func (w *writer) explain(phase Phase, err error) error {
	var bad *CompareError
	if err == nil || errors.As(err, &bad) {
		return err
	}
	return fmt.Errorf("%s %s: %w", cmpPhase(phase), w.path, err)
}

func cmpPhase(p Phase) Phase {
	if p == "" {
		return Writing
	}
	return p
}

func (w *writer) compare(want []byte, at int64) error {
	got, err := w.dev.readAt(len(want), at)
	if err != nil {
		return err
	}
	if !bytes.Equal(got, want) {
		i := 0
		for got[i] == want[i] {
			i++
		}
		return &CompareError{w.path, at + int64(i)}
	}
	return nil
}

// image is what the device gets: a file, with its GPT made for the device's size.
type image struct {
	*os.File
	size   int64 // in whole sectors
	device int64
	head   []byte // the first sectors, as they are written
	backup []byte // of the GPT, for the device's end; nil if there is none
	stale  int64  // where the file's own backup begins, which becomes zeros; 0 for none
}

func openImage(name string, device int64) (*image, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	fi, err := f.Stat()
	if err == nil {
		img := &image{File: f, device: device, size: (fi.Size() + sector - 1) &^ (sector - 1)}
		if err = img.check(fi.Size()); err == nil {
			err = img.relocate()
		}
		if err == nil {
			return img, nil
		}
	}
	return nil, errors.Join(err, f.Close())
}

func (i *image) check(size int64) error {
	magic := make([]byte, 4)
	if _, err := i.ReadAt(magic, 0); err != nil && !errors.Is(err, io.EOF) {
		return err
	}
	switch {
	case size == 0:
		return errors.New("got an empty image")
	case string(magic) == "QFI\xfb" || string(magic) == "KDMV":
		return errors.New(`got an image in a virtual machine's format, want a raw one: disk_image(format = "raw")`)
	case i.size > i.device:
		return fmt.Errorf("got an image of %d bytes for a device of %d", i.size, i.device)
	}
	return nil
}

// read fills b with what the device has at an offset afterwards.
func (i *image) read(b []byte, at int64) error {
	clear(b)
	if _, err := i.ReadAt(b, at); err != nil && !errors.Is(err, io.EOF) {
		return err
	}
	if at < int64(len(i.head)) {
		copy(b, i.head[at:])
	}
	if end := at + int64(len(b)); i.stale > 0 && end > i.stale {
		clear(b[max(0, i.stale-at):])
	}
	return nil
}
