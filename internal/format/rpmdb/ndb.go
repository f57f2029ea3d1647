package rpmdb

import "encoding/binary"

// rpm's own format: pages of slots, two of which are the file's header, and blocks of 16
// bytes. A slot says in which blocks a header is; there it stands between a head and a
// tail (lib/backend/ndb/rpmpkg.c of rpm).

const (
	ndbMagic  = "RpmP"
	slotMagic = "Slot"
	blobMagic = "BlbS"
	slotSize  = 16
	blockSize = 16
	slotPage  = 4096
)

func readNDB(db []byte) (headers [][]byte, err error) {
	if len(db) < 2*slotSize {
		return nil, errCut
	}
	pages := uint64(binary.LittleEndian.Uint32(db[12:]))
	if pages*slotPage > uint64(len(db)) {
		return nil, errCut
	}
	for slots := db[2*slotSize : max(pages*slotPage, 2*slotSize)]; len(slots) >= slotSize; slots = slots[slotSize:] {
		number, at := binary.LittleEndian.Uint32(slots[4:]), uint64(binary.LittleEndian.Uint32(slots[8:]))*blockSize
		if string(slots[:4]) != slotMagic {
			return nil, errCut
		}
		if number == 0 {
			continue // free
		}
		if at+16 > uint64(len(db)) {
			return nil, errCut
		}
		blob := db[at:]
		size := uint64(binary.LittleEndian.Uint32(blob[12:]))
		if string(blob[:4]) != blobMagic || binary.LittleEndian.Uint32(blob[4:]) != number || size > uint64(len(blob)-16) {
			return nil, errCut
		}
		headers = append(headers, blob[16:16+size])
	}
	return headers, nil
}
