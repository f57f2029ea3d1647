package toolchain

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"go.starlark.net/starlark"

	"github.com/labstar/labstar/action"
	"github.com/labstar/labstar/internal/debian"
	"github.com/labstar/labstar/starlark/schema"
)

type packagesArgs struct {
	Names     []string `star:"names" doc:"binary packages, as apt names them; what they depend on comes along, what they recommend does not"`
	Suite     string   `star:"suite,keyword" default:"\"trixie\"" doc:"the Debian suite, by code name"`
	Arch      string   `star:"arch,keyword" default:"\"amd64\"" doc:"the architecture, as Debian names it"`
	Exclude   []string `star:"exclude,keyword,optional" doc:"packages to leave out although something depends on them, with what only they need"`
	Essential bool     `star:"essential,keyword" default:"True" doc:"add what every package may count on: bash, dash, coreutils, sed, grep, awk, tar, gzip and the like"`
	Docs      bool     `star:"docs,keyword" default:"False" doc:"keep manuals, documentation and translations"`
}

// Packages is the builtin `debian_packages`.
var Packages = schema.New("debian_packages", `debian_packages makes one tree of Debian packages and all they depend on: a toolchain, or the base of a system.

Versions are pinned in lab.lock, by SHA-256, from the suite's signed index; "labstar lock" chooses them and nothing else does. The packages are unpacked without running any of their scripts. What a toolchain needs of those is done here: /bin, /sbin and /lib are links into /usr, alternatives such as cc, awk and yacc are set, and ld.so.cache is written.

    tools = debian_packages(["gcc", "libc6-dev", "make", "flex", "bison"])

Recommended packages are not followed: gcc alone has no C library to compile against, so name libc6-dev too.`,
	callPackages, schema.Returns("a toolchain (tree) with the attributes packages (a dict of names to versions), suite and arch"))

func callPackages(c *schema.Call, a *packagesArgs) (starlark.Value, error) {
	w, names, err := a.closure(c)
	if err != nil {
		return nil, err
	}
	act, versions, err := w.actions(names, a)
	if err != nil {
		return nil, err
	}
	return schema.NewArtifact(act.Output("tree"), "toolchain", starlark.StringDict{
		"packages": versions, "suite": starlark.String(a.Suite), "arch": starlark.String(a.Arch),
	}), nil
}

// closure returns the packages of a request and all that they depend on, sorted.
func (a *packagesArgs) closure(c *schema.Call) (*walk, []string, error) {
	if err := checkPackagesArgs(c, a); err != nil {
		return nil, nil, err
	}
	w := &walk{c: c, prefix: a.Suite + "/" + a.Arch + "/", pins: map[string]pin{}, excluded: map[string]bool{}}
	for _, n := range a.Exclude {
		w.excluded[n] = false
	}
	roots := a.Names
	if a.Essential {
		roots = append(slices.Clone(roots), essentialName)
	}
	if err := w.run(roots); err != nil {
		return nil, nil, err
	}
	names := slices.Sorted(maps.Keys(w.pins))
	if w.missing {
		return w, names, nil
	}
	return w, names, errors.Join(w.checkExcluded(a.Exclude), w.checkConflicts(names))
}

func checkPackagesArgs(c *schema.Call, a *packagesArgs) error {
	var errs []error
	if err := debian.CheckSuite(a.Suite); err != nil {
		errs = append(errs, c.ArgErrorf("suite", "%w", err))
	}
	if err := debian.CheckSuite(a.Arch); err != nil {
		errs = append(errs, c.ArgErrorf("arch", "got architecture %q, want one as in \"amd64\"", a.Arch))
	}
	for arg, list := range map[string][]string{"names": a.Names, "exclude": a.Exclude} {
		for i, n := range list {
			if err := debian.CheckName(n); err != nil {
				errs = append(errs, c.ArgErrorf(fmt.Sprintf("%s[%d]", arg, i), "%w", err))
			}
		}
	}
	if len(a.Names) == 0 && !a.Essential {
		errs = append(errs, c.ArgErrorf("names", "got no package, want at least one"))
	}
	return errors.Join(errs...)
}

// walk is the closure of one request over the lock.
type walk struct {
	c        *schema.Call
	prefix   string
	pins     map[string]pin // the packages, without what only stands for others
	excluded map[string]bool
	missing  bool
}

func (w *walk) run(queue []string) error {
	pins := w.c.Session().Pins
	seen := make(map[string]bool, 256)
	for len(queue) > 0 {
		name := queue[len(queue)-1]
		queue = queue[:len(queue)-1]
		if seen[name] {
			continue
		}
		seen[name] = true
		if _, ok := w.excluded[name]; ok {
			w.excluded[name] = true
			continue
		}
		fields, ok := pins.Get(kindPackage, w.prefix+name)
		if !ok {
			pins.Want(kindPackage, w.prefix+name, w.c.Site())
			w.missing = true
			continue
		}
		p, err := parsePin(name, fields)
		if err != nil {
			return w.c.Errorf("%w", err)
		}
		if p.Version != "" {
			w.pins[name] = p
		}
		queue = append(queue, p.Deps...)
	}
	return nil
}

// checkExcluded reports names in exclude that had no effect.
func (w *walk) checkExcluded(exclude []string) error {
	var errs []error
	for i, n := range exclude {
		if w.excluded[n] {
			continue
		}
		e := w.c.ArgErrorf(fmt.Sprintf("exclude[%d]", i), "package %q is not among those needed, so leaving it out has no effect", n)
		if s := schema.Suggest(n, slices.Collect(maps.Keys(w.pins))); s != "" {
			e = e.WithHint(fmt.Sprintf("did you mean %q?", s))
		}
		errs = append(errs, e)
	}
	return errors.Join(errs...)
}

func (w *walk) checkConflicts(names []string) error {
	var errs []error
	for _, n := range names {
		for _, other := range w.pins[n].Conflicts {
			if _, ok := w.pins[other]; ok && (n < other || !slices.Contains(w.pins[other].Conflicts, n)) {
				errs = append(errs, w.c.ArgErrorf("names", "packages %s and %s can't be installed together", n, other).
					WithHint(fmt.Sprintf("leave one out: exclude = [%q]", other)))
			}
		}
	}
	return errors.Join(errs...)
}

// actions makes fetch and unpack for each package, and the merge.
func (w *walk) actions(names []string, a *packagesArgs) (*action.Action, *starlark.Dict, error) {
	params := mergeParams{Arch: a.Arch, Versions: make(map[string]string, len(names))}
	inputs := make([]action.Input, 0, len(names))
	var drop []string
	if !a.Docs {
		drop = documentation
	}
	for _, n := range names {
		p := w.pins[n]
		unpack, err := newUnpack(w.c, p, a.Suite, a.Arch, unpackParams{Drop: drop})
		if err != nil {
			return nil, nil, err
		}
		params.Versions[n] = p.Version
		inputs = append(inputs, action.Input{Name: n, Artifact: unpack.Output("tree")})
	}
	spec := action.Spec{Op: mergeOp, Params: params, Inputs: inputs, Title: "toolchain " + title(a.Names),
		Outputs: []action.Output{{Name: "tree", Kind: action.Tree}}}
	if w.missing {
		spec.Op = unlockedOp
	}
	act, err := w.c.Action(spec)
	return act, versionsOf(w.pins, names), err
}

// title names a toolchain for people by its first few packages.
func title(names []string) string {
	if len(names) > 4 {
		return strings.Join(names[:4], ", ") + ", …"
	}
	return strings.Join(names, ", ")
}
