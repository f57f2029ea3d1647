package debian

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
)

// UnknownError is a name that the suite hasn't got, or has as a virtual
// package that several provide.
type UnknownError struct {
	Name, Suite, Arch string
	Source            bool     // a source package was asked for
	Similar           []string // close names, best first
	Providers         []string // of the virtual package
}

func (e *UnknownError) Error() string {
	what := "package"
	if e.Source {
		what = "source package"
	}
	where := e.Suite
	if e.Arch != "" {
		where += "/" + e.Arch
	}
	switch {
	case len(e.Providers) > 0:
		return fmt.Sprintf("package %q is virtual in %s: name one that provides it: %s", e.Name, where, strings.Join(e.Providers, ", "))
	case len(e.Similar) > 0:
		return fmt.Sprintf("unknown %s %q in %s (did you mean %s?)", what, e.Name, where, orList(e.Similar))
	}
	return fmt.Sprintf("unknown %s %q in %s", what, e.Name, where)
}

func orList(names []string) string {
	if n := len(names); n > 1 {
		return strings.Join(names[:n-1], ", ") + " or " + names[n-1]
	}
	return names[0]
}

// UnsatisfiedError is a dependency that nothing in the suite fulfils.
type UnsatisfiedError struct {
	Suite, Arch string
	Need        string   // the group of alternatives
	Chain       []string // from the requested package to the one that needs it
	Has         []string // what the suite has under those names
}

func (e *UnsatisfiedError) Error() string {
	has := "nothing provides it"
	if len(e.Has) > 0 {
		has = "it has " + strings.Join(e.Has, ", ")
	}
	return fmt.Sprintf("unsatisfiable dependency in %s/%s: %s needs %s: %s", e.Suite, e.Arch,
		strings.Join(e.Chain, ", which needs "), e.Need, has)
}

// Similar returns up to three names of packages, real or virtual, that are
// close to name.
func (x *Index) Similar(name string) []string {
	if x.providers == nil {
		x.indexProviders()
	}
	return similar(name, func(yield func(string) bool) {
		for n := range x.byName {
			if !yield(n) {
				return
			}
		}
		for n := range x.providers {
			if _, real := x.byName[n]; !real && !yield(n) {
				return
			}
		}
	})
}

// similar picks the names at the smallest edit distance, at most a third of
// name's length; of those, the ones that begin like name are first.
func similar(name string, all func(func(string) bool)) []string {
	limit := max(1, min(3, len(name)/3))
	type near struct {
		name string
		d    int
	}
	var list []near
	for n := range all {
		if d := len(n) - len(name); d > limit || d < -limit {
			continue
		}
		if d := distance(name, n, limit); d <= limit {
			list = append(list, near{n, d})
		}
	}
	slices.SortFunc(list, func(a, b near) int {
		return cmp.Or(a.d-b.d, common(name, b.name)-common(name, a.name), strings.Compare(a.name, b.name))
	})
	var names []string
	for _, n := range list {
		if len(names) < 3 && n.d == list[0].d {
			names = append(names, n.name)
		}
	}
	return names
}

// common is the length of what both begin with.
func common(a, b string) int {
	n := 0
	for n < len(a) && n < len(b) && a[n] == b[n] {
		n++
	}
	return n
}

// distance is the number of insertions, deletions, substitutions and swaps of
// neighbours from a to b, or more than limit.
func distance(a, b string, limit int) int {
	before, prev, cur := make([]int, len(b)+1), make([]int, len(b)+1), make([]int, len(b)+1)
	for j := range prev {
		prev[j] = j
	}
	for i := 1; i <= len(a); i++ {
		cur[0] = i
		best := i
		for j := 1; j <= len(b); j++ {
			cost := 1
			if a[i-1] == b[j-1] {
				cost = 0
			}
			cur[j] = min(prev[j]+1, cur[j-1]+1, prev[j-1]+cost)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				cur[j] = min(cur[j], before[j-2]+1)
			}
			best = min(best, cur[j])
		}
		if best > limit {
			return best
		}
		before, prev, cur = prev, cur, before
	}
	return prev[len(b)]
}
