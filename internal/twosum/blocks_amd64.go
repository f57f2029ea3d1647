package twosum

import "sync"

// available reports whether the processor has the instructions that blocks uses.
var available = sync.OnceValue(func() bool {
	if max, _, _, _ := cpuid(0, 0); max < 7 {
		return false
	}
	const ssse3, sse41, sha = 1 << 9, 1 << 19, 1 << 29
	_, _, c, _ := cpuid(1, 0)
	_, b, _, _ := cpuid(7, 0)
	return c&ssse3 != 0 && c&sse41 != 0 && b&sha != 0
})

func cpuid(leaf, sub uint32) (a, b, c, d uint32)

// blocks hashes n blocks of 64 bytes at a into s, and as many at b into t.
//
//go:noescape
func blocks(s, t *[8]uint32, a, b *byte, n int)
