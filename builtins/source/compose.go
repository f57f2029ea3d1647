package source

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"strings"

	"github.com/labstar/labstar/action"
)

// treeOp composes a tree out of directories; it writes no file.
var treeOp = &action.Op{Name: "source/tree", Version: 1, Check: true, Run: runTree}

// treeParams is what source/tree is to do, in this order. Paths and patterns are clean.
type treeParams struct {
	Base      []string    `json:"base,omitempty"` // inputs
	Pick      []string    `json:"pick,omitempty"`
	Remove    []string    `json:"remove,omitempty"`
	Move      []pair      `json:"move,omitempty"`
	Files     []laid      `json:"files,omitempty"`
	Symlinks  []pair      `json:"symlinks,omitempty"`
	Dirs      []string    `json:"dirs,omitempty"`
	Modes     []modeRule  `json:"modes,omitempty"`
	Owners    []ownerRule `json:"owners,omitempty"`
	Overwrite bool        `json:"overwrite,omitempty"`
}

type pair struct {
	Path string `json:"path"`
	To   string `json:"to"`
}

type laid struct {
	Path  string `json:"path"`
	Input string `json:"input"`
}

type modeRule struct {
	Pattern string `json:"pattern"`
	Mode    uint32 `json:"mode"`
}

type ownerRule struct {
	Pattern string `json:"pattern"`
	UID     uint32 `json:"uid"`
	GID     uint32 `json:"gid"`
}

func runTree(ctx context.Context, env action.Env) error {
	c := &composer{env: env, e: action.NewEdit(env, action.Digest{})}
	if err := env.Params(&c.p); err != nil {
		return err
	}
	if c.p.Overwrite {
		c.how = action.Replace
	}
	for _, step := range []func(context.Context) error{
		c.base, c.pick, c.remove, c.move, c.files, c.symlinks, c.dirs, c.modes, c.owners,
	} {
		if err := step(ctx); err != nil {
			return err
		}
	}
	root, err := c.e.Finish(ctx, env.PutDirectory)
	if err != nil {
		return err
	}
	return env.SetTree("tree", root)
}

// composer is one run of source/tree.
type composer struct {
	env  action.Env
	e    *action.Edit
	p    treeParams
	how  action.Conflict
	laid []laid // what was laid so far, for naming both sides of a conflict
}

// lay puts the input in at path.
func (c *composer) lay(ctx context.Context, l laid) error {
	in := c.env.Input(l.Input)
	var err error
	if in.Kind == action.Tree {
		err = c.e.Merge(ctx, l.Path, in.Digest, c.how)
	} else {
		n := action.Node{Kind: action.Regular, Digest: in.Digest}
		if n.Attr.Mode, err = fileMode(ctx, c.env, in.Digest); err != nil {
			return err
		}
		err = c.e.Put(ctx, l.Path, n, c.how)
	}
	var conflict *action.ConflictError
	switch {
	case errors.As(err, &conflict):
		return fmt.Errorf("laying %s: %q is in %s too: remove it from one of them, or say overwrite = True",
			l.Input, conflict.Path, c.holder(ctx, conflict.Path))
	case err != nil:
		return fmt.Errorf("laying %s: %w", l.Input, err)
	}
	c.laid = append(c.laid, l)
	return nil
}

// holder names what laid path.
func (c *composer) holder(ctx context.Context, path string) string {
	for i := len(c.laid) - 1; i >= 0; i-- {
		l := c.laid[i]
		in := c.env.Input(l.Input)
		rest, below := strings.CutPrefix("/"+path, strings.TrimSuffix("/"+l.Path, "/"))
		if in.Kind == action.File && l.Path == path {
			return l.Input
		}
		if in.Kind != action.Tree || !below || rest != "" && rest[0] != '/' {
			continue
		}
		if _, err := action.NewEdit(c.env, in.Digest).Lookup(ctx, rest); err == nil {
			return l.Input
		}
	}
	return "what was moved there"
}

// fileMode is the mode of a file that is laid by itself: 0755 for a program.
func fileMode(ctx context.Context, content action.Content, d action.Digest) (uint32, error) {
	r, err := content.OpenBlob(ctx, d)
	if err != nil {
		return 0, err
	}
	defer r.Close()
	var head [4]byte
	n, err := io.ReadFull(r, head[:])
	if err != nil && !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) { //nolint:errorlint // ReadFull returns them as they are
		return 0, err
	}
	if s := string(head[:n]); strings.HasPrefix(s, "#!") || s == "\x7fELF" {
		return action.ModeExec, nil
	}
	return action.ModeFile, nil
}

func (c *composer) base(ctx context.Context) error {
	if len(c.p.Base) == 1 {
		// The tree itself: nothing of it is read that isn't changed.
		c.e = action.NewEdit(c.env, c.env.Input(c.p.Base[0]).Digest)
		c.laid = []laid{{Input: c.p.Base[0]}}
		return nil
	}
	for _, name := range c.p.Base {
		if err := c.lay(ctx, laid{Input: name}); err != nil {
			return err
		}
	}
	return nil
}

// pick starts a new tree that has only what matches, and the folders above it
// with their attributes.
func (c *composer) pick(ctx context.Context) error {
	if len(c.p.Pick) == 0 {
		return nil
	}
	root, err := c.e.Finish(ctx, c.env.PutDirectory)
	if err != nil {
		return err
	}
	from := action.NewEdit(c.env, root)
	c.e = action.NewEdit(c.env, action.Digest{})
	for _, pattern := range c.p.Pick {
		found, err := find(ctx, from, pattern)
		if err != nil {
			return fmt.Errorf("pick: %w", err)
		}
		for _, p := range found {
			if err := c.take(ctx, from, root, p); err != nil {
				return fmt.Errorf("pick: %w", err)
			}
		}
	}
	return nil
}

// take copies what is at p, from being an Edit of root.
func (c *composer) take(ctx context.Context, from *action.Edit, root action.Digest, p string) error {
	n, err := from.Lookup(ctx, p)
	if err != nil {
		return err
	}
	if n.Kind == action.Dir {
		if n.Digest, err = subtree(ctx, c.env, root, p); err == nil {
			err = c.e.Merge(ctx, p, n.Digest, action.Replace)
		}
	} else {
		err = c.e.Put(ctx, p, n, action.Replace)
	}
	for i := range p {
		if err != nil {
			return err
		}
		if p[i] != '/' {
			continue
		}
		var up action.Node
		if up, err = from.Lookup(ctx, p[:i]); err == nil {
			err = c.e.SetAttr(ctx, p[:i], func(_ action.Kind, a *action.Attr) { *a = up.Attr })
		}
	}
	return err
}

func (c *composer) remove(ctx context.Context) error {
	for _, pattern := range c.p.Remove {
		found, err := find(ctx, c.e, pattern)
		if err != nil {
			return fmt.Errorf("remove: %w", err)
		}
		for _, p := range found {
			// A folder before it may have taken it along.
			if err := c.e.Remove(ctx, p); err != nil && !errors.Is(err, fs.ErrNotExist) {
				return fmt.Errorf("remove: %w", err)
			}
		}
	}
	return nil
}

func (c *composer) move(ctx context.Context) error {
	for _, m := range c.p.Move {
		if _, err := c.e.Lookup(ctx, m.Path); err != nil {
			return fmt.Errorf("move: %w", noMatch(ctx, c.e, m.Path))
		}
		if _, err := c.e.Lookup(ctx, m.To); err == nil && !c.p.Overwrite {
			return fmt.Errorf("moving %q to %q: there is something already; remove it, or say overwrite = True", m.Path, m.To)
		}
		if err := c.e.Move(ctx, m.Path, m.To); err != nil {
			return err
		}
	}
	return nil
}

func (c *composer) files(ctx context.Context) error {
	for _, l := range c.p.Files {
		if err := c.lay(ctx, l); err != nil {
			return err
		}
	}
	return nil
}
