package source

import (
	"context"
	"fmt"
	"io/fs"
	"path"
	"strings"

	"github.com/labstar/labstar/action"
)

// checkPattern reports why p is no pattern of paths in a tree, and cleans it:
// "**" alone between slashes stands for any number of folders, the rest is as in
// path.Match, and "css/" is all below css.
func checkPattern(p string) (string, error) {
	clean := strings.Trim(strings.TrimPrefix(p, "./"), "/")
	if clean == "" {
		return "", fmt.Errorf("got the pattern %q, want a path in the tree, or one with *, ?, [a-z] and **", p)
	}
	if strings.HasSuffix(p, "/") {
		clean += "/**"
	}
	for part := range strings.SplitSeq(clean, "/") {
		_, err := path.Match(part, "x")
		switch {
		case err != nil:
			return "", fmt.Errorf("malformed pattern %q: want *, ?, [a-z] and **, with \\ before a character that is meant as such", p)
		case part == "" || part == "." || part == "..":
			return "", fmt.Errorf(`malformed pattern %q: want no empty, "." or ".." parts`, p)
		case strings.Contains(part, "**") && part != "**":
			return "", fmt.Errorf("malformed pattern %q: ** stands alone between slashes", p)
		}
	}
	return clean, nil
}

// isPlain reports whether the pattern can match only one path.
func isPlain(pattern string) bool { return !strings.ContainsAny(pattern, `*?[\`) }

// matches reports whether the path matches. With below, whether one below it
// could. A "**" only ever has to be tried again from the latest one.
func matches(pattern, p []string, below bool) bool {
	retry, from := -1, 0
	i, j := 0, 0
	for j < len(p) {
		switch {
		case i < len(pattern) && pattern[i] == "**":
			if below {
				return true
			}
			retry, from = i, j
			i++
		case i < len(pattern) && matchPart(pattern[i], p[j]):
			i++
			j++
		case retry >= 0:
			from++
			i, j = retry+1, from
		default:
			return false
		}
	}
	if below {
		return i < len(pattern)
	}
	for i < len(pattern) && pattern[i] == "**" {
		i++
	}
	return i == len(pattern)
}

func matchPart(pattern, part string) bool {
	ok, err := path.Match(pattern, part)
	return ok && err == nil
}

// find returns the paths in e that match the pattern, sorted. None is an error
// that suggests what was meant. Only folders that could hold a match are read.
func find(ctx context.Context, e *action.Edit, pattern string) ([]string, error) {
	if isPlain(pattern) {
		if _, err := e.Lookup(ctx, pattern); err != nil {
			return nil, noMatch(ctx, e, pattern)
		}
		return []string{pattern}, nil
	}
	parts := strings.Split(pattern, "/")
	var found []string
	err := e.Walk(ctx, func(p string, n action.Node) error {
		if p == "" {
			return nil
		}
		at := strings.Split(p, "/")
		if matches(parts, at, false) {
			found = append(found, p)
		}
		if n.Kind == action.Dir && !matches(parts, at, true) {
			return fs.SkipDir
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	if len(found) == 0 {
		return nil, noMatch(ctx, e, pattern)
	}
	return found, nil
}

func noMatch(ctx context.Context, e *action.Edit, pattern string) error {
	msg := fmt.Sprintf("nothing in the tree is called %q", pattern)
	if !isPlain(pattern) {
		msg = fmt.Sprintf("nothing in the tree matches %q", pattern)
	}
	if s := nearest(ctx, e, pattern); s != "" {
		return fmt.Errorf("%s (did you mean %q?)", msg, s)
	}
	return fmt.Errorf("%s: leave it out, or correct it", msg)
}
