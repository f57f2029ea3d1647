package rpmdb

import (
	"encoding/binary"
	"fmt"
)

// An SQLite file is pages; a table is a tree of them, whose leaves have the rows by
// number, each a record that goes on in a chain of other pages if it is long
// (https://www.sqlite.org/fileformat2.html).

const sqliteMagic = "SQLite format 3\x00"

// Kinds of pages.
const (
	innerPage = 5
	leafPage  = 13
)

type sqlite struct {
	db     []byte
	newer  map[uint32][]byte // pages of the journal
	size   int               // of a page
	usable int               // of it
	left   int               // how many pages may still be read: a damaged file could go in circles
	rows   func(record []byte) error
}

// readSQLite returns the headers of the table Packages.
func readSQLite(db, journal []byte) (headers [][]byte, err error) {
	if len(db) < 100 {
		return nil, errCut
	}
	s := &sqlite{db: db, size: int(binary.BigEndian.Uint16(db[16:]))}
	if s.size == 1 {
		s.size = 1 << 16
	}
	if s.size < 512 || s.size&(s.size-1) != 0 {
		return nil, errCut
	}
	if s.newer, err = readJournal(journal, s.size); err != nil {
		return nil, err
	}
	s.usable = s.size - int(db[20])
	s.left = 4 * (len(db)/s.size + len(s.newer) + 1)
	if s.usable < 480 {
		return nil, errCut
	}
	root := uint32(0)
	s.rows = func(record []byte) error { // type, name, table, root, text
		c, err := columns(record)
		if err == nil && len(c) >= 4 && string(c[0]) == "table" && string(c[1]) == "Packages" {
			for _, b := range c[3] {
				root = root<<8 | uint32(b)
			}
		}
		return err
	}
	if err := s.table(1, 100, 0); err != nil {
		return nil, err
	}
	if root == 0 {
		return nil, fmt.Errorf("it is an SQLite database without the table Packages")
	}
	s.rows = func(record []byte) error { // hnum, blob
		c, err := columns(record)
		if err == nil && len(c) >= 2 {
			headers = append(headers, c[1])
		}
		return err
	}
	return headers, s.table(root, 0, 0)
}

// page returns a page, numbered from 1.
func (s *sqlite) page(n uint32) ([]byte, error) {
	s.left--
	if p, ok := s.newer[n]; ok && s.left > 0 {
		return p, nil
	}
	p, ok := part(s.db, (int(n)-1)*s.size, s.size)
	if !ok || s.left <= 0 {
		return nil, errCut
	}
	return p, nil
}

// maxDepth is more than the deepest tree has.
const maxDepth = 40

// table visits the rows below a page, whose own header is at start.
func (s *sqlite) table(n uint32, start, depth int) error {
	p, err := s.page(n)
	if err != nil {
		return err
	}
	kind, cells, index := p[start], int(binary.BigEndian.Uint16(p[start+3:])), start+8
	if kind == innerPage {
		index += 4
	}
	if kind != innerPage && kind != leafPage || depth > maxDepth || index+2*cells > len(p) {
		return errCut
	}
	for i := range cells {
		at := int(binary.BigEndian.Uint16(p[index+2*i:]))
		cell, ok := part(p, at, s.usable-at)
		if !ok || len(cell) < 4 {
			return errCut
		}
		if kind == leafPage {
			err = s.row(cell)
		} else {
			err = s.table(binary.BigEndian.Uint32(cell), 0, depth+1)
		}
		if err != nil {
			return err
		}
	}
	if kind == innerPage {
		return s.table(binary.BigEndian.Uint32(p[start+8:]), 0, depth+1)
	}
	return nil
}

// row reads the row of a cell: the length of its record, its number, and the record, of
// which a long one has its first part here.
func (s *sqlite) row(cell []byte) error {
	length, n := varint(cell)
	_, m := varint(cell[n:])
	if n == 0 || m == 0 || length > uint64(len(s.db)+len(s.newer)*s.size) {
		return errCut
	}
	rest, size := cell[n+m:], int(length)
	here := size
	if size > s.usable-35 {
		least := (s.usable-12)*32/255 - 23
		if here = least + (size-least)%(s.usable-4); here > s.usable-35 {
			here = least
		}
	}
	first, ok := part(rest, 0, here)
	if !ok {
		return errCut
	}
	if here == size {
		return s.rows(first)
	}
	next, ok := part(rest, here, 4)
	if !ok {
		return errCut
	}
	record := append(make([]byte, 0, size), first...)
	for len(record) < size {
		p, err := s.page(binary.BigEndian.Uint32(next))
		if err != nil {
			return err
		}
		next = p[:4]
		record = append(record, p[4:min(s.usable, 4+size-len(record))]...)
	}
	return s.rows(record)
}

// columns takes a record apart: the types of its columns, and then their values. Only
// those of texts, blobs and whole numbers are of interest.
func columns(record []byte) ([][]byte, error) {
	size, n := varint(record)
	if n == 0 || size > uint64(len(record)) || uint64(n) > size {
		return nil, errCut
	}
	types, values := record[n:size], record[size:]
	var list [][]byte
	for len(types) > 0 {
		kind, n := varint(types)
		if n == 0 {
			return nil, errCut
		}
		types = types[n:]
		length := uint64(0)
		switch {
		case kind >= 12:
			length = (kind - 12) / 2
		case kind >= 1 && kind <= 4:
			length = kind
		case kind == 5:
			length = 6
		case kind == 6 || kind == 7:
			length = 8
		}
		if length > uint64(len(values)) {
			return nil, errCut
		}
		list, values = append(list, values[:length]), values[length:]
	}
	return list, nil
}

// varint reads a number of 7 bits a byte, high ones first; n is 0 if b is too short.
func varint(b []byte) (v uint64, n int) {
	for n < len(b) && n < 9 {
		c := b[n]
		n++
		if n == 9 {
			return v<<8 | uint64(c), n
		}
		v = v<<7 | uint64(c&0x7f)
		if c < 0x80 {
			return v, n
		}
	}
	return 0, 0
}
