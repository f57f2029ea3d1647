package kconfig

import "strings"

type tokenKind uint8

const (
	tokEnd tokenKind = iota
	tokWord
	tokString
	tokOp
)

// token is a word, a string in quotes, or an operator. Macros are expanded in
// text and not in raw.
type token struct {
	kind      tokenKind
	text, raw string
}

func (t token) is(op string) bool     { return t.kind == tokOp && t.text == op }
func (t token) word(word string) bool { return t.kind == tokWord && t.text == word }

func (t token) op() string {
	if t.kind == tokOp {
		return t.text
	}
	return ""
}

func (p *reader) tok() token {
	if p.at < len(p.toks) {
		return p.toks[p.at]
	}
	return token{text: "the end of the line"}
}

// tokens cuts a line into p.toks.
func (p *reader) tokens(s string) {
	p.toks, p.at = p.toks[:0], 0
	for i := 0; i < len(s); {
		c := s[i]
		switch {
		case c == ' ' || c == '\t' || c == '\r':
			i++
		case c == '#':
			return
		case c == '"' || c == '\'':
			i = p.quoted(s, i)
		case wordByte(c) || c == '$':
			i = p.word(s, i)
		default:
			n := 1
			if i+1 < len(s) {
				switch s[i : i+2] {
				case "&&", "||", "!=", "<=", ">=":
					n = 2
				}
			}
			if op := s[i : i+n]; strings.Contains("&&||!=<=>=!()", op) && op != "&" && op != "|" {
				p.toks = append(p.toks, token{tokOp, op, op})
			}
			// conf ignores any other character, too
			i += n
		}
	}
}

// word reads one that may have macros in it; one that expands to nothing is none.
func (p *reader) word(s string, i int) int {
	j, macro := i, false
	for j < len(s) && (wordByte(s[j]) || s[j] == '$') {
		if s[j] != '$' {
			j++
			continue
		}
		macro = true
		if j+1 >= len(s) || s[j+1] != '(' {
			j++
			continue
		}
		end := closing(s, j+2)
		if end < 0 {
			p.fail("no ) after $(")
			return len(s)
		}
		j = end + 1
	}
	t := token{tokWord, s[i:j], s[i:j]}
	if macro {
		t.text = p.expand(t.raw, nil, 0)
	}
	if t.text != "" {
		p.toks = append(p.toks, t)
	}
	return j
}

// quoted reads a string in quotes from s[i] on.
func (p *reader) quoted(s string, i int) int {
	quote := s[i]
	var b strings.Builder
	for j := i + 1; j < len(s); j++ {
		switch c := s[j]; {
		case c == quote:
			p.toks = append(p.toks, token{tokString, b.String(), s[i : j+1]})
			return j + 1
		case c == '\\' && j+1 < len(s):
			j++
			b.WriteByte(s[j])
		case c == '$' && j+1 < len(s) && s[j+1] == '(':
			end := closing(s, j+2)
			if end < 0 {
				p.fail("no ) after $(")
				return len(s)
			}
			b.WriteString(p.expand(s[j:end+1], nil, 0))
			j = end
		default:
			b.WriteByte(c)
		}
	}
	p.fail("a string without its closing quote")
	return len(s)
}

// indentation counts columns, with tabs to multiples of 8, as conf does.
func indentation(line string) int {
	col := 0
	for _, r := range line {
		switch r {
		case ' ':
			col++
		case '\t':
			col = col&^7 + 8
		default:
			return col
		}
	}
	return col
}

func stripComment(s string) string {
	inQuotes := false
	for i, r := range s {
		switch {
		case r == '"':
			inQuotes = !inQuotes
		case r == '#' && !inQuotes:
			return s[:i]
		}
	}
	return s
}
