package disk

import (
	"bytes"
	"errors"
	"fmt"
	"io"

	"github.com/labstar/labstar/action"
	"github.com/labstar/labstar/internal/format/archive"
	"github.com/labstar/labstar/internal/format/cpio"
)

// listInitrd calls f with every path of an initial file system: archives one after
// another, with zeros between them, of which the last may be compressed.
func listInitrd(b action.Blob, f func(path string)) error {
	for at := int64(0); at < b.Size(); {
		rest := io.NewSectionReader(b, at, b.Size()-at)
		n, err := cpio.List(rest, f)
		if errors.Is(err, cpio.ErrNoArchive) {
			return listPacked(rest, f)
		}
		if err != nil {
			return fmt.Errorf("reading the initrd: %w", err)
		}
		if at, err = skipZeros(b, at+n); err != nil {
			return err
		}
	}
	return nil
}

func listPacked(r *io.SectionReader, f func(path string)) error {
	z, _, err := archive.Decompress(r, r.Size())
	if err == nil {
		_, err = cpio.List(z, f)
		if cerr := z.Close(); err == nil {
			err = cerr
		}
	}
	if err != nil {
		return fmt.Errorf("reading the initrd: %w", err)
	}
	return nil
}

func skipZeros(r io.ReaderAt, at int64) (int64, error) {
	buf := make([]byte, 4096)
	for {
		n, err := r.ReadAt(buf, at)
		left := bytes.TrimLeft(buf[:n], "\x00")
		at += int64(n - len(left))
		switch {
		case len(left) > 0 || errors.Is(err, io.EOF):
			return at, nil
		case err != nil:
			return at, err
		}
	}
}
