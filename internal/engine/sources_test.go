package engine

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"strings"
	"testing"

	"github.com/labstar/labstar/action"
	"github.com/labstar/labstar/internal/store"
)

// TestKeyReadsLocalTrees: a local tree that is laid over a folder of the
// toolchain is not in the store yet when the key is computed.
func TestKeyReadsLocalTrees(t *testing.T) {
	e := newEngine(t, t.TempDir(), Options{})
	st := e.opts.Store
	content := map[action.Digest][]byte{}
	tree := func(s *action.Scope, path string) *action.Artifact {
		edit := action.NewEdit(st, action.Digest{})
		if err := edit.Mkdir(context.Background(), path); err != nil {
			t.Fatal(err)
		}
		root, err := edit.Finish(context.Background(), func(d *action.Directory) (action.Digest, error) {
			b := d.Encode()
			content[action.Of(b)] = b
			return action.Of(b), nil
		})
		if err != nil {
			t.Fatal(err)
		}
		return s.Source(action.Source{Kind: action.Tree, Digest: root, Path: path, Open: func(d action.Digest) (io.ReadCloser, error) {
			if b, ok := content[d]; ok {
				return io.NopCloser(bytes.NewReader(b)), nil
			}
			return nil, fmt.Errorf("%s: %w", d, store.ErrNotFound)
		}}, path, nil)
	}
	s := action.NewScope()
	tools, src := tree(s, "build"), tree(s, "sub")
	cmd := action.Command{Argv: []string{"true"}, Root: []string{"tools"}, Work: "src", Outputs: []string{"out"}}
	a, err := s.Action(action.Spec{Op: action.Exec, Params: cmd, Outputs: []action.Output{{Name: "out", Kind: action.File}},
		Inputs: []action.Input{{Name: "tools", Artifact: tools}, {Name: "src", Artifact: src}}})
	if err != nil {
		t.Fatal(err)
	}
	r := &action.Resolved{Action: a, Command: &cmd, Inputs: []action.OutputDigest{
		{Name: "tools", Kind: action.Tree, Digest: tools.Action.Source.Digest},
		{Name: "src", Kind: action.Tree, Digest: src.Action.Source.Digest},
	}}
	if _, err := e.key(context.Background(), r, func([]byte) {}); err != nil {
		t.Error(err)
	}
}

// TestChangedTree: a file of a local tree that was changed after the script was evaluated is an
// error, alone or among others, and is not stored as what it was.
func TestChangedTree(t *testing.T) {
	for _, n := range []int{1, 5} {
		e := newEngine(t, t.TempDir(), Options{})
		st := e.opts.Store
		content := map[action.Digest][]byte{}
		root := &action.Directory{Attr: action.Attr{Mode: action.ModeDir}}
		var changed action.Digest
		for i := range n {
			b := bytes.Repeat([]byte{byte(i)}, 100_000+i)
			d := action.Of(b)
			if i == n/2 {
				changed, b = d, bytes.Repeat([]byte{99}, len(b))
			}
			content[d] = b
			root.Nodes = append(root.Nodes, action.Node{Name: fmt.Sprint(i), Kind: action.Regular, Digest: d, Attr: action.Attr{Mode: action.ModeFile}})
		}
		raw := root.Encode()
		content[action.Of(raw)] = raw
		tree := action.NewScope().Source(action.Source{Kind: action.Tree, Digest: action.Of(raw), Path: "www", Open: func(d action.Digest) (io.ReadCloser, error) {
			return io.NopCloser(bytes.NewReader(content[d])), nil
		}}, "www", nil)
		_, err := e.Build(context.Background(), []*action.Artifact{tree})
		if err == nil || !strings.Contains(err.Error(), "www was changed after the script was evaluated") {
			t.Errorf("%d files: got %v", n, err)
		}
		if st.Has(changed) || st.HasTree(action.Of(raw)) {
			t.Errorf("%d files: what was changed is in the store as what it was", n)
		}
	}
}
