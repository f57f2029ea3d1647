// Package oci makes container images in the OCI layout: the builtins `oci_image`,
// `oci_index` and `oci_pull`.
//
// An image is a check of what would fail in a container (oci/config), an action for
// each layer (oci/layer, from a tree to a compressed tar) and a small one that puts
// them together (oci/image): when one tree changes, its layer alone is written
// again. The layout refers to the layers by digest; nothing is copied.
//
// What the layers of an image are made of is in the graph: one that is the base of
// another gives it its layers' actions (base.go).
package oci

import (
	"encoding/json"
	"strings"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"go.starlark.net/starlark"

	"github.com/labstar/labstar/action"
	"github.com/labstar/labstar/starlark/schema"
)

// Builtins returns the builtins of this group.
func Builtins() []*schema.Builtin { return []*schema.Builtin{Image, Index, Pull} }

// imageName is the name of an image as the script gives it.
type imageName struct {
	repository string // as written, without the tag
	tag        string
	full       string // the name by which containerd and docker load know it, in their spelling
}

// parseName reads the name of an image, which has a tag or none, no digest.
func parseName(c *schema.Call, s string) (imageName, error) {
	if strings.Contains(s, "@") {
		return imageName{}, c.ArgErrorf("name", "got %q with a digest, want NAME:TAG: the digest is what comes out, as .ref", s)
	}
	if scheme, rest, ok := strings.Cut(s, "://"); ok {
		return imageName{}, c.ArgErrorf("name", "got %q, want [REGISTRY/]NAME[:TAG], without %s:// (did you mean %q?)", s, scheme, strings.TrimSuffix(rest, "/"))
	}
	tag, err := name.NewTag(s)
	if err == nil {
		n := imageName{repository: s, tag: tag.TagStr(), full: strings.Replace(tag.Name(), "index.docker.io/", "docker.io/", 1)}
		if i := strings.LastIndexByte(s, ':'); i > strings.LastIndexByte(s, '/') {
			n.repository = s[:i]
		}
		return n, nil
	}
	if low := strings.ToLower(s); low != s {
		if _, errLow := name.NewTag(low); errLow == nil {
			return imageName{}, c.ArgErrorf("name", "got %q, want lower case (did you mean %q?)", s, low)
		}
	}
	return imageName{}, c.ArgErrorf("name", "got %q, want [REGISTRY/]NAME[:TAG] of lower-case letters, digits and '.', '_', '-': %w", s, err)
}

// NameOf returns the full name, with the tag, of an image or an index, as the
// script gives it; "" of what has none.
func NameOf(image *action.Artifact) string {
	var p struct {
		RefName string `json:"refName"`
	}
	if op := image.Action.Op; op != imageOp && op != indexOp || json.Unmarshal(image.Action.Params, &p) != nil {
		return ""
	}
	return p.RefName
}

// platform is the part of an image action's parameters that says what it runs on.
type platform struct {
	OS      string `json:"os"`
	Arch    string `json:"arch"`
	Variant string `json:"variant,omitempty"`
}

func (p platform) String() string {
	s := p.OS + "/" + p.Arch
	if p.Variant != "" {
		s += "/" + p.Variant
	}
	return s
}

func (p platform) v1() *v1.Platform {
	return &v1.Platform{OS: p.OS, Architecture: p.Arch, Variant: p.Variant}
}

func parsePlatform(c *schema.Call, s string) (platform, error) {
	p, err := v1.ParsePlatform(s)
	if err != nil || p.OS == "" || p.Architecture == "" {
		return platform{}, c.ArgErrorf("platform", "got %q, want OS/ARCH, as \"linux/amd64\"", s)
	}
	if goarch := architectures[strings.ToLower(p.Architecture)]; goarch != "" {
		return platform{}, c.ArgErrorf("platform", "got the architecture %q, which engines call %q", p.Architecture, goarch).WithHint("write \"" + p.OS + "/" + goarch + "\"")
	}
	return platform{OS: p.OS, Arch: p.Architecture, Variant: p.Variant}, nil
}

// architectures are those of the kernel, as uname -m has them, and what images call them.
var architectures = map[string]string{
	"x86_64": "amd64", "x86-64": "amd64", "i386": "386", "i486": "386", "i586": "386", "i686": "386", "x86": "386",
	"aarch64": "arm64", "armhf": "arm/v7", "armv7l": "arm/v7", "armv6l": "arm/v6", "armel": "arm/v5",
	"ppc64el": "ppc64le", "mips64el": "mips64le", "loongarch64": "loong64",
}

// value makes the value of an image or an index, whose action has the outputs
// layout, digest, manifest and, of an image, config.
func value(c *schema.Call, act *action.Action, n imageName) (starlark.Value, error) {
	archive, err := c.Action(action.Spec{
		Op: archiveOp, Title: "archive of " + n.repository + ":" + n.tag,
		Inputs:  []action.Input{{Name: "layout", Artifact: act.Output("layout")}},
		Outputs: []action.Output{{Name: "image.tar", Kind: action.File}},
	})
	if err != nil {
		return nil, err
	}
	digest := schema.LateText(act.Output("digest"))
	attrs := starlark.StringDict{
		"digest":   digest,
		"ref":      starlark.String(n.repository+"@") + digest,
		"tag":      starlark.String(n.repository + ":" + n.tag),
		"layout":   schema.NewArtifact(act.Output("layout"), "tree", nil),
		"manifest": schema.NewArtifact(act.Output("manifest"), "file", nil),
		"archive":  schema.NewArtifact(archive.Output("image.tar"), "file", nil),
	}
	if act.Op != indexOp {
		attrs["config"] = schema.NewArtifact(act.Output("config"), "file", nil)
	}
	a := imageAttrs{attrs, &attestations{scope: c.Session().Scope, site: c.Site(), script: c.Module(), name: n, image: act, of: attrs}}
	attrs.Freeze()
	return schema.NewArtifactWith(act.Output("layout"), "image", a), nil
}
