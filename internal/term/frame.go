package term

import (
	"fmt"
	"strings"
	"time"
)

// frame lays the lines out.
func (p *Progress) frame(now time.Time) []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	cols, rows := p.term.Size()
	room := max(rows-3, 1)
	var lines []string
	shown := p.tasks
	if len(shown) > room {
		shown = shown[:room-1]
	}
	for _, t := range shown {
		lines = append(lines, t.line(p.term, now, cols-1))
	}
	if n := len(p.tasks) - len(shown); n > 0 {
		lines = append(lines, p.term.Dim(fmt.Sprintf("  and %d more", n)))
	}
	if p.total > 0 {
		lines = append(lines, p.summary(now, cols-1))
	}
	return lines
}

// line is "  title      bar  63%  83.2/130 MB  12.1 MB/s  12.3 s"; on a narrow
// terminal the right side loses the bar, then the sizes.
func (t *task) line(term Term, now time.Time, cols int) string {
	right := term.Dim(elapsed(now.Sub(t.start)))
	if t.waiting {
		right = term.Dim("another labstar builds it")
	}
	if b := t.bytes; b.done > 0 && !t.waiting {
		sizes := Bytes(b.done)
		if b.size > 0 {
			sizes += " of " + Bytes(b.size)
		}
		if b.rate > 0 {
			sizes += "  " + Bytes(int64(b.rate)) + "/s"
		}
		if cols >= 50 {
			right = sizes + "  " + right
		}
		if b.size > 0 && cols >= 72 {
			right = term.bar(16, b.done, b.size) + "  " + right
		}
	}
	room := cols - 2 - 2 - Width(right)
	if room < 8 {
		return "  " + term.Truncate(t.title, cols-2)
	}
	title := term.Truncate(t.title, room)
	return "  " + title + strings.Repeat(" ", room-Width(title)+2) + right
}

func (p *Progress) summary(now time.Time, cols int) string {
	text := fmt.Sprintf("%d of %d", p.done, p.total)
	if n := len(p.tasks); n > 0 {
		text += fmt.Sprintf(", %d running", n)
	}
	text += ", " + elapsed(now.Sub(p.start))
	if width := min(cols-Width(text)-2, 40); width >= 8 {
		text = p.term.bar(width, int64(p.done), int64(p.total)) + "  " + text
	}
	return p.term.Truncate(text, cols)
}

// elapsed is Duration in the steps in which frames follow one another.
func elapsed(d time.Duration) string {
	if d < time.Second {
		return fmt.Sprintf("0.%d s", max(d, 0)/Interval)
	}
	return Duration(d.Truncate(Interval))
}

// bar draws done of total, width columns wide.
func (t Term) bar(width int, done, total int64) string {
	if total <= 0 {
		return strings.Repeat(" ", width)
	}
	full, empty := "━", "─"
	if !t.Unicode {
		full, empty = "#", "."
	}
	n := int(min(max(done, 0), total) * int64(width) / total)
	return t.Cyan(strings.Repeat(full, n)) + t.Dim(strings.Repeat(empty, width-n))
}
