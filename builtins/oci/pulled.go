package oci

import (
	"context"
	"errors"
	"fmt"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/types"

	"github.com/labstar/labstar/action"
)

// pulledParams is what lab.lock says of an image.
type pulledParams struct {
	platform
	Name    string          `json:"name"`
	Ref     string          `json:"ref"`
	RefName string          `json:"refName"`
	Layers  []v1.Descriptor `json:"layers"`
}

// pulledOp puts the blobs of a pulled image into a layout, as they are.
var pulledOp = &action.Op{Name: "oci/pulled", Version: 2, Run: runPulled}

// unlockedOp stands for what lab.lock doesn't have yet. It is never run: the
// lock is filled in first.
var unlockedOp = &action.Op{Name: "oci/unlocked", Version: 1, Run: func(context.Context, action.Env) error {
	return errors.New("lab.lock has no entry for this: run `labstar lock`")
}}

func runPulled(ctx context.Context, env action.Env) error {
	var p pulledParams
	if err := env.Params(&p); err != nil {
		return err
	}
	var m v1.Manifest
	if err := readJSON(ctx, env, "manifest", &m); err != nil {
		return err
	}
	manifest, config := env.Input("manifest").Digest, env.Input("config").Digest
	l := layout{env: env}
	l.link(manifest)
	l.link(config)
	if m.Config.Digest != hash(config) || len(m.Layers) != len(p.Layers) {
		return fmt.Errorf("reading the manifest of %s: it does not name what lab.lock says; run `labstar lock --update %s`", p.Name, p.Name)
	}
	for i, d := range m.Layers {
		in := env.Input(fmt.Sprintf("layer%d", i)).Digest
		if d.Digest != hash(in) || d.Digest != p.Layers[i].Digest || d.MediaType != p.Layers[i].MediaType {
			return fmt.Errorf("reading the manifest of %s: layer %d is %s, and lab.lock says %s; run `labstar lock --update %s`",
				p.Name, i, d.Digest, p.Layers[i].Digest, p.Name)
		}
		l.link(in)
	}
	t := m.MediaType
	if t == "" {
		t = types.OCIManifestSchema1
	}
	desc := v1.Descriptor{MediaType: t, Size: manifest.Size, Digest: hash(manifest), Platform: p.v1(),
		Annotations: map[string]string{annotationRef: p.Ref, annotationName: p.RefName}}
	if err := l.finish(desc, entryOf(m, p.RefName)); err != nil {
		return err
	}
	return errors.Join(env.SetFile("config", config), env.SetFile("manifest", manifest),
		env.WriteFile("digest", []byte(hash(manifest).String())))
}
