package oci

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/labstar/labstar/action"
)

// sbomParams is what a bill of materials says, besides the image's digest.
type sbomParams struct {
	platform
	Name  string `json:"name"` // REPOSITORY:TAG
	Parts []part `json:"parts"`
}

// sbomOp writes the bill of materials of an image in the formats SPDX 2.3 and
// CycloneDX 1.6. What is in it comes from the graph, and of a pulled base from the
// records of its package managers; the times are constant.
var sbomOp = &action.Op{Name: "oci/sbom", Version: 1, Run: runSBOM}

func runSBOM(ctx context.Context, env action.Env) error {
	var p sbomParams
	if err := env.Params(&p); err != nil {
		return err
	}
	for _, in := range env.Inputs() {
		if !strings.HasPrefix(in.Name, "packages") {
			continue
		}
		var found []part
		if err := readJSON(ctx, env, in.Name, &found); err != nil {
			return err
		}
		p.Parts = append(p.Parts, found...)
	}
	followLicences(p.Parts)
	digest := env.Input("manifest").Digest.Hex()
	for name, doc := range map[string]any{"sbom.spdx.json": p.spdx(digest), "sbom.cdx.json": p.cycloneDX(digest)} {
		b, err := json.MarshalIndent(doc, "", "  ")
		if err != nil {
			return err
		}
		if err := env.WriteFile(name, append(b, '\n')); err != nil {
			return err
		}
	}
	return nil
}

// created is the constant time of documents.
func created() string { return epoch.Format("2006-01-02T15:04:05Z") }

const (
	spdxNone  = "NOASSERTION"
	imageID   = "SPDXRef-image"
	namespace = "https://github.com/labstar/labstar/spdx/"
)

type spdxDocument struct {
	Version       string             `json:"spdxVersion"`
	DataLicense   string             `json:"dataLicense"`
	ID            string             `json:"SPDXID"`
	Name          string             `json:"name"`
	Namespace     string             `json:"documentNamespace"`
	Creation      spdxCreation       `json:"creationInfo"`
	Packages      []spdxPackage      `json:"packages"`
	Relationships []spdxRelationship `json:"relationships"`
	Extracted     []spdxExtracted    `json:"hasExtractedLicensingInfos,omitempty"`
}

type spdxCreation struct {
	Created  string   `json:"created"`
	Creators []string `json:"creators"`
}

type spdxPackage struct {
	Name       string         `json:"name"`
	ID         string         `json:"SPDXID"`
	Version    string         `json:"versionInfo,omitempty"`
	Location   string         `json:"downloadLocation"`
	Analyzed   bool           `json:"filesAnalyzed"`
	Concluded  string         `json:"licenseConcluded"`
	Declared   string         `json:"licenseDeclared"`
	Copyright  string         `json:"copyrightText"`
	Purpose    string         `json:"primaryPackagePurpose,omitempty"`
	Checksums  []spdxChecksum `json:"checksums,omitempty"`
	References []spdxRef      `json:"externalRefs,omitempty"`
}

type spdxChecksum struct {
	Algorithm string `json:"algorithm"`
	Value     string `json:"checksumValue"`
}

type spdxRef struct {
	Category string `json:"referenceCategory"`
	Type     string `json:"referenceType"`
	Locator  string `json:"referenceLocator"`
}

type spdxRelationship struct {
	Element string `json:"spdxElementId"`
	Type    string `json:"relationshipType"`
	Related string `json:"relatedSpdxElement"`
}

type spdxExtracted struct {
	ID   string `json:"licenseId"`
	Name string `json:"name"`
	Text string `json:"extractedText"`
}

func (p *sbomParams) spdx(digest string) *spdxDocument {
	doc := &spdxDocument{
		Version: "SPDX-2.3", DataLicense: "CC0-1.0", ID: "SPDXRef-DOCUMENT", Name: p.Name, Namespace: namespace + digest,
		Creation: spdxCreation{Created: created(), Creators: []string{"Tool: labstar"}},
		Packages: []spdxPackage{{
			Name: p.Name, ID: imageID, Version: "sha256:" + digest, Location: spdxNone, Concluded: spdxNone, Declared: spdxNone, Copyright: spdxNone,
			Purpose: "CONTAINER", Checksums: []spdxChecksum{{"SHA256", digest}},
			References: []spdxRef{{"PACKAGE-MANAGER", "purl", imagePURL(p.Name, digest, p.Arch)}},
		}},
		Relationships: []spdxRelationship{{"SPDXRef-DOCUMENT", "DESCRIBES", imageID}},
	}
	extracted := map[string]string{}
	ids := map[string]string{"": imageID} // of images, by their package URLs
	for i, c := range p.Parts {
		id := fmt.Sprintf("SPDXRef-%s-%s-%d", c.Kind, strings.Trim(notID().ReplaceAllString(c.Name, "-"), "-"), i)
		licence, refs := spdxExpression(string(c.Licence))
		maps.Copy(extracted, refs)
		if licence == "" {
			licence = spdxNone
		}
		pkg := spdxPackage{Name: c.Name, ID: id, Version: c.Version, Location: spdxNone, Concluded: spdxNone, Declared: licence, Copyright: spdxNone}
		if c.URL != "" {
			pkg.Location = c.URL
		}
		if c.SHA256 != "" {
			pkg.Checksums = []spdxChecksum{{"SHA256", c.SHA256}}
		}
		if c.PURL != "" {
			pkg.References = []spdxRef{{"PACKAGE-MANAGER", "purl", c.PURL}}
		}
		doc.Packages = append(doc.Packages, pkg)
		kind := "CONTAINS"
		if c.Role == compiled {
			kind = "GENERATED_FROM"
		}
		if c.Kind == "image" {
			ids[c.PURL] = id
		}
		doc.Relationships = append(doc.Relationships, spdxRelationship{ids[c.In], kind, id})
	}
	for _, id := range slices.Sorted(maps.Keys(extracted)) {
		doc.Extracted = append(doc.Extracted, spdxExtracted{ID: id, Name: extracted[id], Text: "as its packager calls it: " + extracted[id]})
	}
	return doc
}

// imagePURL is the package URL of an image.
func imagePURL(ref, digest, arch string) string {
	repository, tag := ref, ""
	if i := strings.LastIndexByte(ref, ':'); i > strings.LastIndexByte(ref, '/') {
		repository, tag = ref[:i], ref[i+1:]
	}
	base := repository[strings.LastIndexByte(repository, '/')+1:]
	if arch != "" { // an index has none
		arch = "arch=" + arch + "&"
	}
	return fmt.Sprintf("pkg:oci/%s@sha256%%3A%s?%srepository_url=%s&tag=%s", base, digest, arch, strings.ReplaceAll(repository, "/", "%2F"), tag)
}

type cdxDocument struct {
	Format     string         `json:"bomFormat"`
	Version    string         `json:"specVersion"`
	Serial     string         `json:"serialNumber"`
	Revision   int            `json:"version"`
	Metadata   cdxMetadata    `json:"metadata"`
	Components []cdxComponent `json:"components"`
	Depends    []cdxDepends   `json:"dependencies"`
}

type cdxMetadata struct {
	Timestamp string       `json:"timestamp"`
	Tools     cdxTools     `json:"tools"`
	Component cdxComponent `json:"component"`
}

type cdxTools struct {
	Components []cdxComponent `json:"components"`
}

type cdxComponent struct {
	Type       string        `json:"type"`
	Ref        string        `json:"bom-ref,omitempty"`
	Name       string        `json:"name"`
	Version    string        `json:"version,omitempty"`
	Scope      string        `json:"scope,omitempty"`
	Hashes     []cdxHash     `json:"hashes,omitempty"`
	Licences   []cdxLicence  `json:"licenses,omitempty"`
	PURL       string        `json:"purl,omitempty"`
	References []cdxExternal `json:"externalReferences,omitempty"`
	Properties []cdxProperty `json:"properties,omitempty"`
}

type cdxHash struct {
	Algorithm string `json:"alg"`
	Content   string `json:"content"`
}

type cdxLicence struct {
	Expression string    `json:"expression,omitempty"`
	Licence    *cdxNamed `json:"license,omitempty"`
}

type cdxNamed struct {
	ID   string `json:"id,omitempty"`
	Name string `json:"name,omitempty"`
}

type cdxExternal struct {
	Type string `json:"type"`
	URL  string `json:"url"`
}

type cdxProperty struct {
	Name  string `json:"name"`
	Value string `json:"value"`
}

type cdxDepends struct {
	Ref string   `json:"ref"`
	On  []string `json:"dependsOn"`
}

func (p *sbomParams) cycloneDX(digest string) *cdxDocument {
	purl := imagePURL(p.Name, digest, p.Arch)
	doc := &cdxDocument{
		Format: "CycloneDX", Version: "1.6", Revision: 1, Components: []cdxComponent{},
		// A UUID that comes from the image's digest, of version 8: the digits are ours.
		Serial: fmt.Sprintf("urn:uuid:%s-%s-8%s-8%s-%s", digest[:8], digest[8:12], digest[13:16], digest[17:20], digest[20:32]),
		Metadata: cdxMetadata{
			Timestamp: created(), Tools: cdxTools{Components: []cdxComponent{{Type: "application", Name: "labstar"}}},
			Component: cdxComponent{Type: "container", Ref: purl, Name: p.Name, Version: "sha256:" + digest, PURL: purl, Hashes: []cdxHash{{"SHA-256", digest}}},
		},
	}
	doc.Depends = []cdxDepends{{Ref: purl, On: []string{}}}
	images := map[string]int{"": 0} // index of what they hold, by their package URLs
	for i, c := range p.Parts {
		out := cdxComponent{
			Type: "library", Ref: fmt.Sprintf("%s-%d-%s", c.Kind, i, c.Name), Name: c.Name, Version: c.Version, PURL: c.PURL, Licences: cdxLicences(string(c.Licence)),
			Properties: []cdxProperty{{"labstar:kind", c.Kind}, {"labstar:role", string(c.Role)}},
		}
		switch c.Kind {
		case "image":
			out.Type = "container"
		case "file":
			out.Type = "file"
		}
		if c.SHA256 != "" {
			out.Hashes = []cdxHash{{"SHA-256", c.SHA256}}
		}
		if c.URL != "" {
			out.References = []cdxExternal{{"distribution", c.URL}}
		}
		if c.Role == compiled {
			out.Scope = "excluded" // it is not itself in there
		}
		doc.Components = append(doc.Components, out)
		if c.Kind == "image" {
			images[c.PURL] = len(doc.Depends)
			doc.Depends = append(doc.Depends, cdxDepends{Ref: out.Ref, On: []string{}})
		}
		on := &doc.Depends[images[c.In]].On
		*on = append(*on, out.Ref)
	}
	return doc
}

// cdxLicences are names, or an expression where all of it is SPDX's: the format
// allows no mixture.
func cdxLicences(lines string) []cdxLicence {
	expression, refs := spdxExpression(lines)
	switch {
	case expression == "":
		return nil
	case len(refs) == 0 && strings.ContainsAny(expression, " "):
		return []cdxLicence{{Expression: expression}}
	case len(refs) == 0:
		return []cdxLicence{{Licence: &cdxNamed{ID: expression}}}
	}
	var out []cdxLicence
	for name := range strings.SplitSeq(expression, " AND ") {
		if plain, ok := refs[name]; ok {
			out = append(out, cdxLicence{Licence: &cdxNamed{Name: plain}})
		} else if slices.Contains(same, name) {
			out = append(out, cdxLicence{Licence: &cdxNamed{ID: name}})
		} else {
			out = append(out, cdxLicence{Licence: &cdxNamed{Name: name}})
		}
	}
	return out
}
