//go:build amd64 || arm64

package linux

import (
	"encoding/binary"
	"unsafe"

	"github.com/labstar/labstar/internal/sandbox/linux/spawn"
)

// script builds what package spawn's child carries out.
type script struct {
	ops    []spawn.Op
	steps  []string // for each op, what it is part of, for errors
	step   string   // of the ops to come
	data   []byte
	ptrs   []pointer
	words  []int // offsets in data of words that hold a data offset, to be made addresses
	loaded []pointer
}

// pointer is an argument of an op that refers to data.
type pointer struct{ op, arg int }

// addr is an offset in a script's data, passed to a system call as an address.
type addr uint64

// slot is the offset of a word; a system call gets the word's value.
type slot uint64

const wordSize = 8

// none is the value of a slot before its op: no descriptor.
const none = ^uint64(0)

// word adds a word to the data.
func (s *script) word(v uint64) addr {
	for len(s.data)%wordSize != 0 {
		s.data = append(s.data, 0)
	}
	at := len(s.data)
	s.data = binary.NativeEndian.AppendUint64(s.data, v)
	return addr(at)
}

// bytes adds b to the data, aligned to a word.
func (s *script) bytes(b []byte) addr {
	for len(s.data)%wordSize != 0 {
		s.data = append(s.data, 0)
	}
	at := len(s.data)
	s.data = append(s.data, b...)
	return addr(at)
}

// text adds a string that ends with a zero byte.
func (s *script) text(t string) addr {
	at := len(s.data)
	s.data = append(append(s.data, t...), 0)
	return addr(at)
}

// link adds a word that will hold a's address.
func (s *script) link(a addr) addr {
	at := s.word(uint64(a))
	s.words = append(s.words, int(at))
	return at
}

// texts adds an array of string addresses that ends with a zero word.
func (s *script) texts(list []string) addr {
	at := make([]addr, len(list))
	for i, t := range list {
		at[i] = s.text(t)
	}
	first := s.word(0)
	s.data = s.data[:first]
	for _, a := range at {
		s.link(a)
	}
	s.word(0)
	return first
}

// call adds a system call. Arguments are ints, strings (passed as addresses of
// copies), addrs and slots.
func (s *script) call(number int, args ...any) *spawn.Op {
	op := spawn.Op{Number: uint32(number)}
	for i, a := range args {
		switch a := a.(type) {
		case int:
			op.Args[i] = uint64(a)
		case string:
			op.Args[i] = uint64(s.text(a))
			s.ptrs = append(s.ptrs, pointer{len(s.ops), i})
		case addr:
			op.Args[i] = uint64(a)
			s.ptrs = append(s.ptrs, pointer{len(s.ops), i})
		case slot:
			op.Args[i] = uint64(a)
			op.Load |= 1 << i
			s.loaded = append(s.loaded, pointer{len(s.ops), i})
		default:
			panic("script: bad argument")
		}
	}
	s.ops = append(s.ops, op)
	s.steps = append(s.steps, s.step)
	return &s.ops[len(s.ops)-1]
}

// keep is call, with the result kept in a new slot.
func (s *script) keep(number int, args ...any) slot {
	at := s.word(none)
	s.call(number, args...).Store = uint64(at)
	return slot(at)
}

// try is call, whose failure doesn't matter.
func (s *script) try(number int, args ...any) { s.call(number, args...).OnErr = spawn.Ignore }

// encode lays the script out as package spawn describes. files is the slot of
// the first received descriptor.
func (s *script) encode(files addr) []byte {
	status := s.bytes(make([]byte, unsafe.Sizeof(spawn.Status{})))
	scratch := s.bytes(make([]byte, 512))
	s.word(0) // aligns what follows
	dataAt := uint64(unsafe.Sizeof(spawn.Header{})) + uint64(len(s.ops))*uint64(unsafe.Sizeof(spawn.Op{}))
	relocs := make([]uint64, 0, len(s.ptrs)+len(s.words))
	opAt := func(op int) uint64 {
		return uint64(unsafe.Sizeof(spawn.Header{})) + uint64(op)*uint64(unsafe.Sizeof(spawn.Op{}))
	}
	for _, p := range s.ptrs {
		s.ops[p.op].Args[p.arg] += dataAt
		relocs = append(relocs, opAt(p.op)+uint64(unsafe.Offsetof(spawn.Op{}.Args))+uint64(p.arg)*wordSize)
	}
	for _, p := range s.loaded {
		s.ops[p.op].Args[p.arg] += dataAt
	}
	for i := range s.ops {
		if s.ops[i].Store != 0 {
			s.ops[i].Store += dataAt
		}
	}
	for _, at := range s.words {
		v := binary.NativeEndian.Uint64(s.data[at:])
		binary.NativeEndian.PutUint64(s.data[at:], v+dataAt)
		relocs = append(relocs, dataAt+uint64(at))
	}
	h := spawn.Header{
		Ops: uint64(len(s.ops)), Files: dataAt + uint64(files), Status: dataAt + uint64(status),
		Scratch: dataAt + uint64(scratch), Reloc: dataAt + uint64(len(s.data)), Relocs: uint64(len(relocs)),
	}
	out := make([]byte, 0, int(h.Reloc)+len(relocs)*wordSize)
	out = append(out, asBytes(&h)...)
	for i := range s.ops {
		out = append(out, asBytes(&s.ops[i])...)
	}
	out = append(out, s.data...)
	for _, r := range relocs {
		out = binary.NativeEndian.AppendUint64(out, r)
	}
	return out
}

// asBytes is the memory of a structure without pointers.
func asBytes[T any](v *T) []byte {
	return unsafe.Slice((*byte)(unsafe.Pointer(v)), unsafe.Sizeof(*v))
}
