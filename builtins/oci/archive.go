package oci

import (
	"archive/tar"
	"context"
	"encoding/json"
	"strings"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/labstar/labstar/action"
)

// archiveOp writes a layout as a tar, which `docker load` reads: with the image
// store of old by manifest.json, with containerd's by index.json. The layers are in
// it as they are in the layout.
var archiveOp = &action.Op{Name: "oci/archive", Version: 2, Run: runArchive}

func runArchive(ctx context.Context, env action.Env) error {
	out, err := env.CreateFile("image.tar")
	if err != nil {
		return err
	}
	defer out.Abort()
	root, err := namedTwice(ctx, env, env.Input("layout").Digest)
	if err != nil {
		return err
	}
	w := tar.NewWriter(out)
	if err := writeNodes(ctx, env, root, w); err != nil {
		return err
	}
	if err := w.Close(); err != nil {
		return err
	}
	_, err = out.Commit()
	return err
}

// namedTwice returns the layout with the image's name by content in index.json too,
// which a layout on its own has once: other programs take its only image.
func namedTwice(ctx context.Context, env action.Env, root action.Digest) (action.Digest, error) {
	const file = "index.json"
	e := action.NewEdit(env, root)
	n, err := e.Lookup(ctx, file)
	if err != nil {
		return root, err
	}
	b, err := env.OpenBlob(ctx, n.Digest)
	if err != nil {
		return root, err
	}
	defer b.Close()
	index, err := v1.ParseIndexManifest(b)
	if err != nil {
		return root, err
	}
	for _, d := range index.Manifests {
		name := contentTag(d.Annotations[annotationName], d.Digest)
		d.Annotations = map[string]string{annotationRef: name[strings.LastIndexByte(name, ':')+1:], annotationName: name}
		index.Manifests = append(index.Manifests, d)
	}
	raw, err := json.Marshal(index)
	if err != nil {
		return root, err
	}
	if n.Digest, err = env.PutBlob(raw); err != nil {
		return root, err
	}
	if err := e.Put(ctx, file, n, action.Replace); err != nil {
		return root, err
	}
	return e.Finish(ctx, env.PutDirectory)
}
