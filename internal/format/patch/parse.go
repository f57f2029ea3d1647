package patch

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/labstar/labstar/action"
)

// parser goes through the lines of a patch.
type parser struct {
	lines []string // with their line ends
	i     int
	strip int
	files []File
}

// Parse reads the changes of a patch, with strip leading parts dropped from each
// name, as in patch -pN. Text around the diffs (a mail, a comment) is skipped. A
// patch without any change is an error.
func Parse(b []byte, strip int) ([]File, error) {
	p := &parser{lines: splitLines(string(b)), strip: strip}
	for p.i < len(p.lines) {
		var err error
		switch line := p.lines[p.i]; {
		case strings.HasPrefix(line, "diff --git "):
			err = p.git()
		case strings.HasPrefix(line, "--- ") && strings.HasPrefix(p.peek(1), "+++ ") && strings.HasPrefix(p.peek(2), "@@ -"):
			err = p.plain()
		case strings.HasPrefix(line, "*** ") && strings.HasPrefix(p.peek(1), "--- ") && strings.HasPrefix(p.peek(2), "****"):
			err = p.errorf("a context diff; want a unified one (diff -u)")
		case strings.HasPrefix(line, "@@ -"):
			err = p.errorf("a hunk without a file before it")
		default:
			p.i++
		}
		if err != nil {
			return nil, err
		}
	}
	if len(p.files) == 0 {
		return nil, &SyntaxError{1, "no change found: want a unified diff, as from diff -u or git diff"}
	}
	return p.files, nil
}

// splitLines splits after each newline; the last line may lack its own.
func splitLines(s string) []string {
	if s == "" {
		return nil
	}
	lines := strings.SplitAfter(s, "\n")
	if lines[len(lines)-1] == "" {
		lines = lines[:len(lines)-1]
	}
	return lines
}

func (p *parser) peek(n int) string {
	if p.i+n < len(p.lines) {
		return p.lines[p.i+n]
	}
	return ""
}

func (p *parser) errorf(format string, args ...any) error {
	return &SyntaxError{p.i + 1, fmt.Sprintf(format, args...)}
}

// plain reads a change that begins with "--- " and "+++ ".
func (p *parser) plain() error {
	f := File{Line: p.i + 1}
	if err := p.names(&f, true); err != nil {
		return err
	}
	return p.finish(f)
}

// names reads the two lines that name the file.
func (p *parser) names(f *File, plain bool) error {
	oldName, oldGone, err := p.name(p.lines[p.i][4:])
	if err != nil {
		return err
	}
	p.i++
	newName, newGone, err := p.name(p.lines[p.i][4:])
	if err != nil {
		return err
	}
	p.i++
	if !plain && (f.Rename || f.Copy) {
		return nil // their own lines name them
	}
	f.Old, f.New = oldName, newName
	if plain {
		h := p.peek(0)
		f.Create = oldName == "" || oldGone && strings.HasPrefix(h, "@@ -0,0 ")
		f.Delete = newName == "" || newGone && strings.Contains(h, " +0,0 @@")
	}
	if f.Old == "" && f.New == "" {
		return p.errorf("both names are /dev/null")
	}
	return nil
}

// name reads a file name; gone is set if its time is the epoch, which is how
// diff -N marks a file that is not there.
func (p *parser) name(s string) (name string, gone bool, err error) {
	s = strings.TrimRight(s, "\r\n")
	stamp := ""
	if strings.HasPrefix(s, `"`) {
		q, err := strconv.QuotedPrefix(s)
		if err != nil {
			return "", false, p.errorf("damaged quoted name %s", s)
		}
		stamp = s[len(q):]
		if s, err = strconv.Unquote(q); err != nil {
			return "", false, p.errorf("damaged quoted name %s", q)
		}
	} else if before, after, ok := strings.Cut(s, "\t"); ok {
		s, stamp = before, after
	}
	gone = strings.HasPrefix(strings.TrimSpace(stamp), "1970-01-01 ") || strings.HasPrefix(strings.TrimSpace(stamp), "1969-12-31 ")
	if s == "/dev/null" {
		return "", true, nil
	}
	name, err = p.stripped(s, p.strip)
	return name, gone, err
}

// stripped drops n parts of a name and checks what is left.
func (p *parser) stripped(s string, n int) (string, error) {
	rest := s
	for range n {
		_, tail, ok := strings.Cut(strings.TrimLeft(rest, "/"), "/")
		if !ok {
			return "", p.errorf("name %q has too few parts to strip %d: use a smaller strip", s, n)
		}
		rest = tail
	}
	if strings.HasPrefix(rest, "/") && n == 0 {
		return "", p.errorf("absolute name %q: it would leave the tree", s)
	}
	clean, err := action.CleanPath(rest)
	if err != nil {
		return "", p.errorf("%v", err)
	}
	if clean == "" {
		return "", p.errorf("name %q has no parts left after stripping %d: use a smaller strip", s, n)
	}
	return clean, nil
}

// finish reads the hunks and adds the file.
func (p *parser) finish(f File) error {
	for strings.HasPrefix(p.peek(0), "@@ -") {
		h, err := p.hunk()
		if err != nil {
			return err
		}
		f.Hunks = append(f.Hunks, h)
	}
	p.files = append(p.files, f)
	return nil
}

// hunk reads one hunk, whose length its header gives.
func (p *parser) hunk() (Hunk, error) {
	h := Hunk{At: p.i + 1}
	head := p.lines[p.i]
	if !parseHunkHeader(head, &h) {
		return h, p.errorf("damaged hunk header %q, want @@ -LINE,COUNT +LINE,COUNT @@", strings.TrimSpace(head))
	}
	p.i++
	oldLeft, newLeft := h.OldLines, h.NewLines
	for oldLeft > 0 || newLeft > 0 || strings.HasPrefix(p.peek(0), `\`) {
		if p.i == len(p.lines) {
			return h, p.errorf("the patch ends inside a hunk: %d old and %d new lines are missing", oldLeft, newLeft)
		}
		line := p.lines[p.i]
		if strings.TrimRight(line, "\r\n") == "" {
			line = " " + line // an empty line whose blank some mailer ate
		}
		switch line[0] {
		case ' ':
			oldLeft, newLeft = oldLeft-1, newLeft-1
		case '-':
			oldLeft--
		case '+':
			newLeft--
		case '\\': // "\ No newline at end of file"
			n := len(h.Lines)
			if n == 0 {
				return h, p.errorf("%q without a line before it", strings.TrimSpace(line))
			}
			h.Lines[n-1].Text = strings.TrimSuffix(h.Lines[n-1].Text, "\n")
			p.i++
			continue
		default:
			return h, p.errorf("damaged hunk: got a line that begins with %q, want blank, - or +", line[0])
		}
		if oldLeft < 0 || newLeft < 0 {
			return h, p.errorf("damaged hunk: got more lines than its header says")
		}
		text := line[1:]
		if !strings.HasSuffix(text, "\n") {
			text += "\n" // the patch's own last line
		}
		h.Lines = append(h.Lines, Line{line[0], text})
		p.i++
	}
	return h, nil
}

// parseHunkHeader reads "@@ -1,2 +3,4 @@ text".
func parseHunkHeader(s string, h *Hunk) bool {
	rest, ok := strings.CutPrefix(s, "@@ -")
	oldRange, rest, ok1 := strings.Cut(rest, " +")
	newRange, _, ok2 := strings.Cut(rest, " @@")
	return ok && ok1 && ok2 && parseRange(oldRange, &h.OldStart, &h.OldLines) && parseRange(newRange, &h.NewStart, &h.NewLines)
}

func parseRange(s string, start, lines *int) bool {
	a, b, ok := strings.Cut(s, ",")
	if !ok {
		b = "1"
	}
	x, err1 := strconv.ParseUint(a, 10, 31)
	y, err2 := strconv.ParseUint(b, 10, 31)
	*start, *lines = int(x), int(y)
	return err1 == nil && err2 == nil
}
