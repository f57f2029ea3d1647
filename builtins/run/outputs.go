package run

import (
	"errors"
	"fmt"
	"path"
	"strings"

	"go.starlark.net/starlark"

	"github.com/labstar/labstar/action"
	"github.com/labstar/labstar/starlark/schema"
)

// output is one declared output: its name in the language, and its path below
// the working folder.
type output struct {
	name, path string
	kind       action.OutputKind
}

// outputs reads the argument of that name: a path, a list of paths (each its
// own name), or a dict of names to paths.
func outputs(c *schema.Call, v starlark.Value) ([]output, error) {
	var outs []output
	var errs []error
	add := func(name, p starlark.Value) {
		o, err := newOutput(name, p)
		if err == nil {
			err = clash(outs, o)
		}
		if err != nil {
			errs = append(errs, c.ArgErrorf("outputs", "%w", err))
			return
		}
		outs = append(outs, o)
	}
	switch v := v.(type) {
	case starlark.String:
		add(nil, v)
	case starlark.IterableMapping:
		for _, item := range v.Items() {
			add(item[0], item[1])
		}
	case starlark.Iterable:
		for _, p := range elements(v) {
			add(nil, p)
		}
	default:
		return nil, c.ArgErrorf("outputs", "got %s, want a path, a list of paths, or a dict of names to paths", v.Type())
	}
	if len(outs) == 0 && len(errs) == 0 {
		return nil, c.ArgErrorf("outputs", "got none, want at least one path that the command leaves")
	}
	return outs, errors.Join(errs...)
}

// newOutput checks one output; name is nil when the path is the name too.
func newOutput(name, p starlark.Value) (output, error) {
	s, ok := starlark.AsString(p)
	if !ok {
		return output{}, fmt.Errorf("got %s, want a path relative to the working folder", p.Type())
	}
	if strings.HasPrefix(s, "/") {
		return output{}, fmt.Errorf("got the absolute path %q, want one relative to the working folder", s)
	}
	clean, err := action.CleanPath(s)
	if err != nil {
		return output{}, fmt.Errorf("%w: an output must stay below the working folder", err)
	}
	if clean == "" && !strings.HasSuffix(s, "/") {
		return output{}, fmt.Errorf("got the path %q, want a file's, or \"./\" for the whole working folder", s)
	}
	o := output{name: clean, path: clean, kind: action.File}
	if strings.HasSuffix(s, "/") {
		o.kind = action.Tree
	}
	if name == nil {
		if o.name == "" {
			o.name = "out"
		}
		return o, nil
	}
	n, ok := starlark.AsString(name)
	if !ok || n == "" {
		return output{}, fmt.Errorf("got the output name %s, want a string", name)
	}
	o.name = n
	return o, nil
}

// clash reports an output of the same name, or inside or around another one:
// what is in both would be in neither for sure.
func clash(outs []output, o output) error {
	for _, p := range outs {
		switch {
		case p.name == o.name:
			return fmt.Errorf("got the output %q twice", o.name)
		case p.path == o.path || below(p.path, o.path) || below(o.path, p.path):
			return fmt.Errorf("got the outputs %q and %q, of which one is inside the other: name the outer one alone", p.shown(), o.shown())
		}
	}
	return nil
}

// shown is the path as a script writes it.
func (o output) shown() string {
	if o.kind == action.Tree {
		return path.Join(".", o.path) + "/"
	}
	return o.path
}

func below(dir, p string) bool { return dir == "" || strings.HasPrefix(p, dir+"/") }

// value makes what the script gets: the first output, with all of them as attributes.
func value(act *action.Action, given starlark.Value) starlark.Value {
	if _, single := given.(starlark.String); single {
		return artifact(act, 0, nil)
	}
	all := starlark.NewDict(len(act.Outputs))
	attrs := starlark.StringDict{}
	for i, o := range act.Outputs {
		v := artifact(act, i, nil)
		// The keys are distinct strings and the dict is fresh: SetKey can't fail.
		_ = all.SetKey(starlark.String(o.Name), v)
		if identifier(o.Name) {
			attrs[o.Name] = v
		}
	}
	all.Freeze()
	attrs["outputs"] = all
	return artifact(act, 0, attrs)
}

func artifact(act *action.Action, i int, attrs starlark.StringDict) *schema.Artifact {
	return schema.NewArtifact(&action.Artifact{Action: act, Index: i}, act.Outputs[i].Kind.String(), attrs)
}

func identifier(s string) bool {
	for i, r := range s {
		if !(r == '_' || r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || i > 0 && r >= '0' && r <= '9') {
			return false
		}
	}
	return s != ""
}
