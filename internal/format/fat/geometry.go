package fat

import (
	"errors"
	"fmt"
)

// geometry is how the sectors are divided: reserved ones, two tables, the root
// folder of FAT12 and FAT16, clusters.
type geometry struct {
	bits       int
	sectors    uint64
	perCluster int
	reserved   uint64
	perFAT     uint64
	data       uint64 // first sector of the clusters
	clusters   uint64
}

// A file system's kind is told by the number of its clusters and nothing else.
const (
	maxFAT12 = 4084
	maxFAT16 = 65524
	maxFAT32 = 0x0FFFFFF5
	minFAT32 = 66600 // sectors, with clusters of one
)

var errSmall = errors.New("too small for FAT")

// newGeometry divides sectors.
func newGeometry(sectors uint64, bits int) (geometry, error) {
	if sectors >= 1<<32 {
		return geometry{}, fmt.Errorf("got %d bytes, want fewer than 2 TiB, the limit of FAT", sectors*sector)
	}
	auto := bits == 0
	if auto {
		switch {
		case sectors <= 4<<20/sector:
			bits = 12
		case sectors < 512<<20/sector:
			bits = 16
		default:
			bits = 32
		}
	}
	for per := firstCluster(bits, sectors); per <= 128; per *= 2 {
		g := divide(sectors, bits, per)
		switch {
		case bits == 32 && g.clusters <= maxFAT16 && per > 1, bits == 16 && g.clusters <= maxFAT12 && per > 1:
			// smaller clusters make more
			return shrink(sectors, bits, per)
		case bits == 32 && g.clusters <= maxFAT16:
			return g, fmt.Errorf("got %d bytes, want at least %d for FAT32: %w", sectors*sector, minFAT32*sector, errSmall)
		case bits == 16 && g.clusters <= maxFAT12:
			return g, fmt.Errorf("got %d bytes, want at least %d for FAT16: %w", sectors*sector, 4200*sector, errSmall)
		case g.clusters == 0:
			return g, fmt.Errorf("got %d bytes, want at least %d: %w", sectors*sector, 64*sector, errSmall)
		case g.clusters <= mostClusters(bits):
			return g, nil
		}
	}
	return geometry{}, fmt.Errorf("got %d bytes, which is too large for FAT%d", sectors*sector, bits)
}

func shrink(sectors uint64, bits, per int) (geometry, error) {
	for per /= 2; per >= 1; per /= 2 {
		g := divide(sectors, bits, per)
		if g.clusters > mostClusters(bits) {
			break
		}
		if bits == 32 && g.clusters > maxFAT16 || bits == 16 && g.clusters > maxFAT12 {
			return g, nil
		}
	}
	return geometry{}, fmt.Errorf("got %d bytes, which is too small for FAT%d: %w", sectors*sector, bits, errSmall)
}

func mostClusters(bits int) uint64 {
	switch bits {
	case 12:
		return maxFAT12
	case 16:
		return maxFAT16
	}
	return maxFAT32
}

// firstCluster is the size of a cluster to begin with, in sectors: mkfs.fat's.
func firstCluster(bits int, sectors uint64) int {
	switch {
	case bits == 12:
		return 1
	case bits == 16:
		return 4
	case sectors <= 260<<20/sector:
		return 1
	case sectors <= 8<<30/sector:
		return 8
	case sectors <= 16<<30/sector:
		return 16
	case sectors <= 32<<30/sector:
		return 32
	}
	return 64
}

func divide(sectors uint64, bits, perCluster int) geometry {
	g := geometry{bits: bits, sectors: sectors, perCluster: perCluster, reserved: 1}
	rootSectors := uint64(rootSize * entrySize / sector)
	if bits == 32 {
		g.reserved, rootSectors = 32, 0
	}
	if sectors < g.reserved+rootSectors+4 {
		return g
	}
	left := sectors - g.reserved - rootSectors
	// Each table has an entry for each cluster and two more; grow it until it does.
	for g.perFAT = 1; 2*g.perFAT < left; g.perFAT++ {
		g.clusters = (left - 2*g.perFAT) / uint64(perCluster)
		need := ((g.clusters+2)*uint64(bits) + 8*sector - 1) / (8 * sector)
		if need <= g.perFAT {
			break
		}
		g.perFAT += (need - g.perFAT) / 2
	}
	g.data = g.reserved + 2*g.perFAT + rootSectors
	return g
}

// inClusters is how many clusters hold n bytes.
func (g geometry) inClusters(n uint64) uint64 {
	size := uint64(g.perCluster) * sector
	return (n + size - 1) / size
}
