package vdisk

import (
	"encoding/binary"
	"io"
)

const (
	cluster    = 64 << 10
	inL2       = cluster / 8 // entries of a table of the second level
	inRefcount = cluster / 2 // clusters that a block of reference counts has
	copied     = 1 << 63     // nobody else refers to the cluster
)

// QCOW2 writes a disk of size bytes as qcow2, version 3.
func QCOW2(out io.Writer, r io.ReaderAt, size int64) error {
	data, err := used(r, size, cluster)
	if err != nil {
		return err
	}
	l1Entries := ceil(int64(len(data)), inL2)
	l1Clusters := max(1, ceil(l1Entries*8, cluster))
	var tables, clusters int64
	inTable := make([]bool, l1Entries)
	for i, u := range data {
		if u {
			clusters++
			if t := &inTable[int64(i)/inL2]; !*t {
				*t, tables = true, tables+1
			}
		}
	}
	// The blocks of reference counts count themselves.
	var total, counts, countTable int64
	for {
		total = 1 + countTable + counts + l1Clusters + tables + clusters
		c := ceil(total, inRefcount)
		t := ceil(c*8, cluster)
		if c == counts && t == countTable {
			break
		}
		counts, countTable = c, t
	}
	be := binary.BigEndian
	w := &writer{w: out}
	l1At := (1 + countTable + counts) * cluster
	head := make([]byte, 112) // with the end of the extensions
	copy(head, "QFI\xfb")
	be.PutUint32(head[4:], 3)
	be.PutUint32(head[20:], 16) // bits of a cluster
	be.PutUint64(head[24:], uint64(size))
	be.PutUint32(head[36:], uint32(l1Entries))
	be.PutUint64(head[40:], uint64(l1At))
	be.PutUint64(head[48:], cluster)
	be.PutUint32(head[56:], uint32(countTable))
	be.PutUint32(head[96:], 4) // reference counts of 16 bits
	be.PutUint32(head[100:], 104)
	w.write(head)
	w.padTo(cluster)
	w.numbers(countTable*inL2, func(i int64) uint64 {
		if i < counts {
			return uint64((1 + countTable + i) * cluster)
		}
		return 0
	})
	for i := range counts {
		b := make([]byte, cluster)
		for k := int64(0); k < inRefcount && i*inRefcount+k < total; k++ {
			be.PutUint16(b[2*k:], 1)
		}
		w.write(b)
	}
	next := l1At + l1Clusters*cluster
	w.numbers(l1Clusters*inL2, func(i int64) uint64 {
		if i >= l1Entries || !inTable[i] {
			return 0
		}
		next += cluster
		return uint64(next-cluster) | copied
	})
	for t := range l1Entries {
		if !inTable[t] {
			continue
		}
		w.numbers(inL2, func(k int64) uint64 {
			if i := t*inL2 + k; i >= int64(len(data)) || !data[i] {
				return 0
			}
			next += cluster
			return uint64(next-cluster) | copied
		})
	}
	buf := make([]byte, cluster)
	for i, u := range data {
		if !u {
			continue
		}
		if _, err := readBlock(r, int64(i), size, buf); err != nil {
			return err
		}
		w.write(buf)
	}
	return w.err
}

// numbers writes n of them, big-endian.
func (w *writer) numbers(n int64, f func(i int64) uint64) {
	b := make([]byte, 8*n)
	for i := range n {
		binary.BigEndian.PutUint64(b[8*i:], f(i))
	}
	w.write(b)
}
