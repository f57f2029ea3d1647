package rootfs

import (
	"context"
	"errors"
	"fmt"
	"path"
	"slices"
	"strings"

	"github.com/labstar/labstar/action"
	"github.com/labstar/labstar/internal/format/dynlink"
	"github.com/labstar/labstar/internal/programs"
)

// survey is what a walk over a tree finds out about how it will run.
type survey struct {
	*composer
	programs *programs.Checker
	explicit map[string]bool // paths that the script of the lab lays
	errs     []error

	elf, script string   // the first of each that is run
	booted      bool     // rootfs made what is run at boot
	udhcpc      string   // who runs it
	packet      bool     // the module af_packet is there
	keymap      bool     // is loaded
	consoles    []string // terminals of /etc/inittab
	proc        []string // scripts that read /proc/config.gz
	login       string   // what lets users log in
	sshd        *sshServer
}

// check looks for what would fail at run time, most of it without a word.
func (c *composer) check(ctx context.Context) error {
	k, err := c.kernel(ctx, c.p.KernelArch)
	if err != nil {
		return err
	}
	s := survey{composer: c, programs: newPrograms(c, k), explicit: map[string]bool{}}
	for _, f := range c.p.Files {
		s.explicit[f.Path] = true
	}
	for _, f := range c.p.Texts {
		s.explicit[f.Path] = true
	}
	if c.p.Init != "" {
		if err := c.e.Runnable(ctx, c.p.Init); err != nil {
			remedy := ""
			if !c.there(ctx, c.p.Init) {
				remedy = "; add busybox to contents, or say init = what the kernel is to start"
			}
			s.failAt("init", "checking init: %w%s", err, remedy)
		}
	}
	if c.there(ctx, rcPath) { // which busybox' init runs without an inittab too
		if err := c.e.Runnable(ctx, rcPath); err != nil {
			s.failAt(filePart(rcPath), "checking the script for boot: %w", err)
		}
	}
	for _, u := range c.p.Shells {
		if err := c.e.Runnable(ctx, u.Shell); err != nil {
			s.failAt("user "+u.User, "checking shell of user %q: %w", u.User, err)
		}
	}
	if err := c.e.Walk(ctx, func(name string, n action.Node) error { return s.visit(ctx, name, n) }); err != nil {
		return err
	}
	for _, step := range []func(context.Context) error{s.inittab, s.services, s.network, s.ssh} {
		if err := step(ctx); err != nil {
			return err
		}
	}
	s.keymap = slices.ContainsFunc(c.p.Files, func(f laidFile) bool { return f.Path == keymapPath })
	return errors.Join(slices.Concat(s.errs, s.programs.Errors(ctx), s.kernelNeeds(k))...)
}

func (s *survey) fail(format string, args ...any) {
	s.errs = append(s.errs, fmt.Errorf(format, args...))
}

// failAt reports what is wrong with a value of its own line, see parts and noteParts.
func (s *survey) failAt(part, format string, args ...any) {
	s.errs = append(s.errs, &action.PartError{Part: part, Err: fmt.Errorf(format, args...)})
}

// withoutInterpreter are scripts of Debian's essential packages that run with a
// perl that is not essential.
var withoutInterpreter = []string{"usr/sbin/dpkg-fsys-usrunmess"}

// skipped reports whether the script wants a path left alone.
func (s *survey) skipped(name string) bool {
	return slices.Contains(withoutInterpreter, name) || slices.ContainsFunc(s.p.Unchecked, func(u string) bool { return name == u || strings.HasPrefix(name, u+"/") })
}

// visit looks at one node. Of most files nothing is read: only what can be run, is
// in a folder for programs, or was laid by the script.
func (s *survey) visit(ctx context.Context, name string, n action.Node) error {
	if strings.Contains(name, "lib/modules/") && moduleName(name) == "af_packet" {
		s.packet = true
	}
	folder := programs.InFolder(name)
	if n.Kind != action.Regular || n.Digest.Size < 3 || n.Attr.Mode&0o111 == 0 && !folder && !s.explicit[name] || s.skipped(name) {
		return nil
	}
	head, err := programs.Head(ctx, s.env, n.Digest)
	switch {
	case err != nil:
		return err
	case strings.HasPrefix(string(head), dynlink.Magic):
		if n.Attr.Mode&0o111 == 0 {
			if folder && !strings.HasPrefix(name, "etc/") {
				s.fail("checking program %q: it has no run bit (mode 0o%o); say modes = {%[1]q: 0o755}", "/"+name, n.Attr.Mode)
			}
			return nil
		}
		if s.elf == "" {
			s.elf = "/" + name
		}
		return s.programs.Check(ctx, name, n)
	case !programs.IsScript(head) || !folder && !s.explicit[name]:
		return nil
	}
	if s.script == "" {
		s.script = "/" + name
	}
	if err := programs.Script(ctx, s.e, name, n, head); err != nil {
		if !s.explicit[name] && n.Attr.Mode&0o111 != 0 {
			err = fmt.Errorf("%w; add it, or say unchecked = [%q] if nobody runs it", err, "/"+name)
		}
		s.errs = append(s.errs, err)
	}
	if !s.explicit[name] && !strings.HasPrefix(name, "etc/") {
		return nil
	}
	return s.readScript(ctx, name, n)
}

// readScript looks at what a script of the boot does.
func (s *survey) readScript(ctx context.Context, name string, n action.Node) error {
	const most = 64 << 10
	if n.Digest.Size > most {
		return nil
	}
	b, err := readAll(ctx, s.env, n.Digest)
	if err != nil {
		return err
	}
	for line := range strings.Lines(string(b)) {
		line = strings.TrimSpace(line)
		if strings.HasPrefix(line, "#") {
			continue
		}
		if strings.Contains(line, "/proc/config.gz") && !slices.Contains(s.proc, "/"+name) {
			s.proc = append(s.proc, "/"+name)
		}
		words := strings.Fields(line)
		if i := slices.IndexFunc(words, func(w string) bool { return path.Base(w) == "udhcpc" }); i >= 0 {
			if err := s.dhcpScript(ctx, "/"+name, words[i+1:]); err != nil {
				s.errs = append(s.errs, err)
			}
		}
	}
	return nil
}

// dhcpScript reports that udhcpc has no script, without which it gets a lease and
// configures nothing.
func (s *survey) dhcpScript(ctx context.Context, by string, args []string) error {
	s.udhcpc = "udhcpc"
	for i, a := range args {
		if a == "-s" && i+1 < len(args) || strings.HasPrefix(a, "--script=") {
			script := strings.TrimPrefix(a, "--script=")
			if a == "-s" {
				script = strings.Trim(args[i+1], `"'`)
			}
			if strings.HasPrefix(script, "/") && !strings.Contains(script, "$") {
				if err := s.e.Runnable(ctx, script); err != nil {
					return fmt.Errorf("checking the script that %q gives to udhcpc: %w", by, err)
				}
			}
			return nil
		}
	}
	var err error
	for _, script := range []string{udhcpcScript, "etc/udhcpc/default.script"} {
		if err2 := s.e.Runnable(ctx, script); err2 == nil {
			return nil
		} else if err == nil {
			err = err2
		}
	}
	return fmt.Errorf("checking %q: it runs udhcpc, which puts no address on the interface without its script, and %w; say network = dhcp(\"eth0\")", by, err)
}

// actions are those of busybox' inittab.
var actions = []string{"sysinit", "wait", "once", "respawn", "askfirst", "shutdown", "restart", "ctrlaltdel"}

// inittab checks that what init is to run is there. A line has four fields:
// terminal, nothing, action, command.
func (s *survey) inittab(ctx context.Context) error {
	text, err := s.readText(ctx, "etc/inittab")
	if err != nil {
		return err
	}
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(line)
		f := strings.SplitN(line, ":", 4)
		if line == "" || line[0] == '#' || slices.Contains(ending, action.Late(line)) {
			continue
		}
		if len(f) < 4 || !slices.Contains(actions, f[2]) {
			if len(f) == 4 && f[1] != "" {
				return nil // that of another init, which has run levels
			}
			got := line
			if len(f) > 2 {
				got = f[2]
			}
			s.failAt(linePart(line), "checking inittab: got %q in the line %q, want TERMINAL::ACTION:COMMAND with an action of %s%s",
				got, line, strings.Join(actions, ", "), suggestion(got, actions))
			continue
		}
		if tty := f[0]; tty != "" && !slices.Contains(s.consoles, tty) {
			s.consoles = append(s.consoles, tty)
		}
		words := strings.Fields(strings.TrimPrefix(f[3], "-"))
		if len(words) == 0 {
			continue
		}
		if strings.HasPrefix(words[0], "/") {
			if err := s.e.Runnable(ctx, words[0]); err != nil {
				s.failAt(linePart(line), "checking inittab: the line %q: %w", line, err)
			}
		}
		if base := path.Base(words[0]); base == "getty" || base == "login" {
			s.login = base
		}
	}
	return nil
}

// shellWords are what the shell knows itself.
var shellWords = strings.Fields(". : [ break case cd continue echo eval exec exit export false for if kill printf pwd read return set shift test time trap true type ulimit umask unset until wait while ! {")

// services checks that what the services run is there.
func (s *survey) services(ctx context.Context) error {
	for _, v := range s.p.Services {
		command := string(v.Command)
		for line := range strings.Lines(command) {
			words := strings.Fields(line)
			if len(words) > 1 && words[0] == "exec" {
				words = words[1:]
			}
			if len(words) == 0 || strings.ContainsAny(words[0], "$`'\"=;|&(){}#\\<>*?~") {
				continue
			}
			name := words[0]
			switch {
			case strings.HasPrefix(name, "/"):
				if err := s.e.Runnable(ctx, name); err != nil && !s.skipped(name[1:]) {
					s.failAt("service "+v.Name, "checking service %q: %w", v.Name, err)
				}
			case !simple(command) || strings.Contains(name, "/") || slices.Contains(shellWords, name):
			case !programs.InPath(ctx, s.e, name):
				s.failAt("service "+v.Name, "checking service %q: the program %q is in none of the folders for programs", v.Name, name)
			}
		}
	}
	return nil
}

// network checks that there is what the scripts of rootfs itself call.
func (s *survey) network(ctx context.Context) error {
	s.booted = len(s.p.Uses) > 0
	if len(s.p.DHCP) > 0 {
		s.udhcpc = "udhcpc"
	}
	missing := map[string][]string{}
	for _, u := range s.p.Uses {
		if !programs.InPath(ctx, s.e, u.Program) {
			missing[u.By] = append(missing[u.By], u.Program)
		}
	}
	for _, by := range sortedKeys(missing) {
		s.fail("checking service %q: no folder for programs has %s; add busybox to contents, with its options for them", by, strings.Join(missing[by], ", "))
	}
	return nil
}
