package toolchain

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"strings"

	"go.starlark.net/starlark"

	"github.com/labstar/labstar/action"
	"github.com/labstar/labstar/starlark/schema"
)

type layerArgs struct {
	Names     []string `star:"names" doc:"binary packages, as apt names them; what they depend on comes along, what they recommend does not"`
	Suite     string   `star:"suite,keyword" default:"\"trixie\"" doc:"the Debian suite, by code name"`
	Arch      string   `star:"arch,keyword" default:"\"amd64\"" doc:"the architecture, as Debian names it"`
	Exclude   []string `star:"exclude,keyword,optional" doc:"packages to leave out although something depends on them, with what only they need"`
	Essential bool     `star:"essential,keyword" default:"True" doc:"add what every package may count on (sh, coreutils, sed, grep and the like); without it the image has no shell unless a package is named that has one"`
	Docs      bool     `star:"docs,keyword" default:"False" doc:"keep manuals, documentation and translations; copyright files are always kept"`
	Records   string   `star:"records,keyword" default:"\"status\"" enum:"status,status.d" doc:"how the packages are told to dpkg and to scanners: in var/lib/dpkg/status, or in a file for each below status.d, which can be laid over a base that has packages of its own"`
}

// Layer is the builtin `debian_layer`.
var Layer = schema.New("debian_layer", `debian_layer makes the layer of an image, of Debian packages and all they depend on.

Versions are pinned in lab.lock, as for debian_packages. The packages are recorded as
dpkg does, so that scanners and "dpkg -l" see them, with their copyright files. No
script of theirs is run; what the programs need of these is made from what the
packages ship: accounts (/etc/passwd, group, sysusers.d), folders (tmpfiles.d), the
bundle of certificates, ld.so.cache, alternatives, the local time, /tmp, and what
nginx, PostgreSQL, MariaDB, Redis, memcached and OpenSSH set up for themselves. There is a user
"nonroot" (65532) for who needs none of these.

	image = oci_image([debian_layer(["nginx"]), conf], name = "lab/web:1.0",
	                  entrypoint = ["/usr/sbin/nginx", "-g", "daemon off;"], ports = [80])`,
	callLayer, schema.Returns("a tree with the attributes packages (a dict of names to versions), suite and arch"))

func callLayer(c *schema.Call, a *layerArgs) (starlark.Value, error) {
	request := packagesArgs{Names: a.Names, Suite: a.Suite, Arch: a.Arch, Exclude: a.Exclude, Essential: a.Essential}
	w, names, err := request.closure(c)
	if err != nil {
		return nil, err
	}
	drop := documentation
	if a.Docs {
		drop = nil
	}
	spec := action.Spec{Op: layerOp, Title: "packages " + title(a.Names), Outputs: []action.Output{{Name: "tree", Kind: action.Tree}}}
	params := layerParams{Arch: a.Arch, Records: a.Records, Versions: map[string]string{}}
	for _, n := range names {
		unpack, err := newUnpack(c, w.pins[n], a.Suite, a.Arch, unpackParams{Drop: drop, Copyright: true})
		if err != nil {
			return nil, err
		}
		params.Versions[n] = w.pins[n].Version
		spec.Inputs = append(spec.Inputs, action.Input{Name: n, Artifact: unpack.Output("tree")},
			action.Input{Name: infoInput + n, Artifact: unpack.Output("info")})
	}
	spec.Params = params
	if w.missing {
		spec.Op = unlockedOp
	}
	act, err := c.Action(spec)
	if err != nil {
		return nil, err
	}
	return schema.NewArtifact(act.Output("tree"), "tree", starlark.StringDict{
		"packages": versionsOf(w.pins, names), "suite": starlark.String(a.Suite), "arch": starlark.String(a.Arch),
	}), nil
}

// infoInput starts the name of the input that has a package's packageInfo.
const infoInput = "info:"

type layerParams struct {
	Arch     string            `json:"arch"`
	Records  string            `json:"records"`
	Versions map[string]string `json:"versions"`
}

// layerOp merges packages into a layer, records them, and sets them up.
var layerOp = &action.Op{Name: "debian/layer", Version: 1, Run: runLayer}

func runLayer(ctx context.Context, env action.Env) error {
	var p layerParams
	if err := env.Params(&p); err != nil {
		return err
	}
	m := &merge{ctx: ctx, env: env, edit: action.NewEdit(env, action.Digest{})}
	if err := m.packages(); err != nil {
		return err
	}
	r := &records{merge: m, perPackage: p.Records == "status.d"}
	for _, step := range []func() error{r.write, m.usrLinks, m.imagePlaces, m.setUp, m.alternatives} {
		if err := step(); err != nil {
			return err
		}
	}
	return m.finish(p.Arch)
}

// read returns a small file of the tree being made, "" if there is none.
func (m *merge) read(p string) (string, error) {
	n, _, err := m.edit.Resolve(m.ctx, p)
	if errors.Is(err, fs.ErrNotExist) || err == nil && n.Kind != action.Regular {
		return "", nil
	}
	if err != nil {
		return "", err
	}
	b, err := m.content(n.Digest)
	return string(b), err
}

func (m *merge) content(d action.Digest) ([]byte, error) {
	b, err := m.env.OpenBlob(m.ctx, d)
	if err != nil {
		return nil, err
	}
	defer b.Close()
	return io.ReadAll(b)
}

// info reads the packageInfo of an input.
func (m *merge) info(in action.OutputDigest) (packageInfo, error) {
	var info packageInfo
	b, err := m.content(in.Digest)
	if err != nil {
		return info, err
	}
	if err := json.Unmarshal(b, &info); err != nil {
		return info, fmt.Errorf("reading what is known of %s: %w", strings.TrimPrefix(in.Name, infoInput), err)
	}
	return info, nil
}
