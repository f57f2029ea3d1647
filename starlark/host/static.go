package host

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"regexp"
	"slices"
	"strings"
	"sync"

	"go.starlark.net/resolve"
	"go.starlark.net/starlark"
	"go.starlark.net/syntax"

	"github.com/labstar/labstar/starlark/schema"
)

// This file reports what is wrong before anything runs: syntax, names, loads.

func indexNewline(b []byte) int { return bytes.IndexByte(b, '\n') }

// maxReported bounds how many undefined names of a file are reported.
const maxReported = 20

// Words of Python that Starlark has not.
var notStarlark = map[string]string{
	"import": `use load("lib/x.star", "name")`,
	"from":   `use load("lib/x.star", "name")`,
	"while":  "labs have no while, so that every script ends: use for … in range(n)",
	"class":  "use a dict, or a function that returns one",
	"try":    "errors can't be caught: check beforehand",
	"raise":  `use fail("message")`,
	"except": "errors can't be caught: check beforehand",
	"with":   "Starlark has no with",
	"global": "a function can't change a global: return the value",
	"yield":  "return a list",
	"is":     "use ==",
	"assert": `use if not …: fail("message")`, // but see resolveErrors
	"struct": "use a dict, or a function that returns one",
	"json":   "labs have no module json: write the text with % or format, or keep it in a file",
	"del":    "use dict.pop or list.pop",
	"async":  "actions run side by side by themselves",
	"await":  "actions run side by side by themselves",
}

var formatString = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`\b[fF]["']`) })

func (ld *loader) syntaxErrors(m *module, err error) error {
	var se syntax.Error
	if !errors.As(err, &se) {
		return Errors{{File: m.name(), Msg: err.Error(), Err: err}}
	}
	line, col := int(se.Pos.Line), int(se.Pos.Col)
	e := m.errorAt(line, col, col+1, "syntax error: "+se.Msg)
	e.Err = err
	runes := []rune(e.Source)
	rest := ""
	if col >= 1 && col <= len(runes) {
		rest = string(runes[col-1:])
	}
	if word := identifier(rest); word != "" {
		e.EndCol = col + len([]rune(word))
		e.Hint = notStarlark[word]
	}
	if e.Hint == "" {
		first := identifier(strings.TrimLeft(e.Source, " \t"))
		e.Hint = notStarlark[first]
	}
	if strings.Contains(se.Msg, "got string literal") && formatString().MatchString(e.Source) {
		e.Hint = `Starlark has no f"…": use "%s" % x or "{}".format(x)`
	}
	if open := m.unclosed(); open > 0 {
		e.Hint = fmt.Sprintf("the bracket opened on line %d is not closed", open)
	}
	if strings.Contains(se.Msg, "got '='") {
		e.Hint = strings.TrimPrefix(e.Hint+"; to compare write ==", "; ")
	}
	return Errors{e}
}

func identifier(s string) string {
	i := 0
	for i < len(s) && (s[i] == '_' || s[i]|0x20 >= 'a' && s[i]|0x20 <= 'z' || i > 0 && s[i] >= '0' && s[i] <= '9') {
		i++
	}
	return s[:i]
}

// resolveErrors reports every name that is not there, and what else the
// resolver found.
func (ld *loader) resolveErrors(m *module, err error) error {
	var list resolve.ErrorList
	if !errors.As(err, &list) {
		return Errors{{File: m.name(), Msg: err.Error(), Err: err}}
	}
	var es Errors
	for _, re := range list {
		line, col := int(re.Pos.Line), int(re.Pos.Col)
		e := m.errorAt(line, col, col+1, re.Msg)
		e.Err = re
		runes := []rune(e.Source)
		if col >= 1 && col <= len(runes) {
			e.EndCol = col + max(1, len(identifier(string(runes[col-1:]))))
		}
		switch {
		case strings.HasPrefix(re.Msg, "undefined: "):
			name, _, _ := strings.Cut(strings.TrimPrefix(re.Msg, "undefined: "), " ")
			e.Msg = "undefined: " + name
			e.Hint = notStarlark[name]
			if name == "assert" && strings.HasSuffix(m.name(), "_test.star") {
				e.Hint = "this is a file of tests: labstar test " + m.name()
			}
			if e.Hint != "" {
				break
			}
			if s := schema.Suggest(name, ld.visible(m, line)); s != "" {
				e.Msg += fmt.Sprintf(" (did you mean %q?)", s)
			}
		case strings.Contains(re.Msg, "while loops"):
			e.Hint = notStarlark["while"]
		}
		es = append(es, e)
	}
	es.sort()
	if n := len(es) - maxReported; n > 0 {
		es = es[:maxReported]
		es[maxReported-1].Hint = fmt.Sprintf("and %d more like these", n)
	}
	return es
}

// visible lists the names that can be used on a line: builtins, Starlark's own,
// globals, what was loaded, and the locals of the functions around it.
func (ld *loader) visible(m *module, line int) []string {
	var names []string
	for name := range ld.predeclared {
		if !strings.HasPrefix(name, "*") {
			names = append(names, name)
		}
	}
	for name := range starlark.Universe {
		names = append(names, name)
	}
	syntax.Walk(m.file, func(n syntax.Node) bool {
		switch n := n.(type) {
		case *syntax.DefStmt:
			names = append(names, n.Name.Name)
			start, end := n.Span()
			return int(start.Line) <= line && line <= int(end.Line)
		case *syntax.Ident:
			if b, ok := n.Binding.(*resolve.Binding); ok && b.First != nil && b.Scope != resolve.Undefined {
				names = append(names, n.Name)
			}
		}
		return true
	})
	slices.Sort(names)
	return slices.Compact(names)
}

// loadStmt finds the load statement at a position; they are all at the top level.
func (ld *loader) loadStmt(m *module, line, col int) *syntax.LoadStmt {
	for _, stmt := range m.file.Stmts {
		if s, ok := stmt.(*syntax.LoadStmt); ok && samePos(s.Load, line, col) {
			return s
		}
	}
	return nil
}

// loadSite makes the error, without a message, of the load statement that runs.
func (ld *loader) loadSite(thread *starlark.Thread, _ string) *Error {
	e := ld.at(thread.CallStack())
	if m, ok := ld.module(e.File); ok {
		if s := ld.loadStmt(m, e.Line, e.Col); s != nil {
			e.point(m, s.Module)
		}
	}
	return e
}

// loadLine is the line of the load statement that the module is at.
func (ld *loader) loadLine(m *module) int {
	for i := range ld.thread.CallStackDepth() {
		if pos := ld.thread.CallFrame(i).Pos; pos.Filename() == m.name() {
			return int(pos.Line)
		}
	}
	return 0
}

// checkLoaded reports every name of the load statement that the module lacks.
func (ld *loader) checkLoaded(thread *starlark.Thread, loaded *module, spec string) error {
	site := ld.at(thread.CallStack())
	m, ok := ld.module(site.File)
	if !ok {
		return nil
	}
	s := ld.loadStmt(m, site.Line, site.Col)
	if s == nil {
		return nil
	}
	var public []string
	for name := range loaded.globals {
		if !strings.HasPrefix(name, "_") {
			public = append(public, name)
		}
	}
	slices.Sort(public)
	var es Errors
	for _, from := range s.From {
		if loaded.globals.Has(from.Name) {
			continue
		}
		e := *site
		e.Msg = fmt.Sprintf("%s has no %q", spec, from.Name)
		if meant := schema.Suggest(from.Name, public); meant != "" {
			e.Msg += fmt.Sprintf(" (did you mean %q?)", meant)
		} else if len(public) > 0 {
			e.Hint = "it has " + strings.Join(public[:min(len(public), 20)], ", ")
		}
		e.point(m, from)
		es = append(es, &e)
	}
	if es == nil {
		return nil
	}
	return es
}

// missing reports a module that can't be read, with the name that was meant.
func (ld *loader) missing(p place, err error, from *Error) error {
	if from == nil {
		from = &Error{File: p.name()}
	}
	if !errors.Is(err, fs.ErrNotExist) {
		return from.because("reading %s: %w", p.name(), err)
	}
	dir := path.Dir(p.path)
	var near []string
	entries, _ := fs.ReadDir(p.fsys, dir)
	for _, e := range entries {
		if strings.HasSuffix(e.Name(), ".star") {
			near = append(near, e.Name())
		}
	}
	es := from.because("there is no module %s", p.name())
	if from.Line == 0 {
		es[0].Msg = "there is no such script"
	}
	es[0].Err = err
	switch meant := schema.Suggest(path.Base(p.path), near); {
	case meant != "":
		es[0].Msg += fmt.Sprintf(" (did you mean %q?)", place{p.fsys, p.prefix, path.Join(dir, meant)}.name())
	case p.prefix == "" && strings.Contains(p.path, ":"): // as Bazel's labels
		es[0].Hint = fmt.Sprintf("a module is named by its path, as in load(%q, …)", "/"+path.Clean("/"+strings.ReplaceAll(p.path, ":", "/")))
	case len(near) > 0:
		es[0].Hint = "there are: " + strings.Join(near[:min(len(near), 20)], ", ")
	case from.Line == 0:
		es[0].Hint = "name the script: labstar run FILE"
	}
	return es
}

// errorAtGlobal points at the definition of a global.
func (m *module) errorAtGlobal(name, msg string) *Error {
	for _, b := range m.file.Module.(*resolve.Module).Globals {
		if b.First.Name == name {
			return m.errorAtNode(b.First, msg)
		}
	}
	return &Error{File: m.name(), Msg: msg}
}
