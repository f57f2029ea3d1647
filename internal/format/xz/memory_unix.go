//go:build unix

package xz

import "golang.org/x/sys/unix"

// allocate returns n bytes from the system and not from Go's heap: the collector
// lets the heap grow to twice of what is in use, and these are large.
func allocate(n int) []byte {
	if n == 0 {
		return nil
	}
	b, err := unix.Mmap(-1, 0, n, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_ANON|unix.MAP_PRIVATE)
	if err != nil {
		return make([]byte, n) // a limit on mappings; release leaves it alone, since it is none
	}
	return b
}

// release gives back what allocate gave; nothing may use it any more.
func release(b []byte) {
	if b = b[:cap(b)]; len(b) > 0 {
		_ = unix.Munmap(b) // fails only for what is no mapping
	}
}
