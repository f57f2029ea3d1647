package kconfig

import "fmt"

// statements reads the rest of a line, in p.toks, by its first word.
var statements map[string]func(p *reader)

func init() {
	statements = map[string]func(p *reader){
		"config": (*reader).config, "menuconfig": (*reader).config,
		"choice": (*reader).choice, "menu": (*reader).menu, "comment": (*reader).menuComment, "if": (*reader).ifBlock,
		"endchoice": func(p *reader) { p.end("choice") }, "endmenu": func(p *reader) { p.end("menu") }, "endif": func(p *reader) { p.end("if") },
		"mainmenu": func(p *reader) { p.at++ },

		"bool": typed("bool"), "tristate": typed("tristate"), "string": typed("string"), "int": typed("int"), "hex": typed("hex"),
		"def_bool": defaultTyped("bool"), "def_tristate": defaultTyped("tristate"), "default": defaultTyped(""),
		"prompt": (*reader).prompt, "depends": (*reader).depends, "visible": (*reader).visible,
		"select": func(p *reader) { p.selects(false) }, "imply": func(p *reader) { p.selects(true) },
		"range": (*reader).ranges, "option": (*reader).option, "modules": func(p *reader) { p.modules() },
		"transitional": func(p *reader) {
			if p.entry != nil {
				p.entry.Transitional = true
			}
		},
		"optional": func(p *reader) {
			if p.holder != nil {
				p.holder.Optional = true
			}
		},
	}
}

func (p *reader) config() {
	p.entry, p.holder = nil, nil
	t := p.tok()
	if t.kind != tokWord {
		p.fail("got %s, want the name of an option", t.text)
		return
	}
	p.at++
	s := p.tree.symbol(t.text)
	p.entry = &Entry{Pos: p.pos(), Symbol: s, In: p.block}
	s.Entries = append(s.Entries, p.entry)
	for b := p.block; b != nil; b = b.In {
		if b.Kind == "choice" {
			if s.Choice == nil {
				s.Choice = b
				b.Members = append(b.Members, s)
			}
			break
		}
	}
}

func (p *reader) open(b *Block) {
	b.Pos, b.In = p.pos(), p.block
	p.block, p.entry, p.holder = b, nil, b
}

func (p *reader) choice() {
	b := &Block{Kind: "choice"}
	if t := p.tok(); t.kind == tokWord {
		p.at++
		b.Name = t.text
	}
	p.open(b)
	p.tree.Choices = append(p.tree.Choices, b)
}

func (p *reader) menu() {
	b := &Block{Kind: "menu"}
	p.open(b)
	p.promptOf(b)
}

// menuComment is a comment in the menu: its dependencies are read and not kept.
func (p *reader) menuComment() {
	p.entry, p.holder = nil, &Block{Kind: "comment", In: p.block}
	p.promptOf(p.holder)
}

func (p *reader) promptOf(b *Block) {
	t := p.tok()
	if t.kind == tokEnd {
		p.fail("no text")
		return
	}
	p.at++
	b.Prompts = append(b.Prompts, Prompt{Pos: p.pos(), Text: t.text, If: p.condition()})
}

func (p *reader) ifBlock() {
	b := &Block{Kind: "if"}
	p.open(b)
	p.holder = nil
	b.Depends = []Condition{{p.pos(), p.expr()}}
}

func (p *reader) end(kind string) {
	p.entry, p.holder = nil, nil
	if p.block.Kind != kind {
		p.fail("end%s without %s", kind, kind)
		return
	}
	p.block = p.block.In
}

// condition reads "if EXPR", if it is there.
func (p *reader) condition() *Expr {
	if !p.tok().word("if") {
		return nil
	}
	p.at++
	return p.expr()
}

func typed(name string) func(p *reader) {
	return func(p *reader) {
		if p.entry == nil {
			if p.holder == nil { // older kernels give a choice a type
				p.fail("%s without an option", name)
			}
		} else {
			p.entry.Symbol.setType(name)
		}
		if p.tok().kind != tokEnd {
			p.prompt()
		}
	}
}

func (s *Symbol) setType(name string) {
	if s.Type == "" {
		s.Type = name
	}
}

func defaultTyped(name string) func(p *reader) {
	return func(p *reader) {
		d := Default{Pos: p.pos(), Value: p.expr()}
		d.If = p.condition()
		switch {
		case p.entry != nil:
			if name != "" {
				p.entry.Symbol.setType(name)
			}
			p.entry.Defaults = append(p.entry.Defaults, d)
		case p.holder != nil:
			p.holder.Defaults = append(p.holder.Defaults, d)
		default:
			p.fail("default without an option")
		}
	}
}

func (p *reader) prompt() {
	t := p.tok()
	if t.kind != tokString && t.kind != tokWord {
		p.fail("got %s, want a text in quotes", t.text)
		return
	}
	p.at++
	pr := Prompt{Pos: p.pos(), Text: t.text, If: p.condition()}
	switch {
	case p.entry != nil:
		p.entry.Prompts = append(p.entry.Prompts, pr)
	case p.holder != nil:
		p.holder.Prompts = append(p.holder.Prompts, pr)
	default:
		p.fail("prompt without an option")
	}
}

func (p *reader) depends() {
	if !p.tok().word("on") {
		p.fail("got %s, want on", p.tok().text)
		return
	}
	p.at++
	e := p.expr()
	if cond := p.condition(); cond != nil {
		// "depends on X if Y" holds if X does, or if Y is n.
		e = &Expr{Op: ExprOr, L: e, R: &Expr{Op: ExprNot, L: &Expr{Op: ExprUnequal, L: cond, R: &Expr{Op: ExprName, Text: "n"}}}}
	}
	p.conditionOf(Condition{p.pos(), e}, false)
}

func (p *reader) visible() {
	if !p.tok().word("if") {
		p.fail("got %s, want if", p.tok().text)
		return
	}
	p.at++
	p.conditionOf(Condition{p.pos(), p.expr()}, true)
}

func (p *reader) conditionOf(c Condition, visible bool) {
	switch {
	case p.entry != nil && !visible:
		p.entry.Depends = append(p.entry.Depends, c)
	case p.holder != nil && visible:
		p.holder.Visible = append(p.holder.Visible, c)
	case p.holder != nil:
		p.holder.Depends = append(p.holder.Depends, c)
	default:
		p.fail("a dependency without an option")
	}
}

func (p *reader) selects(imply bool) {
	t := p.tok()
	if t.kind != tokWord || p.entry == nil {
		p.fail("got %s, want the name of an option", t.text)
		p.at = len(p.toks)
		return
	}
	p.at++
	s := &Select{Pos: p.pos(), Entry: p.entry, Target: p.tree.symbol(t.text), If: p.condition(), Imply: imply}
	p.entry.Selects = append(p.entry.Selects, s)
}

func (p *reader) ranges() {
	r := Range{Pos: p.pos(), Low: p.operand(), High: p.operand()}
	r.If = p.condition()
	if p.entry == nil {
		p.fail("range without an option")
		return
	}
	p.entry.Ranges = append(p.entry.Ranges, r)
}

// option is the older way to write some properties: option modules, env=….
func (p *reader) option() {
	if p.tok().word("modules") {
		p.modules()
	}
	p.at = len(p.toks)
}

func (p *reader) modules() {
	if p.entry == nil {
		p.fail("modules without an option")
		return
	}
	p.tree.Modules = p.entry.Symbol
}

// finish links the selects to what they select. Up to Linux 6.10 a choice whose
// prompt does not show has no member on; to depend on the prompt's condition is the
// same.
func (t *Tree) finish(kernel string) {
	for _, b := range t.Choices {
		for _, p := range b.Prompts {
			if p.If != nil && hiddenChoiceIsOff(kernel) {
				b.Depends = append(b.Depends, Condition{p.Pos, p.If})
			}
		}
	}
	for _, s := range t.order {
		for _, e := range s.Entries {
			for _, sel := range e.Selects {
				if sel.Imply {
					sel.Target.Implied = append(sel.Target.Implied, sel)
				} else {
					sel.Target.Selectors = append(sel.Target.Selectors, sel)
				}
			}
		}
	}
}

// hiddenChoiceIsOff reports whether version is one of Linux before 6.11.
func hiddenChoiceIsOff(version string) bool {
	var major, minor int
	if n, _ := fmt.Sscanf(version, "%d.%d", &major, &minor); n != 2 {
		return false
	}
	return major < 6 || major == 6 && minor < 11
}
