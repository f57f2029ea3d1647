package debian

import (
	"fmt"
	"io"
	"os"

	"github.com/klauspost/compress/gzip"

	"github.com/labstar/labstar/internal/format/xz"
)

// maxIndex is the largest uncompressed index read, in bytes (sid's sources
// have 60 MB).
const maxIndex = 1 << 30

func decompress(f *os.File, ext string) (r io.Reader, err error) {
	switch ext {
	case ".xz":
		// One block at a time: memory counts for more here than the clock.
		r, err = xz.NewStream(f, xz.Options{})
	case ".gz":
		r, err = gzip.NewReader(f)
	default:
		r = f
	}
	return &limited{r, maxIndex}, err
}

type limited struct {
	r    io.Reader
	left int64
}

func (l *limited) Read(p []byte) (int, error) {
	if l.left <= 0 {
		return 0, fmt.Errorf("got more than %d bytes, which is the limit", int64(maxIndex))
	}
	n, err := l.r.Read(p[:min(int64(len(p)), l.left)])
	l.left -= int64(n)
	return n, err
}
