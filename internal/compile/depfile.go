package compile

import "strings"

// parseDeps reads the rules that a compiler wrote for make and returns the
// prerequisites of the first one that has any, in order.
func parseDeps(text string) ([]string, bool) {
	text = strings.ReplaceAll(text, "\\\r\n", " ")
	text = strings.ReplaceAll(text, "\\\n", " ")
	for line := range strings.SplitSeq(text, "\n") {
		words, colon := depWords(line)
		if colon >= 0 && colon < len(words) {
			return words[colon:], true
		}
	}
	return nil, false
}

// depWords splits a rule at blanks that no backslash hides; colon is how many
// words are targets, -1 if the line is no rule.
func depWords(line string) (words []string, colon int) {
	colon = -1
	var w strings.Builder
	flush := func() {
		if w.Len() > 0 {
			words = append(words, w.String())
			w.Reset()
		}
	}
	for i := 0; i < len(line); i++ {
		c := line[i]
		next := byte(0)
		if i+1 < len(line) {
			next = line[i+1]
		}
		switch {
		case c == '\\' && (next == ' ' || next == '\t' || next == '#' || next == ':'):
			w.WriteByte(next)
			i++
		case c == '$' && next == '$':
			w.WriteByte('$')
			i++
		case c == ' ' || c == '\t' || c == '\r':
			flush()
		case c == ':' && colon < 0 && (next == 0 || next == ' ' || next == '\t'):
			flush()
			colon = len(words)
		default:
			w.WriteByte(c)
		}
	}
	flush()
	return words, colon
}
