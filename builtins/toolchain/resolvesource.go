package toolchain

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/labstar/labstar/internal/debian"
	"github.com/labstar/labstar/internal/download"
	"github.com/labstar/labstar/internal/lock"
)

// sourceResolver resolves src entries.
type sourceResolver struct{}

func (sourceResolver) Resolve(ctx context.Context, env lock.Env, wants []lock.Request, f *lock.File, _ []string) error {
	a, err := openArchive(env)
	if err != nil {
		return err
	}
	groups := byFolder(wants)
	var errs []error
	for _, prefix := range slices.Sorted(maps.Keys(groups)) {
		suite := strings.TrimSuffix(prefix, "/")
		rel, err := a.Release(ctx, suite)
		if err != nil {
			return &lock.RequestError{Request: groups[prefix][0], Err: err}
		}
		if err := lockSources(ctx, sourceMirrors{a, env}, rel, suite, groups[prefix], f); err != nil {
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}

// lockSources writes the sources of one suite.
func lockSources(ctx context.Context, m sourceMirrors, rel *debian.Release, suite string, wants []lock.Request, f *lock.File) error {
	var names []string
	for _, w := range wants {
		name, _ := sourceName(w)
		names = append(names, name)
	}
	found, err := m.archive.Sources(ctx, rel, suite, names)
	var unknown *debian.UnknownError
	if err != nil && !errors.As(err, &unknown) {
		return err
	}
	var errs []error
	for _, w := range wants {
		name, version := sourceName(w)
		if found[name] == nil {
			errs = append(errs, unknownSource(w, name, err))
			continue
		}
		src, err := m.choose(ctx, found[name], version)
		if err == nil {
			err = lockSource(f, w, src)
		}
		if err != nil {
			errs = append(errs, &lock.RequestError{Request: w, Err: err})
		}
	}
	return errors.Join(errs...)
}

// sourceName splits the last part of a request, NAME or NAME@VERSION.
func sourceName(w lock.Request) (name, version string) {
	_, base := split(w.Name)
	name, version, _ = strings.Cut(base, "@")
	return name, version
}

// unknownSource picks the error about name from those that were joined.
func unknownSource(w lock.Request, name string, joined error) error {
	for _, e := range joined.(interface{ Unwrap() []error }).Unwrap() {
		var unknown *debian.UnknownError
		if errors.As(e, &unknown) && unknown.Name == name {
			return &lock.RequestError{Request: w, Err: e}
		}
	}
	return &lock.RequestError{Request: w, Err: joined}
}

// sourceMirrors is where the files of a source are to be had.
type sourceMirrors struct {
	archive *debian.Archive
	env     lock.Env
}

// choose returns the newest version that is wanted and can be had. An index may
// list more than its mirror has: one that is cut down, or is being updated.
func (m sourceMirrors) choose(ctx context.Context, versions []*debian.Source, want string) (*debian.Source, error) {
	all := versions
	if versions = wanted(all, want); len(versions) == 0 {
		var have []string
		for _, s := range all {
			have = append(have, s.Version)
		}
		return nil, fmt.Errorf("the suite has no such version: got %q, want one of %s", want, strings.Join(have, ", "))
	}
	newest := versions[0]
	for _, s := range versions {
		gone, err := m.gone(ctx, s)
		if err != nil {
			return nil, err
		}
		if gone != "" {
			continue
		}
		if s != newest && m.env.Note != nil {
			m.env.Note(fmt.Sprintf("source %s %s is in the suite's index and not on the mirror: taking %s", s.Name, newest.Version, s.Version))
		}
		return s, nil
	}
	return newest, nil // the fetch will say what is missing
}

// gone returns the first file of the authors' release that nobody has.
func (m sourceMirrors) gone(ctx context.Context, s *debian.Source) (string, error) {
	bases := append(slices.Clone(m.archive.Mirrors), strings.Fields(m.env.Setting("debian.archive"))...)
	for _, f := range s.Files {
		if download.Missing(ctx, m.env.Client, debian.URLs(bases, s.Directory+"/"+f.Name)) {
			return f.Name, nil
		}
	}
	return "", ctx.Err()
}

// wanted returns the versions that want names: those of exactly that version, of
// the package or of the program in it; else those that start with it, up to a
// dot. "" names all.
func wanted(versions []*debian.Source, want string) []*debian.Source {
	var exact, begin []*debian.Source
	for _, s := range versions {
		switch program := upstream(s.Version); {
		case want == s.Version || want == program:
			exact = append(exact, s)
		case want == "" || strings.HasPrefix(program, want+"."):
			begin = append(begin, s)
		}
	}
	if len(exact) > 0 {
		return exact
	}
	return begin
}

// lockSource writes one source.
func lockSource(f *lock.File, w lock.Request, src *debian.Source) error {
	p := sourcePin{Version: src.Version, Directory: src.Directory, Files: src.Files}
	switch src.Format {
	case "3.0 (quilt)":
		p.Format = "quilt"
	case "3.0 (native)":
		p.Format = "native"
	case "1.0":
		p.Format = "1.0"
	default:
		return fmt.Errorf("source package %s has format %q, want 1.0, 3.0 (quilt) or 3.0 (native)", src.Name, src.Format)
	}
	return f.Set(kindSource, w.Name, p.fields()...)
}
