package compile

import (
	"path"
	"slices"
	"strings"
)

// recipe is the line by which Kbuild makes one object: the compiler, perhaps
// objtool, which rewrites the object in place, and fixdep, which makes of the list of
// headers one of the symbols that they mention. A cached object spares the compiler
// alone; of what is left, starting a shell, fixdep and rm is the larger part.
type recipe struct {
	cc      []string // the compiler's command line
	output  string
	depfile string   // made by the compiler, read by fixdep, removed
	cmdfile string   // what fixdep prints goes here
	tools   []string // paths of fixdep and objtool
}

// parseRecipe returns nil for any text that is not exactly such a line.
func parseRecipe(text string) *recipe {
	list := kbuildCommands(text)
	next := func() []string {
		if len(list) == 0 {
			return nil
		}
		return list[0]
	}
	r := &recipe{cc: next()}
	if len(r.cc) == 0 || strings.Contains(r.cc[0], "/") || KindOf(r.cc[0]) != CC || slices.Contains(r.cc, redirect) || slices.Contains(r.cc, pipe) {
		return nil
	}
	list = list[1:]
	u, why := parseCC(r.cc)
	if why != "" || u.mode != 'c' && u.mode != 'l' || u.depfile == "" {
		return nil
	}
	r.output, r.depfile = u.output, u.depfile
	if c := next(); len(c) > 1 && path.Base(c[0]) == "objtool" && c[len(c)-1] == r.output {
		for _, a := range c[1 : len(c)-1] {
			if !strings.HasPrefix(a, "--") {
				return nil
			}
		}
		r.tools = append(r.tools, c[0])
		list = list[1:]
	}
	if len(list) != 2 && len(list) != 3 {
		return nil
	}
	fix, rm := list[0], list[1]
	if len(fix) != 6 || path.Base(fix[0]) != "fixdep" || fix[1] != r.depfile || fix[2] != r.output || fix[4] != redirect ||
		!slices.Equal(rm, []string{"rm", "-f", r.depfile}) {
		return nil
	}
	r.tools = append(r.tools, fix[0])
	r.cmdfile = fix[5]
	if len(list) == 3 { // Kbuild as it was, which busybox has
		mv := list[2]
		if len(mv) != 4 || mv[0] != "mv" || mv[1] != "-f" || mv[2] != r.cmdfile {
			return nil
		}
		r.cmdfile = mv[3]
	}
	return r
}

// signals are those for which Kbuild sets traps; none comes in the course of things.
var signals = []string{"HUP", "INT", "QUIT", "TERM", "PIPE"}

// kbuildCommands splits a line of Kbuild, and leaves out what it does for every file:
// a message, and traps that remove the file if a signal comes.
func kbuildCommands(text string) [][]string {
	list := shellCommands(text)
	if len(list) == 0 || !slices.Equal(list[0], []string{"set", "-e"}) {
		return nil
	}
	for list = list[1:]; len(list) > 0; list = list[1:] {
		if c := list[0]; !(len(c) == 2 && c[0] == "echo" || len(c) == 3 && c[0] == "trap" && slices.Contains(signals, c[2])) {
			break
		}
	}
	return list
}

// redirect and pipe stand for an unquoted > and | among a command's words.
const (
	redirect = "\x00>"
	pipe     = "\x00|"
)

// shellCommands splits a shell's text into commands and their words, if it has
// nothing but plain words, quotes, >, | and ;. Otherwise it returns nil.
func shellCommands(text string) (list [][]string) {
	var words []string
	var w strings.Builder
	word := false
	flush := func() {
		if word {
			words = append(words, w.String())
			w.Reset()
			word = false
		}
	}
	for i := 0; i < len(text); i++ {
		switch c := text[i]; c {
		case ' ', '\t':
			flush()
		case ';':
			flush()
			if len(words) == 0 {
				return nil
			}
			list, words = append(list, words), nil
		case '>':
			flush()
			words = append(words, redirect)
		case '|':
			flush()
			if len(words) == 0 || i+1 < len(text) && text[i+1] == '|' {
				return nil
			}
			words = append(words, pipe)
		case '\'':
			end := strings.IndexByte(text[i+1:], '\'')
			if end < 0 {
				return nil
			}
			w.WriteString(text[i+1 : i+1+end])
			word = true
			i += 1 + end
		case '"':
			end := strings.IndexByte(text[i+1:], '"')
			if end < 0 || strings.ContainsAny(text[i+1:i+1+end], "$`\\\x00") {
				return nil
			}
			w.WriteString(text[i+1 : i+1+end])
			word = true
			i += 1 + end
		case '\\':
			if i++; i == len(text) || text[i] == '\n' || text[i] == 0 {
				return nil
			}
			w.WriteByte(text[i])
			word = true
		case '$', '`', '&', '(', ')', '<', '{', '}', '*', '?', '[', '~', '#', '!', '\n', '\r', 0:
			return nil
		default:
			w.WriteByte(c)
			word = true
		}
	}
	flush()
	if len(words) > 0 {
		list = append(list, words)
	}
	for _, c := range list {
		if strings.Contains(c[0], "=") { // an assignment
			return nil
		}
	}
	return list
}
