package oci

import (
	"archive/tar"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"slices"
	"strings"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/types"
	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"

	"github.com/labstar/labstar/action"
)

type unpackParams struct {
	MediaType types.MediaType `json:"mediaType"`
}

// unpackOp reads a packed layer into a tree. What the layer deletes from those below
// it, by names that start with ".wh.", is in the descriptor and not in the tree.
var unpackOp = &action.Op{Name: "oci/unpack", Version: 1, Run: runUnpack}

// ociTypes are the OCI's names of Docker's layers, which are the same bytes.
var ociTypes = map[types.MediaType]types.MediaType{
	types.DockerLayer: types.OCILayer, types.DockerUncompressedLayer: types.OCIUncompressedLayer,
}

func runUnpack(ctx context.Context, env action.Env) error {
	var p unpackParams
	if err := env.Params(&p); err != nil {
		return err
	}
	d := env.Input("layer").Digest
	info := layerInfo{Descriptor: v1.Descriptor{MediaType: p.MediaType, Size: d.Size, Digest: hash(d)}}
	if t, ok := ociTypes[p.MediaType]; ok {
		info.MediaType = t
	}
	blob, err := env.OpenBlob(ctx, d)
	if err != nil {
		return err
	}
	defer blob.Close()
	plain, err := decompress(p.MediaType, blob)
	if err != nil {
		return err
	}
	defer plain.Close()
	w, err := env.CreateTree("tree")
	if err != nil {
		return err
	}
	defer w.Abort()
	diff := action.NewHasher()
	tee := io.TeeReader(plain, diff)
	if info.Whiteouts, err = unpackTar(ctx, tee, w); err != nil {
		return fmt.Errorf("unpacking layer: %w", err)
	}
	if _, err := io.Copy(io.Discard, tee); err != nil { // what follows the tar's end is hashed too
		return fmt.Errorf("unpacking layer: %w", err)
	}
	info.DiffID = hash(diff.Digest())
	if _, err := w.Commit(); err != nil {
		return err
	}
	b, err := json.Marshal(info)
	if err != nil {
		return err
	}
	return env.WriteFile("descriptor", b)
}

// decompress goes by the media type, as runtimes do.
func decompress(t types.MediaType, r io.Reader) (io.ReadCloser, error) {
	switch t {
	case types.OCILayer, types.DockerLayer:
		return gzip.NewReader(r)
	case types.OCILayerZStd:
		z, err := zstd.NewReader(r, zstd.WithDecoderConcurrency(0))
		if err != nil {
			return nil, err
		}
		return z.IOReadCloser(), nil
	case types.OCIUncompressedLayer, types.DockerUncompressedLayer:
		return io.NopCloser(r), nil
	}
	return nil, fmt.Errorf("unpacking layer: got the media type %q, want a tar, with gzip, zstd or plain", t)
}

const (
	opaque   = ".wh..wh..opq"
	auxiliar = ".wh..wh." // other names of aufs' own
)

// maxPaths and maxPath bound a hostile layer.
const (
	maxPaths = 4 << 20
	maxPath  = 4096
)

// unpackTar lays the entries of a tar, but for whiteouts, which it returns.
func unpackTar(ctx context.Context, r io.Reader, w action.TreeWriter) ([]string, error) {
	var gone []string
	t := tar.NewReader(r)
	for n := 0; ; n++ {
		h, err := t.Next()
		if errors.Is(err, io.EOF) {
			slices.Sort(gone)
			return slices.Compact(gone), nil
		}
		if err != nil {
			return nil, err
		}
		if n > maxPaths || len(h.Name) > maxPath {
			return nil, fmt.Errorf("got more than %d entries, or a longer path than %d", maxPaths, maxPath)
		}
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		p, err := action.CleanPath(h.Name)
		if err != nil {
			return nil, err
		}
		dir, base := path.Split(p)
		switch {
		case base == opaque:
			gone = append(gone, dir)
			continue
		case strings.HasPrefix(base, auxiliar):
			continue
		case strings.HasPrefix(base, whiteout):
			if base = strings.TrimPrefix(base, whiteout); action.ValidName(base) != nil {
				return nil, fmt.Errorf("got the whiteout %q, want the name of what it deletes", p)
			}
			gone = append(gone, dir+base)
			continue
		}
		if err := unpackEntry(w, p, h, t); err != nil {
			return nil, fmt.Errorf("%q: %w", p, err)
		}
	}
}

func unpackEntry(w action.TreeWriter, p string, h *tar.Header, r io.Reader) error {
	a := action.Attr{Mode: uint32(h.Mode) & 0o7777, UID: uint32(h.Uid), GID: uint32(h.Gid)}
	for k, v := range h.PAXRecords {
		if name, ok := strings.CutPrefix(k, "SCHILY.xattr."); ok {
			a.Xattrs = append(a.Xattrs, action.Xattr{Name: name, Value: []byte(v)})
		}
	}
	slices.SortFunc(a.Xattrs, func(x, y action.Xattr) int { return strings.Compare(x.Name, y.Name) })
	switch h.Typeflag {
	case tar.TypeDir:
		return w.Mkdir(p, a)
	case tar.TypeReg:
		_, err := w.File(p, a, r)
		return err
	case tar.TypeSymlink:
		a.Mode = action.ModeSymlink
		return w.Symlink(p, h.Linkname, a)
	case tar.TypeLink:
		old, err := action.CleanPath(h.Linkname)
		if err != nil {
			return err
		}
		return w.Link(p, old)
	case tar.TypeChar:
		return w.Device(p, action.Char, uint32(h.Devmajor), uint32(h.Devminor), a)
	case tar.TypeBlock:
		return w.Device(p, action.Block, uint32(h.Devmajor), uint32(h.Devminor), a)
	case tar.TypeFifo:
		return w.Device(p, action.Fifo, 0, 0, a)
	}
	return fmt.Errorf("got an entry of type %q", h.Typeflag)
}

// whiteOut takes away what the layer deletes from those below it.
func (l *layerInfo) whiteOut(ctx context.Context, e *action.Edit) error {
	for _, p := range l.Whiteouts {
		dir, all := strings.CutSuffix(p, "/")
		err := e.Remove(ctx, dir)
		if all && err == nil && dir != "" {
			err = e.Mkdir(ctx, dir)
		}
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return nil
}
