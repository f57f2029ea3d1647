package kconfig

import (
	"strconv"
	"strings"
)

// Model computes what conf would make of a set of values, as far as the files
// say. It explains and searches; conf decides.
type Model struct {
	Tree *Tree
	// NoDefaults is set for allnoconfig: a bool or tristate option that nobody
	// set is off if it can be asked for.
	NoDefaults bool
	// Known are the values of a .config that conf made. They stand in where a
	// macro's value is not known.
	Known Config

	user   map[*Symbol]string
	memo   []memo
	chosen map[*Block]*Symbol
}

// memo is what is known of an option, for one version of the user's values.
type memo struct {
	busy, seen   bool
	value        Tri
	text         string
	visible      Tri
	visibleKnown bool
}

// NewModel returns a model in which the user set the values of user.
func NewModel(t *Tree, user Config) *Model {
	m := &Model{Tree: t, user: map[*Symbol]string{}, memo: make([]memo, len(t.order)), chosen: map[*Block]*Symbol{}}
	for name, v := range user {
		if s := t.Lookup(name); s != nil {
			m.user[s] = v
		}
	}
	return m
}

// With returns a model with more values.
func (m *Model) With(more Config) *Model {
	c := &Model{Tree: m.Tree, NoDefaults: m.NoDefaults, Known: m.Known, user: make(map[*Symbol]string, len(m.user)+len(more)),
		memo: make([]memo, len(m.Tree.order)), chosen: map[*Block]*Symbol{}}
	for s, v := range m.user {
		c.user[s] = v
	}
	for name, v := range more {
		if s := m.Tree.Lookup(name); s != nil {
			if s.Choice != nil && v == "y" { // of a choice the last one set counts
				for _, o := range s.Choice.Members {
					if c.user[o] == "y" {
						delete(c.user, o)
					}
				}
			}
			c.user[s] = v
		}
	}
	return c
}

// Value returns the value of an option as a .config has it.
func (m *Model) Value(name string) string {
	s := m.Tree.Lookup(name)
	if s == nil {
		return "n"
	}
	return m.text(s)
}

func (m *Model) text(s *Symbol) string {
	if len(s.Entries) == 0 {
		return s.Name
	}
	c := m.calc(s)
	if s.isTri() {
		return c.value.String()
	}
	return c.text
}

func (m *Model) tri(s *Symbol) Tri {
	if len(s.Entries) == 0 {
		return No
	}
	return m.calc(s).value
}

func (m *Model) modules() bool {
	return m.Tree.Modules != nil && m.tri(m.Tree.Modules) != No
}

// narrow makes y of an m where there can be none.
func (m *Model) narrow(s *Symbol, v Tri) Tri {
	if v == Mod && (s.Type == "bool" || s == m.Tree.Modules || !m.modules()) {
		return Yes
	}
	return v
}

func (m *Model) calc(s *Symbol) *memo {
	c := &m.memo[s.index]
	if c.seen || c.busy {
		return c
	}
	c.busy = true
	if s.isTri() {
		c.value = m.calcTri(s)
	} else {
		c.text = m.calcText(s)
	}
	c = &m.memo[s.index]
	c.busy, c.seen = false, true
	return c
}

func (m *Model) calcTri(s *Symbol) Tri {
	if s.Choice != nil {
		if m.visible(s) == No {
			return No
		}
		if m.choose(s.Choice) == s {
			return Yes
		}
		return No
	}
	v := No
	visible := m.visible(s)
	user, asked := m.userTri(s)
	if visible != No && asked {
		v = min(user, visible)
	} else {
		v = m.defaultTri(s)
		if implied := m.selected(s.Implied); implied != No {
			v = min(max(v, implied), m.Depends(s))
		}
	}
	v = max(v, m.selected(s.Selectors))
	return m.narrow(s, v)
}

// userTri is what the user set, or what allnoconfig sets instead.
func (m *Model) userTri(s *Symbol) (Tri, bool) {
	if v, ok := m.user[s]; ok {
		return triOf(v), true
	}
	return No, m.NoDefaults && s.HasPrompt()
}

func (m *Model) defaultTri(s *Symbol) Tri {
	for _, e := range s.Entries {
		for i := range e.Defaults {
			d := &e.Defaults[i]
			if cond := min(m.entry(e), m.Eval(d.If)); cond != No {
				if d.Value != nil && d.Value.Op == ExprUnknown {
					return triOf(m.Known.Get(s.Name))
				}
				return min(m.Eval(d.Value), cond)
			}
		}
	}
	return No
}

func (m *Model) calcText(s *Symbol) string {
	if v, ok := m.user[s]; ok && m.visible(s) != No {
		return strings.Trim(v, `"`)
	}
	for _, e := range s.Entries {
		for i := range e.Defaults {
			d := &e.Defaults[i]
			if min(m.entry(e), m.Eval(d.If)) == No {
				continue
			}
			if d.Value != nil && d.Value.Op == ExprUnknown {
				return strings.Trim(m.Known[s.Name], `"`)
			}
			return m.operand(d.Value)
		}
	}
	return map[string]string{"int": "0", "hex": "0x0"}[s.Type]
}

// choose picks the member of a choice, as conf does.
func (m *Model) choose(b *Block) *Symbol {
	if s, ok := m.chosen[b]; ok {
		return s
	}
	m.chosen[b] = nil // should it lead back here
	s := m.pick(b)
	m.chosen[b] = s
	return s
}

func (m *Model) pick(b *Block) *Symbol {
	var first, free *Symbol
	for _, s := range b.Members {
		if m.visible(s) == No {
			continue
		}
		if first == nil {
			first = s
		}
		v, set := m.user[s]
		if v == "y" {
			return s
		}
		if !set && free == nil {
			free = s
		}
	}
	if b.Optional {
		return nil
	}
	for i := range b.Defaults {
		d := &b.Defaults[i]
		if d.Value == nil || d.Value.Sym == nil || m.Eval(d.If) == No || m.visible(d.Value.Sym) == No {
			continue
		}
		if m.user[d.Value.Sym] != "n" {
			return d.Value.Sym
		}
		break
	}
	if free != nil {
		return free
	}
	return first
}

// visible tells how far the user can set an option.
func (m *Model) visible(s *Symbol) Tri {
	c := &m.memo[s.index]
	if c.visibleKnown {
		return c.visible
	}
	v := No
	for _, e := range s.Entries {
		if e.Transitional {
			v = Yes
		}
		for i := range e.Prompts {
			p := min(m.entry(e), m.Eval(e.Prompts[i].If))
			for b := e.In; b != nil && p != No; b = b.In {
				for _, c := range b.Visible {
					p = min(p, m.Eval(c.Expr))
				}
			}
			v = max(v, p)
		}
	}
	if v == Mod && (s.Type != "tristate" || !m.modules()) {
		v = Yes
	}
	c = &m.memo[s.index]
	c.visible, c.visibleKnown = v, true
	return v
}

// Depends is what all the places where an option is declared depend on.
func (m *Model) Depends(s *Symbol) Tri {
	v := No
	for _, e := range s.Entries {
		v = max(v, m.entry(e))
	}
	if v == Mod && s.Type == "bool" {
		return Yes
	}
	return v
}

func (m *Model) entry(e *Entry) Tri {
	v := m.block(e.In)
	for i := range e.Depends {
		if v == No {
			break
		}
		v = min(v, m.Eval(e.Depends[i].Expr))
	}
	return v
}

func (m *Model) block(b *Block) Tri {
	v := Yes
	for ; b != nil && v != No; b = b.In {
		for i := range b.Depends {
			v = min(v, m.Eval(b.Depends[i].Expr))
		}
	}
	return v
}

// selected is what the selects among list that hold come to.
func (m *Model) selected(list []*Select) Tri {
	v := No
	for _, s := range list {
		if v == Yes {
			break
		}
		t := m.tri(s.Entry.Symbol)
		if t <= v {
			continue
		}
		v = max(v, min(t, m.Eval(s.If), m.entry(s.Entry)))
	}
	return v
}

// Eval computes an expression. What is not known holds.
func (m *Model) Eval(e *Expr) Tri {
	if e == nil {
		return Yes
	}
	switch e.Op {
	case ExprName:
		if e.Sym == nil {
			if v := triOf(e.Text); v != Mod || m.modules() {
				return v
			}
			return No // "m" in an expression is "m && MODULES"
		}
		return m.tri(e.Sym)
	case ExprConst:
		return triOf(e.Text)
	case ExprUnknown:
		return Yes
	case ExprNot:
		return Yes - m.Eval(e.L)
	case ExprAnd:
		if v := m.Eval(e.L); v != No {
			return min(v, m.Eval(e.R))
		}
		return No
	case ExprOr:
		if v := m.Eval(e.L); v != Yes {
			return max(v, m.Eval(e.R))
		}
		return Yes
	}
	if m.compare(e) {
		return Yes
	}
	return No
}

// operand is the text of one side of a comparison, or of a default.
func (m *Model) operand(e *Expr) string {
	switch {
	case e == nil:
		return ""
	case e.Op == ExprConst || e.Op == ExprName && e.Sym == nil:
		return e.Text
	case e.Op == ExprName:
		return m.text(e.Sym)
	}
	return m.Eval(e).String()
}

func (m *Model) compare(e *Expr) bool {
	if e.L != nil && e.L.Op == ExprUnknown || e.R != nil && e.R.Op == ExprUnknown {
		return true
	}
	l, r := m.operand(e.L), m.operand(e.R)
	order := strings.Compare(l, r)
	x, errX := parseNumber(l, e.L)
	y, errY := parseNumber(r, e.R)
	if errX == nil && errY == nil {
		order = 0
		if x < y {
			order = -1
		} else if x > y {
			order = 1
		}
	}
	switch e.Op {
	case ExprEqual:
		return order == 0
	case ExprUnequal:
		return order != 0
	case ExprLess:
		return order < 0
	case ExprLessEqual:
		return order <= 0
	case ExprGreater:
		return order > 0
	}
	return order >= 0
}

func parseNumber(s string, e *Expr) (int64, error) {
	if e != nil && e.Sym != nil && e.Sym.Type == "hex" && !strings.HasPrefix(s, "0x") {
		return strconv.ParseInt(s, 16, 64)
	}
	if e != nil && e.Sym != nil && (e.Sym.Type == "int") {
		return strconv.ParseInt(s, 10, 64)
	}
	return strconv.ParseInt(s, 0, 64)
}
