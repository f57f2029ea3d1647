package oci

import (
	"context"
	"encoding/json"
	"slices"
	"strings"
	"testing"

	ggcr "github.com/google/go-containerregistry/pkg/v1/layout"
	"go.starlark.net/starlark"

	"github.com/labstar/labstar/action"
	"github.com/labstar/labstar/internal/bomtest"
	"github.com/labstar/labstar/internal/buildtest"
	"github.com/labstar/labstar/starlark/schema"
)

// broughtOp stands for an op that brings a component along: a tree, and its licences.
var broughtOp = &action.Op{Name: "test/brought", Version: 1, Run: func(ctx context.Context, env action.Env) error {
	var p struct{ Name, Licence string }
	if err := env.Params(&p); err != nil {
		return err
	}
	w, err := env.CreateTree("tree")
	if err != nil {
		return err
	}
	if _, err := w.File("usr/share/"+p.Name, action.Attr{}, strings.NewReader(p.Name)); err != nil {
		return err
	}
	if _, err := w.Commit(); err != nil {
		return err
	}
	return env.WriteFile("licence", []byte(p.Licence))
}}

// mergedOp stands for an op that arranges trees.
var mergedOp = &action.Op{Name: "test/merged", Version: 1, Run: func(ctx context.Context, env action.Env) error {
	e := action.NewEdit(env, action.Digest{})
	for _, in := range env.Inputs() {
		if err := e.Merge(ctx, "", in.Digest, action.Refuse); err != nil {
			return err
		}
	}
	root, err := e.Finish(ctx, env.PutDirectory)
	if err != nil {
		return err
	}
	return env.SetTree("tree", root)
}}

func treeOf(t *testing.T, lab *buildtest.Lab, spec action.Spec) *action.Artifact {
	t.Helper()
	spec.Outputs = append([]action.Output{{Name: "tree", Kind: action.Tree}}, spec.Outputs...)
	act, err := lab.Scope().Action(spec)
	if err != nil {
		t.Fatal(err)
	}
	return act.Output("tree")
}

func brought(t *testing.T, lab *buildtest.Lab, name, licence string) *action.Artifact {
	return treeOf(t, lab, action.Spec{
		Op: broughtOp, Title: name, Params: struct{ Name, Licence string }{name, licence}, Outputs: []action.Output{{Name: "licence", Kind: action.File}},
		Component: &action.Component{Kind: "deb", Name: name, Version: "1-1", PURL: "pkg:deb/debian/" + name + "@1-1?arch=amd64", SHA256: strings.Repeat("0", 64)},
	})
}

func attestedImages(t *testing.T, lab *buildtest.Lab) (starlark.StringDict, error) {
	merged := treeOf(t, lab, action.Spec{Op: mergedOp, Title: "merged", Inputs: []action.Input{
		{Name: "a", Artifact: brought(t, lab, "liba", "GPL-2+\nExpat\n")}, {Name: "b", Artifact: brought(t, lab, "libb", "see: liba\n")},
		{Name: "c", Artifact: brought(t, lab, "libc", "Custom licence\n")}, {Name: "d", Artifact: brought(t, lab, "libd", "")},
	}})
	return lab.TryEval(Builtins(), `
base = oci_image([merged], name = "lab/base:1")
image = oci_image([pages], name = "registry.lan:5000/lab/web:1.0", base = base)
`, starlark.StringDict{"merged": schema.NewArtifact(merged, "tree", nil), "pages": lab.Tree(map[string]buildtest.Node{"srv/index.html": {Text: "page"}})})
}

func TestSBOM(t *testing.T) {
	lab := buildtest.New(t)
	g, err := attestedImages(t, lab)
	if err != nil {
		t.Fatal(err)
	}
	sbom := attr(t, g["image"], "sbom")
	var doc spdxDocument
	if err := json.Unmarshal([]byte(lab.Text(attr(t, sbom, "spdx"))), &doc); err != nil {
		t.Fatal(err)
	}
	bomtest.SPDX(t, []byte(lab.Text(attr(t, sbom, "spdx"))))
	bomtest.CycloneDX(t, []byte(lab.Text(attr(t, sbom, "cyclonedx"))))
	var got []string
	for _, p := range doc.Packages[1:] {
		got = append(got, p.Name+" "+p.Version+" "+p.Declared+" "+p.References[0].Locator)
	}
	want := []string{
		"liba 1-1 GPL-2.0-or-later AND MIT pkg:deb/debian/liba@1-1?arch=amd64", "libb 1-1 GPL-2.0-or-later AND MIT pkg:deb/debian/libb@1-1?arch=amd64",
		"libc 1-1 LicenseRef-Custom-licence pkg:deb/debian/libc@1-1?arch=amd64", "libd 1-1 NOASSERTION pkg:deb/debian/libd@1-1?arch=amd64",
	}
	if !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
	if len(doc.Extracted) != 1 || doc.Extracted[0].ID != "LicenseRef-Custom-licence" || doc.Creation.Created != "2020-01-01T00:00:00Z" {
		t.Errorf("got %+v", doc)
	}
	ids := map[string]bool{"SPDXRef-DOCUMENT": true}
	for _, p := range doc.Packages {
		if ids[p.ID] {
			t.Errorf("%s is there twice", p.ID)
		}
		ids[p.ID] = true
	}
	for _, r := range doc.Relationships {
		if !ids[r.Element] || !ids[r.Related] {
			t.Errorf("got the relationship %+v of what is not there", r)
		}
	}
	var cdx cdxDocument
	if err := json.Unmarshal([]byte(lab.Text(attr(t, sbom, "cyclonedx"))), &cdx); err != nil {
		t.Fatal(err)
	}
	if len(cdx.Components) != 4 || cdx.Components[0].Licences[0].Expression != "GPL-2.0-or-later AND MIT" || cdx.Components[2].Licences[0].Licence.Name != "Custom licence" ||
		len(cdx.Depends[0].On) != 4 || !strings.HasPrefix(cdx.Serial, "urn:uuid:") || len(cdx.Serial) != 45 {
		t.Errorf("got %+v", cdx)
	}
}

func TestProvenance(t *testing.T) {
	lab := buildtest.New(t)
	g, err := attestedImages(t, lab)
	if err != nil {
		t.Fatal(err)
	}
	var s statement
	if err := json.Unmarshal([]byte(lab.Text(attr(t, g["image"], "provenance"))), &s); err != nil {
		t.Fatal(err)
	}
	manifest := lab.Build(attr(t, g["image"], "manifest"))
	if s.Subject[0].Digest["sha256"] != manifest.Hex() || s.Subject[0].Name != "registry.lan:5000/lab/web" || s.PredicateType != "https://slsa.dev/provenance/v1" {
		t.Errorf("got %+v", s)
	}
	var uris []string
	for _, r := range s.Predicate.Definition.Dependencies {
		uris = append(uris, r.URI)
	}
	if want := []string{"file:test tree", "pkg:deb/debian/liba@1-1?arch=amd64"}; !slices.Equal(uris[:2], want) || len(uris) != 5 {
		t.Errorf("got %q", uris)
	}
	if steps := s.Predicate.Definition.Internal["steps"]; !slices.Contains(steps, step{Op: "oci/image", Title: "image lab/base:1"}) {
		t.Errorf("got %+v", steps)
	}
}

// What a command ran in is no part of the image; what it compiled is.
func TestRoles(t *testing.T) {
	lab := buildtest.New(t)
	act, err := lab.Scope().Action(action.Spec{
		Op: action.Exec, Params: action.Command{Argv: []string{"cc"}, Root: []string{"toolchain"}, Outputs: []string{"out"}},
		Inputs:  []action.Input{{Name: "toolchain", Artifact: brought(t, lab, "gcc", "")}, {Name: "src", Artifact: brought(t, lab, "source", "")}},
		Outputs: []action.Output{{Name: "out", Kind: action.Tree}},
	})
	if err != nil {
		t.Fatal(err)
	}
	merged := treeOf(t, lab, action.Spec{Op: mergedOp, Inputs: []action.Input{{Name: "a", Artifact: act.Output("out")}, {Name: "b", Artifact: brought(t, lab, "liba", "")}}})
	b := billOf(merged.Action)
	var got []string
	for _, p := range b.parts {
		got = append(got, p.Name+" "+string(p.Role))
	}
	if want := []string{"gcc tool", "liba contained", "source compiled"}; !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
	if list := b.inImage(); len(list) != 2 {
		t.Errorf("got %+v", list)
	}
}

func TestAttested(t *testing.T) {
	lab := buildtest.New(t)
	g, err := attestedImages(t, lab)
	if err != nil {
		t.Fatal(err)
	}
	dir, err := lab.Store.TreePath(t.Context(), lab.Build(attr(t, g["image"], "attested")))
	if err != nil {
		t.Fatal(err)
	}
	index, err := ggcr.ImageIndexFromPath(dir)
	if err != nil {
		t.Fatal(err)
	}
	m, err := index.IndexManifest()
	if err != nil {
		t.Fatal(err)
	}
	if len(m.Manifests) != 4 {
		t.Fatalf("got %d manifests, want the image and three referrers", len(m.Manifests))
	}
	image := m.Manifests[0].Digest
	var types []string
	for _, d := range m.Manifests[1:] {
		referrer, err := index.Image(d.Digest)
		if err != nil {
			t.Fatal(err)
		}
		rm, err := referrer.Manifest()
		if err != nil {
			t.Fatal(err)
		}
		if rm.Subject == nil || rm.Subject.Digest != image || rm.ArtifactType != d.ArtifactType {
			t.Errorf("got %+v, want one about %s", rm, image)
		}
		types = append(types, rm.ArtifactType)
		layers, err := referrer.Layers()
		if err != nil || len(layers) != 1 {
			t.Fatalf("got %d layers, %v", len(layers), err)
		}
		if h, err := layers[0].Digest(); err != nil || h != rm.Layers[0].Digest {
			t.Errorf("got %v, %v", h, err)
		}
	}
	if want := []string{"application/spdx+json", "application/vnd.cyclonedx+json", "application/vnd.in-toto+json"}; !slices.Equal(types, want) {
		t.Errorf("got %q", types)
	}
	if attr(t, attr(t, g["image"], "attested"), "ref") != attr(t, g["image"], "ref") {
		t.Error("the reference is another")
	}
}

func TestSPDXExpression(t *testing.T) {
	for lines, want := range map[string]string{
		"":                       "",
		"MIT\n":                  "MIT",
		"GPL-2+\nExpat\nMIT\n":   "GPL-2.0-or-later AND MIT",
		"(MIT OR Apache-2.0)\n":  "(MIT OR Apache-2.0)",
		"MIT OR Apache-2.0\nISC": "(MIT OR Apache-2.0) AND ISC",
		"SEE LICENSE IN x.txt":   "LicenseRef-SEE-LICENSE-IN-x.txt",
	} {
		if got, _ := spdxExpression(lines); got != want {
			t.Errorf("%q: got %q, want %q", lines, got, want)
		}
	}
}

func FuzzSPDXExpression(f *testing.F) {
	f.Add("GPL-2+\nx y\n")
	f.Fuzz(func(t *testing.T, s string) { spdxExpression(s) })
}
