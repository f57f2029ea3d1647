package npm

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// choice says what of a lock is wanted.
type choice struct {
	target        platform
	dev, optional bool
}

// choose returns the packages to install, sorted by path, and reports a lock that is
// not whole.
func (l *lockFile) choose(c choice) ([]*entry, error) {
	var chosen []*entry
	var errs []error
	for _, p := range l.paths() { // an outer package comes before those inside of it
		e := l.Packages[p]
		switch {
		case l.insideSkipped(p, chosen):
		case e.Dev && !c.dev, e.Optional && !c.optional, e.DevOptional && !c.dev && !c.optional:
		case e.InBundle: // comes with the package that bundles it
		case !c.target.has(e):
			if !e.Optional && !e.DevOptional {
				errs = append(errs, fmt.Errorf("package %s@%s is for %s, want one for %s/%s (%s)", e.Name, e.Version,
					strings.Join(slices.Concat(e.OS, e.CPU, e.Libc), ", "), c.target.os, c.target.cpu, c.target.libc))
			}
		default:
			chosen = append(chosen, e)
		}
	}
	for _, e := range chosen {
		for _, n := range slices.Sorted(maps.Keys(e.Dependencies)) {
			if _, optional := e.OptDependencies[n]; !optional && !l.finds(e.path, n) {
				errs = append(errs, fmt.Errorf("package %s needs %s, which the lock does not have: npm install --package-lock-only makes it whole", e.path, n))
			}
		}
	}
	return chosen, errors.Join(errs...)
}

// insideSkipped reports whether p lies in a package that is not installed.
func (l *lockFile) insideSkipped(p string, chosen []*entry) bool {
	i := strings.LastIndex(p, "/node_modules/")
	if i < 0 {
		return false
	}
	outer := p[:i]
	if e := l.Packages[outer]; e == nil || e.InBundle {
		return false
	}
	return !slices.ContainsFunc(chosen, func(e *entry) bool { return e.path == outer })
}

// finds looks a dependency up as Node does: in the package's own node_modules, then
// outwards.
func (l *lockFile) finds(from, name string) bool {
	for at := from; ; {
		if l.Packages[at+"/node_modules/"+name] != nil {
			return true
		}
		i := strings.LastIndex(at, "/node_modules/")
		if i < 0 {
			return l.Packages["node_modules/"+name] != nil
		}
		at = at[:i]
	}
}

// has reports whether the package is for the platform.
func (t platform) has(e *entry) bool {
	return allows(e.OS, t.os) && allows(e.CPU, t.cpu) && allows(e.Libc, t.libc)
}

// allows reads a list of package.json's os, cpu or libc: names, or names not to have.
func allows(list words, got string) bool {
	if len(list) == 0 {
		return true
	}
	named, match := false, false
	for _, w := range list {
		if not, ok := strings.CutPrefix(w, "!"); ok {
			if not == got {
				return false
			}
			continue
		}
		named = true
		match = match || w == got || w == "any"
	}
	return match || !named
}
