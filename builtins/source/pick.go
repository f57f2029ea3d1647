package source

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"strings"

	"go.starlark.net/starlark"

	"github.com/labstar/labstar/action"
	"github.com/labstar/labstar/starlark/schema"
)

type pickArgs struct {
	Tree *schema.Artifact `star:"tree" kind:"tree" doc:"the tree to take from"`
	Path string           `star:"path" doc:"what to take; a path that ends in / is a folder"`
}

// Pick is the builtin `pick`.
var Pick = schema.New("pick", `pick takes one file or one folder out of a tree.

A path that ends in / gives a tree, any other a file. A symbolic link in the tree
is followed to the file or folder it leads to, if that is in the tree too.

	kernel  = pick(build, "arch/x86/boot/bzImage")
	headers = pick(build, "usr/include/")`,
	func(c *schema.Call, a *pickArgs) (starlark.Value, error) {
		p, err := action.CleanPath(a.Path)
		if err != nil {
			return nil, c.ArgErrorf("path", "%w", err)
		}
		outputs, isTree := fileOutput(path.Base(p)), strings.HasSuffix(a.Path, "/")
		if isTree {
			outputs = treeOutput
		} else if p == "" {
			return nil, c.ArgErrorf("path", "got %q, want the path of a file, or one of a folder that ends in /", a.Path)
		}
		act, err := c.Action(action.Spec{
			Op: pickOp, Params: pickParams{p, isTree}, Outputs: outputs, Title: "pick " + a.Path,
			Inputs: []action.Input{{Name: "tree", Artifact: a.Tree.Artifact}},
		})
		if err != nil {
			return nil, err
		}
		return value(act), nil
	}, schema.Returns("a file, or a tree if the path ends in /"))

// pickOp names one node of the input as the output.
var pickOp = &action.Op{Name: "source/pick", Version: 1, Check: true, Run: runPick}

type pickParams struct {
	Path string `json:"path"`
	Tree bool   `json:"tree,omitempty"`
}

func runPick(ctx context.Context, env action.Env) error {
	var p pickParams
	if err := env.Params(&p); err != nil {
		return err
	}
	root := env.Input("tree").Digest
	e := action.NewEdit(env, root)
	n, at, err := follow(ctx, e, p.Path)
	if errors.Is(err, fs.ErrNotExist) {
		return noSuchPath(ctx, e, p.Path, at)
	}
	if err != nil {
		return err
	}
	switch n.Kind {
	case action.Dir:
		if !p.Tree {
			return fmt.Errorf("path %q is a folder: end it in a slash to pick it as a tree", p.Path)
		}
		sub, err := subtree(ctx, env, root, at)
		if err != nil {
			return err
		}
		return env.SetTree("tree", sub)
	case action.Regular:
		if p.Tree {
			return fmt.Errorf("path %q is a file: leave out the slash at its end", p.Path)
		}
		return env.SetFile(path.Base(p.Path), n.Digest)
	}
	return fmt.Errorf("path %q is a %s, want a file or a folder", p.Path, n.Kind)
}

// subtree returns the digest of the directory at the path at.
func subtree(ctx context.Context, content action.Content, root action.Digest, at string) (action.Digest, error) {
	for part := range strings.SplitSeq(at, "/") {
		if part == "" {
			continue
		}
		d, err := content.Directory(ctx, root)
		if err != nil {
			return root, err
		}
		n, ok := d.Find(part)
		if !ok || n.Kind != action.Dir {
			return root, fmt.Errorf("path %q: %w", at, fs.ErrNotExist)
		}
		root = n.Digest
	}
	return root, nil
}

// maxLinks is how many symlinks are followed, as in the kernel.
const maxLinks = 40

// follow finds the node that p leads to inside the tree; at is its own path, or
// the one that is missing.
func follow(ctx context.Context, e *action.Edit, p string) (n action.Node, at string, err error) {
	left := strings.Split(p, "/")
	for links := 0; len(left) > 0; {
		part := left[0]
		left = left[1:]
		if part == "" || part == "." {
			continue
		}
		if part == ".." {
			if at = path.Dir(at); at == "." {
				at = ""
			}
			continue
		}
		next := path.Join(at, part)
		if n, err = e.Lookup(ctx, next); err != nil {
			return n, next, err
		}
		if n.Kind != action.Symlink {
			at = next
			continue
		}
		if links++; links > maxLinks {
			return n, next, fmt.Errorf("path %q: symlinks lead round in a circle", p)
		}
		if strings.HasPrefix(n.Target, "/") {
			at = ""
		}
		left = append(strings.Split(n.Target, "/"), left...)
	}
	n, err = e.Lookup(ctx, at)
	return n, at, err
}

// noSuchPath is the error for a path that is not in the tree, with what it may
// have meant.
func noSuchPath(ctx context.Context, e *action.Edit, asked, missing string) error {
	msg := fmt.Sprintf("no %q in the tree", asked)
	if missing != asked {
		msg += fmt.Sprintf(": it leads to %q, which is not there", missing)
	}
	if s := nearest(ctx, e, missing); s != "" {
		msg += fmt.Sprintf(" (did you mean %q?)", s)
	}
	return errors.New(msg)
}

// nearest returns the path of the tree that p was most likely meant to be: the
// same name elsewhere, or a similar one. It is for messages: an error is no news.
func nearest(ctx context.Context, e *action.Edit, p string) string {
	var paths, sameName []string
	_ = e.Walk(ctx, func(q string, _ action.Node) error { // what can't be read can't be meant
		if q == "" {
			return nil
		}
		if len(paths) == 100_000 {
			return fs.SkipAll
		}
		paths = append(paths, q)
		if path.Base(q) == path.Base(p) {
			sameName = append(sameName, q)
		}
		return nil
	})
	if len(sameName) == 1 {
		return sameName[0]
	}
	if s := schema.Suggest(p, sameName); s != "" {
		return s
	}
	return schema.Suggest(p, paths)
}
