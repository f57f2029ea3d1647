// Package archive unpacks tar and zip archives into a tree.
//
// What an archive is, is told by its content: a tar, plain or compressed with
// gzip, bzip2, xz or zstd, or a zip. Unpack streams its members into an
// action.TreeWriter:
//
//	stats, err := archive.Unpack(ctx, blob, blob.Size(), treeWriter, archive.Options{
//		Name: "linux-6.12.tar.xz", Strip: 1,
//	})
//
// An archive is hostile until shown otherwise. Names that are absolute or hold
// "..", hard links to what is not in the archive, symlinks that point out of the
// tree, devices, and more entries or bytes than Limits allow are errors that name
// the member. Symlinks are text: nothing here follows one, and neither does a
// TreeWriter, so that no member can land outside whatever it is called.
//
// Decompression, parsing and writing run side by side: blocks of an xz file on
// all processors, members smaller than a megabyte through a few writers. The
// tree is the same in whatever order they finish.
package archive

import (
	"context"
	"fmt"
	"io"
	"sync/atomic"

	"github.com/labstar/labstar/action"
)

// Options say what to make of an archive. The zero value keeps everything but
// owners, and refuses what most archives have no business to hold.
type Options struct {
	// Name of the archive, for errors.
	Name string
	// Strip is the number of leading parts dropped from each name, as in
	// tar --strip-components. A member of which nothing would be left is an error,
	// unless it is a directory.
	Strip int
	// Prefix keeps only what is below it, and drops it from the names. Its parts
	// may hold the wildcards of path.Match. It is applied before Strip. It is an
	// error if no member is below it.
	Prefix string
	// ExternalLinks allows symlinks that are absolute or leave the tree.
	ExternalLinks bool
	// Devices keeps devices and fifos; otherwise they are errors.
	Devices bool
	// Owners keeps numeric owners; otherwise all belongs to root.
	Owners bool
	// Limits bound what is unpacked.
	Limits Limits
	// Progress, if set, is told the compressed bytes read so far and in all.
	Progress func(done, total int64)
}

// Limits end the unpacking of bombs. Zero fields have the defaults named.
type Limits struct {
	Entries int64 // members; default 4 million
	Size    int64 // bytes of all files; default 256 GiB
	// Ratio of unpacked to packed bytes, which counts once more than RatioFrom
	// bytes were unpacked; default 1,000 beyond 1 GiB. Kernel sources have 10.
	Ratio     int64
	RatioFrom int64
}

func (l Limits) withDefaults() Limits {
	set := func(v *int64, def int64) {
		if *v == 0 {
			*v = def
		}
	}
	set(&l.Entries, 4<<20)
	set(&l.Size, 256<<30)
	set(&l.Ratio, 1000)
	set(&l.RatioFrom, 1<<30)
	return l
}

// Stats count what was unpacked.
type Stats struct {
	Format  string // "tar.xz", "zip", …
	Entries int64
	Files   int64
	Bytes   int64 // of all files
}

// Unpack writes the members of the archive that r holds into w. It neither
// commits w nor aborts it. An error names the archive and the member.
func Unpack(ctx context.Context, r io.ReaderAt, size int64, w action.TreeWriter, opt Options) (Stats, error) {
	if opt.Name == "" {
		opt.Name = "archive"
	}
	src := &countingReaderAt{r: r}
	u := newUnpacker(ctx, src, size, w, opt)
	err := u.run()
	if err == nil {
		err = ctx.Err()
	}
	if err != nil {
		return u.stats, fmt.Errorf("unpacking %s: %w", opt.Name, err)
	}
	if opt.Progress != nil {
		opt.Progress(size, size)
	}
	return u.stats, nil
}

// countingReaderAt counts bytes for the progress bar.
type countingReaderAt struct {
	r io.ReaderAt
	n atomic.Int64
}

func (c *countingReaderAt) ReadAt(p []byte, off int64) (int, error) {
	n, err := c.r.ReadAt(p, off)
	c.n.Add(int64(n))
	return n, err
}

// MemberError is an error about one member.
type MemberError struct {
	Member string
	Err    error
}

func (e *MemberError) Error() string { return fmt.Sprintf("member %q: %v", shorten(e.Member), e.Err) }

func (e *MemberError) Unwrap() error { return e.Err }

// shorten keeps absurd names out of messages.
func shorten(s string) string {
	if len(s) > 200 {
		return s[:200] + "…"
	}
	return s
}
