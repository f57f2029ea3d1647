package oci

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"go.starlark.net/starlark"

	"github.com/labstar/labstar/action"
	"github.com/labstar/labstar/internal/format/compress"
	"github.com/labstar/labstar/internal/programs"
	"github.com/labstar/labstar/starlark/schema"
)

type imageArgs struct {
	Layers       []*schema.Artifact        `star:"layers" kind:"tree" doc:"trees, one for each layer, lowest first; single files are laid with tree({\"path\": file})"`
	Name         string                    `star:"name,keyword" doc:"repository and tag, as \"lab/web:1.0\" or \"registry.lan:5000/web\"; the tag is latest by default"`
	Base         *schema.Artifact          `star:"base,keyword,optional" kind:"image" doc:"the image whose layers are below these, and whose settings hold where this one says nothing: of oci_pull, oci_image or oci_index"`
	Entrypoint   []action.Late             `star:"entrypoint,keyword,optional" doc:"the command that a container runs; the cmd of base is then dropped"`
	Cmd          []action.Late             `star:"cmd,keyword,optional" doc:"its default arguments, or the command if there is no entrypoint"`
	Env          map[string]action.Late    `star:"env,keyword,optional" doc:"environment variables; PATH has a default"`
	User         string                    `star:"user,keyword" default:"\"\"" doc:"USER or USER:GROUP, names or numbers; root by default"`
	Workdir      string                    `star:"workdir,keyword" default:"\"\"" doc:"absolute path of the folder that the command starts in"`
	Ports        []starlark.Value          `star:"ports,keyword,optional" doc:"ports that it listens on: 80 or \"53/udp\""`
	Volumes      []string                  `star:"volumes,keyword,optional" doc:"absolute paths that hold data that outlives the container"`
	StopSignal   string                    `star:"stop_signal,keyword" default:"\"\"" doc:"what ends the command, as \"SIGQUIT\"; SIGTERM by default"`
	Healthcheck  map[string]starlark.Value `star:"healthcheck,keyword,optional" doc:"how an engine tells that a container works: test (a list: the command), interval, timeout, start_period (as \"30s\"), retries"`
	Labels       map[string]action.Late    `star:"labels,keyword,optional" doc:"labels in the image's configuration"`
	Annotations  map[string]action.Late    `star:"annotations,keyword,optional" doc:"annotations of the manifest"`
	Unchecked    []string                  `star:"unchecked,keyword,optional" doc:"paths whose programs are not checked, folders with all that is below them"`
	AllowSecrets []string                  `star:"allow_secrets,keyword,optional" doc:"paths of files that look like secrets and may be known to everybody"`
	Platform     string                    `star:"platform,keyword" default:"\"\"" doc:"OS/ARCH or OS/ARCH/VARIANT; that of base, or linux/amd64, by default"`
	Compression  compress.Format           `star:"compression,keyword" default:"\"gzip\"" enum:"gzip,zstd,none" doc:"of the layers; every registry and runtime reads gzip"`
}

// Image is the builtin `oci_image`.
var Image = schema.New("oci_image", `oci_image makes a container image from trees.

The value is the image as a tree in the OCI image layout, which skopeo, umoci,
podman and containerd read as it is, and docker load as a tar. Its attributes:

- `+"`.ref`"+` is NAME@sha256:…, the reference by digest: a string that is known only
  when the image is built, for k8s_manifest and the like;
- `+"`.digest`"+` is the digest alone, such a string too;
- `+"`.tag`"+` is NAME:TAG;
- `+"`.layout`"+` is the tree, `+"`.manifest`"+` and `+"`.config`"+` are files;
- `+"`.archive`"+` is a tar for docker load, made only where it is used;
- `+"`.sbom`"+` is the bill of materials, from the graph and not from a scan, as SPDX
  (.sbom.spdx) and CycloneDX (.sbom.cyclonedx), with the licences; of a pulled base it has
  what dpkg and apk have noted in there;
- `+"`.provenance`"+` is SLSA's, as an in-toto statement;
- `+"`.attested`"+` is the layout with these attached to the image, as referrers.

Each tree is a layer of its own, so that a change in one leaves the others as they
are. Times in the image are constant, so the same trees give the same digest.

What would fail in a container is told before anything is packed: a program whose
libraries, loader or interpreter are not in the image, or that is for another
machine; a command or a health check that is not there, or that the user may not run;
a user who is not there; a folder that would hide a link to another; and files that
hold secrets (private keys, tokens, passwords). What comes from packages or from base
is not searched for secrets.

	image = oci_image([root, pages], name = "lab/web:1.0",
	                  entrypoint = ["/usr/sbin/httpd", "-f", "-h", "/srv/www"], ports = [80])
	plus  = oci_image([tree({"srv/www/extra.html": file("extra.html")})], base = image, name = "lab/web:1.1")`,
	callImage, schema.Returns("an image (a tree) with the attributes ref, digest, tag, layout, manifest, config, archive, sbom, provenance, attested"))

func callImage(c *schema.Call, a *imageArgs) (starlark.Value, error) {
	n, errName := parseName(c, a.Name)
	b, errBase := a.base(c)
	start, errStart := a.start(c)
	if err := errors.Join(errName, errBase, errStart); err != nil {
		return nil, err
	}
	start.Base = len(b.layers)
	start.platform = b.platform
	config := action.Spec{Op: configOp, Title: "config of " + a.Name, Params: start,
		Outputs: []action.Output{{Name: "config", Kind: action.File}, {Name: programs.ImageOutput, Kind: action.File}}}
	if b.config != nil {
		config.Inputs = append(config.Inputs, action.Input{Name: "base", Artifact: b.config})
	}
	for i, l := range b.layers {
		config.Inputs = append(config.Inputs, action.Input{Name: fmt.Sprintf("base[%d]", i), Artifact: l.tree})
		if l.pulled() {
			config.Inputs = append(config.Inputs, action.Input{Name: fmt.Sprintf("descriptor%d", i), Artifact: l.descriptor})
		}
	}
	for i, tree := range a.Layers {
		config.Inputs = append(config.Inputs, action.Input{Name: layerArg(i), Artifact: tree.Artifact})
		if slices.Contains(start.Packages, i) {
			continue
		}
		secrets, err := c.Action(action.Spec{
			Op: secretsOp, Title: "secrets in " + tree.Action.Title,
			Inputs:  []action.Input{{Name: "tree", Artifact: tree.Artifact}},
			Outputs: []action.Output{{Name: "findings", Kind: action.File}},
		})
		if err != nil {
			return nil, err
		}
		config.Inputs = append(config.Inputs, action.Input{Name: fmt.Sprintf("secrets[%d]", i), Artifact: secrets.Output("findings")})
	}
	checked, err := c.Action(config)
	if err != nil {
		return nil, err
	}
	noteParts(c, checked, len(a.Layers))
	image := action.Spec{
		Op: imageOp, Title: "image " + a.Name,
		Params: imageParams{platform: b.platform, Base: len(b.layers), Ref: n.tag, RefName: n.full, Annotations: a.Annotations, Made: a.made()},
		Inputs: []action.Input{{Name: "config", Artifact: checked.Output("config")}},
		Outputs: []action.Output{{Name: "layout", Kind: action.Tree}, {Name: "digest", Kind: action.File},
			{Name: "manifest", Kind: action.File}, {Name: "config", Kind: action.File}},
	}
	layers := b.layers
	for i := range a.Layers {
		l, err := a.layer(c, i)
		if err != nil {
			return nil, err
		}
		layers = append(layers, l)
	}
	if b.config != nil {
		image.Inputs = append(image.Inputs, action.Input{Name: "base", Artifact: b.config})
	}
	for i, l := range layers {
		image.Inputs = append(image.Inputs,
			action.Input{Name: fmt.Sprintf("layer%d", i), Artifact: l.blob},
			action.Input{Name: fmt.Sprintf("descriptor%d", i), Artifact: l.descriptor})
	}
	act, err := c.Action(image)
	if err != nil {
		return nil, err
	}
	return value(c, act, n)
}

// made says of each layer what made it, for the image's history.
func (a *imageArgs) made() []string {
	made := make([]string, len(a.Layers))
	for i, l := range a.Layers {
		made[i] = l.Action.Title
	}
	return made
}

func (a *imageArgs) layer(c *schema.Call, i int) (layer, error) {
	act, err := c.Action(action.Spec{
		Op: layerOp, Title: fmt.Sprintf("layer %d of %s", i, a.Name),
		Params:  layerParams{Compression: a.Compression},
		Inputs:  []action.Input{{Name: "tree", Artifact: a.Layers[i].Artifact}},
		Outputs: []action.Output{{Name: "layer", Kind: action.File}, {Name: "descriptor", Kind: action.File}},
	})
	if err != nil {
		return layer{}, err
	}
	return layer{blob: act.Output("layer"), descriptor: act.Output("descriptor"), tree: a.Layers[i].Artifact}, nil
}

// packages returns which layers are made of packages, of which the content is
// public and the scripts are for whoever has their interpreters.
func (a *imageArgs) packages() []int {
	var list []int
	for i, l := range a.Layers {
		if op := l.Action.Op; op != nil && (strings.HasPrefix(op.Name, "debian/") || strings.HasPrefix(op.Name, "npm/")) {
			list = append(list, i)
		}
	}
	return list
}
