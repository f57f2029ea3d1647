package source

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"go.starlark.net/starlark"

	"github.com/labstar/labstar/action"
	"github.com/labstar/labstar/starlark/schema"
)

type treeArgs struct {
	Files     schema.Dict[starlark.Value] `star:"files,optional" doc:"dict of paths to a file, a tree, or a string that is the file's text; \"\" is the root, for trees"`
	Base      starlark.Value              `star:"base,keyword,optional" doc:"the tree to start with, or a list of trees that are laid over one another"`
	Pick      []string                    `star:"pick,keyword,optional" doc:"patterns: keep only this of base, folders with all that is in them"`
	Remove    []string                    `star:"remove,keyword,optional" doc:"patterns: drop this from base"`
	Move      map[string]string           `star:"move,keyword,optional" doc:"dict of paths in base to their new paths"`
	Symlinks  map[string]string           `star:"symlinks,keyword,optional" doc:"dict of paths to the targets of symbolic links"`
	Dirs      []string                    `star:"dirs,keyword,optional" doc:"more folders"`
	Modes     schema.Dict[uint32]         `star:"modes,keyword,optional" doc:"dict of patterns to permission bits, as 0o755"`
	Owners    schema.Dict[string]         `star:"owners,keyword,optional" doc:"dict of patterns to \"UID:GID\" or \"UID\", in numbers; holds for all that is below"`
	Overwrite bool                        `star:"overwrite,keyword" default:"False" doc:"let what comes later replace what is there; otherwise two things at one path are an error"`
	Name      string                      `star:"name,keyword" default:"\"tree\"" doc:"what messages call it"`
}

// NewTree is the builtin `tree`.
var NewTree = schema.New("tree", `tree composes a tree from files and other trees.

It is done in this order, whatever order the arguments are in: the trees of base
are laid over one another; pick and remove choose from them; move renames; files
lays files, trees and texts; then come symlinks, dirs, modes and owners. To do it
in another order, use tree twice: a tree costs its folders, no file is copied.

A file laid by files is executable if it is a program (ELF) or begins with #!,
unless modes says otherwise; what is in a tree keeps its mode. A pattern is a
path, where * and ? are as in a shell, ** crosses folders, and "css/" is all that
is in css. One that matches nothing is an error. In modes, one with wildcards stands
for the files alone; a folder's own mode is set by its path.

	root = tree({"usr/bin/busybox": bb, "etc": glob(dir = "etc"), "etc/motd": "hi\n"},
	            base = debs, remove = ["usr/share/doc"], dirs = ["proc", "sys"],
	            symlinks = {"bin/sh": "../usr/bin/busybox"},
	            modes = {"etc/shadow": 0o600}, owners = {"home/lab": "1000:1000"})`,
	callTree, schema.Returns("a tree"))

func callTree(c *schema.Call, a *treeArgs) (starlark.Value, error) {
	p := &treeParams{Overwrite: a.Overwrite}
	spec := action.Spec{Op: treeOp, Outputs: treeOutput, Title: a.Name}
	if err := errors.Join(
		p.addBase(c, a.Base, &spec),
		p.addFiles(c, a.Files, &spec),
		patterns(c, "pick", a.Pick, &p.Pick),
		patterns(c, "remove", a.Remove, &p.Remove),
		p.addPairs(c, a),
		p.addModes(c, a.Modes),
		p.addOwners(c, a.Owners),
		p.addDirs(c, a.Dirs),
		needBase(c, a)); err != nil {
		return nil, err
	}
	spec.Params = p
	act, err := c.Action(spec)
	if err != nil {
		return nil, err
	}
	return value(act), nil
}

// needBase reports arguments that work on base where there is none.
func needBase(c *schema.Call, a *treeArgs) error {
	if a.Base != nil && a.Base != starlark.None {
		return nil
	}
	var errs []error
	without := func(arg string, n int) {
		if n > 0 {
			errs = append(errs, c.ArgErrorf(arg, "it works on base, and there is none"))
		}
	}
	without("pick", len(a.Pick))
	without("remove", len(a.Remove))
	without("move", len(a.Move))
	return errors.Join(errs...)
}

func (p *treeParams) addDirs(c *schema.Call, dirs []string) error {
	var errs []error
	for i, d := range dirs {
		clean, err := action.CleanPath(d)
		if err != nil {
			errs = append(errs, c.ArgErrorf(fmt.Sprintf("dirs[%d]", i), "%w", err))
		}
		p.Dirs = append(p.Dirs, clean)
	}
	return errors.Join(errs...)
}

// addBase takes one tree or several.
func (p *treeParams) addBase(c *schema.Call, v starlark.Value, spec *action.Spec) error {
	var list []starlark.Value
	switch v := v.(type) {
	case nil, starlark.NoneType:
		return nil
	case *schema.Artifact:
		list = []starlark.Value{v}
	case starlark.Indexable:
		for i := range v.Len() {
			list = append(list, v.Index(i))
		}
	default:
		return c.ArgErrorf("base", "got %s, want a tree or a list of trees", v.Type())
	}
	var errs []error
	for i, x := range list {
		name := "base"
		if len(list) > 1 {
			name = fmt.Sprintf("base[%d]", i)
		}
		t, ok := x.(*schema.Artifact)
		if !ok || t.Kind() != action.Tree {
			errs = append(errs, c.ArgErrorf(name, "got %s, want a tree", x.Type()))
			continue
		}
		p.Base = append(p.Base, name)
		spec.Inputs = append(spec.Inputs, action.Input{Name: name, Artifact: t.Artifact})
	}
	return errors.Join(errs...)
}

// addFiles makes inputs of what files holds.
func (p *treeParams) addFiles(c *schema.Call, files schema.Dict[starlark.Value], spec *action.Spec) error {
	var errs []error
	var seen map[string]string
	if len(files) > 1 {
		seen = make(map[string]string, len(files))
	}
	p.Files = make([]laid, 0, len(files))
	spec.Inputs = slices.Grow(spec.Inputs, len(files))
	for _, f := range files {
		arg := "files[" + strconv.Quote(f.Key) + "]"
		at, err := action.CleanPath(f.Key)
		if err != nil {
			errs = append(errs, c.ArgErrorf(arg, "%w", err))
			continue
		}
		if first, ok := seen[at]; ok {
			errs = append(errs, c.ArgErrorf(arg, "got the same path as files[%q]", first))
		}
		if seen != nil {
			seen[at] = f.Key
		}
		art, ok := f.Value.(*schema.Artifact)
		if s, isText := f.Value.(starlark.String); isText {
			if art, err = textArtifact(c, arg, string(s), at); err != nil {
				errs = append(errs, err)
				continue
			}
			ok = true
		}
		switch {
		case !ok:
			errs = append(errs, c.ArgErrorf(arg, "got %s, want a file, a tree or a string", f.Value.Type()))
			continue
		case art.Kind() == action.File && (at == "" || strings.HasSuffix(f.Key, "/")):
			errs = append(errs, c.ArgErrorf(arg, "got a file for a folder, want a path that ends in the file's name"))
			continue
		}
		p.Files = append(p.Files, laid{Path: at, Input: arg})
		spec.Inputs = append(spec.Inputs, action.Input{Name: arg, Artifact: art.Artifact})
	}
	return errors.Join(errs...)
}

func patterns(c *schema.Call, arg string, list []string, out *[]string) error {
	var errs []error
	for i, s := range list {
		clean, err := checkPattern(s)
		if err != nil {
			errs = append(errs, c.ArgErrorf(fmt.Sprintf("%s[%d]", arg, i), "%w", err))
		}
		*out = append(*out, clean)
	}
	return errors.Join(errs...)
}

// addPairs takes move and symlinks.
func (p *treeParams) addPairs(c *schema.Call, a *treeArgs) error {
	var errs []error
	for _, from := range sortedKeys(a.Move) {
		x, err1 := action.CleanPath(from)
		y, err2 := action.CleanPath(a.Move[from])
		if err1 != nil || err2 != nil || x == "" || y == "" || x == y || strings.HasPrefix(y, x+"/") {
			errs = append(errs, c.ArgErrorf(fmt.Sprintf("move[%q]", from), "got the new path %q, want two paths in the tree, none inside the other", a.Move[from]))
		}
		p.Move = append(p.Move, pair{x, y})
	}
	for _, l := range sortedKeys(a.Symlinks) {
		arg := fmt.Sprintf("symlinks[%q]", l)
		at, err := action.CleanPath(l)
		if err != nil || at == "" {
			errs = append(errs, c.ArgErrorf(arg, "got %q, want a path in the tree", l))
		}
		if t := a.Symlinks[l]; t == "" || strings.ContainsRune(t, 0) {
			errs = append(errs, c.ArgErrorf(arg, "got the target %q, want a path", t))
		}
		p.Symlinks = append(p.Symlinks, pair{at, a.Symlinks[l]})
	}
	return errors.Join(errs...)
}

// usualModes are modes whose 0o was forgotten, if they come as decimal numbers;
// no mode that anybody wants is one of these in decimal.
var usualModes = []string{
	"400", "440", "444", "500", "555", "600", "640", "644", "660", "664", "700", "711", "750", "755", "770", "775", "777",
	"1777", "2755", "4755", "6755",
}

func (p *treeParams) addModes(c *schema.Call, modes schema.Dict[uint32]) error {
	var errs []error
	for _, m := range modes {
		arg := fmt.Sprintf("modes[%q]", m.Key)
		pat, err := checkPattern(m.Key)
		if err != nil {
			errs = append(errs, c.ArgErrorf(arg, "%w", err))
		}
		switch digits := strconv.Itoa(int(m.Value)); {
		case slices.Contains(usualModes, digits):
			errs = append(errs, c.ArgErrorf(arg, "got %s, which is 0o%o, want octal (did you mean 0o%s?)", digits, m.Value, digits))
		case m.Value > 0o7777:
			errs = append(errs, c.ArgErrorf(arg, "got 0o%o, want permission bits of at most 0o7777", m.Value))
		}
		p.Modes = append(p.Modes, modeRule{pat, m.Value})
	}
	return errors.Join(errs...)
}

func (p *treeParams) addOwners(c *schema.Call, owners schema.Dict[string]) error {
	var errs []error
	for _, o := range owners {
		arg := fmt.Sprintf("owners[%q]", o.Key)
		pat, err := checkPattern(o.Key)
		if err != nil {
			errs = append(errs, c.ArgErrorf(arg, "%w", err))
		}
		user, group, both := strings.Cut(o.Value, ":")
		if !both {
			group = user
		}
		uid, err1 := strconv.ParseUint(user, 10, 32)
		gid, err2 := strconv.ParseUint(group, 10, 32)
		if err1 != nil || err2 != nil {
			errs = append(errs, c.ArgErrorf(arg, `got %q, want numbers as in "1000:1000"`, o.Value).
				WithHint("names of users are known to rootfs(), which has an argument owners too"))
		}
		p.Owners = append(p.Owners, ownerRule{pat, uint32(uid), uint32(gid)})
	}
	return errors.Join(errs...)
}

func sortedKeys[V any](m map[string]V) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}
