package patch

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"strings"

	"github.com/labstar/labstar/action"
)

// maxFile is the largest file that is patched, in bytes.
const maxFile = 256 << 20

// Target is where Tree reads old contents and puts new ones.
type Target struct {
	Content action.Content
	Put     func([]byte) (action.Digest, error)
	Log     io.Writer // told of hunks that moved; may be nil
}

// Tree applies the changes to e, in order. An error leaves e half changed.
func Tree(ctx context.Context, e *action.Edit, files []File, t Target) error {
	for i := range files {
		if err := t.apply(ctx, e, &files[i]); err != nil {
			return err
		}
	}
	return nil
}

func (t Target) apply(ctx context.Context, e *action.Edit, f *File) error {
	if f.Create || f.Rename || f.Copy {
		if _, err := e.Lookup(ctx, f.New); err == nil {
			return fmt.Errorf("%s: it is there already, and line %d of the patch makes it", f.New, f.Line)
		} else if !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	node := action.Node{Kind: action.Regular, Attr: action.Attr{Mode: action.ModeFile}}
	name := ""
	var old []byte
	if !f.Create {
		var err error
		if name, node, err = source(ctx, e, f); err != nil {
			return err
		}
		if old, err = t.read(ctx, name, node); err != nil {
			return err
		}
	}
	b, moved, err := f.Apply(old)
	if err != nil {
		return err
	}
	t.tell(f, moved)
	if f.Delete {
		if len(b) > 0 {
			return fmt.Errorf("%s: line %d of the patch deletes it, but it holds more than the patch knows", name, f.Line)
		}
		return e.Remove(ctx, name)
	}
	if err := t.fill(&node, f, b); err != nil {
		return fmt.Errorf("%s: %w", f.Name(), err)
	}
	switch {
	case f.Rename:
		if err := e.Remove(ctx, name); err != nil {
			return err
		}
		name = f.New
	case f.Create || f.Copy:
		name = f.New
	}
	return e.Put(ctx, name, node, action.Replace)
}

// source finds the file that is changed: the new name if it is there, else the
// old one (as in "--- x.orig", "+++ x").
func source(ctx context.Context, e *action.Edit, f *File) (string, action.Node, error) {
	names := []string{f.New, f.Old}
	if f.Rename || f.Copy || f.Delete {
		names = []string{f.Old}
	}
	for _, name := range names {
		if name == "" {
			continue
		}
		n, err := e.Lookup(ctx, name)
		if err == nil {
			if n.Kind != action.Regular && n.Kind != action.Symlink {
				return "", n, fmt.Errorf("%s: it is a %s; want a file, as line %d of the patch says", name, n.Kind, f.Line)
			}
			return name, n, nil
		}
		if !errors.Is(err, fs.ErrNotExist) {
			return "", n, err
		}
	}
	err := fmt.Errorf("%s: no such file, but line %d of the patch changes it: check strip", f.Name(), f.Line)
	return "", action.Node{}, err
}

// read returns the content; that of a symlink is its target, as in git.
func (t Target) read(ctx context.Context, name string, n action.Node) ([]byte, error) {
	if n.Kind == action.Symlink {
		return []byte(n.Target), nil
	}
	if n.Digest.Size > maxFile {
		return nil, fmt.Errorf("%s: got a file of %d bytes, want at most %d to patch", name, n.Digest.Size, maxFile)
	}
	r, err := t.Content.OpenBlob(ctx, n.Digest)
	if err != nil {
		return nil, err
	}
	defer r.Close()
	return io.ReadAll(r)
}

// fill gives the node its new content and mode.
func (t Target) fill(n *action.Node, f *File, b []byte) error {
	if f.NewMode != 0 {
		symlink := f.NewMode&modeType == modeSymlink
		if !f.Create && symlink != (n.Kind == action.Symlink) {
			return fmt.Errorf("line %d of the patch turns a file into a symlink or back", f.Line)
		}
		if symlink {
			n.Kind, n.Attr.Mode = action.Symlink, action.ModeSymlink
		} else {
			n.Attr.Mode = f.NewMode & 0o777
		}
	}
	if n.Kind == action.Symlink {
		n.Target = string(b)
		if n.Target == "" || strings.ContainsAny(n.Target, "\x00\n") {
			return fmt.Errorf("invalid symlink target %q", clip(n.Target))
		}
		return nil
	}
	var err error
	n.Digest, err = t.Put(b)
	return err
}

func (t Target) tell(f *File, moved []Moved) {
	if t.Log == nil {
		return
	}
	for _, m := range moved {
		fmt.Fprintf(t.Log, "%s: hunk %d applied %+d lines from where it says\n", f.Name(), m.Hunk, m.Offset)
	}
}
