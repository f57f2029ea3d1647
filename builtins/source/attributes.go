package source

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/labstar/labstar/action"
)

func (c *composer) symlinks(ctx context.Context) error {
	for _, l := range c.p.Symlinks {
		n := action.Node{Kind: action.Symlink, Target: l.To, Attr: action.Attr{Mode: action.ModeSymlink}}
		err := c.e.Put(ctx, l.Path, n, c.how)
		var conflict *action.ConflictError
		if errors.As(err, &conflict) {
			return fmt.Errorf("symlinks: %q is in %s already: remove it, or say overwrite = True", l.Path, c.holder(ctx, l.Path))
		}
		if err != nil {
			return fmt.Errorf("symlinks: %w", err)
		}
	}
	return nil
}

func (c *composer) dirs(ctx context.Context) error {
	for _, d := range c.p.Dirs {
		if n, err := c.e.Lookup(ctx, d); err == nil && n.Kind != action.Dir {
			return fmt.Errorf("dirs: %q is a %s already", d, n.Kind)
		}
		if err := c.e.Mkdir(ctx, d); err != nil {
			return fmt.Errorf("dirs: %w", err)
		}
	}
	return nil
}

// modes sets the bits of what is named. A pattern with wildcards means files, so
// that 0o644 for all of a folder leaves its folders open; symlinks have no mode.
func (c *composer) modes(ctx context.Context) error {
	for _, m := range c.p.Modes {
		found, err := find(ctx, c.e, m.Pattern)
		if err != nil {
			return fmt.Errorf("modes: %w", err)
		}
		set := 0
		for _, p := range found {
			err := c.e.SetAttr(ctx, p, func(k action.Kind, a *action.Attr) {
				if k != action.Symlink && (k != action.Dir || isPlain(m.Pattern)) {
					a.Mode = m.Mode
					set++
				}
			})
			if err != nil {
				return fmt.Errorf("modes: %w", err)
			}
		}
		if set == 0 {
			return fmt.Errorf("modes: %q matches no file: a symlink has no mode, and a folder has to be named without wildcards", m.Pattern)
		}
	}
	return nil
}

// owners sets the owner of what matches and of all that is below it.
func (c *composer) owners(ctx context.Context) error {
	for _, o := range c.p.Owners {
		found, err := find(ctx, c.e, o.Pattern)
		if err != nil {
			return fmt.Errorf("owners: %w", err)
		}
		for _, top := range found {
			n, err := c.e.Lookup(ctx, top)
			if err != nil {
				return err
			}
			all := []string{top}
			if n.Kind == action.Dir {
				if all, err = find(ctx, c.e, escape(top)+"/**"); err != nil {
					return err
				}
			}
			for _, p := range all {
				err := c.e.SetAttr(ctx, p, func(_ action.Kind, a *action.Attr) { a.UID, a.GID = o.UID, o.GID })
				if err != nil {
					return err
				}
			}
		}
	}
	return nil
}

// escape makes a pattern of a path that matches it alone.
func escape(p string) string {
	return strings.NewReplacer(`\`, `\\`, `*`, `\*`, `?`, `\?`, `[`, `\[`).Replace(p)
}
