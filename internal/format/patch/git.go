package patch

import (
	"strconv"
	"strings"
)

// git reads a change that begins with "diff --git".
func (p *parser) git() error {
	f := File{Line: p.i + 1}
	both := strings.TrimRight(strings.TrimPrefix(p.lines[p.i], "diff --git "), "\r\n")
	p.i++
	for p.i < len(p.lines) {
		line := strings.TrimRight(p.lines[p.i], "\r\n")
		if strings.HasPrefix(line, "--- ") && strings.HasPrefix(p.peek(1), "+++ ") {
			if err := p.names(&f, false); err != nil {
				return err
			}
			return p.finish(f)
		}
		if line == "GIT binary patch" || strings.HasPrefix(line, "Binary files ") {
			return p.errorf("a binary change, which can't be applied: put the file into the tree instead")
		}
		known, err := p.gitHeader(&f, line)
		if err != nil {
			return err
		}
		if !known {
			break
		}
		p.i++
	}
	// No hunks: an empty file, a mode, a rename.
	if !f.Rename && !f.Copy {
		name, err := p.sameName(both)
		if err != nil {
			return err
		}
		f.Old, f.New = name, name
		if f.Create {
			f.Old = ""
		}
		if f.Delete {
			f.New = ""
		}
	}
	p.files = append(p.files, f)
	return nil
}

// gitHeader reads one extended header line; known is false for any other line.
func (p *parser) gitHeader(f *File, line string) (known bool, err error) {
	mode := func(v *uint32, s string) error {
		n, err := strconv.ParseUint(s, 8, 32)
		if err != nil || n&modeType == modeGitlink {
			return p.errorf("unsupported mode %q: want 100644, 100755 or 120000", s)
		}
		*v = uint32(n)
		return nil
	}
	name := func(v *string, s string) error {
		if strings.HasPrefix(s, `"`) {
			if s, err = strconv.Unquote(s); err != nil {
				return p.errorf("damaged quoted name")
			}
		}
		// These names have no a/ or b/ before them.
		*v, err = p.stripped(s, max(p.strip-1, 0))
		return err
	}
	for _, h := range []struct {
		prefix string
		do     func(s string) error
	}{
		{"old mode ", func(s string) error { return mode(&f.OldMode, s) }},
		{"new mode ", func(s string) error { return mode(&f.NewMode, s) }},
		{"new file mode ", func(s string) error { f.Create = true; return mode(&f.NewMode, s) }},
		{"deleted file mode ", func(s string) error { f.Delete = true; return mode(&f.OldMode, s) }},
		{"rename from ", func(s string) error { f.Rename = true; return name(&f.Old, s) }},
		{"rename to ", func(s string) error { f.Rename = true; return name(&f.New, s) }},
		{"copy from ", func(s string) error { f.Copy = true; return name(&f.Old, s) }},
		{"copy to ", func(s string) error { f.Copy = true; return name(&f.New, s) }},
		{"similarity index ", nil}, {"dissimilarity index ", nil}, {"index ", nil},
	} {
		if s, ok := strings.CutPrefix(line, h.prefix); ok {
			if h.do == nil {
				return true, nil
			}
			return true, h.do(s)
		}
	}
	return false, nil
}

// sameName finds the name in "a/NAME b/NAME", where it may hold blanks.
func (p *parser) sameName(both string) (string, error) {
	if strings.HasPrefix(both, `"`) {
		q, err := strconv.QuotedPrefix(both)
		if err == nil {
			name, _, err := p.name(q)
			return name, err
		}
	}
	if n := len(both); n%2 == 1 && both[n/2] == ' ' {
		a, b := both[:n/2], both[n/2+1:]
		_, x, ok1 := strings.Cut(a, "/")
		_, y, ok2 := strings.Cut(b, "/")
		if a == b || ok1 && ok2 && x == y {
			name, _, err := p.name(a)
			return name, err
		}
	}
	return "", p.errorf("can't tell the file's name from %q", "diff --git "+both)
}
