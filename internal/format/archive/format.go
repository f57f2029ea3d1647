package archive

import (
	"bufio"
	"bytes"
	"compress/bzip2"
	"errors"
	"fmt"
	"io"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"

	"github.com/labstar/labstar/internal/format/xz"
)

// Compression is how a file is compressed: "" (not at all), "gz", "bz2", "xz" or "zst".
type Compression string

var magics = []struct {
	magic string
	c     Compression
}{
	{"\x1f\x8b", "gz"},
	{"BZh", "bz2"},
	{xz.Magic, "xz"},
	{"\x28\xb5\x2f\xfd", "zst"},
}

// refused are formats that are told from damage, and named.
var refused = []struct{ magic, name string }{
	{"7z\xbc\xaf\x27\x1c", "a 7z archive"},
	{"Rar!\x1a\x07", "a rar archive"},
	{"LZIP", "compressed with lzip"},
	{"\x04\x22\x4d\x18", "compressed with lz4"},
	{"\x5d\x00\x00", "compressed with the old lzma format"},
	{"\x1f\x9d", "compressed with the old Unix compress"},
	{"!<arch>\n", "an ar archive (a .deb package goes into debian_packages)"},
	{"<!DOCTYPE", "an HTML page: the address gave a page and not the file"},
	{"<!doctype", "an HTML page: the address gave a page and not the file"},
	{"<html", "an HTML page: the address gave a page and not the file"},
}

// Detect tells how the file that r holds is compressed.
func Detect(r io.ReaderAt) (Compression, error) {
	head := make([]byte, 8)
	n, err := r.ReadAt(head, 0)
	if err != nil && err != io.EOF {
		return "", err
	}
	for _, m := range magics {
		if bytes.HasPrefix(head[:n], []byte(m.magic)) {
			return m.c, nil
		}
	}
	return "", nil
}

// Decompress opens the file that r holds, whatever its compression; one that is
// not compressed is given as it is. The decoded bytes are bounded only by whoever
// reads them. The caller closes the reader.
func Decompress(r io.ReaderAt, size int64) (io.ReadCloser, Compression, error) {
	c, err := Detect(r)
	if err != nil {
		return nil, "", err
	}
	in := io.NewSectionReader(r, 0, size)
	switch c {
	case "gz":
		z, err := gzip.NewReader(bufio.NewReaderSize(in, 1<<16))
		if err != nil {
			return nil, c, err
		}
		return readAhead(z, nil), c, nil
	case "bz2":
		return readAhead(bzip2.NewReader(bufio.NewReaderSize(in, 1<<16)), nil), c, nil
	case "zst":
		z, err := zstd.NewReader(in, zstd.WithDecoderMaxWindow(128<<20), zstd.WithDecoderConcurrency(2))
		if err != nil {
			return nil, c, err
		}
		return readAhead(z, z.Close), c, nil
	case "xz":
		z, err := xz.NewReader(r, size, xz.Options{})
		if err != nil {
			return nil, c, err
		}
		return z, c, nil
	}
	return io.NopCloser(in), c, nil
}

var (
	errNoArchive = errors.New("neither a tar nor a zip archive")
	errEmptyFile = errors.New("the file is empty")
)

// checkTar looks at the first block of a tar.
func checkTar(block []byte, c Compression) error {
	switch {
	case len(block) == 0 && c == "":
		return errEmptyFile
	case len(block) == 512 && (bytes.Equal(block[257:262], []byte("ustar")) || tarSum(block)):
		return nil
	case len(block) >= 512 && bytes.Count(block, []byte{0}) == len(block):
		return nil // an empty tar
	}
	for _, f := range refused {
		if bytes.HasPrefix(block, []byte(f.magic)) {
			return fmt.Errorf("it is %s; want a tar (plain, gz, bz2, xz, zst) or a zip", f.name)
		}
	}
	if c != "" {
		return fmt.Errorf("%w: a single file compressed with %s", errNoArchive, c)
	}
	return errNoArchive
}

// tarSum verifies the check sum of a header of the oldest tar format, which has
// no magic.
func tarSum(block []byte) bool {
	sum := 0
	for i, b := range block {
		if i >= 148 && i < 156 {
			b = ' '
		}
		sum += int(b)
	}
	want := 0
	for _, b := range bytes.Trim(block[148:156], " \x00") {
		if b < '0' || b > '7' {
			return false
		}
		want = want*8 + int(b-'0')
	}
	return want == sum && want != 0
}
