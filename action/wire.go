package action

import (
	"encoding/binary"
	"fmt"
	"strconv"
)

// The messages of the Remote Execution API v2 that name content, in the
// protobuf wire format, written canonically: fields in order of number, defaults
// left out. They are few and fixed, so they are encoded here by hand, which is
// fast and links no protobuf runtime; a test holds them against the API's own Go
// types. Source of the format:
// https://github.com/bazelbuild/remote-apis/blob/main/build/bazel/remote/execution/v2/remote_execution.proto

type wire struct{ b []byte }

func (w *wire) tag(field, typ int) { w.b = binary.AppendUvarint(w.b, uint64(field<<3|typ)) }

func (w *wire) varint(field int, v uint64) {
	if v != 0 {
		w.tag(field, 0)
		w.b = binary.AppendUvarint(w.b, v)
	}
}

// str writes a string or bytes field, leaving out an empty one.
func (w *wire) str(field int, s string) {
	if s != "" {
		w.repeated(field, s)
	}
}

// repeated writes one element of a repeated string field.
func (w *wire) repeated(field int, s string) {
	w.tag(field, 2)
	w.b = binary.AppendUvarint(w.b, uint64(len(s)))
	w.b = append(w.b, s...)
}

// msg writes an embedded message, even an empty one.
func (w *wire) msg(field int, f func(*wire)) {
	var m wire
	f(&m)
	w.tag(field, 2)
	w.b = binary.AppendUvarint(w.b, uint64(len(m.b)))
	w.b = append(w.b, m.b...)
}

// digest writes a Digest message, without the allocations of msg.
func (w *wire) digest(field int, d Digest) {
	const hexLen = 64
	n := 2 + hexLen
	if d.Size != 0 {
		n += 1 + uvarintLen(uint64(d.Size))
	}
	w.tag(field, 2)
	w.b = binary.AppendUvarint(w.b, uint64(n))
	w.tag(1, 2)
	w.b = append(w.b, hexLen)
	const digits = "0123456789abcdef"
	for _, c := range d.Hash {
		w.b = append(w.b, digits[c>>4], digits[c&15])
	}
	w.varint(2, uint64(d.Size))
}

func uvarintLen(v uint64) int {
	n := 1
	for ; v >= 0x80; v >>= 7 {
		n++
	}
	return n
}

// Encode returns the directory as a REAPI Directory message. Owners, extended
// attributes and devices are node properties: "uid", "gid", "xattr:NAME" and
// "device" ("c 5 1"). Default modes and root as owner are left out, so a plain
// tree has no properties at all. It panics if the directory is not valid.
func (d *Directory) Encode() []byte {
	if err := d.Validate(); err != nil {
		panic(err)
	}
	w := wire{b: make([]byte, 0, 96*len(d.Nodes)+16)}
	for i := range d.Nodes {
		if n := &d.Nodes[i]; n.Kind != Dir && n.Kind != Symlink {
			w.msg(1, n.encodeFile)
		}
	}
	for i := range d.Nodes {
		if n := &d.Nodes[i]; n.Kind == Dir {
			w.msg(2, func(m *wire) { m.str(1, n.Name); m.digest(2, n.Digest) })
		}
	}
	for i := range d.Nodes {
		if n := &d.Nodes[i]; n.Kind == Symlink {
			w.msg(3, func(m *wire) {
				m.str(1, n.Name)
				m.str(2, n.Target)
				m.properties(4, &n.Attr, ModeSymlink, "")
			})
		}
	}
	w.properties(5, &d.Attr, ModeDir, "")
	return w.b
}

func (n *Node) encodeFile(m *wire) {
	m.str(1, n.Name)
	dev, def := "", ModeFile
	if n.Kind != Regular {
		letter := map[Kind]string{Char: "c", Block: "b", Fifo: "p"}[n.Kind]
		dev, def = fmt.Sprintf("%s %d %d", letter, n.Major, n.Minor), ModeDevice
		m.digest(2, Empty)
	} else {
		m.digest(2, n.Digest)
		if n.Attr.Mode&0o100 != 0 {
			m.varint(4, 1)
			def = ModeExec
		}
	}
	m.properties(6, &n.Attr, def, dev)
}

func (w *wire) properties(field int, a *Attr, defaultMode uint32, device string) {
	if a.Mode == defaultMode && a.UID == 0 && a.GID == 0 && len(a.Xattrs) == 0 && device == "" {
		return
	}
	w.msg(field, func(m *wire) {
		prop := func(name, value string) {
			m.msg(1, func(p *wire) { p.str(1, name); p.str(2, value) })
		}
		// REAPI wants the properties sorted by name.
		if device != "" {
			prop("device", device)
		}
		if a.GID != 0 {
			prop("gid", strconv.FormatUint(uint64(a.GID), 10))
		}
		if a.UID != 0 {
			prop("uid", strconv.FormatUint(uint64(a.UID), 10))
		}
		for _, x := range a.Xattrs {
			prop("xattr:"+x.Name, strconv.QuoteToASCII(string(x.Value)))
		}
		if a.Mode != defaultMode {
			m.msg(3, func(v *wire) { v.varint(1, uint64(a.Mode)) })
		}
	})
}
