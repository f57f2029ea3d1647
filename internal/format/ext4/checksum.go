package ext4

import (
	"encoding/binary"
	"hash/crc32"
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

var le = binary.LittleEndian

// crc is crc32c as the kernel computes it: with no inversion at either end.
func crc(seed uint32, p []byte) uint32 { return ^crc32.Update(^seed, castagnoli, p) }

func crcUint32(seed, v uint32) uint32 {
	var b [4]byte
	le.PutUint32(b[:], v)
	return crc(seed, b[:])
}

func crcUint64(seed uint32, v uint64) uint32 {
	var b [8]byte
	le.PutUint64(b[:], v)
	return crc(seed, b[:])
}

// checksums reports whether metadata_csum is on.
func (im *Image) checksums() bool { return !im.opts.NoChecksums }
