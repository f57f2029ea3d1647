package k8s

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/labstar/labstar/action"
	"github.com/labstar/labstar/internal/kube/yamldoc"
	"github.com/labstar/labstar/starlark/schema"
)

// This file writes YAML as kubectl does: keys in the order in which people write them
// at the top, sorted below; strings that YAML would take for something else in double
// quotes, those of several lines as blocks.

// first is the order in which people write an object; the other fields follow,
// sorted.
var first = []string{"apiVersion", "kind", "metadata"}

// writeYAML writes one document for each object.
func writeYAML(objects []dict) []byte {
	var w yamlWriter
	for i, o := range objects {
		if i > 0 {
			w.b = append(w.b, "---\n"...)
		}
		w.fields(order(o), 0)
	}
	return w.b
}

func order(o dict) dict {
	out := slices.Clone(o)
	rank := func(key string) int {
		if i := slices.Index(first, key); i >= 0 {
			return i
		}
		return len(first)
	}
	slices.SortFunc(out, func(a, b schema.Entry[any]) int {
		if d := rank(a.Key) - rank(b.Key); d != 0 {
			return d
		}
		return strings.Compare(a.Key, b.Key)
	})
	return out
}

type yamlWriter struct{ b []byte }

func (w *yamlWriter) indent(n int) {
	for range n {
		w.b = append(w.b, "  "...)
	}
}

// fields writes the pairs of a dict, each on a line of its own; what is before the
// first is written already if n is negative.
func (w *yamlWriter) fields(d dict, n int) {
	for i, e := range d {
		if n >= 0 || i > 0 {
			w.indent(max(n, -n))
		}
		w.text(e.Key, 0)
		w.b = append(w.b, ':')
		w.value(e.Value, max(n, -n))
	}
}

// value writes what follows a key at depth n.
func (w *yamlWriter) value(x any, n int) {
	switch x := x.(type) {
	case dict:
		if len(x) > 0 {
			w.b = append(w.b, '\n')
			w.fields(sorted(x), n+1)
			return
		}
	case []any:
		if len(x) > 0 {
			w.b = append(w.b, '\n')
			w.list(x, n)
			return
		}
	}
	w.b = append(w.b, ' ')
	w.scalar(x, n+1)
	w.b = append(w.b, '\n')
}

func sorted(d dict) dict {
	out := slices.Clone(d)
	slices.SortFunc(out, func(a, b schema.Entry[any]) int { return strings.Compare(a.Key, b.Key) })
	return out
}

// list writes elements at depth n: as deep as the key above them.
func (w *yamlWriter) list(l []any, n int) {
	for _, x := range l {
		w.indent(n)
		w.b = append(w.b, '-')
		switch x := x.(type) {
		case dict:
			if len(x) > 0 {
				w.b = append(w.b, ' ')
				w.fields(sorted(x), -(n + 1))
				continue
			}
		case []any:
			if len(x) > 0 {
				w.b = append(w.b, '\n')
				w.list(x, n+1)
				continue
			}
		}
		w.b = append(w.b, ' ')
		w.scalar(x, n+1)
		w.b = append(w.b, '\n')
	}
}

func (w *yamlWriter) scalar(x any, n int) {
	switch x := x.(type) {
	case nil:
		w.b = append(w.b, "null"...)
	case bool:
		w.b = strconv.AppendBool(w.b, x)
	case int64:
		w.b = strconv.AppendInt(w.b, x, 10)
	case float64:
		w.b = strconv.AppendFloat(w.b, x, 'g', -1, 64)
	case string:
		w.text(x, n)
	case dict:
		w.b = append(w.b, "{}"...)
	case []any:
		w.b = append(w.b, "[]"...)
	}
}

// text writes a string; blocks are at depth n, and not written where that is 0.
func (w *yamlWriter) text(s string, n int) {
	switch {
	case isPlain(s):
		w.b = append(w.b, s...)
	case n > 0 && isBlock(s):
		w.block(s, n)
	default:
		w.quoted(s)
	}
}

// quoted writes a JSON string, which is one of YAML but for the controls that JSON
// leaves as they are.
func (w *yamlWriter) quoted(s string) {
	q, err := action.Canonical(s)
	if err != nil {
		panic(err) // a string always encodes
	}
	for _, r := range string(q) {
		if r >= 0x7f && r < 0xa0 || r == '\uFEFF' || r == 0xFFFE || r == 0xFFFF {
			w.b = fmt.Appendf(w.b, "\\u%04x", r)
			continue
		}
		w.b = utf8.AppendRune(w.b, r)
	}
}

// isPlain reports whether YAML reads s, without quotes, as the string s.
func isPlain(s string) bool {
	if s == "" || strings.IndexByte("-?:,[]{}#&*!|>'\"%@` =<", s[0]) >= 0 || s[len(s)-1] == ' ' || s[len(s)-1] == ':' {
		return false
	}
	for i := range len(s) {
		c := s[i]
		if c < ' ' || c > '~' || c == ':' && s[i+1] == ' ' || c == '#' && s[i-1] == ' ' {
			return false
		}
	}
	return yamldoc.IsString(s)
}

// isBlock reports whether s can be written as a block of lines.
func isBlock(s string) bool {
	if !strings.Contains(s, "\n") || s[0] == ' ' || s[0] == '\n' || strings.Trim(s, "\n ") == "" {
		return false
	}
	return !strings.ContainsFunc(s, func(r rune) bool {
		return r != '\n' && r != '\t' && !unicode.IsPrint(r) || r == unicode.ReplacementChar || r == '\uFEFF'
	}) && !strings.HasPrefix(s, "\t") && !strings.Contains(s, "\n\t")
}

func (w *yamlWriter) block(s string, n int) {
	w.b = append(w.b, '|')
	body := strings.TrimSuffix(s, "\n")
	switch {
	case body == s:
		w.b = append(w.b, '-')
	case strings.HasSuffix(body, "\n"):
		w.b = append(w.b, '+')
	}
	for line := range strings.SplitSeq(body, "\n") {
		w.b = append(w.b, '\n')
		if line != "" {
			w.indent(n)
			w.b = append(w.b, line...)
		}
	}
}
