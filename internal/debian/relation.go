package debian

import (
	"fmt"
	"strings"
)

// Relation is one alternative of a dependency field: "libc6:any (>= 2.38)".
type Relation struct {
	Name    string
	Arch    string // the qualifier: "any", "native", an architecture, or ""
	Op      string // "<<", "<=", "=", ">=", ">>", or "" for every version
	Version string
}

func (r Relation) String() string {
	s := r.Name
	if r.Arch != "" {
		s += ":" + r.Arch
	}
	if r.Op != "" {
		s += " (" + r.Op + " " + r.Version + ")"
	}
	return s
}

// Allows reports whether version fulfils the relation's bound.
func (r Relation) Allows(version string) bool {
	if r.Op == "" {
		return true
	}
	c := CompareVersions(version, r.Version)
	switch r.Op {
	case "<<":
		return c < 0
	case "<=":
		return c <= 0
	case "=":
		return c == 0
	case ">=":
		return c >= 0
	default:
		return c > 0
	}
}

// Group is alternatives, of which one is enough: "mawk | gawk".
type Group []Relation

func (g Group) String() string {
	parts := make([]string, len(g))
	for i, r := range g {
		parts[i] = r.String()
	}
	return strings.Join(parts, " | ")
}

// ParseRelations reads a dependency field (Debian Policy 7.1): groups separated
// by commas, alternatives by bars. Restrictions to architectures and build
// profiles, which only sources have, are not taken.
func ParseRelations(field string) ([]Group, error) {
	var groups []Group
	for part := range strings.SplitSeq(field, ",") {
		if strings.TrimSpace(part) == "" {
			continue
		}
		var g Group
		for alt := range strings.SplitSeq(part, "|") {
			r, err := parseRelation(strings.TrimSpace(alt))
			if err != nil {
				return nil, err
			}
			g = append(g, r)
		}
		groups = append(groups, g)
	}
	return groups, nil
}

func parseRelation(s string) (Relation, error) {
	var r Relation
	head, bound, versioned := strings.Cut(s, "(")
	r.Name, r.Arch, _ = strings.Cut(strings.TrimSpace(head), ":")
	if err := CheckName(r.Name); err != nil {
		return r, fmt.Errorf("malformed relation %q: %w", s, err)
	}
	if strings.HasSuffix(strings.TrimSpace(head), ":") || strings.ContainsAny(r.Arch, " \t:") {
		return r, fmt.Errorf("malformed relation %q: got architecture %q", s, r.Arch)
	}
	if !versioned {
		return r, nil
	}
	bound, rest, closed := strings.Cut(bound, ")")
	if !closed || strings.TrimSpace(rest) != "" {
		return r, fmt.Errorf("malformed relation %q: want NAME (OP VERSION)", s)
	}
	bound = strings.TrimSpace(bound)
	n := 0
	for n < len(bound) && strings.IndexByte("<>=", bound[n]) >= 0 {
		n++
	}
	r.Op, r.Version = bound[:n], strings.TrimSpace(bound[n:])
	switch r.Op {
	case "<<", "<=", "=", ">=", ">>":
	case "<", ">": // obsolete spellings of <= and >=
		r.Op += "="
	default:
		return r, fmt.Errorf("malformed relation %q: got operator %q, want <<, <=, =, >= or >>", s, r.Op)
	}
	if err := CheckVersion(r.Version); err != nil {
		return r, fmt.Errorf("malformed relation %q: %w", s, err)
	}
	return r, nil
}

// CheckName reports why s is no name of a package (Debian Policy 5.6.1).
func CheckName(s string) error {
	if len(s) < 2 {
		return fmt.Errorf("got package name %q, want at least two characters", s)
	}
	for i, c := range []byte(s) {
		alnum := isDigit(c) || c >= 'a' && c <= 'z'
		if !alnum && (i == 0 || strings.IndexByte("+-._", c) < 0) && (c < 'A' || c > 'Z') {
			return fmt.Errorf("got package name %q, want lower-case letters, digits, plus, minus and dot, as in %q", s, "libstdc++6")
		}
	}
	return nil
}
