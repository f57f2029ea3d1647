package fat

import (
	"fmt"
	"slices"
	"strings"
	"unicode/utf16"
	"unicode/utf8"
)

// perLong is how many characters of a name one entry holds.
const perLong = 13

// CaseError is two names in one folder that FAT takes for the same.
type CaseError struct{ Path, Other string }

func (e *CaseError) Error() string {
	return fmt.Sprintf("%q and %q are one name to FAT, which does not tell capitals from small letters", e.Path, e.Other)
}

// name checks the names below n, sorts them, and gives each its short one.
func (n *Node) name(path string) error {
	slices.SortFunc(n.Children, func(a, b *Node) int { return strings.Compare(a.Name, b.Name) })
	seen := map[string]string{}
	taken := map[[11]byte]bool{}
	for _, c := range n.Children {
		at := path + "/" + c.Name
		if err := checkName(at, c.Name); err != nil {
			return err
		}
		if c.Size >= 1<<32 {
			return fmt.Errorf("%q has %d bytes, want fewer than 4 GiB, the limit of FAT", at, c.Size)
		}
		folded := strings.ToUpper(c.Name)
		if other, ok := seen[folded]; ok {
			return &CaseError{Path: at, Other: other}
		}
		seen[folded] = at
		// A name that is short as it is keeps it: those come first.
		if short, ok := shortName(folded); ok {
			c.short, c.long = short, folded != c.Name
			taken[short] = true
		}
		if c.Dir {
			if err := c.name(at); err != nil {
				return err
			}
		}
	}
	for _, c := range n.Children {
		if c.short[0] == 0 {
			c.short, c.long = alias(strings.ToUpper(c.Name), taken), true
			taken[c.short] = true
		}
	}
	return nil
}

func checkName(path, name string) error {
	switch {
	case !utf8.ValidString(name):
		return fmt.Errorf("%q: the name is no UTF-8, which FAT's names come from", path)
	case name == "" || name == "." || name == "..":
		return fmt.Errorf("invalid name %q", path)
	case strings.ContainsAny(name, `"*/:<>?\|`) || strings.ContainsFunc(name, func(r rune) bool { return r < 0x20 || r == 0x7F }):
		return fmt.Errorf("%q: FAT's names have none of \" * / : < > ? \\ | and no control characters", path)
	case strings.HasSuffix(name, ".") || strings.HasSuffix(name, " "):
		return fmt.Errorf("%q: FAT's names do not end with a dot or a space", path)
	case len(utf16.Encode([]rune(name))) > 255:
		return fmt.Errorf("%q: the name has %d characters, want at most 255", path, len(utf16.Encode([]rune(name))))
	}
	return nil
}

func shortChar(r rune) bool {
	return r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || r < 0x80 && strings.ContainsRune("$%'-_@~`!(){}^#&", r)
}

// shortName returns a name in capitals as 8 and 3 characters, if it is one.
func shortName(upper string) (s [11]byte, ok bool) {
	base, ext, dotted := strings.Cut(upper, ".")
	if base == "" || len(base) > 8 || len(ext) > 3 || dotted && ext == "" ||
		strings.ContainsFunc(base+ext, func(r rune) bool { return !shortChar(r) }) {
		return s, false
	}
	return pack(base, ext), true
}

func pack(base, ext string) (s [11]byte) {
	copy(s[:], "           ")
	copy(s[:8], base)
	copy(s[8:], ext)
	return s
}

// alias makes a short name of one that is none: its first characters, and a number.
func alias(upper string, taken map[[11]byte]bool) [11]byte {
	clean := func(s string) string {
		return strings.Map(func(r rune) rune {
			switch {
			case r == ' ' || r == '.':
				return -1
			case shortChar(r):
				return r
			}
			return '_'
		}, s)
	}
	base, ext := strings.TrimLeft(upper, "."), ""
	if i := strings.LastIndexByte(base, '.'); i > 0 {
		base, ext = base[:i], base[i+1:]
	}
	base, ext = clean(base), clean(ext)
	ext = ext[:min(3, len(ext))]
	for i := 1; ; i++ {
		tail := fmt.Sprintf("~%d", i)
		s := pack(base[:min(8-len(tail), len(base))]+tail, ext)
		if !taken[s] {
			return s
		}
	}
}

// longEntries is how many entries a name takes besides the short one.
func (n *Node) longEntries() int {
	if !n.long {
		return 0
	}
	return (len(utf16.Encode([]rune(n.Name))) + perLong - 1) / perLong
}

// entries is how many entries a folder has: its own two, or the root's label.
func (n *Node) entries(top bool) int {
	sum := 2
	if top {
		sum = 1
	}
	for _, c := range n.Children {
		sum += 1 + c.longEntries()
	}
	return sum
}

func checkLabel(label string) error {
	if len(label) > 11 || strings.ContainsFunc(label, func(r rune) bool { return !shortChar(r) && r != ' ' }) {
		return fmt.Errorf("got the label %q, want at most 11 characters: capitals, digits, space and a few signs", label)
	}
	return nil
}
