// Package ldcache writes and reads /etc/ld.so.cache, by which the GNU C library's loader
// finds shared libraries: the format "glibc-ld.so.cache1.1" of glibc 2.2 and
// later (sysdeps/generic/dl-cache.h), without hardware capabilities.
//
// A file is a header of 48 bytes, entries of 24 bytes sorted for a binary
// search, and the strings they point to. Numbers are little-endian, as is
// every architecture of which Flags are here but s390x.
package ldcache

import (
	"encoding/binary"
	"fmt"
	"slices"
	"strings"
)

// Flags of an entry: a library for the GNU C library, and its architecture.
const (
	elfLibc6 = 0x0003
	I386     = elfLibc6
	X8664    = elfLibc6 | 0x0300
	AArch64  = elfLibc6 | 0x0a00
	S390X    = elfLibc6 | 0x0400
	RISCV64  = elfLibc6 | 0x1000
)

// Library is one entry: the name that programs ask for, and where it is.
type Library struct {
	Name, Path string
	Flags      uint32
}

const (
	magic      = "glibc-ld.so.cache1.1"
	headerSize = 48
	entrySize  = 24
	// The byte order is told so that a loader of the other one ignores the cache.
	littleEndian, bigEndian = 2, 3
)

// Encode returns the cache of libs, in whatever order they come. A name may be
// there once for each value of Flags.
func Encode(libs []Library) ([]byte, error) {
	libs = slices.Clone(libs)
	slices.SortFunc(libs, func(a, b Library) int {
		if c := compare(b.Name, a.Name); c != 0 { // descending, as the loader expects
			return c
		}
		if a.Flags != b.Flags {
			return int(int64(b.Flags) - int64(a.Flags))
		}
		return strings.Compare(b.Name, a.Name)
	})
	var order binary.AppendByteOrder = binary.LittleEndian
	endian := byte(littleEndian)
	for i, l := range libs {
		if l.Name == "" || l.Path == "" || strings.ContainsRune(l.Name+l.Path, 0) {
			return nil, fmt.Errorf("writing ld.so.cache: got name %q, path %q", l.Name, l.Path)
		}
		if i > 0 && libs[i-1].Name == l.Name && libs[i-1].Flags == l.Flags {
			return nil, fmt.Errorf("writing ld.so.cache: got %s twice, at %s and %s", l.Name, libs[i-1].Path, l.Path)
		}
		if l.Flags == S390X {
			order, endian = binary.BigEndian, bigEndian
		}
	}
	start := headerSize + entrySize*len(libs)
	var text []byte
	at := map[string]uint32{}
	offset := func(s string) uint32 {
		o, ok := at[s]
		if !ok {
			o = uint32(start + len(text))
			at[s] = o
			text = append(append(text, s...), 0)
		}
		return o
	}
	entries := make([]byte, 0, entrySize*len(libs))
	for _, l := range libs {
		entries = order.AppendUint32(entries, l.Flags)
		entries = order.AppendUint32(entries, offset(l.Name))
		entries = order.AppendUint32(entries, offset(l.Path))
		entries = append(entries, make([]byte, 12)...) // OS version, hardware capabilities
	}
	b := append(make([]byte, 0, start+len(text)), magic...)
	b = order.AppendUint32(b, uint32(len(libs)))
	b = order.AppendUint32(b, uint32(len(text)))
	b = append(b, endian, 0, 0, 0)
	b = append(b, make([]byte, headerSize-len(b))...) // extensions, unused
	return append(append(b, entries...), text...), nil
}

// compare is the loader's order (_dl_cache_libcmp): runs of digits compare as
// numbers and come after everything else.
func compare(a, b string) int {
	i, j := 0, 0
	for i < len(a) {
		switch {
		case digit(a, i) && digit(b, j):
			var m, n int32
			for ; digit(a, i); i++ {
				m = m*10 + int32(a[i]-'0')
			}
			for ; digit(b, j); j++ {
				n = n*10 + int32(b[j]-'0')
			}
			if m != n {
				return int(int64(m) - int64(n))
			}
		case digit(a, i):
			return 1
		case digit(b, j):
			return -1
		case j >= len(b):
			return int(a[i])
		case a[i] != b[j]:
			return int(a[i]) - int(b[j])
		default:
			i++
			j++
		}
	}
	if j < len(b) {
		return -int(b[j])
	}
	return 0
}

func digit(s string, i int) bool { return i < len(s) && s[i] >= '0' && s[i] <= '9' }
