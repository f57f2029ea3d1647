package kconfig

import (
	"slices"
	"strings"
)

// Option is what the files say of one option, as far as it explains its value.
type Option struct {
	Name    string
	Type    string   // "bool", "tristate", "string", "int", "hex"; "" if not said
	Prompt  string   // what a menu shows; "" for an option that can't be asked for
	Depends []string // expressions, all of which must hold
	Selects []string // options that this one turns on
}

// Options holds what ParseOptions read, by name.
type Options map[string]*Option

// ParseOptions reads the text of Config.in or Kconfig files, one after the
// other. What it does not know it skips: it explains, it never decides.
func ParseOptions(b []byte) Options {
	p := optionsParser{opts: Options{}}
	joined := strings.ReplaceAll(string(b), "\\\n", " ")
	for line := range strings.Lines(joined) {
		p.line(strings.TrimRight(line, "\r\n"))
	}
	return p.opts
}

type optionsParser struct {
	opts    Options
	cur     *Option
	blocks  []*block // the open if, menu and choice blocks
	inMenu  bool     // "depends on" belongs to the last block
	help    bool
	helpCol int // indentation of the help text; -1 before its first line
}

// block is an if, menu or choice; what it depends on all its options do.
type block struct {
	depends []string
}

func (p *optionsParser) line(line string) {
	text := strings.TrimSpace(line)
	indent := indentation(line)
	if p.help {
		if text == "" {
			return
		}
		if p.helpCol < 0 {
			p.helpCol = indent
		}
		if indent >= p.helpCol && indent > 0 {
			return
		}
		p.help = false
	}
	word, rest, _ := strings.Cut(text, " ")
	if tab, r, ok := strings.Cut(word, "\t"); ok {
		word, rest = tab, r+" "+rest
	}
	rest = strings.TrimSpace(stripComment(rest))
	switch word {
	case "config", "menuconfig":
		p.option(rest)
	case "if":
		p.open(&block{depends: []string{rest}})
		p.inMenu = false
	case "menu", "choice":
		p.open(&block{})
		p.inMenu = true
	case "endif", "endmenu", "endchoice":
		p.cur, p.inMenu = nil, false
		if len(p.blocks) > 0 {
			p.blocks = p.blocks[:len(p.blocks)-1]
		}
	case "help", "---help---":
		p.help, p.helpCol = true, -1
	case "depends":
		p.depends(strings.TrimSpace(strings.TrimPrefix(rest, "on")))
	default:
		p.property(word, rest)
	}
}

func (p *optionsParser) open(b *block) {
	p.cur = nil
	p.blocks = append(p.blocks, b)
}

func (p *optionsParser) option(name string) {
	p.cur, p.inMenu = nil, false
	if !ValidName(name) {
		return
	}
	p.cur = p.opts[name]
	if p.cur == nil {
		p.cur = &Option{Name: name}
		p.opts[name] = p.cur
	}
	for _, b := range p.blocks {
		p.cur.Depends = append(p.cur.Depends, b.depends...)
	}
}

func (p *optionsParser) depends(expr string) {
	switch {
	case expr == "":
	case p.cur != nil:
		p.cur.Depends = append(p.cur.Depends, expr)
	case p.inMenu && len(p.blocks) > 0:
		b := p.blocks[len(p.blocks)-1]
		b.depends = append(b.depends, expr)
	}
}

func (p *optionsParser) property(word, rest string) {
	if p.cur == nil {
		return
	}
	switch word {
	case "bool", "tristate", "string", "int", "hex", "def_bool", "def_tristate":
		p.cur.Type = strings.TrimPrefix(word, "def_")
		if strings.HasPrefix(rest, `"`) && p.cur.Prompt == "" {
			p.cur.Prompt = quoted(rest)
		}
	case "prompt":
		p.cur.Prompt = quoted(rest)
	case "select":
		name, _, _ := strings.Cut(rest, " ")
		if ValidName(name) && !slices.Contains(p.cur.Selects, name) {
			p.cur.Selects = append(p.cur.Selects, name)
		}
	}
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

func quoted(s string) string {
	s = strings.TrimPrefix(s, `"`)
	if i := strings.IndexByte(s, '"'); i >= 0 {
		s = s[:i]
	}
	return s
}
