// Package deb reads Debian's binary packages, deb(5): an ar archive that holds
// debian-binary, control.tar and data.tar, each tar compressed with gzip, xz,
// zstd or not at all.
//
//	pkg, err := deb.Open(blob, blob.Size())
//	info, err := pkg.Info()
//	stats, err := pkg.Unpack(ctx, treeWriter, deb.Options{})
//
// A package is hostile until shown otherwise: the ar is checked here, the tars
// by package archive. No maintainer script is ever run.
package deb

import (
	"archive/tar"
	"context"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"

	"github.com/labstar/labstar/action"
	"github.com/labstar/labstar/internal/format/archive"
)

// Package is an open .deb.
type Package struct {
	control, data *io.SectionReader
}

const (
	arMagic    = "!<arch>\n"
	headerSize = 60
	maxMembers = 16      // Debian's have three
	maxControl = 1 << 20 // bytes of the control file
	maxScripts = 64 << 20
)

// Open finds the members of the package that r holds.
func Open(r io.ReaderAt, size int64) (*Package, error) {
	magic := make([]byte, len(arMagic))
	if _, err := r.ReadAt(magic, 0); err != nil || string(magic) != arMagic {
		return nil, errors.New("reading a Debian package: got no ar archive")
	}
	p := &Package{}
	off, n, version := int64(len(arMagic)), 0, ""
	for off < size {
		if n++; n > maxMembers {
			return nil, fmt.Errorf("reading a Debian package: got more than %d members, want three", maxMembers)
		}
		name, length, err := header(r, off, size)
		if err != nil {
			return nil, fmt.Errorf("reading a Debian package: member %d: %w", n, err)
		}
		body := io.NewSectionReader(r, off+headerSize, length)
		switch base, _, _ := strings.Cut(name, ".tar"); {
		case n == 1:
			if version, err = formatVersion(name, body); err != nil {
				return nil, fmt.Errorf("reading a Debian package: %w", err)
			}
		case base == "control" && p.control == nil && p.data == nil:
			p.control = body
		case base == "data" && p.data == nil:
			p.data = body
		case strings.HasPrefix(name, "_"): // for vendors, to be ignored
		default:
			return nil, fmt.Errorf("reading a Debian package: got member %q, want control.tar and data.tar once, in this order", name)
		}
		off += headerSize + length + length&1
	}
	if version == "" || p.control == nil || p.data == nil {
		return nil, errors.New("reading a Debian package: truncated: a member is missing, want debian-binary, control.tar and data.tar")
	}
	return p, nil
}

// header reads the ar header at off.
func header(r io.ReaderAt, off, size int64) (name string, length int64, err error) {
	var h [headerSize]byte
	if _, err := r.ReadAt(h[:], off); err != nil {
		return "", 0, fmt.Errorf("truncated header: %w", io.ErrUnexpectedEOF)
	}
	if h[58] != '`' || h[59] != '\n' {
		return "", 0, fmt.Errorf("damaged header: got end %q", h[58:60])
	}
	name = strings.TrimSuffix(strings.TrimRight(string(h[:16]), " "), "/")
	length, err = strconv.ParseInt(strings.TrimRight(string(h[48:58]), " "), 10, 63)
	if err != nil || length < 0 {
		return "", 0, fmt.Errorf("damaged header of %q: got size %q", name, h[48:58])
	}
	if length > size-off-headerSize {
		return "", 0, fmt.Errorf("truncated: %q has %d bytes, of which %d are there", name, length, size-off-headerSize)
	}
	return name, length, nil
}

// formatVersion reads the member debian-binary.
func formatVersion(name string, body *io.SectionReader) (string, error) {
	if name != "debian-binary" {
		return "", fmt.Errorf("got first member %q, want debian-binary", name)
	}
	b := make([]byte, min(body.Size(), 16))
	if _, err := io.ReadFull(body, b); err != nil {
		return "", err
	}
	v, _, _ := strings.Cut(string(b), "\n")
	if !strings.HasPrefix(v, "2.") {
		return "", fmt.Errorf("got format version %q, want 2.0", v)
	}
	return v, nil
}

// Info is what the package says of itself: members of control.tar, "" for one that
// is not there.
type Info struct {
	Control   string
	MD5Sums   string
	Conffiles string
}

// Info reads the package's control.tar.
func (p *Package) Info() (Info, error) {
	r, _, err := archive.Decompress(p.control, p.control.Size())
	if err != nil {
		return Info{}, fmt.Errorf("reading control.tar: %w", err)
	}
	defer r.Close()
	var info Info
	members := map[string]*string{"control": &info.Control, "md5sums": &info.MD5Sums, "conffiles": &info.Conffiles}
	t := tar.NewReader(io.LimitReader(r, maxScripts))
	for {
		h, err := t.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return Info{}, fmt.Errorf("reading control.tar: %w", err)
		}
		name := strings.TrimPrefix(h.Name, "./")
		into := members[name]
		if into == nil || h.Typeflag != tar.TypeReg {
			continue
		}
		if h.Size > maxControl<<4 || name == "control" && h.Size > maxControl {
			return Info{}, fmt.Errorf("reading control.tar: got a %s file of %d bytes, want at most %d", name, h.Size, maxControl)
		}
		b, err := io.ReadAll(t)
		if err != nil {
			return Info{}, fmt.Errorf("reading control.tar: %w", err)
		}
		*into = string(b)
	}
	if info.Control == "" {
		return Info{}, errors.New("reading control.tar: got no control file")
	}
	return info, nil
}

// Options say what to make of the package's files.
type Options struct {
	// Drop leaves out the directories named (and what is below them).
	Drop []string
	// Copyright, if set, is given each copyright file (usr/share/doc/NAME/copyright);
	// KeepCopyright lets these into the tree although they are below Drop.
	Copyright     func(name string, text []byte)
	KeepCopyright bool
	// Limits bound what is unpacked; zero fields have archive's defaults.
	Limits archive.Limits
	// Progress is told the packed bytes read so far and in all.
	Progress func(done, total int64)
}

// Unpack writes the package's files into w, with their owners and modes, and
// with /bin, /sbin, /lib and /lib64 moved below /usr. It neither commits w nor
// aborts it.
func (p *Package) Unpack(ctx context.Context, w action.TreeWriter, opt Options) (archive.Stats, error) {
	return archive.Unpack(ctx, p.data, p.data.Size(), newUsr(w, opt), archive.Options{
		Name: "data.tar", ExternalLinks: true, Owners: true, Limits: opt.Limits, Progress: opt.Progress,
	})
}
