package openapi

import (
	"fmt"
	"math/bits"
	"strconv"
	"strings"
)

// Set is a set of releases: a bit for each of Versions.
type Set uint32

func parseSet(hex string) Set {
	n, _ := strconv.ParseUint(hex, 16, 32)
	return Set(n)
}

// Versions are the releases, oldest first: "1.31".
func Versions() []string { return load().versions }

// Newest is the set of the newest release alone.
func Newest() Set { return Set(1) << (len(Versions()) - 1) }

// Range reads "1.36", or "1.33..1.36", or "" for the newest.
func Range(s string) (Set, error) {
	if s == "" {
		return Newest(), nil
	}
	from, to, ok := strings.Cut(s, "..")
	if !ok {
		to = from
	}
	i, j := index(from), index(to)
	v := Versions()
	switch known := fmt.Sprintf("want one of %s to %s, or a range such as %q", v[0], v[len(v)-1], v[len(v)-4]+".."+v[len(v)-1]); {
	case i < 0:
		return 0, fmt.Errorf("got the Kubernetes version %q, %s", from, known)
	case j < 0:
		return 0, fmt.Errorf("got the Kubernetes version %q, %s", to, known)
	case i > j:
		return 0, fmt.Errorf("got %q, want the older version first: %q", s, to+".."+from)
	}
	return Set(1)<<(j+1) - Set(1)<<i, nil
}

// index finds a version; a patch release counts as its minor.
func index(version string) int {
	version = strings.TrimPrefix(strings.TrimSpace(version), "v")
	if strings.Count(version, ".") == 2 {
		version = version[:strings.LastIndexByte(version, '.')]
	}
	for i, v := range Versions() {
		if v == version {
			return i
		}
	}
	return -1
}

// Has reports whether all of sub are in s.
func (s Set) Has(sub Set) bool { return s&sub == sub }

// String names the set: "1.36", "1.33 to 1.36".
func (s Set) String() string {
	if s == 0 {
		return "no version"
	}
	low, high := bits.TrailingZeros32(uint32(s)), 31-bits.LeadingZeros32(uint32(s))
	if low == high {
		return Versions()[low]
	}
	return Versions()[low] + " to " + Versions()[high]
}

// First is the oldest release of the set, Last the newest.
func (s Set) First() string { return Versions()[bits.TrailingZeros32(uint32(s))] }

// Last is the newest release of the set.
func (s Set) Last() string { return Versions()[31-bits.LeadingZeros32(uint32(s))] }
