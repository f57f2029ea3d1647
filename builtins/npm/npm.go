// Package npm has the builtin npm_packages: the packages of a package-lock.json as a
// node_modules folder, without npm.
//
//	modules = npm_packages(lock = file("package-lock.json"), package = file("package.json"))
//
// The lock is read while the script is evaluated; what it says decides everything.
// There are three kinds of actions, so that two labs share a package they both have:
//
//	npm/fetch    one tarball, from the registry that this machine uses, by its integrity
//	npm/unpack   its files as a tree, with npm's modes
//	npm/install  all trees in one node_modules, with the links of .bin
//
// A package's install script is never run.
package npm

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"go.starlark.net/starlark"

	"github.com/labstar/labstar/action"
	"github.com/labstar/labstar/starlark/schema"
)

// Builtins returns the builtins of this group.
func Builtins() []*schema.Builtin { return []*schema.Builtin{Packages} }

type packagesArgs struct {
	Lock     *schema.Artifact `star:"lock" kind:"file" doc:"the lab's own package-lock.json, of version 2 or 3"`
	Package  *schema.Artifact `star:"package,optional" kind:"file" doc:"the package.json beside it; the lock is then checked to be that file's"`
	Dev      bool             `star:"dev,keyword" default:"False" doc:"also what is needed for development only"`
	Optional bool             `star:"optional,keyword" default:"True" doc:"also optional packages, where the platform has them"`
	Platform string           `star:"platform,keyword" default:"\"linux/amd64\"" doc:"OS/ARCH that it is for, as of an image"`
	Libc     string           `star:"libc,keyword" default:"\"glibc\"" enum:"glibc,musl" doc:"the C library of that system"`
	Scripts  []string         `star:"without_scripts,keyword,optional" doc:"packages that have an install script and work without it"`
	Name     string           `star:"name,keyword" default:"\"node_modules\"" doc:"what messages call it"`
}

// Packages is the builtin `npm_packages`.
var Packages = schema.New("npm_packages", `npm_packages installs the packages of a package-lock.json, without npm.

Versions and hashes are the lock's; npm itself makes and renews it (`+"`npm install --package-lock-only`"+`).
Tarballs come from the registry of this machine's npm settings (npm.registry,
LABSTAR_NPM_REGISTRY, or registry in .npmrc: there is none by default) and are checked by
their integrity. Packages for another platform are left out if they are optional.
No install script is run: a package that has one is an error until
without_scripts names it.

	modules = npm_packages(lock = file("package-lock.json"), package = file("package.json"))
	backend = tree({"srv": modules, "srv/server.js": file("server.js")})`,
	callPackages, schema.Returns("a tree that holds node_modules, with the attributes `packages` (a dict of paths to versions) and `licenses` (a dict of paths to licences)"))

// maxLock bounds a lock's size, in bytes: one of ten thousand packages has 5 MB.
const maxLock = 64 << 20

func callPackages(c *schema.Call, a *packagesArgs) (starlark.Value, error) {
	target, err := parsePlatform(a.Platform, a.Libc)
	if err != nil {
		return nil, c.ArgErrorf("platform", "%w", err)
	}
	raw, err := read(a.Lock)
	if err != nil {
		return nil, c.ArgErrorf("lock", "%w", err)
	}
	l, err := parseLock(raw)
	if err != nil {
		return nil, c.ArgErrorf("lock", "%w", err)
	}
	if a.Package != nil {
		raw, err := read(a.Package)
		if err != nil {
			return nil, c.ArgErrorf("package", "%w", err)
		}
		if err := l.agrees(raw); err != nil {
			return nil, c.ArgErrorf("package", "%w", err).WithHint("bring the lock up to date: npm install --package-lock-only")
		}
	}
	chosen, err := l.choose(choice{target: target, dev: a.Dev, optional: a.Optional})
	if err != nil {
		return nil, c.ArgErrorf("lock", "%w", err)
	}
	if err := scripts(c, a.Scripts, chosen); err != nil {
		return nil, err
	}
	return install(c, a.Name, chosen)
}

// read returns the content of a file of the lab itself.
func read(f *schema.Artifact) ([]byte, error) {
	src := f.Action.Source
	if src == nil {
		return nil, errors.New("got a file that is known only after a build, want one of the lab's own, as file(\"package-lock.json\")")
	}
	if src.Digest.Size > maxLock {
		return nil, fmt.Errorf("got a file of %d bytes, want at most %d", src.Digest.Size, maxLock)
	}
	return src.ReadAll(src.Digest)
}

// scripts reports packages with an install script that the script does not know of,
// and names that have none.
func scripts(c *schema.Call, known []string, chosen []*entry) error {
	var errs []error
	var names []string
	for _, e := range chosen {
		if !e.HasInstallScript {
			continue
		}
		if names = append(names, e.Name); !slices.Contains(known, e.Name) {
			errs = append(errs, c.ArgErrorf("lock", "package %s@%s has an install script, which is never run", e.Name, e.Version).
				WithHint(fmt.Sprintf("if it works without, say so: without_scripts = [%q]; if it compiles something, do that with run, or take another package", e.Name)))
		}
	}
	for i, n := range known {
		if !slices.Contains(names, n) {
			e := c.ArgErrorf(fmt.Sprintf("without_scripts[%d]", i), "package %q is not there or has no install script", n)
			if s := schema.Suggest(n, names); s != "" {
				e = e.WithHint(fmt.Sprintf("did you mean %q?", s))
			}
			errs = append(errs, e)
		}
	}
	return errors.Join(errs...)
}

// install makes the actions.
func install(c *schema.Call, title string, chosen []*entry) (starlark.Value, error) {
	spec := action.Spec{Op: installOp, Title: title, Outputs: []action.Output{{Name: "tree", Kind: action.Tree}}}
	var p installParams
	versions, licenses := starlark.NewDict(len(chosen)), starlark.NewDict(len(chosen))
	for _, e := range chosen {
		tree, err := unpacked(c, e)
		if err != nil {
			return nil, err
		}
		spec.Inputs = append(spec.Inputs, action.Input{Name: e.path, Artifact: tree})
		p.Packages = append(p.Packages, installed{Path: e.path, Name: e.Name, Version: e.Version, License: string(e.License), Bin: e.Bin})
		// The keys are distinct strings and the dicts are fresh: SetKey can't fail.
		_ = versions.SetKey(starlark.String(e.path), starlark.String(e.Version))
		_ = licenses.SetKey(starlark.String(e.path), starlark.String(e.License))
	}
	spec.Params = p
	act, err := c.Action(spec)
	if err != nil {
		return nil, err
	}
	return schema.NewArtifact(act.Output("tree"), "tree", starlark.StringDict{"packages": versions, "licenses": licenses}), nil
}

// unpacked makes the actions of one package.
func unpacked(c *schema.Call, e *entry) (*action.Artifact, error) {
	id := e.Name + "@" + e.Version
	out := "package.tgz"
	fetch, err := c.Action(action.Spec{
		Op: fetchOp, Title: "fetch " + id, Outputs: []action.Output{{Name: out, Kind: action.File}},
		Params: fetchParams{Name: e.Name, Version: e.Version, URL: e.elsewhere(), Integrity: e.sum.String()},
	})
	if err != nil {
		return nil, err
	}
	unpack, err := c.Action(action.Spec{
		Op: unpackOp, Title: "unpack " + id, Component: e.component(), Outputs: []action.Output{{Name: "tree", Kind: action.Tree}},
		Params: unpackParams{Name: e.Name, Version: e.Version},
		Inputs: []action.Input{{Name: "tarball", Artifact: fetch.Output(out)}},
	})
	if err != nil {
		return nil, err
	}
	return unpack.Output("tree"), nil
}

// platform is what packages are chosen by, in Node's words.
type platform struct{ os, cpu, libc string }

var cpus = map[string]string{"amd64": "x64", "386": "ia32", "arm64": "arm64", "arm": "arm", "riscv64": "riscv64",
	"ppc64le": "ppc64", "s390x": "s390x", "loong64": "loong64"}

func parsePlatform(s, libc string) (platform, error) {
	system, arch, _ := strings.Cut(s, "/")
	arch, _, _ = strings.Cut(arch, "/") // a variant, as in linux/arm/v7, is none of Node's
	cpu := cpus[arch]
	if system == "" || cpu == "" {
		return platform{}, fmt.Errorf("got %q, want OS/ARCH, as \"linux/amd64\"", s)
	}
	return platform{system, cpu, libc}, nil
}

// component is the package in a bill of materials.
func (e *entry) component() *action.Component {
	return &action.Component{
		Kind: "npm", Name: e.Name, Version: e.Version, URL: e.elsewhere(), Licence: string(e.License),
		PURL: "pkg:npm/" + strings.Replace(e.Name, "@", "%40", 1) + "@" + e.Version,
	}
}
