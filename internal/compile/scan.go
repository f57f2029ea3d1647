package compile

import (
	"bytes"
	"slices"
	"strings"
)

// facts are what the text of one file says that matters to whoever reads it. A
// text has the same facts wherever it lies, so they are kept by digest.
type facts struct {
	includes []include
	symbols  []string // the CONFIG_ symbols mentioned, without the prefix, sorted
	pastes   bool     // makes names of CONFIG_ symbols by ##, so it may mean any
	computed bool     // has an #include whose name a macro gives
	opaque   string   // what makes it impossible to know all that a reader depends on
	clock    bool     // mentions __DATE__ or __TIME__
}

// include is one #include, or one operand of __has_include.
type include struct {
	name  string
	quote bool // "name", else <name>
	asked bool // only asked for, by __has_include
}

// scan reads a C or assembler text as far as facts go. It follows no
// conditionals: what is mentioned may be read.
func scan(text []byte) *facts {
	f := &facts{}
	f.scanIncludes(text)
	f.scanSymbols(text)
	for _, o := range []struct{ word, why string }{
		{"__TIMESTAMP__", "__TIMESTAMP__"}, {"#embed", "#embed"},
	} {
		if bytes.Contains(text, []byte(o.word)) {
			f.opaque = o.why
		}
	}
	f.clock = bytes.Contains(text, []byte("__DATE__")) || bytes.Contains(text, []byte("__TIME__"))
	return f
}

func (f *facts) scanIncludes(text []byte) {
	for rest := text; ; {
		i := bytes.IndexByte(rest, '#')
		if i < 0 {
			break
		}
		line := bytes.TrimLeft(rest[i+1:], " \t")
		rest = rest[i+1:]
		word := line[:identLen(line)]
		switch string(word) {
		case "include", "include_next", "import":
			f.addInclude(bytes.TrimLeft(line[len(word):], " \t\\\r\n"), false)
		}
	}
	const has = "__has_include"
	for rest := text; ; {
		i := bytes.Index(rest, []byte(has))
		if i < 0 {
			break
		}
		rest = rest[i+len(has):]
		arg := bytes.TrimPrefix(rest, []byte("_next"))
		if identLen(arg) > 0 {
			continue
		}
		if arg = bytes.TrimLeft(arg, " \t"); len(arg) > 0 && arg[0] == '(' {
			f.addInclude(bytes.TrimLeft(arg[1:], " \t"), true)
		}
	}
}

// addInclude takes the name at the start of b.
func (f *facts) addInclude(b []byte, asked bool) {
	if len(b) == 0 {
		return
	}
	until := byte('"')
	if b[0] == '<' {
		until = '>'
	} else if b[0] != '"' {
		if asked {
			f.opaque = "__has_include of a macro"
		}
		f.computed = true
		return
	}
	end := bytes.IndexByte(b[1:], until)
	if end <= 0 || bytes.IndexByte(b[1:1+end], '\n') >= 0 {
		return
	}
	in := include{name: string(b[1 : 1+end]), quote: until == '"', asked: asked}
	if !slices.Contains(f.includes, in) {
		f.includes = append(f.includes, in)
	}
}

const configPrefix = "CONFIG_"

// scanSymbols finds the CONFIG_ symbols as Kbuild's fixdep does: wherever the
// text stands, be it in a comment.
func (f *facts) scanSymbols(text []byte) {
	seen := map[string]bool{}
	f.pastes = scanPrefix(text, configPrefix, seen)
	for s := range seen {
		f.symbols = append(f.symbols, s)
	}
	slices.Sort(f.symbols)
}

// scanPrefix adds the names behind a prefix to seen, and reports whether others are
// made by ##.
func scanPrefix(text []byte, prefix string, seen map[string]bool) (pastes bool) {
	for at := 0; ; {
		i := bytes.Index(text[at:], []byte(prefix))
		if i < 0 {
			return pastes
		}
		start := at + i
		at = start + len(prefix)
		n := identLen(text[at:])
		if start > 0 && isIdent(text[start-1]) {
			continue
		}
		after := bytes.TrimLeft(text[at+n:], " \t")
		if bytes.HasPrefix(after, []byte("##")) || n == 0 && len(after) > 0 && (after[0] == ',' || after[0] == ')') {
			pastes = true
		}
		if n > 0 {
			seen[strings.TrimSuffix(string(text[at:at+n]), "_MODULE")] = true
		}
		at += n
	}
}

func isIdent(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '_'
}

// identLen is how many bytes of an identifier b starts with.
func identLen(b []byte) int {
	n := 0
	for n < len(b) && isIdent(b[n]) {
		n++
	}
	return n
}

// parseConfig reads a header that does nothing but define CONFIG_ symbols, as
// include/generated/autoconf.h. It reports false for any other text.
func parseConfig(text []byte) (map[string]string, bool) {
	values := map[string]string{}
	comment := false
	for line := range bytes.Lines(text) {
		l := strings.TrimSpace(string(line))
		switch {
		case comment:
			end := strings.Index(l, "*/")
			if end >= 0 && end+2 != len(l) {
				return nil, false
			}
			comment = end < 0
		case l == "":
		case strings.HasPrefix(l, "/*"):
			end := strings.Index(l[2:], "*/")
			if end >= 0 && end+4 != len(l) {
				return nil, false
			}
			comment = end < 0
		default:
			name, ok := strings.CutPrefix(l, "#define "+configPrefix)
			n := identLen([]byte(name))
			if !ok || n == 0 || n < len(name) && name[n] != ' ' || strings.HasSuffix(l, "\\") || strings.Contains(l, "/*") && !strings.Contains(l, `"`) {
				return nil, false
			}
			values[name[:n]] += "\n" + name[n:]
		}
	}
	return values, len(values) > 0 && !comment
}
