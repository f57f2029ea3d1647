package rootfs

import (
	"context"
	"errors"
	"fmt"
	"path"
	"slices"
	"strings"

	"github.com/labstar/labstar/action"
)

// moduleIndex is what depmod says of a kernel's modules, by the names that modprobe
// takes.
type moduleIndex struct {
	dir     string              // lib/modules/RELEASE
	paths   map[string]string   // relative to dir, by name
	deps    map[string][]string // names, as in modules.dep, by name
	soft    map[string][]string
	builtin map[string]bool
	lines   map[string]string // of modules.dep
}

// moduleName is the name of a module's file: with '_' for '-', as the kernel has it.
func moduleName(file string) string {
	name, _, _ := strings.Cut(path.Base(file), ".ko")
	return strings.ReplaceAll(name, "-", "_")
}

// readModules reads modules.dep, modules.softdep and modules.builtin of a tree of
// modules: that of /lib/modules, or of /usr/lib/modules where /usr is merged.
func (c *composer) readModules(ctx context.Context) (*moduleIndex, error) {
	var deps []string
	for _, dir := range []string{"lib/modules", "usr/lib/modules"} {
		err := c.below(ctx, dir, func(p string, n action.Node) error {
			if path.Base(p) == "modules.dep" && n.Kind == action.Regular && !slices.Contains(deps, p) {
				deps = append(deps, p)
			}
			return nil
		})
		if err != nil {
			return nil, err
		}
	}
	switch len(deps) {
	case 0:
		return nil, errors.New("finding modules: the kernel has no lib/modules/RELEASE/modules.dep")
	case 1:
	default:
		return nil, fmt.Errorf("finding modules: got %q and %q, want modules of one kernel", "/"+deps[0], "/"+deps[1])
	}
	m := &moduleIndex{dir: path.Dir(deps[0]), paths: map[string]string{}, deps: map[string][]string{}, soft: map[string][]string{}, builtin: map[string]bool{}, lines: map[string]string{}}
	text, err := c.readText(ctx, deps[0])
	if err != nil {
		return nil, err
	}
	for line := range strings.Lines(text) {
		file, rest, ok := strings.Cut(strings.TrimSpace(line), ":")
		if !ok {
			continue
		}
		name := moduleName(file)
		m.paths[name], m.lines[name] = file, line
		for _, d := range strings.Fields(rest) {
			m.deps[name] = append(m.deps[name], moduleName(d))
		}
	}
	if text, err = c.readText(ctx, m.dir+"/modules.builtin"); err != nil {
		return nil, err
	}
	for line := range strings.Lines(text) {
		m.builtin[moduleName(strings.TrimSpace(line))] = true
	}
	if text, err = c.readText(ctx, m.dir+"/modules.softdep"); err != nil {
		return nil, err
	}
	for line := range strings.Lines(text) {
		f := strings.Fields(line)
		if len(f) < 3 || f[0] != "softdep" {
			continue
		}
		for _, w := range f[2:] {
			if !strings.HasSuffix(w, ":") {
				m.soft[moduleName(f[1])] = append(m.soft[moduleName(f[1])], moduleName(w))
			}
		}
	}
	return m, nil
}

// closure returns the modules with what they depend on, those first; one that is
// built into the kernel needs none. Soft dependencies that are not there are none.
func (m *moduleIndex) closure(names []string) ([]string, error) {
	var list []string
	seen := map[string]bool{}
	var add func(name string)
	add = func(name string) {
		if seen[name] || m.paths[name] == "" {
			return
		}
		seen[name] = true
		for _, d := range slices.Concat(m.soft[name], m.deps[name]) {
			add(d)
		}
		list = append(list, name)
	}
	var errs []error
	for _, n := range names {
		name := strings.ReplaceAll(n, "-", "_")
		if m.paths[name] == "" && !m.builtin[name] {
			all := sortedKeys(m.paths)
			for b := range m.builtin {
				all = append(all, b)
			}
			slices.Sort(all)
			errs = append(errs, fmt.Errorf("finding modules: the kernel has no module %q%s; switch its option on in kernel_config", n, suggestion(name, all)))
		}
		add(name)
	}
	return list, errors.Join(errs...)
}

// addModules lays the modules, and what they depend on, into a tree, with a
// modules.dep for them and their names in /etc/modules. Links of a merged /usr in
// the tree are followed.
func (c *composer) addModules(ctx context.Context, kernel action.Digest, names []string) error {
	from := composer{env: c.env, e: action.NewEdit(c.env, kernel)}
	m, err := from.readModules(ctx)
	if err != nil {
		return err
	}
	list, err := m.closure(names)
	if err != nil {
		return err
	}
	lib := "lib"
	if _, at, err := c.e.Resolve(ctx, "lib"); err == nil {
		lib = at
	}
	to := path.Join(lib, "modules", path.Base(m.dir))
	var dep strings.Builder
	for _, name := range list {
		n, _, err := from.e.Resolve(ctx, m.dir+"/"+m.paths[name])
		if err != nil {
			return fmt.Errorf("laying module %s: %w", name, err)
		}
		if err := c.put(ctx, to+"/"+m.paths[name], n.Digest, action.Attr{Mode: action.ModeFile}); err != nil {
			return err
		}
	}
	slices.SortFunc(list, func(x, y string) int { return strings.Compare(m.paths[x], m.paths[y]) })
	for _, name := range list {
		dep.WriteString(m.lines[name])
	}
	texts := []text{{Path: to + "/modules.dep", Text: action.Late(dep.String())}}
	for _, name := range []string{"modules.builtin", "modules.order", "modules.softdep"} {
		content, err := from.readText(ctx, m.dir+"/"+name)
		if err != nil {
			return err
		}
		if content != "" {
			texts = append(texts, text{Path: to + "/" + name, Text: action.Late(content)})
		}
	}
	before, err := c.readText(ctx, "etc/modules")
	if err != nil {
		return err
	}
	if before != "" && !strings.HasSuffix(before, "\n") {
		before += "\n"
	}
	texts = append(texts, text{Path: "etc/modules", Text: action.Late(before + strings.Join(names, "\n") + "\n")})
	for _, t := range texts {
		t.Mode = action.ModeFile
		if err := c.text(ctx, t); err != nil {
			return err
		}
	}
	return nil
}
