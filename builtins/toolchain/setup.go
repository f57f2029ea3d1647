package toolchain

import (
	"errors"
	"fmt"
	"hash/fnv"
	"io/fs"
	"path"
	"slices"
	"strconv"
	"strings"

	"github.com/labstar/labstar/action"
	"github.com/labstar/labstar/internal/debian"
	"github.com/labstar/labstar/internal/format/sysconf"
)

// What the maintainer scripts of packages would do for a system that runs in a
// container, made from what the packages ship.

// imagePlaces makes the folders that a container has and no package ships.
func (m *merge) imagePlaces() error {
	for p, mode := range map[string]uint32{
		"dev": 0o755, "etc": 0o755, "home": 0o755, "proc": 0o755, "root": 0o700, "run": 0o755, "sys": 0o755, "tmp": 0o1777, "var/tmp": 0o1777,
	} {
		if err := m.folder(p, mode, 0, 0); err != nil {
			return err
		}
	}
	return firstOf(m.link("var/run", "/run"), m.link("var/lock", "/run/lock"), m.folder("run/lock", 0o1777, 0, 0))
}

// folder makes a folder, or gives one that is there its mode and owner.
func (m *merge) folder(p string, mode, uid, gid uint32) error {
	if err := m.edit.Mkdir(m.ctx, p); err != nil {
		return err
	}
	return m.edit.SetAttr(m.ctx, p, func(_ action.Kind, a *action.Attr) { a.Mode, a.UID, a.GID = mode, uid, gid })
}

// service is what the scripts of a package set up for a program that runs as a
// user of its own. Owners of folders are USER:GROUP; "" is root.
type service struct {
	has     string // a path of the package, by which it is known
	user    string // "" if base-passwd has it
	home    string
	shell   string
	comment string
	folders []serviceFolder
}

type serviceFolder struct {
	path  string
	mode  uint32
	owner string
}

var services = []service{
	{has: "usr/share/postgresql-common", user: "postgres", home: "/var/lib/postgresql", shell: "/bin/bash", comment: "PostgreSQL administrator", folders: []serviceFolder{
		{path: "var/lib/postgresql", mode: 0o755, owner: "postgres:postgres"}, {path: "etc/postgresql", mode: 0o755, owner: "postgres:postgres"},
		{path: "var/log/postgresql", mode: 0o1775, owner: "root:postgres"}, {path: "run/postgresql", mode: 0o2775, owner: "postgres:postgres"}}},
	{has: "usr/lib/postgresql", user: "postgres", home: "/var/lib/postgresql", shell: "/bin/bash", comment: "PostgreSQL administrator", folders: []serviceFolder{
		{path: "var/lib/postgresql", mode: 0o755, owner: "postgres:postgres"}, {path: "run/postgresql", mode: 0o2775, owner: "postgres:postgres"}}},
	{has: "usr/sbin/nginx", folders: []serviceFolder{
		{path: "var/lib/nginx", mode: 0o755}, {path: "var/log/nginx", mode: 0o755, owner: "root:adm"}, {path: "var/www/html", mode: 0o755}}},
	{has: "usr/sbin/mariadbd", user: "mysql", home: "/nonexistent", shell: "/bin/false", comment: "MariaDB Server", folders: []serviceFolder{
		{path: "var/lib/mysql", mode: 0o700, owner: "mysql:mysql"}, {path: "run/mysqld", mode: 0o755, owner: "mysql:mysql"},
		{path: "var/log/mysql", mode: 0o2750, owner: "mysql:adm"}}},
	{has: "usr/bin/redis-server", user: "redis", home: "/var/lib/redis", shell: "/usr/sbin/nologin", folders: []serviceFolder{
		{path: "var/lib/redis", mode: 0o750, owner: "redis:redis"}, {path: "var/log/redis", mode: 0o2750, owner: "redis:adm"},
		{path: "run/redis", mode: 0o2755, owner: "redis:redis"}}},
	{has: "usr/bin/memcached", user: "memcache", home: "/nonexistent", shell: "/bin/false", comment: "Memcached"},
	{has: "usr/sbin/sshd", user: "sshd", home: "/run/sshd", shell: "/usr/sbin/nologin", folders: []serviceFolder{{path: "run/sshd", mode: 0o755}}},
}

// shippedLinks and shippedCopies are made where the second is there and the first
// is not.
var (
	shippedLinks = [][2]string{
		{"etc/nginx/sites-enabled/default", "etc/nginx/sites-available/default"},
		{"etc/localtime", "usr/share/zoneinfo/Etc/UTC"},
	}
	shippedCopies = [][2]string{
		{"var/www/html/index.nginx-debian.html", "usr/share/nginx/html/index.html"},
		{"etc/ssh/sshd_config", "usr/share/openssh/sshd_config"},
	}
)

func (m *merge) setUp() error {
	a, err := m.newAccounts()
	if err != nil {
		return err
	}
	if err := m.setUpServices(a); err != nil {
		return err
	}
	if err := m.tmpfiles(a); err != nil {
		return err
	}
	for _, l := range shippedLinks {
		if there, err := m.has(l[1]); err != nil || !there {
			if err != nil {
				return err
			}
			continue
		}
		if err := m.link(l[0], "/"+l[1]); err != nil {
			return err
		}
	}
	for _, l := range shippedCopies {
		if err := m.copyShipped(l[1], l[0]); err != nil {
			return err
		}
	}
	if taken, err := m.has(debian.CertificateBundle); err != nil {
		return err
	} else if !taken {
		bundle, err := debian.Certificates(m.ctx, m.env, m.edit)
		if err != nil {
			return err
		}
		if len(bundle) > 0 {
			if err := m.put(debian.CertificateBundle, bundle); err != nil {
				return err
			}
		}
	}
	return firstOf(
		m.put("etc/passwd", []byte(a.passwd())), m.put("etc/group", []byte(a.group())),
		m.file("etc/nsswitch.conf", "passwd: files\ngroup: files\nshadow: files\nhosts: files dns\nservices: files\nprotocols: files\n"),
		m.folder("home/nonroot", 0o700, nonroot, nonroot),
	)
}

func (m *merge) copyShipped(from, to string) error {
	taken, err := m.has(to)
	if err != nil || taken {
		return err
	}
	n, _, err := m.edit.Resolve(m.ctx, from)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	n.Attr = action.Attr{Mode: action.ModeFile}
	return m.edit.Put(m.ctx, to, n, action.Refuse)
}

func (m *merge) setUpServices(a *accounts) error {
	for _, s := range services {
		there, err := m.has(s.has)
		if err != nil {
			return err
		}
		if !there {
			continue
		}
		if s.user != "" {
			a.addUser(s.user, "", s.comment, s.home, s.shell)
		}
		for _, f := range s.folders {
			uid, gid := a.owner(f.owner)
			if err := m.folder(f.path, f.mode, uid, gid); err != nil {
				return fmt.Errorf("setting up /%s: %w", f.path, err)
			}
		}
	}
	return nil
}

// tmpfiles makes what the packages declare in tmpfiles.d below /run and /var:
// folders, links and files. Nobody does it when a container starts.
func (m *merge) tmpfiles(a *accounts) error {
	return m.eachConfig("usr/lib/tmpfiles.d", func(f []string) error {
		if len(f) < 2 {
			return nil
		}
		p := strings.TrimPrefix(path.Clean(f[1]), "/")
		if !strings.HasPrefix(p, "run/") && !strings.HasPrefix(p, "var/") || strings.ContainsAny(p, "%*?[") {
			return nil
		}
		if rest, ok := strings.CutPrefix(p, "var/run/"); ok {
			p = "run/" + rest
		}
		uid, gid := a.owner(sysconf.At(f, 3) + ":" + sysconf.At(f, 4))
		mode, err := strconv.ParseUint(strings.TrimLeft(sysconf.At(f, 2), "~:"), 8, 12)
		switch f[0][0] {
		case 'd', 'D', 'v', 'q', 'Q':
			if err != nil {
				mode = 0o755
			}
			return m.folder(p, uint32(mode), uid, gid)
		case 'L':
			if to := sysconf.At(f, 6); to != "" {
				return m.link(p, to)
			}
		case 'f', 'F':
			if err != nil {
				mode = 0o644
			}
			if err := m.file(p, sysconf.At(f, 6)); err != nil {
				return err
			}
			return m.edit.SetAttr(m.ctx, p, func(_ action.Kind, at *action.Attr) { at.Mode, at.UID, at.GID = uint32(mode), uid, gid })
		}
		return nil
	})
}

// eachConfig calls f for the lines of the *.conf files of a folder, in their order.
func (m *merge) eachConfig(dir string, f func([]string) error) error {
	n, err := m.edit.Lookup(m.ctx, dir)
	if errors.Is(err, fs.ErrNotExist) || err == nil && n.Kind != action.Dir {
		return nil
	}
	if err != nil {
		return err
	}
	var names []string
	err = m.edit.Walk(m.ctx, func(p string, n action.Node) error {
		switch {
		case path.Dir(p) == dir && path.Ext(p) == ".conf":
			names = append(names, p)
		case n.Kind == action.Dir && p != "" && p != dir && !strings.HasPrefix(dir, p+"/"):
			return fs.SkipDir
		}
		return nil
	})
	if err != nil {
		return err
	}
	for _, name := range names {
		text, err := m.read(name)
		if err != nil {
			return err
		}
		for _, fields := range sysconf.Lines(text) {
			if err := f(fields); err != nil {
				return fmt.Errorf("setting up what /%s says: %w", name, err)
			}
		}
	}
	return nil
}

// accounts are the users and groups of a layer.
type accounts struct {
	users  []account
	groups []groupLine
}

type account struct {
	name                 string
	uid, gid             uint32
	comment, home, shell string
}

type groupLine struct {
	name    string
	gid     uint32
	members []string
}

const nonroot = 65532

// newAccounts starts with those of base-passwd and adds what the packages declare
// in sysusers.d.
func (m *merge) newAccounts() (*accounts, error) {
	a := &accounts{}
	for line := range strings.Lines(group) {
		f := strings.Split(strings.TrimSpace(line), ":")
		gid, _ := strconv.ParseUint(f[2], 10, 32)
		a.groups = append(a.groups, groupLine{name: f[0], gid: uint32(gid)})
	}
	for line := range strings.Lines(passwd) {
		f := strings.Split(strings.TrimSpace(line), ":")
		uid, _ := strconv.ParseUint(f[2], 10, 32)
		gid, _ := strconv.ParseUint(f[3], 10, 32)
		a.users = append(a.users, account{f[0], uint32(uid), uint32(gid), f[4], f[5], f[6]})
	}
	a.addUser("nonroot", strconv.Itoa(nonroot), "nonroot", "/home/nonroot", "/usr/sbin/nologin")
	err := m.eachConfig("usr/lib/sysusers.d", func(f []string) error {
		if len(f) < 2 {
			return nil
		}
		switch strings.TrimRight(f[0], "!") {
		case "g":
			a.addGroup(f[1], sysconf.At(f, 2))
		case "u":
			home, shell := sysconf.At(f, 4), sysconf.At(f, 5)
			if home == "" {
				home = "/"
			}
			if shell == "" {
				shell = "/usr/sbin/nologin"
			}
			a.addUser(f[1], sysconf.At(f, 2), sysconf.At(f, 3), home, shell)
		case "m":
			if i := a.groupIndex(sysconf.At(f, 2)); i >= 0 && !slices.Contains(a.groups[i].members, f[1]) {
				a.groups[i].members = append(a.groups[i].members, f[1])
			}
		}
		return nil
	})
	return a, err
}

func (a *accounts) groupIndex(name string) int {
	return slices.IndexFunc(a.groups, func(g groupLine) bool { return g.name == name })
}

func (a *accounts) userIndex(name string) int {
	return slices.IndexFunc(a.users, func(u account) bool { return u.name == name })
}

// addUser adds a system user, with a group of its name unless id says NUMBER:GROUP.
func (a *accounts) addUser(name, id, comment, home, shell string) {
	if a.userIndex(name) >= 0 {
		return
	}
	number, group, _ := strings.Cut(id, ":")
	u := account{name: name, comment: comment, home: home, shell: shell}
	switch i := a.groupIndex(group); {
	case i >= 0:
		u.uid, u.gid = a.free(name, number), a.groups[i].gid
	default:
		u.gid = a.addGroup(name, number)
		u.uid = a.free(name, strconv.FormatUint(uint64(u.gid), 10))
	}
	a.users = append(a.users, u)
}

func (a *accounts) addGroup(name, id string) uint32 {
	if i := a.groupIndex(name); i >= 0 {
		return a.groups[i].gid
	}
	gid := a.free(name, id)
	if slices.ContainsFunc(a.groups, func(g groupLine) bool { return g.gid == gid }) {
		gid = a.free(name, "")
	}
	a.groups = append(a.groups, groupLine{name: name, gid: gid})
	return gid
}

// free returns the number that is asked for, else one that comes from the name, so
// that it stays the same when other packages are added: files on a volume outlive
// the image that made them.
func (a *accounts) free(name, want string) uint32 {
	if n, err := strconv.ParseUint(want, 10, 32); err == nil {
		return uint32(n)
	}
	const first, count = 100, 800
	h := fnv.New32a()
	_, _ = h.Write([]byte(name))
	for n := h.Sum32() % count; ; n = (n + 1) % count {
		id := first + n
		if !slices.ContainsFunc(a.users, func(u account) bool { return u.uid == id }) &&
			!slices.ContainsFunc(a.groups, func(g groupLine) bool { return g.gid == id }) {
			return id
		}
	}
}

// owner reads USER:GROUP, of which each may be missing: root's.
func (a *accounts) owner(s string) (uid, gid uint32) {
	user, group, _ := strings.Cut(s, ":")
	if i := a.userIndex(user); i >= 0 {
		uid = a.users[i].uid
	} else if n, err := strconv.ParseUint(user, 10, 32); err == nil {
		uid = uint32(n)
	}
	if i := a.groupIndex(group); i >= 0 {
		gid = a.groups[i].gid
	} else if n, err := strconv.ParseUint(group, 10, 32); err == nil {
		gid = uint32(n)
	}
	return uid, gid
}

func (a *accounts) passwd() string {
	slices.SortStableFunc(a.users, func(x, y account) int { return int(int64(x.uid) - int64(y.uid)) })
	var b strings.Builder
	for _, u := range a.users {
		fmt.Fprintf(&b, "%s:x:%d:%d:%s:%s:%s\n", u.name, u.uid, u.gid, u.comment, u.home, u.shell)
	}
	return b.String()
}

func (a *accounts) group() string {
	slices.SortStableFunc(a.groups, func(x, y groupLine) int { return int(int64(x.gid) - int64(y.gid)) })
	var b strings.Builder
	for _, g := range a.groups {
		fmt.Fprintf(&b, "%s:x:%d:%s\n", g.name, g.gid, strings.Join(g.members, ","))
	}
	return b.String()
}
