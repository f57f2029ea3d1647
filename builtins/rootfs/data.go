package rootfs

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"strings"

	"github.com/labstar/labstar/action"
	"github.com/labstar/labstar/starlark/schema"
)

// data reads the arguments keymap, timezone and data: what a system takes from
// the tables of kbd and tzdata.
func data(c *schema.Call, a *rootfsArgs, p *composeParams, spec *action.Spec) error {
	var errs []error
	const hint = "load(\"@stdlib//toolchains.star\", \"system_data\"), and say data = system_data()"
	if a.Keymap != "" {
		switch {
		case strings.Trim(a.Keymap, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.") != "" || a.Keymap[0] == '-':
			errs = append(errs, c.ArgErrorf("keymap", "got %q, want the name of a layout, as \"be-latin1\"", a.Keymap))
		case a.Data == nil:
			errs = append(errs, c.ArgErrorf("keymap", "got a layout and no data to compile it from").WithHint(hint))
		default:
			errs = append(errs, keymap(c, a, p, spec))
		}
	}
	if a.Timezone != "" {
		if zone, err := action.CleanPath(a.Timezone); err != nil || zone != a.Timezone {
			errs = append(errs, c.ArgErrorf("timezone", "got %q, want a zone, as \"Europe/Brussels\"", a.Timezone))
		}
		p.Timezone = a.Timezone
		if a.Data != nil {
			spec.Inputs = append(spec.Inputs, action.Input{Name: "data", Artifact: a.Data.Artifact})
		}
	}
	if a.Data != nil && a.Keymap == "" && a.Timezone == "" {
		errs = append(errs, c.ArgErrorf("data", "got data, and neither keymap nor timezone that would use it"))
	}
	return errors.Join(errs...)
}

// keymap adds the action that compiles a layout to busybox' binary format, by
// loadkeys itself; an action before it looks whether there is such a layout.
func keymap(c *schema.Call, a *rootfsArgs, p *composeParams, spec *action.Spec) error {
	inputs := []action.Input{{Name: "data", Artifact: a.Data.Artifact}}
	found, err := c.Action(action.Spec{
		Op: layoutOp, Title: "layout " + a.Keymap, Params: layoutParams{a.Keymap}, Inputs: inputs,
		Outputs: []action.Output{{Name: "path", Kind: action.File}},
	})
	if err != nil {
		return err
	}
	compiled, err := c.Action(action.Spec{
		Op: action.Exec, Title: "key map " + a.Keymap, Inputs: inputs,
		Params: action.Command{
			Argv: []string{"/bin/sh", "-euc", "loadkeys --quiet --bkeymap --unicode \"$LAYOUT\" >keymap"},
			Env:  map[string]string{"LAYOUT": found.Output("path").Token(action.Text)},
			Root: []string{"data"}, Outputs: []string{"keymap"},
		},
		Outputs: []action.Output{{Name: "keymap", Kind: action.File}},
	})
	if err != nil {
		return err
	}
	p.Files = append(p.Files, laidFile{Path: keymapPath, Input: "keymap"})
	spec.Inputs = append(spec.Inputs, action.Input{Name: "keymap", Artifact: compiled.Output("keymap")})
	return nil
}

type layoutParams struct {
	Layout string `json:"layout"`
}

var layoutOp = &action.Op{Name: "rootfs/layout", Version: 1, Check: true, Run: runLayout}

// runLayout finds the file of a layout, as loadkeys would, and says which there
// are if it is not there.
func runLayout(ctx context.Context, env action.Env) error {
	var p layoutParams
	if err := env.Params(&p); err != nil {
		return err
	}
	c := composer{env: env, e: action.NewEdit(env, env.Input("data").Digest)}
	var names []string
	var at string
	if _, err := c.e.Lookup(ctx, "usr/bin/loadkeys"); err != nil {
		return errors.New("finding layout: data has no loadkeys; add the package kbd to it")
	}
	err := c.below(ctx, "usr/share/keymaps", func(file string, n action.Node) error {
		name := path.Base(file)
		name = strings.TrimSuffix(strings.TrimSuffix(name, ".gz"), ".xz")
		for _, ext := range []string{".kmap", ".map"} {
			if layout, ok := strings.CutSuffix(name, ext); ok {
				names = append(names, layout)
				if layout == p.Layout && (at == "" || strings.Contains(file, "/i386/")) {
					at = file
				}
			}
		}
		return nil
	})
	switch {
	case err != nil:
		return err
	case len(names) == 0:
		return errors.New("finding layout: data has no layouts in /usr/share/keymaps; add the package console-data to it")
	case at == "":
		return fmt.Errorf("finding layout: got %q, which there is not among the %d%s", p.Layout, len(names), suggestion(p.Layout, names))
	}
	return env.WriteFile("path", []byte("/"+at))
}

const zoneinfo = "usr/share/zoneinfo"

// timezone puts /etc/localtime and /etc/timezone in place: a link if the tree has
// the zones, else the one file.
func (c *composer) timezone(ctx context.Context) error {
	zone := c.p.Timezone
	if zone == "" {
		return nil
	}
	if err := c.text(ctx, text{Path: "etc/timezone", Text: action.Late(zone + "\n")}); err != nil {
		return err
	}
	if n, _, err := c.e.Resolve(ctx, zoneinfo+"/"+zone); err == nil && n.Kind == action.Regular {
		l := action.Node{Kind: action.Symlink, Target: "../" + zoneinfo + "/" + zone, Attr: action.Attr{Mode: action.ModeSymlink}}
		return c.e.Put(ctx, "etc/localtime", l, action.Replace)
	}
	from := composer{env: c.env, e: c.e}
	if in, ok := c.input("data"); ok {
		from.e = action.NewEdit(c.env, in.Digest)
	}
	n, _, err := from.e.Resolve(ctx, zoneinfo+"/"+zone)
	if err == nil && n.Kind == action.Regular {
		return c.put(ctx, "etc/localtime", n.Digest, action.Attr{Mode: action.ModeFile})
	}
	var zones []string
	err = from.below(ctx, zoneinfo, func(p string, n action.Node) error {
		if _, name, ok := strings.Cut(p, zoneinfo+"/"); ok && n.Kind != action.Dir && !strings.HasPrefix(name, "right/") && !strings.HasPrefix(name, "posix/") {
			zones = append(zones, name)
		}
		return nil
	})
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if len(zones) == 0 {
		return fmt.Errorf("setting timezone: there is no /%s in contents or data; say data = system_data(), from @stdlib//toolchains.star", zoneinfo)
	}
	return fmt.Errorf("setting timezone: got %q, which there is not among the %d%s", zone, len(zones), suggestion(zone, zones))
}

// input returns the input called name, if the action has it.
func (c *composer) input(name string) (action.OutputDigest, bool) {
	for _, in := range c.env.Inputs() {
		if in.Name == name {
			return in, true
		}
	}
	return action.OutputDigest{}, false
}
