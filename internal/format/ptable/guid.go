package ptable

import (
	"encoding/hex"
	"fmt"
	"strings"
)

// GUID is an identifier as GPT stores it: the first three parts little-endian.
type GUID [16]byte

// ParseGUID reads the form "C12A7328-F81F-11D2-BA4B-00A0C93EC93B".
func ParseGUID(s string) (g GUID, err error) {
	if len(s) != 36 || s[8] != '-' || s[13] != '-' || s[18] != '-' || s[23] != '-' {
		return g, fmt.Errorf("got %q, want 32 hexadecimal digits as 8-4-4-4-12", s)
	}
	b, err := hex.DecodeString(strings.ReplaceAll(s, "-", ""))
	if err != nil || len(b) != 16 {
		return g, fmt.Errorf("got %q, want 32 hexadecimal digits as 8-4-4-4-12", s)
	}
	return GUID(swap(b)), nil
}

// swap turns the order of the text into that of the disk, and back.
func swap(b []byte) []byte {
	return []byte{b[3], b[2], b[1], b[0], b[5], b[4], b[7], b[6], b[8], b[9], b[10], b[11], b[12], b[13], b[14], b[15]}
}

// HashGUID makes the identifier of a hash: a UUID of version 8.
func HashGUID(sum []byte) GUID {
	b := append([]byte(nil), sum[:16]...)
	b[6] = b[6]&0x0F | 0x80
	b[8] = b[8]&0x3F | 0x80
	return GUID(swap(b))
}

// String returns the form that Linux shows: small letters.
func (g GUID) String() string { return FormatUUID([16]byte(swap(g[:]))) }

// FormatUUID writes 16 bytes in the order of the text, as file systems store them.
func FormatUUID(b [16]byte) string {
	s := hex.EncodeToString(b[:])
	return s[:8] + "-" + s[8:12] + "-" + s[12:16] + "-" + s[16:20] + "-" + s[20:]
}

// UUID returns the bytes in the order of the text.
func (g GUID) UUID() [16]byte { return [16]byte(swap(g[:])) }

func mustGUID(s string) GUID {
	g, err := ParseGUID(s)
	if err != nil {
		panic(err)
	}
	return g
}

// The types of partitions that have a name here.
var (
	ESP       = mustGUID("C12A7328-F81F-11D2-BA4B-00A0C93EC93B")
	BIOSBoot  = mustGUID("21686148-6449-6E6F-744E-656564454649")
	Linux     = mustGUID("0FC63DAF-8483-4772-8E79-3D69D8477DE4")
	Swap      = mustGUID("0657FD6D-A4AB-43C4-84E5-0933C84B4F4F")
	Data      = mustGUID("EBD0A0A2-B9E5-4433-87C0-68B6B72699C7") // Windows' basic data
	RootX8664 = mustGUID("4F68BCE3-E8CD-4DB1-96E7-FBCAF984B709")
	RootARM64 = mustGUID("B921B045-1DF0-41C3-AF44-4C6F280D3FAE")
	Home      = mustGUID("933AC7E1-2EB4-4F13-B844-0E14E2AEF915")
	LVM       = mustGUID("E6D6D379-F507-44C2-A23C-238F2A3DF928")
	RAID      = mustGUID("A19D880F-05FC-4D3B-A006-743F0F84911E")
	XBootLdr  = mustGUID("BC13C2FF-59E6-4262-A352-B275FD6F7172")
)

// MBR is the disk's identifier in an MBR, made of its GUID.
func (g GUID) MBR() uint32 { return le.Uint32(g[:]) }
