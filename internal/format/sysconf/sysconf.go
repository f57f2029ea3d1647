// Package sysconf reads the lines of sysusers.d(5) and tmpfiles.d(5), by which
// packages declare the accounts and the folders that they need.
//
//	for _, f := range sysconf.Lines(text) {
//		kind, name := f[0], f[1]
//	}
package sysconf

import "strings"

// Lines returns the fields of each line that is no comment.
func Lines(text string) [][]string {
	var out [][]string
	for line := range strings.Lines(text) {
		if f := Fields(line); len(f) > 0 {
			out = append(out, f)
		}
	}
	return out
}

// Fields splits a line at blanks, but not within double quotes. A comment has no
// fields.
func Fields(line string) []string {
	var out []string
	line = strings.TrimSpace(line)
	if strings.HasPrefix(line, "#") {
		return nil
	}
	for line != "" {
		if rest, ok := strings.CutPrefix(line, `"`); ok {
			word, after, _ := strings.Cut(rest, `"`)
			out = append(out, word)
			line = strings.TrimLeft(after, " \t")
			continue
		}
		i := strings.IndexAny(line, " \t")
		if i < 0 {
			return append(out, line)
		}
		out = append(out, line[:i])
		line = strings.TrimLeft(line[i:], " \t")
	}
	return out
}

// At returns the i-th field, "" if it is missing or "-", which is how a line says
// that it takes the default.
func At(f []string, i int) string {
	if i < len(f) && f[i] != "-" {
		return f[i]
	}
	return ""
}
