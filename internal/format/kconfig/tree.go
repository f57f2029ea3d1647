package kconfig

import "fmt"

// Pos is a line of a Kconfig file.
type Pos struct {
	File string // relative to the source tree
	Line int    // from 1
}

func (p Pos) String() string { return fmt.Sprintf("%s:%d", p.File, p.Line) }

// Tree is what the Kconfig files of a source tree declare.
type Tree struct {
	Symbols map[string]*Symbol
	Choices []*Block
	Modules *Symbol // the option with the property "modules"; may be nil
	// Problems are the lines that could not be read.
	Problems []Problem
	Files    int

	order []*Symbol
}

// Problem is a line that could not be read.
type Problem struct {
	Pos Pos
	Msg string
}

func (p Problem) String() string { return p.Pos.String() + ": " + p.Msg }

// Symbol is an option. One that is only mentioned has no Entries.
type Symbol struct {
	Name    string
	Type    string // "bool", "tristate", "string", "int", "hex"; "" if it is only mentioned
	Entries []*Entry
	// Selectors are the "select" lines of others that name this option.
	Selectors []*Select
	Implied   []*Select // the "imply" lines
	Choice    *Block    // the choice that it is a member of, or nil

	index int
}

// Entry is one "config" or "menuconfig" statement.
type Entry struct {
	Pos      Pos
	Symbol   *Symbol
	In       *Block
	Depends  []Condition
	Prompts  []Prompt
	Defaults []Default
	Ranges   []Range
	Selects  []*Select // and implies
	// Transitional options carry a value of an older configuration over.
	Transitional bool
}

// Condition is one "depends on", "if" or "visible if".
type Condition struct {
	Pos  Pos
	Expr *Expr
}

// Prompt is what makes an option one that can be asked for.
type Prompt struct {
	Pos  Pos
	Text string
	If   *Expr
}

// Default is a default value.
type Default struct {
	Pos       Pos
	Value, If *Expr
}

// Range limits a number.
type Range struct {
	Pos       Pos
	Low, High *Expr
	If        *Expr
}

// Select is a "select" or "imply" line of Entry.
type Select struct {
	Pos    Pos
	Entry  *Entry
	Target *Symbol
	If     *Expr
	Imply  bool
}

// Block is an if, menu or choice; everything inside depends on what it does.
type Block struct {
	Pos      Pos
	Kind     string // "", "if", "menu", "choice", "comment"
	In       *Block // nil at the top
	Depends  []Condition
	Visible  []Condition
	Prompts  []Prompt
	Defaults []Default // of a choice
	Members  []*Symbol // of a choice
	Optional bool
	Name     string // of a choice with one
}

func (t *Tree) symbol(name string) *Symbol {
	s := t.Symbols[name]
	if s == nil {
		s = &Symbol{Name: name, index: len(t.order)}
		t.Symbols[name] = s
		t.order = append(t.order, s)
	}
	return s
}

// Lookup returns a declared option, nil if there is none of that name.
func (t *Tree) Lookup(name string) *Symbol {
	if s := t.Symbols[name]; s != nil && len(s.Entries) > 0 {
		return s
	}
	return nil
}

// Names lists the declared options.
func (t *Tree) Names() []string {
	names := make([]string, 0, len(t.order))
	for _, s := range t.order {
		if len(s.Entries) > 0 {
			names = append(names, s.Name)
		}
	}
	return names
}

// Pos is where the option is declared first.
func (s *Symbol) Pos() Pos {
	if len(s.Entries) == 0 {
		return Pos{}
	}
	return s.Entries[0].Pos
}

// HasPrompt reports whether the option can be asked for anywhere.
func (s *Symbol) HasPrompt() bool {
	for _, e := range s.Entries {
		if len(e.Prompts) > 0 {
			return true
		}
	}
	return false
}

func (s *Symbol) isTri() bool { return s.Type == "bool" || s.Type == "tristate" }

// conditions returns all that the entry depends on, outermost first.
func (e *Entry) conditions() []Condition {
	var list []Condition
	if e.In != nil {
		list = e.In.conditions()
	}
	return append(list, e.Depends...)
}

func (b *Block) conditions() []Condition {
	var list []Condition
	if b.In != nil {
		list = b.In.conditions()
	}
	return append(list, b.Depends...)
}
