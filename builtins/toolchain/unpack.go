package toolchain

import (
	"context"
	"encoding/json"
	"strings"

	"go.starlark.net/starlark"

	"github.com/labstar/labstar/action"
	"github.com/labstar/labstar/internal/debian"
	"github.com/labstar/labstar/internal/format/archive"
	"github.com/labstar/labstar/internal/format/deb"
	"github.com/labstar/labstar/starlark/schema"
)

type unpackParams struct {
	Drop      []string `json:"drop,omitempty"`
	Copyright bool     `json:"copyright,omitempty"` // keep the copyright files all the same
}

// unpackOp unpacks one package. Besides its tree there is what dpkg would keep of it
// ("info", a packageInfo) and the licences that its copyright file names.
var unpackOp = &action.Op{Name: "debian/unpack", Version: 2, Run: runUnpack}

// packageInfo is what the package says of itself.
type packageInfo struct {
	Control   string `json:"control"`
	MD5Sums   string `json:"md5sums,omitempty"`
	Conffiles string `json:"conffiles,omitempty"`
}

// newUnpack makes the actions that fetch a package and unpack it.
func newUnpack(c *schema.Call, p pin, suite, arch string, params unpackParams) (*action.Action, error) {
	fetch, err := newFetch(c, fetchParams{Name: p.Name, Path: p.Path, Content: p.Digest}, "fetch "+p.Name+" "+p.Version)
	if err != nil {
		return nil, err
	}
	return c.Action(action.Spec{
		Op: unpackOp, Params: params, Title: "unpack " + p.Name + " " + p.Version, Component: p.component(suite, arch),
		Inputs:  []action.Input{{Name: "deb", Artifact: fetch}},
		Outputs: []action.Output{{Name: "tree", Kind: action.Tree}, {Name: "info", Kind: action.File}, {Name: "licence", Kind: action.File}},
	})
}

// component is the package in a bill of materials.
func (p pin) component(suite, arch string) *action.Component {
	if strings.HasSuffix(p.Path, "_all.deb") {
		arch = "all"
	}
	return &action.Component{
		Kind: "deb", Name: p.Name, Version: p.Version, SHA256: p.Digest.Hex(), URL: debian.DefaultMirror + "/" + p.Path,
		PURL: "pkg:deb/debian/" + purlEscape(p.Name) + "@" + purlEscape(p.Version) + "?arch=" + arch + "&distro=" + suite,
	}
}

// purlEscape escapes what a package URL reserves, of what names and versions of
// Debian have.
var purlEscape = strings.NewReplacer("+", "%2B", ":", "%3A").Replace

func runUnpack(ctx context.Context, env action.Env) error {
	var p unpackParams
	if err := env.Params(&p); err != nil {
		return err
	}
	blob, err := env.OpenBlob(ctx, env.Input("deb").Digest)
	if err != nil {
		return err
	}
	defer blob.Close()
	pkg, err := deb.Open(blob, blob.Size())
	if err != nil {
		return err
	}
	w, err := env.CreateTree("tree")
	if err != nil {
		return err
	}
	defer w.Abort()
	licence := ""
	opt := deb.Options{Drop: p.Drop, KeepCopyright: p.Copyright, Progress: env.Progress, Limits: archive.Limits{Size: 16 << 30},
		Copyright: func(_ string, text []byte) { licence += debian.Licences(string(text)) }}
	if _, err := pkg.Unpack(ctx, w, opt); err != nil {
		return err
	}
	if _, err := w.Commit(); err != nil {
		return err
	}
	info, err := pkg.Info()
	if err != nil {
		return err
	}
	b, err := json.Marshal(packageInfo(info))
	if err != nil {
		return err
	}
	if err := env.WriteFile("info", b); err != nil {
		return err
	}
	return env.WriteFile("licence", []byte(licence))
}

// versionsOf is the attribute packages: names to versions.
func versionsOf(pins map[string]pin, names []string) *starlark.Dict {
	versions := starlark.NewDict(len(names))
	for _, n := range names {
		// The keys are distinct strings and the dict is fresh: SetKey can't fail.
		_ = versions.SetKey(starlark.String(n), starlark.String(pins[n].Version))
	}
	return versions
}
