package compile

import (
	"path"
	"slices"
	"strings"

	"github.com/labstar/labstar/internal/pattern"
)

// line is a shell's text whose inputs and outputs are known from its form: of a
// kernel's build most processes are neither compilers nor make, but what stands
// around them.
type line struct {
	tools   []string // programs that it runs; they have to be the toolchain's
	inputs  []string // files that it reads, in the order of its words
	outputs []file   // what it writes, besides its standard output
}

var (
	arName   = pattern.New(`^([a-z0-9_]+-)*ar$`)
	arFlags  = pattern.New(`^[cDPrsST]*D[cDPrsST]*$`)
	ldName   = pattern.New(`^([a-z0-9_]+-)*ld(\.bfd)?$`)
	ldOption = pattern.New(`^(-v|-E[LB]|--[a-z][a-z0-9-]*)$`)
)

// generators are scripts of a kernel that read nothing but the files among their
// arguments; the first names what they write. Their own text is an input too.
// mkcapflags.sh starts half of all processes of a tiny kernel's build.
var generators = []string{"mkcapflags.sh"}

// parseLine returns nil for any text of another form.
func parseLine(text string) *line {
	if l := parseTry(text); l != nil {
		return l
	}
	list := kbuildCommands(text)
	if len(list) < 2 {
		return nil
	}
	saved := list[len(list)-1]
	if len(saved) != 5 || saved[0] != "printf" || saved[1] != `%s\n` || saved[3] != redirect {
		return nil
	}
	l := &line{}
	output := ""
	switch list = list[:len(list)-1]; {
	case len(list) == 1:
		output = l.generator(list[0])
	case len(list) == 2:
		output = l.archive(list[0], list[1])
	}
	if output == "" {
		return nil
	}
	l.outputs = []file{{role: "object", path: output, replace: len(list) == 2}, {role: "cmd", path: saved[4]}}
	return l
}

// generator reads the call of a script, and returns what it writes.
func (l *line) generator(c []string) string {
	if len(c) < 3 || c[0] != "sh" && c[0] != "/bin/sh" || !slices.Contains(generators, path.Base(c[1])) || slices.Contains(c, redirect) || slices.Contains(c, pipe) {
		return ""
	}
	l.tools, l.inputs = []string{c[0]}, append([]string{c[1]}, c[3:]...)
	return c[2]
}

// archive reads the making of a new archive, and returns its name. Members are
// arguments of ar, or come to it through printf and xargs.
func (l *line) archive(rm, c []string) string {
	if len(rm) != 3 || rm[0] != "rm" || rm[1] != "-f" {
		return ""
	}
	if c[0] == "printf" {
		end := slices.Index(c, pipe)
		if end < 2 || end+2 > len(c) || c[end+1] != "xargs" {
			return ""
		}
		prefix, ok := strings.CutSuffix(c[1], "%s ")
		if !ok || strings.ContainsAny(prefix, "%\\ '\"") {
			return ""
		}
		for _, name := range c[2:end] {
			if strings.ContainsAny(name, "\\ '\"\t\n") {
				return ""
			}
			l.inputs = append(l.inputs, prefix+name)
		}
		l.tools, c = append(l.tools, "xargs"), c[end+2:]
	}
	if len(c) < 3 || !arName().MatchString(c[0]) || !arFlags().MatchString(c[1]) || c[2] != rm[2] || slices.Contains(c, redirect) || slices.Contains(c, pipe) {
		return ""
	}
	l.tools, l.inputs = append(l.tools, "rm", c[0]), append(l.inputs, c[3:]...)
	return c[2]
}

const (
	tryHead  = `set -e; TMP=.tmp_$$/tmp; trap "rm -rf .tmp_$$" EXIT; mkdir -p .tmp_$$; if (`
	tryThen  = `) >/dev/null 2>&1; then echo "`
	tryElse  = `"; else echo "`
	tryTail  = `"; fi`
	tryNames = `"$TMP"`
)

// parseTry reads a question of Kbuild about a compiler or linker: a command in a
// folder of its own, of which nothing stays but the word that says whether it
// succeeded.
func parseTry(text string) *line {
	rest, ok := strings.CutPrefix(text, tryHead)
	command, rest, ok2 := strings.Cut(rest, tryThen)
	yes, rest, ok3 := strings.Cut(rest, tryElse)
	no, ok4 := strings.CutSuffix(rest, tryTail)
	if !ok || !ok2 || !ok3 || !ok4 || strings.ContainsAny(yes+no, "\"\\$`\n") {
		return nil
	}
	list := shellCommands(strings.TrimSpace(strings.ReplaceAll(command, tryNames, "tmp")))
	if len(list) != 1 || slices.Contains(list[0], redirect) || slices.Contains(list[0], pipe) {
		return nil
	}
	c := list[0]
	switch p := parseProbe(c); {
	case strings.Contains(c[0], "/"):
		return nil
	case KindOf(c[0]) == CC && p != nil && !p.input:
	case ldName().MatchString(c[0]) && onlyAsks(c[1:]):
	default:
		return nil
	}
	return &line{tools: []string{c[0], "rm", "mkdir"}}
}

// onlyAsks reports whether a linker's arguments name no file.
func onlyAsks(args []string) bool {
	for i := 0; i < len(args); i++ {
		switch a := args[i]; {
		case (a == "-m" || a == "-z") && i+1 < len(args):
			i++
		case !ldOption().MatchString(a):
			return false
		}
	}
	return slices.Contains(args, "-v")
}

var appending = pattern.New(`^set -e; *(?:trap '[^'\\]*' (?:HUP|INT|QUIT|TERM|PIPE); *)*\{ echo ; echo '([^'\\]*)' ; \} >> ([A-Za-z0-9_./+-]+)$`)

// parseAppending reads a line that adds an empty line and a text to a file, as Kbuild
// does for each object that objtool has rewritten.
func parseAppending(text string) (added, to string, ok bool) {
	m := appending().FindStringSubmatch(text)
	if m == nil {
		return "", "", false
	}
	return "\n" + m[1] + "\n", m[2], true
}

// thinMembers returns the files that a thin archive stands for, as it names them:
// from its own folder. ok is false if it is none.
func thinMembers(b []byte) (names []string, ok bool) {
	const magic, head = "!<thin>\n", 60
	rest, ok := strings.CutPrefix(string(b), magic)
	long := ""
	for ok && len(rest) >= head {
		name, size := strings.TrimRight(rest[:16], " "), 0
		for _, c := range strings.TrimRight(rest[48:58], " ") {
			if c < '0' || c > '9' || size > len(b) {
				return nil, false
			}
			size = 10*size + int(c-'0')
		}
		rest = rest[head:]
		switch {
		case name == "/" || name == "/SYM64/" || name == "//":
			if size += size & 1; size > len(rest) {
				return nil, false
			}
			if name == "//" {
				long = rest[:size]
			}
			rest = rest[size:]
		case strings.HasPrefix(name, "/"):
			at := 0
			for _, c := range name[1:] {
				if c < '0' || c > '9' || at > len(long) {
					return nil, false
				}
				at = 10*at + int(c-'0')
			}
			if at > len(long) {
				return nil, false
			}
			full, _, found := strings.Cut(long[at:], "/\n")
			if !found {
				return nil, false
			}
			names = append(names, full)
		default:
			names = append(names, strings.TrimSuffix(name, "/"))
		}
	}
	return names, ok && rest == ""
}
