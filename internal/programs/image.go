package programs

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"slices"
	"strings"

	"github.com/labstar/labstar/action"
	"github.com/labstar/labstar/starlark/schema"
)

// ImageOutput is the output of an action that holds the Image of what it makes.
const ImageOutput = "programs"

// Image is what a container engine looks a command up in.
type Image struct {
	Path       string   `json:"path"` // the variable PATH
	Workdir    string   `json:"workdir,omitempty"`
	Entrypoint bool     `json:"entrypoint,omitempty"` // it has one
	Cmd        bool     `json:"cmd,omitempty"`
	Programs   []string `json:"programs"` // paths of what can be run, sorted, the links too
	// Dirs are the links to folders, by their path: "/bin" is "/usr/bin".
	Dirs map[string]string `json:"dirs,omitempty"`
}

// Look fills in what the tree of an image has to run.
func (im *Image) Look(ctx context.Context, e *action.Edit) error {
	im.Dirs = map[string]string{}
	return e.Walk(ctx, func(name string, n action.Node) error {
		switch n.Kind {
		case action.Regular:
			if n.Attr.Mode&0o111 != 0 {
				im.Programs = append(im.Programs, "/"+name)
			}
		case action.Symlink:
			to, at, err := e.Resolve(ctx, name)
			switch {
			case errors.Is(err, fs.ErrNotExist): // leads nowhere
			case err != nil:
				return err
			case to.Kind == action.Dir:
				im.Dirs["/"+name] = "/" + at
			case to.Kind == action.Regular && to.Attr.Mode&0o111 != 0:
				im.Programs = append(im.Programs, "/"+name)
			}
		}
		return nil
	})
}

// has reports whether there is a program at an absolute path.
func (im *Image) has(p string) bool {
	if _, ok := slices.BinarySearch(im.Programs, p); ok {
		return true
	}
	for i, c := range p {
		if c == '/' && i > 0 {
			if to, ok := im.Dirs[p[:i]]; ok {
				return im.has(path.Join(to, p[i:])) // to has no links left in it
			}
		}
	}
	return false
}

// Start is a command that a container is to run, besides what its image says.
type Start struct {
	What string `json:"what"` // for messages: `services["web"]["healthcheck"]`
	// Image is what runs: an artifact with an action that has an ImageOutput.
	Image *action.Artifact `json:"-"`
	// Program is looked for in the image; "" is the image's own entrypoint and cmd,
	// with Args as the cmd if there are any.
	Program string   `json:"program,omitempty"`
	Args    []string `json:"args,omitempty"`
	Path    string   `json:"path,omitempty"`    // the variable PATH, if it is not the image's
	Workdir string   `json:"workdir,omitempty"` // likewise
	// Mounts are folders and files that are not the image's while it runs.
	Mounts []string `json:"mounts,omitempty"`

	At *schema.Error `json:"-"` // about the value of the script that names the program

	In int `json:"in"` // set by Check: the input
}

// ImageOf returns the Image of what an image's reference stands for, nil if it is not
// known: of one that is pulled, say.
func ImageOf(scope *action.Scope, reference string) *action.Artifact {
	if !action.MayHoldToken(reference) {
		return nil
	}
	refs, err := scope.Refs(reference)
	if err != nil || len(refs) != 1 {
		return nil
	}
	for _, in := range refs[0].Artifact.Action.Inputs {
		if in.Name != "config" || in.Artifact.Action == nil {
			continue
		}
		for _, o := range in.Artifact.Action.Outputs {
			if o.Name == ImageOutput {
				return in.Artifact.Action.Output(o.Name)
			}
		}
	}
	return nil
}

type startParams struct {
	Starts []Start `json:"starts"`
}

// startOp holds commands against the images that they run in.
var startOp = &action.Op{Name: "image/starts", Version: 1, Check: true, Run: runStarts}

// Check makes the action that looks the programs of starts up, for what is made of
// them to wait for; nil if there are none.
func Check(c *schema.Call, title string, starts []Start) (*action.Artifact, error) {
	if len(starts) == 0 {
		return nil, nil
	}
	spec := action.Spec{Op: startOp, Title: title, Outputs: []action.Output{{Name: "checked", Kind: action.File}}}
	seen := map[*action.Action]int{}
	for i, s := range starts {
		in, ok := seen[s.Image.Action]
		if !ok {
			in = len(seen)
			seen[s.Image.Action] = in
			spec.Inputs = append(spec.Inputs, action.Input{Name: fmt.Sprintf("image%d", in), Artifact: s.Image})
		}
		starts[i].In = in
	}
	spec.Params = startParams{starts}
	act, err := c.Action(spec)
	if err != nil {
		return nil, err
	}
	for _, s := range starts {
		c.Part(act, s.What, s.At)
	}
	return act.Output("checked"), nil
}

func runStarts(ctx context.Context, env action.Env) error {
	var p startParams
	if err := env.Params(&p); err != nil {
		return err
	}
	images := map[int]*Image{}
	var errs []error
	for _, s := range p.Starts {
		im := images[s.In]
		if im == nil {
			im = &Image{}
			if err := readImage(ctx, env, fmt.Sprintf("image%d", s.In), im); err != nil {
				return err
			}
			images[s.In] = im
		}
		if err := s.check(im); err != nil {
			errs = append(errs, &action.PartError{Part: s.What, Err: fmt.Errorf("%s: %w", s.What, err)})
		}
	}
	if err := errors.Join(errs...); err != nil {
		return err
	}
	return env.WriteFile("checked", []byte("ok\n"))
}

func readImage(ctx context.Context, env action.Env, input string, im *Image) error {
	b, err := env.OpenBlob(ctx, env.Input(input).Digest)
	if err != nil {
		return err
	}
	defer func() { _ = b.Close() }()
	text, err := io.ReadAll(b)
	if err != nil {
		return err
	}
	return json.Unmarshal(text, im)
}

// check reports why a container would not start.
func (s *Start) check(im *Image) error {
	program := s.Program
	if program == "" {
		switch {
		case im.Entrypoint || len(s.Args) == 0 && im.Cmd:
			return nil
		case len(s.Args) == 0:
			return errors.New("there is no command to run: give it one, or give the image an entrypoint or a cmd")
		}
		program = s.Args[0]
	}
	if strings.Contains(program, "/") {
		dir := s.Workdir
		if dir == "" {
			dir = im.Workdir
		}
		if !path.IsAbs(program) {
			program = path.Join("/", dir, program)
		}
		if program = path.Clean(program); im.has(program) || s.mounted(program) {
			return nil
		}
		return fmt.Errorf("%q is not in the image, or has no run bit%s", program, im.suggest(path.Base(program)))
	}
	search := s.Path
	if search == "" {
		search = im.Path
	}
	for dir := range strings.SplitSeq(search, ":") {
		if p := path.Join("/", dir, program); im.has(p) || s.mounted(p) {
			return nil
		}
	}
	return fmt.Errorf("%q is in no folder of the image's PATH %s%s", program, search, im.suggest(program))
}

func (s *Start) mounted(p string) bool {
	return slices.ContainsFunc(s.Mounts, func(m string) bool {
		m = path.Clean(m)
		return p == m || strings.HasPrefix(p, m+"/") || m == "/"
	})
}

// suggest names a program that may have been meant, and what to do else.
func (im *Image) suggest(name string) string {
	bases := make([]string, len(im.Programs))
	for i, p := range im.Programs {
		bases[i] = path.Base(p)
	}
	if i := slices.Index(bases, name); i >= 0 {
		return fmt.Sprintf("; there is %s", im.Programs[i])
	}
	if s := schema.Suggest(name, bases); s != "" {
		return fmt.Sprintf(" (did you mean %q?)", s)
	}
	return "; add to its layers what has it"
}
