// Package elftest makes small ELF files for tests of what reads them.
package elftest

import (
	"debug/elf"
	"encoding/binary"
	"maps"
	"slices"
	"strings"
)

// File describes an ELF file. The zero File is a static program for x86-64.
type File struct {
	Machine elf.Machine // 0: EM_X86_64
	Library bool
	Interp  string
	Needed  []string
	RPath   string
	RunPath string
	SoName  string
	Wants   map[string][]string
	Has     []string
}

// Bytes returns the file. It has one segment, at address 0, and no sections.
func (f File) Bytes() []byte {
	const headers = 64 + 3*56
	strtab := []byte{0}
	str := func(s string) uint32 {
		at := uint32(len(strtab))
		strtab = append(append(strtab, s...), 0)
		return at
	}
	type entry struct{ tag, value uint64 }
	var dyn []entry
	add := func(tag elf.DynTag, s string) {
		if s != "" {
			dyn = append(dyn, entry{uint64(tag), uint64(str(s))})
		}
	}
	for _, n := range f.Needed {
		add(elf.DT_NEEDED, n)
	}
	add(elf.DT_RPATH, f.RPath)
	add(elf.DT_RUNPATH, f.RunPath)
	add(elf.DT_SONAME, f.SoName)
	need, def := f.verneed(str), f.verdef(str)
	interp := append([]byte(f.Interp), 0)

	at := uint64(headers)
	place := func(b []byte) uint64 {
		p := at
		at += uint64(len(b)+7) &^ 7
		return p
	}
	interpAt, strAt, needAt, defAt := place(interp), place(strtab), place(need), place(def)
	dynAt := at
	dyn = append(dyn, entry{uint64(elf.DT_STRTAB), strAt}, entry{uint64(elf.DT_STRSZ), uint64(len(strtab))})
	if len(need) > 0 {
		dyn = append(dyn, entry{uint64(elf.DT_VERNEED), needAt})
	}
	if len(def) > 0 {
		dyn = append(dyn, entry{uint64(elf.DT_VERDEF), defAt})
	}
	dyn = append(dyn, entry{})

	le := binary.LittleEndian
	out := make([]byte, dynAt+uint64(len(dyn))*16)
	copy(out, elf.ELFMAG+"\x02\x01\x01")
	machine := f.Machine
	if machine == 0 {
		machine = elf.EM_X86_64
	}
	typ := elf.ET_EXEC
	if f.Library {
		typ = elf.ET_DYN
	}
	le.PutUint16(out[16:], uint16(typ))
	le.PutUint16(out[18:], uint16(machine))
	le.PutUint64(out[32:], 64)
	le.PutUint16(out[54:], 56)
	count := uint16(0)
	segment := func(t elf.ProgType, offset, size uint64) {
		b := out[64+56*int(count):]
		le.PutUint32(b, uint32(t))
		le.PutUint64(b[8:], offset)
		le.PutUint64(b[16:], offset)
		le.PutUint64(b[32:], size)
		count++
	}
	segment(elf.PT_LOAD, 0, uint64(len(out)))
	if f.Interp != "" {
		segment(elf.PT_INTERP, interpAt, uint64(len(interp)))
	}
	if f.Interp != "" || f.Library {
		segment(elf.PT_DYNAMIC, dynAt, uint64(len(dyn))*16)
	}
	le.PutUint16(out[56:], count)
	copy(out[interpAt:], interp)
	copy(out[strAt:], strtab)
	copy(out[needAt:], need)
	copy(out[defAt:], def)
	for i, d := range dyn {
		le.PutUint64(out[dynAt+uint64(i)*16:], d.tag)
		le.PutUint64(out[dynAt+uint64(i)*16+8:], d.value)
	}
	return out
}

// String returns the file as a string.
func (f File) String() string { return strings.Clone(string(f.Bytes())) }

func (f File) verneed(str func(string) uint32) []byte {
	le := binary.LittleEndian
	var out []byte
	libs := slices.Sorted(maps.Keys(f.Wants))
	for i, lib := range libs {
		versions := f.Wants[lib]
		size := uint32(16 + 16*len(versions))
		next := size
		if i == len(libs)-1 {
			next = 0
		}
		out = le.AppendUint16(out, 1)
		out = le.AppendUint16(out, uint16(len(versions)))
		out = le.AppendUint32(out, str(lib))
		out = le.AppendUint32(out, 16)
		out = le.AppendUint32(out, next)
		for j, v := range versions {
			step := uint32(16)
			if j == len(versions)-1 {
				step = 0
			}
			out = le.AppendUint32(out, 0)
			out = le.AppendUint32(out, 0)
			out = le.AppendUint32(out, str(v))
			out = le.AppendUint32(out, step)
		}
	}
	return out
}

func (f File) verdef(str func(string) uint32) []byte {
	le := binary.LittleEndian
	var out []byte
	for i, v := range f.Has {
		next := uint32(28)
		if i == len(f.Has)-1 {
			next = 0
		}
		out = le.AppendUint16(out, 1)
		out = le.AppendUint16(out, 0)
		out = le.AppendUint16(out, uint16(i+2))
		out = le.AppendUint16(out, 1)
		out = le.AppendUint32(out, 0)
		out = le.AppendUint32(out, 20)
		out = le.AppendUint32(out, next)
		out = le.AppendUint32(out, str(v))
		out = le.AppendUint32(out, 0)
	}
	return out
}
