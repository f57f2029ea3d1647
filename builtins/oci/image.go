package oci

import (
	"context"
	"encoding/json"
	"fmt"
	"io"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/types"

	"github.com/labstar/labstar/action"
)

// imageParams is what oci/image is to say of the image, besides the input
// "config".
type imageParams struct {
	Layers      int                    `json:"layers"`
	Ref         string                 `json:"ref"`     // the tag
	RefName     string                 `json:"refName"` // the full name
	OS          string                 `json:"os"`
	Arch        string                 `json:"arch"`
	Variant     string                 `json:"variant,omitempty"`
	Annotations map[string]action.Late `json:"annotations,omitempty"`
}

// Annotations of the index that tell the image's name: the first is the OCI's
// (a tag), the second containerd's and docker's (the full name).
const (
	annotationRef  = "org.opencontainers.image.ref.name"
	annotationName = "io.containerd.image.name"
)

// imageOp puts layers together: configuration, manifest, index, layout.
var imageOp = &action.Op{Name: "oci/image", Version: 1, Run: runImage}

func runImage(ctx context.Context, env action.Env) error {
	var p imageParams
	if err := env.Params(&p); err != nil {
		return err
	}
	layers, err := readLayers(ctx, env, p.Layers)
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
		m.Layers = append(m.Layers, info.Descriptor)
		l.link(env.Input(fmt.Sprintf("layer%d", i)).Digest)
	}
	manifest, err := json.Marshal(m)
	if err != nil {
		return err
	}
	manifestDesc, err := l.add(types.OCIManifestSchema1, manifest)
	if err != nil {
		return err
	}
	manifestDesc.Platform = &v1.Platform{OS: p.OS, Architecture: p.Arch, Variant: p.Variant}
	manifestDesc.Annotations = map[string]string{annotationRef: p.Ref, annotationName: p.RefName}
	if err := l.finish(manifestDesc, m, p.RefName); err != nil {
		return err
	}
	if err := env.WriteFile("manifest", manifest); err != nil {
		return err
	}
	if err := env.WriteFile("config", config); err != nil {
		return err
	}
	return env.WriteFile("digest", []byte(manifestDesc.Digest.String()))
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

func (p *imageParams) config(ctx context.Context, env action.Env, layers []layerInfo) (*v1.ConfigFile, error) {
	cf := &v1.ConfigFile{
		Architecture: p.Arch, OS: p.OS, Variant: p.Variant, Created: v1.Time{Time: epoch},
		RootFS: v1.RootFS{Type: "layers"},
	}
	if err := readJSON(ctx, env, "config", &cf.Config); err != nil {
		return nil, err
	}
	for _, l := range layers {
		cf.RootFS.DiffIDs = append(cf.RootFS.DiffIDs, l.DiffID)
		cf.History = append(cf.History, v1.History{Created: v1.Time{Time: epoch}, CreatedBy: "labstar oci_image"})
	}
	return cf, nil
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
