package disk

import (
	"archive/tar"
	"context"
	"io"

	"github.com/labstar/labstar/action"
	"github.com/labstar/labstar/internal/format/archive"
	"github.com/labstar/labstar/internal/format/ptable"
)

// A tar is how owners, devices and extended attributes reach a tool that reads
// one: the tree as it is mounted does not show them.

type tarParams struct {
	What string      `json:"what"` // of what the UUID is
	UUID action.Late `json:"uuid,omitempty"`
}

var tarOp = &action.Op{Name: "disk/tar", Version: 1, Run: runTar}

func runTar(ctx context.Context, env action.Env) error {
	var p tarParams
	if err := env.Params(&p); err != nil {
		return err
	}
	tree := env.Input("tree").Digest
	uuid := string(p.UUID)
	if uuid == "" {
		uuid = ptable.FormatUUID(newIdentity("tar", p, tree).uuid())
	}
	if err := writeImage(env, "tar", func(w io.Writer) error { return writeTar(ctx, env, tree, w) }); err != nil {
		return err
	}
	return env.WriteFile("uuid", []byte(uuid))
}

func writeTar(ctx context.Context, env action.Env, root action.Digest, out io.Writer) error {
	w := tar.NewWriter(out)
	err := action.NewEdit(env, root).Walk(ctx, func(path string, n action.Node) error {
		if err := w.WriteHeader(archive.TarHeader("./"+path, n)); err != nil || n.Kind != action.Regular {
			return err
		}
		return copyBlob(ctx, env, w, n.Digest)
	})
	if err != nil {
		return err
	}
	return w.Close()
}
