package oci

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/types"
	"go.starlark.net/starlark"

	"github.com/labstar/labstar/action"
	"github.com/labstar/labstar/starlark/schema"
)

type indexArgs struct {
	Images      []*schema.Artifact     `star:"images" kind:"image" doc:"an image for each platform"`
	Name        string                 `star:"name,keyword" default:"\"\"" doc:"repository and tag; that of the images by default, if they have one in common"`
	Annotations map[string]action.Late `star:"annotations,keyword,optional" doc:"annotations of the index"`
}

// Index is the builtin `oci_index`.
var Index = schema.New("oci_index", `oci_index joins images for several platforms under one name.

Who pulls the name gets the image for their own machine. The value is a tree in the
OCI image layout, with the attributes of an image but for config: ref and digest are
those of the index.

	web = oci_index([
	    oci_image([root_amd64], name = "lab/web:1.0"),
	    oci_image([root_arm64], name = "lab/web:1.0", platform = "linux/arm64"),
	])`,
	callIndex, schema.Returns("an image (a tree) with the attributes ref, digest, tag, layout, manifest, archive, sbom, provenance, attested"))

func callIndex(c *schema.Call, a *indexArgs) (starlark.Value, error) {
	spec := action.Spec{Op: indexOp, Outputs: []action.Output{{Name: "layout", Kind: action.Tree},
		{Name: "digest", Kind: action.File}, {Name: "manifest", Kind: action.File}}}
	params := indexParams{Annotations: a.Annotations}
	name := a.Name
	seen := map[platform]int{}
	var errs []error
	for i, image := range a.Images {
		arg := fmt.Sprintf("images[%d]", i)
		act := image.Action
		if act.Op != imageOp && act.Op != pulledOp && act.Op != unlockedOp {
			errs = append(errs, c.ArgErrorf(arg, "got an index, want an image for one platform"))
			continue
		}
		p := platformOf(act)
		if j, ok := seen[p]; ok {
			errs = append(errs, c.ArgErrorf(arg, "got a second image for %s, which images[%d] is for too; say platform = in one of them", p, j))
		}
		seen[p] = i
		params.Platforms = append(params.Platforms, p)
		tag, _ := image.Attr("tag")
		switch own := string(tag.(starlark.String)); {
		case name == "":
			name = own
		case a.Name == "" && own != name:
			errs = append(errs, c.ArgErrorf(arg, "got the name %q, and images[0] has %q; say name = what the index is to be called", own, name))
		}
		spec.Inputs = append(spec.Inputs,
			action.Input{Name: fmt.Sprintf("layout%d", i), Artifact: act.Output("layout")},
			action.Input{Name: fmt.Sprintf("manifest%d", i), Artifact: act.Output("manifest")})
	}
	if len(a.Images) == 0 {
		errs = append(errs, c.ArgErrorf("images", "got none, want at least one"))
	}
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	n, err := parseName(c, name)
	if err != nil {
		return nil, err
	}
	params.Ref, params.RefName = n.tag, n.full
	spec.Params, spec.Title = params, "index "+name
	act, err := c.Action(spec)
	if err != nil {
		return nil, err
	}
	return value(c, act, n)
}

type indexParams struct {
	Platforms   []platform             `json:"platforms"`
	Ref         string                 `json:"ref"`
	RefName     string                 `json:"refName"`
	Annotations map[string]action.Late `json:"annotations,omitempty"`
}

// indexOp joins layouts: their blobs, and an index over their manifests.
var indexOp = &action.Op{Name: "oci/index", Version: 2, Run: runIndex}

func runIndex(ctx context.Context, env action.Env) error {
	var p indexParams
	if err := env.Params(&p); err != nil {
		return err
	}
	l := layout{env: env}
	index := v1.IndexManifest{SchemaVersion: 2, MediaType: types.OCIImageIndex, Annotations: plainMap(p.Annotations)}
	var first archiveEntry
	for i, platform := range p.Platforms {
		if err := l.linkAll(ctx, env.Input(fmt.Sprintf("layout%d", i)).Digest); err != nil {
			return err
		}
		var m v1.Manifest
		input := fmt.Sprintf("manifest%d", i)
		if err := readJSON(ctx, env, input, &m); err != nil {
			return err
		}
		if i == 0 {
			first = entryOf(m, p.RefName)
		}
		if m.MediaType == "" { // which a manifest of the OCI's may leave out
			m.MediaType = types.OCIManifestSchema1
		}
		d := env.Input(input).Digest
		index.Manifests = append(index.Manifests, v1.Descriptor{MediaType: m.MediaType, Size: d.Size, Digest: hash(d), Platform: platform.v1()})
	}
	manifest, err := json.Marshal(index)
	if err != nil {
		return err
	}
	desc, err := l.add(types.OCIImageIndex, manifest)
	if err != nil {
		return err
	}
	desc.Annotations = map[string]string{annotationRef: p.Ref, annotationName: p.RefName}
	if err := l.finish(desc, first); err != nil {
		return err
	}
	return writeOutputs(env, manifest, nil)
}

// linkAll makes all blobs of another layout blobs of this one.
func (l *layout) linkAll(ctx context.Context, root action.Digest) error {
	e := action.NewEdit(l.env, root)
	n, err := e.Lookup(ctx, "blobs/sha256")
	if err != nil {
		return err
	}
	dir, err := l.env.Directory(ctx, n.Digest)
	if err != nil {
		return err
	}
	for _, n := range dir.Nodes {
		l.link(n.Digest)
	}
	return nil
}
