package debian

import (
	"fmt"
	"slices"
	"strings"
)

// Edges are what a package needs directly, by name, sorted.
type Edges []string

// Resolution is a closure: the packages, and for each the direct dependencies
// that were chosen for it.
type Resolution struct {
	Packages  map[string]*Package
	Depends   map[string]Edges
	Conflicts map[string]Edges // with which others of Packages one can't be installed
}

// A resolver works on one closure. Which alternative fulfils a dependency is
// decided for each group by itself, so the outcome doesn't depend on the order
// in which packages are looked at:
//
//  1. an alternative that is asked for by name or was chosen before (preferred);
//  2. else the first alternative that is a real package of the right version;
//  3. else a provider of the first alternative that has one, highest priority
//     first, then by name.
type resolver struct {
	x         *Index
	preferred map[string]bool
	res       *Resolution
	parent    map[string]string // who brought a package in; "" is the request
}

// Resolve computes the closure of the packages called names under Depends and
// Pre-Depends. Recommends are not followed. Packages in preferred win where
// alternatives leave a choice, as names do. A name that is virtual stands for
// its only provider.
func (x *Index) Resolve(names []string, preferred map[string]bool) (*Resolution, error) {
	r := &resolver{x: x, preferred: map[string]bool{}, parent: map[string]string{},
		res: &Resolution{Packages: map[string]*Package{}, Depends: map[string]Edges{}, Conflicts: map[string]Edges{}}}
	for n := range preferred {
		r.preferred[n] = true
	}
	var queue []*Package
	for _, n := range names {
		p, err := x.named(n)
		if err != nil {
			return nil, err
		}
		r.preferred[p.Name] = true
		queue = r.add(queue, p, "")
	}
	for len(queue) > 0 {
		p := queue[0]
		queue = queue[1:]
		needs, err := r.needs(p)
		if err != nil {
			return nil, err
		}
		for _, need := range needs {
			r.res.Depends[p.Name] = append(r.res.Depends[p.Name], need.Name)
			queue = r.add(queue, need, p.Name)
		}
	}
	return r.res, x.FindConflicts(r.res)
}

func (r *resolver) add(queue []*Package, p *Package, parent string) []*Package {
	if r.res.Packages[p.Name] != nil {
		return queue
	}
	r.res.Packages[p.Name] = p
	r.parent[p.Name] = parent
	return append(queue, p)
}

// named finds what the user asked for.
func (x *Index) named(name string) (*Package, error) {
	if p, ok := x.Find(name); ok {
		return p, nil
	}
	providers := x.Providers(name)
	if len(providers) == 1 {
		return providers[0], nil
	}
	e := &UnknownError{Name: name, Suite: x.Suite, Arch: x.Arch}
	for _, p := range providers {
		e.Providers = append(e.Providers, p.Name)
	}
	if len(providers) == 0 {
		e.Similar = x.Similar(name)
	}
	return nil, e
}

// needs returns the packages that fulfil p's dependencies, sorted, each once.
func (r *resolver) needs(p *Package) ([]*Package, error) {
	var needs []*Package
	for _, field := range []string{p.PreDepends, p.Depends} {
		groups, err := ParseRelations(field)
		if err != nil {
			return nil, fmt.Errorf("reading the dependencies of %s %s: %w", p.Name, p.Version, err)
		}
		for _, g := range groups {
			q := r.choose(p, g)
			if q == nil {
				return nil, r.unsatisfied(p, g)
			}
			if q != p && !slices.Contains(needs, q) {
				needs = append(needs, q)
			}
		}
	}
	slices.SortFunc(needs, func(a, b *Package) int { return strings.Compare(a.Name, b.Name) })
	return needs, nil
}

// choose picks the package that fulfils g for p, nil if none does.
func (r *resolver) choose(p *Package, g Group) *Package {
	var real, virtual *Package
	for _, rel := range g {
		if p.Satisfies(rel, r.x.Arch) {
			return p
		}
		q, ok := r.x.Find(rel.Name)
		if ok && q.Satisfies(rel, r.x.Arch) {
			if r.preferred[q.Name] {
				return q
			}
			if real == nil {
				real = q
			}
		}
		for _, q := range r.x.Providers(rel.Name) {
			if !q.provides(rel) {
				continue
			}
			if r.preferred[q.Name] {
				return q
			}
			if virtual == nil {
				virtual = q
			}
		}
	}
	if real != nil {
		return real
	}
	return virtual
}

// unsatisfied makes the error, with the chain from the request to p.
func (r *resolver) unsatisfied(p *Package, g Group) error {
	e := &UnsatisfiedError{Suite: r.x.Suite, Arch: r.x.Arch, Need: g.String()}
	for name := p.Name; name != ""; name = r.parent[name] {
		e.Chain = append(e.Chain, name+" "+r.res.Packages[name].Version)
	}
	slices.Reverse(e.Chain)
	for _, rel := range g {
		if q, ok := r.x.Find(rel.Name); ok {
			e.Has = append(e.Has, q.Name+" "+q.Version)
		}
	}
	return e
}

// FindConflicts fills in res.Conflicts for res.Packages, from Conflicts and Breaks.
func (x *Index) FindConflicts(res *Resolution) error {
	for name, p := range res.Packages {
		for _, field := range []string{p.Conflicts, p.Breaks} {
			groups, err := ParseRelations(field)
			if err != nil {
				return fmt.Errorf("reading the conflicts of %s %s: %w", name, p.Version, err)
			}
			for _, g := range groups {
				for _, q := range x.hit(res, g[0]) {
					if q != name {
						res.Conflicts[name] = insert(res.Conflicts[name], q)
						res.Conflicts[q] = insert(res.Conflicts[q], name)
					}
				}
			}
		}
	}
	return nil
}

// hit returns the packages of the closure that rel is about.
func (x *Index) hit(res *Resolution, rel Relation) []string {
	var names []string
	if q := res.Packages[rel.Name]; q != nil && q.Satisfies(rel, x.Arch) {
		names = append(names, q.Name)
	}
	for _, q := range x.Providers(rel.Name) {
		if res.Packages[q.Name] != nil && q.provides(rel) {
			names = append(names, q.Name)
		}
	}
	return names
}

func insert(list Edges, s string) Edges {
	i, found := slices.BinarySearch(list, s)
	if found {
		return list
	}
	return slices.Insert(list, i, s)
}
