// Package compile remembers single compilations inside a sandboxed build, so that
// a changed option of a kernel costs what it changes.
//
// In the sandbox a shim (shim/shim.c) is mounted over each compiler. It asks the
// Server of its build, on a socket laid into /dev, and is told to write outputs
// that are known, or to run the real tool and report. If the server is gone or
// does not understand the command line, the shim becomes the real tool.
//
//	server, err := compile.New(ctx, compile.Options{…what the sandbox sees…})
//	… lay server.Socket() at ShimDir/socket, the tools in ShimDir, the shim over them; run …
//	stats, err := server.Close()
//
// # What a compilation depends on
//
// An entry is an action's result in the store, under a key of: the toolchain's
// digest, the command line, the working folder, the variables that compilers look
// at, and the contents of all that was read. A hit reads no header: what is mounted
// has its digest in the tree (view.go), and only what the build itself wrote is
// hashed, once for each state of the file. What was read is known after the first
// compilation, from the compiler (-MD) and the assembler (--MD); the list is kept
// as a shape (shape.go) under the command line, the latest ones first. A file that
// changed after the compilation began keeps the entry from being made.
//
// A name that is found in one folder was searched in vain in others before. A
// shape has every name that the files it lists ask for, and which of the candidates
// exist; any difference is a miss. Names that a macro makes up are inferred from the
// file that they led to; if that fails the entry isn't made.
//
// # Configuration headers
//
// Every file of a kernel reads include/generated/autoconf.h, and one option
// changes it. Kbuild has the answer (scripts/basic/fixdep.c): a file depends on
// CONFIG_X only if its text or that of a header it reads mentions CONFIG_X. So of a
// file that only defines CONFIG_ symbols the key has the definitions of the symbols
// that the other files, and the macros of the command line, mention (X and X_MODULE,
// which IS_ENABLED makes of X) and nothing else. This is as sound as Kbuild: the
// preprocessor can't use a symbol whose name no text has, but by pasting it
// together; a text that pastes behind CONFIG_ makes the header count as a whole, as
// do debug information with macros and an output in which macros are listed.
//
// # More than objects
//
// A build asks the compiler what it can do, dozens of times in a kernel: such probes
// (probe.go) read no file of the build, so their answers, refusals too, are kept under
// the command line and standard input. And of what a cached object costs, most is the
// line around it: a shell, fixdep, objtool, rm. So the shim stands in front of the
// shell too, and asks about lines that have the very form which Kbuild gives them
// (recipe.go); they are kept under the key of the compilation, which covers all that
// fixdep and objtool read, the line, and the contents of those two programs.
// Some lines that compile nothing are kept too (line.go): what they read is known from
// their form, and its contents are in their key.
//
// # Trust
//
// The sandbox is not trusted. It can make the server hash what its own mounts
// have and nothing else: a path is followed in the view, and on the host without
// symbolic links, below the build folder. Keys are computed by the server alone. The
// server sends bytes and never a descriptor, since the store's files belong to the
// same user.
//
// What no key can cover is honesty: a command may send any bytes as the outcome of a
// compilation that it never ran. Such an entry can be met by any build that compiles
// the same text with the same toolchain and the same words. So whoever may run
// builds with compile caching in a store is trusted by all who use that store, as with
// every cache of this kind; Options.Verify compiles a share of the hits again.
// Requests, messages and outputs are bounded.
package compile

import (
	_ "embed"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/labstar/labstar/internal/pattern"
)

// ShimSource is the C source of the program that stands in front of the tools.
//
//go:embed shim/shim.c
var ShimSource string

// ShimDir is where the socket and the real tools are laid in the sandbox.
const ShimDir = "/dev/labstar-compile"

// ShimFlags compile the shim.
var ShimFlags = []string{
	"-O2", "-static", "-nostdlib", "-ffreestanding", "-fno-stack-protector", "-fno-pie", "-no-pie",
	"-Wl,--build-id=none", "-Wl,-z,noseparate-code", "-Wl,-z,norelro",
}

// Kind is what a tool is.
type Kind uint8

// The kinds of tools that a shim stands in front of.
const (
	None Kind = iota
	CC
	Shell
)

var ccName = pattern.New(`^([a-z0-9_]+-)*(gcc|g\+\+|c\+\+|cc)(-[0-9.]+)?$`)

// KindOf tells from the base name of a program what it is.
func KindOf(name string) Kind {
	switch {
	case ccName().MatchString(name):
		return CC
	case name == "dash":
		return Shell
	}
	return None
}

// Stats are what a server did.
type Stats struct {
	Hits          int   // outputs that came from the cache
	Recipes       int   // of Hits, those where a whole line of Kbuild was spared
	Lines         int   // other lines of Kbuild that were spared, which are none of Hits
	Misses        int   // compiled, and compared or kept
	Uncached      int   // compiled, and could not be kept
	Passed        int   // not looked at
	Probes        int   // questions about the compiler that were answered from the cache
	Asked         int   // and those that it was asked
	Compared      int   // of Misses, those that were hits and compiled to compare
	Bytes         int64 // given by hits
	ComparedBytes int64
	Reasons       map[string]int // why something passed or was not kept
}

// Add adds other to s.
func (s *Stats) Add(other Stats) {
	s.Hits += other.Hits
	s.Recipes += other.Recipes
	s.Lines += other.Lines
	s.Misses += other.Misses
	s.Uncached += other.Uncached
	s.Passed += other.Passed
	s.Probes += other.Probes
	s.Asked += other.Asked
	s.Compared += other.Compared
	s.Bytes += other.Bytes
	s.ComparedBytes += other.ComparedBytes
	if s.Reasons == nil {
		s.Reasons = map[string]int{}
	}
	for k, n := range other.Reasons {
		s.Reasons[k] += n
	}
}

// Objects is how many outputs the build asked for that could come from the cache.
func (s *Stats) Objects() int { return s.Hits + s.Misses + s.Uncached }

// DifferentError says that what the cache holds is not what compiling gives.
type DifferentError struct{ Outputs []string }

func (e *DifferentError) Error() string {
	return fmt.Sprintf("comparing the compile cache with the compiler: %d outputs are different; report it, and build without the cache (LABSTAR_COMPILE_CACHE=off): %s",
		len(e.Outputs), strings.Join(e.Outputs, "; "))
}

// String tells it for the log of a command.
func (s *Stats) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "labstar: %d of %d objects from the compile cache", s.Hits, s.Objects())
	if s.Compared > 0 {
		fmt.Fprintf(&b, "; %d compiled again and compared, %d bytes", s.Compared, s.ComparedBytes)
	}
	if s.Lines > 0 {
		fmt.Fprintf(&b, "; %d other lines", s.Lines)
	}
	fmt.Fprintf(&b, "; %d of %d questions about the compiler; %d command lines passed untouched\n", s.Probes, s.Probes+s.Asked, s.Passed)
	for _, why := range slices.Sorted(maps.Keys(s.Reasons)) {
		fmt.Fprintf(&b, "labstar: %6d %s\n", s.Reasons[why], why)
	}
	return b.String()
}
