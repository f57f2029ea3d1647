package patch

import (
	"fmt"
	"slices"
	"strings"
)

// Moved is a hunk that was found elsewhere than it said.
type Moved struct {
	Hunk   int // from 1
	Offset int // in lines
}

// Apply returns what the hunks make of old. The error is a *HunkError.
func (f *File) Apply(old []byte) ([]byte, []Moved, error) {
	lines := splitLines(string(old))
	var out strings.Builder
	var moved []Moved
	next, offset := 0, 0 // the first line not yet written; by how much hunks are off
	for i := range f.Hunks {
		h := &f.Hunks[i]
		want := h.side('-')
		start := h.OldStart - 1
		if h.OldLines == 0 {
			start = h.OldStart // behind that line
		}
		at, ok := find(lines, want, start+offset, next)
		if !ok {
			return nil, nil, &HunkError{File: f.Name(), Hunk: i + 1, At: h.At, Reason: f.mismatch(h, lines, want, start+offset)}
		}
		if at != start {
			moved = append(moved, Moved{i + 1, at - start})
		}
		offset = at - start
		for _, l := range lines[next:at] {
			out.WriteString(l)
		}
		for _, l := range h.side('+') {
			out.WriteString(l)
		}
		next = at + len(want)
	}
	for _, l := range lines[next:] {
		out.WriteString(l)
	}
	return []byte(out.String()), moved, nil
}

// find returns the position nearest to near, and not before from, where want is.
func find(lines, want []string, near, from int) (int, bool) {
	last := len(lines) - len(want)
	if len(want) == 0 {
		return near, near >= from && near <= last
	}
	fits := func(at int) bool {
		return at >= from && at <= last && slices.Equal(lines[at:at+len(want)], want)
	}
	for d := 0; near-d >= from || near+d <= last; d++ {
		if fits(near - d) {
			return near - d, true
		}
		if fits(near + d) {
			return near + d, true
		}
	}
	return 0, false
}

// mismatch says how the hunk differs from the place where it should be.
func (f *File) mismatch(h *Hunk, lines, want []string, at int) string {
	adds := slices.ContainsFunc(h.Lines, func(l Line) bool { return l.Op == '+' })
	if adds && h.OldLines > 0 {
		if _, ok := find(lines, h.side('+'), at, 0); ok {
			return "is there already: the patch was applied before, or its change is in the source by now; leave the patch out"
		}
	}
	best, bestScore := max(at, 0), -1
	for try := max(0, at-200); try <= min(len(lines), at+200); try++ {
		score := 0
		for j := 0; j < len(want) && try+j < len(lines); j++ {
			if lines[try+j] == want[j] {
				score++
			}
		}
		if score > bestScore || score == bestScore && abs(try-at) < abs(best-at) {
			best, bestScore = try, score
		}
	}
	for j, w := range want {
		if best+j >= len(lines) {
			return fmt.Sprintf("does not match: the file ends at line %d, want %q there", len(lines), clip(w))
		}
		if got := lines[best+j]; got != w {
			hint := ""
			if strings.TrimRight(got, "\r\n") == strings.TrimRight(w, "\r\n") {
				hint = " (only the line ends differ)"
			}
			return fmt.Sprintf("does not match at line %d%s:\n\tgot  %q\n\twant %q", best+j+1, hint, clip(got), clip(w))
		}
	}
	return fmt.Sprintf("does not match: want a place at line %d", at+1)
}

func abs(n int) int { return max(n, -n) }

// clip shortens a line for a message.
func clip(s string) string {
	if len(s) > 160 {
		return s[:160] + "…"
	}
	return s
}
