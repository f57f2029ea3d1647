package oci

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"go.starlark.net/starlark"

	"github.com/labstar/labstar/action"
	"github.com/labstar/labstar/starlark/schema"
)

type pullArgs struct {
	Ref      string `star:"ref" doc:"the image, as for docker pull: \"mongo:4.4\", \"registry.lan:5000/web:1.0\", or with a digest"`
	Platform string `star:"platform,keyword" default:"\"linux/amd64\"" doc:"OS/ARCH or OS/ARCH/VARIANT"`
}

// Pull is the builtin `oci_pull`.
var Pull = schema.New("oci_pull", `oci_pull is an image of a registry, pinned by digest.

What the tag names for the platform is written to lab.lock by "labstar lock", down to
the digest of each layer; a run uses that and nothing else, and fetches only the blobs
that are needed and not in the store. Each is checked by its digest, and goes on where
it was cut. Credentials are those of Docker and Podman (their config files and
helpers). The setting oci.mirror (LABSTAR_OCI_MIRROR) names mirrors, as in
"docker.io=mirror.lan:5000"; oci.plain-http (LABSTAR_OCI_PLAIN_HTTP) lists the hosts
that are spoken to without TLS.

	database = oci_pull("mongo:4.4")
	image = oci_image([conf], base = oci_pull("nginx:1.27"), name = "lab/web:1.0")`,
	callPull, schema.Returns("an image (a tree) with the attributes ref, digest, tag, layout, manifest, config, archive, sbom, provenance, attested"))

var imageOutputs = []action.Output{{Name: "layout", Kind: action.Tree}, {Name: "digest", Kind: action.File},
	{Name: "manifest", Kind: action.File}, {Name: "config", Kind: action.File}}

func callPull(c *schema.Call, a *pullArgs) (starlark.Value, error) {
	p, errPlatform := parsePlatform(c, a.Platform)
	n, errRef := parsePulled(c, a.Ref)
	if err := errors.Join(errPlatform, errRef); err != nil {
		return nil, err
	}
	entry := p.String() + "/" + a.Ref
	params := pulledParams{platform: p, Name: a.Ref, Ref: n.tag, RefName: n.full}
	pins := c.Session().Pins
	if pins == nil {
		return nil, c.Errorf("there is no lab.lock here, which says what %s is", a.Ref)
	}
	fields, ok := pins.Get(kindPulled, entry)
	if !ok {
		pins.Want(kindPulled, entry, c.Site())
		act, err := c.Action(action.Spec{Op: unlockedOp, Title: "pull " + a.Ref, Params: params, Outputs: imageOutputs})
		if err != nil {
			return nil, err
		}
		return value(c, act, n)
	}
	pin, err := parsePin(entry, fields)
	if err != nil {
		return nil, c.Errorf("%w", err)
	}
	params.Layers = pin.layers
	spec := action.Spec{Op: pulledOp, Title: "pull " + a.Ref, Params: params, Outputs: imageOutputs, Component: n.component(pin, p)}
	fetch := func(input string, d v1.Descriptor, what string) error {
		act, err := c.Action(action.Spec{
			Op: fetchOp, Title: "fetch " + what + " of " + a.Ref, Fixed: digestOf(d).Hash,
			Params:  fetchParams{Repository: n.repository, Name: a.Ref, Blob: d, Manifest: input == "manifest"},
			Outputs: []action.Output{{Name: "file", Kind: action.File}},
		})
		if err == nil {
			spec.Inputs = append(spec.Inputs, action.Input{Name: input, Artifact: act.Output("file")})
		}
		return err
	}
	errs := []error{fetch("manifest", pin.manifest, "the manifest"), fetch("config", pin.config, "the configuration")}
	for i, d := range pin.layers {
		errs = append(errs, fetch(fmt.Sprintf("layer%d", i), d, fmt.Sprintf("layer %d", i)))
	}
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	act, err := c.Action(spec)
	if err != nil {
		return nil, err
	}
	return value(c, act, n)
}

// parsePulled reads a reference, with a tag or a digest.
func parsePulled(c *schema.Call, s string) (imageName, error) {
	ref, err := name.ParseReference(s)
	if err != nil {
		if low := strings.ToLower(s); low != s {
			if _, errLow := name.ParseReference(low); errLow == nil {
				return imageName{}, c.ArgErrorf("ref", "got %q, want lower case (did you mean %q?)", s, low)
			}
		}
		return imageName{}, c.ArgErrorf("ref", "got %q, want [REGISTRY/]NAME[:TAG] or [REGISTRY/]NAME@sha256:…: %w", s, err)
	}
	n := imageName{repository: s, tag: ref.Identifier(), full: strings.Replace(ref.Name(), "index.docker.io/", "docker.io/", 1)}
	if before, _, ok := strings.Cut(s, "@"); ok {
		// The name of a layout is a tag; a digest says that nobody gave one.
		n.repository, n.tag = before, "latest"
		n.full = strings.Replace(ref.Context().Name(), "index.docker.io/", "docker.io/", 1) + ":latest"
	}
	if i := strings.LastIndexByte(n.repository, ':'); i > strings.LastIndexByte(n.repository, '/') {
		n.repository = n.repository[:i]
	}
	return n, nil
}

// component is a pulled image in a bill of materials.
func (n imageName) component(p pulledPin, on platform) *action.Component {
	base := n.repository[strings.LastIndexByte(n.repository, '/')+1:]
	full := strings.ReplaceAll(strings.TrimSuffix(n.full, ":"+n.tag), "/", "%2F")
	return &action.Component{
		Kind: "image", Name: n.repository, Version: n.tag, SHA256: p.manifest.Digest.Hex,
		PURL: fmt.Sprintf("pkg:oci/%s@sha256%%3A%s?arch=%s&repository_url=%s&tag=%s", base, p.manifest.Digest.Hex, on.Arch, full, n.tag),
	}
}

// newUnpack makes the action that reads layer i of a pulled image into a tree.
func newUnpack(make makeAction, image *action.Action, i int, blob *action.Artifact) (*action.Action, error) {
	var p pulledParams
	if err := json.Unmarshal(image.Params, &p); err != nil {
		return nil, err
	}
	return make(action.Spec{
		Op: unpackOp, Params: unpackParams{MediaType: p.Layers[i].MediaType}, Title: fmt.Sprintf("unpack layer %d of %s", i, p.Name),
		Inputs:  []action.Input{{Name: "layer", Artifact: blob}},
		Outputs: []action.Output{{Name: "tree", Kind: action.Tree}, {Name: "descriptor", Kind: action.File}},
	})
}
