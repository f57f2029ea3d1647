package debian

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
)

// StanzaReader reads a deb822 file paragraph by paragraph, keeping the wanted
// fields only. Its memory is that of the longest paragraph.
type StanzaReader struct {
	lines *bufio.Scanner
	want  map[string]int
	spans [][2]int // of each wanted field in buf; {0, 0} if not there
	buf   []byte
	line  int
	name  string // of the file, for errors
}

// maxLine is the longest line of a deb822 file that is read, in bytes. The
// longest of Debian's indexes is about 150 kB.
const maxLine = 4 << 20

// NewStanzaReader reads r, called name in errors, and keeps the fields given.
func NewStanzaReader(r io.Reader, name string, fields ...string) *StanzaReader {
	s := &StanzaReader{lines: bufio.NewScanner(r), want: map[string]int{}, spans: make([][2]int, len(fields)), name: name}
	s.lines.Buffer(make([]byte, 0, 64<<10), maxLine)
	for i, f := range fields {
		s.want[f] = i
	}
	return s
}

// Next reads the next paragraph. It returns io.EOF at the end.
func (s *StanzaReader) Next() error {
	clear(s.spans)
	s.buf = append(s.buf[:0], 0) // so that no span is {0, 0}
	started, field := false, -1
	for s.lines.Scan() {
		s.line++
		line := bytes.TrimRight(s.lines.Bytes(), " \t\r")
		switch {
		case len(line) == 0:
			if started {
				return nil
			}
		case line[0] == '#':
		case line[0] == ' ' || line[0] == '\t':
			if !started {
				return fmt.Errorf("%s:%d: malformed paragraph: got a continuation line, want a field first", s.name, s.line)
			}
			if field >= 0 {
				s.buf = append(append(s.buf, '\n'), line[1:]...)
				s.spans[field][1] = len(s.buf)
			}
		default:
			key, value, ok := bytes.Cut(line, []byte(":"))
			if !ok || len(key) == 0 {
				return fmt.Errorf("%s:%d: malformed field: got %.40q, want \"Name: value\"", s.name, s.line, line)
			}
			started = true
			i, wanted := s.want[string(key)]
			if !wanted {
				field = -1
				continue
			}
			if s.spans[i] != [2]int{} {
				return fmt.Errorf("%s:%d: field %s given twice in one paragraph", s.name, s.line, key)
			}
			field = i
			start := len(s.buf)
			s.buf = append(s.buf, bytes.TrimLeft(value, " \t")...)
			s.spans[i] = [2]int{start, len(s.buf)}
		}
	}
	if err := s.lines.Err(); err != nil {
		return fmt.Errorf("reading %s after line %d: %w", s.name, s.line, err)
	}
	if started {
		return nil
	}
	return io.EOF
}

// Has reports whether the paragraph has the i-th wanted field.
func (s *StanzaReader) Has(i int) bool { return s.spans[i] != [2]int{} }

// Bytes returns the i-th wanted field, valid until Next.
func (s *StanzaReader) Bytes(i int) []byte { return s.buf[s.spans[i][0]:s.spans[i][1]] }

// String returns a copy of the i-th wanted field, "" if it is not there.
func (s *StanzaReader) String(i int) string {
	if !s.Has(i) {
		return ""
	}
	return string(s.Bytes(i))
}

// Errorf makes an error that names the paragraph's end.
func (s *StanzaReader) Errorf(format string, args ...any) error {
	return fmt.Errorf("%s:%d: %w", s.name, s.line, fmt.Errorf(format, args...))
}
