package ldcache

import (
	"bytes"
	"encoding/binary"
	"errors"
	"strings"
)

var errDamaged = errors.New("reading ld.so.cache: it is damaged")

// Decode reads a cache, of the new format alone or after one of the old.
func Decode(b []byte) ([]Library, error) {
	at := bytes.Index(b, []byte(magic))
	if at < 0 || len(b)-at < headerSize {
		return nil, errDamaged
	}
	b = b[at:]
	var order binary.ByteOrder = binary.LittleEndian
	if b[len(magic)+8]&3 == bigEndian {
		order = binary.BigEndian
	}
	n := uint64(order.Uint32(b[len(magic):]))
	if headerSize+n*entrySize > uint64(len(b)) {
		return nil, errDamaged
	}
	text := func(offset uint32) (string, bool) {
		if uint64(offset) >= uint64(len(b)) {
			return "", false
		}
		s, _, ok := strings.Cut(string(b[offset:min(uint64(offset)+4096, uint64(len(b)))]), "\x00")
		return s, ok
	}
	libs := make([]Library, 0, n)
	for i := range n {
		e := b[headerSize+i*entrySize:]
		name, ok := text(order.Uint32(e[4:]))
		path, ok2 := text(order.Uint32(e[8:]))
		if !ok || !ok2 {
			return nil, errDamaged
		}
		libs = append(libs, Library{Name: name, Path: path, Flags: order.Uint32(e)})
	}
	return libs, nil
}
