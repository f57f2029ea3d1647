package oci

import (
	"context"
	"encoding/json"

	"github.com/labstar/labstar/action"
)

// provenanceParams is what a provenance says, besides the image's digest.
type provenanceParams struct {
	platform
	Name       string  `json:"name"` // REPOSITORY:TAG
	Repository string  `json:"repository"`
	Script     string  `json:"script"`
	Definition string  `json:"definition"` // of the image's action
	Parts      []part  `json:"parts"`
	Files      []local `json:"files"`
	Steps      []step  `json:"steps"`
}

// provenanceOp writes how an image was made: an in-toto statement with SLSA's
// predicate, version 1. There is no time in it and nothing of the machine: whoever
// builds the image again gets the same statement.
var provenanceOp = &action.Op{Name: "oci/provenance", Version: 1, Run: runProvenance}

const (
	buildType = "https://github.com/labstar/labstar/oci_image@v1"
	builderID = "https://github.com/labstar/labstar"
)

type statement struct {
	Type          string     `json:"_type"`
	Subject       []resource `json:"subject"`
	PredicateType string     `json:"predicateType"`
	Predicate     predicate  `json:"predicate"`
}

type resource struct {
	URI         string            `json:"uri,omitempty"`
	Name        string            `json:"name,omitempty"`
	Digest      map[string]string `json:"digest,omitempty"`
	Annotations map[string]string `json:"annotations,omitempty"`
}

type predicate struct {
	Definition buildDefinition `json:"buildDefinition"`
	Run        runDetails      `json:"runDetails"`
}

type buildDefinition struct {
	Type         string            `json:"buildType"`
	External     map[string]string `json:"externalParameters"`
	Internal     map[string][]step `json:"internalParameters"`
	Dependencies []resource        `json:"resolvedDependencies"`
}

type runDetails struct {
	Builder  map[string]string `json:"builder"`
	Metadata map[string]string `json:"metadata"`
}

func runProvenance(ctx context.Context, env action.Env) error {
	var p provenanceParams
	if err := env.Params(&p); err != nil {
		return err
	}
	s := statement{
		Type: "https://in-toto.io/Statement/v1", PredicateType: "https://slsa.dev/provenance/v1",
		Subject: []resource{{Name: p.Repository, Digest: map[string]string{"sha256": env.Input("manifest").Digest.Hex()}}},
		Predicate: predicate{
			Definition: buildDefinition{
				Type: buildType, External: map[string]string{"script": p.Script, "image": p.Name, "platform": p.platform.String()},
				Internal: map[string][]step{"steps": p.Steps}, Dependencies: []resource{},
			},
			Run: runDetails{Builder: map[string]string{"id": builderID}, Metadata: map[string]string{"invocationId": p.Definition}},
		},
	}
	d := &s.Predicate.Definition
	for _, f := range p.Files {
		r := resource{URI: "file:" + f.Path, Digest: map[string]string{"sha256": f.Digest.Hex()}}
		if f.Tree {
			r.Annotations = map[string]string{"kind": "tree: the digest is of a Directory of the Remote Execution API"}
		}
		d.Dependencies = append(d.Dependencies, r)
	}
	for _, c := range p.Parts {
		r := resource{URI: c.PURL, Name: c.Name, Annotations: map[string]string{"role": string(c.Role)}}
		if r.URI == "" {
			r.URI = c.URL
		}
		if c.Version != "" {
			r.Annotations["version"] = c.Version
		}
		if c.SHA256 != "" {
			r.Digest = map[string]string{"sha256": c.SHA256}
		}
		d.Dependencies = append(d.Dependencies, r)
	}
	b, err := json.MarshalIndent(s, "", "  ")
	if err != nil {
		return err
	}
	return env.WriteFile("provenance.json", append(b, '\n'))
}
