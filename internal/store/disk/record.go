package disk

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"time"

	"github.com/labstar/labstar/action"
)

// recType says what a record of a pack tells. Content (a blob's bytes, or an
// encoded directory) may be told by several records: where it is in the pack
// itself, and which files hold it.
type recType uint8

const (
	recBlob   recType = 'b' // the payload is the blob
	recDir    recType = 'd' // the payload is the encoded Directory
	recFile   recType = 'f' // a file of mode 0644 holds the blob; the payload is its location
	recExec   recType = 'x' // the same, of mode 0755
	recTree   recType = 't' // trees/<hash> shows the whole tree; no payload
	recResult recType = 'r' // hash is an action's key; the payload its Result
	recCommit recType = 'c' // everything before it is on the disk
)

func (t recType) valid() bool { return bytes.IndexByte([]byte("bdfxtrc"), byte(t)) >= 0 }

// A pack is a header and records, each a header and a payload. Numbers are
// little-endian, checksums CRC-32C.
//
//	pack header  0 magic[16]  16 version u32  20 boot id[16]  36 zero[24]  60 crc of the 60 bytes before
//	record       0 crc of bytes 4–63 u32  4 crc of the payload u32  8 payload length u32
//	             12 type u8  13 zero[3]  16 size of the named content u64  24 hash[32]  56 unix seconds i64
const (
	packVersion = 1
	headerSize  = 64
	maxPayload  = 1 << 30
)

var (
	packMagic  = [16]byte{'l', 'a', 'b', 's', 't', 'a', 'r', ' ', 'p', 'a', 'c', 'k', '\n', 0x1a, 0, '\n'}
	castagnoli = crc32.MakeTable(crc32.Castagnoli)

	errTorn    = errors.New("torn record")
	errPayload = errors.New("damaged payload")
)

func checksum(b []byte) uint32 { return crc32.Checksum(b, castagnoli) }

// bootID names one run of the machine: what a process left in the page cache
// lives exactly as long.
type bootID [16]byte

func appendPackHeader(b []byte, boot bootID) []byte {
	var h [headerSize]byte
	copy(h[:], packMagic[:])
	binary.LittleEndian.PutUint32(h[16:], packVersion)
	copy(h[20:], boot[:])
	binary.LittleEndian.PutUint32(h[60:], checksum(h[:60]))
	return append(b, h[:]...)
}

func parsePackHeader(b []byte) (boot bootID, err error) {
	if len(b) < headerSize || !bytes.Equal(b[:16], packMagic[:]) || binary.LittleEndian.Uint32(b[60:]) != checksum(b[:60]) {
		return boot, errTorn
	}
	if v := binary.LittleEndian.Uint32(b[16:]); v != packVersion {
		return boot, fmt.Errorf("pack format %d, want %d; use the labstar that wrote it", v, packVersion)
	}
	return bootID(b[20:36]), nil
}

// record is one record that is about to be written.
type record struct {
	typ     recType
	digest  action.Digest
	seconds int64 // when the content or result was published; 0 means now
	payload []byte
}

// header is the fixed part of a record that was read.
type header struct {
	typ     recType
	digest  action.Digest
	seconds int64
	plen    uint32
	pcrc    uint32
}

func appendRecord(b []byte, r record) []byte {
	var h [headerSize]byte
	le := binary.LittleEndian
	le.PutUint32(h[4:], checksum(r.payload))
	le.PutUint32(h[8:], uint32(len(r.payload)))
	h[12] = byte(r.typ)
	le.PutUint64(h[16:], uint64(r.digest.Size))
	copy(h[24:], r.digest.Hash[:])
	if r.seconds == 0 {
		r.seconds = time.Now().Unix()
	}
	le.PutUint64(h[56:], uint64(r.seconds))
	le.PutUint32(h[0:], checksum(h[4:]))
	return append(append(b, h[:]...), r.payload...)
}

// parseRecord reads a record's header. errTorn means that b holds none.
func parseRecord(b []byte) (h header, err error) {
	le := binary.LittleEndian
	if len(b) < headerSize || le.Uint32(b) != checksum(b[4:headerSize]) {
		return h, errTorn
	}
	h = header{
		typ:     recType(b[12]),
		digest:  action.Digest{Hash: [32]byte(b[24:56]), Size: int64(le.Uint64(b[16:]))},
		seconds: int64(le.Uint64(b[56:])),
		plen:    le.Uint32(b[8:]),
		pcrc:    le.Uint32(b[4:]),
	}
	if !h.typ.valid() || h.plen > maxPayload || h.digest.Size < 0 {
		return h, errTorn
	}
	if (h.typ == recBlob || h.typ == recDir) && int64(h.plen) != h.digest.Size {
		return h, errTorn
	}
	return h, nil
}

func (h *header) check(payload []byte) error {
	if uint32(len(payload)) != h.plen || checksum(payload) != h.pcrc {
		return errPayload
	}
	return nil
}

// location says which file of the store holds a blob: blobs/…, named by the
// digest alone, or a file of a tree.
type location struct {
	root [32]byte // of the tree; zero means blobs/
	path string   // inside the tree
}

func (l location) encode() []byte {
	if l.path == "" {
		return nil
	}
	return append(append(make([]byte, 0, 32+len(l.path)), l.root[:]...), l.path...)
}

func parseLocation(b []byte) (l location, err error) {
	if len(b) == 0 {
		return l, nil
	}
	if len(b) <= 32 {
		return l, errPayload
	}
	l.root, l.path = [32]byte(b[:32]), string(b[32:])
	if clean, err := action.CleanPath(l.path); err != nil || clean != l.path {
		return l, errPayload
	}
	return l, nil
}
