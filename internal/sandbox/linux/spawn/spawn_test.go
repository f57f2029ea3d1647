//go:build linux && (amd64 || arm64)

package spawn

import (
	"go/build"
	"slices"
	"testing"
	"unsafe"
)

// TestImports: Go initialises a package after those it imports, so whatever is
// imported here would run before the spawner knows what it is.
func TestImports(t *testing.T) {
	p, err := build.ImportDir(".", 0)
	if err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(p.Imports, []string{"syscall", "unsafe"}) {
		t.Errorf("got imports %v, want syscall and unsafe alone", p.Imports)
	}
}

// TestLayout: a script is made of words, whichever side makes or reads it.
func TestLayout(t *testing.T) {
	for name, size := range map[string]uintptr{
		"Op": unsafe.Sizeof(Op{}), "Header": unsafe.Sizeof(Header{}), "Status": unsafe.Sizeof(Status{}), "Request": unsafe.Sizeof(Request{}), "Reply": unsafe.Sizeof(Reply{}),
	} {
		if size%wordSize != 0 {
			t.Errorf("%s has %d bytes, want whole words", name, size)
		}
	}
	if unsafe.Offsetof(Op{}.Args)%wordSize != 0 || unsafe.Offsetof(Op{}.Store)%wordSize != 0 {
		t.Error("an op's fields are not aligned")
	}
}

// TestRelocate makes a script's addresses absolute and fills in descriptors.
func TestRelocate(t *testing.T) {
	script := make([]byte, 256)
	h := (*Header)(unsafe.Pointer(&script[0]))
	*h = Header{Files: 100 &^ 7, Reloc: 128, Relocs: 1}
	*(*uint64)(unsafe.Pointer(&script[128])) = 200
	*(*uint64)(unsafe.Pointer(&script[200])) = 16
	base := relocate(script, []int32{7, 9})
	if got, want := *(*uint64)(unsafe.Pointer(&script[200])), uint64(uintptr(base))+16; got != want {
		t.Errorf("got address %x, want %x", got, want)
	}
	if a, b := script[96], script[104]; a != 7 || b != 9 {
		t.Errorf("got descriptors %d and %d, want 7 and 9", a, b)
	}
}
