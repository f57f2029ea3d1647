package compile

import (
	"bytes"
	"slices"
	"strings"
)

// config is what a configuration header defines, by the symbol. A symbol may have
// several macros; the text of all their definitions is its value.
type config struct {
	values  map[string]string
	options bool // there are macros other than CONFIG_X, see parseOptions
}

// parseConfiguration reads a configuration header of either form.
func parseConfiguration(text []byte) *config {
	if values, ok := parseConfig(text); ok {
		return &config{values: values}
	}
	if values, ok := parseOptions(text); ok {
		return &config{values: values, options: true}
	}
	return nil
}

// prefixes of the macros that busybox' configuration makes of a symbol, besides
// CONFIG_: ENABLE_X, IF_X and IF_NOT_X.
var prefixes = []string{"ENABLE_", "IF_NOT_", "IF_"}

// parseOptions reads a header that does nothing but define macros of symbols, as
// busybox' include/autoconf.h:
//
//	#define CONFIG_X 1
//	#define ENABLE_X 1
//	#ifdef MAKE_SUID
//	# define IF_X(...) __VA_ARGS__ "CONFIG_X"
//	#else
//	# define IF_X(...) __VA_ARGS__
//	#endif
//	#define IF_NOT_X(...)
//
// The value of the symbol "" is the macros that belong to none. It reports false for
// any other text.
func parseOptions(text []byte) (map[string]string, bool) {
	values := map[string]string{}
	asked := map[string]bool{} // what the header's own conditions ask for
	condition, options, comment := "", false, false
	for raw := range bytes.Lines(text) {
		l := strings.TrimSpace(string(raw))
		if comment || strings.HasPrefix(l, "/*") {
			if comment = !strings.HasSuffix(l, "*/"); comment && strings.Contains(l, "*/") || strings.Count(l, "*/") > 1 {
				return nil, false
			}
			continue
		}
		if l == "" {
			continue
		}
		directive, ok := strings.CutPrefix(l, "#")
		if i := strings.Index(l, "/*"); !ok || strings.HasSuffix(l, "\\") || strings.HasSuffix(l, "??/") || i >= 0 && strings.Count(l[:i], `"`)%2 == 0 {
			return nil, false
		}
		word, rest, _ := strings.Cut(strings.TrimLeft(directive, " \t"), " ")
		rest = strings.TrimSpace(rest)
		n := identLen([]byte(rest))
		switch {
		case word == "ifdef" && condition == "" && n > 0 && n == len(rest):
			condition, asked[rest] = rest, true
		case word == "else" && rest == "" && condition != "" && condition[0] != '!':
			condition = "!" + condition
		case word == "endif" && rest == "" && condition != "":
			condition = ""
		case (word == "define" || word == "undef") && n > 0:
			symbol, other := symbolOf(rest[:n])
			options = options || other
			values[symbol] += "\n" + condition + " " + word + " " + rest
		default:
			return nil, false
		}
	}
	for name := range asked {
		if symbol, _ := symbolOf(name); symbol != "" || strings.Contains(values[""], " "+name) {
			return nil, false
		}
	}
	return values, options && condition == "" && !comment
}

// symbolOf returns the symbol that a macro belongs to; other tells that the macro is
// none of CONFIG_.
func symbolOf(macro string) (symbol string, other bool) {
	if s, ok := strings.CutPrefix(macro, configPrefix); ok && s != "" {
		return s, false
	}
	for _, p := range prefixes {
		if s, ok := strings.CutPrefix(macro, p); ok && s != "" {
			return s, true
		}
	}
	return "", false
}

// mentions are the symbols of a text whose macros other than CONFIG_ it mentions.
type mentions struct {
	symbols []string
	pastes  bool // it makes such names by ##, so it may mean any
}

// scanOptions finds mentions, wherever in the text they stand.
func scanOptions(text []byte) *mentions {
	m := &mentions{}
	seen := map[string]bool{}
	for _, p := range prefixes {
		m.pastes = scanPrefix(text, p, seen) || m.pastes
	}
	for s := range seen {
		m.symbols = append(m.symbols, s)
	}
	slices.Sort(m.symbols)
	return m
}
