package term

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// Bytes writes a size in powers of 1000 with three digits: "0 B", "999 B",
// "1.23 MB", "45.6 GB".
func Bytes(n int64) string {
	if n < 1000 {
		return fmt.Sprintf("%d B", max(n, 0))
	}
	f, unit := float64(n), -1
	for f >= 999.5 && unit < 4 {
		f /= 1000
		unit++
	}
	return digits(f) + " " + []string{"kB", "MB", "GB", "TB", "PB"}[unit]
}

// digits writes f, below 1000, with three digits.
func digits(f float64) string {
	switch {
	case f < 9.995:
		return strconv.FormatFloat(f, 'f', 2, 64)
	case f < 99.95:
		return strconv.FormatFloat(f, 'f', 1, 64)
	}
	return strconv.FormatFloat(f, 'f', 0, 64)
}

// ParseBytes reads a size as Bytes writes it, the space and the "B" optional:
// "10GB", "500 M", "1.5GiB" (a power of 1024), "4096".
func ParseBytes(s string) (int64, error) {
	text := strings.TrimSpace(s)
	i := strings.IndexFunc(text, func(r rune) bool { return (r < '0' || r > '9') && r != '.' })
	number, unit := text, ""
	if i >= 0 {
		number, unit = text[:i], strings.ToLower(strings.TrimSpace(text[i:]))
	}
	unit = strings.TrimSuffix(unit, "b")
	base := int64(1000)
	if strings.HasSuffix(unit, "i") {
		base, unit = 1024, strings.TrimSuffix(unit, "i")
	}
	power := map[string]int{"": 0, "k": 1, "m": 2, "g": 3, "t": 4, "p": 5}
	n, known := power[unit]
	f, err := strconv.ParseFloat(number, 64)
	if err != nil || !known {
		return 0, fmt.Errorf("got size %q, want a number with a unit, such as 500MB, 10GB or 1GiB", s)
	}
	for range n {
		f *= float64(base)
	}
	if f > 1<<62 {
		return 0, fmt.Errorf("got size %q, want less than 4 EB", s)
	}
	return int64(f), nil
}

// Duration writes a time with the precision that is of use: "0.02 s", "3.2 s",
// "1 m 05 s", "2 h 07 m".
func Duration(d time.Duration) string {
	switch {
	case d < 0:
		return "0 s"
	case d < 95*time.Millisecond:
		return fmt.Sprintf("%.2f s", d.Seconds())
	case d < 59950*time.Millisecond:
		return fmt.Sprintf("%.1f s", d.Seconds())
	}
	d = d.Round(time.Second)
	if d < time.Hour {
		return fmt.Sprintf("%d m %02d s", int(d.Minutes()), int(d.Seconds())%60)
	}
	d = d.Round(time.Minute)
	return fmt.Sprintf("%d h %02d m", int(d.Hours()), int(d.Minutes())%60)
}
