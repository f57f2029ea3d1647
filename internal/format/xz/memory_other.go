//go:build !unix

package xz

// allocate returns n bytes.
func allocate(n int) []byte { return make([]byte, n) }

// release does nothing: the collector does it.
func release([]byte) {}
