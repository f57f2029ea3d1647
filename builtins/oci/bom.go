package oci

import (
	"cmp"
	"encoding/json"
	"slices"
	"strings"

	"github.com/labstar/labstar/action"
)

// role says how a component took part in an image.
type role string

// The roles, the closest to the image first.
const (
	contained role = "contained" // its files are in the image, as they came or rearranged
	compiled  role = "compiled"  // a source: a command made something of it
	tool      role = "tool"      // of the root in which a command ran
)

var roles = []role{contained, compiled, tool}

// part is a component of an image, in the parameters of what is written about it.
type part struct {
	Kind    string `json:"kind"`
	Name    string `json:"name"`
	Version string `json:"version,omitempty"`
	PURL    string `json:"purl,omitempty"`
	URL     string `json:"url,omitempty"`
	SHA256  string `json:"sha256,omitempty"`
	Role    role   `json:"role"`
	// In is the package URL of the image, a base, that it came in.
	In string `json:"in,omitempty"`
	// Licence has the licences, a line each: a token, where they are known once the
	// component is there.
	Licence action.Late `json:"licence,omitempty"`
}

// local is a file or folder of the script's own tree.
type local struct {
	Path   string        `json:"path"`
	Digest action.Digest `json:"digest"`
	Tree   bool          `json:"tree,omitempty"`
}

// step is an action of the image's graph.
type step struct {
	Op    string `json:"op"`
	Title string `json:"title"`
}

// bill is all that went into an image, found by a walk over its graph.
type bill struct {
	parts []part
	files []local
	steps []step
	// pulled are the images in it that a registry has: what is in these they tell
	// themselves.
	pulled []*action.Action
}

// billOf walks from the layers of an image down to what was there before: packages,
// sources, files. What a command ran in is a tool, whatever it made; what it was
// given otherwise is a source of its outputs. An action that is looked at again in a
// closer role is walked once more.
func billOf(image *action.Action) *bill {
	w := &walker{roles: map[*action.Action]int{}, byKey: map[action.Digest]*action.Action{}}
	w.visit(image, 0)
	b := &bill{}
	for act, r := range w.roles {
		switch {
		case act.Component != nil:
			b.parts = append(b.parts, partOf(act, roles[r]))
			if act.Op == pulledOp && roles[r] == contained {
				b.pulled = append(b.pulled, act)
			}
		case act.Source != nil:
			b.files = append(b.files, local{Path: act.Source.Path, Digest: act.Source.Digest, Tree: act.Source.Kind == action.Tree})
		case act.Fixed == [32]byte{}:
			b.steps = append(b.steps, step{Op: act.Op.Name, Title: act.Title})
		}
	}
	slices.SortFunc(b.parts, func(x, y part) int {
		return cmp.Or(strings.Compare(x.Kind, y.Kind), strings.Compare(x.Name, y.Name), strings.Compare(x.Version, y.Version),
			strings.Compare(x.PURL, y.PURL), strings.Compare(string(x.Role), string(y.Role)))
	})
	slices.SortFunc(b.pulled, func(x, y *action.Action) int { return strings.Compare(x.Component.PURL, y.Component.PURL) })
	// One package may be unpacked twice, with its manuals and without.
	b.parts = slices.CompactFunc(b.parts, func(x, y part) bool {
		return x.Kind == y.Kind && x.Name == y.Name && x.Version == y.Version && x.PURL == y.PURL && x.Role == y.Role
	})
	slices.SortFunc(b.files, func(x, y local) int {
		return cmp.Or(strings.Compare(x.Path, y.Path), strings.Compare(x.Digest.Hex(), y.Digest.Hex()))
	})
	slices.SortFunc(b.steps, func(x, y step) int { return cmp.Or(strings.Compare(x.Op, y.Op), strings.Compare(x.Title, y.Title)) })
	b.steps = slices.Compact(b.steps)
	return b
}

type walker struct {
	roles map[*action.Action]int // index into roles
	byKey map[action.Digest]*action.Action
}

// visit notes an action in a role, and what is below it.
func (w *walker) visit(act *action.Action, r int) {
	if same := w.byKey[act.Definition()]; same != nil {
		act = same // made at another line of the script
	} else {
		w.byKey[act.Definition()] = act
	}
	if old, ok := w.roles[act]; ok && old <= r {
		return
	}
	w.roles[act] = r
	if act.Source != nil || act.Component != nil && act.Op != pulledOp {
		return
	}
	roots := rootsOf(act)
	for _, in := range act.Inputs {
		w.visit(in.Artifact.Action, w.below(act, r, slices.Contains(roots, in.Name)))
	}
	for _, ref := range act.Refs {
		w.visit(ref.Artifact.Action, w.below(act, r, false))
	}
}

// below is the role of an input of an action in a role.
func (w *walker) below(act *action.Action, r int, root bool) int {
	switch {
	case act.Op != action.Exec:
		return r
	case root:
		return 2
	}
	return max(r, 1)
}

// rootsOf are the inputs that make up the root of a command.
func rootsOf(act *action.Action) []string {
	if act.Op != action.Exec {
		return nil
	}
	var c action.Command
	_ = json.Unmarshal(act.Params, &c) // they were made from one
	return c.Root
}

func partOf(act *action.Action, r role) part {
	c := act.Component
	p := part{Kind: c.Kind, Name: c.Name, Version: c.Version, PURL: c.PURL, URL: c.URL, SHA256: c.SHA256, Role: r, Licence: action.Late(c.Licence)}
	if slices.ContainsFunc(act.Outputs, func(o action.Output) bool { return o.Name == "licence" }) {
		p.Licence = action.Late(act.Output("licence").Token(action.Text))
	}
	return p
}

// inImage are the parts that a bill of materials lists: what is in the image and
// what it was compiled from.
func (b *bill) inImage() []part {
	var list []part
	for _, p := range b.parts {
		if p.Role != tool {
			list = append(list, p)
		}
	}
	return list
}
