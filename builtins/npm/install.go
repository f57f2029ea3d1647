package npm

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"path"
	"slices"
	"strings"

	"github.com/labstar/labstar/action"
)

type installParams struct {
	Packages []installed `json:"packages"`
}

// installed is one package at its place.
type installed struct {
	Path    string            `json:"path"`
	Name    string            `json:"name"`
	Version string            `json:"version"`
	License string            `json:"license,omitempty"`
	Bin     map[string]string `json:"bin,omitempty"`
}

// installOp lays the packages where the lock has them.
var installOp = &action.Op{Name: "npm/install", Version: 1, Run: runInstall}

func runInstall(ctx context.Context, env action.Env) error {
	var p installParams
	if err := env.Params(&p); err != nil {
		return err
	}
	e := action.NewEdit(env, action.Digest{})
	if err := e.Mkdir(ctx, "node_modules"); err != nil {
		return err
	}
	for _, pkg := range p.Packages {
		if err := e.Merge(ctx, pkg.Path, env.Input(pkg.Path).Digest, action.Replace); err != nil {
			return fmt.Errorf("laying %s: %w", pkg.Path, err)
		}
	}
	for _, pkg := range p.Packages {
		if err := pkg.link(ctx, env, e); err != nil {
			return err
		}
	}
	root, err := e.Finish(ctx, env.PutDirectory)
	if err != nil {
		return err
	}
	return env.SetTree("tree", root)
}

// link makes the links of .bin. Where two packages have a program of one name, the
// first keeps it, as with npm.
func (p *installed) link(ctx context.Context, env action.Env, e *action.Edit) error {
	const modules = "node_modules/"
	dir := p.Path[:strings.LastIndex(p.Path, modules)+len(modules)]
	for _, name := range slices.Sorted(maps.Keys(p.Bin)) {
		program := path.Join(p.Path, p.Bin[name])
		n, err := e.Lookup(ctx, program)
		if err != nil || n.Kind != action.Regular {
			fmt.Fprintf(env.Log(), "%s: its program %s is not in it\n", p.Path, p.Bin[name])
			continue
		}
		if err := e.SetAttr(ctx, program, func(_ action.Kind, a *action.Attr) { a.Mode |= 0o111 }); err != nil {
			return err
		}
		at := dir + ".bin/" + name
		if _, err := e.Lookup(ctx, at); err == nil {
			continue
		} else if !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		to := action.Node{Kind: action.Symlink, Target: "../" + strings.TrimPrefix(program, dir), Attr: action.Attr{Mode: action.ModeSymlink}}
		if err := e.Put(ctx, at, to, action.Refuse); err != nil {
			return fmt.Errorf("linking %s: %w", at, err)
		}
	}
	return nil
}
