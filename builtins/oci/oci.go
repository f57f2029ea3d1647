// Package oci makes container images in the OCI layout: the builtin `oci_image`.
//
// An image is a check that its command and its user are in it (oci/config), an
// action for each layer (oci/layer, from a tree to a compressed tar) and a small
// one that puts them together (oci/image): when one tree changes, its layer alone
// is written again. The layout refers to the layers by
// digest; nothing is copied.
package oci

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"go.starlark.net/starlark"

	"github.com/labstar/labstar/action"
	"github.com/labstar/labstar/internal/format/compress"
	"github.com/labstar/labstar/starlark/schema"
)

// Builtins returns the builtins of this group.
func Builtins() []*schema.Builtin { return []*schema.Builtin{Image} }

type imageArgs struct {
	Layers      []*schema.Artifact     `star:"layers" kind:"tree" doc:"trees, one for each layer, lowest first"`
	Name        string                 `star:"name,keyword" doc:"repository and tag, as \"lab/web:1.0\" or \"registry.lan:5000/web\"; the tag is latest by default"`
	Entrypoint  []action.Late          `star:"entrypoint,keyword,optional" doc:"the command that a container runs"`
	Cmd         []action.Late          `star:"cmd,keyword,optional" doc:"its default arguments, or the command if there is no entrypoint"`
	Env         map[string]action.Late `star:"env,keyword,optional" doc:"environment variables; PATH has a default"`
	User        string                 `star:"user,keyword" default:"\"\"" doc:"USER or USER:GROUP, names or numbers; root by default"`
	Workdir     string                 `star:"workdir,keyword" default:"\"\"" doc:"absolute path of the folder that the command starts in"`
	Ports       []starlark.Value       `star:"ports,keyword,optional" doc:"ports that it listens on: 80 or \"53/udp\""`
	Volumes     []string               `star:"volumes,keyword,optional" doc:"absolute paths that hold data that outlives the container"`
	Labels      map[string]action.Late `star:"labels,keyword,optional" doc:"labels in the image's configuration"`
	Annotations map[string]action.Late `star:"annotations,keyword,optional" doc:"annotations of the manifest"`
	Platform    string                 `star:"platform,keyword" default:"\"linux/amd64\"" doc:"OS/ARCH or OS/ARCH/VARIANT"`
	Compression compress.Format        `star:"compression,keyword" default:"\"gzip\"" enum:"gzip,zstd,none" doc:"of the layers; every registry and runtime reads gzip"`
}

// Image is the builtin `oci_image`.
var Image = schema.New("oci_image", `oci_image makes a container image from trees.

The value is the image as a tree in the OCI image layout, which skopeo, umoci,
podman and containerd read as it is, and docker load as a tar. Its attributes:

- `+"`.ref`"+` is NAME@sha256:…, the reference by digest: a string that is known only
  when the image is built, for k8s_manifest and the like;
- `+"`.digest`"+` is the digest alone, such a string too;
- `+"`.tag`"+` is NAME:TAG;
- `+"`.layout`"+` is the tree, `+"`.manifest`"+` and `+"`.config`"+` are files.

That the command and the user are in the layers is checked before these are
packed. Times in the image are constant, so the same trees give the same digest.

	image = oci_image([root, pages], name = "lab/web:1.0",
	                  entrypoint = ["/usr/sbin/httpd", "-f", "-h", "/srv/www"], ports = [80])`,
	callImage, schema.Returns("an image (a tree) with the attributes ref, digest, tag, layout, manifest, config"))

func callImage(c *schema.Call, a *imageArgs) (starlark.Value, error) {
	tag, errName := parseName(c, a.Name)
	platform, errPlatform := parsePlatform(c, a.Platform)
	start, errStart := a.start(c)
	if err := errors.Join(errName, errPlatform, errStart); err != nil {
		return nil, err
	}
	config := action.Spec{Op: configOp, Title: "config of " + a.Name, Params: start,
		Outputs: []action.Output{{Name: "config", Kind: action.File}}}
	for i, tree := range a.Layers {
		config.Inputs = append(config.Inputs, action.Input{Name: fmt.Sprintf("layers[%d]", i), Artifact: tree.Artifact})
	}
	checked, err := c.Action(config)
	if err != nil {
		return nil, err
	}
	image := action.Spec{
		Op: imageOp, Title: "image " + a.Name,
		Params: imageParams{
			Layers: len(a.Layers), OS: platform.OS, Arch: platform.Architecture, Variant: platform.Variant,
			// The name by which containerd and docker load know it, in their spelling.
			Ref: tag.TagStr(), RefName: strings.Replace(tag.Name(), "index.docker.io/", "docker.io/", 1), Annotations: a.Annotations,
		},
		Inputs: []action.Input{{Name: "config", Artifact: checked.Output("config")}},
		Outputs: []action.Output{{Name: "layout", Kind: action.Tree}, {Name: "digest", Kind: action.File},
			{Name: "manifest", Kind: action.File}, {Name: "config", Kind: action.File}},
	}
	for i := range a.Layers {
		layer, err := a.layer(c, i)
		if err != nil {
			return nil, err
		}
		image.Inputs = append(image.Inputs,
			action.Input{Name: fmt.Sprintf("layer%d", i), Artifact: layer.Output("layer")},
			action.Input{Name: fmt.Sprintf("descriptor%d", i), Artifact: layer.Output("descriptor")})
	}
	act, err := c.Action(image)
	if err != nil {
		return nil, err
	}
	return value(act, repository(a.Name), tag.TagStr()), nil
}

func (a *imageArgs) layer(c *schema.Call, i int) (*action.Action, error) {
	return c.Action(action.Spec{
		Op: layerOp, Title: fmt.Sprintf("layer %d of %s", i, a.Name),
		Params:  layerParams{Compression: a.Compression},
		Inputs:  []action.Input{{Name: "tree", Artifact: a.Layers[i].Artifact}},
		Outputs: []action.Output{{Name: "layer", Kind: action.File}, {Name: "descriptor", Kind: action.File}},
	})
}

func value(act *action.Action, repository, tag string) starlark.Value {
	digest := schema.LateText(act.Output("digest"))
	return schema.NewArtifact(act.Output("layout"), "image", starlark.StringDict{
		"digest":   digest,
		"ref":      starlark.String(repository+"@") + digest,
		"tag":      starlark.String(repository + ":" + tag),
		"layout":   schema.NewArtifact(act.Output("layout"), "tree", nil),
		"manifest": schema.NewArtifact(act.Output("manifest"), "file", nil),
		"config":   schema.NewArtifact(act.Output("config"), "file", nil),
	})
}

// parseName checks the name of an image, which has a tag or none, no digest.
func parseName(c *schema.Call, s string) (name.Tag, error) {
	if strings.Contains(s, "@") {
		return name.Tag{}, c.ArgErrorf("name", "got %q with a digest, want NAME:TAG: the digest is what comes out, as .ref", s)
	}
	tag, err := name.NewTag(s)
	if err == nil {
		return tag, nil
	}
	if low := strings.ToLower(s); low != s {
		if _, errLow := name.NewTag(low); errLow == nil {
			return tag, c.ArgErrorf("name", "got %q, want lower case (did you mean %q?)", s, low)
		}
	}
	return tag, c.ArgErrorf("name", "got %q, want [REGISTRY/]NAME[:TAG] of lower-case letters, digits and '.', '_', '-': %w", s, err)
}

// repository is the name as the script wrote it, without its tag.
func repository(s string) string {
	if i := strings.LastIndexByte(s, ':'); i > strings.LastIndexByte(s, '/') {
		return s[:i]
	}
	return s
}

func parsePlatform(c *schema.Call, s string) (*v1.Platform, error) {
	p, err := v1.ParsePlatform(s)
	if err != nil || p.OS == "" || p.Architecture == "" {
		return nil, c.ArgErrorf("platform", "got %q, want OS/ARCH, as \"linux/amd64\"", s)
	}
	return p, nil
}

// start checks how a container of the image is to be started.
func (a *imageArgs) start(c *schema.Call) (configParams, error) {
	p := configParams{
		Layers: len(a.Layers), Entrypoint: a.Entrypoint, Cmd: a.Cmd, Env: a.Env, User: a.User, Workdir: a.Workdir,
		Labels: a.Labels, Volumes: a.Volumes,
	}
	var errs []error
	for i, v := range a.Ports {
		port, err := parsePort(v)
		if err != nil {
			errs = append(errs, c.ArgErrorf(fmt.Sprintf("ports[%d]", i), "%w", err))
		}
		p.Ports = append(p.Ports, port)
	}
	for i, v := range a.Volumes {
		if !strings.HasPrefix(v, "/") {
			errs = append(errs, c.ArgErrorf(fmt.Sprintf("volumes[%d]", i), "got %q, want an absolute path", v))
		}
	}
	if a.Workdir != "" && !strings.HasPrefix(a.Workdir, "/") {
		errs = append(errs, c.ArgErrorf("workdir", "got %q, want an absolute path", a.Workdir))
	}
	for k := range a.Env {
		if k == "" || strings.ContainsAny(k, "=\x00") {
			errs = append(errs, c.ArgErrorf("env", "got the variable name %q, want one without '='", k))
		}
	}
	if len(a.Layers) == 0 {
		errs = append(errs, c.ArgErrorf("layers", "got none, want at least one tree"))
	}
	return p, errors.Join(errs...)
}

var protocols = []string{"tcp", "udp", "sctp"}

// parsePort reads 80, "80" or "80/udp".
func parsePort(v starlark.Value) (string, error) {
	s, proto := "", "tcp"
	switch v := v.(type) {
	case starlark.Int:
		s = v.String()
	case starlark.String:
		s = string(v)
		if number, p, ok := strings.Cut(s, "/"); ok {
			s, proto = number, p
		}
	default:
		return "", fmt.Errorf("got %s, want a number or a string as \"53/udp\"", v.Type())
	}
	if n, err := strconv.Atoi(s); err != nil || n < 1 || n > 65535 {
		return "", fmt.Errorf("got the port %s, want a number from 1 to 65535", v)
	}
	if !slices.Contains(protocols, proto) {
		return "", fmt.Errorf("got the protocol %q, want tcp, udp or sctp", proto)
	}
	return s + "/" + proto, nil
}
