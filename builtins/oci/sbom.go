package oci

import (
	"context"
	"encoding/json"
	"fmt"
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
var sbomOp = &action.Op{Name: "oci/sbom", Version: 2, Run: runSBOM}

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
