package oci

import (
	"archive/tar"
	"context"

	"github.com/labstar/labstar/action"
)

// archiveOp writes a layout as a tar, which `docker load` reads: with the image
// store of old by manifest.json, with containerd's by index.json. The layers are in
// it as they are in the layout.
var archiveOp = &action.Op{Name: "oci/archive", Version: 1, Run: runArchive}

func runArchive(ctx context.Context, env action.Env) error {
	out, err := env.CreateFile("image.tar")
	if err != nil {
		return err
	}
	defer out.Abort()
	w := tar.NewWriter(out)
	if err := writeNodes(ctx, env, env.Input("layout").Digest, w); err != nil {
		return err
	}
	if err := w.Close(); err != nil {
		return err
	}
	_, err = out.Commit()
	return err
}
