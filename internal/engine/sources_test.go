package engine

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"testing"

	"github.com/labstar/labstar/action"
	"github.com/labstar/labstar/internal/store"
	"github.com/labstar/labstar/internal/store/disk"
)

// TestKeyReadsLocalTrees: a local tree that is laid over a folder of the
// toolchain is not in the store yet when the key is computed.
func TestKeyReadsLocalTrees(t *testing.T) {
	st, err := disk.Open(t.TempDir(), disk.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer st.Close()
	e, err := New(Options{Store: st})
	if err != nil {
		t.Fatal(err)
	}
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
