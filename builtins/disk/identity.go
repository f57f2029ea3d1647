package disk

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"strings"

	"github.com/labstar/labstar/action"
	"github.com/labstar/labstar/internal/format/ptable"
)

// identity hashes what something is made of to what it is known by.
type identity [sha256.Size]byte

func newIdentity(what string, params any, inputs ...action.Digest) identity {
	b, err := json.Marshal(params)
	if err != nil {
		panic(err) // our own structs
	}
	h := sha256.New()
	fmt.Fprintf(h, "labstar %s\n%s\n", what, b)
	for _, d := range inputs {
		fmt.Fprintf(h, "%s %d\n", d.Hex(), d.Size)
	}
	return identity(h.Sum(nil))
}

// uuid is the identifier in the order of its text.
func (id identity) uuid() [16]byte { return ptable.HashGUID(id[:]).UUID() }

// sub is another identity that belongs to this one.
func (id identity) sub(what string) identity { return newIdentity(what, id) }

// serial is the 32 bits by which a FAT is known.
func (id identity) serial() uint32 { return binary.BigEndian.Uint32(id[:]) | 1 }

func formatSerial(n uint32) string { return fmt.Sprintf("%04X-%04X", n>>16, n&0xFFFF) }

func parseSerial(s string) (uint32, error) {
	var hi, lo uint32
	if n, err := fmt.Sscanf(s, "%4X-%4X", &hi, &lo); n != 2 || err != nil || len(s) != 9 {
		return 0, fmt.Errorf("got %q, want 8 hexadecimal digits as in \"12AB-34CD\"", s)
	}
	return hi<<16 | lo, nil
}

func parseUUID(s string) ([16]byte, error) {
	g, err := ptable.ParseGUID(s)
	return g.UUID(), err
}

// given reports whether s is an identifier that the script gives and not one that
// is only known when it is built.
func given(s action.Late) bool { return s != "" && !strings.Contains(string(s), "@labstar.") }
