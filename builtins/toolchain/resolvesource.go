package toolchain

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/labstar/labstar/internal/debian"
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
		var names []string
		for _, w := range groups[prefix] {
			_, n := split(w.Name)
			names = append(names, n)
		}
		found, err := a.Sources(ctx, rel, suite, names)
		var unknown *debian.UnknownError
		if err != nil && !errors.As(err, &unknown) {
			return err
		}
		for _, w := range groups[prefix] {
			_, n := split(w.Name)
			if err := lockSource(f, w, found[n], err); err != nil {
				errs = append(errs, err)
			}
		}
	}
	return errors.Join(errs...)
}

// lockSource writes one source; missing joins the errors of those not found.
func lockSource(f *lock.File, w lock.Request, src *debian.Source, missing error) error {
	if src == nil {
		_, name := split(w.Name)
		for _, e := range missing.(interface{ Unwrap() []error }).Unwrap() {
			var unknown *debian.UnknownError
			if errors.As(e, &unknown) && unknown.Name == name {
				return &lock.RequestError{Request: w, Err: e}
			}
		}
		return &lock.RequestError{Request: w, Err: missing}
	}
	p := sourcePin{Version: src.Version, Directory: src.Directory, Files: src.Files}
	switch src.Format {
	case "3.0 (quilt)":
		p.Format = "quilt"
	case "3.0 (native)":
		p.Format = "native"
	case "1.0":
		p.Format = "1.0"
	default:
		return &lock.RequestError{Request: w, Err: fmt.Errorf("source package %s has format %q, want 1.0, 3.0 (quilt) or 3.0 (native)", src.Name, src.Format)}
	}
	return f.Set(kindSource, w.Name, p.fields()...)
}
