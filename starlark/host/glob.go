package host

import (
	"fmt"
	"path"
	"strings"

	"github.com/labstar/labstar/starlark/schema"
)

// pattern is a glob over slash-separated paths: "**" stands for any number of
// folders, the rest is as in path.Match.
type pattern struct {
	text  string
	parts []string
	used  bool // it matched something
}

func newPatterns(texts []string, exclude bool) ([]*pattern, error) {
	out := make([]*pattern, 0, len(texts))
	for i, t := range texts {
		malformed := func(want string) error {
			return &schema.PatternError{Exclude: exclude, Index: i, Err: fmt.Errorf("malformed pattern %q: %s", t, want)}
		}
		p := &pattern{text: t, parts: strings.Split(strings.TrimPrefix(t, "./"), "/")}
		if n := len(p.parts); n > 1 && p.parts[n-1] == "" {
			p.parts[n-1] = "**" // "css/" is all of it
		}
		for _, part := range p.parts {
			if _, err := path.Match(part, "x"); err != nil {
				return nil, malformed(`want *, ?, [a-z] and **, with \ before a character that is meant as such`)
			}
			if part == "" || part == "." || part == ".." {
				return nil, malformed(`want a path below the folder, with no empty, "." or ".." parts`)
			}
			if strings.Contains(part, "**") && part != "**" {
				return nil, malformed("** stands alone between slashes")
			}
		}
		out = append(out, p)
	}
	return out, nil
}

// match reports whether the path matches; with below, whether a path below it
// could.
func (p *pattern) match(parts []string, below bool) bool { return matchParts(p.parts, parts, below) }

// matchParts looks at each pair of positions once: a "**" only ever has to be
// retried from the latest one.
func matchParts(pat, parts []string, below bool) bool {
	retryPat, retryPart := -1, 0
	i, j := 0, 0
	for j < len(parts) {
		switch {
		case i < len(pat) && pat[i] == "**":
			if below {
				return true
			}
			retryPat, retryPart = i, j
			i++
		case i < len(pat) && matchPart(pat[i], parts[j]):
			i++
			j++
		case retryPat >= 0:
			retryPart++
			i, j = retryPat+1, retryPart
		default:
			return false
		}
	}
	if below {
		return i < len(pat)
	}
	for i < len(pat) && pat[i] == "**" {
		i++
	}
	return i == len(pat)
}

func matchPart(pat, part string) bool {
	ok, err := path.Match(pat, part)
	return ok && err == nil
}

func anyMatch(ps []*pattern, parts []string, below bool) bool {
	found := false
	for _, p := range ps {
		if p.match(parts, below) {
			found = true
			if !below {
				p.used = true
			}
		}
	}
	return found
}
