package kconfig

import "strings"

// ParseEnv reads what a shell's `export -p` prints: lines like export NAME='text'.
func ParseEnv(b []byte) map[string]string {
	env := map[string]string{}
	s := string(b)
	for s != "" {
		i := strings.Index(s, "export ")
		if i < 0 {
			break
		}
		s = strings.TrimPrefix(s[i+len("export "):], "-x ")
		n := 0
		for n < len(s) && wordByte(s[n]) {
			n++
		}
		name := s[:n]
		s = s[n:]
		if !strings.HasPrefix(s, "=") {
			continue
		}
		env[name], s = shellWord(s[1:])
	}
	return env
}

// shellWord reads a word with quotes, up to the end of the line.
func shellWord(s string) (word, rest string) {
	var b strings.Builder
	quote := byte(0)
	for i := 0; i < len(s); i++ {
		c := s[i]
		switch {
		case c == '\n' && quote == 0:
			return b.String(), s[i+1:]
		case c == '\\' && quote != '\'' && i+1 < len(s):
			i++
			b.WriteByte(s[i])
		case quote != 0 && c == quote:
			quote = 0
		case quote == 0 && (c == '\'' || c == '"'):
			quote = c
		default:
			b.WriteByte(c)
		}
	}
	return b.String(), ""
}
