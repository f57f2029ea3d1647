// Package dynlink reads of an ELF file what a dynamic loader reads before a
// program starts: for which machine it is, its loader, the libraries it needs and
// where it wants them looked for, and the versions of symbols that it asks of them
// or has itself.
//
// Only the program headers and what they lead to are read, as the kernel and the
// loader do: section headers may be missing or wrong.
//
//	o, err := dynlink.Read(file)
//	fmt.Println(o.Machine, o.Interp, o.Needed) // EM_X86_64 /lib64/ld-linux-x86-64.so.2 [libc.so.6]
package dynlink

import (
	"bytes"
	"debug/elf"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"strings"
)

// Magic is what every ELF file starts with.
const Magic = elf.ELFMAG

// Object is one ELF file.
type Object struct {
	Class   elf.Class
	Machine elf.Machine
	Type    elf.Type
	Interp  string // the loader; "" if there is none
	Dynamic bool   // has a dynamic section

	SoName  string
	Needed  []string
	RPath   []string // searched unless there is a RunPath; holds for the libraries below too
	RunPath []string
	// Wants are the versions asked of libraries, by the library's name.
	Wants map[string][]string
	// Has are the versions that the object defines.
	Has []string
}

// Program reports whether the file is one that the kernel starts, not a library.
func (o *Object) Program() bool {
	return o.Type == elf.ET_EXEC || o.Type == elf.ET_DYN && o.Interp != ""
}

// Bounds against damaged files.
const (
	maxHeaders = 256
	maxDynamic = 1 << 20
	maxStrings = 64 << 20
	maxEntries = 1 << 16
)

var errDamaged = errors.New("damaged ELF file")

// Read reads an ELF file.
func Read(r io.ReaderAt) (*Object, error) {
	var id [elf.EI_NIDENT]byte
	if _, err := r.ReadAt(id[:], 0); err != nil || string(id[:4]) != Magic {
		return nil, fmt.Errorf("%w: it has no header", errDamaged)
	}
	f := file{r: r, o: &Object{Class: elf.Class(id[elf.EI_CLASS]), Wants: map[string][]string{}}}
	switch elf.Data(id[elf.EI_DATA]) {
	case elf.ELFDATA2LSB:
		f.order = binary.LittleEndian
	case elf.ELFDATA2MSB:
		f.order = binary.BigEndian
	default:
		return nil, fmt.Errorf("%w: unknown byte order", errDamaged)
	}
	if f.o.Class != elf.ELFCLASS32 && f.o.Class != elf.ELFCLASS64 {
		return nil, fmt.Errorf("%w: unknown class", errDamaged)
	}
	if err := f.read(); err != nil {
		return nil, err
	}
	return f.o, nil
}

type file struct {
	r     io.ReaderAt
	order binary.ByteOrder
	o     *Object
	loads []segment
}

type segment struct{ addr, offset, size uint64 }

func (f *file) at(offset, size uint64) ([]byte, error) {
	if size > maxStrings || offset > 1<<62 {
		return nil, errDamaged
	}
	b := make([]byte, size)
	if _, err := f.r.ReadAt(b, int64(offset)); err != nil {
		return nil, fmt.Errorf("%w: it ends too early", errDamaged)
	}
	return b, nil
}

// word reads a number of the class' size.
func (f *file) word(b []byte) uint64 {
	if f.o.Class == elf.ELFCLASS32 {
		return uint64(f.order.Uint32(b))
	}
	return f.order.Uint64(b)
}

func (f *file) read() error {
	wide := f.o.Class == elf.ELFCLASS64
	size := uint64(52)
	if wide {
		size = 64
	}
	h, err := f.at(0, size)
	if err != nil {
		return err
	}
	f.o.Type = elf.Type(f.order.Uint16(h[16:]))
	f.o.Machine = elf.Machine(f.order.Uint16(h[18:]))
	offset, entry, count := uint64(f.order.Uint32(h[28:])), f.order.Uint16(h[42:]), f.order.Uint16(h[44:])
	if wide {
		offset, entry, count = f.order.Uint64(h[32:]), f.order.Uint16(h[54:]), f.order.Uint16(h[56:])
	}
	if count > maxHeaders || count > 0 && (entry < 32 || wide && entry < 56) {
		return fmt.Errorf("%w: odd program headers", errDamaged)
	}
	headers, err := f.at(offset, uint64(entry)*uint64(count))
	if err != nil {
		return err
	}
	var dynamic segment
	for ; len(headers) >= int(entry) && entry > 0; headers = headers[entry:] {
		typ, s := f.header(headers)
		switch typ {
		case elf.PT_LOAD:
			f.loads = append(f.loads, s)
		case elf.PT_DYNAMIC:
			dynamic = s
		case elf.PT_INTERP:
			b, err := f.at(s.offset, s.size)
			if err != nil {
				return err
			}
			f.o.Interp = string(bytes.TrimRight(b, "\x00"))
		}
	}
	if dynamic.size == 0 {
		return nil
	}
	f.o.Dynamic = true
	return f.dynamic(dynamic)
}

func (f *file) header(b []byte) (elf.ProgType, segment) {
	typ := elf.ProgType(f.order.Uint32(b))
	if f.o.Class == elf.ELFCLASS64 {
		return typ, segment{offset: f.order.Uint64(b[8:]), addr: f.order.Uint64(b[16:]), size: f.order.Uint64(b[32:])}
	}
	return typ, segment{offset: uint64(f.order.Uint32(b[4:])), addr: uint64(f.order.Uint32(b[8:])), size: uint64(f.order.Uint32(b[16:]))}
}

// place turns an address into an offset in the file, and tells how much there is.
func (f *file) place(addr uint64) (offset, left uint64, err error) {
	for _, s := range f.loads {
		if addr >= s.addr && addr-s.addr < s.size {
			return s.offset + addr - s.addr, s.size - (addr - s.addr), nil
		}
	}
	return 0, 0, fmt.Errorf("%w: an address is in no segment", errDamaged)
}

func (f *file) dynamic(s segment) error {
	if s.size > maxDynamic {
		return errDamaged
	}
	b, err := f.at(s.offset, s.size)
	if err != nil {
		return err
	}
	values := map[elf.DynTag]uint64{}
	var needed []uint64
	step := 8
	if f.o.Class == elf.ELFCLASS64 {
		step = 16
	}
	for ; len(b) >= step; b = b[step:] {
		tag, v := elf.DynTag(f.word(b)), f.word(b[step/2:])
		if tag == elf.DT_NULL {
			break
		}
		if tag == elf.DT_NEEDED {
			needed = append(needed, v)
			continue
		}
		values[tag] = v
	}
	addr, ok := values[elf.DT_STRTAB]
	if !ok {
		return nil
	}
	offset, left, err := f.place(addr)
	if err != nil {
		return err
	}
	strtab, err := f.at(offset, min(values[elf.DT_STRSZ], left))
	if err != nil {
		return err
	}
	text := func(at uint64) string {
		if at >= uint64(len(strtab)) {
			return ""
		}
		s, _, _ := strings.Cut(string(strtab[at:min(at+4096, uint64(len(strtab)))]), "\x00")
		return s
	}
	for _, n := range needed {
		f.o.Needed = append(f.o.Needed, text(n))
	}
	list := func(tag elf.DynTag) []string {
		if at, ok := values[tag]; ok && text(at) != "" {
			return strings.Split(text(at), ":")
		}
		return nil
	}
	f.o.RPath, f.o.RunPath = list(elf.DT_RPATH), list(elf.DT_RUNPATH)
	if at, ok := values[elf.DT_SONAME]; ok {
		f.o.SoName = text(at)
	}
	if err := f.wants(values[elf.DT_VERNEED], text); err != nil {
		return err
	}
	return f.has(values[elf.DT_VERDEF], text)
}

// wants walks Elf_Verneed (16 bytes) and Elf_Vernaux (16 bytes), chains of offsets.
func (f *file) wants(addr uint64, text func(uint64) string) error {
	if addr == 0 {
		return nil
	}
	const weak = 2
	b, err := f.rest(addr)
	if err != nil {
		return err
	}
	for at, n := uint64(0), 0; n < maxEntries; n++ {
		if at+16 > uint64(len(b)) {
			return errDamaged
		}
		lib := text(uint64(f.order.Uint32(b[at+4:])))
		aux := at + uint64(f.order.Uint32(b[at+8:]))
		for range f.order.Uint16(b[at+2:]) {
			if aux+16 > uint64(len(b)) {
				return errDamaged
			}
			if f.order.Uint16(b[aux+4:])&weak == 0 {
				f.o.Wants[lib] = append(f.o.Wants[lib], text(uint64(f.order.Uint32(b[aux+8:]))))
			}
			next := uint64(f.order.Uint32(b[aux+12:]))
			if next == 0 {
				break
			}
			aux += next
		}
		next := uint64(f.order.Uint32(b[at+12:]))
		if next == 0 {
			return nil
		}
		at += next
	}
	return errDamaged
}

// has walks Elf_Verdef (20 bytes), whose first Elf_Verdaux (8 bytes) has the name.
func (f *file) has(addr uint64, text func(uint64) string) error {
	if addr == 0 {
		return nil
	}
	const base = 1 // the version that is the file itself
	b, err := f.rest(addr)
	if err != nil {
		return err
	}
	for at, n := uint64(0), 0; n < maxEntries; n++ {
		if at+20 > uint64(len(b)) {
			return errDamaged
		}
		aux := at + uint64(f.order.Uint32(b[at+12:]))
		if aux+8 > uint64(len(b)) {
			return errDamaged
		}
		if f.order.Uint16(b[at+2:])&base == 0 {
			f.o.Has = append(f.o.Has, text(uint64(f.order.Uint32(b[aux:]))))
		}
		next := uint64(f.order.Uint32(b[at+16:]))
		if next == 0 {
			return nil
		}
		at += next
	}
	return errDamaged
}

// rest reads from an address to the end of its segment, at most 1 MB.
func (f *file) rest(addr uint64) ([]byte, error) {
	offset, left, err := f.place(addr)
	if err != nil {
		return nil, err
	}
	return f.at(offset, min(left, maxDynamic))
}
