package engine

import (
	"bytes"
	"context"
	"fmt"
	"testing"

	"github.com/labstar/labstar/action"
)

// largeTree puts a tree of the size of a kernel's source into the store: 86,000
// files in 5,600 folders.
func largeTree(b *testing.B, e *Engine) action.Digest {
	b.Helper()
	w, err := e.opts.Store.CreateTree(b.Context())
	if err != nil {
		b.Fatal(err)
	}
	defer w.Abort()
	for i := range 86_000 {
		name := fmt.Sprintf("d%02d/sub%d/%d/file%d.c", i/4000, i/400, i/15, i)
		if _, err := w.File(name, action.Attr{}, bytes.NewReader([]byte{byte(i), byte(i >> 8)})); err != nil {
			b.Fatal(err)
		}
	}
	root, err := w.Commit()
	if err != nil {
		b.Fatal(err)
	}
	return root
}

// BenchmarkKey is the key of a command whose input is a tree of 86,000 files: the
// work that is done for it before it is looked up.
func BenchmarkKey(b *testing.B) {
	e := newEngine(b, b.TempDir(), Options{})
	large := largeTree(b, e)
	small, err := e.opts.Store.PutDirectory(b.Context(), &action.Directory{Attr: action.Attr{Mode: action.ModeDir}})
	if err != nil {
		b.Fatal(err)
	}
	for name, tree := range map[string]action.Digest{"empty": small, "86000-files": large} {
		b.Run(name, func(b *testing.B) {
			s := action.NewScope()
			in := s.Source(action.Source{Kind: action.Tree, Digest: tree, Path: "linux"}, "linux", nil)
			a, err := s.Action(action.Spec{
				Op: action.Exec,
				Params: action.Command{
					Argv: []string{"make"}, Root: []string{"tools"}, Outputs: []string{"vmlinux"},
					Mounts: []action.Mount{{Path: "/in/linux", Input: "linux"}},
				},
				Inputs:  []action.Input{{Name: "tools", Artifact: in}, {Name: "linux", Artifact: in}},
				Outputs: []action.Output{{Name: "vmlinux", Kind: action.File}},
			})
			if err != nil {
				b.Fatal(err)
			}
			output := func(*action.Artifact) (action.OutputDigest, error) {
				return action.OutputDigest{Kind: action.Tree, Digest: tree}, nil
			}
			for b.Loop() {
				r, err := e.resolve(context.Background(), a, output)
				if err == nil {
					_, err = e.key(context.Background(), r, func([]byte) {})
				}
				if err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
