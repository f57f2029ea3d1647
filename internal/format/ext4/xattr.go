package ext4

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
)

// Extended attributes: entries from the front, values from the back, in what the
// inode has left or in a block of their own.

const (
	xattrMagic     = 0xEA020000
	xattrHeader    = 32 // of a block
	inlineHeader   = 4
	xattrEntry     = 16
	inlineXattrs   = inodeSize - 128 - extraSize
	xattrChecksum  = 16 // where it is in the header
	xattrBlockHash = 12
)

// prefixes are the names' beginnings that have a number.
var prefixes = []struct {
	prefix string
	index  byte
}{
	{"system.posix_acl_access", 2},
	{"system.posix_acl_default", 3},
	{"user.", 1},
	{"trusted.", 4},
	{"security.", 6},
	{"system.", 7},
}

type attr struct {
	index byte
	name  string
	value []byte
}

func newAttr(x Xattr) (attr, error) {
	for _, p := range prefixes {
		if rest, ok := strings.CutPrefix(x.Name, p.prefix); ok && (rest != "" || p.index == 2 || p.index == 3) {
			if p.index == 2 || p.index == 3 {
				v, err := diskACL(x.Value)
				return attr{p.index, rest, v}, err
			}
			return attr{p.index, rest, x.Value}, nil
		}
	}
	return attr{}, fmt.Errorf("extended attribute %q: ext4 can't hold the name, want one that begins with user., trusted., security. or system", x.Name)
}

func (a attr) size() int { return xattrEntry + (len(a.name)+3)&^3 + (len(a.value)+3)&^3 }

// hash is that of an entry, by which the kernel finds equal blocks.
func (a attr) hash() uint32 {
	var h uint32
	for i := range len(a.name) {
		h = h<<5 ^ h>>27 ^ uint32(a.name[i])
	}
	padded := make([]byte, (len(a.value)+3)&^3)
	copy(padded, a.value)
	for ; len(padded) > 0; padded = padded[4:] {
		h = h<<16 ^ h>>16 ^ le.Uint32(padded)
	}
	return h
}

func (i *inode) prepareXattrs() error {
	if len(i.node.Xattrs) == 0 {
		return nil
	}
	attrs := make([]attr, len(i.node.Xattrs))
	size := 4 // the end of the entries
	for k, x := range i.node.Xattrs {
		a, err := newAttr(x)
		if err != nil {
			return err
		}
		attrs[k] = a
		size += a.size()
	}
	slices.SortFunc(attrs, func(a, b attr) int {
		return cmp.Or(cmp.Compare(a.index, b.index), cmp.Compare(len(a.name), len(b.name)), strings.Compare(a.name, b.name))
	})
	switch {
	case size+inlineHeader <= inlineXattrs:
		i.inline = make([]byte, inlineXattrs)
		le.PutUint32(i.inline, xattrMagic)
		putAttrs(i.inline[inlineHeader:], 0, attrs)
	case size+xattrHeader <= BlockSize:
		b := make([]byte, BlockSize)
		le.PutUint32(b, xattrMagic)
		le.PutUint32(b[4:], 1) // references
		le.PutUint32(b[8:], 1) // blocks
		putAttrs(b, xattrHeader, attrs)
		var sum uint32
		for _, a := range attrs {
			sum = sum<<16 ^ sum>>16 ^ a.hash()
		}
		le.PutUint32(b[xattrBlockHash:], sum)
		i.xattrBlock = b
	default:
		return fmt.Errorf("extended attributes of %d bytes, want at most %d", size, BlockSize-xattrHeader)
	}
	return nil
}

// putAttrs writes entries from b[at:] on and values from the end of b back;
// values are found from the start of b.
func putAttrs(b []byte, at int, attrs []attr) {
	end := len(b)
	for _, a := range attrs {
		b[at], b[at+1] = byte(len(a.name)), a.index
		if len(a.value) > 0 {
			end -= (len(a.value) + 3) &^ 3
			copy(b[end:], a.value)
			le.PutUint16(b[at+2:], uint16(end))
		}
		le.PutUint32(b[at+8:], uint32(len(a.value)))
		le.PutUint32(b[at+12:], a.hash())
		copy(b[at+xattrEntry:], a.name)
		at += xattrEntry + (len(a.name)+3)&^3
	}
}

// finishXattrs adds the checksum, which covers where the block is.
func (i *inode) finishXattrs(im *Image) []byte {
	b := i.xattrBlock
	if im.checksums() {
		le.PutUint32(b[xattrChecksum:], 0)
		le.PutUint32(b[xattrChecksum:], crc(crcUint64(im.seed, i.xattrAt), b))
	}
	return b
}

// diskACL turns an access control list from the form that system calls have into
// the one on the disk, which leaves out the id where there is none.
func diskACL(v []byte) ([]byte, error) {
	const user, group = 0x02, 0x08 // entries with an id
	if len(v) < 4 || len(v)%8 != 4 || le.Uint32(v) != 2 {
		return nil, fmt.Errorf("got a malformed POSIX access control list")
	}
	out := []byte{1, 0, 0, 0}
	for e := v[4:]; len(e) > 0; e = e[8:] {
		if tag := le.Uint16(e); tag == user || tag == group {
			out = append(out, e[:8]...)
		} else {
			out = append(out, e[:4]...)
		}
	}
	return out, nil
}
