package ext4

import (
	"cmp"
	"errors"
	"slices"
)

// fileType is the kind of a node in a folder's entry.
var fileType = map[uint32]byte{
	TypeRegular: 1, TypeDir: 2, TypeChar: 3, TypeBlock: 4, TypeFifo: 5, TypeSymlink: 7,
}

// folderTail is the entry with the checksum at the end of a folder's block.
const folderTail = 12

func entrySize(name string) int { return 8 + (len(name)+3)&^3 }

// putEntry writes an entry that reaches over size bytes.
func putEntry(b []byte, ino uint32, size int, kind byte, name string) {
	le.PutUint32(b, ino)
	le.PutUint16(b[4:], uint16(size))
	b[6], b[7] = byte(len(name)), kind
	copy(b[8:], name)
}

// room is what a block of a folder has for entries.
func (im *Image) room() int {
	if im.checksums() {
		return BlockSize - folderTail
	}
	return BlockSize
}

// leaf writes entries into one block; the last reaches to its end.
func (im *Image) leaf(entries []*inode, dots ...*inode) []byte {
	b := make([]byte, BlockSize)
	at, last := 0, -1
	put := func(i *inode, name string) {
		putEntry(b[at:], i.num, entrySize(name), fileType[i.node.kind()], name)
		last = at
		at += entrySize(name)
	}
	for k, d := range dots {
		put(d, [...]string{".", ".."}[k])
	}
	for _, i := range entries {
		put(i, i.node.Name)
	}
	if last < 0 {
		last = 0
	}
	le.PutUint16(b[last+4:], uint16(im.room()-last))
	return b
}

// prepareFolder makes the folder's blocks, without their checksums: one if all
// entries fit, else a tree of hashes over as many as are needed.
func (i *inode) prepareFolder(im *Image) error {
	size := entrySize(".") + entrySize("..")
	for _, c := range i.children {
		size += entrySize(c.node.Name)
	}
	if size <= im.room() {
		i.folder = [][]byte{im.leaf(i.children, i, i.parent)}
		for len(i.folder) < i.minBlocks {
			i.folder = append(i.folder, im.leaf(nil))
		}
		return nil
	}
	return i.prepareIndex(im)
}

// finishFolder adds the checksums.
func (i *inode) finishFolder(im *Image) {
	if !im.checksums() {
		return
	}
	seed := i.seed(im)
	for k, b := range i.folder {
		if i.indexed && i.index(k) {
			i.sumIndex(im, k)
			continue
		}
		tail := b[BlockSize-folderTail:]
		putEntry(tail, 0, folderTail, 0xDE, "")
		le.PutUint32(tail[8:], crc(seed, b[:BlockSize-folderTail]))
	}
}

// A folder of several blocks has a tree over the hashes of its names: the first
// block is its root, which names either leaves or, where they are too many, blocks
// that name leaves.
const (
	rootEntries = 32 // where the entries of the root begin
	nodeEntries = 8  // and those of a block below
	indexTail   = 8
)

func (im *Image) indexRoom(start int) int {
	n := (BlockSize - start) / 8
	if im.checksums() {
		n-- // the tail
	}
	return n
}

type hashed struct {
	hash uint32
	*inode
}

// bucket is a leaf and the hash from which on its names are.
type bucket struct {
	hash  uint32
	names []*inode
}

func (i *inode) prepareIndex(im *Image) error {
	all := make([]hashed, len(i.children))
	for k, c := range i.children {
		all[k] = hashed{im.hash(c.node.Name), c}
	}
	slices.SortStableFunc(all, func(a, b hashed) int { return cmp.Compare(a.hash, b.hash) })
	var buckets []bucket
	used := BlockSize
	for k, h := range all {
		size := entrySize(h.node.Name)
		if used+size > im.room()*3/4 && (len(buckets) == 0 || used+size > im.room() || all[k-1].hash != h.hash) {
			from := h.hash
			if k > 0 && all[k-1].hash == h.hash {
				from |= 1 // goes on with the hash of the leaf before
			}
			buckets, used = append(buckets, bucket{hash: from}), 0
		}
		b := &buckets[len(buckets)-1]
		b.names = append(b.names, h.inode)
		used += size
	}
	i.indexed = true
	return i.putIndex(im, buckets)
}

func (i *inode) putIndex(im *Image, buckets []bucket) error {
	root := make([]byte, BlockSize)
	putEntry(root, i.num, entrySize("."), fileType[TypeDir], ".")
	putEntry(root[12:], i.parent.num, BlockSize-12, fileType[TypeDir], "..")
	root[28], root[29] = 1, 8 // half_md4, size of this
	i.folder = [][]byte{root}
	most, inNode := im.indexRoom(rootEntries), im.indexRoom(nodeEntries)
	if len(buckets) <= most {
		putIndexEntries(root[rootEntries:], most, buckets, 1)
	} else {
		root[30] = 1 // one level between
		nodes := slices.Collect(slices.Chunk(buckets, inNode))
		if len(nodes) > most {
			return errors.New("the folder has too many entries")
		}
		heads := make([]bucket, len(nodes))
		for k, part := range nodes {
			heads[k] = part[0]
			b := make([]byte, BlockSize)
			putEntry(b, 0, BlockSize, 0, "")
			putIndexEntries(b[nodeEntries:], inNode, part, 1+len(nodes)+k*inNode)
			i.folder = append(i.folder, b)
		}
		putIndexEntries(root[rootEntries:], most, heads, 1)
	}
	for _, b := range buckets {
		i.folder = append(i.folder, im.leaf(b.names))
	}
	return nil
}

// putIndexEntries writes the entries for buckets that lie in the folder's blocks
// from first on. The first has no hash: its place holds the counts.
func putIndexEntries(b []byte, limit int, buckets []bucket, first int) {
	for k, x := range buckets {
		le.PutUint32(b[8*k:], x.hash)
		le.PutUint32(b[8*k+4:], uint32(first+k))
	}
	le.PutUint16(b, uint16(limit))
	le.PutUint16(b[2:], uint16(len(buckets)))
}

// index reports whether block k is one of the tree.
func (i *inode) index(k int) bool {
	levels := i.folder[0][30]
	nodes := int(le.Uint16(i.folder[0][rootEntries+2:]))
	return k == 0 || levels == 1 && k <= nodes
}

func (i *inode) sumIndex(im *Image, k int) {
	b, start := i.folder[k], nodeEntries
	if k == 0 {
		start = rootEntries
	}
	limit, count := int(le.Uint16(b[start:])), int(le.Uint16(b[start+2:]))
	tail := b[start+8*limit:][:indexTail]
	sum := crc(i.seed(im), b[:start+8*count])
	sum = crc(sum, []byte{0, 0, 0, 0, 0, 0, 0, 0}) // the tail without its sum
	le.PutUint32(tail[4:], sum)
}
