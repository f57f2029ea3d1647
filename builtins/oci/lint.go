package oci

import (
	"context"
	"debug/elf"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strings"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/labstar/labstar/action"
	"github.com/labstar/labstar/internal/format/dynlink"
	"github.com/labstar/labstar/internal/programs"
	"github.com/labstar/labstar/starlark/schema"
)

// linter looks for what would fail in a container. It reads the folders of all
// layers, and of the image's own the programs: those of a base were there before.
type linter struct {
	*configParams
	ctx      context.Context
	env      action.Env
	e        *action.Edit // all layers
	config   v1.Config
	programs *programs.Checker
	errs     []error
}

func (p *configParams) lint(ctx context.Context, env action.Env, e *action.Edit, config v1.Config) error {
	l := &linter{configParams: p, ctx: ctx, env: env, e: e, config: config, programs: programs.New(env, e)}
	l.programs.Refuse = l.wrongMachine
	l.programs.Search = libraryPath(config.Env)
	l.programs.Words = programs.Words{
		Loader:  "add the C library to layers (debian_layer, or the .runtime of glibc and musl)",
		Library: "add the tree or the package that has it to layers",
		Link:    "add tree(symlinks = {%q: %q}) to layers",
	}
	u, err := l.user()
	if err != nil {
		return err
	}
	if err := l.start(u); err != nil {
		return err
	}
	for i := range p.Layers {
		if err := l.layer(i); err != nil {
			return err
		}
	}
	l.errs = append(l.errs, l.programs.Errors(ctx)...)
	found, err := p.secrets(ctx, env)
	if err != nil {
		return err
	}
	return errors.Join(append(l.errs, found...)...)
}

// fail reports what is wrong with an argument, or an element of one.
func (l *linter) fail(arg, format string, args ...any) {
	l.errs = append(l.errs, &action.PartError{Part: arg, Err: fmt.Errorf(format, args...)})
}

// noteParts notes where the script has what the linter's errors are about.
func noteParts(c *schema.Call, act *action.Action, layers int) {
	if !c.KeepsParts() {
		return
	}
	for arg, elem := range map[string]string{"entrypoint": "[0]", "cmd": "[0]", "healthcheck": `["test"]`, "user": "", "allow_secrets": ""} {
		c.Part(act, arg, c.ArgErrorf(arg+elem, "what is checked"))
	}
	for i := range layers {
		arg := layerArg(i)
		c.Part(act, arg, c.ArgErrorf(arg, "what is checked"))
	}
}

// layerArg names a layer, as an argument and as an input.
func layerArg(i int) string { return fmt.Sprintf("layers[%d]", i) }

// libraryPath are the folders of LD_LIBRARY_PATH.
func libraryPath(env []string) []string {
	for _, v := range env {
		if list, ok := strings.CutPrefix(v, "LD_LIBRARY_PATH="); ok {
			return slices.DeleteFunc(strings.Split(list, ":"), func(d string) bool { return !strings.HasPrefix(d, "/") })
		}
	}
	return nil
}

// machines are those of platforms: the first runs natively, the second on the same
// processors too.
var machines = map[string][]elf.Machine{
	"amd64": {elf.EM_X86_64, elf.EM_386}, "arm64": {elf.EM_AARCH64, elf.EM_ARM}, "386": {elf.EM_386}, "arm": {elf.EM_ARM},
	"riscv64": {elf.EM_RISCV}, "ppc64le": {elf.EM_PPC64}, "s390x": {elf.EM_S390}, "mips64le": {elf.EM_MIPS}, "loong64": {elf.EM_LOONGARCH},
}

func (l *linter) wrongMachine(shown string, o *dynlink.Object) error {
	list := machines[l.Arch]
	if len(list) == 0 || slices.Contains(list, o.Machine) {
		return nil
	}
	for arch, m := range machines {
		if m[0] == o.Machine {
			return fmt.Errorf("checking program %q: it is for %s, and the image is for %s; build it with a toolchain for %s, or say platform = \"linux/%s\"",
				shown, programs.MachineName(o.Machine), l.platform, programs.MachineName(list[0]), arch)
		}
	}
	return fmt.Errorf("checking program %q: it is for %s, and the image is for %s", shown, programs.MachineName(o.Machine), l.platform)
}

// unchecked reports whether the script wants a path left alone.
func (l *linter) unchecked(name string) bool {
	return slices.ContainsFunc(l.Unchecked, func(u string) bool { return name == u || strings.HasPrefix(name, u+"/") })
}

// layer looks at the programs of one layer, but for those that a layer above
// replaces. Scripts of packages may be for interpreters that nobody asked for.
func (l *linter) layer(i int) error {
	packages := slices.Contains(l.Packages, i)
	return action.NewEdit(l.env, l.env.Input(layerArg(i)).Digest).Walk(l.ctx, func(name string, n action.Node) error {
		if n.Kind != action.Regular || n.Digest.Size < 3 || n.Attr.Mode&0o111 == 0 || l.unchecked(name) {
			return nil
		}
		if top, err := l.e.Lookup(l.ctx, name); err != nil || top.Digest != n.Digest {
			return nil
		}
		head, err := programs.Head(l.ctx, l.env, n.Digest)
		switch {
		case err != nil:
			return err
		case strings.HasPrefix(string(head), dynlink.Magic):
			return l.programs.Check(l.ctx, name, n)
		case !packages && programs.IsScript(head) && programs.InFolder(name):
			if err := programs.Script(l.ctx, l.e, name, n, head); err != nil {
				l.fail(layerArg(i), "%w; add it to layers, or say unchecked = [%q] if nobody runs it", err, "/"+name)
			}
		}
		return nil
	})
}

// start checks what an engine runs: the command, and the health check.
func (l *linter) start(u user) error {
	if argv := append(slices.Clone(l.config.Entrypoint), l.config.Cmd...); len(argv) > 0 {
		what := "entrypoint"
		if len(l.config.Entrypoint) == 0 {
			what = "cmd"
		}
		if err := l.run(what, argv[0], u); err != nil {
			return err
		}
	}
	if h := l.config.Healthcheck; h != nil && len(h.Test) > 1 {
		switch h.Test[0] {
		case "CMD":
			return l.run("healthcheck", h.Test[1], u)
		case "CMD-SHELL":
			return l.run("healthcheck", "/bin/sh", u)
		}
	}
	return nil
}

// run checks that a user can run a program, which is a path or a name in PATH.
func (l *linter) run(what, program string, u user) error {
	switch {
	case strings.HasPrefix(program, "/"):
	case strings.Contains(program, "/"):
		program = path.Join("/", l.config.WorkingDir, program)
	default:
		search := strings.TrimPrefix(l.config.Env[0], "PATH=")
		found := ""
		for dir := range strings.SplitSeq(search, ":") {
			if found == "" && l.e.Runnable(l.ctx, path.Join(dir, program)) == nil {
				found = path.Join(dir, program)
			}
		}
		if found == "" {
			l.fail(what, "checking %s: %q is in no folder of the image's PATH %s", what, program, search)
			return nil
		}
		program = found
	}
	if l.unchecked(strings.TrimPrefix(program, "/")) {
		return nil
	}
	if err := l.e.Runnable(l.ctx, program); err != nil {
		l.fail(what, "checking %s: in the layers, %w", what, err)
		return nil
	}
	n, at, err := l.e.Resolve(l.ctx, program)
	if err != nil {
		return err
	}
	head, err := programs.Head(l.ctx, l.env, n.Digest)
	if err != nil {
		return err
	}
	script := programs.IsScript(head)
	if err := l.may(u, at, n, script); err != nil {
		l.fail(what, "checking %s: %w", what, err)
	}
	switch {
	case script:
		if err := programs.Script(l.ctx, l.e, at, n, head); err != nil {
			l.fail(what, "checking %s: %w", what, err)
		}
	case strings.HasPrefix(string(head), dynlink.Magic):
		return l.programs.Check(l.ctx, at, n)
	}
	return nil
}

// may reports why a user can't run the file at a path without symlinks.
func (l *linter) may(u user, at string, n action.Node, script bool) error {
	if u.uid == 0 {
		return nil
	}
	for i, c := range at {
		if c != '/' {
			continue
		}
		dir, err := l.e.Lookup(l.ctx, at[:i])
		if err != nil {
			return err
		}
		if !u.has(dir.Attr, 1) {
			return fmt.Errorf("%s can't get to %q: the folder %q has mode 0o%o and belongs to %d:%d; say modes = {%[3]q: 0o755} where it is laid",
				u, "/"+at, "/"+at[:i], dir.Attr.Mode, dir.Attr.UID, dir.Attr.GID)
		}
	}
	bits, verb := uint32(1), "run"
	if script {
		bits, verb = 5, "read and run" // its interpreter reads it
	}
	if !u.has(n.Attr, bits) {
		return fmt.Errorf("%s can't %s %q, which has mode 0o%o and belongs to %d:%d; say modes = {%[3]q: 0o755} where it is laid",
			u, verb, "/"+at, n.Attr.Mode, n.Attr.UID, n.Attr.GID)
	}
	return nil
}

// hides reports folders of a layer that would take the place of links below them, as
// /bin of a tree does over the link of a system with a merged /usr.
func hides(ctx context.Context, e, layer *action.Edit) error {
	return layer.Walk(ctx, func(p string, n action.Node) error {
		if p == "" || n.Kind != action.Dir {
			return nil
		}
		below, err := e.Lookup(ctx, p)
		switch {
		case errors.Is(err, fs.ErrNotExist):
			return fs.SkipDir
		case err != nil:
			return err
		case below.Kind == action.Symlink:
			return fmt.Errorf("%q is a folder here and a link to %q in the layers below, which it would hide with all that is in there; lay its files in %q",
				"/"+p, below.Target, path.Join("/", path.Dir(p), below.Target))
		case below.Kind != action.Dir:
			return fs.SkipDir
		}
		return nil
	})
}
