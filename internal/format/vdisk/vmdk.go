package vdisk

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"io"

	"github.com/klauspost/compress/zlib"
)

const (
	sector          = 512
	grain           = 64 << 10
	grainSectors    = grain / sector
	inTable         = 512 // grains that a table has
	tableSectors    = inTable * 4 / sector
	descriptorRoom  = 20 // sectors
	firstDescriptor = 1
)

// VMDK writes a disk of size bytes as a vmdk of type monolithicSparse; id tells one
// content from another.
func VMDK(out io.Writer, r io.ReaderAt, size int64, id uint32) error {
	data, err := used(r, size, grain)
	if err != nil {
		return err
	}
	tables := ceil(int64(len(data)), inTable)
	directory := ceil(tables*4, sector) // sectors
	second := int64(firstDescriptor + descriptorRoom)
	first := second + directory + tables*tableSectors
	overhead := ceil(first+directory+tables*tableSectors, grainSectors) * grainSectors
	w := &writer{w: out}
	w.write(vmdkHeader(size, 1, 3, second, first, overhead, 0))
	w.write(descriptor(size, id, "monolithicSparse"))
	w.padTo((firstDescriptor + descriptorRoom) * sector)
	for _, at := range []int64{second, first} {
		w.sectors(directory, tables, func(i int64) int64 { return at + directory + i*tableSectors })
		next := overhead
		for t := range tables {
			w.sectors(tableSectors, inTable, func(k int64) int64 {
				if i := t*inTable + k; i >= int64(len(data)) || !data[i] {
					return 0
				}
				next += grainSectors
				return next - grainSectors
			})
		}
	}
	w.padTo(grain)
	buf := make([]byte, grain)
	for i, u := range data {
		if !u {
			continue
		}
		if _, err := readBlock(r, int64(i), size, buf); err != nil {
			return err
		}
		w.write(buf)
	}
	return w.err
}

// sectors writes n numbers of sectors, in room for more.
func (w *writer) sectors(room, n int64, f func(i int64) int64) {
	b := make([]byte, room*sector)
	for i := range n {
		binary.LittleEndian.PutUint32(b[4*i:], uint32(f(i)))
	}
	w.write(b)
}

func vmdkHeader(size int64, version, flags uint32, second, first, overhead int64, compress uint16) []byte {
	b := make([]byte, sector)
	le := binary.LittleEndian
	copy(b, "KDMV")
	le.PutUint32(b[4:], version)
	le.PutUint32(b[8:], flags)
	le.PutUint64(b[12:], uint64(ceil(size, sector)))
	le.PutUint64(b[20:], grainSectors)
	le.PutUint64(b[28:], firstDescriptor)
	le.PutUint64(b[36:], descriptorRoom)
	le.PutUint32(b[44:], inTable)
	le.PutUint64(b[48:], uint64(second))
	le.PutUint64(b[56:], uint64(first))
	le.PutUint64(b[64:], uint64(overhead))
	copy(b[73:], "\n \r\n") // tells a transfer that changed line ends
	le.PutUint16(b[77:], compress)
	return b
}

func descriptor(size int64, id uint32, kind string) []byte {
	if id >= 0xFFFFFFFE {
		id = 1 // those two have a meaning
	}
	sectors := ceil(size, sector)
	return fmt.Appendf(nil, `# Disk DescriptorFile
version=1
CID=%08x
parentCID=ffffffff
createType="%s"

# Extent description
RW %d SPARSE "disk.vmdk"

# The Disk Data Base
#DDB

ddb.virtualHWVersion = "4"
ddb.geometry.cylinders = "%d"
ddb.geometry.heads = "255"
ddb.geometry.sectors = "63"
ddb.adapterType = "lsilogic"
`, id, kind, sectors, min(65535, max(1, sectors/(255*63))))
}

// The kinds of markers between the grains of a stream.
const (
	markEnd, markTable, markDirectory, markFooter = 0, 1, 2, 3
)

const (
	streamFlags    = 0x30001 // compressed, with markers, line ends told
	directoryAtEnd = -1
)

// StreamVMDK writes a disk of size bytes as a vmdk of type streamOptimized: grains
// compressed, tables at the end.
func StreamVMDK(out io.Writer, r io.ReaderAt, size int64, id uint32) error {
	data, err := used(r, size, grain)
	if err != nil {
		return err
	}
	w := &writer{w: out}
	w.write(vmdkHeader(size, 3, streamFlags, 0, directoryAtEnd, grainSectors, 1))
	w.write(descriptor(size, id, "streamOptimized"))
	w.padTo(grain)
	tables := ceil(int64(len(data)), inTable)
	at := make([]int64, tables) // where each table is
	buf := make([]byte, grain)
	for t := range tables {
		grains, any := make([]int64, inTable), false
		for k := range int64(inTable) {
			i := t*inTable + k
			if i >= int64(len(data)) || !data[i] {
				continue
			}
			if _, err := readBlock(r, i, size, buf); err != nil {
				return err
			}
			grains[k], any = w.at/sector, true
			if err := w.grain(i*grainSectors, buf); err != nil {
				return err
			}
		}
		if any {
			w.marker(tableSectors, markTable)
			at[t] = w.at / sector
			w.sectors(tableSectors, inTable, func(k int64) int64 { return grains[k] })
		}
	}
	directory := ceil(tables*4, sector)
	w.marker(directory, markDirectory)
	dirAt := w.at / sector
	w.sectors(directory, tables, func(i int64) int64 { return at[i] })
	w.marker(1, markFooter)
	w.write(vmdkHeader(size, 3, streamFlags, 0, dirAt, grainSectors, 1))
	w.marker(0, markEnd)
	return w.err
}

func (w *writer) grain(lba int64, b []byte) error {
	var packed bytes.Buffer
	packed.Write(make([]byte, 12))
	z := zlib.NewWriter(&packed)
	if _, err := z.Write(b); err != nil {
		return err
	}
	if err := z.Close(); err != nil {
		return err
	}
	head := packed.Bytes()
	binary.LittleEndian.PutUint64(head, uint64(lba))
	binary.LittleEndian.PutUint32(head[8:], uint32(packed.Len()-12))
	w.write(head)
	w.padTo(sector)
	return w.err
}

func (w *writer) marker(sectors int64, kind uint32) {
	b := make([]byte, sector)
	binary.LittleEndian.PutUint64(b, uint64(sectors))
	binary.LittleEndian.PutUint32(b[12:], kind)
	w.write(b)
}
