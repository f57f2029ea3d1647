package oci

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"sync"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/types"
	"go.starlark.net/starlark"

	"github.com/labstar/labstar/action"
	"github.com/labstar/labstar/starlark/schema"
)

// attestations are the attributes of an image that tell what went into it. They are
// made when a script asks for one: the walk over the graph costs nothing otherwise.
type attestations struct {
	scope  *action.Scope
	site   []action.Frame
	script string
	name   imageName
	image  *action.Action
	of     starlark.StringDict // the image's other attributes

	once sync.Once
	all  starlark.StringDict
}

var attested = []string{"attested", "provenance", "sbom"}

func (a *attestations) attr(name string) starlark.Value {
	a.once.Do(a.make)
	return a.all[name]
}

// make makes the actions. What they are made of is this package's own, so that no
// error can come of it.
func (a *attestations) make() {
	full := a.name.repository + ":" + a.name.tag
	platform := platformOf(a.image)
	b := billOf(a.image)
	manifest := action.Input{Name: "manifest", Artifact: a.image.Output("manifest")}
	spec := func(s action.Spec) *action.Action {
		s.Site = a.site
		act, err := a.scope.Action(s)
		if err != nil {
			panic(err)
		}
		return act
	}
	about := []action.Input{manifest}
	for i, pulled := range b.pulled {
		packages, err := newContents(func(s action.Spec) (*action.Action, error) { return spec(s), nil }, pulled)
		if err != nil {
			panic(err)
		}
		about = append(about, action.Input{Name: fmt.Sprintf("packages%d", i), Artifact: packages})
	}
	sbom := spec(action.Spec{
		Op: sbomOp, Title: "bill of materials of " + full, Inputs: about,
		Params:  sbomParams{platform: platform, Name: full, Parts: b.inImage()},
		Outputs: []action.Output{{Name: "sbom.spdx.json", Kind: action.File}, {Name: "sbom.cdx.json", Kind: action.File}},
	})
	for i := range b.parts {
		b.parts[i].Licence = "" // the provenance has none: it needs no package
	}
	provenance := spec(action.Spec{
		Op: provenanceOp, Title: "provenance of " + full, Inputs: []action.Input{manifest},
		Params: provenanceParams{platform: platform, Name: full, Repository: a.name.repository, Script: a.script,
			Definition: a.image.Definition().Hex(), Parts: b.parts, Files: b.files, Steps: b.steps},
		Outputs: []action.Output{{Name: "provenance.json", Kind: action.File}},
	})
	all := spec(action.Spec{
		Op: attestOp, Title: "attested " + full,
		Inputs: []action.Input{{Name: "layout", Artifact: a.image.Output("layout")}, manifest,
			{Name: "spdx", Artifact: sbom.Output("sbom.spdx.json")}, {Name: "cyclonedx", Artifact: sbom.Output("sbom.cdx.json")},
			{Name: "provenance", Artifact: provenance.Output("provenance.json")}},
		Outputs: []action.Output{{Name: "layout", Kind: action.Tree}},
	})
	spdx := schema.NewArtifact(sbom.Output("sbom.spdx.json"), "file", nil)
	cdx := schema.NewArtifact(sbom.Output("sbom.cdx.json"), "file", nil)
	a.all = starlark.StringDict{
		"sbom":       schema.NewArtifact(sbom.Output("sbom.spdx.json"), "file", starlark.StringDict{"spdx": spdx, "cyclonedx": cdx}),
		"provenance": schema.NewArtifact(provenance.Output("provenance.json"), "file", nil),
		"attested": schema.NewArtifact(all.Output("layout"), "image", starlark.StringDict{
			"ref": a.of["ref"], "digest": a.of["digest"], "tag": a.of["tag"], "manifest": a.of["manifest"],
			"layout": schema.NewArtifact(all.Output("layout"), "tree", nil),
		}),
	}
}

// attestOp adds to a layout what is known of its image: a manifest for each document
// that refers to the image by its digest, as registries list them (referrers).
var attestOp = &action.Op{Name: "oci/attest", Version: 1, Run: runAttest}

// documents are the inputs of attestOp with their media types.
var documents = []struct{ input, mediaType string }{
	{"spdx", "application/spdx+json"}, {"cyclonedx", "application/vnd.cyclonedx+json"}, {"provenance", "application/vnd.in-toto+json"},
}

const emptyType = "application/vnd.oci.empty.v1+json"

func runAttest(ctx context.Context, env action.Env) error {
	root := env.Input("layout").Digest
	l := layout{env: env}
	if err := l.linkAll(ctx, root); err != nil {
		return err
	}
	index, entries, err := readLayout(ctx, env, root)
	if err != nil {
		return err
	}
	manifest := env.Input("manifest").Digest
	var subject *v1.Descriptor
	for _, d := range index.Manifests {
		if d.Digest == hash(manifest) {
			subject = &v1.Descriptor{MediaType: d.MediaType, Digest: d.Digest, Size: d.Size}
		}
	}
	if subject == nil {
		return fmt.Errorf("attesting: the layout does not name %s", hash(manifest))
	}
	empty, err := l.add(emptyType, []byte("{}"))
	if err != nil {
		return err
	}
	for _, doc := range documents {
		in := env.Input(doc.input).Digest
		l.link(in)
		m := v1.Manifest{SchemaVersion: 2, MediaType: types.OCIManifestSchema1, ArtifactType: doc.mediaType, Config: empty, Subject: subject,
			Layers: []v1.Descriptor{{MediaType: types.MediaType(doc.mediaType), Digest: hash(in), Size: in.Size}}}
		if doc.input == "provenance" {
			m.Annotations = map[string]string{"in-toto.io/predicate-type": "https://slsa.dev/provenance/v1"}
		}
		b, err := json.Marshal(m)
		if err != nil {
			return err
		}
		d, err := l.add(types.OCIManifestSchema1, b)
		if err != nil {
			return err
		}
		d.ArtifactType, d.Annotations = doc.mediaType, m.Annotations
		index.Manifests = append(index.Manifests, d)
	}
	return l.write(index, entries)
}

// readLayout reads the documents of a layout that are beside its blobs.
func readLayout(ctx context.Context, env action.Env, root action.Digest) (index v1.IndexManifest, entries []archiveEntry, err error) {
	e := action.NewEdit(env, root)
	for name, into := range map[string]any{"index.json": &index, "manifest.json": &entries} {
		n, err := e.Lookup(ctx, name)
		if err != nil {
			return index, nil, err
		}
		b, err := env.OpenBlob(ctx, n.Digest)
		if err != nil {
			return index, nil, err
		}
		err = json.NewDecoder(b).Decode(into)
		if err := b.Close(); err != nil {
			return index, nil, err
		}
		if err != nil {
			return index, nil, fmt.Errorf("reading %s of the layout: %w", name, err)
		}
	}
	return index, entries, nil
}

// imageAttrs are the attributes of an image: those that every script uses, and the
// attestations.
type imageAttrs struct {
	dict starlark.StringDict
	*attestations
}

// Attr implements schema.Attrs.
func (a imageAttrs) Attr(name string) starlark.Value {
	if slices.Contains(attested, name) {
		return a.attr(name)
	}
	return a.dict[name]
}

// AttrNames implements schema.Attrs.
func (a imageAttrs) AttrNames() []string {
	names := append(a.dict.Keys(), attested...)
	slices.Sort(names)
	return names
}
