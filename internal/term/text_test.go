package term

import (
	"strings"
	"testing"
	"time"
	"unicode"
)

func TestClean(t *testing.T) {
	for in, want := range map[string]string{
		"plain":                             "plain",
		"größe":                             "größe",
		"a\tb":                              "a       b",
		"\x1b[31mred\x1b[0m":                "red",
		"\x1b]0;title\x07text":              "text",
		"\x1b]8;;http://x\x1b\\link":        "link",
		"10%\r50%\r100%\r":                  "100%",
		"bell\a null\x00 del\x7f csi\u009b": "bell null del csi",
		"\xff\xfe broken":                   " broken",
		"abc\u202ecba":                      "abccba",
		"cut \x1b[3":                        "cut ",
	} {
		if got := Clean(in); got != want {
			t.Errorf("Clean(%q): got %q, want %q", in, got, want)
		}
	}
}

func TestTruncate(t *testing.T) {
	u := Term{Unicode: true}
	for _, c := range []struct {
		in    string
		width int
		want  string
	}{
		{"hello", 5, "hello"}, {"hello", 4, "hel…"}, {"hello", 1, "…"}, {"hello", 0, ""}, {"hello", -3, ""},
		{"日本語", 5, "日本…"}, {"日本語", 4, "日…"}, {"\x1b[31mhello\x1b[0m", 3, "\x1b[31mhe…\x1b[0m"},
	} {
		if got := u.Truncate(c.in, c.width); got != c.want {
			t.Errorf("Truncate(%q, %d): got %q, want %q", c.in, c.width, got, c.want)
		}
	}
	if got := (Term{}).Truncate("hello", 4); got != "he.." {
		t.Errorf("without Unicode: got %q", got)
	}
}

func TestBytes(t *testing.T) {
	for n, want := range map[int64]string{
		-1: "0 B", 0: "0 B", 999: "999 B", 1000: "1.00 kB", 1234: "1.23 kB", 9994: "9.99 kB", 9995: "10.0 kB",
		99949: "99.9 kB", 99950: "100 kB", 999499: "999 kB", 999500: "1.00 MB", 83_200_000: "83.2 MB", 1 << 62: "4612 PB",
	} {
		if got := Bytes(n); got != want {
			t.Errorf("Bytes(%d): got %q, want %q", n, got, want)
		}
	}
	for s, want := range map[string]int64{"0": 0, "4096": 4096, "10GB": 1e10, "500 M": 5e8, "1.5GiB": 3 << 29, "2k": 2000, "1 TB": 1e12, "1KiB": 1024} {
		if got, err := ParseBytes(s); err != nil || got != want {
			t.Errorf("ParseBytes(%q): got %d, %v, want %d", s, got, err, want)
		}
	}
	for _, s := range []string{"", "GB", "ten", "10 XB", "-5", "1e30", "99999PB", "1.2.3"} {
		if got, err := ParseBytes(s); err == nil {
			t.Errorf("ParseBytes(%q): got %d, want an error", s, got)
		}
	}
}

func TestDuration(t *testing.T) {
	for d, want := range map[time.Duration]string{
		-time.Second: "0 s", 0: "0.00 s", 18 * time.Millisecond: "0.02 s", 120 * time.Millisecond: "0.1 s",
		3210 * time.Millisecond: "3.2 s", 59940 * time.Millisecond: "59.9 s", 59960 * time.Millisecond: "1 m 00 s",
		65 * time.Second: "1 m 05 s", 127 * time.Minute: "2 h 07 m", time.Hour - time.Millisecond: "1 h 00 m",
	} {
		if got := Duration(d); got != want {
			t.Errorf("Duration(%v): got %q, want %q", d, got, want)
		}
	}
}

// What is cleaned holds nothing that a terminal would obey, and is cut exactly.
func FuzzClean(f *testing.F) {
	f.Add("a\x1b[31mb\r\tc", 3)
	f.Add("\x1b]0;x", 10)
	f.Add("日本\xff", 2)
	f.Fuzz(func(t *testing.T, s string, width int) {
		got := Clean(s)
		if i := strings.IndexFunc(got, unicode.IsControl); i >= 0 {
			t.Errorf("Clean(%q) keeps a control character: %q", s, got)
		}
		if width = width % 200; width >= 0 {
			if w := Width((Term{Unicode: true}).Truncate(got, width)); w > width {
				t.Errorf("Truncate(%q, %d) is %d wide", got, width, w)
			}
		}
	})
}
