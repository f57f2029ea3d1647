package action_test

import (
	"context"
	"errors"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/labstar/labstar/action"
	"github.com/labstar/labstar/internal/store/mem"
)

// What is laid over a tree makes it the other one, or isn't.
func TestOver(t *testing.T) {
	ctx, st := t.Context(), mem.New()
	put := func(d *action.Directory) (action.Digest, error) { return st.PutDirectory(ctx, d) }
	tree := func(files map[string]string) action.Digest {
		t.Helper()
		e := action.NewEdit(st, action.Digest{})
		for _, p := range slices.Sorted(maps.Keys(files)) {
			text := files[p]
			n := action.Node{Kind: action.Regular, Attr: action.Attr{Mode: action.ModeFile}}
			switch {
			case strings.HasPrefix(text, "-> "):
				n = action.Node{Kind: action.Symlink, Target: text[3:], Attr: action.Attr{Mode: action.ModeSymlink}}
			case strings.HasPrefix(text, "#!"):
				n.Attr.Mode = action.ModeExec
			case strings.HasPrefix(text, "owned"):
				n.Attr.UID = 5
			}
			if n.Kind == action.Regular {
				d, err := st.PutBlob(ctx, []byte(strings.TrimPrefix(text, "owned")))
				if err != nil {
					t.Fatal(err)
				}
				n.Digest = d
			}
			if err := e.Put(ctx, p, n, action.Replace); err != nil {
				t.Fatal(err)
			}
		}
		d, err := e.Finish(ctx, put)
		if err != nil {
			t.Fatal(err)
		}
		return d
	}
	base := map[string]string{"a": "a", "d/b": "b", "d/e/c": "c", "l": "-> a", "run": "#!x"}
	for _, c := range []struct {
		name   string
		change map[string]string // "gone" is removed
		most   int
		over   map[string]string
		cannot bool
	}{
		{"the same", nil, 0, nil, false},
		{"a file, a link, a new folder", map[string]string{"d/e/c": "new", "l": "-> d", "n/o/p": "p"}, 5, map[string]string{"d/e/c": "new", "l": "-> d", "n/o/p": "p"}, false},
		{"more than is laid", map[string]string{"d/e/c": "new", "l": "-> d", "n/o/p": "p"}, 4, nil, true},
		{"a run bit", map[string]string{"a": "#!a", "run": "#!x"}, 9, map[string]string{"a": "#!a"}, false},
		{"an owner, which is not shown", map[string]string{"a": "owneda"}, 9, nil, false},
		{"a link in the place of a file", map[string]string{"d/b": "-> a"}, 9, map[string]string{"d/b": "-> a"}, false},
		{"a removed file", map[string]string{"d/b": "gone", "a": "x"}, 9, nil, true},
		{"a folder in the place of a file", map[string]string{"a": "gone", "a/x": "x"}, 9, nil, true},
		{"a file in the place of a folder", map[string]string{"d/e/c": "gone", "d/e": "e"}, 9, nil, true},
	} {
		files := maps.Clone(base)
		for p, text := range c.change {
			if files[p] = text; text == "gone" {
				delete(files, p)
			}
		}
		over, ok, err := action.Over(ctx, st, tree(base), tree(files), c.most, put)
		if err != nil || ok == c.cannot {
			t.Errorf("%s: got ok %v, %v", c.name, ok, err)
			continue
		}
		want := action.Digest{}
		if len(c.over) > 0 {
			want = tree(c.over)
		}
		if ok && over != want {
			t.Errorf("%s: got %v, want %v", c.name, over, want)
		}
	}
	if _, ok, err := action.Over(ctx, st, tree(base), action.Of([]byte("none")), 9, put); ok || err == nil || errors.Is(err, context.Canceled) {
		t.Errorf("a tree that is not there: got %v, %v", ok, err)
	}
}
