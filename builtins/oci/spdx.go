package oci

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

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
