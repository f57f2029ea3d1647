package kconfig

import (
	"maps"
	"slices"
	"strings"
)

// Want is a value that an option is to have.
type Want struct{ Name, Value string }

// Solve looks for the smallest sets of values which, added to those of the
// model, give every option of wants its value. It returns the best first, a few
// at most, all of one size; none if it finds none. Options that are in keep are
// not set to anything else.
func (m *Model) Solve(wants []Want, keep Config) []Config {
	s := solver{keep: keep}
	states := []state{{add: Config{}, model: m}}
	var done []Config
	for round := 0; len(states) > 0 && round < 4*len(wants)+8; round++ {
		var next []state
		for _, st := range states {
			w, open := st.model.unmet(wants)
			if !open {
				done = append(done, st.model.trim(m, wants, st.add))
				continue
			}
			s.model, s.steps = st.model, 0
			for _, c := range s.wanted(w) {
				if add, ok := merge(st.add, c); ok && len(add) > len(st.add) {
					next = append(next, state{add: add})
				}
			}
		}
		states = best(next, done)
		for i := range states {
			states[i].model = m.With(states[i].add)
		}
	}
	return smallest(done)
}

// state is a set that was found so far.
type state struct {
	add   Config
	model *Model
}

// unmet returns the first of wants that does not hold.
func (m *Model) unmet(wants []Want) (Want, bool) {
	for _, w := range wants {
		if !m.Has(w) {
			return w, true
		}
	}
	return Want{}, false
}

// Has reports whether the model gives an option the value.
func (m *Model) Has(w Want) bool { return SameValue(m.formatted(w.Name), w.Value) }

// formatted is Value with a string in its quotes.
func (m *Model) formatted(name string) string {
	v := m.Value(name)
	if s := m.Tree.Lookup(name); s != nil && s.Type == "string" {
		return Quote(v)
	}
	return v
}

// trim drops what turned out not to be needed.
func (m *Model) trim(base *Model, wants []Want, add Config) Config {
	add = maps.Clone(add)
	for _, name := range slices.Sorted(maps.Keys(add)) {
		v := add[name]
		delete(add, name)
		if _, open := base.With(add).unmet(wants); open {
			add[name] = v
		}
	}
	return add
}

// width is how many sets are followed side by side, and how many ways there are
// to get one option.
const width = 5

func best(next []state, done []Config) []state {
	limit := 1 << 30
	for _, d := range done {
		limit = min(limit, len(d))
	}
	slices.SortStableFunc(next, func(a, b state) int { return compareSets(a.add, b.add) })
	next = slices.CompactFunc(next, func(a, b state) bool { return maps.Equal(a.add, b.add) })
	var out []state
	for _, st := range next {
		// One that is larger than a solution may still shrink to its size by trim.
		if len(out) < width && len(st.add) <= limit {
			out = append(out, st)
		}
	}
	return out
}

func smallest(done []Config) []Config {
	slices.SortStableFunc(done, compareSets)
	done = slices.CompactFunc(done, func(a, b Config) bool { return maps.Equal(a, b) })
	for i, d := range done {
		if len(d) > len(done[0]) || i == 4 {
			return done[:i]
		}
	}
	return done
}

// compareSets puts the smaller set first, and of two equal ones that which
// switches less off.
func compareSets(a, b Config) int {
	if d := len(a) - len(b); d != 0 {
		return d
	}
	if d := a.off() - b.off(); d != 0 {
		return d
	}
	return strings.Compare(a.key(), b.key())
}

func (c Config) off() (n int) {
	for _, v := range c {
		if v == "n" {
			n++
		}
	}
	return n
}

func (c Config) key() string { return strings.Join(c.Names(), " ") }

// merge joins two sets; ok is false if they contradict each other.
func merge(a, b Config) (Config, bool) {
	c := maps.Clone(a)
	for n, v := range b {
		switch have, ok := c[n]; {
		case !ok || have == "m" && v == "y":
			c[n] = v
		case have != v && !(have == "y" && v == "m"):
			return nil, false
		}
	}
	return c, true
}

// solver finds what makes an expression hold in a model.
type solver struct {
	model *Model
	keep  Config
	path  []*Symbol // being looked at
	steps int
}

// maxSteps bounds one search, maxChain how far it goes from option to option.
const (
	maxSteps = 20000
	maxChain = 12
)

var nothing = []Config{{}}

func (s *solver) wanted(w Want) []Config {
	sym := s.model.Tree.Lookup(w.Name)
	switch {
	case sym == nil:
		return nil
	case !sym.isTri():
		return s.ask(sym, Yes, w.Value)
	case w.Value == "n":
		return s.off(sym)
	}
	list := s.on(sym, triOf(w.Value))
	if w.Value == "m" && !s.model.modules() && s.model.Tree.Modules != nil {
		return cross(list, s.on(s.model.Tree.Modules, Yes))
	}
	return list
}

// on returns the sets with which sym is at least v.
func (s *solver) on(sym *Symbol, v Tri) []Config {
	if s.model.tri(sym) >= v && s.model.tri(sym) != No {
		return nothing
	}
	kept, isKept := s.keep[sym.Name]
	if s.steps++; s.steps > maxSteps || len(s.path) > maxChain || slices.Contains(s.path, sym) || isKept && triOf(kept) < v {
		return nil
	}
	s.path = append(s.path, sym)
	defer func() { s.path = s.path[:len(s.path)-1] }()
	value := "y"
	if v == Mod && sym.Type == "tristate" {
		value = "m"
	}
	list := s.ask(sym, v, value)
	if len(list) == 0 {
		list = s.indirectly(sym, v)
	}
	return list
}

// ask returns the sets with which the user can give sym the value.
func (s *solver) ask(sym *Symbol, v Tri, value string) []Config {
	self := Config{sym.Name: value}
	if have, ok := s.model.user[sym]; ok && have == value {
		self = Config{}
	}
	if sym.Choice != nil && value == "y" {
		for _, o := range sym.Choice.Members {
			if o != sym && s.keep[o.Name] == "y" {
				return nil
			}
		}
	}
	var all []Config
	for _, e := range sym.Entries {
		for _, p := range e.Prompts {
			list := s.conditions(e, v)
			list = cross(list, s.expr(p.If, v))
			for b := e.In; b != nil && len(list) > 0; b = b.In {
				for _, c := range b.Visible {
					list = cross(list, s.expr(c.Expr, v))
				}
			}
			all = append(all, cross(list, []Config{self})...)
		}
	}
	return few(all)
}

// indirectly returns the sets with which other options turn sym on.
func (s *solver) indirectly(sym *Symbol, v Tri) []Config {
	var all []Config
	for _, sel := range sym.Selectors {
		list := s.expr(sel.If, v)
		if len(list) > 0 {
			list = cross(list, s.conditions(sel.Entry, v))
		}
		if len(list) > 0 {
			list = cross(list, s.on(sel.Entry.Symbol, v))
		}
		all = append(all, list...)
	}
	for _, e := range sym.Entries {
		for _, d := range e.Defaults {
			if !sym.HasPrompt() {
				list := cross(s.expr(d.If, v), s.expr(d.Value, v))
				if len(list) > 0 {
					all = append(all, cross(list, s.conditions(e, v))...)
				}
			}
		}
	}
	return few(all)
}

func (s *solver) conditions(e *Entry, v Tri) []Config {
	list := nothing
	for _, c := range e.conditions() {
		if list = cross(list, s.expr(c.Expr, v)); len(list) == 0 {
			break
		}
	}
	return list
}

// expr returns the sets with which e is at least v.
func (s *solver) expr(e *Expr, v Tri) []Config {
	if e == nil || s.model.Eval(e) >= v {
		return nothing
	}
	switch e.Op {
	case ExprName:
		if e.Sym == nil || len(e.Sym.Entries) == 0 || !e.Sym.isTri() {
			return nil
		}
		return s.on(e.Sym, v)
	case ExprNot:
		return s.not(e.L)
	case ExprAnd:
		list := s.expr(e.L, v)
		if len(list) == 0 {
			return nil
		}
		return cross(list, s.expr(e.R, v))
	case ExprOr:
		return few(slices.Concat(s.expr(e.L, v), s.expr(e.R, v)))
	case ExprEqual, ExprUnequal:
		return s.equal(e)
	}
	return nil
}

// not returns the sets with which e is n.
func (s *solver) not(e *Expr) []Config {
	if e == nil {
		return nil
	}
	if s.model.Eval(e) == No {
		return nothing
	}
	switch e.Op {
	case ExprName:
		if e.Sym == nil || len(e.Sym.Entries) == 0 {
			return nil
		}
		return s.off(e.Sym)
	case ExprNot:
		return s.expr(e.L, Yes)
	case ExprAnd:
		return few(slices.Concat(s.not(e.L), s.not(e.R)))
	case ExprOr:
		list := s.not(e.L)
		if len(list) == 0 {
			return nil
		}
		return cross(list, s.not(e.R))
	}
	return nil
}

func (s *solver) equal(e *Expr) []Config {
	if e.L == nil || e.L.Sym == nil || len(e.L.Sym.Entries) == 0 || e.R == nil || e.R.Sym != nil {
		return nil
	}
	sym, value := e.L.Sym, e.R.Text
	switch {
	case sym.isTri() && e.Op == ExprEqual && value == "n":
		return s.off(sym)
	case sym.isTri() && e.Op == ExprEqual && value != "m":
		return s.on(sym, triOf(value))
	case sym.isTri() && value == "n":
		return s.on(sym, Mod)
	case sym.isTri() && value == "y":
		return s.off(sym)
	}
	return nil
}

// off returns the sets with which sym is n.
func (s *solver) off(sym *Symbol) []Config {
	if s.model.tri(sym) == No {
		return nothing
	}
	kept, isKept := s.keep[sym.Name]
	if s.steps++; s.steps > maxSteps || len(s.path) > maxChain || slices.Contains(s.path, sym) || isKept && kept != "n" {
		return nil
	}
	s.path = append(s.path, sym)
	defer func() { s.path = s.path[:len(s.path)-1] }()
	list := nothing
	for _, sel := range s.model.active(sym) {
		if list = cross(list, s.off(sel.Entry.Symbol)); len(list) == 0 {
			return nil
		}
	}
	if sym.HasPrompt() {
		return cross(list, s.ask(sym, Mod, "n"))
	}
	if !sym.HasPrompt() && len(s.model.active(sym)) == 0 {
		return nil
	}
	return list
}

// active returns the selects that hold sym on.
func (m *Model) active(sym *Symbol) []*Select {
	var list []*Select
	for _, sel := range sym.Selectors {
		if min(m.tri(sel.Entry.Symbol), m.Eval(sel.If), m.entry(sel.Entry)) != No {
			list = append(list, sel)
		}
	}
	return list
}

// cross joins every set of a with every one of b.
func cross(a, b []Config) []Config {
	if len(a) == 1 && len(a[0]) == 0 {
		return b
	}
	if len(b) == 1 && len(b[0]) == 0 {
		return a
	}
	var all []Config
	for _, x := range a {
		for _, y := range b {
			if c, ok := merge(x, y); ok {
				all = append(all, c)
			}
		}
	}
	return few(all)
}

func few(all []Config) []Config {
	slices.SortStableFunc(all, func(a, b Config) int {
		if d := len(a) - len(b); d != 0 {
			return d
		}
		return a.off() - b.off()
	})
	var out []Config
	for _, c := range all {
		if len(out) < width && !slices.ContainsFunc(out, func(o Config) bool { return maps.Equal(o, c) }) {
			out = append(out, c)
		}
	}
	return out
}
