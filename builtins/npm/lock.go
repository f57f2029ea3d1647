package npm

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"path"
	"slices"
	"strings"

	"github.com/labstar/labstar/internal/pattern"
)

// lockFile is what is read of package-lock.json (docs.npmjs.com/cli, package-lock.json).
type lockFile struct {
	Version  int               `json:"lockfileVersion"`
	Packages map[string]*entry `json:"packages"`
}

// entry is one package of the lock, at its place in node_modules.
type entry struct {
	Name             string            `json:"name"` // only where it is not the path's last part
	Version          string            `json:"version"`
	Resolved         string            `json:"resolved"`
	Integrity        string            `json:"integrity"`
	License          license           `json:"license"`
	Link             bool              `json:"link"`
	Dev              bool              `json:"dev"`
	Optional         bool              `json:"optional"`
	DevOptional      bool              `json:"devOptional"`
	InBundle         bool              `json:"inBundle"`
	HasInstallScript bool              `json:"hasInstallScript"`
	OS               words             `json:"os"`
	CPU              words             `json:"cpu"`
	Libc             words             `json:"libc"`
	Bin              bins              `json:"bin"`
	Dependencies     map[string]string `json:"dependencies"`
	DevDependencies  map[string]string `json:"devDependencies"`
	OptDependencies  map[string]string `json:"optionalDependencies"`

	path string
	sum  integrity
}

// words is a string or a list of them.
type words []string

func (w *words) UnmarshalJSON(b []byte) error {
	var one string
	if json.Unmarshal(b, &one) == nil {
		*w = words{one}
		return nil
	}
	return json.Unmarshal(b, (*[]string)(w))
}

// license is an SPDX expression; old packages have an object with a type.
type license string

func (l *license) UnmarshalJSON(b []byte) error {
	if json.Unmarshal(b, (*string)(l)) == nil {
		return nil
	}
	var old struct {
		Type string `json:"type"`
	}
	if json.Unmarshal(b, &old) == nil {
		*l = license(old.Type)
	}
	return nil // a malformed one is as good as none
}

// bins are the programs of a package by name; a string is one with the package's name.
type bins map[string]string

func (b *bins) UnmarshalJSON(raw []byte) error {
	var one string
	if json.Unmarshal(raw, &one) == nil {
		*b = bins{"": one}
		return nil
	}
	return json.Unmarshal(raw, (*map[string]string)(b))
}

func parseLock(raw []byte) (*lockFile, error) {
	var l lockFile
	if err := json.Unmarshal(raw, &l); err != nil {
		return nil, fmt.Errorf("reading package-lock.json: %w", err)
	}
	if l.Version < 2 || l.Version > 3 || l.Packages == nil {
		return nil, fmt.Errorf("got a lock of version %d, want 2 or 3: npm 7 or newer writes it anew (npm install --package-lock-only)", l.Version)
	}
	var errs []error
	for _, p := range l.paths() {
		if err := l.Packages[p].complete(p); err != nil {
			errs = append(errs, err)
		}
	}
	return &l, errors.Join(errs...)
}

// paths are those of all packages but the project itself, sorted.
func (l *lockFile) paths() []string {
	return slices.DeleteFunc(slices.Sorted(maps.Keys(l.Packages)), func(p string) bool { return p == "" })
}

var (
	packageName = pattern.New(`^(@[A-Za-z0-9_~-][A-Za-z0-9._~-]*/)?[A-Za-z0-9_~-][A-Za-z0-9._~-]*$`)
	version     = pattern.New(`^[0-9]+\.[0-9]+\.[0-9]+[0-9A-Za-z.+-]*$`)
)

// complete checks an entry and fills in what its place says.
func (e *entry) complete(p string) error {
	if e == nil {
		return fmt.Errorf("package at %q: got null", p)
	}
	if e.Link || !strings.HasPrefix(p, "node_modules/") {
		return fmt.Errorf("package at %q is a folder of the project itself (a workspace or file: dependency), which is not in a registry: "+
			"lay it into the tree beside node_modules with tree()", p)
	}
	e.path = p
	last := ""
	for part := range strings.SplitSeq("/"+p, "/node_modules/") {
		if part != "" && !packageName().MatchString(part) {
			return fmt.Errorf("got the path %q, which names no package", clip(p))
		}
		last = part
	}
	if e.Name == "" {
		e.Name = last
	}
	if !packageName().MatchString(last) || !packageName().MatchString(e.Name) || len(e.Name) > 214 {
		return fmt.Errorf("package at %q: got the name %q, which is none of a package", clip(p), clip(e.Name))
	}
	if e.InBundle {
		return nil
	}
	if !version().MatchString(e.Version) {
		return fmt.Errorf("package %s: got the version %q, want one as in \"1.2.3\"", e.Name, clip(e.Version))
	}
	if r := e.Resolved; r != "" && !strings.HasPrefix(r, "https://") && !strings.HasPrefix(r, "http://") {
		return fmt.Errorf("package %s: got the source %q, want a tarball of a registry: git and local sources have no integrity", e.Name, clip(r))
	}
	var err error
	if e.sum, err = parseIntegrity(e.Integrity); err != nil {
		return fmt.Errorf("package %s: %w", e.Name, err)
	}
	e.Bin = e.Bin.clean(e.Name)
	return nil
}

// clean keeps names and targets inside of .bin and of the package, as npm does.
func (b bins) clean(name string) bins {
	out := bins{}
	for n, target := range b {
		if n == "" {
			n = name
		}
		n = path.Base(path.Clean("/" + n))
		if target = strings.TrimPrefix(path.Clean("/"+target), "/"); target != "" && n != "/" && n != "." {
			out[n] = target
		}
	}
	if len(out) == 0 {
		return nil
	}
	return out
}

// agrees reports that package.json asks for something else than the lock was made for.
func (l *lockFile) agrees(raw []byte) error {
	var p entry
	if err := json.Unmarshal(raw, &p); err != nil {
		return fmt.Errorf("reading package.json: %w", err)
	}
	root := l.Packages[""]
	if root == nil {
		return errors.New("package-lock.json does not say which package.json it was made for")
	}
	for _, kind := range []struct {
		name      string
		want, has map[string]string
	}{
		{"dependencies", p.Dependencies, root.Dependencies},
		{"devDependencies", p.DevDependencies, root.DevDependencies},
		{"optionalDependencies", p.OptDependencies, root.OptDependencies},
	} {
		for _, n := range slices.Sorted(maps.Keys(kind.want)) {
			if _, opt := p.OptDependencies[n]; opt && kind.name == "dependencies" {
				continue // npm keeps it among the optional ones only
			}
			if has, ok := kind.has[n]; !ok || has != kind.want[n] {
				return fmt.Errorf("%s of package.json has %s %q, package-lock.json has %s", kind.name, n, kind.want[n], orNone(has))
			}
		}
		for _, n := range slices.Sorted(maps.Keys(kind.has)) {
			if _, ok := kind.want[n]; !ok {
				return fmt.Errorf("package-lock.json has %s %q among %s, package.json has not", n, kind.has[n], kind.name)
			}
		}
	}
	return nil
}

func orNone(s string) string {
	if s == "" {
		return "none"
	}
	return fmt.Sprintf("%q", s)
}

// clip shortens what a message quotes of a file that may be hostile.
func clip(s string) string {
	if len(s) > 100 {
		return strings.ToValidUTF8(s[:100], "") + "…"
	}
	return s
}
