package source

import (
	"context"
	"strings"

	"go.starlark.net/starlark"

	"github.com/labstar/labstar/action"
	"github.com/labstar/labstar/internal/format/archive"
	"github.com/labstar/labstar/starlark/schema"
)

type unpackArgs struct {
	Archive       *schema.Artifact `star:"archive" kind:"file" doc:"a tar, plain or compressed with gzip, bzip2, xz or zstd, or a zip; told by its content"`
	Strip         int              `star:"strip,keyword" default:"0" doc:"how many leading parts to drop from each name, as in tar --strip-components"`
	StripPrefix   string           `star:"strip_prefix,keyword" default:"\"\"" doc:"take only what is below this folder of the archive, and drop it from the names; may hold wildcards, as in \"linux-*\""`
	ExternalLinks bool             `star:"allow_external_links,keyword" default:"False" doc:"allow symbolic links that are absolute or lead out of the tree"`
	Devices       bool             `star:"devices,keyword" default:"False" doc:"keep devices and fifos, which are an error otherwise"`
	Owners        bool             `star:"owners,keyword" default:"False" doc:"keep the numeric owners; otherwise all belongs to root"`
	Name          string           `star:"name,keyword" default:"\"\"" doc:"what messages call this step"`
}

// Unpack is the builtin `unpack`.
var Unpack = schema.New("unpack", `unpack unpacks an archive into a tree.

Modes and extended attributes are kept, times are not. Whatever would land
outside of the tree is an error: names that are absolute or hold "..", hard links
to what is not in the archive, symbolic links that point out (unless allowed). So
are devices (unless kept), and archives that unpack to absurd sizes. Of a name
that is there twice the last one counts.

	src = unpack(fetch("https://example.org/hello-2.12.tar.gz", sha256 = "cf04…"), strip = 1)`,
	func(c *schema.Call, a *unpackArgs) (starlark.Value, error) {
		p := unpackParams{
			Strip: a.Strip, Prefix: strings.Trim(a.StripPrefix, "/"),
			ExternalLinks: a.ExternalLinks, Devices: a.Devices, Owners: a.Owners,
		}
		switch {
		case a.Strip < 0 || a.Strip > 100:
			return nil, c.ArgErrorf("strip", "got %d, want a number of parts from 0 to 100", a.Strip)
		case strings.Contains("/"+p.Prefix+"/", "/../"):
			return nil, c.ArgErrorf("strip_prefix", `got %q, want a folder of the archive without ".."`, a.StripPrefix)
		}
		title := a.Name
		if title == "" {
			title = "unpack " + strings.TrimPrefix(a.Archive.Action.Title, "fetch ")
		}
		act, err := c.Action(action.Spec{
			Op: unpackOp, Params: p, Outputs: treeOutput, Title: title,
			Inputs: []action.Input{{Name: "archive", Artifact: a.Archive.Artifact}},
		})
		if err != nil {
			return nil, err
		}
		return value(act), nil
	}, schema.Returns("a tree"))

// unpackOp unpacks the input archive.
var unpackOp = &action.Op{Name: "source/unpack", Version: 1, Run: runUnpack}

type unpackParams struct {
	Strip         int    `json:"strip,omitempty"`
	Prefix        string `json:"prefix,omitempty"`
	ExternalLinks bool   `json:"external_links,omitempty"`
	Devices       bool   `json:"devices,omitempty"`
	Owners        bool   `json:"owners,omitempty"`
}

func runUnpack(ctx context.Context, env action.Env) error {
	var p unpackParams
	if err := env.Params(&p); err != nil {
		return err
	}
	in := env.Input("archive")
	r, err := env.OpenBlob(ctx, in.Digest)
	if err != nil {
		return err
	}
	defer r.Close()
	w, err := env.CreateTree("tree")
	if err != nil {
		return err
	}
	defer w.Abort()
	_, err = archive.Unpack(ctx, r, r.Size(), w, archive.Options{
		Name: "archive", Strip: p.Strip, Prefix: p.Prefix,
		ExternalLinks: p.ExternalLinks, Devices: p.Devices, Owners: p.Owners,
		Progress: env.Progress,
	})
	if err != nil {
		return err
	}
	_, err = w.Commit()
	return err
}
