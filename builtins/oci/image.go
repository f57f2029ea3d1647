package oci

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"slices"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/types"

	"github.com/labstar/labstar/action"
)

// imageParams is what oci/image is to say of the image.
type imageParams struct {
	Layers      int                    `json:"layers"`
	Ref         string                 `json:"ref"`     // the tag
	RefName     string                 `json:"refName"` // the full name
	OS          string                 `json:"os"`
	Arch        string                 `json:"arch"`
	Variant     string                 `json:"variant,omitempty"`
	Entrypoint  []action.Late          `json:"entrypoint,omitempty"`
	Cmd         []action.Late          `json:"cmd,omitempty"`
	Env         map[string]action.Late `json:"env,omitempty"`
	User        string                 `json:"user,omitempty"`
	Workdir     string                 `json:"workdir,omitempty"`
	Ports       []string               `json:"ports,omitempty"`
	Volumes     []string               `json:"volumes,omitempty"`
	Labels      map[string]action.Late `json:"labels,omitempty"`
	Annotations map[string]action.Late `json:"annotations,omitempty"`
}

// Annotations of the index that tell the image's name: the first is the OCI's
// (a tag), the second containerd's and docker's (the full name).
const (
	annotationRef  = "org.opencontainers.image.ref.name"
	annotationName = "io.containerd.image.name"
)

// defaultPath is what a container's PATH is unless env has one, as docker sets it.
const defaultPath = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

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
	config, err := json.Marshal(p.config(layers))
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
		b, err := env.OpenBlob(ctx, env.Input(fmt.Sprintf("descriptor%d", i)).Digest)
		if err != nil {
			return nil, err
		}
		raw, err := io.ReadAll(b)
		b.Close()
		if err != nil {
			return nil, err
		}
		if err := json.Unmarshal(raw, &layers[i]); err != nil {
			return nil, fmt.Errorf("reading descriptor of layer %d: %w", i, err)
		}
	}
	return layers, nil
}

func (p *imageParams) config(layers []layerInfo) *v1.ConfigFile {
	cf := &v1.ConfigFile{
		Architecture: p.Arch, OS: p.OS, Variant: p.Variant, Created: v1.Time{Time: epoch},
		RootFS: v1.RootFS{Type: "layers"},
		Config: v1.Config{
			Entrypoint: plain(p.Entrypoint), Cmd: plain(p.Cmd), Env: p.environment(), User: p.User,
			WorkingDir: p.Workdir, Labels: plainMap(p.Labels), ExposedPorts: set(p.Ports), Volumes: set(p.Volumes),
		},
	}
	for _, l := range layers {
		cf.RootFS.DiffIDs = append(cf.RootFS.DiffIDs, l.DiffID)
		cf.History = append(cf.History, v1.History{Created: v1.Time{Time: epoch}, CreatedBy: "labstar oci_image"})
	}
	return cf
}

// environment is sorted, with PATH first.
func (p *imageParams) environment() []string {
	env := []string{"PATH=" + defaultPath}
	var names []string
	for k, v := range p.Env {
		if k == "PATH" {
			env[0] = "PATH=" + string(v)
			continue
		}
		names = append(names, k)
	}
	slices.Sort(names)
	for _, k := range names {
		env = append(env, k+"="+string(p.Env[k]))
	}
	return env
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
