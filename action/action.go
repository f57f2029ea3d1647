// Package action holds the types of the graph and nothing that runs: digests,
// trees, actions, artifacts, keys. Everything else in labstar is written in
// terms of them.
//
//   - A Digest names content. A tree is the digest of its root Directory.
//   - An Action is one step of a build: an Op (a pure Go function, or a command
//     in the sandbox), its parameters, its inputs and its named outputs.
//   - An Artifact is a lazy handle on one output of an action.
//   - A token is an artifact inside an ordinary string: its content or its path,
//     filled in when the consumer of the string runs.
//
// An action has two names. Its definition digest (Action.Definition) covers
// everything the script said, and what its inputs' definitions say, down to the
// contents of local files: it is known without building anything. Its key
// (Command.Key) covers the inputs by content and is known once they are built;
// it is a Remote Execution API v2 Action digest. A result found under the first
// spares looking at anything below; under the second it is the early cutoff.
package action

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"path"
	"slices"
	"strings"
)

// FormatVersion is part of every definition and key. Raise it when the meaning
// of either changes; all results of older versions are then misses.
const FormatVersion = 1

// Op is what an action runs. A builtin declares each of its ops once, as a
// package-level variable.
type Op struct {
	// Name is "group/verb", as in "oci/layer". It is in the key.
	Name string
	// Version is in the key: raise it when the same inputs give other outputs.
	Version int
	// Run computes the outputs. It is a function of env's parameters and inputs
	// alone. It is nil for Exec.
	Run func(ctx context.Context, env Env) error
	// Network is set for an op that may open connections: its output must be
	// Fixed. Such actions have a budget of their own.
	Network bool
	// Check marks what is cheap and may fail (validation, configuration): it
	// goes before what is long.
	Check bool
	// Preview marks a configuration that is worth being seen before it is used:
	// its first output is a text of lines NAME=value. Where only quick steps lead
	// to it, `labstar plan` makes it and shows what is different in it.
	Preview bool
}

// Exec is the op of every command that runs in the sandbox. Its parameters are
// a Command.
var Exec = &Op{Name: "exec", Version: 1}

// Spec is what a builtin says of an action it makes.
type Spec struct {
	Op *Op
	// Params are the op's parameters: any value that encoding/json writes
	// deterministically (structs, slices, maps with string keys). Late strings
	// in it may hold tokens. They are in the key.
	Params any
	// Inputs are the artifacts that the op reads, by name. Those named by tokens
	// in Params need not be listed.
	Inputs []Input
	// Outputs are what the op leaves, at least one. The first is the default.
	Outputs []Output
	// Fixed, if not zero, is the SHA-256 of the only output, a file, known
	// beforehand: the action is then equal to any other with that hash.
	Fixed [32]byte
	// Secrets are the names of those that the op reads with Env.Secret. Such an
	// action is no part of the store: it runs in every build, before anything is
	// looked up, and what it leaves stands for the secret in all that depends on it.
	Secrets []string
	// Quick marks an action that takes a second or so, which `labstar plan` may run
	// for a preview. Not in the key.
	Quick bool
	// Component is what the action brings in, for a bill of materials. Not in the key.
	Component *Component
	// Title is for people: "busybox 1.37.0", "fetch gcc-14". Not in the key.
	Title string
	// Site is where the script made the action, innermost call first. Not in the key.
	Site []Frame
	// Parts are where the script made what an op's errors may be about: values
	// besides artifacts that it was given, by the names that a PartError has. Not in
	// the key.
	Parts map[string][]Frame
}

// Input is an artifact under the name by which the op knows it.
type Input struct {
	Name     string
	Artifact *Artifact
}

// OutputKind says whether an output is a file or a tree.
type OutputKind uint8

// The kinds of outputs.
const (
	File OutputKind = iota + 1
	Tree
)

func (k OutputKind) String() string {
	if k == Tree {
		return "tree"
	}
	return "file"
}

// Component is something made elsewhere that an action brings into the graph: a
// package, a source, a file. Whoever makes a bill of materials finds it by a walk
// from an artifact down its inputs. An output of the action called "licence" says,
// a line each, under which licences it is.
type Component struct {
	Kind    string // deb, source, npm, file, git, image
	Name    string
	Version string // "" if it has none
	PURL    string // a package URL, "" if there is none
	URL     string // where it comes from, if one place is known
	SHA256  string // hex, of the file as it was fetched, "" if it is no file
	Licence string // as its packager says it; "" if that is not known before it is fetched
}

// Output names one output of an action.
type Output struct {
	Name string
	Kind OutputKind
}

// Frame is one call in the script.
type Frame struct {
	File string `json:"file"` // as the user would name it: "lab.star", "@stdlib//web.star"
	Line int    `json:"line"` // 1-based
	Col  int    `json:"col"`  // 1-based, in characters
	Func string `json:"func"` // the function that was running: "<toplevel>", "app"
}

func (f Frame) String() string { return fmt.Sprintf("%s:%d:%d", f.File, f.Line, f.Col) }

// Action is one immutable step of a build, made by Scope.Action.
type Action struct {
	Op      *Op
	Params  json.RawMessage // may hold tokens
	Inputs  []Input         // the declared ones
	Refs    []Ref           // those that tokens in Params name, in order of appearance
	Outputs []Output
	Title   string
	Site    []Frame
	*Special

	// Source is set instead of Op for a local file or tree, known already.
	Source *Source

	scope      *Scope
	definition Digest
}

// Special is what few actions have, apart so that a hundred thousand of the others
// stay small. Those have none in common.
type Special struct {
	Fixed   [32]byte
	Quick   bool
	Secrets []string
	Parts   map[string][]Frame

	Component *Component

	bound []*Action
}

var none Special

// Source is content that exists before the build: a file or folder of the
// script's own tree.
type Source struct {
	Kind   OutputKind
	Digest Digest // of the file's bytes, or of the root Directory
	// Open gives the bytes of a content digest that is part of the source: the
	// file itself, or a file or encoded Directory of the tree. A file may have been
	// changed since: whoever reads compares, as ReadAll does.
	Open func(d Digest) (io.ReadCloser, error)
	Path string // as the script names it
}

// ReadAll returns the bytes of a content digest that is part of the source.
func (s *Source) ReadAll(d Digest) ([]byte, error) {
	r, err := s.Open(d)
	if err != nil {
		return nil, fmt.Errorf("reading %s: %w", s.Path, err)
	}
	b, err := io.ReadAll(r)
	if err := errors.Join(err, r.Close()); err != nil {
		return nil, fmt.Errorf("reading %s: %w", s.Path, err)
	}
	return b, s.Compare(d, Of(b))
}

// Compare returns an error if what was read is not what the evaluation saw.
func (s *Source) Compare(want, got Digest) error {
	if got != want {
		return fmt.Errorf("%s was changed after the script was evaluated: got %s, want %s; run again", s.Path, got, want)
	}
	return nil
}

// Definition is the digest of the action's definition; see the package comment.
func (a *Action) Definition() Digest { return a.definition }

// Bound returns the actions with Secrets that the action depends on, itself
// among them: those whose results are part of the name under which it is found.
func (a *Action) Bound() []*Action { return a.bound }

// bind gathers the actions with Secrets below a, each once.
func (a *Action) bind() {
	if len(a.Secrets) > 0 {
		a.bound = []*Action{a}
		return // it is run anyway, and what is below it is looked up by itself
	}
	var bound []*Action
	a.Deps(func(in *Artifact) {
		for _, b := range in.Action.bound {
			if !slices.ContainsFunc(bound, func(x *Action) bool { return x.definition == b.definition }) {
				bound = append(bound, b)
			}
		}
	})
	if bound == nil {
		return
	}
	if a.Special == &none {
		a.Special = &Special{}
	}
	a.bound = bound
}

// Output returns the handle on the output called name.
func (a *Action) Output(name string) *Artifact {
	i := slices.IndexFunc(a.Outputs, func(o Output) bool { return o.Name == name })
	if i < 0 {
		panic(fmt.Sprintf("action %s has no output %q", a.Op.Name, name))
	}
	return &Artifact{Action: a, Index: i}
}

// Deps calls f for every artifact that the action reads.
func (a *Action) Deps(f func(*Artifact)) {
	for _, in := range a.Inputs {
		f(in.Artifact)
	}
	for _, r := range a.Refs {
		f(r.Artifact)
	}
}

// Artifact is a lazy handle on one output of an action.
type Artifact struct {
	Action *Action
	Index  int // into Action.Outputs
	// Value is the artifact as a value of the language, if it is one. It is for
	// messages and no part of the artifact's identity.
	Value any
}

// Output returns the output's name and kind.
func (a *Artifact) Output() Output { return a.Action.Outputs[a.Index] }

// Kind says whether the artifact is a file or a tree.
func (a *Artifact) Kind() OutputKind { return a.Output().Kind }

// Equal reports whether both are the same output of the same definition.
func (a *Artifact) Equal(b *Artifact) bool {
	return a.Index == b.Index && a.Action.definition == b.Action.definition
}

// FileName is the artifact's name inside the sandbox and among the targets:
// the output's name with everything but letters, digits and "._+-" made "_".
func (a *Artifact) FileName() string {
	name := []byte(path.Base(a.Output().Name))
	for i, c := range name {
		if !(c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || strings.IndexByte("._+-", c) >= 0) {
			name[i] = '_'
		}
	}
	return string(name)
}

// Describe names the artifact for people: "busybox 1.37.0 (file lab.star:12:11)".
func (a *Artifact) Describe() string {
	s := a.Action.Title
	if len(a.Action.Outputs) > 1 {
		s += "." + a.Output().Name
	}
	if len(a.Action.Site) > 0 {
		s += " (made at " + a.Action.Site[0].String() + ")"
	}
	return s
}

// Result is what an action left: its outputs, by name.
type Result struct {
	Outputs []OutputDigest
	Log     Digest // of what the command printed; zero if nothing
	Millis  int64  // how long it ran, for scheduling and reports
}

// OutputDigest is one output in a Result.
type OutputDigest struct {
	Name   string
	Kind   OutputKind
	Digest Digest
}
