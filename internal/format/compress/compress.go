// Package compress writes compressed streams that are a function of the
// content and the format alone: no name, no time, one thread, fixed settings.
// The number of cores, GOMAXPROCS and how the content is cut into writes make
// no difference to the bytes.
package compress

import (
	"fmt"
	"io"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
	"github.com/ulikunitz/xz"
)

// Format is a way to compress.
type Format string

// The formats. XZ has CRC32 checks, the only ones that the Linux kernel's own
// decoder takes.
const (
	None Format = "none"
	Gzip Format = "gzip"
	Zstd Format = "zstd"
	XZ   Format = "xz"
)

// gzipLevel is where klauspost's gzip is three times as fast as zlib's default
// at about the same size.
const gzipLevel = 5

// xzDict is how far back xz looks, in bytes: what `xz -6` uses.
const xzDict = 8 << 20

// NewWriter returns a writer that compresses into w. Close ends the stream and
// leaves w open.
func NewWriter(w io.Writer, f Format) (io.WriteCloser, error) {
	switch f {
	case None:
		return nopCloser{w}, nil
	case Gzip:
		return gzip.NewWriterLevel(w, gzipLevel)
	case Zstd:
		return zstd.NewWriter(w, zstd.WithEncoderConcurrency(1), zstd.WithEncoderLevel(zstd.SpeedDefault))
	case XZ:
		return xz.WriterConfig{CheckSum: xz.CRC32, DictCap: xzDict}.NewWriter(w)
	}
	return nil, fmt.Errorf("got compression %q, want none, gzip, zstd or xz", f)
}

type nopCloser struct{ io.Writer }

func (nopCloser) Close() error { return nil }
