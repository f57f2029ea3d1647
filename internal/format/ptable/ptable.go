// Package ptable writes the partition tables of disks: GPT, MBR, and GPT with an
// MBR that names some of its partitions too (hybrid).
//
//	t := &ptable.Table{Sectors: 1 << 17, ID: id, Parts: []ptable.Partition{
//		{Type: ptable.Linux, ID: rootID, Name: "root", First: 2048, Last: 100351},
//	}}
//	head, tail := t.GPT()
//
// The formats: UEFI specification, chapter 5; for legacy BIOS boot attributes its
// section 5.3.3.
package ptable

import (
	"encoding/binary"
	"hash/crc32"
	"unicode/utf16"
)

// Sector is the size of a sector in bytes.
const Sector = 512

const (
	entries     = 128
	entrySize   = 128
	tableLen    = entries * entrySize / Sector
	headSectors = 2 + tableLen // MBR, header, table
	tailSectors = 1 + tableLen
)

// FirstUsable is the first sector that a GPT leaves to partitions, and Tail how
// many it takes at the end.
const (
	FirstUsable = headSectors
	Tail        = tailSectors
)

// LegacyBoot is the attribute by which a BIOS loader finds its partition.
const LegacyBoot = 1 << 2

// Partition is one entry of a table.
type Partition struct {
	Type, ID    GUID
	Name        string
	First, Last uint64 // sectors, both belong to it
	Attrs       uint64

	MBRType byte // in an MBR
	Active  bool // the one that a BIOS boots, in an MBR
	Hybrid  bool // also named by the MBR of a GPT
}

// Table is a disk's partition table. Parts are in the order of their numbers; one
// with First 0 leaves its number free.
type Table struct {
	ID      GUID   // the first four bytes are an MBR's
	Sectors uint64 // of the disk
	Parts   []Partition
	Code    []byte // at most 440 bytes that a BIOS runs
}

var le = binary.LittleEndian

// GPT returns what is written to the disk's start and to its end.
func (t *Table) GPT() (head, tail []byte) {
	table := make([]byte, entries*entrySize)
	for i, p := range t.Parts {
		if p.First == 0 {
			continue
		}
		e := table[i*entrySize:][:entrySize]
		copy(e, p.Type[:])
		copy(e[16:], p.ID[:])
		le.PutUint64(e[32:], p.First)
		le.PutUint64(e[40:], p.Last)
		le.PutUint64(e[48:], p.Attrs)
		for k, c := range utf16.Encode([]rune(p.Name)) {
			if k < 36 {
				le.PutUint16(e[56+2*k:], c)
			}
		}
	}
	last := t.Sectors - 1
	head = append(t.protective(), t.header(1, last, 2, table)...)
	head = append(head, table...)
	tail = append(table[:len(table):len(table)], t.header(last, 1, last-tableLen, table)...)
	return head, tail
}

func (t *Table) header(at, other, tableAt uint64, table []byte) []byte {
	b := make([]byte, Sector)
	copy(b, "EFI PART")
	le.PutUint32(b[8:], 0x10000) // revision 1.0
	le.PutUint32(b[12:], 92)     // size of this
	le.PutUint64(b[24:], at)
	le.PutUint64(b[32:], other)
	le.PutUint64(b[40:], FirstUsable)
	le.PutUint64(b[48:], t.Sectors-1-Tail)
	copy(b[56:], t.ID[:])
	le.PutUint64(b[72:], tableAt)
	le.PutUint32(b[80:], entries)
	le.PutUint32(b[84:], entrySize)
	le.PutUint32(b[88:], crc32.ChecksumIEEE(table))
	le.PutUint32(b[16:], crc32.ChecksumIEEE(b[:92]))
	return b
}

// protective is the MBR of a GPT: one partition that covers all, and before it, if
// the table is hybrid, those that the MBR names too.
func (t *Table) protective() []byte {
	b := t.mbr()
	slot := 0
	covered := t.Sectors - 1
	hybrid := false
	for _, p := range t.Parts {
		hybrid = hybrid || p.Hybrid && p.First > 0
	}
	if !hybrid {
		putEntry(b, 0, Partition{MBRType: 0xEE, First: 1, Last: min(covered, 1<<32-1)})
		return b
	}
	// The real ones first, since some BIOSes look at no other; the protective one
	// covers the table alone.
	for _, p := range t.Parts {
		if p.Hybrid && p.First > 0 && slot < 3 {
			putEntry(b, slot, p)
			slot++
		}
	}
	putEntry(b, slot, Partition{MBRType: 0xEE, First: 1, Last: headSectors - 1})
	return b
}

// MBR returns the first sector of a disk with no GPT.
func (t *Table) MBR() []byte {
	b := t.mbr()
	for i, p := range t.Parts {
		if p.First > 0 && i < 4 {
			putEntry(b, i, p)
		}
	}
	return b
}

func (t *Table) mbr() []byte {
	b := make([]byte, Sector)
	copy(b[:440], t.Code)
	copy(b[440:444], t.ID[:4])
	b[510], b[511] = 0x55, 0xAA
	return b
}

func putEntry(b []byte, slot int, p Partition) {
	e := b[446+16*slot:][:16]
	if p.Active {
		e[0] = 0x80
	}
	putCHS(e[1:], p.First)
	e[4] = p.MBRType
	putCHS(e[5:], p.Last)
	le.PutUint32(e[8:], uint32(p.First))
	le.PutUint32(e[12:], uint32(min(p.Last-p.First+1, 1<<32-1)))
}

// putCHS writes a sector as cylinder, head and sector of the geometry that every
// BIOS invents, with 255 heads and 63 sectors.
func putCHS(b []byte, lba uint64) {
	c := lba / (255 * 63)
	if c > 1023 {
		copy(b, []byte{0xFE, 0xFF, 0xFF})
		return
	}
	h, s := lba/63%255, lba%63+1
	b[0], b[1], b[2] = byte(h), byte(s)|byte(c>>8)<<6, byte(c)
}
