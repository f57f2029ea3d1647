package debian

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// CompareVersions orders two versions as dpkg does (deb-version(7)): negative
// if a is older than b, 0 if equal, positive if newer. It takes any string.
func CompareVersions(a, b string) int {
	ae, au, ar := splitVersion(a)
	be, bu, br := splitVersion(b)
	if c := compareEpochs(ae, be); c != 0 {
		return c
	}
	if c := comparePart(au, bu); c != 0 {
		return c
	}
	return comparePart(ar, br)
}

// splitVersion cuts [epoch:]upstream[-revision].
func splitVersion(v string) (epoch, upstream, revision string) {
	if i := strings.IndexByte(v, ':'); i >= 0 {
		epoch, v = v[:i], v[i+1:]
	}
	if i := strings.LastIndexByte(v, '-'); i >= 0 {
		return epoch, v[:i], v[i+1:]
	}
	return epoch, v, ""
}

func compareEpochs(a, b string) int {
	a, b = strings.TrimLeft(a, "0"), strings.TrimLeft(b, "0")
	if len(a) != len(b) {
		return len(a) - len(b)
	}
	return strings.Compare(a, b)
}

// weight orders the characters of a non-digit run: "~" before the end of the
// part, letters before everything else.
func weight(s string, i int) int {
	if i >= len(s) || isDigit(s[i]) {
		return 0
	}
	switch c := s[i]; {
	case c == '~':
		return -1
	case c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z':
		return int(c)
	default:
		return int(c) + 256
	}
}

func isDigit(c byte) bool { return c >= '0' && c <= '9' }

// comparePart compares runs of non-digits and runs of digits in turn.
func comparePart(a, b string) int {
	i, j := 0, 0
	for i < len(a) || j < len(b) {
		for i < len(a) && !isDigit(a[i]) || j < len(b) && !isDigit(b[j]) {
			if d := weight(a, i) - weight(b, j); d != 0 {
				return d
			}
			i++
			j++
		}
		for i < len(a) && a[i] == '0' {
			i++
		}
		for j < len(b) && b[j] == '0' {
			j++
		}
		first := 0
		for i < len(a) && isDigit(a[i]) && j < len(b) && isDigit(b[j]) {
			if first == 0 {
				first = int(a[i]) - int(b[j])
			}
			i++
			j++
		}
		if i < len(a) && isDigit(a[i]) {
			return 1
		}
		if j < len(b) && isDigit(b[j]) {
			return -1
		}
		if first != 0 {
			return first
		}
	}
	return 0
}

// CheckVersion reports why v is no valid version (Debian Policy 5.6.12).
func CheckVersion(v string) error {
	epoch, upstream, revision := splitVersion(v)
	if strings.Contains(v, ":") {
		if _, err := strconv.ParseUint(epoch, 10, 31); err != nil {
			return fmt.Errorf("malformed version %q: got epoch %q, want a number", v, epoch)
		}
	}
	if upstream == "" || strings.HasSuffix(v, "-") {
		return fmt.Errorf("malformed version %q: %w", v, errors.New("a part is empty"))
	}
	for _, part := range []string{upstream, revision} {
		for _, c := range []byte(part) {
			if !isDigit(c) && (c|0x20 < 'a' || c|0x20 > 'z') && !strings.ContainsRune(".+-~:", rune(c)) {
				return fmt.Errorf("malformed version %q: got character %q, want letters, digits and .+-~", v, c)
			}
		}
	}
	return nil
}
