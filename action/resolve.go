package action

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"strings"
)

// maxLinks is how many symlinks a path may go through, as in Linux.
const maxLinks = 40

// Resolve returns the node that path leads to, following symlinks inside the
// tree as a program with the tree as its root would, and where that node is. The
// error wraps fs.ErrNotExist if it leads nowhere; the path returned is then the
// one that is missing.
func (e *Edit) Resolve(ctx context.Context, path string) (Node, string, error) {
	left := strings.Split(path, "/")
	at := ""
	for links := 0; len(left) > 0; {
		part := left[0]
		left = left[1:]
		switch part {
		case "", ".":
			continue
		case "..":
			at = at[:max(0, strings.LastIndexByte(at, '/'))]
			continue
		}
		next := part
		if at != "" {
			next = at + "/" + part
		}
		n, err := e.Lookup(ctx, next)
		switch {
		case err != nil:
			return Node{}, next, err
		case n.Kind == Symlink:
			if links++; links > maxLinks {
				return Node{}, next, fmt.Errorf("path %q: more than %d symlinks: %w", path, maxLinks, fs.ErrNotExist)
			}
			if strings.HasPrefix(n.Target, "/") {
				at = ""
			}
			left = append(strings.Split(n.Target, "/"), left...)
		case n.Kind != Dir && len(left) > 0:
			return Node{}, next, fmt.Errorf("path %q: %q is a %s: %w", path, next, n.Kind, fs.ErrNotExist)
		default:
			at = next
		}
	}
	n, err := e.Lookup(ctx, at)
	return n, at, err
}

// Runnable reports why the program at path can't be run: nothing is there, it
// is no file, or it has no run bit.
func (e *Edit) Runnable(ctx context.Context, path string) error {
	shown := "/" + strings.TrimPrefix(path, "/")
	n, at, err := e.Resolve(ctx, path)
	switch {
	case errors.Is(err, fs.ErrNotExist) && !strings.HasPrefix(shown+"/", "/"+at+"/"):
		return fmt.Errorf("%q leads to %q, which is not there", shown, "/"+at)
	case errors.Is(err, fs.ErrNotExist):
		return fmt.Errorf("%q is not there", shown)
	case err != nil:
		return err
	case n.Kind != Regular:
		return fmt.Errorf("%q is a %s, want a program", shown, n.Kind)
	case n.Attr.Mode&0o111 == 0:
		return fmt.Errorf("%q has no run bit (mode 0o%o); say modes = {%q: 0o755} where it is laid", "/"+at, n.Attr.Mode, "/"+at)
	}
	return nil
}
