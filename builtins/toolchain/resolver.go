package toolchain

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/labstar/labstar/internal/debian"
	"github.com/labstar/labstar/internal/lock"
)

// essential are those of the packages marked Essential that a build may count
// on. The others set up or run a machine (dpkg, init-system-helpers,
// sysvinit-utils, util-linux, bsdutils, base-passwd, ncurses-*) or come with what needs
// them (perl-base); a script that wants one names it.
var essential = []string{"base-files", "bash", "coreutils", "dash", "debianutils", "diffutils", "findutils",
	"grep", "gzip", "hostname", "libc-bin", "sed", "tar"}

// openArchive is the archive as the machine is set up.
func openArchive(env lock.Env) (*debian.Archive, error) {
	keys, err := debian.Keys()
	if err != nil {
		return nil, err
	}
	if p := env.Setting("debian.keyring"); p != "" {
		f, err := os.Open(p)
		if err != nil {
			return nil, fmt.Errorf("reading debian.keyring: %w", err)
		}
		defer f.Close()
		more, err := debian.ReadKeys(f)
		if err != nil {
			return nil, fmt.Errorf("reading debian.keyring %s: %w; want an OpenPGP key ring in binary form (gpg --export)", p, err)
		}
		keys = append(slices.Clone(keys), more...)
	}
	a := &debian.Archive{Mirrors: mirrors(env.Setting), Keys: keys, Now: env.Clock(), Client: env.Client, Progress: env.Progress,
		IgnoreExpiry: env.Setting("debian.ignore-expiry") == "yes"}
	if env.Dir != "" {
		a.Dir = filepath.Join(env.Dir, "debian")
	}
	return a, nil
}

// byFolder groups requests by all of their name but the last part.
func byFolder(wants []lock.Request) map[string][]lock.Request {
	groups := map[string][]lock.Request{}
	for _, w := range wants {
		dir, _ := split(w.Name)
		groups[dir] = append(groups[dir], w)
	}
	return groups
}

func split(name string) (dir, base string) {
	i := strings.LastIndexByte(name, '/')
	return name[:i+1], name[i+1:]
}

// packageResolver resolves deb entries.
type packageResolver struct{}

func (packageResolver) Resolve(ctx context.Context, env lock.Env, wants []lock.Request, f *lock.File, _ []string) error {
	a, err := openArchive(env)
	if err != nil {
		return err
	}
	groups := byFolder(wants)
	for _, prefix := range slices.Sorted(maps.Keys(groups)) {
		suite, arch, ok := strings.Cut(strings.TrimSuffix(prefix, "/"), "/")
		if !ok {
			return fmt.Errorf("malformed request %q, want SUITE/ARCH/NAME", groups[prefix][0].Name)
		}
		rel, err := a.Release(ctx, suite)
		if err != nil {
			return &lock.RequestError{Request: groups[prefix][0], Err: err}
		}
		x, err := a.Packages(ctx, rel, suite, arch)
		if err != nil {
			return &lock.RequestError{Request: groups[prefix][0], Err: err}
		}
		s := &suiteLock{x: x, f: f, prefix: prefix, locked: map[string]pin{}, fresh: map[string]bool{}}
		if err := s.resolve(groups[prefix]); err != nil {
			return err
		}
	}
	return nil
}

// suiteLock is the part of the lock for one suite and architecture.
type suiteLock struct {
	x      *debian.Index
	f      *lock.File
	prefix string
	locked map[string]pin  // what is in the lock, old and new
	fresh  map[string]bool // names written in this run
}

func (s *suiteLock) resolve(wants []lock.Request) error {
	for _, e := range s.f.Entries() {
		if dir, base := split(e.Name); e.Kind == kindPackage && dir == s.prefix {
			p, err := parsePin(base, e.Fields)
			if err != nil {
				return err
			}
			s.locked[base] = p
		}
	}
	// What is locked or asked for wins where alternatives leave a choice; what
	// is essential is the same whatever else is asked for.
	preferred := map[string]bool{}
	for n := range s.locked {
		preferred[n] = true
	}
	for _, w := range wants {
		_, n := split(w.Name)
		preferred[n] = true
	}
	slices.SortFunc(wants, func(a, b lock.Request) int { return cmp.Compare(a.Name, b.Name) }) // "@" is before letters
	var errs []error
	for _, w := range wants {
		_, name := split(w.Name)
		var err error
		if name == essentialName {
			err = s.addEssential()
		} else {
			err = s.add(name, preferred)
		}
		if err != nil {
			errs = append(errs, &lock.RequestError{Request: w, Err: err})
		}
	}
	if len(errs) > 0 {
		return errors.Join(errs...)
	}
	if err := s.renew(preferred); err != nil {
		return err
	}
	return s.write()
}

func (s *suiteLock) addEssential() error {
	var names []string
	for _, p := range s.x.Essential() {
		if slices.Contains(essential, p.Name) {
			names = append(names, p.Name)
		}
	}
	res, err := s.x.Resolve(names, nil)
	if err != nil {
		return err
	}
	s.take(res)
	s.locked[essentialName] = pin{Name: essentialName, Deps: names}
	s.fresh[essentialName] = true
	return nil
}

// add locks the closure of one name.
func (s *suiteLock) add(name string, preferred map[string]bool) error {
	res, err := s.x.Resolve([]string{name}, preferred)
	if err != nil {
		return err
	}
	s.take(res)
	if res.Packages[name] == nil { // virtual: an entry that stands for its provider
		for _, p := range s.x.Providers(name) {
			s.locked[name] = pin{Name: name, Deps: []string{p.Name}}
			s.fresh[name] = true
		}
	}
	return nil
}

// take adds those packages of a closure that are not locked yet.
func (s *suiteLock) take(res *debian.Resolution) {
	for n, p := range res.Packages {
		if _, ok := s.locked[n]; ok {
			continue
		}
		s.locked[n] = pin{Name: n, Version: p.Version, Digest: p.Digest, Path: p.Filename, Deps: res.Depends[n]}
		s.fresh[n] = true
	}
}

// renew replaces locked packages that no longer fit what was added: an older
// version of the same source, or one that a new dependency doesn't accept.
func (s *suiteLock) renew(preferred map[string]bool) error {
	for {
		stale := s.stale()
		if len(stale) == 0 {
			return nil
		}
		for _, n := range stale {
			delete(s.locked, n)
		}
		for _, n := range stale {
			if err := s.add(n, preferred); err != nil {
				return fmt.Errorf("renewing %s, which no longer fits: %w", n, err)
			}
		}
	}
}

// stale returns the locked packages that don't fit the fresh ones, sorted.
func (s *suiteLock) stale() []string {
	set := map[string]bool{}
	sources := map[string]bool{}
	for n := range s.fresh {
		p, ok := s.x.Find(n)
		if !ok {
			continue
		}
		sources[p.Source] = true
		for _, d := range s.locked[n].Deps {
			if s.outdated(d) && !s.accepts(p, d) {
				set[d] = true
			}
		}
	}
	for n := range s.locked {
		if p, ok := s.x.Find(n); ok && s.outdated(n) && sources[p.Source] {
			set[n] = true
		}
	}
	return slices.Sorted(maps.Keys(set))
}

// outdated reports whether name is locked at another version than the index has.
func (s *suiteLock) outdated(name string) bool {
	old := s.locked[name]
	p, ok := s.x.Find(name)
	return ok && old.Version != "" && old.Version != p.Version
}

// accepts reports whether all that p demands of the package called name holds
// for the locked version of it.
func (s *suiteLock) accepts(p *debian.Package, name string) bool {
	old := s.locked[name]
	for _, field := range []string{p.PreDepends, p.Depends} {
		groups, err := debian.ParseRelations(field)
		if err != nil {
			return false
		}
		for _, g := range groups {
			for _, r := range g {
				if r.Name == name && !r.Allows(old.Version) {
					return false
				}
			}
		}
	}
	return true
}

// write puts the fresh entries into the file, with the conflicts among all.
func (s *suiteLock) write() error {
	res := &debian.Resolution{Packages: map[string]*debian.Package{}, Conflicts: map[string]debian.Edges{}}
	for n := range s.locked {
		if p, ok := s.x.Find(n); ok && !s.outdated(n) {
			res.Packages[n] = p
		}
	}
	if err := s.x.FindConflicts(res); err != nil {
		return err
	}
	for n := range s.fresh {
		p := s.locked[n]
		p.Conflicts = res.Conflicts[n]
		if err := s.f.Set(kindPackage, s.prefix+n, p.fields()...); err != nil {
			return err
		}
	}
	return nil
}
