package rpmdb

import (
	"bytes"
	"encoding/binary"
)

// A header is the number of entries and of bytes of data, the entries (a tag, a type, where
// in the data, how many), and the data; all numbers in network order.

// Tags, see rpm's docs/manual/tags.md.
const (
	tagName    = 1000
	tagVersion = 1001
	tagRelease = 1002
	tagEpoch   = 1003
	tagVendor  = 1011
	tagLicence = 1014
	tagArch    = 1022
	tagSource  = 1044
)

// Types of what is read.
const (
	typeInt32  = 4
	typeString = 6
)

const entrySize = 16

func parseHeader(b []byte) (p Package, err error) {
	if len(b) < 8 {
		return p, errCut
	}
	entries, size := binary.BigEndian.Uint32(b), binary.BigEndian.Uint32(b[4:])
	if uint64(entries)*entrySize+uint64(size) > uint64(len(b)-8) {
		return p, errCut
	}
	index, data := b[8:8+entries*entrySize], b[8+entries*entrySize:][:size]
	for ; len(index) > 0; index = index[entrySize:] {
		tag, kind, at := binary.BigEndian.Uint32(index), binary.BigEndian.Uint32(index[4:]), binary.BigEndian.Uint32(index[8:])
		if tag == tagEpoch && kind == typeInt32 {
			v, ok := part(data, int(at), 4)
			if !ok {
				return p, errCut
			}
			p.Epoch = binary.BigEndian.Uint32(v)
		}
		text := p.field(tag)
		if text == nil || kind != typeString {
			continue
		}
		rest, ok := part(data, int(at), len(data)-int(min(at, size)))
		end := bytes.IndexByte(rest, 0)
		if !ok || end < 0 {
			return p, errCut
		}
		*text = string(rest[:end])
	}
	if p.Name == "" || p.Version == "" {
		return p, errCut
	}
	return p, nil
}

// field is where the text of a tag goes.
func (p *Package) field(tag uint32) *string {
	switch tag {
	case tagName:
		return &p.Name
	case tagVersion:
		return &p.Version
	case tagRelease:
		return &p.Release
	case tagArch:
		return &p.Arch
	case tagLicence:
		return &p.Licence
	case tagSource:
		return &p.Source
	case tagVendor:
		return &p.Vendor
	}
	return nil
}
