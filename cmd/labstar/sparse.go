package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
)

// copySparse copies a disk image, leaving out what is nothing but zeros. A copy that
// was not finished is removed.
func copySparse(to, from string) (err error) {
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer in.Close()
	tmp := to + ".labstar-new"
	out, err := os.OpenFile(tmp, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			err = errors.Join(fmt.Errorf("copying to %s: %w", to, err), os.Remove(tmp))
		}
	}()
	buf, zeros := make([]byte, 256<<10), make([]byte, 256<<10)
	size := int64(0)
	for {
		n, readErr := io.ReadFull(in, buf)
		if n > 0 && !bytes.Equal(buf[:n], zeros[:n]) {
			if _, err := out.WriteAt(buf[:n], size); err != nil {
				return errors.Join(err, out.Close())
			}
		}
		size += int64(n)
		if errors.Is(readErr, io.EOF) || errors.Is(readErr, io.ErrUnexpectedEOF) {
			break
		}
		if readErr != nil {
			return errors.Join(readErr, out.Close())
		}
	}
	if err := errors.Join(out.Truncate(size), out.Close()); err != nil {
		return err
	}
	return os.Rename(tmp, to)
}
