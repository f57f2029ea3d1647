// Package ext4 writes ext4 file systems: the whole image in one pass, from a tree
// that is given node by node, with owners, modes, devices and extended attributes
// and with no root, no tool and no mount. The bytes are a function of the tree and
// the options alone.
//
//	im, err := ext4.New(root, ext4.Options{Label: "root", UUID: id})
//	fmt.Println(im.Size()) // known before anything is written
//	err = im.Write(out)
//
// What is written is what mke2fs makes today (has_journal, ext_attr, dir_index,
// filetype, extent, 64bit, flex_bg, sparse_super, large_file, huge_file, dir_nlink,
// extra_isize, metadata_csum), without resize_inode: a file system that is made to
// measure grows by resize2fs, on line too. Files lie in one piece, in the order of
// the tree; folders, then files, then the journal, so that everything can be
// written from the front to the back.
//
// The format is described in the kernel's Documentation/filesystems/ext4; names of
// fields here are those of that page.
package ext4

import (
	"errors"
	"fmt"
	"io"
	"math/bits"
	"slices"
	"strings"
)

// BlockSize is the size of every block in bytes.
const BlockSize = 4096

// Options say how a file system is made. The zero value is one that fits its
// content, with a journal and no space left.
type Options struct {
	// Size is in bytes; 0 is what the content and Free need.
	Size int64
	// Free is what is left free, in bytes, if Size is 0.
	Free int64
	UUID [16]byte
	// HashSeed mixes the hashes of names in large folders.
	HashSeed [16]byte
	Label    string // at most 16 bytes
	// Inodes is how many there are at least; 0 is one for every 16 KiB, or what
	// the content needs and a tenth more if Size is 0.
	Inodes int
	// Journal is its size in bytes; 0 is by the file system's size, negative none.
	Journal int64
	// Reserved is the share of the blocks that only root may use, in percent.
	Reserved int
	// NoChecksums leaves out metadata_csum, for kernels before 3.6.
	NoChecksums bool
	// Time is that of everything, in seconds since 1970.
	Time uint32
}

// The kinds of nodes: the upper bits of Node.Mode, as in stat(2).
const (
	TypeFifo    = 0o010000
	TypeChar    = 0o020000
	TypeDir     = 0o040000
	TypeBlock   = 0o060000
	TypeRegular = 0o100000
	TypeSymlink = 0o120000

	typeMask = 0o170000
)

// Node is one entry of the tree; the root has no name.
type Node struct {
	Name         string
	Mode         uint32 // kind and permission bits
	UID, GID     uint32
	Xattrs       []Xattr
	Size         int64                         // of a file
	Open         func() (io.ReadCloser, error) // gives a file's bytes
	Target       string                        // of a symlink
	Major, Minor uint32                        // of a device
	Children     []*Node                       // of a folder, in any order
}

func (n *Node) kind() uint32 { return n.Mode & typeMask }

// Xattr is one extended attribute, by its full name ("security.capability").
type Xattr struct {
	Name  string
	Value []byte
}

// Image is a file system that is laid out and not written yet.
type Image struct {
	opts    Options
	geo     geometry
	journal *inode
	inodes  []*inode // in the order of their numbers, from the root; reserved ones besides root and journal are not there
	end     uint64   // blocks below it are in use
	items   []item
	seed    uint32 // of all checksums
}

// SizeError says that the content does not fit into Options.Size.
type SizeError struct{ Have, Need int64 }

func (e *SizeError) Error() string {
	return fmt.Sprintf("the content needs %d bytes as ext4, and the file system has %d", e.Need, e.Have)
}

// errFull is what layout returns when the blocks do not suffice.
var errFull = errors.New("no blocks left")

// New lays the tree out.
func New(root *Node, o Options) (*Image, error) {
	if root.kind() != TypeDir {
		return nil, errors.New("laying out ext4: the root is no folder")
	}
	if len(o.Label) > 16 {
		return nil, fmt.Errorf("laying out ext4: the label %q has %d bytes, want at most 16", o.Label, len(o.Label))
	}
	im := &Image{opts: o, seed: crc(^uint32(0), o.UUID[:])}
	if err := im.number(root); err != nil {
		return nil, fmt.Errorf("laying out ext4: %w", err)
	}
	need := im.dataBlocks()
	fit := func(n uint64) (geometry, uint64) { return fitted(n+im.journalFor(n), o.inodesFor(im.lastInode(), 0)) }
	if o.Size > 0 {
		im.geo = newGeometry(uint64(o.Size)/BlockSize, o.inodesFor(im.lastInode(), o.Size))
		if err := im.layout(im.journalFor(im.geo.blocks)); errors.Is(err, errFull) || im.geo.blocks == 0 {
			g, _ := fit(need + need/512 + 16)
			return nil, &SizeError{Have: o.Size, Need: int64(g.blocks) * BlockSize}
		} else if err != nil {
			return nil, fmt.Errorf("laying out ext4: %w", err)
		}
		return im, nil
	}
	need += uint64(o.Free+BlockSize-1) / BlockSize
	for {
		im.geo, _ = fit(need)
		err := im.layout(im.journalFor(need))
		if err == nil {
			return im, nil
		}
		if !errors.Is(err, errFull) {
			return nil, fmt.Errorf("laying out ext4: %w", err)
		}
		need += need/256 + 8 // blocks of extents, which are known only when laid out
	}
}

// inodesFor returns how many inodes a file system of size bytes has whose last
// one in use is last.
func (o Options) inodesFor(last uint32, size int64) uint64 {
	n := uint64(last) + uint64(last)/10 + 16
	if o.Inodes > 0 {
		n = max(uint64(last), uint64(o.Inodes))
	} else {
		n = max(n, uint64(size)/(16<<10))
	}
	return n
}

// journalFor returns the blocks of the journal of a file system of that many
// blocks: the sizes of mke2fs.
func (im *Image) journalFor(blocks uint64) uint64 {
	switch {
	case im.opts.Journal < 0:
		return 0
	case im.opts.Journal > 0:
		return max(1024, uint64(im.opts.Journal)/BlockSize)
	case blocks < 2048:
		return 0 // too small for one, as mke2fs has it
	case blocks < 32<<10:
		return 1 << 10
	case blocks < 256<<10:
		return 4 << 10
	case blocks < 512<<10:
		return 8 << 10
	case blocks < 4096<<10:
		return 16 << 10
	case blocks < 8192<<10:
		return 32 << 10
	case blocks < 16384<<10:
		return 64 << 10
	}
	return 256 << 10
}

// Size returns the size of the image in bytes.
func (im *Image) Size() int64 {
	if im.opts.Size > 0 {
		return im.opts.Size
	}
	return int64(im.geo.blocks) * BlockSize
}

// Free returns the bytes that are left for files.
func (im *Image) Free() int64 { return int64(im.freeBlocks()) * BlockSize }

// number gives every node its inode, a folder before what is in it, and checks
// that the format can hold it.
func (im *Image) number(root *Node) error {
	top := &inode{node: root, num: rootInode, links: 2}
	top.parent = top
	im.inodes = []*inode{top}
	next := uint32(firstInode)
	if !slices.ContainsFunc(root.Children, func(n *Node) bool { return n.Name == lostFound }) {
		lost := &inode{node: &Node{Name: lostFound, Mode: TypeDir | 0o700}, num: next, links: 2, parent: top, minBlocks: lostBlocks}
		top.children = append(top.children, lost)
		top.links++
		im.inodes = append(im.inodes, lost)
		next++
	}
	var walk func(dir *inode, path string) error
	walk = func(dir *inode, path string) error {
		kids := slices.SortedFunc(slices.Values(dir.node.Children), func(a, b *Node) int { return strings.Compare(a.Name, b.Name) })
		for _, n := range kids {
			at := path + "/" + n.Name
			if err := n.check(); err != nil {
				return fmt.Errorf("%q: %w", at, err)
			}
			i := &inode{node: n, num: next, links: 1, parent: dir}
			if n.Name == lostFound && dir == top {
				i.minBlocks = lostBlocks
			}
			next++
			im.inodes = append(im.inodes, i)
			dir.children = append(dir.children, i)
			if n.kind() == TypeDir {
				i.links = 2
				dir.links++
				if err := walk(i, at); err != nil {
					return err
				}
			}
		}
		return nil
	}
	if err := walk(top, ""); err != nil {
		return err
	}
	for _, i := range im.inodes {
		if i.node.kind() == TypeDir && i.links > maxLinks {
			i.links = 1 // dir_nlink: more than can be counted
		}
		if err := i.prepare(im); err != nil {
			return fmt.Errorf("%q: %w", i.node.Name, err)
		}
	}
	return nil
}

func (n *Node) check() error {
	switch {
	case n.Name == "" || n.Name == "." || n.Name == ".." || strings.ContainsAny(n.Name, "/\x00"):
		return fmt.Errorf("invalid name %q", n.Name)
	case len(n.Name) > 255:
		return fmt.Errorf("the name has %d bytes, want at most 255", len(n.Name))
	case n.kind() == TypeSymlink && (n.Target == "" || len(n.Target) >= BlockSize):
		return fmt.Errorf("the target has %d bytes, want 1 to %d", len(n.Target), BlockSize-1)
	case n.Size < 0:
		return fmt.Errorf("got the size %d", n.Size)
	case n.Major >= 1<<12 || n.Minor >= 1<<20:
		return fmt.Errorf("got the device %d:%d, want at most 12 and 20 bits", n.Major, n.Minor)
	}
	return nil
}

func (im *Image) lastInode() uint32 { return max(firstInode, im.inodes[len(im.inodes)-1].num) }

// dataBlocks returns how many blocks the content takes, without those of extents.
func (im *Image) dataBlocks() uint64 {
	var n uint64
	for _, i := range im.inodes {
		n += i.content()
		if i.xattrBlock != nil {
			n++
		}
	}
	return n
}

// layout gives everything its blocks, in the order in which they are written.
func (im *Image) layout(journal uint64) error {
	a := allocator{geo: &im.geo}
	im.items = im.items[:0]
	var err error
	for _, folders := range []bool{true, false} {
		for _, i := range im.inodes {
			if (i.node.kind() == TypeRegular) == folders {
				continue
			}
			if err = i.place(im, &a); err != nil {
				return err
			}
		}
	}
	if im.journal = nil; journal > 0 {
		im.journal = &inode{node: &Node{Mode: TypeRegular | 0o600, Size: int64(journal) * BlockSize}, num: journalInode, links: 1}
		if err := im.journal.place(im, &a); err != nil {
			return err
		}
		im.placeJournal(journal)
	}
	im.end = a.next
	im.describe()
	slices.SortFunc(im.items, func(x, y item) int {
		if x.at < y.at {
			return -1
		}
		return 1
	})
	return nil
}

// item is what is written at a block: bytes, or a piece of a file.
type item struct {
	at   uint64        // block
	n    int64         // bytes
	data func() []byte // makes them
	file *Node
	last bool // the file ends here
}

func (im *Image) put(at uint64, b []byte) {
	im.items = append(im.items, item{at: at, n: int64(len(b)), data: func() []byte { return b }})
}

var zeros [256 << 10]byte

// Write writes the image. Long runs of zeros come as such: a writer that can
// leaves holes for them.
func (im *Image) Write(w io.Writer) error {
	c := &counter{w: w}
	buf := make([]byte, len(zeros))
	var r io.ReadCloser
	defer func() {
		if r != nil {
			_ = r.Close()
		}
	}()
	for _, it := range im.items {
		if err := c.zeroTo(int64(it.at) * BlockSize); err != nil {
			return err
		}
		if it.file == nil {
			if _, err := c.Write(it.data()); err != nil {
				return err
			}
			continue
		}
		var err error
		if r == nil {
			if r, err = it.file.Open(); err != nil {
				return fmt.Errorf("writing ext4: %q: %w", it.file.Name, err)
			}
		}
		if n, err := io.CopyBuffer(onlyWriter{c}, io.LimitReader(r, it.n), buf); err != nil {
			return fmt.Errorf("writing ext4: %q: %w", it.file.Name, err)
		} else if n != it.n {
			return fmt.Errorf("writing ext4: %q is shorter than its size", it.file.Name)
		}
		if it.last {
			err = r.Close()
			if r = nil; err != nil {
				return err
			}
		}
	}
	return c.zeroTo(im.Size())
}

// onlyWriter hides whatever else a writer can do, so that the buffer is used.
type onlyWriter struct{ io.Writer }

// counter knows where in the image it is.
type counter struct {
	w  io.Writer
	at int64
}

func (c *counter) Write(p []byte) (int, error) {
	n, err := c.w.Write(p)
	c.at += int64(n)
	return n, err
}

func (c *counter) zeroTo(to int64) error {
	if c.at > to {
		return fmt.Errorf("writing ext4: at byte %d, want %d: internal error", c.at, to)
	}
	for c.at < to {
		if _, err := c.Write(zeros[:min(to-c.at, int64(len(zeros)))]); err != nil {
			return err
		}
	}
	return nil
}

// log2 returns the logarithm of a power of two.
func log2(n int) byte { return byte(bits.TrailingZeros(uint(n))) }
