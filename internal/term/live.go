package term

import (
	"fmt"
	"io"
	"strings"
	"sync"
)

// The escape sequences that a Live writes (ECMA-48, and DEC private modes).
const (
	hideCursor = "\x1b[?25l"
	showCursor = "\x1b[?25h"
	beginFrame = "\x1b[?2026h" // the terminal shows nothing until endFrame
	endFrame   = "\x1b[?2026l"
	down       = "\x1b[B"
	eraseLine  = "\x1b[K" // from the cursor to the end of the line
	eraseBelow = "\x1b[J" // from the cursor to the end of the screen; at its top, tmux keeps a copy
)

// Live is a region of lines at the bottom of a terminal that is drawn over and
// over, with lines that stay above it. The cursor waits below the region's last
// line. It is safe for use by several goroutines.
type Live struct {
	mu      sync.Mutex
	term    Term
	out     io.Writer
	drawn   []string // the region as it is on the screen
	cols    int      // the terminal's columns when it was drawn
	pending strings.Builder
	hidden  bool // the cursor is
	closed  bool
}

// NewLive returns a region with no lines on t, whose bytes go to out.
func NewLive(t Term, out io.Writer) *Live { return &Live{term: t, out: out} }

// Print adds text, ending in a newline, to what stays; the next Draw writes it.
func (l *Live) Print(text string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		_, _ = io.WriteString(l.out, text)
		return
	}
	l.pending.WriteString(text)
}

// Draw makes lines the region, with one write; none if nothing is different.
// Lines are cut to the width, and to the height from the front.
func (l *Live) Draw(lines []string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.closed {
		l.draw(lines)
	}
}

func (l *Live) draw(lines []string) {
	cols, rows := l.term.Size()
	if n := len(lines) - max(rows-1, 1); n > 0 {
		lines = lines[n:]
	}
	cut := make([]string, len(lines))
	for i, s := range lines {
		cut[i] = l.term.Truncate(s, cols-1) // a full line would leave the cursor about to wrap
	}
	if l.pending.Len() == 0 && cols == l.cols && equal(cut, l.drawn) {
		return
	}
	var b strings.Builder
	b.WriteString(beginFrame)
	if !l.hidden && len(cut) > 0 {
		b.WriteString(hideCursor)
		l.hidden = true
	}
	up := min(l.rowsOnScreen(cols), rows-1)
	back := ""
	if up > 0 {
		back = fmt.Sprintf("\x1b[%dA", up)
	}
	b.WriteString("\r" + back)
	if l.pending.Len() > 0 || len(cut) < up {
		b.WriteString(strings.Repeat(eraseLine+down, up) + back)
	}
	if cols != l.cols && l.cols != 0 {
		b.WriteString(eraseBelow) // who knows how the terminal broke the lines
	}
	b.WriteString(l.pending.String())
	l.pending.Reset()
	for _, s := range cut {
		b.WriteString(s + eraseLine + "\r\n")
	}
	b.WriteString(endFrame)
	_, _ = io.WriteString(l.out, b.String()) // a terminal that is gone needs no progress
	l.drawn, l.cols = cut, cols
}

// rowsOnScreen returns how many rows the region takes. A terminal that became
// narrower since has broken the lines that no longer fit.
func (l *Live) rowsOnScreen(cols int) int {
	n := 0
	for _, s := range l.drawn {
		n += max(1, (Width(s)+cols-1)/cols)
	}
	return n
}

func equal(a, b []string) bool {
	if len(a) != len(b) {
		return false
	}
	for i := range a {
		if a[i] != b[i] {
			return false
		}
	}
	return true
}

// Close takes the region off the screen, writes what is still to be printed and
// shows the cursor again. What is printed afterwards is written as it is.
func (l *Live) Close() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return
	}
	l.closed = true
	if l.pending.Len() > 0 || len(l.drawn) > 0 {
		l.draw(nil)
	}
	if l.hidden {
		_, _ = io.WriteString(l.out, showCursor)
		l.hidden = false
	}
}
