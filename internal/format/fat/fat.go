// Package fat writes FAT file systems (FAT12, FAT16, FAT32) with long names: the
// whole image in one pass, from a tree that is given node by node. The bytes are a
// function of the tree and the options alone.
//
//	im, err := fat.New(root, fat.Options{Label: "BOOT"})
//	err = im.Write(out)
//
// FAT keeps no owners and no modes, and no symlinks; names are told apart without
// regard to case, and some characters are not allowed. What a tree has of that is
// an error that names the path. Every file has a long name, unless its name is a
// short one in capitals, and a short one that no other has; a name that is short
// but for its case keeps it there, so that readers without long names find it.
//
// The format: Microsoft's "FAT32 File System Specification" 1.03.
package fat

import (
	"errors"
	"fmt"
	"io"
	"time"
)

const (
	sector    = 512
	entrySize = 32
	rootSize  = 512 // entries of the root folder of FAT12 and FAT16
)

// Options say how a file system is made. The zero value fits its content.
type Options struct {
	// Size is in bytes; 0 is what the content and Free need.
	Size int64
	// Free is what is left free, in bytes, if Size is 0.
	Free int64
	// Bits is 12, 16 or 32; 0 is by the size, as mkfs.fat does: 16 from 4 MiB on,
	// 32 from 512 MiB on.
	Bits int
	// Label is at most 11 characters, in capitals.
	Label    string
	VolumeID uint32
	// Hidden is where the file system starts on its disk, in sectors.
	Hidden uint32
	// Time is that of everything, in seconds since 1970.
	Time uint32
}

// Node is a file or a folder; the root has no name.
type Node struct {
	Name     string
	Dir      bool
	Children []*Node                       // of a folder, in any order
	Size     int64                         // of a file
	Open     func() (io.ReadCloser, error) // gives a file's bytes

	short   [11]byte
	long    bool   // a long name is written too
	first   uint32 // cluster
	count   uint32 // clusters
	content []byte // of a folder
}

// Image is a file system that is laid out and not written yet.
type Image struct {
	opts    Options
	geo     geometry
	root    *Node
	folders []*Node // in the order of their clusters
	files   []*Node
	next    uint32 // first free cluster
}

// SizeError says that the content does not fit into Options.Size.
type SizeError struct{ Have, Need int64 }

func (e *SizeError) Error() string {
	return fmt.Sprintf("the content needs %d bytes as FAT, and the file system has %d", e.Need, e.Have)
}

// New lays the tree out. It keeps what it finds out in the nodes.
func New(root *Node, o Options) (*Image, error) {
	if err := checkLabel(o.Label); err != nil {
		return nil, err
	}
	if err := root.name(""); err != nil {
		return nil, err
	}
	if o.Size > 0 {
		g, err := newGeometry(uint64(o.Size)/sector, o.Bits)
		if err != nil {
			return nil, err
		}
		if need := root.clusters(g, true); need > g.clusters {
			fit, err := fitted(root, o)
			if err != nil {
				return nil, err
			}
			return nil, &SizeError{Have: o.Size, Need: int64(fit.sectors) * sector}
		}
		return layout(root, o, g), nil
	}
	g, err := fitted(root, o)
	if err != nil {
		return nil, err
	}
	return layout(root, o, g), nil
}

// fitted returns the smallest geometry that has room, to a hundredth.
func fitted(root *Node, o Options) (geometry, error) {
	sectors := (uint64(o.Free) + sector - 1) / sector
	if o.Bits == 32 {
		sectors = max(sectors, minFAT32)
	}
	for sectors += 64; ; sectors += sectors/128 + 32 {
		g, err := newGeometry(sectors, o.Bits)
		if errors.Is(err, errSmall) {
			continue
		}
		if err != nil {
			return g, err
		}
		perCluster := uint64(g.perCluster) * sector
		if root.clusters(g, true)+(uint64(o.Free)+perCluster-1)/perCluster <= g.clusters {
			return g, nil
		}
	}
}

// clusters is how many the node and all below it take.
func (n *Node) clusters(g geometry, top bool) uint64 {
	if !n.Dir {
		return g.inClusters(uint64(n.Size))
	}
	var sum uint64
	if !top || g.bits == 32 {
		sum = max(1, g.inClusters(uint64(n.entries(top))*entrySize))
	}
	for _, c := range n.Children {
		sum += c.clusters(g, false)
	}
	return sum
}

func layout(root *Node, o Options, g geometry) *Image {
	im := &Image{opts: o, geo: g, root: root, next: 2}
	var walk func(n *Node)
	walk = func(n *Node) {
		if n != root || g.bits == 32 {
			im.place(n, max(1, g.inClusters(uint64(n.entries(n == root))*entrySize)))
			im.folders = append(im.folders, n)
		}
		for _, c := range n.Children {
			if c.Dir {
				walk(c)
			} else {
				im.files = append(im.files, c)
			}
		}
	}
	walk(root)
	for _, f := range im.files {
		im.place(f, g.inClusters(uint64(f.Size)))
	}
	im.fill(root, nil)
	return im
}

func (im *Image) place(n *Node, count uint64) {
	if n.first, n.count = 0, uint32(count); count > 0 {
		n.first = im.next
		im.next += n.count
	}
}

// Size returns the size of the image in bytes.
func (im *Image) Size() int64 {
	if im.opts.Size > 0 {
		return im.opts.Size
	}
	return int64(im.geo.sectors) * sector
}

// Write writes the image. Long runs of zeros come as such: a writer that can
// leaves holes for them.
func (im *Image) Write(w io.Writer) error {
	c := &counter{w: w}
	if err := im.writeHead(c); err != nil {
		return err
	}
	for _, n := range im.folders {
		if err := c.writeAt(im.at(n.first), n.content); err != nil {
			return err
		}
	}
	buf := make([]byte, len(zeros))
	for _, n := range im.files {
		if n.Size == 0 {
			continue
		}
		if err := c.zeroTo(im.at(n.first)); err != nil {
			return err
		}
		if err := n.copyTo(c, buf); err != nil {
			return fmt.Errorf("writing FAT: %q: %w", n.Name, err)
		}
	}
	return c.zeroTo(im.Size())
}

func (n *Node) copyTo(w io.Writer, buf []byte) error {
	r, err := n.Open()
	if err != nil {
		return err
	}
	defer func() { _ = r.Close() }()
	got, err := io.CopyBuffer(struct{ io.Writer }{w}, io.LimitReader(r, n.Size), buf)
	if err == nil && got != n.Size {
		err = errors.New("the file is shorter than its size")
	}
	return err
}

// at is where a cluster starts, in bytes.
func (im *Image) at(cluster uint32) int64 {
	return int64(im.geo.data+uint64(cluster-2)*uint64(im.geo.perCluster)) * sector
}

var zeros [256 << 10]byte

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

func (c *counter) writeAt(at int64, p []byte) error {
	if err := c.zeroTo(at); err != nil {
		return err
	}
	_, err := c.Write(p)
	return err
}

func (c *counter) zeroTo(to int64) error {
	if c.at > to {
		return fmt.Errorf("writing FAT: at byte %d, want %d: internal error", c.at, to)
	}
	for c.at < to {
		if _, err := c.Write(zeros[:min(to-c.at, int64(len(zeros)))]); err != nil {
			return err
		}
	}
	return nil
}

// stamp is a time as FAT has it: the date and the time of day, to two seconds.
func stamp(unix uint32) (date, clock uint16) {
	t := time.Unix(int64(unix), 0).UTC()
	year := max(t.Year(), 1980)
	return uint16(year-1980)<<9 | uint16(t.Month())<<5 | uint16(t.Day()),
		uint16(t.Hour())<<11 | uint16(t.Minute())<<5 | uint16(t.Second()/2)
}
