package oci

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/types"

	"github.com/labstar/labstar/action"
)

// imageParams is what oci/image is to say of the image, besides the inputs
// "config" and, with a base, "base", which is that one's configuration.
type imageParams struct {
	platform
	Base        int                    `json:"base,omitempty"` // layers of the base
	Made        []string               `json:"made"`           // what made each layer above
	Ref         string                 `json:"ref"`            // the tag
	RefName     string                 `json:"refName"`        // the full name
	Annotations map[string]action.Late `json:"annotations,omitempty"`
}

// Annotations of the index that tell the image's name: the first is the OCI's
// (a tag), the second containerd's and docker's (the full name).
const (
	annotationRef  = "org.opencontainers.image.ref.name"
	annotationName = "io.containerd.image.name"
)

// imageOp puts layers together: configuration, manifest, index, layout.
var imageOp = &action.Op{Name: "oci/image", Version: 3, Run: runImage}

func runImage(ctx context.Context, env action.Env) error {
	var p imageParams
	if err := env.Params(&p); err != nil {
		return err
	}
	layers, err := readLayers(ctx, env, p.Base+len(p.Made))
	if err != nil {
		return err
	}
	l := layout{env: env}
	cf, err := p.config(ctx, env, layers)
	if err != nil {
		return err
	}
	config, err := json.Marshal(cf)
	if err != nil {
		return err
	}
	configDesc, err := l.add(types.OCIConfigJSON, config)
	if err != nil {
		return err
	}
	m := v1.Manifest{SchemaVersion: 2, MediaType: types.OCIManifestSchema1, Config: configDesc, Annotations: plainMap(p.Annotations)}
	for i, info := range layers {
		d := env.Input(fmt.Sprintf("layer%d", i)).Digest
		if hash(d) != info.Digest {
			return fmt.Errorf("putting layer %d of the base together: got a blob with %s, want %s", i, hash(d), info.Digest)
		}
		m.Layers = append(m.Layers, info.Descriptor)
		l.link(d)
	}
	manifest, err := json.Marshal(m)
	if err != nil {
		return err
	}
	desc, err := l.add(types.OCIManifestSchema1, manifest)
	if err != nil {
		return err
	}
	desc.Platform = p.v1()
	desc.Annotations = map[string]string{annotationRef: p.Ref, annotationName: p.RefName}
	if err := l.finish(desc, entryOf(m, p.RefName)); err != nil {
		return err
	}
	return writeOutputs(env, manifest, config)
}

// writeOutputs sets the outputs that are beside the layout.
func writeOutputs(env action.Env, manifest, config []byte) error {
	if config != nil {
		if err := env.WriteFile("config", config); err != nil {
			return err
		}
	}
	return errors.Join(env.WriteFile("manifest", manifest), env.WriteFile("digest", []byte(hash(action.Of(manifest)).String())))
}

func readLayers(ctx context.Context, env action.Env, n int) ([]layerInfo, error) {
	layers := make([]layerInfo, n)
	for i := range layers {
		if err := readJSON(ctx, env, fmt.Sprintf("descriptor%d", i), &layers[i]); err != nil {
			return nil, err
		}
	}
	return layers, nil
}

func readJSON(ctx context.Context, env action.Env, input string, into any) error {
	b, err := env.OpenBlob(ctx, env.Input(input).Digest)
	if err != nil {
		return err
	}
	defer b.Close()
	raw, err := io.ReadAll(b)
	if err != nil {
		return err
	}
	if err := json.Unmarshal(raw, into); err != nil {
		return fmt.Errorf("reading %s: %w", input, err)
	}
	return nil
}

// config is the image's configuration file: that of the base, with what is above it.
func (p *imageParams) config(ctx context.Context, env action.Env, layers []layerInfo) (*v1.ConfigFile, error) {
	cf := &v1.ConfigFile{Created: v1.Time{Time: epoch}, RootFS: v1.RootFS{Type: "layers"}}
	if p.Base > 0 {
		if err := readJSON(ctx, env, "base", cf); err != nil {
			return nil, err
		}
		if err := p.checkBase(cf, layers); err != nil {
			return nil, err
		}
		//lint:ignore SA1019 a base may still have it
		cf.Container, cf.DockerVersion, cf.Author = "", "", "" // of how the base was made
	}
	cf.Architecture, cf.OS, cf.Variant, cf.Created = p.Arch, p.OS, p.Variant, v1.Time{Time: epoch}
	cf.Config = v1.Config{}
	if err := readJSON(ctx, env, "config", &cf.Config); err != nil {
		return nil, err
	}
	for i, l := range layers[p.Base:] {
		cf.RootFS.DiffIDs = append(cf.RootFS.DiffIDs, l.DiffID)
		cf.History = append(cf.History, v1.History{Created: v1.Time{Time: epoch}, CreatedBy: "labstar: " + p.Made[i]})
	}
	return cf, nil
}

// checkBase holds what the base's configuration says against its layers as they are.
func (p *imageParams) checkBase(cf *v1.ConfigFile, layers []layerInfo) error {
	if len(cf.RootFS.DiffIDs) != p.Base {
		return fmt.Errorf("reading the base: its configuration names %d layers, and it has %d", len(cf.RootFS.DiffIDs), p.Base)
	}
	for i, want := range cf.RootFS.DiffIDs {
		if got := layers[i].DiffID; got != want {
			return fmt.Errorf("reading the base: layer %d unpacks to %s, want %s: the image was tampered with, or is damaged where it comes from", i, got, want)
		}
	}
	made := 0
	for _, h := range cf.History {
		if !h.EmptyLayer {
			made++
		}
	}
	if made != p.Base { // an image without a history, or with one that does not fit
		cf.History = nil
		for range p.Base {
			cf.History = append(cf.History, v1.History{Created: v1.Time{Time: epoch}, Comment: "layer of the base"})
		}
	}
	return nil
}

func plain(list []action.Late) []string {
	var out []string
	for _, s := range list {
		out = append(out, string(s))
	}
	return out
}

func plainMap(m map[string]action.Late) map[string]string {
	if len(m) == 0 {
		return nil
	}
	out := make(map[string]string, len(m))
	for k, v := range m {
		out[k] = string(v)
	}
	return out
}

func set(list []string) map[string]struct{} {
	if len(list) == 0 {
		return nil
	}
	out := map[string]struct{}{}
	for _, s := range list {
		out[s] = struct{}{}
	}
	return out
}
