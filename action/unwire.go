package action

import (
	"cmp"
	"encoding/binary"
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// This file decodes the messages that wire.go encodes.

var errWire = errors.New("malformed message")

// reader walks the fields of a message.
type reader struct {
	b   []byte
	err error
}

// next returns the next field: its number, and its bytes or its number value.
func (r *reader) next() (field int, data []byte, num uint64, ok bool) {
	if r.err != nil || len(r.b) == 0 {
		return
	}
	tag, n := binary.Uvarint(r.b)
	if n <= 0 {
		r.err = errWire
		return
	}
	r.b = r.b[n:]
	v, n := binary.Uvarint(r.b)
	if n <= 0 {
		r.err = errWire
		return
	}
	r.b = r.b[n:]
	switch tag & 7 {
	case 0:
		return int(tag >> 3), nil, v, true
	case 2:
		if v > uint64(len(r.b)) {
			r.err = errWire
			return
		}
		data, r.b = r.b[:v], r.b[v:]
		return int(tag >> 3), data, 0, true
	}
	r.err = errWire
	return
}

// DecodeDirectory reads what Encode wrote. Anything else is an error.
func DecodeDirectory(b []byte) (*Directory, error) {
	d := &Directory{Attr: Attr{Mode: ModeDir}}
	r := reader{b: b}
	for {
		field, data, _, ok := r.next()
		if !ok {
			break
		}
		var n Node
		var err error
		switch field {
		case 1:
			n, err = decodeFile(data)
		case 2:
			n, err = decodeDirNode(data)
		case 3:
			n, err = decodeSymlink(data)
		case 5:
			err = decodePlain(data, &d.Attr)
		default:
			err = errWire
		}
		if err != nil {
			return nil, fmt.Errorf("decoding directory: %w", err)
		}
		if field <= 3 {
			d.Nodes = append(d.Nodes, n)
		}
	}
	if r.err != nil {
		return nil, fmt.Errorf("decoding directory: %w", r.err)
	}
	d.Sort()
	if err := d.Validate(); err != nil {
		return nil, fmt.Errorf("decoding directory: %w", err)
	}
	return d, nil
}

func decodeFile(b []byte) (n Node, err error) {
	n.Kind = Regular
	n.Attr.Mode = ModeFile
	device, mode := "", noMode
	r := reader{b: b}
	for {
		field, data, num, ok := r.next()
		if !ok {
			break
		}
		switch field {
		case 1:
			n.Name = string(data)
		case 2:
			n.Digest, err = decodeDigest(data)
		case 4:
			if num == 1 {
				n.Attr.Mode = ModeExec
			}
		case 6:
			device, mode, err = decodeProperties(data, &n.Attr)
		default:
			err = errWire
		}
		if err != nil {
			return n, err
		}
	}
	if device != "" {
		n.Attr.Mode = ModeDevice
		err = n.setDevice(device)
	} else if n.Digest.IsZero() {
		err = errWire
	}
	if mode != noMode {
		n.Attr.Mode = mode
	}
	return n, cmp.Or(r.err, err)
}

// noMode is what decodeProperties returns when the message has no mode.
const noMode = ^uint32(0)

func (n *Node) setDevice(s string) error {
	var letter string
	if _, err := fmt.Sscanf(s, "%s %d %d", &letter, &n.Major, &n.Minor); err != nil {
		return fmt.Errorf("decoding device %q: %w", s, err)
	}
	k, ok := map[string]Kind{"c": Char, "b": Block, "p": Fifo}[letter]
	if !ok {
		return fmt.Errorf("decoding device %q: %w", s, errWire)
	}
	n.Kind, n.Digest = k, Digest{}
	return nil
}

func decodeDirNode(b []byte) (n Node, err error) {
	n.Kind = Dir
	r := reader{b: b}
	for {
		field, data, _, ok := r.next()
		if !ok {
			if n.Digest.IsZero() {
				return n, errWire
			}
			return n, r.err
		}
		switch field {
		case 1:
			n.Name = string(data)
		case 2:
			if n.Digest, err = decodeDigest(data); err != nil {
				return n, err
			}
		default:
			return n, errWire
		}
	}
}

func decodeSymlink(b []byte) (n Node, err error) {
	n.Kind = Symlink
	n.Attr.Mode = ModeSymlink
	r := reader{b: b}
	for {
		field, data, _, ok := r.next()
		if !ok {
			return n, r.err
		}
		switch field {
		case 1:
			n.Name = string(data)
		case 2:
			n.Target = string(data)
		case 4:
			err = decodePlain(data, &n.Attr)
		default:
			err = errWire
		}
		if err != nil {
			return n, err
		}
	}
}

// decodePlain reads the properties of a node that is no device.
func decodePlain(b []byte, a *Attr) error {
	device, mode, err := decodeProperties(b, a)
	if mode != noMode {
		a.Mode = mode
	}
	if err == nil && device != "" {
		err = errWire
	}
	return err
}

func decodeProperties(b []byte, a *Attr) (device string, mode uint32, err error) {
	mode = noMode
	r := reader{b: b}
	for {
		field, data, _, ok := r.next()
		if !ok {
			return device, mode, r.err
		}
		switch field {
		case 1:
			var name, value string
			p := reader{b: data}
			for {
				f, d, _, ok := p.next()
				if !ok {
					break
				}
				if f == 1 {
					name = string(d)
				} else {
					value = string(d)
				}
			}
			if p.err != nil {
				return "", mode, p.err
			}
			if err := a.setProperty(name, value, &device); err != nil {
				return "", mode, err
			}
		case 3:
			v := reader{b: data}
			_, _, num, _ := v.next()
			if v.err != nil || num > 0o7777 {
				return "", mode, errWire
			}
			mode = uint32(num)
		default:
			return "", mode, errWire
		}
	}
}

func (a *Attr) setProperty(name, value string, device *string) error {
	switch {
	case name == "device":
		*device = value
	case name == "uid" || name == "gid":
		id, err := strconv.ParseUint(value, 10, 32)
		if err != nil {
			return fmt.Errorf("decoding %s: %w", name, err)
		}
		if name == "uid" {
			a.UID = uint32(id)
		} else {
			a.GID = uint32(id)
		}
	case strings.HasPrefix(name, "xattr:"):
		v, err := strconv.Unquote(value)
		if err != nil {
			return fmt.Errorf("decoding %s: %w", name, err)
		}
		a.Xattrs = append(a.Xattrs, Xattr{Name: name[len("xattr:"):], Value: []byte(v)})
	default:
		return fmt.Errorf("unknown node property %q", name)
	}
	return nil
}

func decodeDigest(b []byte) (d Digest, err error) {
	r := reader{b: b}
	for {
		field, data, num, ok := r.next()
		if !ok {
			return d, r.err
		}
		switch field {
		case 1:
			if d.Hash, err = ParseHash(string(data)); err != nil {
				return d, err
			}
		case 2:
			d.Size = int64(num)
		default:
			return d, errWire
		}
	}
}
