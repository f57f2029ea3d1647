// Package kconfig reads the two languages of a kernel's configuration: the values
// (".config") and the declarations of options (Kconfig files, as described by
// Documentation/kbuild/kconfig-language.rst of a kernel).
//
// It decides nothing. The tree's own conf program is the only authority on what a
// configuration becomes; this package says why, and what to ask for instead:
//
//	got := kconfig.ParseConfig(dotConfig)
//	tree, err := kconfig.Read(source, "Kconfig")
//	m := kconfig.NewModel(tree, asked)
//	m.Why("BRIDGE", "y", got, asked) // "it depends on NET (net/Kconfig:27; off)"
//	m.Solve([]kconfig.Want{{"BRIDGE", "y"}}, asked) // NET=y
//
// A Tree is what the files declare, each property with its line. A Model is a Tree
// with a user's values: it computes what conf would, and is held against conf on
// real kernels by a test. Shell commands in macros are never run: their answers are
// those that conf got (Probes), or else what the resulting .config implies.
package kconfig

import (
	"errors"
	"fmt"
	"sort"
	"strconv"
	"strings"
)

// Config holds the value of every option of a .config: "y", "m", "n", a number,
// or a string in its quotes. Names are without "CONFIG_".
type Config map[string]string

// Prefix is before every name in a .config.
const Prefix = "CONFIG_"

// ParseConfig reads a .config. Lines that are neither a value nor "is not set"
// are skipped; of two values of an option the later counts.
func ParseConfig(b []byte) Config {
	c := Config{}
	for line := range strings.Lines(string(b)) {
		line = strings.TrimRight(line, "\r\n")
		if rest, ok := strings.CutPrefix(line, "# "+Prefix); ok {
			if name, ok := strings.CutSuffix(rest, " is not set"); ok && ValidName(name) {
				c[name] = "n"
			}
			continue
		}
		if rest, ok := strings.CutPrefix(line, Prefix); ok {
			if name, value, ok := strings.Cut(rest, "="); ok && ValidName(name) {
				c[name] = value
			}
		}
	}
	return c
}

// Get returns an option's value; one that is not there is off.
func (c Config) Get(name string) string {
	if v, ok := c[name]; ok {
		return v
	}
	return "n"
}

// Names returns the options, sorted.
func (c Config) Names() []string {
	names := make([]string, 0, len(c))
	for n := range c {
		names = append(names, n)
	}
	sort.Strings(names)
	return names
}

// Line writes one value the way conf reads it.
func Line(name, value string) string {
	if value == "n" {
		return "# " + Prefix + name + " is not set\n"
	}
	return Prefix + name + "=" + value + "\n"
}

// Quote writes a string value in its quotes.
func Quote(s string) string {
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(s) + `"`
}

// ValidName reports whether s is the name of an option: letters, digits and '_'.
func ValidName(s string) bool {
	for _, r := range s {
		if !(r == '_' || r >= 'A' && r <= 'Z' || r >= 'a' && r <= 'z' || r >= '0' && r <= '9') {
			return false
		}
	}
	return s != ""
}

// Assignment is one line of a .config or of a fragment of one.
type Assignment struct {
	Name, Value string // as in Config
	Line        int    // from 1
}

// ParseFragment reads lines in the syntax of a .config. The error names every
// line that is neither an assignment, a comment nor empty; the rest is returned
// with it.
func ParseFragment(b []byte) ([]Assignment, error) {
	var list []Assignment
	var errs []error
	n := 0
	for line := range strings.Lines(string(b)) {
		n++
		line = strings.TrimSpace(line)
		c := ParseConfig([]byte(line))
		for name, value := range c {
			list = append(list, Assignment{name, value, n})
		}
		if len(c) == 0 && line != "" && !strings.HasPrefix(line, "#") {
			errs = append(errs, fmt.Errorf("line %d: got %.60q, want CONFIG_NAME=value or # CONFIG_NAME is not set", n, line))
		}
	}
	return list, errors.Join(errs...)
}

// SameValue reports whether two values of a .config are equal; numbers are
// compared as numbers.
func SameValue(a, b string) bool {
	if a == b {
		return true
	}
	x, errX := strconv.ParseInt(a, 0, 64)
	y, errY := strconv.ParseInt(b, 0, 64)
	return errX == nil && errY == nil && x == y
}
