package oci

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/labstar/labstar/action"
	"github.com/labstar/labstar/starlark/schema"
)

// layer is a layer in the graph.
type layer struct {
	blob       *action.Artifact // the packed tar
	descriptor *action.Artifact // a layerInfo
	tree       *action.Artifact // what is in it
}

// pulled reports whether the layer came packed, and may delete what is below it.
func (l layer) pulled() bool { return l.descriptor.Action.Op == unpackOp }

// base is what an image is built on: of none, a platform alone.
type base struct {
	platform platform
	layers   []layer
	config   *action.Artifact
}

// base finds the image that args name as their base in the graph, for the platform
// that is asked for.
func (a *imageArgs) base(c *schema.Call) (base, error) {
	want, err := platform{OS: "linux", Arch: "amd64"}, error(nil)
	if a.Platform != "" {
		if want, err = parsePlatform(c, a.Platform); err != nil {
			return base{}, err
		}
	}
	if a.Base == nil {
		return base{platform: want}, nil
	}
	act := a.Base.Action
	if act.Op == indexOp {
		if act, err = choose(c, act, want); err != nil {
			return base{}, err
		}
	}
	if act.Op == unlockedOp { // nothing is built before the lock has it
		return base{platform: platformOf(act)}, nil
	}
	if act.Op != imageOp && act.Op != pulledOp {
		return base{}, c.ArgErrorf("base", "got an image that is no longer whole, want the value of oci_image, oci_pull or oci_index itself")
	}
	has := platformOf(act)
	if a.Platform != "" && has != want {
		return base{}, c.ArgErrorf("platform", "got %s, and base is for %s; leave it out, or take a base for %[1]s", want, has)
	}
	b := base{platform: has, config: act.Output("config")}
	b.layers, err = layersOf(c.Action, act)
	return b, err
}

// choose returns the image of an index for a platform.
func choose(c *schema.Call, index *action.Action, want platform) (*action.Action, error) {
	var has []string
	for _, in := range index.Inputs {
		if !strings.HasPrefix(in.Name, "layout") {
			continue
		}
		p := platformOf(in.Artifact.Action)
		if p == want {
			return in.Artifact.Action, nil
		}
		has = append(has, p.String())
	}
	return nil, c.ArgErrorf("base", "got an index for %s, want one that has %s; say platform = %q", strings.Join(has, ", "), want, has[0])
}

// platformOf reads the platform from an image action's parameters.
func platformOf(act *action.Action) platform {
	var p platform
	_ = json.Unmarshal(act.Params, &p) // they were made from a struct that has it
	return p
}

// makeAction makes an action at a line of the script.
type makeAction = func(action.Spec) (*action.Action, error)

// layersOf returns the layers of an image.
func layersOf(make makeAction, image *action.Action) ([]layer, error) {
	var layers []layer
	for _, in := range image.Inputs {
		i := 0
		if _, err := fmt.Sscanf(in.Name, "layer%d", &i); err != nil {
			continue
		}
		l := layer{blob: in.Artifact}
		if image.Op == pulledOp {
			act, err := newUnpack(make, image, i, in.Artifact)
			if err != nil {
				return nil, err
			}
			l.descriptor, l.tree = act.Output("descriptor"), act.Output("tree")
			layers = append(layers, l)
			continue
		}
		l.descriptor = inputOf(image, fmt.Sprintf("descriptor%d", i))
		if l.pulled() {
			l.tree = l.descriptor.Action.Output("tree")
		} else {
			l.tree = inputOf(l.descriptor.Action, "tree")
		}
		layers = append(layers, l)
	}
	if len(layers) == 0 {
		return nil, errors.New("internal error: an image without layers")
	}
	return layers, nil
}

func inputOf(act *action.Action, name string) *action.Artifact {
	for _, in := range act.Inputs {
		if in.Name == name {
			return in.Artifact
		}
	}
	panic("no input " + name + " of " + act.Op.Name)
}
