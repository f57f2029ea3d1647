package kconfig

import (
	"fmt"
	"slices"
	"strings"
)

// Why says why an option did not get the value want, in words that follow "got n,
// want y:". It returns "" if the files don't tell. got is what conf made, asked
// what was asked for.
func (m *Model) Why(name, want string, got, asked Config) string {
	s := m.Tree.Lookup(name)
	if s == nil {
		return "this source has no such option"
	}
	w := why{m, got, asked}
	if t := w.wrongType(s, want); t != "" {
		return t
	}
	switch {
	case !s.isTri():
		return w.whyText(s, want)
	case triOf(got.Get(name)) > triOf(want):
		return w.whyOn(s, want)
	}
	return w.whyOff(s, triOf(want))
}

type why struct {
	m          *Model
	got, asked Config
}

func (w why) wrongType(s *Symbol, want string) string {
	is := "it is a " + s.Type + at(s.Pos(), "")
	if s.Type == "int" {
		is = "it is an int" + at(s.Pos(), "")
	}
	tri := want == "y" || want == "n" || want == "m"
	quoted := strings.HasPrefix(want, `"`)
	hex := strings.HasPrefix(want, "0x")
	switch {
	case s.Type == "bool" && want == "m":
		return is + ", which can't be a module: want True"
	case s.isTri() && !tri:
		return is + ": want True or False"
	case s.Type == "string" && !quoted:
		return is + ": want a string"
	case s.Type == "int" && (tri || quoted || hex):
		return is + ": want a number"
	case s.Type == "hex" && !hex:
		return is + `: want a string like "0x1000"`
	}
	return ""
}

func (w why) whyText(s *Symbol, want string) string {
	if w.m.visible(s) == No {
		return w.whyOff(s, Yes)
	}
	for _, e := range s.Entries {
		for _, r := range e.Ranges {
			if w.m.Eval(r.If) != No {
				return fmt.Sprintf("its range is %s to %s%s", w.m.operand(r.Low), w.m.operand(r.High), at(r.Pos, ""))
			}
		}
	}
	return ""
}

// whyOn explains an option that has more than was wanted.
func (w why) whyOn(s *Symbol, want string) string {
	if by := w.m.active(s); len(by) > 0 {
		return "selected by " + selectors(by)
	}
	if want == "m" && !w.m.modules() {
		if w.m.Tree.Modules == nil {
			return "this source has no modules"
		}
		return fmt.Sprintf("%s is off%s, so nothing can be a module", w.m.Tree.Modules.Name, at(w.m.Tree.Modules.Pos(), ""))
	}
	if s.Choice != nil {
		return fmt.Sprintf("one of a choice%s must be on: ask for another one of %s", at(s.Choice.Pos, ""), memberNames(s.Choice, s))
	}
	if len(s.Implied) > 0 && w.m.visible(s) == No && w.m.selected(s.Implied) != No {
		return "it can't be asked for now" + w.hidden(s) + ", and is implied by " + selectors(s.Implied)
	}
	for _, e := range s.Entries {
		for _, d := range e.Defaults {
			if w.m.visible(s) == No && w.m.entry(e) != No && w.m.Eval(d.If) != No {
				if s.HasPrompt() {
					return fmt.Sprintf("it can't be asked for now%s, and is %s by default%s", w.hidden(s), d.Value, at(d.Pos, ""))
				}
				return fmt.Sprintf("it has no prompt, and is %s by default%s", d.Value, at(d.Pos, ""))
			}
		}
	}
	return ""
}

// hidden says what hides the prompt of s: " (only with EXPERT (net/Kconfig:7))".
func (w why) hidden(s *Symbol) string {
	for _, e := range s.Entries {
		if list := w.hiding(e, Mod); len(list) > 0 {
			return " (only with " + list[0].Expr.String() + at(list[0].Pos, "") + ")"
		}
	}
	return ""
}

// whyOff explains an option that has less than was wanted.
func (w why) whyOff(s *Symbol, want Tri) string {
	if !s.HasPrompt() {
		return w.noPrompt(s, want)
	}
	if why := w.condition(s, want, map[*Symbol]bool{}); why != "" {
		if want == Yes && w.m.visible(s) == Mod {
			return "it can be a module only, since it " + why
		}
		return "it " + why
	}
	if s.Choice != nil {
		for _, winner := range s.Choice.Members {
			if winner == s || w.got[winner.Name] != "y" {
				continue
			}
			by := "by default"
			if w.asked[winner.Name] == "y" {
				by = "since it is asked for too"
			}
			return fmt.Sprintf("of a choice%s only one can be on, and %s is, %s", at(s.Choice.Pos, ""), winner.Name, by)
		}
	}
	return ""
}

func (w why) noPrompt(s *Symbol, want Tri) string {
	text := "it has no prompt" + at(s.Pos(), "") + ", so it can't be asked for"
	if len(s.Selectors) > 0 {
		text += "; selected by " + selectors(s.Selectors)
	} else if c := w.condition(s, want, map[*Symbol]bool{}); c != "" {
		text += "; it " + c
	} else if len(s.Entries[0].Defaults) > 0 {
		text += "; its default is " + s.Entries[0].Defaults[0].Value.String()
	}
	return text
}

// condition says which of the things that s depends on do not hold, and why not,
// down to what can be asked for; each option is explained once: seen has
// true for those, and false for those that were named. It looks at the place where
// fewest fail.
func (w why) condition(s *Symbol, want Tri, seen map[*Symbol]bool) string {
	if seen[s] {
		return ""
	}
	top := len(seen) == 0
	seen[s] = true
	var failing []Condition
	verb := "depends on"
	for _, e := range s.Entries {
		list := w.failing(e.conditions(), want)
		v := "depends on"
		if len(list) == 0 {
			list, v = w.hiding(e, want), "can be asked for only with"
		}
		if len(list) == 0 && (len(e.Prompts) > 0 || !s.HasPrompt()) {
			return ""
		}
		if len(list) > 0 && (failing == nil || len(list) < len(failing)) {
			failing, verb = list, v
		}
	}
	if !top {
		failing = slices.DeleteFunc(failing, func(c Condition) bool {
			_, named := seen[c.Expr.sym()]
			return named
		})
	}
	if len(failing) == 0 {
		return ""
	}
	for _, c := range failing {
		if sym := c.Expr.sym(); sym != nil && !seen[sym] {
			seen[sym] = false
		}
	}
	var parts []string
	for _, c := range failing {
		parts = append(parts, c.Expr.String()+at(c.Pos, w.because(c.Expr, want, seen)))
	}
	return verb + " " + strings.Join(parts, ", ")
}

// at is " (net/Kconfig:7; note)", without what is empty.
func at(p Pos, note string) string {
	text := note
	if p.File != "" {
		text = p.String()
		if note != "" {
			text += "; " + note
		}
	}
	if text == "" {
		return ""
	}
	return " (" + text + ")"
}

// sym returns the option that e is, nil if it is anything else.
func (e *Expr) sym() *Symbol {
	if e.Op == ExprName {
		return e.Sym
	}
	return nil
}

// failing cuts conditions at their "&&" and returns what does not hold.
func (w why) failing(list []Condition, want Tri) []Condition {
	var out []Condition
	for _, c := range list {
		for _, e := range c.Expr.conjuncts() {
			if w.m.Eval(e) < want && !slices.ContainsFunc(out, func(o Condition) bool { return o.Expr.String() == e.String() }) {
				out = append(out, Condition{c.Pos, e})
			}
		}
	}
	return out
}

// hiding returns the conditions of prompts that don't hold.
func (w why) hiding(e *Entry, want Tri) []Condition {
	var list []Condition
	for _, p := range e.Prompts {
		list = append(list, Condition{p.Pos, p.If})
	}
	for b := e.In; b != nil; b = b.In {
		list = append(list, b.Visible...)
	}
	return w.failing(list, want)
}

// because says why a condition does not hold: "off, and depends on NET (net/Kconfig:7; off)".
func (w why) because(e *Expr, want Tri, seen map[*Symbol]bool) string {
	s := e.sym()
	if s == nil {
		return w.states(e)
	}
	asked, isAsked := w.asked[s.Name]
	switch {
	case len(s.Entries) == 0:
		return "not an option of this architecture"
	case isAsked && asked == "n":
		return "asked to be off"
	case w.m.tri(s) == Mod && want == Yes:
		return "a module"
	}
	text := "off"
	if isAsked {
		text = "asked for, and off"
	}
	if why := w.condition(s, want, seen); why != "" {
		return text + ", " + why
	}
	if !s.HasPrompt() && len(s.Selectors) > 0 {
		return text + ", has no prompt, selected by " + selectors(s.Selectors)
	}
	return text
}

// states tells the values of the options in an expression that are wrong.
func (w why) states(e *Expr) string {
	var parts []string
	e.names(false, func(n *Expr, negated bool) {
		if n.Sym == nil {
			return
		}
		v := w.m.text(n.Sym)
		switch {
		case len(n.Sym.Entries) == 0:
			v = n.Sym.Name + " is unknown here"
		case n.Sym.isTri() && v == "n":
			v = n.Sym.Name + " is off"
		case n.Sym.isTri() && v == "y":
			v = n.Sym.Name + " is on"
		case n.Sym.isTri():
			v = n.Sym.Name + " is a module"
		default:
			v = fmt.Sprintf("%s is %q", n.Sym.Name, v)
		}
		if (negated == strings.HasSuffix(v, " is on") || !n.Sym.isTri()) && !slices.Contains(parts, v) {
			parts = append(parts, v)
		}
	})
	if len(parts) == 0 {
		return ""
	}
	if n := len(parts) - 4; n > 0 {
		parts = append(parts[:4], fmt.Sprintf("%d more", n))
	}
	return strings.Join(parts, ", ")
}

func selectors(list []*Select) string {
	var names []string
	for _, s := range list {
		if n := s.Entry.Symbol.Name + at(s.Pos, ""); !slices.Contains(names, n) {
			names = append(names, n)
		}
	}
	if n := len(names) - 4; n > 0 {
		names = append(names[:4], fmt.Sprintf("%d more", n))
	}
	return strings.Join(names, ", ")
}

func memberNames(b *Block, not *Symbol) string {
	var names []string
	for _, s := range b.Members {
		if s != not {
			names = append(names, s.Name)
		}
	}
	return strings.Join(names, ", ")
}
