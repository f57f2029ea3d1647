package labstar

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/labstar/labstar/action"
	"github.com/labstar/labstar/internal/history"
	"github.com/labstar/labstar/internal/store"
)

// diff compares two graphs and adds, for local files, what changed in them.
func (l *Labstar) diff(ctx context.Context, old, now *history.Graph, targets []history.Named, live map[action.Digest]*action.Source) []TargetChange {
	var list []TargetChange
	for _, t := range targets {
		causes := history.Diff(old, now, t.Name)
		for i := range causes {
			c := &causes[i]
			if c.Old != nil && c.New != nil {
				x := explainer{ctx: ctx, store: l.store, live: live[c.New.Digest]}
				c.What = append(c.What, x.source(c.Old, c.New)...)
			}
		}
		if len(causes) > 0 {
			list = append(list, TargetChange{Target: t.Name, Causes: causes})
		}
	}
	return list
}

// liveSources lists the local files and folders below the targets, by digest.
func liveSources(targets []history.Named) map[action.Digest]*action.Source {
	live := map[action.Digest]*action.Source{}
	seen := map[*action.Action]bool{}
	var visit func(*action.Artifact)
	visit = func(a *action.Artifact) {
		if seen[a.Action] {
			return
		}
		seen[a.Action] = true
		if src := a.Action.Source; src != nil {
			live[src.Digest] = src
			return
		}
		a.Action.Deps(visit)
	}
	for _, t := range targets {
		visit(t.Artifact)
	}
	return live
}

// explainer reads two versions of a local file or folder: the old one from the
// store, the new one from there or, when no build has taken it yet, from where
// the evaluation found it. What can't be read is left unexplained.
type explainer struct {
	ctx   context.Context
	store store.Store
	live  *action.Source // may be nil
}

func (x explainer) source(old, now *history.Source) []string {
	if now.Tree != old.Tree {
		return nil
	}
	if now.Tree {
		return x.tree(old.Digest, now.Digest)
	}
	return x.text("", old.Digest, now.Digest)
}

// text tells the lines in which two versions of a text file differ.
func (x explainer) text(path string, old, now action.Digest) []string {
	a, okA := x.readText(old)
	b, okB := x.readText(now)
	if !okA || !okB {
		return nil
	}
	return history.DiffLines(path, a, b)
}

// tree tells the files that differ between two versions of a folder.
func (x explainer) tree(old, now action.Digest) []string {
	a, errA := x.files(old)
	b, errB := x.files(now)
	if errA != nil || errB != nil {
		return nil
	}
	var out []string
	for path, n := range b {
		was, ok := a[path]
		switch {
		case !ok:
			out = append(out, path+" is new")
		case was.Digest != n.Digest || was.Target != n.Target:
			lines := x.text(path, was.Digest, n.Digest)
			if len(lines) == 0 {
				lines = []string{path + " changed"}
			}
			out = append(out, lines...)
		case was.Attr.Mode != n.Attr.Mode:
			out = append(out, fmt.Sprintf("%s: mode %o -> %o", path, was.Attr.Mode, n.Attr.Mode))
		}
	}
	for path := range a {
		if _, ok := b[path]; !ok {
			out = append(out, path+" is gone")
		}
	}
	slices.Sort(out)
	const most = 12
	if n := len(out) - most; n > 0 {
		out = append(out[:most], fmt.Sprintf("… and %d more", n))
	}
	return out
}

func (x explainer) files(root action.Digest) (map[string]action.Node, error) {
	files := map[string]action.Node{}
	err := action.NewEdit(x, root).Walk(x.ctx, func(p string, n action.Node) error {
		if n.Kind != action.Dir {
			files[p] = n
		}
		return nil
	})
	return files, err
}

// Directory and OpenBlob make an explainer an action.Content.
func (x explainer) Directory(ctx context.Context, d action.Digest) (*action.Directory, error) {
	dir, err := x.store.Directory(ctx, d)
	if err == nil || x.live == nil {
		return dir, err
	}
	b, err := x.readLive(d)
	if err != nil {
		return nil, err
	}
	return action.DecodeDirectory(b)
}

func (x explainer) OpenBlob(ctx context.Context, d action.Digest) (action.Blob, error) {
	return x.store.OpenBlob(ctx, d)
}

func (x explainer) readLive(d action.Digest) ([]byte, error) {
	return x.live.ReadAll(d)
}

// readText returns a small text file's content.
func (x explainer) readText(d action.Digest) (string, bool) {
	if d.Size > 1<<20 {
		return "", false
	}
	var content []byte
	b, err := x.store.OpenBlob(x.ctx, d)
	switch {
	case err == nil:
		content, err = io.ReadAll(b)
		err = errors.Join(err, b.Close())
	case x.live != nil:
		content, err = x.readLive(d)
	}
	if err != nil || !utf8.Valid(content) || strings.IndexByte(string(content), 0) >= 0 {
		return "", false
	}
	return string(content), true
}
