package host

import (
	"fmt"
	"io"
	"strings"
	"unicode"
	"unicode/utf8"
)

// ANSI colours.
const (
	bold  = "\x1b[1m"
	red   = "\x1b[1;31m"
	cyan  = "\x1b[36m"
	faint = "\x1b[2m"
	reset = "\x1b[0m"
)

// Render writes the errors for people:
//
//	lab.star:12:19: busybox: unknown argument "optoins" (did you mean "options"?)
//	    12 | bb = busybox(src, optoins = {"STATIC": True})
//	       |                   ^^^^^^^
//	  hint: …
//	  called from lab.star:30:5 in app
func (es Errors) Render(w io.Writer, color bool) {
	for i, e := range es {
		if i > 0 {
			fmt.Fprintln(w)
		}
		e.Render(w, color)
	}
}

// maxStack is how many calls of a stack are shown.
const maxStack = 10

// Render writes one error.
func (e *Error) Render(w io.Writer, color bool) {
	paint := func(code, s string) string {
		if !color {
			return s
		}
		return code + s + reset
	}
	fmt.Fprintf(w, "%s: %s\n", paint(bold, printable(e.Position())), paint(red, indent(printable(e.Msg))))
	if e.Line > 0 && e.Source != "" {
		line, pad, carets := e.excerpt()
		fmt.Fprintf(w, "%6d | %s\n", e.Line, line)
		fmt.Fprintf(w, "%6s | %s%s\n", "", pad, paint(red, carets))
	}
	if e.Hint != "" {
		fmt.Fprintf(w, "  %s %s\n", paint(cyan, "hint:"), indent(printable(e.Hint)))
	}
	callee := e.in
	for i, f := range e.Stack {
		if i == maxStack && len(e.Stack) > maxStack+1 {
			fmt.Fprintf(w, "  %s\n", paint(faint, fmt.Sprintf("… and %d more", len(e.Stack)-i)))
			break
		}
		in := ""
		if f.Func != "" && f.Func != toplevel {
			in = " in " + f.Func
		}
		verb := "called from "
		if callee == toplevel {
			verb = "loaded from "
		}
		callee = f.Func
		fmt.Fprintf(w, "  %s\n", paint(faint, printable(verb+f.String()+in)))
	}
}

const toplevel = "<toplevel>"

// maxExcerpt is how many characters of a source line are shown.
const maxExcerpt = 160

// excerpt returns the source line, what to put before the carets, and those.
func (e *Error) excerpt() (line, pad, carets string) {
	runes := []rune(e.Source)
	start := min(max(e.Col-1, 0), len(runes))
	end := min(max(e.EndCol-1, start+1), max(len(runes), start+1))
	lead := ""
	if len(runes) > maxExcerpt {
		from := max(0, min(start-maxExcerpt/3, len(runes)-maxExcerpt))
		if from > 0 {
			lead = "…"
		}
		tail := ""
		if from+maxExcerpt < len(runes) {
			tail = "…"
		}
		runes = runes[from:min(from+maxExcerpt, len(runes))]
		start, end = start-from, min(end-from, len(runes))
		line = lead + show(runes) + tail
	} else {
		line = show(runes)
	}
	var b strings.Builder
	b.WriteString(strings.Repeat(" ", utf8.RuneCountInString(lead)))
	for _, r := range runes[:min(start, len(runes))] {
		if r == '\t' {
			b.WriteByte('\t')
		} else {
			b.WriteByte(' ')
		}
	}
	return line, b.String(), strings.Repeat("^", max(1, end-start))
}

// show keeps what a terminal would take as a command out of a source line.
func show(runes []rune) string {
	return strings.Map(func(r rune) rune {
		if r != '\t' && !unicode.IsPrint(r) {
			return '\uFFFD'
		}
		return r
	}, string(runes))
}

// printable is show for messages, which may have several lines.
func printable(s string) string {
	return strings.Map(func(r rune) rune {
		if r != '\t' && r != '\n' && !unicode.IsPrint(r) {
			return '\uFFFD'
		}
		return r
	}, s)
}

func indent(s string) string { return strings.ReplaceAll(strings.TrimRight(s, "\n"), "\n", "\n    ") }
