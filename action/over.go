package action

import (
	"context"
	"fmt"
)

// Over compares two trees as a command sees them, and returns what has to be laid
// over base to make it root: a tree of those entries that are new or different, the
// zero Digest if there are none. ok is false if laying can't do it, since something
// of base is not in root or a folder is in the place of a file, and if it is more than
// most entries. Folders that are the same are not looked into, so the cost is that of
// the difference.
func Over(ctx context.Context, src Content, base, root Digest, most int, put func(*Directory) (Digest, error)) (over Digest, ok bool, err error) {
	c := comparison{src: src, left: most, put: put}
	if base != root {
		over, err = c.over(ctx, base, root)
	}
	return over, err == nil && c.left >= 0, err
}

type comparison struct {
	src  Content
	left int // entries that may still come; below 0 if laying can't do it
	put  func(*Directory) (Digest, error)
}

func (c *comparison) over(ctx context.Context, base, root Digest) (over Digest, err error) {
	old, err := c.src.Directory(ctx, base)
	if err != nil {
		return over, fmt.Errorf("comparing trees: %w", err)
	}
	now, err := c.src.Directory(ctx, root)
	if err != nil {
		return over, fmt.Errorf("comparing trees: %w", err)
	}
	for _, n := range old.Nodes {
		if _, ok := now.Find(n.Name); !ok {
			c.left = -1
		}
	}
	d := &Directory{Attr: now.Attr}
	for _, n := range now.Nodes {
		before, there := old.Find(n.Name)
		if there && seenAlike(before, n) {
			continue
		}
		switch {
		case there && (before.Kind == Dir) != (n.Kind == Dir):
			c.left = -1
		case there && n.Kind == Dir:
			n.Digest, err = c.over(ctx, before.Digest, n.Digest)
		default:
			err = c.count(ctx, n)
		}
		if err != nil || c.left < 0 {
			return over, err
		}
		if n.Kind != Dir || !n.Digest.IsZero() {
			d.Nodes = append(d.Nodes, n)
		}
	}
	if len(d.Nodes) == 0 || c.left < 0 {
		return over, nil
	}
	return c.put(d)
}

// count takes a new entry, and all below it, off what may still come.
func (c *comparison) count(ctx context.Context, n Node) error {
	if c.left--; n.Kind != Dir || c.left < 0 {
		return nil
	}
	d, err := c.src.Directory(ctx, n.Digest)
	if err != nil {
		return fmt.Errorf("comparing trees: %w", err)
	}
	for _, n := range d.Nodes {
		if err := c.count(ctx, n); err != nil || c.left < 0 {
			return err
		}
	}
	return nil
}

// seenAlike reports whether two entries are the same where no owners, attributes and
// devices are shown, nor modes but a file's run bit.
func seenAlike(a, b Node) bool {
	const run = 0o100
	return a.Kind == b.Kind && a.Digest == b.Digest && a.Target == b.Target && (a.Kind != Regular || a.Attr.Mode&run == b.Attr.Mode&run)
}
