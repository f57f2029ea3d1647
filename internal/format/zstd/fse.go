package zstd

import "math/bits"

// maxStates is the most states that a table has: 1<<9.
const maxStates = 512

// maxLog is the most that a table's accuracy may be, for each kind of code.
var maxLog = [3]uint8{litCodes: 9, offsetCodes: 8, matchCodes: 9}

// table is a finite state entropy code (RFC 8878, 4.1).
type table struct {
	log    uint8 // accuracy: it has 1<<log states
	size   int   // of norm: what is above is not there
	norm   [64]int16
	codes  [64]transition
	states [maxStates]uint16
}

// transition is what encoding a code does to a state.
type transition struct {
	bits uint32 // (state + bits) >> 16 is how many bits it puts out
	find uint32 // added to what is left of the state: where in states the next one is
}

// The predefined tables (3.1.1.3.2.2).
var predefinedTables = [3]table{
	litCodes: made(6, 4, 3, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 1, 1, 1, 2, 2, 2, 2, 2, 2, 2, 2, 2, 3, 2, 1, 1, 1, 1, 1,
		-1, -1, -1, -1),
	offsetCodes: made(5, 1, 1, 1, 1, 1, 1, 2, 2, 2, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, -1, -1, -1, -1, -1),
	matchCodes: made(6, 1, 4, 3, 2, 2, 2, 2, 2, 2, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1,
		1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, -1, -1, -1, -1, -1, -1, -1),
}

func made(log uint8, norm ...int16) table {
	t := table{log: log, size: len(norm)}
	copy(t.norm[:], norm)
	t.build()
	return t
}

// one makes it the table of a single code, which takes no bits.
func (t *table) one() {
	*t = table{}
}

// start is the state before the last of all codes.
func (t *table) start(code uint8) uint32 {
	tr := &t.codes[code%64]
	n := (tr.bits + 1<<15) >> 16
	return uint32(t.states[((n<<16-tr.bits)>>n+tr.find)%maxStates])
}

// next is the state before another code, with the transition tr that puts out n bits.
func (t *table) next(state uint32, n uint8, tr *transition) uint32 {
	return uint32(t.states[(state>>(n&31)+tr.find)%maxStates])
}

// build works out states and codes from norm.
func (t *table) build() {
	size := 1 << t.log
	var cells [maxStates]uint8
	// The codes that are less likely than a state sit at the end.
	high := size - 1
	for code, n := range t.norm[:t.size] {
		if n < 0 {
			cells[high] = uint8(code)
			high--
		}
	}
	step, at := size>>1+size>>3+3, 0
	for code, n := range t.norm[:t.size] {
		for range n {
			cells[at] = uint8(code)
			for at = (at + step) & (size - 1); at > high; at = (at + step) & (size - 1) {
			}
		}
	}
	var first [64]int // of a code's states
	total := 0
	for code, n := range t.norm[:t.size] {
		first[code] = total
		tr := &t.codes[code]
		switch {
		case n == 0:
			*tr = transition{}
			continue
		case n == -1 || n == 1:
			tr.bits = uint32(t.log)<<16 - uint32(size)
			tr.find = uint32(total - 1)
			total++
		default:
			out := uint32(t.log) - uint32(bits.Len16(uint16(n-1))-1)
			tr.bits = out<<16 - uint32(n)<<out
			tr.find = uint32(total - int(n))
			total += int(n)
		}
	}
	for i, code := range cells[:size] {
		t.states[first[code]] = uint16(size + i)
		first[code]++
	}
}

// normalize sets norm to how often each code is, as a share of the states. Every code
// that is there has one at least; what rounding gives or takes is settled where it
// costs least.
func (t *table) normalize(count *[64]uint32, total int, most uint8) {
	t.size = 0
	present := 0
	for code, n := range count {
		if n > 0 {
			t.size = code + 1
			present++
		}
	}
	// More states than sequences tell nothing.
	log := uint8(max(5, bits.Len(uint(total))-2, bits.Len(uint(present))))
	t.log = min(log, most)
	size := 1 << t.log
	left := size
	for code, n := range count[:t.size] {
		v := 0
		if n > 0 {
			v = max(1, (int(n)*size+total/2)/total)
		}
		t.norm[code] = int16(v)
		left -= v
	}
	for left != 0 {
		best, at := 0, -1
		for code, n := range count[:t.size] {
			v := int(t.norm[code])
			if v == 0 {
				continue
			}
			var gain int
			if left > 0 {
				gain = int(n) * (log2(v+1) - log2(v))
			} else if v > 1 {
				gain = -int(n) * (log2(v) - log2(v-1))
			} else {
				continue
			}
			if at < 0 || gain > best {
				best, at = gain, code
			}
		}
		if left > 0 {
			t.norm[at]++
			left--
		} else {
			t.norm[at]--
			left++
		}
	}
}

// append appends the table's description (4.1.1).
func (t *table) append(dst []byte) []byte {
	var acc uint64
	var nb uint
	add := func(v, n int) {
		acc |= uint64(v) << nb
		nb += uint(n)
		for nb >= 8 {
			dst = append(dst, byte(acc))
			acc >>= 8
			nb -= 8
		}
	}
	add(int(t.log)-5, 4)
	size := 1 << t.log
	left, threshold, width := size+1, size, int(t.log)+1
	for code := 0; code < t.size && left > 1; {
		n := int(t.norm[code])
		code++
		high := 2*threshold - 1 - left // how many of the values take a bit less
		left -= max(n, -n)
		n++
		if n >= threshold {
			n += high
		}
		w := width
		if n < high {
			w--
		}
		add(n, w)
		for left < threshold {
			width--
			threshold >>= 1
		}
		if n == 1 { // none of these: how many more
			zeros := 0
			for code < t.size && t.norm[code] == 0 {
				zeros++
				code++
			}
			for ; zeros >= 3; zeros -= 3 {
				add(3, 2)
			}
			add(zeros, 2)
		}
	}
	if nb > 0 {
		dst = append(dst, byte(acc))
	}
	return dst
}

// costUnit is a bit, in what cost and log2 return.
const costUnit = 256

// impossible is the cost of what a table has no code for.
const impossible = 1 << 40

// cost is how much the codes take with the table.
func (t *table) cost(count *[64]uint32) int {
	sum := int(t.log) * costUnit // the last state
	for code, n := range count {
		if n == 0 {
			continue
		}
		if code >= t.size || t.norm[code] == 0 {
			return impossible
		}
		sum += int(n) * (int(t.log)*costUnit - log2(max(1, int(t.norm[code]))))
	}
	return sum
}

// logs are the logarithms of 1 to maxStates to base 2, in costUnit: integers alone, so
// that they are the same on every processor.
var logs = func() (l [maxStates + 1]int) {
	for v := 1; v <= maxStates; v++ {
		whole := bits.Len(uint(v)) - 1
		x := uint64(v) << (31 - whole) // 1 to 2, at 31 bits
		sum := whole
		for range 8 {
			x = x * x >> 31
			sum *= 2
			if x >= 1<<32 {
				x >>= 1
				sum++
			}
		}
		l[v] = sum
	}
	return l
}()

func log2(v int) int { return logs[v] }
