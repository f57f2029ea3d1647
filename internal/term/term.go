// Package term writes to terminals: colours, sizes and times as people read
// them, and a live region of progress lines that changes in place.
//
//	t := term.Of(os.Stderr, "auto")
//	fmt.Fprintln(os.Stderr, t.Red("error:"), err)
//
//	p := term.NewProgress(t, os.Stderr)
//	p.Total(3)
//	p.Start(key, "busybox 1.37.0")
//	p.Print("a line that stays, above the live ones")
//	p.End(key)
//	p.Close()
//
// Progress is the model (what runs, how far it is), Live the drawing (which bytes
// turn the last frame into this one). A frame is one write, at most ten a second,
// so that nothing flickers and a slow connection is not flooded.
package term

import (
	"os"
	"strings"

	"github.com/mattn/go-isatty"
)

// Term says what may be written to one stream.
type Term struct {
	Live    bool // a terminal that understands cursor movements
	Color   bool // colours are wanted and understood
	Unicode bool // the locale's encoding is UTF-8
	size    func() (cols, rows int)
}

// Of looks at the stream f. color is "always", "never" or "auto", by which
// colours are written if f is a terminal and NO_COLOR (no-color.org) is not set.
func Of(f *os.File, color string) Term {
	tty := isatty.IsTerminal(f.Fd()) && prepare(f)
	capable := tty && os.Getenv("TERM") != "dumb"
	t := Term{Live: capable, Unicode: utf8Locale(), size: func() (int, int) { return sizeOf(f) }}
	switch color {
	case "always":
		t.Color = true
	case "auto", "":
		t.Color = capable && os.Getenv("NO_COLOR") == ""
	}
	return t
}

// Size returns the terminal's columns and rows, 80 by 24 if they are not known.
func (t Term) Size() (cols, rows int) {
	if t.size != nil {
		cols, rows = t.size()
	}
	if cols <= 0 {
		cols = 80
	}
	if rows <= 0 {
		rows = 24
	}
	return cols, rows
}

// utf8Locale reports whether the environment names UTF-8. The first variable
// that is set decides, as in setlocale(3).
func utf8Locale() bool {
	for _, name := range []string{"LC_ALL", "LC_CTYPE", "LANG"} {
		if v := os.Getenv(name); v != "" {
			v = strings.ToLower(v)
			return strings.Contains(v, "utf-8") || strings.Contains(v, "utf8")
		}
	}
	return false
}

func (t Term) paint(code, s string) string {
	if !t.Color || s == "" {
		return s
	}
	return "\x1b[" + code + "m" + s + "\x1b[0m"
}

// Red marks errors.
func (t Term) Red(s string) string { return t.paint("31;1", s) }

// Green marks what is well.
func (t Term) Green(s string) string { return t.paint("32", s) }

// Yellow marks warnings.
func (t Term) Yellow(s string) string { return t.paint("33", s) }

// Cyan marks names and bars.
func (t Term) Cyan(s string) string { return t.paint("36", s) }

// Bold marks headings.
func (t Term) Bold(s string) string { return t.paint("1", s) }

// Dim marks what matters less.
func (t Term) Dim(s string) string { return t.paint("2", s) }
