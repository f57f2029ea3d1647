package pe_test

import (
	"bytes"
	stdpe "debug/pe"
	"encoding/binary"
	"strings"
	"testing"

	"github.com/labstar/labstar/internal/format/pe"
)

// program is a small PE32+ with one section.
func program() []byte {
	b := make([]byte, 0x600)
	le := binary.LittleEndian
	copy(b, "MZ")
	le.PutUint32(b[0x3C:], 0x80)
	copy(b[0x80:], "PE\x00\x00")
	le.PutUint16(b[0x84:], 0x8664)
	le.PutUint16(b[0x86:], 1)
	le.PutUint16(b[0x94:], 240)
	o := b[0x98:]
	le.PutUint16(o, 0x20B)
	le.PutUint32(o[32:], 0x1000)
	le.PutUint32(o[36:], 0x200)
	le.PutUint32(o[56:], 0x2000)
	le.PutUint32(o[60:], 0x400)
	le.PutUint16(o[68:], 10) // EFI application
	le.PutUint32(o[108:], 16)
	s := b[0x98+240:]
	copy(s, ".text")
	le.PutUint32(s[8:], 0x10)
	le.PutUint32(s[12:], 0x1000)
	le.PutUint32(s[16:], 0x200)
	le.PutUint32(s[20:], 0x400)
	copy(b[0x400:], "the code of the stub")
	return b
}

func section(name, data string) pe.Section {
	return pe.Section{Name: name, Data: strings.NewReader(data), Size: int64(len(data))}
}

// Go's own reader finds the sections, each at a place of its own in memory.
func TestAdd(t *testing.T) {
	kernel := strings.Repeat("kernel", 5000)
	var out bytes.Buffer
	if err := pe.Add(&out, program(), []pe.Section{section(".cmdline", "console=ttyS0"), section(".linux", kernel), section(".initrd", "x")}); err != nil {
		t.Fatal(err)
	}
	f, err := stdpe.NewFile(bytes.NewReader(out.Bytes()))
	if err != nil {
		t.Fatal(err)
	}
	end := uint32(0)
	for i, want := range []struct{ name, data string }{{".text", "the code of the "}, {".cmdline", "console=ttyS0"}, {".linux", kernel}, {".initrd", "x"}} {
		s := f.Sections[i]
		data, err := s.Data()
		if err != nil || s.Name != want.name || string(data[:s.VirtualSize]) != want.data {
			t.Errorf("section %d: got %s with %d bytes, %v, want %s with %d", i, s.Name, s.VirtualSize, err, want.name, len(want.data))
		}
		if s.VirtualAddress < end || s.VirtualAddress%0x1000 != 0 {
			t.Errorf("section %s: got the address %#x after %#x", s.Name, s.VirtualAddress, end)
		}
		end = s.VirtualAddress + s.VirtualSize
	}
	if o := f.OptionalHeader.(*stdpe.OptionalHeader64); o.SizeOfImage < end || o.SizeOfImage%0x1000 != 0 {
		t.Errorf("got the size %#x, want at least %#x", o.SizeOfImage, end)
	}
	if m, err := pe.Machine(out.Bytes()); m != 0x8664 || err != nil {
		t.Errorf("got machine %#x, %v", m, err)
	}
}

func TestRefuses(t *testing.T) {
	many := make([]pe.Section, 20)
	for i := range many {
		many[i] = section(".s", "x")
	}
	for want, err := range map[string]error{
		"not a PE": pe.Add(&bytes.Buffer{}, []byte("ELF"), nil),
		"no room":  pe.Add(&bytes.Buffer{}, program(), many),
		"want 5":   pe.Add(&bytes.Buffer{}, program(), []pe.Section{{Name: ".x", Data: strings.NewReader("abc"), Size: 5}}),
	} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want an error with %q", err, want)
		}
	}
}

func FuzzAdd(f *testing.F) {
	f.Add(program())
	f.Fuzz(func(t *testing.T, b []byte) {
		_ = pe.Add(&bytes.Buffer{}, b, []pe.Section{section(".linux", "kernel")})
	})
}
