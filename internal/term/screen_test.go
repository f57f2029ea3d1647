package term

import (
	"strconv"
	"strings"
	"sync"
	"testing"
	"unicode/utf8"
)

// screen is a terminal: it understands the escape sequences that this package
// writes, wraps long lines and scrolls. Anything else fails the test.
type screen struct {
	t          *testing.T
	mu         sync.Mutex
	cols, rows int
	cells      [][]rune
	x, y       int
	scrolled   []string // lines that left at the top
	hidden     bool
	writes     int
}

func newScreen(t *testing.T, cols, rows int) *screen {
	s := &screen{t: t, cols: cols, rows: rows}
	for range rows {
		s.cells = append(s.cells, s.blank())
	}
	return s
}

func (s *screen) blank() []rune { return []rune(strings.Repeat(" ", s.cols)) }

func (s *screen) term() Term {
	return Term{Live: true, Unicode: true, size: func() (int, int) { return s.cols, s.rows }}
}

func (s *screen) Write(b []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.writes++
	for i := 0; i < len(b); {
		switch c := b[i]; c {
		case '\r':
			s.x = 0
			i++
		case '\n':
			if i == 0 || b[i-1] != '\r' {
				s.x = 0 // the line discipline of a terminal adds the return
			}
			s.down()
			i++
		case 0x1b:
			i += s.escape(b[i:])
		default:
			r, n := utf8.DecodeRune(b[i:])
			s.put(r)
			i += n
		}
	}
	return len(b), nil
}

func (s *screen) put(r rune) {
	if s.x >= s.cols {
		s.x = 0
		s.down()
	}
	s.cells[s.y][s.x] = r
	s.x++
}

func (s *screen) down() {
	if s.y < s.rows-1 {
		s.y++
		return
	}
	s.scrolled = append(s.scrolled, strings.TrimRight(string(s.cells[0]), " "))
	s.cells = append(s.cells[1:], s.blank())
}

func (s *screen) escape(b []byte) int {
	end := 2
	for b[end] < 0x40 || b[end] > 0x7e {
		end++
	}
	seq := string(b[2 : end+1])
	switch {
	case seq == "?25l":
		s.hidden = true
	case seq == "?25h":
		s.hidden = false
	case seq == "?2026h", seq == "?2026l", strings.HasSuffix(seq, "m"):
	case seq == "K":
		s.eraseLine(s.y, s.x)
	case seq == "J":
		s.eraseLine(s.y, s.x)
		for y := s.y + 1; y < s.rows; y++ {
			s.eraseLine(y, 0)
		}
	case seq == "B":
		s.y = min(s.y+1, s.rows-1)
	case strings.HasSuffix(seq, "A"):
		n, err := strconv.Atoi(strings.TrimSuffix(seq, "A"))
		if err != nil {
			s.t.Errorf("malformed cursor movement %q", seq)
		}
		s.y = max(s.y-n, 0)
	default:
		s.t.Errorf("unknown escape sequence %q", seq)
	}
	return end + 1
}

func (s *screen) eraseLine(y, x int) {
	for ; x < s.cols; x++ {
		s.cells[y][x] = ' '
	}
}

// resize breaks lines that no longer fit, as terminals do.
func (s *screen) resize(cols int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	var lines []string
	for _, row := range s.cells[:s.y+1] {
		line := []rune(strings.TrimRight(string(row), " "))
		for len(line) > cols {
			lines = append(lines, string(line[:cols]))
			line = line[cols:]
		}
		lines = append(lines, string(line))
	}
	s.cols, s.cells, s.x = cols, nil, 0
	for len(lines) > s.rows {
		s.scrolled = append(s.scrolled, lines[0])
		lines = lines[1:]
	}
	s.y = len(lines) - 1
	for i := range s.rows {
		row := s.blank()
		if i < len(lines) {
			copy(row, []rune(lines[i]))
		}
		s.cells = append(s.cells, row)
	}
}

// text is what the screen shows, without the empty lines below.
func (s *screen) text() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	var lines []string
	for _, row := range s.cells {
		lines = append(lines, strings.TrimRight(string(row), " "))
	}
	return strings.TrimRight(strings.Join(lines, "\n"), "\n")
}

func (s *screen) want(what, text string) {
	s.t.Helper()
	if got := s.text(); got != text {
		s.t.Errorf("%s: the screen shows\n%s\nwant\n%s", what, got, text)
	}
}
