package oci

import (
	"archive/tar"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"path"
	"strings"
	"sync"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/types"

	"github.com/labstar/labstar/action"
	"github.com/labstar/labstar/internal/format/archive"
	"github.com/labstar/labstar/internal/format/compress"
)

type layerParams struct {
	Compression compress.Format `json:"compression"`
}

// layerInfo is the output "descriptor" of a layer: what an image says of it.
type layerInfo struct {
	v1.Descriptor
	DiffID v1.Hash `json:"diffID"` // of the tar before compression
	// Whiteouts are the paths that a pulled layer deletes from those below it; one
	// that ends in "/" is a folder that loses all that was in it.
	Whiteouts []string `json:"whiteouts,omitempty"`
}

// layerOp writes a tree as a layer: a tar with the tree's owners, modes and
// extended attributes, sorted, every time being the same constant.
var layerOp = &action.Op{Name: "oci/layer", Version: 3, Run: runLayer}

var mediaTypes = map[compress.Format]types.MediaType{
	compress.Gzip: types.OCILayer, compress.Zstd: types.OCILayerZStd, compress.None: types.OCIUncompressedLayer,
}

func runLayer(ctx context.Context, env action.Env) error {
	var p layerParams
	if err := env.Params(&p); err != nil {
		return err
	}
	out, err := env.CreateFile("layer")
	if err != nil {
		return err
	}
	defer out.Abort()
	packed, err := compress.NewParallel(out, p.Compression)
	if err != nil {
		return err
	}
	diff := action.NewHasher()
	if err := writeTar(ctx, env, env.Input("tree").Digest, io.MultiWriter(diff, packed)); err != nil {
		return err
	}
	if err := packed.Close(); err != nil {
		return fmt.Errorf("compressing layer: %w", err)
	}
	blob, err := out.Commit()
	if err != nil {
		return err
	}
	info, err := json.Marshal(layerInfo{
		Descriptor: v1.Descriptor{MediaType: mediaTypes[p.Compression], Size: blob.Size, Digest: hash(blob)},
		DiffID:     hash(diff.Digest()),
	})
	if err != nil {
		return err
	}
	return env.WriteFile("descriptor", info)
}

func hash(d action.Digest) v1.Hash { return v1.Hash{Algorithm: "sha256", Hex: d.Hex()} }

// epoch is the time of every entry and of the image.
var epoch = time.Unix(action.SourceDateEpoch, 0).UTC()

// whiteout is the prefix by which a layer deletes what is below it.
const whiteout = ".wh."

func writeTar(ctx context.Context, content action.Content, root action.Digest, out io.Writer) error {
	w := tar.NewWriter(out)
	if err := writeNodes(ctx, content, root, w); err != nil {
		return fmt.Errorf("writing layer: %w", err)
	}
	return w.Close()
}

// writeNodes writes all of a tree but its root, which is the reader's.
func writeNodes(ctx context.Context, content action.Content, root action.Digest, w *tar.Writer) error {
	return action.NewEdit(content, root).Walk(ctx, func(p string, n action.Node) error {
		if p == "" {
			return nil
		}
		if strings.HasPrefix(path.Base(p), whiteout) {
			return fmt.Errorf("%q would delete %q from the layers below; rename it", p, strings.TrimPrefix(path.Base(p), whiteout))
		}
		if err := w.WriteHeader(archive.TarHeader(p, n)); err != nil {
			return fmt.Errorf("%q: %w", p, err)
		}
		if n.Kind != action.Regular {
			return nil
		}
		return copyBlob(ctx, content, w, n.Digest)
	})
}

func copyBlob(ctx context.Context, content action.Content, w io.Writer, d action.Digest) error {
	b, err := content.OpenBlob(ctx, d)
	if err != nil {
		return err
	}
	defer b.Close()
	buf := copyBuffers.Get().(*[copyBuffer]byte)
	defer copyBuffers.Put(buf)
	_, err = io.CopyBuffer(w, struct{ io.Reader }{b}, buf[:]) // Reader alone: a file's WriteTo takes small pieces
	return err
}

// copyBuffer is how much is read at once, in bytes: eight times what io.Copy takes.
const copyBuffer = 256 << 10

var copyBuffers = sync.Pool{New: func() any { return new([copyBuffer]byte) }}
