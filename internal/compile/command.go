package compile

import (
	"path"
	"strings"

	"github.com/labstar/labstar/internal/pattern"
)

// unit is a command line that compiles one source, as far as caching has to
// understand it.
type unit struct {
	mode    byte   // 'c', 'S' or 'E'; 'l' if it also links, with nothing but the toolchain's own libraries
	source  string // as named
	output  string
	depfile string // that the command itself asks for, "" if none
	sysDeps bool   // which lists the system's headers too (-MD and not -MMD)
	nostd   bool   // -nostdinc
	asm     bool   // no C is compiled: the source is assembler
	raw     bool   // assembler without a preprocessor
	dirs    []string
	quotes  int      // how many of dirs are for "name" alone (they are first)
	forced  []string // -include and -imacros
	defines []string // words of the command line that may mention CONFIG_ symbols
	macros  bool     // debug information has all macros (-g3)
	specs   []string // files of gcc's own language that are read (-specs=)
	tools   []string // prefixes of the names under which gcc looks for its parts (-B)
	sysroot bool     // --sysroot, which without gcc's own folders of headers has no effect on a compilation
	linker  bool     // there are options that tell the linker of files or folders
	missing bool     // it is told if one of dirs is not there (-Wmissing-include-dirs)
	echoes  bool     // the output may hold the command line (-fverbose-asm …)
}

// Options with an argument of their own, or joined.
var withArg = []string{
	"-iquote", "-isystem", "-idirafter", "-include", "-imacros", "-isysroot", "--sysroot", "--param",
	"-MF", "-MT", "-MQ", "-I", "-D", "-U", "-x", "-o",
}

// Options that make the outcome depend on more than is known, or leave more than
// one output.
var beyond = []string{
	"-fplugin", "-specs", "--specs", "-save-temps", "--save-temps", "-coverage", "--coverage", "-fprofile", "-fauto-profile",
	"-ftest-coverage", "-fbranch-probabilities", "-gsplit-dwarf", "-fdump", "-dump", "-fstack-usage", "-fcallgraph-info", "-fopt-info",
	"-wrapper", "-###", "-v", "-time", "-ftime-report", "-fmem-report", "-fmodule", "-H", "-MG", "-isysroot", "--sysroot",
	"-iwithprefix", "-iprefix", "-imultilib", "-B", "-Q", "-dD", "-dM", "-dN", "-dU", "-dI", "-da", "-dA", "-dp", "-dP", "-dx",
	"-march=native", "-mtune=native", "-mcpu=native", "-frecord-gcc-switches", "-fmultiflags",
	"-aux-info", "-fself-test", "-fpch", "-include-pch", "-idirafter", "-fdeps", "-fada", "-fdirectives-only", "-fdiagnostics-generate-patch",
	"-fdiagnostics-add-output", "-fdiagnostics-set-output", "-fdiagnostics-format=sarif-file", "-fdiagnostics-format=json-file", "-fsave-optimization-record",
	"-fcompare-debug", "-fanalyzer-call-summaries", "-fembed", "-foffload", "-fuse-ld", "-fsanitize-ignorelist", "-frandomize-layout-seed-file",
}

// parseCC reads gcc's command line. A why that is not "" says that it passes.
func parseCC(argv []string) (u *unit, why string) {
	u = &unit{}
	var inputs, quotes, plain, system []string
	lang := ""
	target := false // -MT or -MQ
	md := ""        // -MD or -MMD as an option of its own
	mf := ""
	for i := 1; i < len(argv); i++ {
		a := argv[i]
		if a == "-" || strings.HasPrefix(a, "@") {
			return nil, "reads standard input or an argument file"
		}
		if !strings.HasPrefix(a, "-") {
			inputs = append(inputs, a)
			continue
		}
		if u.elsewhere(a, &system) {
			continue
		}
		for _, b := range beyond {
			if a == b || strings.HasPrefix(a, b) && len(b) > 2 {
				return nil, "option " + b
			}
		}
		opt, arg := a, ""
		for _, w := range withArg {
			if !strings.HasPrefix(a, w) {
				continue
			}
			if a != w && len(w) > 2 && w != "-iquote" && w != "-isystem" && w != "-include" && w != "-imacros" {
				if w == "--param" && a[len(w)] == '=' {
					break
				}
				continue
			}
			if opt, arg = w, a[len(w):]; arg == "" {
				if i++; i == len(argv) {
					return nil, "option without its argument"
				}
				arg = argv[i]
			}
			break
		}
		switch {
		case opt == "-c" || opt == "-S" || opt == "-E":
			if u.mode == 0 || opt == "-E" || opt == "-S" && u.mode == 'c' {
				u.mode = opt[1]
			}
		case opt == "-o":
			u.output = arg
		case opt == "-x":
			lang = arg
		case opt == "-I":
			plain = append(plain, arg)
		case opt == "-iquote":
			quotes = append(quotes, arg)
		case opt == "-isystem":
			system = append(system, arg)
		case opt == "-include" || opt == "-imacros":
			u.forced = append(u.forced, arg)
		case opt == "-D" || opt == "-U":
			u.defines = append(u.defines, arg)
		case opt == "-MT" || opt == "-MQ":
			target = true
		case opt == "-MF":
			mf = arg
		case opt == "-MD" || opt == "-MMD":
			md = opt
		case opt == "-MP" || opt == "--param":
		case opt == "-M" || opt == "-MM":
			return nil, "option " + opt
		case strings.HasPrefix(opt, "-Wp,"):
			if why := u.preprocessor(strings.Split(opt[4:], ",")); why != "" {
				return nil, why
			}
		case strings.HasPrefix(opt, "-Wa,"):
			if !plainAssembler(strings.Split(opt[4:], ",")) {
				return nil, "option " + opt
			}
		case opt == "-nostdinc":
			u.nostd = true
		case opt == "-Wmissing-include-dirs" || opt == "-Werror=missing-include-dirs":
			u.missing = true
		case !understood(opt):
			return nil, "option " + opt
		}
		if strings.HasPrefix(opt, "-g") && strings.HasSuffix(opt, "3") {
			u.macros = true
		}
		u.echoes = u.echoes || opt == "-fverbose-asm"
	}
	if u.mode == 0 && u.linksAlone(inputs, lang) {
		u.mode = 'l'
	}
	switch {
	case u.mode == 0:
		return nil, "links"
	case len(inputs) != 1 || inputs[0] == "":
		return nil, "other than one source"
	case u.sysroot && !u.nostd:
		return nil, "option --sysroot"
	case u.depfile != "" && md != "":
		return nil, "two files of dependencies"
	}
	u.source = inputs[0]
	if why := u.language(lang); why != "" {
		return nil, why
	}
	if u.output == "" {
		if u.mode == 'E' {
			return nil, "prints"
		}
		base := path.Base(u.source)
		u.output = strings.TrimSuffix(base, path.Ext(base)) + map[byte]string{'c': ".o", 'S': ".s"}[u.mode]
	}
	if u.output == "-" || strings.HasPrefix(u.output, "/dev/") || strings.HasPrefix(u.source, "/dev/") {
		return nil, "a device"
	}
	if md != "" {
		u.sysDeps = md == "-MD"
		if u.depfile = mf; mf == "" {
			u.depfile = strings.TrimSuffix(u.output, path.Ext(u.output)) + ".d"
		}
	} else if (target || mf != "") && u.depfile == "" {
		return nil, "dependencies in a form of its own"
	}
	u.dirs = append(append(append(u.dirs, quotes...), plain...), system...)
	u.quotes = len(quotes)
	if len(system) > 0 {
		u.nostd = u.nostd && u.sysDeps // -MMD leaves those out
	}
	return u, ""
}

// elsewhere takes the options of a compiler for another C library than the
// toolchain's, and those for linking, which say nothing to a compilation. gcc looks for
// headers below -B as well.
func (u *unit) elsewhere(a string, system *[]string) bool {
	switch {
	case strings.HasPrefix(a, "--sysroot="):
		u.sysroot = true
	case strings.HasPrefix(a, "-specs="):
		u.specs = append(u.specs, a[len("-specs="):])
	case strings.HasPrefix(a, "-B") && len(a) > 2:
		u.tools = append(u.tools, a[2:])
		*system = append(*system, a[2:]+"include")
	case len(a) > 2 && strings.HasPrefix(a, "-L") || strings.HasPrefix(a, "-Wl,"):
		u.linker = true
	default:
		if len(a) > 2 && strings.HasPrefix(a, "-l") {
			u.linker = u.linker || !libraryName().MatchString(a)
			return true
		}
		return false
	}
	return true
}

var (
	libraryName = pattern.New(`^-l[A-Za-z0-9_+-]+$`)
	sourceName  = pattern.New(`\.(c|cc|cpp|cxx)$`)
)

// linksAlone reports whether a program is made of one source, as the helpers of a
// build are: all that the linker reads is the toolchain's then.
func (u *unit) linksAlone(inputs []string, lang string) bool {
	return len(inputs) == 1 && sourceName().MatchString(inputs[0]) && lang == "" && u.output != "" &&
		!u.linker && !u.sysroot && len(u.specs) == 0 && len(u.tools) == 0
}

// language finds out what is compiled.
func (u *unit) language(lang string) string {
	ext := path.Ext(u.source)
	switch lang {
	case "", "none":
	case "c", "c++", "cpp-output":
		ext = ".c"
	case "assembler-with-cpp":
		ext = ".S"
	default:
		return "language " + lang
	}
	switch ext {
	case ".c", ".cc", ".cpp", ".cxx", ".c++", ".C", ".cp", ".CPP", ".i", ".ii":
	case ".S", ".sx":
		u.asm = true
	case ".s":
		u.asm, u.raw = true, true
	default:
		return "a source that ends in " + ext
	}
	if u.raw && (u.mode != 'c' || u.depfile != "") {
		return "assembler that is not assembled alone"
	}
	return ""
}

// preprocessor reads the parts of -Wp,….
func (u *unit) preprocessor(parts []string) string {
	for i := 0; i < len(parts); i++ {
		p := parts[i]
		switch {
		case p == "-MD" || p == "-MMD":
			if i++; i == len(parts) || u.depfile != "" {
				return "option -Wp," + p
			}
			u.depfile, u.sysDeps = parts[i], p == "-MD"
		case strings.HasPrefix(p, "-D") && len(p) > 2, strings.HasPrefix(p, "-U") && len(p) > 2:
			u.defines = append(u.defines, p[2:])
		case p == "-MP":
		case p == "-MT" || p == "-MQ":
			if i++; i == len(parts) {
				return "option -Wp," + p
			}
		default:
			return "option -Wp," + p
		}
	}
	return ""
}

// plainAssembler reports whether the parts of -Wa,… neither write files nor search folders.
func plainAssembler(parts []string) bool {
	for _, p := range parts {
		if strings.HasPrefix(p, "-a") || strings.HasPrefix(p, "-I") || strings.HasPrefix(p, "-o") || strings.HasPrefix(p, "--M") ||
			strings.HasPrefix(p, "@") || !strings.HasPrefix(p, "-") {
			return false
		}
	}
	return true
}

// understood reports whether an option only changes how the source is compiled.
func understood(opt string) bool {
	switch opt {
	case "-w", "-p", "-pg", "-pipe", "-P", "-C", "-CC", "-s", "-static", "-shared", "-ansi", "-pthread", "-traditional-cpp", "-trigraphs",
		"-undef", "-nostdinc++", "-nostdlib", "-nodefaultlibs", "-nostartfiles", "-nolibc", "-no-canonical-prefixes", "-rdynamic",
		"-pie", "-no-pie", "-static-pie", "-static-libgcc", "-remap", "-g":
		return true
	}
	for _, prefix := range []string{"-f", "-m", "-O", "-W", "-g", "-std=", "--std=", "-pedantic", "--param="} {
		if strings.HasPrefix(opt, prefix) {
			return true
		}
	}
	return false
}

// preprocessed is the command line that lists all dependencies and does nothing else.
func preprocessed(argv []string, to string) []string {
	var out []string
	for i := 0; i < len(argv); i++ {
		a := argv[i]
		switch {
		case a == "-c" || a == "-S" || a == "-E" || a == "-MD" || a == "-MMD" || a == "-MP":
			continue
		case a == "-o" || a == "-MF" || a == "-MT" || a == "-MQ":
			i++
			continue
		case i > 0 && strings.HasPrefix(a, "-Wp,"):
			if kept := withoutDeps(strings.Split(a[4:], ",")); len(kept) > 0 {
				out = append(out, "-Wp,"+strings.Join(kept, ","))
			}
			continue
		case i > 0 && (strings.HasPrefix(a, "-o") || strings.HasPrefix(a, "-MF") || strings.HasPrefix(a, "-MT") || strings.HasPrefix(a, "-MQ")):
			continue
		case a == "-I" || a == "-D" || a == "-U" || a == "-include" || a == "-imacros" || a == "-isystem" || a == "-iquote" || a == "-x" || a == "--param":
			out = append(out, a)
			if i++; i == len(argv) {
				continue
			}
		}
		out = append(out, argv[i])
	}
	return append(out, "-M", "-MF", to, "-w")
}

// withoutDeps leaves out of the parts of -Wp,… those about dependencies.
func withoutDeps(parts []string) (kept []string) {
	for i := 0; i < len(parts); i++ {
		switch parts[i] {
		case "-MD", "-MMD", "-MT", "-MQ":
			i++
		case "-MP":
		default:
			kept = append(kept, parts[i])
		}
	}
	return kept
}
