package ext4

// How the blocks are divided: groups of as many as one block of bitmap counts,
// each with its descriptor, two bitmaps and a piece of the inode table; copies of
// the superblock in some. The bitmaps and tables of up to 16 groups lie together
// at the start of the first (flex_bg).

const (
	groupBlocks = 8 * BlockSize // that one bitmap counts
	descSize    = 64
	inodeSize   = 256
	maxFlex     = 16
	minTail     = 64 // a last group of fewer blocks is not worth having
)

// run is blocks that lie together.
type run struct{ first, n uint64 }

type geometry struct {
	blocks         uint64
	groups         int
	descBlocks     uint64 // of the table of descriptors
	inodes         uint64 // that are wanted
	inodesPerGroup uint64
	tableBlocks    uint64 // of one group's inodes
	flex           int    // groups of which the metadata lie together

	blockBitmap, inodeBitmap, inodeTable []uint64 // by group
	taken                                []run    // by all that, sorted
}

func ceil(a, b uint64) uint64 { return (a + b - 1) / b }

// hasSuper reports whether a group starts with a copy of the superblock: 0, 1 and
// the powers of 3, 5 and 7 (sparse_super).
func hasSuper(g int) bool {
	if g <= 1 {
		return true
	}
	for _, base := range []int{3, 5, 7} {
		n := base
		for n < g {
			n *= base
		}
		if n == g {
			return true
		}
	}
	return false
}

// newGeometry divides blocks; a tail that is too short for a group is left out,
// and 0 blocks mean that not even the metadata fits.
func newGeometry(blocks, inodes uint64) geometry {
	for blocks > 0 {
		g := divide(blocks, inodes)
		if g.place() {
			return g
		}
		blocks = (blocks - 1) / groupBlocks * groupBlocks
	}
	return geometry{}
}

func divide(blocks, inodes uint64) geometry {
	g := geometry{blocks: blocks, inodes: inodes, groups: int(ceil(blocks, groupBlocks)), flex: maxFlex}
	g.descBlocks = ceil(uint64(g.groups)*descSize, BlockSize)
	const perBlock = BlockSize / inodeSize
	g.inodesPerGroup = min(groupBlocks, ceil(ceil(inodes, uint64(g.groups)), perBlock)*perBlock)
	g.tableBlocks = g.inodesPerGroup / perBlock
	for g.flex > 1 && uint64(g.flex)*(g.tableBlocks+2)+1+g.descBlocks > groupBlocks/2 {
		g.flex /= 2
	}
	return g
}

// place gives the metadata their blocks; it is false if there are too few groups
// for the inodes, or the last groups are too short for theirs.
func (g *geometry) place() bool {
	tail := g.blocks - uint64(g.groups-1)*groupBlocks
	if tail < minTail+1+g.descBlocks || uint64(g.groups)*g.inodesPerGroup < g.inodes {
		return false
	}
	g.taken = g.taken[:0]
	for first := 0; first < g.groups; first += g.flex {
		n := uint64(min(g.flex, g.groups-first))
		at := uint64(first) * groupBlocks
		if hasSuper(first) {
			at += 1 + g.descBlocks
		}
		end := at + n*(2+g.tableBlocks)
		if end > min(g.blocks, uint64(first+1)*groupBlocks) {
			return false
		}
		for i := range n {
			g.blockBitmap = append(g.blockBitmap, at+i)
			g.inodeBitmap = append(g.inodeBitmap, at+n+i)
			g.inodeTable = append(g.inodeTable, at+2*n+i*g.tableBlocks)
		}
		start := uint64(first) * groupBlocks
		g.taken = append(g.taken, run{start, end - start})
		for i := first + 1; i < first+int(n); i++ {
			if hasSuper(i) {
				g.taken = append(g.taken, run{uint64(i) * groupBlocks, 1 + g.descBlocks})
			}
		}
	}
	return true
}

// fitted returns the smallest geometry with need blocks left for content, and
// how many there are.
func fitted(need, inodes uint64) (geometry, uint64) {
	blocks := max(need, minTail)
	for {
		g := divide(blocks, inodes)
		if !g.place() {
			blocks += 16
			continue
		}
		left := g.blocks
		for _, r := range g.taken {
			left -= r.n
		}
		if left >= need {
			return g, left
		}
		blocks += need - left
	}
}

// allocator gives out blocks from the front to the back.
type allocator struct {
	geo  *geometry
	next uint64
	skip int // index in geo.taken
}

// take returns n blocks, in as few runs as there are.
func (a *allocator) take(n uint64) ([]run, error) {
	var out []run
	for n > 0 {
		for a.skip < len(a.geo.taken) && a.geo.taken[a.skip].first <= a.next {
			t := a.geo.taken[a.skip]
			a.next = max(a.next, t.first+t.n)
			a.skip++
		}
		limit := a.geo.blocks
		if a.skip < len(a.geo.taken) {
			limit = a.geo.taken[a.skip].first
		}
		if a.next >= limit {
			return nil, errFull
		}
		m := min(n, limit-a.next)
		out = append(out, run{a.next, m})
		a.next += m
		n -= m
	}
	return out, nil
}

// used counts the blocks from first on, n of them, that are in use when all below
// end that is not metadata is.
func (g *geometry) used(first, n, end uint64) uint64 {
	var u uint64
	if first < end {
		u = min(n, end-first)
	}
	for _, t := range g.taken {
		lo, hi := max(t.first, first, end), min(t.first+t.n, first+n)
		if lo < hi {
			u += hi - lo
		}
	}
	return u
}
