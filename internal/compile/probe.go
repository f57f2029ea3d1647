package compile

import (
	"slices"
	"strings"
)

// probe is a command line by which a build finds out what a compiler can do: it
// reads no file of the build. Its outcome depends on the toolchain, the command
// line and standard input; failing is an outcome too.
type probe struct {
	input  bool     // it reads standard input
	output int      // index of the output's name in argv, 0 if none
	key    []string // argv without the output's name
}

// questions are options by which a compiler only tells something.
var questions = []string{"--version", "-dumpversion", "-dumpfullversion", "-dumpmachine", "-print-"}

// parseProbe returns nil if the command line is something else, or may read files.
func parseProbe(argv []string) *probe {
	p := &probe{key: slices.Clone(argv)}
	sources, asks, told := 0, false, false // told: where the outcome goes
	for i := 1; i < len(argv); i++ {
		a := argv[i]
		switch {
		case a == "-" || a == "/dev/null":
			sources++
			p.input = p.input || a == "-"
		case a == "-o" && i+1 < len(argv):
			i++
			told = true
			if argv[i] != "/dev/null" && argv[i] != "-" {
				p.output, p.key[i] = i, "\x00"
			}
		case a == "-x" || a == "--param" || a == "-D" || a == "-U":
			i++
		case !strings.HasPrefix(a, "-"):
			return nil
		case a == "-I" && i+1 < len(argv):
			i++ // nothing is included
		case strings.HasPrefix(a, "-I") || strings.HasPrefix(a, "-D") || strings.HasPrefix(a, "-U"):
		case strings.HasPrefix(a, "-M") || strings.HasPrefix(a, "-Wp,-M") || strings.HasPrefix(a, "-o") || strings.HasPrefix(a, "-i") ||
			strings.HasPrefix(a, "-T") || strings.HasPrefix(a, "-B") || strings.HasPrefix(a, "-L") || strings.HasPrefix(a, "-Wl,") || strings.HasPrefix(a, "-X") ||
			strings.HasPrefix(a, "-Wa,") && !plainAssembler(strings.Split(a[4:], ",")):
			return nil
		case slices.ContainsFunc(questions, func(q string) bool { return strings.HasPrefix(a, q) }):
			asks = true
		case a == "-E":
			told = true
		case unsafeProbe(a) || strings.Contains(a, "/") && !strings.Contains(a, "-prefix-map="):
			return nil
		}
	}
	if sources > 1 || sources == 0 && !asks || sources == 1 && !told {
		return nil
	}
	return p
}

// unsafeProbe reports whether an option is among those that read or write more.
func unsafeProbe(a string) bool {
	if slices.Contains([]string{"-dM", "-dD", "-gsplit-dwarf"}, a) {
		return a == "-gsplit-dwarf"
	}
	return slices.ContainsFunc(beyond, func(b string) bool {
		return a == b || strings.HasPrefix(a, b) && len(b) > 2 && b != "-dump" && b != "-fpch" && b != "-dP"
	})
}

// plainInput reports whether a text given to a compiler makes it read no files.
func plainInput(text []byte) bool {
	f := scan(text)
	s := string(text)
	return len(f.includes) == 0 && !f.computed && f.opaque == "" && !strings.Contains(s, "incbin") && !strings.Contains(s, ".include") && !strings.Contains(s, "__has_include")
}
