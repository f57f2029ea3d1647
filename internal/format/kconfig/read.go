package kconfig

import (
	"errors"
	"fmt"
	"io/fs"
	"path"
	"strings"
)

// Source is what Read reads from.
type Source struct {
	// Open returns a file by its path in the source tree. A file that is not
	// there is an error that wraps fs.ErrNotExist.
	Open func(name string) ([]byte, error)
	// Env is the environment of conf: ARCH, SRCARCH, srctree, CC ….
	Env map[string]string
	// Probes are the answers to the shell commands of macros; what is not there
	// is not known.
	Probes Probes
}

// Read reads the Kconfig files from root on. Lines that it can't read are
// Problems of the tree; the error is about files that are not there.
func Read(src Source, root string) (*Tree, error) {
	p := &reader{
		src: src, env: src.Env, probes: src.Probes, vars: map[string]*variable{},
		tree: &Tree{Symbols: map[string]*Symbol{}}, block: &Block{},
	}
	if err := p.source(root, 0); err != nil {
		return nil, err
	}
	if p.block.In != nil {
		p.fail("%s without its end", p.block.Kind)
	}
	p.tree.finish(p.env["KERNELVERSION"])
	return p.tree, nil
}

// reader is the state of Read.
type reader struct {
	src    Source
	env    map[string]string
	probes Probes
	vars   map[string]*variable
	tree   *Tree

	file   string
	line   int
	toks   []token
	at     int
	budget int

	block  *Block // the innermost open block
	entry  *Entry // that the properties belong to, or
	holder *Block // a block that they belong to
	failed bool   // this line
}

func (p *reader) pos() Pos { return Pos{p.file, p.line} }

func (p *reader) fail(format string, args ...any) {
	if !p.failed {
		p.tree.Problems = append(p.tree.Problems, Problem{p.pos(), fmt.Sprintf(format, args...)})
	}
	p.failed = true
}

// maxFiles bounds the files that one reading goes through.
const maxFiles = 20000

// source reads one file.
func (p *reader) source(name string, depth int) error {
	if p.tree.Files++; p.tree.Files > maxFiles || depth > maxDepth {
		return fmt.Errorf("%s:%d: more than %d files, or %d deep: does a file source itself?", p.file, p.line, maxFiles, maxDepth)
	}
	text, err := p.src.Open(name)
	if err != nil {
		return err
	}
	file, line, open := p.file, p.line, p.block
	p.file, p.line = name, 0
	p.entry, p.holder = nil, nil
	if err := p.lines(string(text), depth); err != nil {
		return err
	}
	if p.block != open {
		p.fail("%s without its end in this file", p.block.Kind)
		p.block = open
	}
	p.file, p.line = file, line
	p.entry, p.holder = nil, nil
	return nil
}

// lines goes through the logical lines of a file.
func (p *reader) lines(text string, depth int) error {
	help, column := false, -1
	next := 0
	for len(text) > 0 {
		var line string
		line, text, _ = strings.Cut(text, "\n")
		next++
		p.line, p.failed, p.budget = next, false, maxExpand
		if help {
			trimmed := strings.TrimSpace(line)
			indent := indentation(line)
			if column < 0 && trimmed != "" {
				column = indent
			}
			if trimmed == "" || indent >= column && column > 0 {
				continue
			}
			help, column = false, -1
		}
		for strings.HasSuffix(line, "\\") {
			var more string
			more, text, _ = strings.Cut(text, "\n")
			next++
			line = line[:len(line)-1] + " " + more
		}
		isHelp, err := p.statement(strings.TrimRight(strings.TrimLeft(line, " \t"), " \t\r"), depth)
		if err != nil {
			return err
		}
		help = isHelp
	}
	return nil
}

// statement reads one logical line, and tells whether help text follows.
func (p *reader) statement(line string, depth int) (help bool, err error) {
	if line == "" || line[0] == '#' {
		return false, nil
	}
	n := 0
	for n < len(line) && wordByte(line[n]) {
		n++
	}
	word, rest := line[:n], line[n:]
	if word == "help" && strings.TrimSpace(rest) == "" || line == "---help---" {
		return true, nil
	}
	if line[0] == '$' { // a macro's name in a macro, or an expansion for its effect alone
		for n < len(line) && (wordByte(line[n]) || line[n] == '$' || line[n] == '(') {
			if line[n] == '(' {
				if n = closing(line, n+1); n < 0 {
					p.fail("no ) after $(")
					return false, nil
				}
			}
			n++
		}
		if p.assign(line[:n], strings.TrimLeft(line[n:], " \t")) {
			return false, nil
		}
		if p.tokens(line); len(p.toks) > 0 && !strings.Contains(p.toks[0].text, unknown) {
			p.fail("got %q, want a statement", line)
		}
		return false, nil
	}
	if p.assign(word, strings.TrimLeft(rest, " \t")) {
		return false, nil
	}
	switch word {
	case "source", "osource", "rsource", "orsource":
		return false, p.include(word, rest, depth)
	}
	f := statements[word]
	if f == nil {
		p.fail("unknown statement %q", line)
		return false, nil
	}
	p.tokens(rest)
	f(p)
	if p.at < len(p.toks) {
		p.fail("got %q at the end, want nothing more", p.toks[p.at].text)
	}
	return false, nil
}

// include follows a source statement. The "o" kinds may name a file that is not
// there, the "r" kinds one relative to the file that they stand in.
func (p *reader) include(word, rest string, depth int) error {
	name := p.expand(strings.Trim(strings.TrimSpace(stripComment(rest)), `"'`), nil, 0)
	if strings.Contains(name, unknown) {
		return nil
	}
	if strings.Contains(word, "rsource") {
		name = path.Join(path.Dir(p.file), name)
	}
	name = path.Clean(name)
	if tree := p.env["srctree"]; tree != "" {
		name = strings.TrimPrefix(name, path.Clean(tree)+"/")
	}
	err := p.source(name, depth+1)
	if errors.Is(err, fs.ErrNotExist) && word[0] == 'o' {
		return nil
	}
	return err
}

// ReadText reads the text of files that were put together already: what they
// would source is left out. Their lines have no file's name.
func ReadText(b []byte) (*Tree, error) {
	return Read(Source{Open: func(name string) ([]byte, error) {
		if name == "" {
			return b, nil
		}
		return nil, nil
	}}, "")
}
