package compile

import (
	"encoding/binary"
	"errors"
)

// shape is what a compilation depended on, without the contents: which files it
// read, which names it looked for, and which configuration symbols the texts
// mention. With the contents that the files have now it makes an entry's key.
type shape struct {
	deps    []string // outside of the toolchain, absolute, as the compiler named them
	looks   []look
	config  []int    // which of deps are configuration headers, see package comment
	symbols []string // whose values are in the key instead of those headers' contents
	numbers []uint32 // of deps in the view that it was made in; nil if it was read
}

// look is one name that was searched for.
type look struct {
	from  string // the folder of the file that has the #include "name"; "" for <name>
	name  string
	exist string // which of the candidates exist, outside of the toolchain: a byte of index+1 each
}

var errShape = errors.New("damaged list of dependencies")

func (s *shape) encode() []byte {
	var b []byte
	str := func(t string) {
		b = binary.AppendUvarint(b, uint64(len(t)))
		b = append(b, t...)
	}
	num := func(n int) { b = binary.AppendUvarint(b, uint64(n)) }
	num(len(s.deps))
	for _, d := range s.deps {
		str(d)
	}
	num(len(s.looks))
	for _, l := range s.looks {
		str(l.from)
		str(l.name)
		str(l.exist)
	}
	num(len(s.config))
	for _, c := range s.config {
		num(c)
	}
	num(len(s.symbols))
	for _, t := range s.symbols {
		str(t)
	}
	return b
}

// decodeShape reads what encode wrote. The strings are parts of one: who keeps a single
// one of them for long copies it.
func decodeShape(b []byte) (*shape, error) {
	s, text := &shape{}, string(b)
	bad := false
	num := func() int {
		n, size := binary.Uvarint(b)
		if size <= 0 || n > uint64(len(text)) {
			bad = true
			return 0
		}
		b = b[size:]
		return int(n)
	}
	str := func() string {
		n := num()
		if bad || n > len(b) {
			bad = true
			return ""
		}
		at := len(text) - len(b)
		b = b[n:]
		return text[at : at+n]
	}
	n := num()
	s.deps = make([]string, 0, n)
	for ; n > 0 && !bad; n-- {
		s.deps = append(s.deps, str())
	}
	n = num()
	s.looks = make([]look, 0, n)
	for ; n > 0 && !bad; n-- {
		s.looks = append(s.looks, look{str(), str(), str()})
	}
	for n = num(); n > 0 && !bad; n-- {
		c := num()
		bad = bad || c >= len(s.deps)
		s.config = append(s.config, c)
	}
	n = num()
	s.symbols = make([]string, 0, n)
	for ; n > 0 && !bad; n-- {
		s.symbols = append(s.symbols, str())
	}
	if bad || len(b) > 0 {
		return nil, errShape
	}
	return s, nil
}
