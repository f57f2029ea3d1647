// Package pe adds sections to PE programs: how a unified kernel image is made. The
// stub of systemd-boot finds the kernel, the initial file system and the command
// line in sections of its own file, and starts the one with the others.
//
//	uki, err := pe.Add(stub, []pe.Section{
//		{Name: ".cmdline", Data: cmdline}, {Name: ".linux", Data: kernel}, {Name: ".initrd", Data: initrd},
//	})
//
// The format: Microsoft's "PE Format"; the sections' names: the UAPI group's
// "Unified Kernel Image".
package pe

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
)

// Section is one to be added.
type Section struct {
	Name string // at most 8 bytes
	Data io.Reader
	Size int64
}

var le = binary.LittleEndian

const (
	sectionSize = 40
	// Flags of a section that is loaded and only read.
	initialised, readable = 0x40, 0x40000000
)

// layout is what is read out of a program.
type layout struct {
	b                    []byte
	optional             int // offset of the optional header
	table                int // of the section table
	sections             int
	headers              int // size of all headers
	alignment, fileAlign int64
	end                  int64 // of the image in memory
	machine              uint16
}

var errMalformed = errors.New("malformed PE program")

func read(b []byte) (*layout, error) {
	if len(b) < 64 || string(b[:2]) != "MZ" {
		return nil, errors.New("not a PE program")
	}
	at := int(le.Uint32(b[0x3C:]))
	if at < 0 || at > len(b)-24-72 || string(b[at:at+4]) != "PE\x00\x00" {
		return nil, errMalformed
	}
	l := &layout{b: b, machine: le.Uint16(b[at+4:]), sections: int(le.Uint16(b[at+6:])), optional: at + 24}
	l.table = l.optional + int(le.Uint16(b[at+20:]))
	o := b[l.optional:]
	l.alignment, l.fileAlign = int64(le.Uint32(o[32:])), int64(le.Uint32(o[36:]))
	l.headers = int(le.Uint32(o[60:]))
	if l.table+l.sections*sectionSize > len(b) || l.alignment == 0 || l.fileAlign == 0 {
		return nil, errMalformed
	}
	for i := range l.sections {
		s := b[l.table+i*sectionSize:]
		l.end = max(l.end, int64(le.Uint32(s[12:]))+int64(le.Uint32(s[8:])))
	}
	return l, nil
}

// Machine returns the field of that name: 0x8664 for x86-64, 0xAA64 for arm64.
func Machine(b []byte) (uint16, error) {
	l, err := read(b)
	if err != nil {
		return 0, err
	}
	return l.machine, nil
}

func up(n, to int64) int64 { return (n + to - 1) / to * to }

// Add writes the program with more sections to w. The program's own bytes after its
// last section (a signature, symbols) are left out.
func Add(w io.Writer, program []byte, more []Section) error {
	l, err := read(program)
	if err != nil {
		return err
	}
	head, fileEnd, err := l.header(more)
	if err != nil {
		return err
	}
	if _, err := w.Write(head); err != nil {
		return err
	}
	if _, err := w.Write(program[len(head):fileEnd]); err != nil {
		return err
	}
	at := fileEnd
	for _, s := range more {
		if err := pad(w, up(at, l.fileAlign)-at); err != nil {
			return err
		}
		n, err := io.Copy(w, io.LimitReader(s.Data, s.Size))
		if err != nil {
			return err
		}
		if n != s.Size {
			return fmt.Errorf("section %s: got %d bytes, want %d", s.Name, n, s.Size)
		}
		at = up(at, l.fileAlign) + n
	}
	return pad(w, up(at, l.fileAlign)-at)
}

// header returns the headers with the new sections, and where the program's own
// sections end in the file.
func (l *layout) header(more []Section) ([]byte, int64, error) {
	head := append([]byte(nil), l.b[:min(l.headers, len(l.b))]...)
	if l.table+(l.sections+len(more))*sectionSize > len(head) {
		return nil, 0, fmt.Errorf("the program's header has no room for %d more sections", len(more))
	}
	fileEnd := int64(l.headers)
	for i := range l.sections {
		s := l.b[l.table+i*sectionSize:]
		if raw := int64(le.Uint32(s[20:])); raw > 0 {
			fileEnd = max(fileEnd, raw+int64(le.Uint32(s[16:])))
		}
	}
	if fileEnd > int64(len(l.b)) {
		return nil, 0, errMalformed
	}
	memory, file := l.end, fileEnd
	for i, s := range more {
		memory, file = up(memory, l.alignment), up(file, l.fileAlign)
		if len(s.Name) > 8 || memory+s.Size >= 1<<32 {
			return nil, 0, fmt.Errorf("section %s: got %d bytes, want fewer than 4 GiB and a name of at most 8", s.Name, s.Size)
		}
		e := head[l.table+(l.sections+i)*sectionSize:][:sectionSize]
		clear(e)
		copy(e, s.Name)
		le.PutUint32(e[8:], uint32(s.Size))
		le.PutUint32(e[12:], uint32(memory))
		le.PutUint32(e[16:], uint32(up(s.Size, l.fileAlign)))
		le.PutUint32(e[20:], uint32(file))
		le.PutUint32(e[36:], initialised|readable)
		memory, file = memory+s.Size, file+s.Size
	}
	le.PutUint16(head[l.optional-24+6:], uint16(l.sections+len(more)))
	le.PutUint32(head[l.optional+56:], uint32(up(memory, l.alignment)))
	le.PutUint32(head[l.optional+64:], 0) // the checksum, which firmware does not look at
	return head, fileEnd, nil
}

func pad(w io.Writer, n int64) error {
	_, err := w.Write(make([]byte, n))
	return err
}
