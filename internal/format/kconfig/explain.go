package kconfig

import (
	"fmt"
	"sort"
	"strings"
)

// Explain says why name did not get the value want in c, in words that follow
// "since": "it depends on HTTPD && !NOMMU; HTTPD is off". It returns "" if the
// files don't tell.
func (o Options) Explain(name, want string, c Config) string {
	opt := o[name]
	if opt == nil {
		return ""
	}
	if want == "n" {
		return o.selectors(name, c)
	}
	for _, expr := range opt.Depends {
		if Eval(expr, c) {
			continue
		}
		why := "it depends on " + expr
		if wrong := unmet(expr, c); wrong != "" && wrong != expr+" is off" {
			why += ", and " + wrong
		} else if wrong != "" {
			why += ", which is off"
		}
		return why
	}
	if opt.Prompt == "" {
		return "it can't be asked for: it has no prompt and is set by other options alone"
	}
	return ""
}

// selectors names the options that are on and turn name on.
func (o Options) selectors(name string, c Config) string {
	var by []string
	for _, opt := range o {
		for _, s := range opt.Selects {
			if s == name && c.Get(opt.Name) != "n" {
				by = append(by, opt.Name)
			}
		}
	}
	sort.Strings(by)
	switch {
	case len(by) == 0:
		return ""
	case len(by) > 4:
		return fmt.Sprintf("%s and %d more select it", strings.Join(by[:3], ", "), len(by)-3)
	case len(by) == 1:
		return by[0] + " selects it"
	}
	return strings.Join(by, ", ") + " select it"
}

// unmet lists the options of expr whose value keeps it from holding.
func unmet(expr string, c Config) string {
	p := exprParser{tokens: tokens(expr), config: c}
	p.or()
	seen := map[string]bool{}
	var parts []string
	for _, a := range p.atoms {
		if a.held || seen[a.name] {
			continue
		}
		seen[a.name] = true
		if a.negated {
			parts = append(parts, a.name+" is on")
		} else {
			parts = append(parts, a.name+" is off")
		}
	}
	return strings.Join(parts, ", ")
}

// Eval tells whether a dependency holds: names, "!", "&&", "||", "=", "!=" and
// parentheses. "m" counts as on. What it can't read holds.
func Eval(expr string, c Config) bool {
	p := exprParser{tokens: tokens(expr), config: c}
	v := p.or()
	return v || p.broken
}

type exprParser struct {
	tokens []string
	pos    int
	depth  int
	config Config
	broken bool
	negate bool
	atoms  []atom
}

// atom is one option that was looked at.
type atom struct {
	name          string
	negated, held bool
}

// maxDepth bounds parentheses, so that a hostile file can't exhaust the stack.
const maxDepth = 100

func (p *exprParser) peek() string {
	if p.pos < len(p.tokens) {
		return p.tokens[p.pos]
	}
	return ""
}

func (p *exprParser) next() string {
	t := p.peek()
	p.pos++
	return t
}

func (p *exprParser) or() bool {
	v := p.and()
	for p.peek() == "||" {
		p.pos++
		w := p.and()
		v = v || w
	}
	return v
}

func (p *exprParser) and() bool {
	v := p.not()
	for p.peek() == "&&" {
		p.pos++
		w := p.not()
		v = v && w
	}
	return v
}

func (p *exprParser) not() bool {
	if p.depth++; p.depth > maxDepth {
		p.broken = true
		p.pos = len(p.tokens)
		return true
	}
	defer func() { p.depth-- }()
	switch t := p.next(); t {
	case "!":
		p.negate = !p.negate
		v := p.not()
		p.negate = !p.negate
		return !v
	case "(":
		v := p.or()
		if p.next() != ")" {
			p.broken = true
		}
		return v
	default:
		return p.compare(t)
	}
}

func (p *exprParser) compare(name string) bool {
	if op := p.peek(); op == "=" || op == "!=" {
		p.pos++
		equal := p.value(name) == p.value(p.next())
		return equal == (op == "=")
	}
	if !ValidName(name) {
		p.broken = true
		return true
	}
	v := p.value(name) != "n"
	p.atoms = append(p.atoms, atom{name, p.negate, v != p.negate})
	return v
}

func (p *exprParser) value(t string) string {
	switch {
	case t == "y" || t == "m" || t == "n":
		return t
	case strings.HasPrefix(t, `"`):
		return t
	}
	return p.config.Get(t)
}

// tokens cuts an expression; what follows an " if " condition is left out.
func tokens(expr string) []string {
	var out []string
	for i := 0; i < len(expr); {
		switch ch := expr[i]; {
		case ch == ' ' || ch == '\t':
			i++
		case strings.HasPrefix(expr[i:], "&&"), strings.HasPrefix(expr[i:], "||"), strings.HasPrefix(expr[i:], "!="):
			out = append(out, expr[i:i+2])
			i += 2
		case ch == '"':
			j := strings.IndexByte(expr[i+1:], '"')
			if j < 0 {
				return append(out, expr[i:])
			}
			out = append(out, expr[i:i+j+2])
			i += j + 2
		case ValidName(string(ch)):
			j := i
			for j < len(expr) && ValidName(expr[j:j+1]) {
				j++
			}
			out = append(out, expr[i:j])
			i = j
		default:
			out = append(out, string(ch))
			i++
		}
	}
	return out
}
