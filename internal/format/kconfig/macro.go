package kconfig

import (
	"encoding/binary"
	"fmt"
	"strings"
)

// Probes are the answers of the shell commands that a source's macros run, by
// command: conf asked them, a reader never does.
type Probes map[string]string

// ParseProbes reads the answers as labstar records them: for each the lengths of
// command and answer and the status, 32 bits each in the machine's order of
// x86 and arm (little-endian), then the command and the answer.
func ParseProbes(b []byte) (Probes, error) {
	p := Probes{}
	for len(b) > 0 {
		if len(b) < 12 {
			return nil, fmt.Errorf("reading probes: got %d bytes at the end, want 12", len(b))
		}
		cmd, out := uint64(binary.LittleEndian.Uint32(b)), uint64(binary.LittleEndian.Uint32(b[4:]))
		b = b[12:]
		if cmd+out > uint64(len(b)) {
			return nil, fmt.Errorf("reading probes: got a record of %d bytes, %d are left", cmd+out, len(b))
		}
		p[string(b[:cmd])] = strings.ReplaceAll(strings.TrimRight(string(b[cmd:cmd+out]), "\n"), "\n", " ")
		b = b[cmd+out:]
	}
	return p, nil
}

// unknown stands in an expanded text for what a command would have printed.
const unknown = "\x01"

// variable is a macro.
type variable struct {
	text   string
	simple bool // expanded when it was assigned
}

// maxExpand bounds an expansion, of a file that means harm.
const (
	maxExpand = 1 << 16
	maxDepth  = 100
)

// expand replaces $(…) in s. args are those of the macro being expanded.
func (p *reader) expand(s string, args []string, depth int) string {
	if !strings.Contains(s, "$(") {
		return s
	}
	if depth > maxDepth {
		p.fail("a macro that expands itself")
		return ""
	}
	var b strings.Builder
	for {
		i := strings.Index(s, "$(")
		if i < 0 || p.budget < 0 {
			b.WriteString(s)
			break
		}
		b.WriteString(s[:i])
		end := closing(s, i+2)
		if end < 0 {
			p.fail("no ) after $(")
			break
		}
		v := p.call(s[i+2:end], args, depth)
		if p.budget -= len(v) + 1; p.budget < 0 {
			p.fail("a macro of more than %d bytes", maxExpand)
		}
		b.WriteString(v)
		s = s[end+1:]
	}
	return b.String()
}

// closing returns where the parenthesis that opened before at closes, or -1.
func closing(s string, at int) int {
	for nest := 0; at < len(s); at++ {
		switch s[at] {
		case '(':
			nest++
		case ')':
			if nest == 0 {
				return at
			}
			nest--
		}
	}
	return -1
}

// call evaluates what stands in $(…): a variable, a function, or a number.
func (p *reader) call(s string, args []string, depth int) string {
	parts := splitArgs(s)
	for i := range parts {
		parts[i] = p.expand(parts[i], args, depth+1)
	}
	name, given := parts[0], parts[1:]
	if len(given) == 0 && len(name) > 0 && name[0] >= '0' && name[0] <= '9' {
		n := 0
		for _, c := range name {
			if c < '0' || c > '9' || n > 1000 {
				return ""
			}
			n = n*10 + int(c-'0')
		}
		if n >= 1 && n <= len(args) {
			return args[n-1]
		}
		return ""
	}
	if v := p.vars[name]; v != nil {
		if v.simple {
			return v.text
		}
		return p.expand(v.text, given, depth+1)
	}
	switch name {
	case "shell":
		cmd := strings.Join(given, ",")
		if strings.Contains(cmd, unknown) {
			return unknown
		}
		if out, ok := p.probes[cmd]; ok {
			return out
		}
		return unknown
	case "error-if", "warning-if", "info":
		return ""
	case "filename":
		return p.file
	case "lineno":
		return fmt.Sprint(p.line)
	}
	return p.env[name]
}

// splitArgs cuts at the commas outside of parentheses.
func splitArgs(s string) []string {
	var parts []string
	nest, start := 0, 0
	for i := range len(s) {
		switch s[i] {
		case '(':
			nest++
		case ')':
			nest--
		case ',':
			if nest == 0 {
				parts = append(parts, s[start:i])
				start = i + 1
			}
		}
	}
	return append(parts, s[start:])
}

// assign reads `NAME = text`, `:=` and `+=`, cut behind the name, and reports
// whether it is one.
func (p *reader) assign(name, rest string) bool {
	op := ""
	for _, o := range []string{":=", "+=", "="} {
		if strings.HasPrefix(rest, o) {
			op = o
			break
		}
	}
	if op == "" {
		return false
	}
	if name = p.expand(name, nil, 0); !validMacro(name) {
		return false
	}
	text := strings.TrimLeft(rest[len(op):], " \t")
	v := p.vars[name]
	switch {
	case op == ":=":
		p.vars[name] = &variable{p.expand(text, nil, 0), true}
	case op == "=" || v == nil:
		p.vars[name] = &variable{text, false}
	default:
		if v.simple {
			text = p.expand(text, nil, 0)
		}
		if len(v.text)+len(text) > maxExpand {
			p.fail("a variable of more than %d bytes", maxExpand)
			return true
		}
		p.vars[name] = &variable{v.text + " " + text, v.simple}
	}
	return true
}

func validMacro(s string) bool {
	for i := range len(s) {
		if !wordByte(s[i]) {
			return false
		}
	}
	return s != ""
}

func wordByte(c byte) bool {
	return c == '_' || c == '-' || c >= 'A' && c <= 'Z' || c >= 'a' && c <= 'z' || c >= '0' && c <= '9'
}
