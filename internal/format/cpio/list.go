package cpio

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"strconv"
)

// ErrNoArchive is returned by List for what does not start like an archive.
var ErrNoArchive = errors.New("not a cpio archive in the newc format")

// List calls f with the name of every entry of one archive, and returns how many
// bytes it has. What is after its trailer is not read.
func List(r io.Reader, f func(name string)) (int64, error) {
	b := bufio.NewReaderSize(r, 64<<10)
	var n int64
	take := func(p []byte) error {
		m, err := io.ReadFull(b, p)
		n += int64(m)
		return err
	}
	skip := func(count int64) error {
		m, err := io.CopyN(io.Discard, b, count)
		n += m
		return err
	}
	for {
		var head [110]byte
		if err := take(head[:]); err != nil {
			if n == 0 && errors.Is(err, io.EOF) {
				return 0, io.EOF
			}
			return n, fmt.Errorf("reading cpio: %w", err)
		}
		if m := string(head[:6]); m != magic && m != "070702" {
			return n, ErrNoArchive
		}
		size, err1 := strconv.ParseUint(string(head[54:62]), 16, 32)
		length, err2 := strconv.ParseUint(string(head[94:102]), 16, 32)
		if err := errors.Join(err1, err2); err != nil || length == 0 || length > maxName {
			return n, fmt.Errorf("reading cpio: malformed header")
		}
		name := make([]byte, length)
		if err := take(name); err != nil {
			return n, fmt.Errorf("reading cpio: %w", err)
		}
		if err := skip(int64(padding(n))); err != nil {
			return n, fmt.Errorf("reading cpio: %w", err)
		}
		s := string(name[:length-1])
		if s == trailer {
			return n, nil
		}
		if err := skip(int64(size) + int64(padding(int64(size)))); err != nil {
			return n, fmt.Errorf("reading cpio: %q: %w", s, err)
		}
		f(s)
	}
}
