package ext4

import (
	"encoding/binary"
)

const (
	compatJournal, compatXattr, compatIndex = 0x4, 0x8, 0x20

	incompatFileType, incompatExtents, incompat64, incompatFlex = 0x2, 0x40, 0x80, 0x200

	roSparse, roLarge, roHuge, roNlink, roExtra, roChecksum = 0x1, 0x2, 0x8, 0x20, 0x40, 0x400

	superAt   = 1024 // of the first superblock; its copies are at the start of a block
	superSize = 1024
)

// describe makes the superblocks, descriptors, bitmaps and inode tables.
func (im *Image) describe() {
	g := &im.geo
	table := im.table()
	descs := make([]byte, g.descBlocks*BlockSize)
	for k := range g.groups {
		im.putDesc(descs[k*descSize:][:descSize], k, table)
		im.items = append(im.items,
			item{at: g.blockBitmap[k], n: BlockSize, data: func() []byte { return im.blockBits(k) }},
			item{at: g.inodeBitmap[k], n: BlockSize, data: func() []byte { return im.inodeBits(k) }})
		if t := table.group(k); len(t) > 0 {
			im.put(g.inodeTable[k], t)
		}
	}
	for k := range g.groups {
		if !hasSuper(k) {
			continue
		}
		at := uint64(k) * groupBlocks
		b := make([]byte, BlockSize, BlockSize+len(descs))
		if k == 0 {
			copy(b[superAt:], im.super(k, table))
		} else {
			copy(b, im.super(k, table))
		}
		im.put(at, append(b, descs...))
	}
}

// inodeTable holds the encoded inodes from number 1 on, as far as they are in use.
type inodeTable struct {
	b        []byte
	perGroup uint64
	folders  []uint32 // by group
	last     uint64   // highest number in use
}

func (t *inodeTable) group(k int) []byte {
	from := uint64(k) * t.perGroup * inodeSize
	if from >= uint64(len(t.b)) {
		return nil
	}
	return t.b[from:min(uint64(len(t.b)), from+t.perGroup*inodeSize)]
}

// used is how many of a group's inodes are in use.
func (t *inodeTable) used(k int) uint64 {
	from := uint64(k) * t.perGroup
	if from >= t.last {
		return 0
	}
	return min(t.last-from, t.perGroup)
}

func (im *Image) table() *inodeTable {
	t := &inodeTable{perGroup: im.geo.inodesPerGroup, folders: make([]uint32, im.geo.groups), last: uint64(max(im.lastInode(), firstInode-1))}
	t.b = make([]byte, t.last*inodeSize)
	set := func(i *inode) {
		copy(t.b[(i.num-1)*inodeSize:], i.encode(im))
		if i.node.kind() == TypeDir {
			t.folders[uint64(i.num-1)/t.perGroup]++
		}
	}
	for _, i := range im.inodes {
		set(i)
	}
	if im.journal != nil {
		set(im.journal)
	}
	return t
}

// groupLen is how many blocks a group has.
func (g *geometry) groupLen(k int) uint64 {
	return min(groupBlocks, g.blocks-uint64(k)*groupBlocks)
}

func (im *Image) freeIn(k int) uint64 {
	n := im.geo.groupLen(k)
	return n - im.geo.used(uint64(k)*groupBlocks, n, im.end)
}

func (im *Image) freeBlocks() uint64 { return im.geo.blocks - im.geo.used(0, im.geo.blocks, im.end) }

// blockBits is the bitmap of a group's blocks; those beyond the end are in use.
func (im *Image) blockBits(k int) []byte {
	b := make([]byte, BlockSize)
	first, n := uint64(k)*groupBlocks, im.geo.groupLen(k)
	if first < im.end {
		setBits(b, 0, min(n, im.end-first))
	}
	for _, t := range im.geo.taken {
		lo, hi := max(t.first, first), min(t.first+t.n, first+n)
		if lo < hi {
			setBits(b, lo-first, hi-first)
		}
	}
	setBits(b, n, groupBlocks)
	return b
}

func (im *Image) inodeBits(k int) []byte {
	b := make([]byte, BlockSize)
	t := inodeTable{perGroup: im.geo.inodesPerGroup, last: uint64(im.lastInode())}
	setBits(b, 0, t.used(k))
	setBits(b, im.geo.inodesPerGroup, groupBlocks)
	return b
}

func setBits(b []byte, from, to uint64) {
	for from < to && from%8 != 0 {
		b[from/8] |= 1 << (from % 8)
		from++
	}
	for ; from+8 <= to; from += 8 {
		b[from/8] = 0xFF
	}
	for ; from < to; from++ {
		b[from/8] |= 1 << (from % 8)
	}
}

func put32x2(b []byte, lo, hi int, v uint64) {
	le.PutUint32(b[lo:], uint32(v))
	le.PutUint32(b[hi:], uint32(v>>32))
}

func put16x2(b []byte, lo, hi int, v uint32) {
	le.PutUint16(b[lo:], uint16(v))
	le.PutUint16(b[hi:], uint16(v>>16))
}

func (im *Image) putDesc(b []byte, k int, t *inodeTable) {
	const inodeUninit, zeroed = 0x1, 0x4
	g := &im.geo
	put32x2(b, 0x0, 0x20, g.blockBitmap[k])
	put32x2(b, 0x4, 0x24, g.inodeBitmap[k])
	put32x2(b, 0x8, 0x28, g.inodeTable[k])
	put16x2(b, 0xC, 0x2C, uint32(im.freeIn(k)))
	unused := uint32(g.inodesPerGroup - t.used(k))
	put16x2(b, 0xE, 0x2E, unused)
	put16x2(b, 0x10, 0x30, t.folders[k])
	if !im.checksums() {
		return
	}
	flags := uint16(zeroed)
	if t.used(k) == 0 {
		flags |= inodeUninit
	}
	le.PutUint16(b[0x12:], flags)
	put16x2(b, 0x1C, 0x32, unused)
	put16x2(b, 0x18, 0x38, crc(im.seed, im.blockBits(k)))
	put16x2(b, 0x1A, 0x3A, crc(im.seed, im.inodeBits(k)[:g.inodesPerGroup/8]))
	le.PutUint16(b[0x1E:], uint16(crc(crcUint32(im.seed, uint32(k)), b)))
}

// super is the superblock, or its copy in a group.
func (im *Image) super(group int, t *inodeTable) []byte {
	b := make([]byte, superSize)
	g, o := &im.geo, &im.opts
	inodes := uint64(g.groups) * g.inodesPerGroup
	le.PutUint32(b[0x0:], uint32(inodes))
	put32x2(b, 0x4, 0x150, g.blocks)
	put32x2(b, 0x8, 0x154, g.blocks*uint64(o.Reserved)/100)
	put32x2(b, 0xC, 0x158, im.freeBlocks())
	le.PutUint32(b[0x10:], uint32(inodes-t.last))
	le.PutUint32(b[0x18:], uint32(log2(BlockSize/1024)))
	le.PutUint32(b[0x1C:], uint32(log2(BlockSize/1024)))
	le.PutUint32(b[0x20:], groupBlocks)
	le.PutUint32(b[0x24:], groupBlocks)
	le.PutUint32(b[0x28:], uint32(g.inodesPerGroup))
	le.PutUint32(b[0x30:], o.Time) // written
	le.PutUint16(b[0x36:], 0xFFFF) // mounts before a check: any number
	le.PutUint16(b[0x38:], 0xEF53)
	le.PutUint16(b[0x3A:], 1) // clean
	le.PutUint16(b[0x3C:], 1) // on errors go on
	le.PutUint32(b[0x40:], o.Time)
	le.PutUint32(b[0x4C:], 1) // revision with the fields below
	le.PutUint32(b[0x54:], firstInode)
	le.PutUint16(b[0x58:], inodeSize)
	le.PutUint16(b[0x5A:], uint16(group))
	im.putFeatures(b)
	copy(b[0x68:], o.UUID[:])
	copy(b[0x78:0x88], o.Label)
	copy(b[0xEC:], o.HashSeed[:])
	b[0xFC] = 1 // half_md4
	le.PutUint16(b[0xFE:], descSize)
	le.PutUint32(b[0x100:], 0x000C) // mounted with user_xattr, acl
	le.PutUint32(b[0x108:], o.Time)
	le.PutUint16(b[0x15C:], extraSize)
	le.PutUint16(b[0x15E:], extraSize)
	le.PutUint32(b[0x160:], 1) // hashes of signed characters
	b[0x174] = log2(g.flex)
	if im.journal != nil {
		le.PutUint32(b[0xE0:], journalInode)
		b[0xFD] = 1 // what follows is a copy of the journal's inode
		j := im.journal.encode(im)
		copy(b[0x10C:], j[0x28:0x64])
		copy(b[0x148:], j[0x6C:0x70])
		copy(b[0x14C:], j[0x4:0x8])
	}
	if im.checksums() {
		b[0x175] = 1 // crc32c
		le.PutUint32(b[0x3FC:], crc(^uint32(0), b[:0x3FC]))
	}
	return b
}

func (im *Image) putFeatures(b []byte) {
	compat := uint32(compatXattr | compatIndex)
	if im.journal != nil {
		compat |= compatJournal
	}
	ro := uint32(roSparse | roLarge | roHuge | roNlink | roExtra)
	if im.checksums() {
		ro |= roChecksum
	}
	le.PutUint32(b[0x5C:], compat)
	le.PutUint32(b[0x60:], incompatFileType|incompatExtents|incompat64|incompatFlex)
	le.PutUint32(b[0x64:], ro)
}

// placeJournal writes the journal's own superblock; the rest of it is zeros.
func (im *Image) placeJournal(blocks uint64) {
	b := make([]byte, BlockSize)
	be := binary.BigEndian
	be.PutUint32(b, 0xC03B3998)
	be.PutUint32(b[4:], 4) // superblock, version 2
	be.PutUint32(b[12:], BlockSize)
	be.PutUint32(b[16:], uint32(blocks))
	be.PutUint32(b[20:], 1) // first block of the log
	be.PutUint32(b[24:], 1) // first sequence number
	be.PutUint32(b[64:], 1) // users
	im.put(im.journal.extents[0].first, b)
}
