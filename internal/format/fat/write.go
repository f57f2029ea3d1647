package fat

import (
	"encoding/binary"
	"unicode/utf16"
)

var le = binary.LittleEndian

const (
	attrLabel   = 0x08
	attrDir     = 0x10
	attrArchive = 0x20
	attrLong    = 0x0F
)

// fill makes the content of every folder.
func (im *Image) fill(n, parent *Node) {
	b := make([]byte, 0, n.entries(parent == nil)*entrySize)
	if parent != nil {
		up := parent.first
		if parent == im.root {
			up = 0 // even where the root has a cluster
		}
		b = im.entry(b, pack(".", ""), attrDir, n.first, 0)
		b = im.entry(b, pack("..", ""), attrDir, up, 0)
	} else if im.opts.Label != "" {
		b = im.entry(b, im.label(), attrLabel, 0, 0)
	}
	for _, c := range n.Children {
		if c.long {
			b = append(b, longName(c.Name, c.short)...)
		}
		if c.Dir {
			im.fill(c, n)
			b = im.entry(b, c.short, attrDir, c.first, 0)
		} else {
			b = im.entry(b, c.short, attrArchive, c.first, uint32(c.Size))
		}
	}
	n.content = b
}

func (im *Image) label() (s [11]byte) {
	copy(s[:], "           ")
	copy(s[:], im.opts.Label)
	return s
}

func (im *Image) entry(b []byte, name [11]byte, attr byte, first, size uint32) []byte {
	var e [entrySize]byte
	copy(e[:], name[:])
	date, clock := stamp(im.opts.Time)
	e[11] = attr
	le.PutUint16(e[14:], clock)
	le.PutUint16(e[16:], date)
	le.PutUint16(e[18:], date)
	le.PutUint16(e[20:], uint16(first>>16))
	le.PutUint16(e[22:], clock)
	le.PutUint16(e[24:], date)
	le.PutUint16(e[26:], uint16(first))
	le.PutUint32(e[28:], size)
	return append(b, e[:]...)
}

// longName makes the entries of a long name, the last piece first.
func longName(name string, short [11]byte) []byte {
	var sum byte
	for _, c := range short {
		sum = sum>>1 | sum<<7
		sum += c
	}
	text := utf16.Encode([]rune(name))
	n := (len(text) + perLong - 1) / perLong
	if len(text)%perLong != 0 {
		text = append(text, 0)
		for len(text)%perLong != 0 {
			text = append(text, 0xFFFF)
		}
	}
	b := make([]byte, n*entrySize)
	for i := range n {
		e := b[(n-1-i)*entrySize:][:entrySize]
		e[0] = byte(i + 1)
		if i == n-1 {
			e[0] |= 0x40
		}
		e[11], e[13] = attrLong, sum
		for k, c := range text[i*perLong:][:perLong] {
			at := 1 + 2*k
			if k >= 5 {
				at = 14 + 2*(k-5)
			}
			if k >= 11 {
				at = 28 + 2*(k-11)
			}
			le.PutUint16(e[at:], c)
		}
	}
	return b
}

// writeHead writes all before the clusters.
func (im *Image) writeHead(c *counter) error {
	g := &im.geo
	boot := im.bootSector()
	if err := c.writeAt(0, boot); err != nil {
		return err
	}
	if g.bits == 32 {
		info := im.infoSector()
		for _, at := range []int64{1, 6, 7} {
			b := info
			if at == 6 {
				b = boot
			}
			if err := c.writeAt(at*sector, b); err != nil {
				return err
			}
		}
	}
	table := im.table()
	for i := range uint64(2) {
		if err := c.writeAt(int64(g.reserved+i*g.perFAT)*sector, table); err != nil {
			return err
		}
	}
	if g.bits != 32 {
		return c.writeAt(int64(g.reserved+2*g.perFAT)*sector, im.root.content)
	}
	return nil
}

// bootSector is the first one. Its code gives the machine back to its firmware.
func (im *Image) bootSector() []byte {
	g, o := &im.geo, &im.opts
	b := make([]byte, sector)
	code := 0x3E
	if g.bits == 32 {
		code = 0x5A
	}
	copy(b, []byte{0xEB, byte(code - 2), 0x90})
	copy(b[3:], "labstar ")
	le.PutUint16(b[11:], sector)
	b[13] = byte(g.perCluster)
	le.PutUint16(b[14:], uint16(g.reserved))
	b[16] = 2
	if g.bits != 32 {
		le.PutUint16(b[17:], rootSize)
		le.PutUint16(b[22:], uint16(g.perFAT))
	}
	if g.sectors < 1<<16 && g.bits != 32 {
		le.PutUint16(b[19:], uint16(g.sectors))
	} else {
		le.PutUint32(b[32:], uint32(g.sectors))
	}
	b[21] = 0xF8
	le.PutUint16(b[24:], 63)
	le.PutUint16(b[26:], 255)
	le.PutUint32(b[28:], o.Hidden)
	ext := b[36:]
	if g.bits == 32 {
		le.PutUint32(b[36:], uint32(g.perFAT))
		le.PutUint32(b[44:], im.root.first)
		le.PutUint16(b[48:], 1) // information
		le.PutUint16(b[50:], 6) // copy of this
		ext = b[64:]
	}
	ext[0], ext[2] = 0x80, 0x29
	le.PutUint32(ext[3:], o.VolumeID)
	copy(ext[7:], "NO NAME    ")
	if o.Label != "" {
		label := im.label()
		copy(ext[7:], label[:])
	}
	copy(ext[18:], map[int]string{12: "FAT12   ", 16: "FAT16   ", 32: "FAT32   "}[g.bits])
	copy(b[code:], []byte{0xCD, 0x18, 0xEB, 0xFE}) // int 0x18; and wait
	b[510], b[511] = 0x55, 0xAA
	return b
}

func (im *Image) infoSector() []byte {
	b := make([]byte, sector)
	copy(b, "RRaA")
	copy(b[484:], "rrAa")
	le.PutUint32(b[488:], uint32(im.geo.clusters)-(im.next-2))
	next := im.next
	if uint64(next) >= im.geo.clusters+2 {
		next = 2
	}
	le.PutUint32(b[492:], next)
	b[510], b[511] = 0x55, 0xAA
	return b
}

// table is the file allocation table, as far as it is not zeros.
func (im *Image) table() []byte {
	entries := make([]uint32, im.next)
	const end = 0x0FFFFFFF
	entries[0], entries[1] = 0x0FFFFFF8, end
	for _, list := range [][]*Node{im.folders, im.files} {
		for _, n := range list {
			for i := range n.count {
				entries[n.first+i] = n.first + i + 1
			}
			if n.count > 0 {
				entries[n.first+n.count-1] = end
			}
		}
	}
	switch im.geo.bits {
	case 32:
		b := make([]byte, 4*len(entries))
		for i, e := range entries {
			le.PutUint32(b[4*i:], e)
		}
		return b
	case 16:
		b := make([]byte, 2*len(entries))
		for i, e := range entries {
			le.PutUint16(b[2*i:], uint16(e))
		}
		return b
	}
	b := make([]byte, (3*len(entries)+1)/2+1)
	for i, e := range entries {
		at := i * 3 / 2
		v := uint16(e & 0xFFF)
		if i%2 == 1 {
			v = v<<4 | uint16(b[at])&0xF
		} else {
			v |= uint16(b[at+1]) << 8 & 0xF000
		}
		le.PutUint16(b[at:], v)
	}
	return b
}
