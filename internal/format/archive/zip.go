package archive

import (
	"archive/zip"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"strings"

	"github.com/klauspost/compress/flate"
	"github.com/klauspost/compress/zstd"

	"github.com/labstar/labstar/action"
)

// zipZstd is the number of zstd among zip's methods (APPNOTE 4.4.5).
const zipZstd = 93

// zip unpacks a zip file: what its central directory lists, in that order.
func (u *unpacker) zip() error {
	u.stats.Format = "zip"
	z, err := zip.NewReader(u.src, u.size)
	if err != nil && !errors.Is(err, zip.ErrInsecurePath) { // names are checked by place
		return fmt.Errorf("damaged or truncated zip: %w", err)
	}
	z.RegisterDecompressor(zip.Deflate, flate.NewReader)
	z.RegisterDecompressor(zipZstd, zstd.ZipDecompressor(zstd.WithDecoderMaxWindow(128<<20), zstd.WithDecoderConcurrency(1)))
	for _, f := range z.File {
		if err := u.zipMember(f); err != nil {
			return err
		}
	}
	return nil
}

func (u *unpacker) zipMember(f *zip.File) error {
	if strings.Contains(f.Name, `\`) {
		return &MemberError{f.Name, errors.New("name with a backslash: the archive is not to the standard, repack it")}
	}
	if f.Flags&1 != 0 {
		return &MemberError{f.Name, errors.New("it is encrypted: repack it without a password")}
	}
	if f.UncompressedSize64 > 1<<62 {
		return &MemberError{f.Name, errors.New("absurd size")}
	}
	m := &member{name: f.Name, size: int64(f.UncompressedSize64)}
	mode := f.Mode()
	m.attr.Mode = zipMode(f, mode)
	switch {
	case mode.IsDir() || strings.HasSuffix(f.Name, "/"):
		m.kind = dir
		return u.add(m, nil)
	case mode&fs.ModeSymlink != 0:
		return u.zipSymlink(f, m)
	case !mode.IsRegular():
		return &MemberError{f.Name, fmt.Errorf("got a %s, want files, directories and symlinks", mode.Type())}
	}
	r, err := f.Open()
	if err != nil {
		return &MemberError{f.Name, zipError(f, err)}
	}
	defer r.Close()
	return u.add(m, r)
}

func (u *unpacker) zipSymlink(f *zip.File, m *member) error {
	r, err := f.Open()
	if err != nil {
		return &MemberError{f.Name, zipError(f, err)}
	}
	defer r.Close()
	b, err := io.ReadAll(io.LimitReader(r, 4097))
	if err != nil {
		return &MemberError{f.Name, err}
	}
	m.kind, m.link, m.attr.Mode = symlink, string(b), action.ModeSymlink
	return u.add(m, nil)
}

// zipMode gives the mode that a Unix program recorded; other systems record
// none that is worth keeping.
func zipMode(f *zip.File, mode fs.FileMode) uint32 {
	const unix, darwin = 3, 19
	if sys := f.CreatorVersion >> 8; sys != unix && sys != darwin || f.ExternalAttrs>>16 == 0 {
		if mode.IsDir() {
			return action.ModeDir
		}
		return action.ModeFile
	}
	return f.ExternalAttrs >> 16 & 0o7777
}

func zipError(f *zip.File, err error) error {
	if errors.Is(err, zip.ErrAlgorithm) {
		return fmt.Errorf("compressed by method %d, which is not supported: want deflate, zstd or none", f.Method)
	}
	return err
}
