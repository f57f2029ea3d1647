package docker

import (
	"archive/tar"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/types"

	"github.com/labstar/labstar/internal/registry"
)

// Loaded is what a load did.
type Loaded struct {
	ID          string
	Sent, There int   // layers
	Bytes       int64 // of the layers sent
}

// Load gives the engine the image that manifest m of img describes, under a name
// as "lab/web:1.0", and under its name by content, which compose files have. progress,
// which may be nil, is told the bytes so far and in all.
func (e *Engine) Load(ctx context.Context, img *registry.Image, m *registry.Manifest, name string, progress func(done, total int64)) (*Loaded, error) {
	out, err := e.load(ctx, img, m, name, progress)
	if err != nil {
		return nil, err
	}
	return out, e.tag(ctx, name, contentTag(name, img.Root.Digest))
}

// tagDigits is how many digits of an image's digest are in that name; see builtins/oci.
const tagDigits = 12

func contentTag(name string, d v1.Hash) string {
	return name[:strings.LastIndexByte(name, ':')] + ":sha-" + d.Hex[:tagDigits]
}

func (e *Engine) load(ctx context.Context, img *registry.Image, m *registry.Manifest, name string, progress func(done, total int64)) (*Loaded, error) {
	i, err := e.info(ctx)
	if err != nil {
		return nil, err
	}
	ids := []string{m.Config.Digest.String(), m.Digest.String(), img.Root.Digest.String()}
	for _, id := range ids {
		if found, err := e.get(ctx, "/images/"+id+"/json", &struct{}{}); err != nil {
			return nil, err
		} else if found {
			return &Loaded{ID: id, There: len(m.Layers)}, e.tag(ctx, id, name)
		}
	}
	config, err := readAll(ctx, img, m.Config)
	if err != nil {
		return nil, err
	}
	there := 0
	if !i.inContainerd() {
		if there, err = e.layersThere(ctx, config); err != nil {
			return nil, err
		}
	}
	l := &load{engine: e, img: img, m: m, name: name, config: config, progress: progress}
	out, err := l.send(ctx, there)
	if err != nil && there > 0 && ctx.Err() == nil {
		out, err = l.send(ctx, 0) // it removed a layer in the meantime
	}
	return out, err
}

func readAll(ctx context.Context, img *registry.Image, d v1.Descriptor) ([]byte, error) {
	b, err := img.Open(ctx, d)
	if err != nil {
		return nil, err
	}
	defer b.Close()
	return io.ReadAll(b)
}

// tag names an image that is there.
func (e *Engine) tag(ctx context.Context, id, name string) error {
	i := strings.LastIndexByte(name, ':')
	q := url.Values{"repo": {name[:i]}, "tag": {name[i+1:]}}
	_, status, err := e.do(ctx, http.MethodPost, "/images/"+id+"/tag?"+q.Encode(), nil)
	if err == nil && status == http.StatusNotFound {
		err = fmt.Errorf("the engine has removed %s: load it again", id)
	}
	return err
}

// layersThere is how many of the image's lower layers the engine has: those that
// one of its images begins with.
func (e *Engine) layersThere(ctx context.Context, config []byte) (int, error) {
	var cf v1.ConfigFile
	if err := json.Unmarshal(config, &cf); err != nil {
		return 0, fmt.Errorf("reading the image's configuration: %w", err)
	}
	var list []struct {
		ID string `json:"Id"`
	}
	if _, err := e.get(ctx, "/images/json", &list); err != nil {
		return 0, err
	}
	best := 0
	for _, l := range list {
		var one struct{ RootFS struct{ Layers []string } }
		if found, err := e.get(ctx, "/images/"+l.ID+"/json", &one); err != nil || !found {
			continue // it was removed
		}
		n := 0
		for n < len(one.RootFS.Layers) && n < len(cf.RootFS.DiffIDs) && one.RootFS.Layers[n] == cf.RootFS.DiffIDs[n].String() {
			n++
		}
		best = max(best, n)
	}
	return best, ctx.Err()
}

// load is one image on its way.
type load struct {
	engine   *Engine
	img      *registry.Image
	m        *registry.Manifest
	name     string
	config   []byte
	progress func(done, total int64)

	done, total int64
}

// send streams the archive, without the lowest layers that are there.
func (l *load) send(ctx context.Context, there int) (*Loaded, error) {
	out := &Loaded{ID: l.m.Config.Digest.String(), There: there, Sent: len(l.m.Layers) - there}
	for _, d := range l.m.Layers[there:] {
		out.Bytes += d.Size
	}
	l.done, l.total = 0, out.Bytes
	r, w := io.Pipe()
	go func() { w.CloseWithError(l.write(ctx, w, there)) }()
	body, _, err := l.engine.do(ctx, http.MethodPost, "/images/load?quiet=1", r)
	r.CloseWithError(errors.New("the engine takes no more"))
	if err != nil {
		return nil, err
	}
	// The answer is a stream of messages, with status 200 whatever happened.
	for dec := json.NewDecoder(bytes.NewReader(body)); ; {
		var m struct{ Error string }
		if dec.Decode(&m) != nil {
			return out, nil
		}
		if m.Error != "" {
			return nil, l.explain(m.Error)
		}
	}
}

func (l *load) explain(msg string) error {
	for _, d := range l.m.Layers {
		if d.MediaType == types.OCILayerZStd {
			return fmt.Errorf("the engine refused the image: %s; Docker reads zstd since 23.0: make it with compression = \"gzip\" for older ones", msg)
		}
	}
	return fmt.Errorf("the engine refused the image: %s", msg)
}

// write writes the archive: the configuration and the layers by digest, the
// manifest.json by which engines find them, and the OCI layout around it for those
// that keep images in containerd.
func (l *load) write(ctx context.Context, w io.Writer, there int) error {
	t := tar.NewWriter(w)
	path := func(d v1.Descriptor) string { return "blobs/sha256/" + d.Digest.Hex }
	entry := map[string]any{"Config": path(l.m.Config), "RepoTags": []string{l.name}}
	layers := []string{}
	for i, d := range l.m.Layers {
		layers = append(layers, path(d))
		if i < there {
			continue
		}
		if err := l.blob(ctx, t, path(d), d); err != nil {
			return err
		}
	}
	entry["Layers"] = layers
	root := l.m.Descriptor
	root.Annotations = map[string]string{"io.containerd.image.name": familiar(l.name), "org.opencontainers.image.ref.name": l.name[strings.LastIndexByte(l.name, ':')+1:]}
	for name, doc := range map[string]any{
		path(l.m.Config): json.RawMessage(l.config), path(l.m.Descriptor): json.RawMessage(l.m.Raw),
		"manifest.json": []any{entry},
		"index.json":    v1.IndexManifest{SchemaVersion: 2, MediaType: types.OCIImageIndex, Manifests: []v1.Descriptor{root}},
		"oci-layout":    map[string]string{"imageLayoutVersion": "1.0.0"},
	} {
		raw, ok := doc.(json.RawMessage)
		if !ok {
			var err error
			if raw, err = json.Marshal(doc); err != nil {
				return err
			}
		}
		if err := t.WriteHeader(&tar.Header{Name: name, Mode: 0o644, Size: int64(len(raw)), Typeflag: tar.TypeReg}); err != nil {
			return err
		}
		if _, err := t.Write(raw); err != nil {
			return err
		}
	}
	return t.Close()
}

// familiar is a full name, as containerd wants it.
func familiar(name string) string {
	if first, _, ok := strings.Cut(name, "/"); ok && (strings.ContainsAny(first, ".:") || first == "localhost") {
		return name
	} else if !ok {
		return "docker.io/library/" + name
	}
	return "docker.io/" + name
}

func (l *load) blob(ctx context.Context, t *tar.Writer, name string, d v1.Descriptor) error {
	if err := t.WriteHeader(&tar.Header{Name: name, Mode: 0o644, Size: d.Size, Typeflag: tar.TypeReg}); err != nil {
		return err
	}
	b, err := l.img.Open(ctx, d)
	if err != nil {
		return err
	}
	defer b.Close()
	_, err = io.CopyBuffer(struct{ io.Writer }{t}, &counting{b, l}, make([]byte, 256<<10))
	return err
}

type counting struct {
	io.Reader
	l *load
}

func (c *counting) Read(p []byte) (int, error) {
	n, err := c.Reader.Read(p)
	c.l.done += int64(n)
	if c.l.progress != nil {
		c.l.progress(c.l.done, c.l.total)
	}
	return n, err
}
