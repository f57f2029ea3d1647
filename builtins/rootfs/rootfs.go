// Package rootfs makes root file systems and what a kernel starts from: the
// builtins `rootfs` and `initramfs`, and the values that they take: `user`, `secret`,
// `service`, `dhcp`, `static_address`, `device`.
//
// A root file system is composed from trees and from what the script says about
// /etc, users, services, owners and modes, by directories alone: no file is copied.
// It is checked while it is made, so that what would fail at boot without a word
// (a script without its run bit, a library that is not there, an option that the
// kernel lacks) fails here. The pieces:
//
//	compose.go, lay.go   the op: trees, files, links, owners
//	accounts.go, user.go users and groups, those of the trees too
//	boot.go, service.go  inittab, rcS and the services; boot/ has the scripts
//	packages.go          what maintainer scripts would leave
//	check.go             what is checked; programs.go, sshcheck.go, kernelcheck.go
//	initramfs.go         the archive; modules.go what it brings along
package rootfs

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
func Builtins() []*schema.Builtin {
	return []*schema.Builtin{
		Rootfs, NewUser, NewSecret, NewService, NewDHCP, NewStatic, NewDevice, Initramfs,
	}
}

type rootfsArgs struct {
	Contents     []*schema.Artifact           `star:"contents" default:"[]" kind:"tree" doc:"trees that are laid over one another at /"`
	Files        schema.Dict[starlark.Value]  `star:"files,keyword,optional" doc:"dict of paths to a file, a tree, or a string that is the file's text; these replace what contents has"`
	Dirs         []string                     `star:"dirs,keyword,optional" doc:"more folders"`
	Symlinks     map[string]string            `star:"symlinks,keyword,optional" doc:"dict of paths to the targets of symbolic links"`
	Devices      map[string]*Device           `star:"devices,keyword,optional" doc:"dict of paths to device nodes, as device(\"char\", 5, 1)"`
	Users        []*User                      `star:"users,keyword,optional" doc:"users besides root and nobody, made with user(); one called root replaces root"`
	Groups       map[string]uint32            `star:"groups,keyword,optional" doc:"dict of more groups to their numbers"`
	Hostname     string                       `star:"hostname,keyword" default:"\"\"" doc:"text of /etc/hostname; also in /etc/hosts"`
	Hosts        schema.Dict[action.Late]     `star:"hosts,keyword,optional" doc:"dict of addresses to names, for /etc/hosts"`
	Network      starlark.Value               `star:"network,keyword,optional" doc:"dhcp(\"eth0\"), static_address(…), or a list of them; lo is brought up in any case"`
	Nameservers  []string                     `star:"nameservers,keyword,optional" doc:"addresses for /etc/resolv.conf; by default, with dhcp, those that the network tells"`
	Services     []*Service                   `star:"services,keyword,optional" doc:"what is started at boot, made with service(), in this order unless they say otherwise"`
	Consoles     *[]string                    `star:"consoles,keyword,optional" doc:"terminals with a login prompt, as \"tty1\" or \"ttyS0\"; by default the kernel's console, with a shell of root's as long as nobody has a password"`
	Keymap       string                       `star:"keymap,keyword" default:"\"\"" doc:"layout of the keyboard, as \"be-latin1\"; it is compiled with loadkeys from data"`
	Timezone     string                       `star:"timezone,keyword" default:"\"\"" doc:"time zone, as \"Europe/Brussels\", from data or contents"`
	Data         *schema.Artifact             `star:"data,keyword,optional" kind:"tree" doc:"where keymap and timezone come from: system_data() of @stdlib//toolchains.star"`
	Clock        string                       `star:"clock,keyword" default:"\"\"" doc:"date before which the system's clock never is, as \"2026-01-31\"; by default 2026-01-01"`
	Inittab      []action.Late                `star:"inittab,keyword,optional" doc:"lines of /etc/inittab instead of those that rootfs makes"`
	RC           starlark.Value               `star:"rc,keyword,optional" doc:"a file or a text: the script /etc/init.d/rcS that runs at boot, instead of one that rootfs makes"`
	Fstab        []action.Late                `star:"fstab,keyword,optional" doc:"lines of /etc/fstab; disk_image adds its partitions"`
	Modes        map[string]uint32            `star:"modes,keyword,optional" doc:"dict of paths to permission bits, as 0o755, or 0o4755 with set-id"`
	Owners       map[string]string            `star:"owners,keyword,optional" doc:"dict of paths to USER, USER:GROUP or numbers; holds for all that is below"`
	Capabilities map[string]string            `star:"capabilities,keyword,optional" doc:"dict of programs to capabilities, as \"cap_net_raw+ep\""`
	Xattrs       map[string]map[string]string `star:"xattrs,keyword,optional" doc:"dict of paths to dicts of extended attributes"`
	FHS          bool                         `star:"fhs,keyword" default:"True" doc:"make the folders of the Filesystem Hierarchy Standard that are missing"`
	Init         string                       `star:"init,keyword" default:"\"\"" doc:"a program that must be there and be executable, as \"/sbin/init\"; that is the default of a system that boots with services"`
	Overwrite    bool                         `star:"overwrite,keyword" default:"False" doc:"let a later tree of contents replace files of an earlier one; otherwise that is an error"`
	Kernel       *schema.Artifact             `star:"kernel,keyword,optional" kind:"kernel,kernel_config" doc:"the kernel that is to run this, against whose options and architecture the tree is checked; it is no part of the tree"`
	Unchecked    []string                     `star:"unchecked,keyword,optional" doc:"paths that are not checked, each with all that is below"`
	Name         string                       `star:"name,keyword" default:"\"rootfs\"" doc:"what messages call it"`
}

// Rootfs is the builtin `rootfs`.
var Rootfs = schema.New("rootfs", `rootfs composes a root file system, a tree.

It lays the trees of contents over one another, adds the folders of the
Filesystem Hierarchy Standard, /etc/passwd, group and shadow, and what the other
arguments say. Everything belongs to root but what users and owners say: a home
folder belongs to its user, with all that is in it.

With services, network, keymap, clock or consoles it also makes what a system
boots with: /etc/inittab, /etc/init.d/rcS and a script for each service, for
busybox' init. They mount /proc, /sys, /dev, /run and what /etc/fstab has, set
clock, host name, key map and addresses, and start the services in order.

Trees from Debian's packages may be among contents: where one of the trees has
/bin, /lib and the like as links into /usr, the others' files go there too; the
users that packages declare are kept; no maintainer script is run.

A file laid by files is executable if it is a program or starts with #!, unless
modes says otherwise. It is an error if a script in a folder for programs or in
/etc/init.d is not executable, or names an interpreter that is not there.

	root = rootfs(
	    [bb, linux.modules], kernel = linux, init = "/sbin/init", hostname = "lab",
	    users = [user("root", password = secret("root")), user("lab", uid = 1000)],
	    network = dhcp("eth0"), keymap = "be-latin1", timezone = "Europe/Brussels", data = system_data(),
	    services = [service("web", "httpd -f -h /srv/www", respawn = True)],
	    files = {"/etc/motd": "hello\n"},
	)`, callRootfs,
	schema.Returns("a tree"))

func callRootfs(c *schema.Call, a *rootfsArgs) (starlark.Value, error) {
	p := composeParams{Init: a.Init, FHS: a.FHS, Overwrite: a.Overwrite, Dirs: a.Dirs, Symlinks: a.Symlinks}
	spec := action.Spec{Op: composeOp, Title: a.Name, Outputs: []action.Output{{Name: "tree", Kind: action.Tree}}}
	for i, t := range a.Contents {
		name := contentsName(i)
		p.Trees = append(p.Trees, name)
		spec.Inputs = append(spec.Inputs, action.Input{Name: name, Artifact: t.Artifact})
	}
	acc, errUsers := newAccounts(c, a.Users, a.Groups)
	errs := []error{
		errUsers,
		generated(c, a, &p, acc),
		boot(c, a, &p, &spec, acc),
		laid(c, a, &p, &spec),
		owners(c, a, &p),
		modes(c, a, &p),
		devices(c, a, &p),
		xattrs(c, a, &p),
		consoles(c, a),
		data(c, a, &p, &spec),
		checkPaths(c, a),
	}
	arch, errKernel := kernelInput(c, a.Kernel, &spec)
	p.KernelArch = arch
	errs = append(errs, errKernel, unchecked(c, a, &p))
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	if err := overlapBefore(c, a, &spec); err != nil {
		return nil, err
	}
	spec.Params, spec.Parts = p, parts(a)
	act, err := c.Action(spec)
	if err != nil {
		return nil, err
	}
	noteParts(c, act, a)
	return schema.NewArtifact(act.Output("tree"), "tree", nil), nil
}

// noteParts notes where the script has what else errors may be about: arguments and
// elements of them.
func noteParts(c *schema.Call, act *action.Action, a *rootfsArgs) {
	if !c.KeepsParts() {
		return
	}
	note := func(part, arg string) { c.Part(act, part, c.ArgErrorf(arg, "what is checked")) }
	note("init", "init")
	note(filePart("/"+rcPath), "rc")
	for i := range a.Contents {
		note(contentsName(i), contentsName(i))
	}
	for _, f := range a.Files {
		note(filePart(f.Key), fmt.Sprintf("files[%q]", f.Key))
	}
	for i, line := range a.Inittab {
		note(linePart(string(line)), fmt.Sprintf("inittab[%d]", i))
	}
}

// contentsName names a tree of contents, as an argument and as an input.
func contentsName(i int) string { return fmt.Sprintf("contents[%d]", i) }

// filePart and linePart name a file that is laid, and a line of inittab, as parts.
func filePart(path string) string { return "file " + strings.TrimPrefix(path, "/") }
func linePart(line string) string { return "line " + strings.TrimSpace(line) }

// parts are the lines of what errors may be about: users and services.
func parts(a *rootfsArgs) map[string][]action.Frame {
	all := map[string][]action.Frame{}
	for _, u := range a.Users {
		all["user "+u.name] = u.site
	}
	for _, s := range a.Services {
		all["service "+s.name] = s.site
	}
	return all
}

// laid reads the argument files: artifacts become inputs, strings texts.
func laid(c *schema.Call, a *rootfsArgs, p *composeParams, spec *action.Spec) error {
	files := a.Files
	if given(a.RC) {
		files = append(slices.Clip(files), schema.Entry[starlark.Value]{Key: "/" + rcPath, Value: a.RC})
		p.Modes = append(p.Modes, pathMode{rcPath, action.ModeExec})
	}
	var errs []error
	seen := map[string]bool{}
	for i, f := range files {
		arg := fmt.Sprintf("files[%q]", f.Key)
		if i == len(a.Files) {
			arg = "rc"
		}
		path, err := action.CleanPath(f.Key)
		switch {
		case err != nil:
			errs = append(errs, c.ArgErrorf(arg, "%w", err))
			continue
		case seen[path]:
			errs = append(errs, c.ArgErrorf(arg, "got the path %q twice", "/"+path))
		case slices.Contains(accountFiles, path), slices.ContainsFunc(p.Texts, func(t text) bool { return t.Path == path }):
			errs = append(errs, c.ArgErrorf(arg, "got a file at %q, which %s makes: use only one of them", "/"+path, maker(path)))
		}
		seen[path] = true
		switch v := f.Value.(type) {
		case starlark.String:
			if err := noPaths(c, arg, string(v)); err != nil {
				errs = append(errs, err)
			}
			p.Texts = append(p.Texts, text{Path: path, Text: action.Late(v)})
		case *schema.Artifact:
			name := "files/" + path
			if path == "" && v.Kind() == action.File {
				errs = append(errs, c.ArgErrorf(arg, "got a file for /, want a tree"))
			}
			p.Files = append(p.Files, laidFile{Path: path, Input: name})
			spec.Inputs = append(spec.Inputs, action.Input{Name: name, Artifact: v.Artifact})
		default:
			errs = append(errs, c.ArgErrorf(arg, "got %s, want a file, a tree or a string", f.Value.Type()))
		}
	}
	return errors.Join(errs...)
}

// noPaths reports a path token in a text: in a root file system the sandbox'
// paths mean nothing.
func noPaths(c *schema.Call, arg, s string) error {
	refs, err := c.Session().Scope.Refs(s)
	if err != nil {
		return c.ArgErrorf(arg, "%w", err)
	}
	for _, r := range refs {
		if r.Kind == action.Path {
			return c.ArgErrorf(arg, "got the path of %s, which is a path in the sandbox and not in this tree", r.Artifact.Describe()).
				WithHint("to lay the artifact itself, give it as the value of a path in files")
		}
	}
	return nil
}

// checkPaths looks at what remains: dirs, symlinks, init, hostname.
func checkPaths(c *schema.Call, a *rootfsArgs) error {
	var errs []error
	for i, d := range a.Dirs {
		if _, err := action.CleanPath(d); err != nil {
			errs = append(errs, c.ArgErrorf(fmt.Sprintf("dirs[%d]", i), "%w", err))
		}
	}
	for _, l := range sortedKeys(a.Symlinks) {
		arg := fmt.Sprintf("symlinks[%q]", l)
		if p, err := action.CleanPath(l); err != nil || p == "" {
			errs = append(errs, c.ArgErrorf(arg, "got %q, want a path in the tree", l))
		}
		if t := a.Symlinks[l]; t == "" || strings.ContainsRune(t, 0) {
			errs = append(errs, c.ArgErrorf(arg, "got the target %q, want a path", t))
		}
	}
	if _, err := action.CleanPath(a.Init); err != nil {
		errs = append(errs, c.ArgErrorf("init", "%w", err))
	}
	if h := a.Hostname; h != "" && !validHostname(h) {
		errs = append(errs, c.ArgErrorf("hostname", "got %q, want letters, digits and '-', at most 63, parts separated by '.'", h))
	}
	return errors.Join(errs...)
}

func unchecked(c *schema.Call, a *rootfsArgs, p *composeParams) error {
	for i, u := range a.Unchecked {
		clean, err := action.CleanPath(u)
		if err != nil || clean == "" {
			return c.ArgErrorf(fmt.Sprintf("unchecked[%d]", i), "got %q, want a path in the tree", u)
		}
		p.Unchecked = append(p.Unchecked, clean)
	}
	return nil
}

func validHostname(s string) bool {
	if len(s) > 253 {
		return false
	}
	for part := range strings.SplitSeq(s, ".") {
		if part == "" || len(part) > 63 || part[0] == '-' || part[len(part)-1] == '-' {
			return false
		}
		for _, r := range part {
			if !(r == '-' || r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9') {
				return false
			}
		}
	}
	return true
}

func sortedKeys[V any](m map[string]V) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}
