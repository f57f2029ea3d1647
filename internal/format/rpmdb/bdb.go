package rpmdb

import "encoding/binary"

// A hash of Berkeley DB is pages with pairs of items: the number of a package, and its
// header, or where the chain of pages begins that has it. The pair with the number 0 is
// rpm's own count. Numbers are in the order of the machine that wrote them
// (src/dbinc/db_page.h of Berkeley DB).

const (
	bdbMagic  = 0x061561 // of a hash, 12 bytes into the first page
	pageHead  = 26
	hashPage  = 13
	hashPage2 = 2 // of older versions, its items unsorted
	chainPage = 7
	itemHere  = 1
	itemChain = 3
)

type bdb struct {
	db    []byte
	order binary.ByteOrder
	size  int // of a page
	left  int // how many pages of chains may still be read: those of a damaged file could go in circles
}

func bdbOrder(db []byte) binary.ByteOrder {
	for _, order := range []binary.ByteOrder{binary.LittleEndian, binary.BigEndian} {
		if len(db) >= 512 && order.Uint32(db[12:]) == bdbMagic {
			return order
		}
	}
	return nil
}

func isBDB(db []byte) bool { return bdbOrder(db) != nil }

func readBDB(db []byte) (headers [][]byte, err error) {
	d := bdb{db: db, order: bdbOrder(db)}
	d.size = int(d.order.Uint32(db[20:]))
	if d.size < 512 || d.size > 1<<16 || d.size&(d.size-1) != 0 {
		return nil, errCut
	}
	d.left = len(db) / d.size
	for at := d.size; at+d.size <= len(db); at += d.size {
		p := db[at : at+d.size]
		if kind := p[25]; kind != hashPage && kind != hashPage2 {
			continue
		}
		items, err := d.items(p)
		if err != nil {
			return nil, err
		}
		for i := 0; i+1 < len(items); i += 2 {
			if key := items[i]; len(key) == 5 && d.order.Uint32(key[1:]) == 0 {
				continue
			}
			h, err := d.value(items[i+1])
			if err != nil {
				return nil, err
			}
			headers = append(headers, h)
		}
	}
	return headers, nil
}

// items are those of a page, which fill it from its end.
func (d *bdb) items(p []byte) ([][]byte, error) {
	n := int(d.order.Uint16(p[20:]))
	if pageHead+2*n > len(p) {
		return nil, errCut
	}
	list, end := make([][]byte, n), len(p)
	for i := range list {
		at := int(d.order.Uint16(p[pageHead+2*i:]))
		if at < pageHead || at >= end {
			return nil, errCut
		}
		list[i], end = p[at:end], at
	}
	return list, nil
}

// value is what an item holds.
func (d *bdb) value(item []byte) ([]byte, error) {
	switch {
	case item[0] == itemHere:
		return item[1:], nil
	case item[0] != itemChain || len(item) < 12:
		return nil, errCut
	}
	n, size := int(d.order.Uint32(item[4:])), int(d.order.Uint32(item[8:]))
	if size > len(d.db) {
		return nil, errCut
	}
	out := make([]byte, 0, size)
	for len(out) < size {
		p, ok := part(d.db, n*d.size, d.size)
		if d.left--; !ok || p[25] != chainPage || d.left < 0 {
			return nil, errCut
		}
		used, ok := part(p, pageHead, int(d.order.Uint16(p[22:])))
		if !ok || len(used) == 0 {
			return nil, errCut
		}
		out = append(out, used...)
		n = int(d.order.Uint32(p[16:]))
	}
	return out[:size], nil
}
