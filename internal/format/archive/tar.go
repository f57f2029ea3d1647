package archive

import (
	"archive/tar"
	"bufio"
	"cmp"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/labstar/labstar/action"
)

// trailing is how much may follow the end of a tar: writers pad to records.
const trailing = 64 << 20

// tar unpacks a tar file, compressed or not.
func (u *unpacker) tar() error {
	r, c, err := Decompress(u.src, u.size)
	u.stats.Format = strings.TrimSuffix("tar."+string(c), ".")
	if err != nil {
		return tell(err)
	}
	defer r.Close()
	buf := bufio.NewReaderSize(r, 1<<16)
	first, err := buf.Peek(512)
	if err != nil && !errors.Is(err, io.EOF) {
		return tell(err)
	}
	if err := checkTar(first, c); err != nil {
		return err
	}
	t := tar.NewReader(buf)
	for {
		h, err := t.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return fmt.Errorf("after %d members: %w", u.stats.Entries, tell(err))
		}
		m, err := tarMember(h)
		if err != nil {
			return &MemberError{h.Name, err}
		}
		if m == nil {
			continue
		}
		if err := u.add(m, t); err != nil {
			return tell(err)
		}
	}
	// The rest is padding; reading it verifies the last check sum.
	n, err := io.Copy(io.Discard, io.LimitReader(buf, trailing+1))
	if err != nil {
		return tell(err)
	}
	if n > trailing {
		return fmt.Errorf("more than %d MiB follow the end of the tar", trailing>>20)
	}
	return nil
}

// tell makes a library's error one for people.
func tell(err error) error {
	if errors.Is(err, tar.ErrHeader) {
		return fmt.Errorf("damaged tar header: %w", err)
	}
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return fmt.Errorf("truncated: %w", io.ErrUnexpectedEOF)
	}
	return err
}

// tarMember translates a header; nil means that the entry is no member.
func tarMember(h *tar.Header) (*member, error) {
	m := &member{name: h.Name, link: h.Linkname, size: h.Size}
	m.attr.Mode = uint32(h.Mode) & 0o7777
	if h.Uid < 0 || h.Gid < 0 || int64(h.Uid) > 1<<32-1 || int64(h.Gid) > 1<<32-1 {
		return nil, fmt.Errorf("invalid owner %d:%d", h.Uid, h.Gid)
	}
	m.attr.UID, m.attr.GID = uint32(h.Uid), uint32(h.Gid)
	switch h.Typeflag {
	case tar.TypeReg, '\x00', tar.TypeCont, tar.TypeGNUSparse:
		m.kind = file
		if strings.HasSuffix(h.Name, "/") {
			m.kind = dir // as the oldest tars wrote directories
		}
	case tar.TypeDir:
		m.kind = dir
	case tar.TypeSymlink:
		m.kind = symlink
		m.attr.Mode = action.ModeSymlink
	case tar.TypeLink:
		m.kind = hardlink
	case tar.TypeChar, tar.TypeBlock, tar.TypeFifo:
		m.kind = device
		m.node = map[byte]action.Kind{tar.TypeChar: action.Char, tar.TypeBlock: action.Block, tar.TypeFifo: action.Fifo}[h.Typeflag]
		if h.Devmajor < 0 || h.Devminor < 0 || h.Devmajor > 1<<31 || h.Devminor > 1<<31 {
			return nil, fmt.Errorf("invalid device number %d:%d", h.Devmajor, h.Devminor)
		}
		m.major, m.minor = uint32(h.Devmajor), uint32(h.Devminor)
	case tar.TypeXGlobalHeader, 'V': // comments; the label of a volume
		return nil, nil
	default:
		return nil, fmt.Errorf("unsupported type %q", h.Typeflag)
	}
	var err error
	m.attr.Xattrs, err = xattrs(h.PAXRecords)
	return m, err
}

const xattrPrefix = "SCHILY.xattr."

// xattrs picks the extended attributes out of PAX records, sorted by name.
func xattrs(records map[string]string) ([]action.Xattr, error) {
	var list []action.Xattr
	for k, v := range records {
		name, ok := strings.CutPrefix(k, xattrPrefix)
		if !ok {
			continue
		}
		if name == "" || len(name) > 255 || len(v) > 64<<10 {
			return nil, fmt.Errorf("invalid extended attribute %q of %d bytes", shorten(name), len(v))
		}
		list = append(list, action.Xattr{Name: name, Value: []byte(v)})
	}
	slices.SortFunc(list, func(a, b action.Xattr) int { return cmp.Compare(a.Name, b.Name) })
	return list, nil
}
