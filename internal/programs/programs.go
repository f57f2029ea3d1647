// Package programs holds the programs of a tree against what will happen when they
// are started: their loader, the libraries, the versions of symbols, the interpreters
// of scripts. It reads folders, the first bytes of files, and the dynamic sections of
// ELF files.
//
//	p := programs.New(content, edit)
//	err := p.Check(ctx, "usr/bin/tool", node)
//	problems := p.Errors(ctx)
package programs

import (
	"context"
	"debug/elf"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strings"

	"github.com/labstar/labstar/action"
	"github.com/labstar/labstar/internal/format/dynlink"
)

// Checker holds each program of a tree against what its loader will do: the
// loader itself, the libraries, their class and machine, and the versions of
// symbols. The search is that of ld.so(8), and of musl's ldso/dynlink.c.
type Checker struct {
	Edit    *action.Edit
	Content action.Content
	// Search are the folders of LD_LIBRARY_PATH.
	Search []string
	// Refuse, if set, says why a program can't run whatever its libraries are.
	Refuse func(shown string, o *dynlink.Object) error
	// Words are those of the builtin that checks.
	Words Words

	objects  map[action.Digest]*dynlink.Object
	places   map[string]place    // where a path leads, by path
	cache    map[string][]string // paths by library name, from /etc/ld.so.cache
	loaders  map[string]*loader
	compared map[string]bool // pairs of object and library whose versions were looked at
	missing  []problem
	known    map[string]int // index into missing
	other    []error
}

// Words say what to do in the terms of a builtin. Each is a format.
type Words struct {
	Loader  string // add the C library
	Library string // add what has the library
	Link    string // make the first path lead to the second
	MuslDir string // make a file, the first, with the text, the second; "" is Link
}

// place is where a path leads.
type place struct {
	path string
	node action.Node
	ok   bool
}

// problem is a library that is not found, and who needs it.
type problem struct {
	lib, loader string
	users       []string
	dirs        []string
	machine     elf.Machine
}

// New returns a Checker of the tree of e.
func New(content action.Content, e *action.Edit) *Checker {
	return &Checker{
		Edit: e, Content: content,
		objects: map[action.Digest]*dynlink.Object{}, places: map[string]place{}, loaders: map[string]*loader{},
		compared: map[string]bool{}, known: map[string]int{},
	}
}

// object reads an ELF file, once for each content.
func (p *Checker) object(ctx context.Context, d action.Digest) (*dynlink.Object, error) {
	if o, ok := p.objects[d]; ok {
		return o, nil
	}
	b, err := p.Content.OpenBlob(ctx, d)
	if err != nil {
		return nil, err
	}
	defer b.Close()
	o, err := dynlink.Read(b)
	if err != nil {
		return nil, err
	}
	p.objects[d] = o
	return o, nil
}

// Check looks at one program: an ELF file that can be run.
func (p *Checker) Check(ctx context.Context, name string, n action.Node) error {
	shown := "/" + name
	o, err := p.object(ctx, n.Digest)
	if err != nil {
		p.other = append(p.other, fmt.Errorf("checking program %q: %w", shown, err))
		return nil
	}
	if !o.Program() && (!o.Dynamic || o.Type != elf.ET_DYN || strings.Contains(name, ".so")) {
		return nil
	}
	if p.Refuse != nil {
		if err := p.Refuse(shown, o); err != nil {
			p.other = append(p.other, err)
			return nil
		}
	}
	if o.Interp == "" {
		return nil
	}
	if at, err := p.resolve(ctx, o.Interp); err != nil {
		return err
	} else if at.ok {
		if err := p.Edit.Runnable(ctx, o.Interp); err != nil {
			p.other = append(p.other, fmt.Errorf("checking program %q: its loader %w", shown, err))
			return nil
		}
	} else {
		p.add(problem{lib: o.Interp, loader: o.Interp, machine: o.Machine}, shown)
		return nil
	}
	l, err := p.loader(ctx, o.Interp)
	if err != nil {
		return err
	}
	return p.libraries(ctx, &loading{
		interp: o.Interp, loader: l, loaded: map[string]bool{}, queue: []loaded{{at: shown, object: o}},
	})
}

// MachineName is what messages call a machine.
func MachineName(m elf.Machine) string {
	switch m {
	case elf.EM_X86_64:
		return "x86_64"
	case elf.EM_386:
		return "i386"
	case elf.EM_AARCH64:
		return "arm64"
	case elf.EM_ARM:
		return "arm"
	}
	return strings.ToLower(strings.TrimPrefix(m.String(), "EM_"))
}

// loading is one program being loaded: objects whose libraries are still to be
// found, and those that are loaded, by the name they were asked for.
type loading struct {
	interp string
	*loader
	queue  []loaded
	loaded map[string]bool
}

type loaded struct {
	at        string
	object    *dynlink.Object
	inherited []string // DT_RPATHs of the objects above
}

// libraries finds what the program needs, and what that needs in turn, in the
// loader's order. What is loaded already is not looked for again.
func (p *Checker) libraries(ctx context.Context, l *loading) error {
	for len(l.queue) > 0 {
		next := l.queue[0]
		l.queue = l.queue[1:]
		dirs, handed := l.search(next)
		dirs = slices.Concat(dirs, p.Search)
		for _, lib := range next.object.Needed {
			if l.loaded[lib] {
				continue
			}
			l.loaded[lib] = true
			found, err := p.find(ctx, l, lib, dirs, next.object)
			if err != nil {
				return err
			}
			if found.path == "" {
				p.add(problem{lib: lib, loader: l.interp, dirs: slices.Concat(dirs, l.dirs), machine: next.object.Machine}, next.at)
				continue
			}
			below, err := p.object(ctx, found.node.Digest)
			if err != nil {
				return err
			}
			if pair := next.at + "\x00" + found.path; !p.compared[pair] {
				p.compared[pair] = true
				p.versions(next.at, next.object, lib, found.path, below)
			}
			l.queue = append(l.queue, loaded{"/" + found.path, below, handed})
		}
	}
	return nil
}

// search returns where an object's libraries are searched before the loader's own
// folders, and what it hands down to them.
func (l *loading) search(o loaded) (dirs, handed []string) {
	origin := path.Dir(o.at)
	rpath, runpath := expand(o.object.RPath, origin), expand(o.object.RunPath, origin)
	switch {
	case l.musl: // searches both, those above too
		handed = slices.Concat(runpath, rpath, o.inherited)
		return handed, handed
	case len(runpath) > 0:
		return runpath, o.inherited
	}
	handed = slices.Concat(rpath, o.inherited)
	return handed, handed
}

// expand fills in $ORIGIN and drops what the loader would not search.
func expand(dirs []string, origin string) []string {
	var out []string
	for _, d := range dirs {
		d = strings.NewReplacer("${ORIGIN}", origin, "$ORIGIN", origin).Replace(d)
		if strings.HasPrefix(d, "/") && !strings.Contains(d, "$") {
			out = append(out, path.Clean(d))
		}
	}
	return out
}

// find returns the library that the loader would take, a zero place if none.
func (p *Checker) find(ctx context.Context, l *loading, lib string, dirs []string, o *dynlink.Object) (place, error) {
	if l.musl && muslOwn(lib) {
		lib = l.interp
	}
	var candidates []string
	if strings.Contains(lib, "/") {
		candidates = []string{lib}
	} else {
		for _, d := range dirs {
			candidates = append(candidates, d+"/"+lib)
		}
		if !l.musl {
			candidates = append(candidates, p.cache[lib]...)
		}
		for _, d := range l.dirs {
			candidates = append(candidates, d+"/"+lib)
		}
	}
	for _, c := range candidates {
		at, err := p.resolve(ctx, c)
		if err != nil {
			return place{}, err
		}
		if !at.ok {
			continue
		}
		// What is for another machine is passed over, as the loader does.
		if found, err := p.object(ctx, at.node.Digest); err == nil && found.Machine == o.Machine && found.Class == o.Class {
			return at, nil
		}
	}
	return place{}, nil
}

func (p *Checker) resolve(ctx context.Context, name string) (place, error) {
	if at, ok := p.places[name]; ok {
		return at, nil
	}
	n, real, err := p.Edit.Resolve(ctx, name)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return place{}, err
	}
	at := place{path: real, node: n, ok: err == nil && n.Kind == action.Regular}
	p.places[name] = at
	return at, nil
}

// muslOwn are the names under which musl's loader knows itself.
func muslOwn(lib string) bool {
	base, ok := strings.CutPrefix(lib, "lib")
	name, _, _ := strings.Cut(base, ".")
	return ok && slices.Contains([]string{"c", "pthread", "rt", "m", "dl", "util", "xnet"}, name)
}

// versions reports versions of symbols that are asked of a library and are not in
// it. A library without any is taken as it is, as the loader does.
func (p *Checker) versions(at string, o *dynlink.Object, lib, libPath string, found *dynlink.Object) {
	if len(found.Has) == 0 {
		return
	}
	for _, v := range o.Wants[lib] {
		if slices.Contains(found.Has, v) {
			continue
		}
		family, _, _ := strings.Cut(v, "_")
		newest := ""
		for _, h := range found.Has {
			number, ok := strings.CutPrefix(h, family+"_") // and not GLIBC_PRIVATE or GLIBC_ABI_DT_RELR
			if ok && number != "" && number[0] <= '9' && (newest == "" || compareVersions(h, newest) > 0) {
				newest = h
			}
		}
		has := "has no version of that name"
		if newest != "" {
			has = "has " + newest + " at most"
		}
		p.other = append(p.other, fmt.Errorf("checking program %q: it needs %s of %s, and %q %s; build it against this library, or lay a newer one",
			at, v, lib, "/"+libPath, has))
	}
}

// compareVersions orders GLIBC_2.9 before GLIBC_2.10.
func compareVersions(a, b string) int {
	x, y := strings.Split(a, "."), strings.Split(b, ".")
	for i := range min(len(x), len(y)) {
		if len(x[i]) != len(y[i]) {
			return len(x[i]) - len(y[i])
		}
		if c := strings.Compare(x[i], y[i]); c != 0 {
			return c
		}
	}
	return len(x) - len(y)
}

// add notes a library that is not found, with the others who need it.
func (p *Checker) add(m problem, user string) {
	key := m.lib + "\x00" + m.loader
	i, ok := p.known[key]
	if !ok {
		i = len(p.missing)
		p.known[key] = i
		p.missing = append(p.missing, m)
	}
	if u := &p.missing[i].users; !slices.Contains(*u, user) {
		*u = append(*u, user)
	}
}

// Errors tells all that was found, a line for each library that is missing.
func (p *Checker) Errors(ctx context.Context) []error {
	errs := p.other
	for _, m := range p.missing {
		who := fmt.Sprintf("%q", m.users[0])
		switch n := len(m.users); {
		case n == 2:
			who += fmt.Sprintf(" and %q", m.users[1])
		case n > 2:
			who += fmt.Sprintf(", %q and %d more", m.users[1], n-2)
		}
		if m.lib == m.loader {
			errs = append(errs, fmt.Errorf("checking program %s: the loader %q is not there; %s, or link the program statically", who, m.lib, p.Words.Loader))
			continue
		}
		errs = append(errs, fmt.Errorf("checking program %s: the shared library %q is not where the loader looks (%s)%s",
			who, m.lib, strings.Join(unique(m.dirs), ", "), p.remedy(ctx, m)))
	}
	return errs
}

func unique(list []string) []string {
	var out []string
	for _, s := range list {
		if !slices.Contains(out, s) {
			out = append(out, s)
		}
	}
	return out
}

// remedy looks for the library elsewhere in the tree.
func (p *Checker) remedy(ctx context.Context, m problem) string {
	var at string
	wrong := false
	err := p.Edit.Walk(ctx, func(name string, n action.Node) error {
		if path.Base(name) != m.lib || n.Kind == action.Dir || at != "" && !wrong {
			return nil
		}
		here, err := p.resolve(ctx, "/"+name)
		if err != nil || !here.ok {
			return err
		}
		o, err := p.object(ctx, here.node.Digest)
		at, wrong = "/"+name, err != nil || o.Machine != m.machine
		return nil
	})
	switch {
	case err != nil || at == "":
		return "; " + p.Words.Library + ", or link the program statically"
	case wrong:
		return fmt.Sprintf("; %q is for another machine", at)
	}
	dir := path.Dir(at)
	if strings.Contains(m.loader, "musl") && p.Words.MuslDir != "" {
		return fmt.Sprintf("; it is at %q: "+p.Words.MuslDir, at, "/etc/"+strings.TrimSuffix(path.Base(m.loader), ".so.1")+".path",
			strings.Join(append(unique(m.dirs), dir), "\n")+"\n")
	}
	to := "/usr/lib/" + m.lib
	if len(m.dirs) > 0 {
		to = m.dirs[len(m.dirs)-1] + "/" + m.lib
	}
	return fmt.Sprintf("; it is at %q: "+p.Words.Link, at, to, at)
}
