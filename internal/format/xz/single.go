package xz

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"io"

	rootxz "github.com/therootcompany/xz"
)

// NewStream reads an .xz file from a source that can't be read at any place,
// one block after another; MaxDict alone is used of opt.
func NewStream(r io.Reader, opt Options) (io.Reader, error) {
	x, err := rootxz.NewReader(r, uint32(min(opt.withDefaults().MaxDict, 1<<32-1)))
	if err != nil {
		return nil, fmt.Errorf("reading xz: %w", err)
	}
	return x, nil
}

// streamHeader makes a stream header with the given kind of check.
func streamHeader(check byte) []byte {
	b := append([]byte(Magic), 0, check)
	return binary.LittleEndian.AppendUint32(b, crc32.ChecksumIEEE(b[6:]))
}

// streamTail makes the index and footer of a stream that has b as its only block.
func streamTail(b block) []byte {
	index := []byte{0, 1}
	index = binary.AppendUvarint(index, uint64(b.unpadded))
	index = binary.AppendUvarint(index, uint64(b.size))
	for len(index)%4 != 0 {
		index = append(index, 0)
	}
	index = binary.LittleEndian.AppendUint32(index, crc32.ChecksumIEEE(index))
	flags := binary.LittleEndian.AppendUint32(nil, uint32(len(index)/4-1))
	flags = append(flags, 0, b.check)
	foot := binary.LittleEndian.AppendUint32(nil, crc32.ChecksumIEEE(flags))
	foot = append(append(foot, flags...), "YZ"...)
	return append(index, foot...)
}
