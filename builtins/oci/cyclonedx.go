package oci

import (
	"fmt"
	"slices"
	"strings"
)

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
