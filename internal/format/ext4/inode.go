package ext4

import (
	"fmt"
	"slices"
)

const (
	rootInode    = 2
	journalInode = 8
	firstInode   = 11 // lost+found; those below are the file system's own

	lostFound  = "lost+found"
	lostBlocks = 4 // e2fsck wants room there that need not be allocated

	maxLinks = 65000

	flagIndex   = 0x1000  // a folder with a tree of hashes
	flagExtents = 0x80000 // i_block holds the root of an extent tree

	extraSize = 32 // of the fields after the first 128 bytes
)

// inode is a node with its number and its blocks.
type inode struct {
	node      *Node
	num       uint32
	links     uint32
	parent    *inode
	children  []*inode
	minBlocks int

	folder     [][]byte // blocks of a folder
	indexed    bool
	inline     []byte // extended attributes in the inode
	xattrBlock []byte // or in a block of their own
	xattrAt    uint64
	extents    []extent
	leaves     []run // blocks of the extent tree below its root
}

// extent is a run of a file's blocks.
type extent struct {
	logical uint32
	run
}

// maxExtent is the length of the longest one, in blocks.
const maxExtent = 1 << 15

// prepare makes what needs no place: the blocks of folders, extended attributes.
func (i *inode) prepare(im *Image) error {
	if err := i.prepareXattrs(); err != nil {
		return err
	}
	if i.node.kind() == TypeDir {
		return i.prepareFolder(im)
	}
	return nil
}

// content is how many blocks the inode's content takes.
func (i *inode) content() uint64 {
	switch i.node.kind() {
	case TypeDir:
		return uint64(len(i.folder))
	case TypeRegular:
		return ceil(uint64(i.node.Size), BlockSize)
	case TypeSymlink:
		if len(i.node.Target) >= fastSymlink {
			return 1
		}
	}
	return 0
}

// fastSymlink is the length from which on a target is not in the inode.
const fastSymlink = 60

// seed is that of the checksums of what belongs to the inode.
func (i *inode) seed(im *Image) uint32 { return crcUint32(crcUint32(im.seed, i.num), 0) }

// place gives the content its blocks and says what is written there.
func (i *inode) place(im *Image, a *allocator) error {
	n := i.content()
	if n >= 1<<32 {
		return fmt.Errorf("%q has %d blocks, want fewer than 2^32", i.node.Name, n)
	}
	runs, err := a.take(n)
	if err != nil {
		return err
	}
	i.extents = i.extents[:0]
	var logical uint32
	for _, r := range runs {
		for r.n > 0 {
			m := min(r.n, maxExtent)
			i.extents = append(i.extents, extent{logical, run{r.first, m}})
			logical, r.first, r.n = logical+uint32(m), r.first+m, r.n-m
		}
	}
	if err := i.placeTree(im, a); err != nil {
		return err
	}
	if i.xattrBlock != nil {
		r, err := a.take(1)
		if err != nil {
			return err
		}
		i.xattrAt = r[0].first
		im.put(i.xattrAt, i.finishXattrs(im))
	}
	switch i.node.kind() {
	case TypeDir:
		i.finishFolder(im)
		for _, e := range i.extents {
			im.put(e.first, slices.Concat(i.folder[e.logical:uint64(e.logical)+e.n]...))
		}
	case TypeSymlink:
		if n > 0 {
			im.put(i.extents[0].first, []byte(i.node.Target))
		}
	case TypeRegular:
		if i.num != journalInode {
			i.placeFile(im)
		}
	}
	return nil
}

func (i *inode) placeFile(im *Image) {
	left := i.node.Size
	for _, e := range i.extents {
		m := min(left, int64(e.n)*BlockSize)
		left -= m
		im.items = append(im.items, item{at: e.first, n: m, file: i.node, last: left == 0})
	}
}

const (
	extentMagic    = 0xF30A
	inlineExtents  = 4
	extentsInBlock = (BlockSize - 16) / 12 // with the header and the checksum
)

// placeTree makes the blocks of the extent tree, if the inode can't hold it.
func (i *inode) placeTree(im *Image, a *allocator) error {
	i.leaves = nil
	if len(i.extents) <= inlineExtents {
		return nil
	}
	n := ceil(uint64(len(i.extents)), extentsInBlock)
	if n > inlineExtents {
		return fmt.Errorf("%q has more than %d extents: it is too large", i.node.Name, inlineExtents*extentsInBlock)
	}
	for piece := range slices.Chunk(i.extents, extentsInBlock) {
		r, err := a.take(1)
		if err != nil {
			return err
		}
		b := make([]byte, BlockSize)
		putHeader(b, len(piece), extentsInBlock, 0)
		for k, e := range piece {
			e.put(b[12+12*k:])
		}
		if im.checksums() {
			le.PutUint32(b[BlockSize-4:], crc(i.seed(im), b[:BlockSize-4]))
		}
		im.put(r[0].first, b)
		i.leaves = append(i.leaves, r[0])
	}
	return nil
}

func putHeader(b []byte, entries, most, depth int) {
	le.PutUint16(b, extentMagic)
	le.PutUint16(b[2:], uint16(entries))
	le.PutUint16(b[4:], uint16(most))
	le.PutUint16(b[6:], uint16(depth))
}

func (e extent) put(b []byte) {
	le.PutUint32(b, e.logical)
	le.PutUint16(b[4:], uint16(e.n))
	le.PutUint16(b[6:], uint16(e.first>>32))
	le.PutUint32(b[8:], uint32(e.first))
}

// putTree writes the root of the extent tree, 60 bytes.
func (i *inode) putTree(b []byte) {
	if i.leaves == nil {
		putHeader(b, len(i.extents), inlineExtents, 0)
		for k, e := range i.extents {
			e.put(b[12+12*k:])
		}
		return
	}
	putHeader(b, len(i.leaves), inlineExtents, 1)
	for k, leaf := range i.leaves {
		at := b[12+12*k:]
		le.PutUint32(at, i.extents[k*extentsInBlock].logical)
		le.PutUint32(at[4:], uint32(leaf.first))
		le.PutUint16(at[8:], uint16(leaf.first>>32))
	}
}

// encode returns the inode as it is in the table.
func (i *inode) encode(im *Image) []byte {
	b := make([]byte, inodeSize)
	n := i.node
	size := uint64(n.Size)
	blocks := i.content() + uint64(len(i.leaves))
	if i.xattrBlock != nil {
		blocks++
		le.PutUint32(b[0x68:], uint32(i.xattrAt))
		le.PutUint16(b[0x76:], uint16(i.xattrAt>>32))
	}
	flags := uint32(flagExtents)
	iblock := b[0x28:0x64]
	switch n.kind() {
	case TypeDir:
		size = uint64(len(i.folder)) * BlockSize
		if i.indexed {
			flags |= flagIndex
		}
		i.putTree(iblock)
	case TypeRegular:
		i.putTree(iblock)
	case TypeSymlink:
		if size = uint64(len(n.Target)); len(n.Target) < fastSymlink {
			flags = 0
			copy(iblock, n.Target)
		} else {
			i.putTree(iblock)
		}
	default:
		size, flags = 0, 0
		putDevice(iblock, n)
	}
	le.PutUint16(b, uint16(n.Mode))
	le.PutUint16(b[0x2:], uint16(n.UID))
	le.PutUint32(b[0x4:], uint32(size))
	for _, at := range []int{0x8, 0xC, 0x10, 0x90} { // atime, ctime, mtime, crtime
		le.PutUint32(b[at:], im.opts.Time)
	}
	le.PutUint16(b[0x18:], uint16(n.GID))
	le.PutUint16(b[0x1A:], uint16(i.links))
	le.PutUint32(b[0x1C:], uint32(blocks*(BlockSize/512)))
	le.PutUint16(b[0x74:], uint16(blocks*(BlockSize/512)>>32))
	le.PutUint32(b[0x20:], flags)
	le.PutUint32(b[0x6C:], uint32(size>>32))
	le.PutUint16(b[0x78:], uint16(n.UID>>16))
	le.PutUint16(b[0x7A:], uint16(n.GID>>16))
	le.PutUint16(b[0x80:], extraSize)
	copy(b[128+extraSize:], i.inline)
	if im.checksums() {
		sum := crc(i.seed(im), b)
		le.PutUint16(b[0x7C:], uint16(sum))
		le.PutUint16(b[0x82:], uint16(sum>>16))
	}
	return b
}

// putDevice writes a device's numbers: in the old form if they fit.
func putDevice(b []byte, n *Node) {
	if n.kind() == TypeFifo {
		return
	}
	if n.Major < 256 && n.Minor < 256 {
		le.PutUint32(b, n.Major<<8|n.Minor)
		return
	}
	le.PutUint32(b[4:], n.Minor&0xFF|n.Major<<8|n.Minor&^0xFF<<12)
}
