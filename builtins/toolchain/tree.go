package toolchain

import (
	"context"
	"fmt"
	"io/fs"
	"path"
	"strings"

	"github.com/labstar/labstar/action"
)

// tree finds paths in a finished tree as a program inside would, through
// symlinks.
type tree struct {
	env  action.Content
	root action.Digest
	dirs map[string]*action.Directory // by path without symlinks
}

func newTree(content action.Content, root action.Digest) *tree {
	return &tree{env: content, root: root, dirs: map[string]*action.Directory{}}
}

// maxLinks is the number of symlinks on one path, as in Linux.
const maxLinks = 40

// walk resolves p to a path without symlinks and its node.
func (t *tree) walk(ctx context.Context, p string) (string, action.Node, error) {
	rest := strings.Split(path.Clean("/" + p)[1:], "/")
	at := "" // resolved so far
	node := action.Node{Kind: action.Dir, Digest: t.root}
	for links := 0; len(rest) > 0; {
		part := rest[0]
		rest = rest[1:]
		if part == "" || part == "." {
			continue
		}
		d, err := t.load(ctx, at)
		if err != nil {
			return "", node, err
		}
		n, ok := d.Find(part)
		if !ok {
			return "", node, fmt.Errorf("path %q: %w", p, fs.ErrNotExist)
		}
		if n.Kind != action.Symlink {
			at, node = path.Join(at, part), n
			if n.Kind != action.Dir && len(rest) > 0 {
				return "", node, fmt.Errorf("path %q: %w", p, fs.ErrNotExist)
			}
			continue
		}
		if links++; links > maxLinks {
			return "", node, fmt.Errorf("path %q: too many symlinks: %w", p, fs.ErrNotExist)
		}
		// Clean takes the ".." of a target away by the letter; as at has no
		// symlinks, that is right up to the first one in the target itself,
		// which is how packages write them.
		full := path.Join("/", at, n.Target)
		if path.IsAbs(n.Target) {
			full = path.Clean(n.Target)
		}
		rest = append(strings.Split(full[1:], "/"), rest...)
		at, node = "", action.Node{Kind: action.Dir, Digest: t.root}
	}
	return at, node, nil
}

// load returns the directory at a path without symlinks.
func (t *tree) load(ctx context.Context, p string) (*action.Directory, error) {
	if d := t.dirs[p]; d != nil {
		return d, nil
	}
	digest := t.root
	if p != "" {
		up, base := path.Split(p)
		parent, err := t.load(ctx, strings.TrimSuffix(up, "/"))
		if err != nil {
			return nil, err
		}
		n, ok := parent.Find(base)
		if !ok || n.Kind != action.Dir {
			return nil, fmt.Errorf("path %q: %w", p, fs.ErrNotExist)
		}
		digest = n.Digest
	}
	d, err := t.env.Directory(ctx, digest)
	if err == nil {
		t.dirs[p] = d
	}
	return d, err
}

// file returns the regular file at p.
func (t *tree) file(ctx context.Context, p string) (action.Node, error) {
	_, n, err := t.walk(ctx, p)
	if err == nil && n.Kind != action.Regular {
		err = fmt.Errorf("path %q is a %s: %w", p, n.Kind, fs.ErrNotExist)
	}
	return n, err
}

// dir returns the directory at p.
func (t *tree) dir(ctx context.Context, p string) (*action.Directory, error) {
	at, n, err := t.walk(ctx, p)
	if err != nil {
		return nil, err
	}
	if n.Kind != action.Dir {
		return nil, fmt.Errorf("path %q is a %s: %w", p, n.Kind, fs.ErrNotExist)
	}
	return t.load(ctx, at)
}

// real returns p without symlinks, or p if it leads nowhere.
func (t *tree) real(ctx context.Context, p string) string {
	if at, _, err := t.walk(ctx, p); err == nil {
		return at
	}
	return p
}
