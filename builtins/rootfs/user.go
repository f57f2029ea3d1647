package rootfs

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

// User is an account of the system, as a value of the language.
type User struct {
	name, home, shell, comment string
	uid, gid                   int64 // -1: not given
	groups                     []string
	hash                       action.Late
	password                   bool // has one, or none is asked for
	keys                       []action.Late
	system                     bool
	site                       []action.Frame
}

// The methods of starlark.Value.
func (u *User) String() string        { return fmt.Sprintf("user(%q)", u.name) }
func (u *User) Type() string          { return "user" }
func (u *User) Freeze()               {}
func (u *User) Truth() starlark.Bool  { return true }
func (u *User) Hash() (uint32, error) { return starlark.String(u.name).Hash() }

type userArgs struct {
	Name     string         `star:"name" doc:"login name: lower-case letters, digits, '_' and '-', at most 32"`
	UID      *uint32        `star:"uid,keyword,optional" doc:"number; by default the first free one from 1000, of a system user from 101"`
	GID      *uint32        `star:"gid,keyword,optional" doc:"number of the primary group; by default the user has a group of its own, of the same name and number"`
	Home     string         `star:"home,keyword" default:"\"\"" doc:"home folder; by default /home/NAME, of a system user /nonexistent"`
	Shell    string         `star:"shell,keyword" default:"\"\"" doc:"login shell; by default /bin/sh, of a system user /usr/sbin/nologin"`
	Comment  string         `star:"comment,keyword" default:"\"\"" doc:"full name"`
	Groups   []string       `star:"groups,keyword,optional" doc:"more groups, by name"`
	Password *schema.Secret `star:"password,keyword,optional" doc:"the password, as secret(\"root\"); its hash is sha512-crypt"`
	SSHKeys  []action.Late  `star:"ssh_keys,keyword,optional,text" doc:"public keys that may log in over ssh: strings, or files such as file(\"id_ed25519.pub\")"`
	System   bool           `star:"system,keyword" default:"False" doc:"a user that a program runs as, and nobody logs in as"`
	Hash     *action.Late   `star:"password_hash,keyword,optional" doc:"instead of password, as in shadow(5); \"\" is login without a password; by default there is no login by password"`
}

// NewUser is the builtin `user`.
var NewUser = schema.New("user", `user describes an account for rootfs.

	users = [
	    user("root", password = secret("root"), ssh_keys = [file("id_ed25519.pub")]),
	    user("lab", uid = 1000, groups = ["audio"]),
	    user("sshd", system = True, home = "/run/sshd"),
	]`, callUser, schema.Returns("a user"))

func callUser(c *schema.Call, a *userArgs) (starlark.Value, error) {
	u := &User{
		name: a.Name, home: a.Home, shell: a.Shell, comment: a.Comment, groups: a.Groups, keys: a.SSHKeys,
		system: a.System, uid: -1, gid: -1, site: c.Site(),
	}
	errs := []error{u.login(c, a)}
	if !validAccount(a.Name) {
		errs = append(errs, c.ArgErrorf("name", "got %q, want lower-case letters, digits, '_' and '-', starting with a letter or '_', at most 32", a.Name))
	}
	for arg, v := range map[string]string{"home": a.Home, "shell": a.Shell} {
		if v != "" && !strings.HasPrefix(v, "/") || strings.ContainsAny(v, ":\n") {
			errs = append(errs, c.ArgErrorf(arg, "got %q, want an absolute path without ':'", v))
		}
	}
	for arg, v := range map[string]string{"comment": a.Comment, "password_hash": string(u.hash)} {
		if strings.ContainsAny(v, ":\n") {
			errs = append(errs, c.ArgErrorf(arg, "got a ':' or a line break, which separate the fields of the file"))
		}
	}
	if a.UID != nil {
		u.uid = int64(*a.UID)
	}
	if a.GID != nil {
		u.gid = int64(*a.GID)
	}
	if u.home == "" {
		u.home = "/home/" + u.name
		if u.system {
			u.home = "/nonexistent"
		}
	}
	if u.shell == "" {
		u.shell = "/bin/sh"
		if u.system {
			u.shell = "/usr/sbin/nologin"
		}
	}
	return u, errors.Join(errs...)
}

// login sets how the user may log in. A hash of "!" locks an account: sshd then
// takes no key either. One of "*" is no password's.
func (u *User) login(c *schema.Call, a *userArgs) error {
	var errs []error
	u.hash = "!"
	if len(u.keys) > 0 || u.system {
		u.hash = "*"
	}
	for i, k := range u.keys {
		if refs, err := c.Session().Scope.Refs(string(k)); err != nil || len(refs) > 0 {
			continue // a file's are looked at when it is read
		}
		for line := range strings.Lines(string(k)) {
			if line = strings.TrimSpace(line); line == "" {
				continue
			}
			if err := publicKey(line); err != nil {
				errs = append(errs, c.ArgErrorf(fmt.Sprintf("ssh_keys[%d]", i), "%w", err))
			}
		}
	}
	switch {
	case a.Password != nil && a.Hash != nil:
		errs = append(errs, c.ArgErrorf("password_hash", "got a hash and a password, want one of them"))
	case a.Password != nil:
		hash, err := passwordHash(c, a.Password, u.name)
		if err != nil {
			errs = append(errs, err)
		}
		u.hash, u.password = hash, true
	case a.Hash != nil:
		if !validHash(c, string(*a.Hash)) {
			errs = append(errs, c.ArgErrorf("password_hash", "got what is no hash, want one as \"$6$…\", or \"!\", \"*\" or \"\"").
				WithHint("openssl passwd -6 makes one of a password; or say password = secret(\"NAME\")"))
		}
		u.hash = *a.Hash
		u.password = *a.Hash == "" || strings.HasPrefix(string(*a.Hash), "$")
	}
	if u.system && (u.password || len(u.keys) > 0) {
		errs = append(errs, c.ArgErrorf("system", "got a system user with a password or keys, as which nobody logs in"))
	}
	return errors.Join(errs...)
}

// validHash reports whether s can stand in shadow(5). A password in clear can't: nobody
// could log in with it, and all could read it.
func validHash(c *schema.Call, s string) bool {
	if refs, err := c.Session().Scope.Refs(s); err != nil || len(refs) > 0 {
		return true // known once it is built
	}
	return s == "" || strings.HasPrefix(s, "!") || strings.HasPrefix(s, "*") || s[0] == '$' && strings.Count(s, "$") >= 3
}

func validAccount(s string) bool {
	if s == "" || len(s) > 32 || s[0] == '-' || s[0] >= '0' && s[0] <= '9' {
		return false
	}
	return !strings.ContainsFunc(s, func(r rune) bool {
		return !(r >= 'a' && r <= 'z' || r >= '0' && r <= '9' || r == '_' || r == '-')
	})
}

// accounts are the users and groups of one root file system, with their numbers.
type accounts struct {
	users   []account
	groups  map[string]uint32
	members map[string][]string
}

type account struct {
	*User
	uid, gid uint32
}

// baseGroups are those that every system has, with Debian's numbers
// (base-passwd, group.master).
var baseGroups = map[string]uint32{
	"root": 0, "daemon": 1, "bin": 2, "sys": 3, "adm": 4, "tty": 5, "disk": 6, "kmem": 15, "dialout": 20, "cdrom": 24,
	"audio": 29, "shadow": 42, "utmp": 43, "video": 44, "users": 100, "nogroup": 65534,
}

// firstUID is where numbers are given out from, as Debian does.
const firstUID = 1000

func firstUIDOf(u *User) int64 {
	if u.system {
		return 101
	}
	return firstUID
}

// newAccounts puts root and nobody with the users and numbers those that have none.
func newAccounts(c *schema.Call, users []*User, groups map[string]uint32) (*accounts, error) {
	acc := &accounts{groups: map[string]uint32{}, members: map[string][]string{}}
	for n, g := range baseGroups {
		acc.groups[n] = g
	}
	var errs []error
	for _, n := range sortedKeys(groups) {
		if !validAccount(n) {
			errs = append(errs, c.ArgErrorf(fmt.Sprintf("groups[%q]", n), "got a name that is none of a group"))
		}
		acc.groups[n] = groups[n]
	}
	root := &User{name: "root", home: "/root", shell: "/bin/sh", hash: "!", uid: 0, gid: 0}
	nobody := &User{name: "nobody", home: "/nonexistent", shell: "/bin/false", hash: "!", uid: 65534, gid: 65534}
	all := []*User{root}
	for _, u := range users {
		switch u.name {
		case "root":
			all[0] = rootUser(u)
		case "nobody":
			nobody = u
		default:
			all = append(all, u)
		}
	}
	for i, u := range append(all, nobody) {
		if err := acc.add(u, all); err != nil {
			errs = append(errs, c.ArgErrorf(fmt.Sprintf("users[%d]", max(0, i-1)), "%w", err))
		}
	}
	return acc, errors.Join(errs...)
}

// rootUser fills in what root has whatever is said.
func rootUser(u *User) *User {
	r := *u
	r.uid, r.gid = 0, 0
	if r.home == "/home/root" {
		r.home = "/root"
	}
	return &r
}

func (acc *accounts) add(u *User, all []*User) error {
	if acc.find(u.name) != nil {
		return fmt.Errorf("got the user %q twice", u.name)
	}
	uid := u.uid
	if uid < 0 {
		for uid = firstUIDOf(u); acc.taken(uid) || slices.ContainsFunc(all, func(o *User) bool { return o.uid == uid }); {
			uid++
		}
	} else if acc.taken(uid) {
		return fmt.Errorf("got the number %d of user %q twice: every user needs its own", uid, u.name)
	}
	gid := u.gid
	if gid < 0 {
		gid = uid
		if g, ok := acc.groups[u.name]; ok {
			gid = int64(g)
		} else {
			acc.groups[u.name] = uint32(gid)
		}
	}
	for _, g := range u.groups {
		if _, ok := acc.groups[g]; !ok {
			hint := ""
			if s := schema.Suggest(g, sortedKeys(acc.groups)); s != "" {
				hint = fmt.Sprintf(" (did you mean %q?)", s)
			}
			return fmt.Errorf("got the group %q of user %q, which is not there%s: add it to groups", g, u.name, hint)
		}
		acc.members[g] = append(acc.members[g], u.name)
	}
	acc.users = append(acc.users, account{u, uint32(uid), uint32(gid)})
	return nil
}

func (acc *accounts) taken(uid int64) bool {
	return slices.ContainsFunc(acc.users, func(a account) bool { return int64(a.uid) == uid })
}

func (acc *accounts) find(name string) *account {
	for i := range acc.users {
		if acc.users[i].name == name {
			return &acc.users[i]
		}
	}
	return nil
}

// passwords reports whether anybody can log in by password.
func (acc *accounts) passwords() bool {
	return slices.ContainsFunc(acc.users, func(a account) bool { return a.password })
}

// params are the accounts with their numbers, groups sorted by number.
func (acc *accounts) params() accountParams {
	var p accountParams
	for _, u := range acc.users {
		p.Users = append(p.Users, userParams{
			Name: u.name, UID: u.uid, GID: u.gid, Comment: u.comment, Home: u.home, Shell: u.shell, Hash: u.hash, Keys: u.keys,
		})
	}
	for _, n := range sortedKeys(acc.groups) {
		p.Groups = append(p.Groups, groupParams{Name: n, GID: acc.groups[n], Members: acc.members[n]})
	}
	slices.SortStableFunc(p.Groups, func(x, y groupParams) int { return int(int64(x.GID) - int64(y.GID)) })
	return p
}

// owner resolves "user", "user:group" and numbers.
func (a *accountParams) owner(s string) (uid, gid uint32, err error) {
	name, group, hasGroup := strings.Cut(s, ":")
	if i, ok := a.user(name); ok {
		uid, gid = a.Users[i].UID, a.Users[i].GID
	} else if n, perr := strconv.ParseUint(name, 10, 32); perr == nil {
		uid, gid = uint32(n), uint32(n)
	} else {
		var names []string
		for _, u := range a.Users {
			names = append(names, u.Name)
		}
		return 0, 0, unknown("user", name, names)
	}
	if !hasGroup {
		return uid, gid, nil
	}
	if _, g, ok := a.group(group); ok {
		return uid, g, nil
	}
	n, perr := strconv.ParseUint(group, 10, 32)
	if perr != nil {
		var names []string
		for _, g := range a.Groups {
			names = append(names, g.Name)
		}
		return 0, 0, unknown("group", group, names)
	}
	return uid, uint32(n), nil
}

func unknown(what, got string, all []string) error {
	if s := schema.Suggest(got, all); s != "" {
		return fmt.Errorf("got the %s %q, which is not there (did you mean %q?)", what, got, s)
	}
	return fmt.Errorf("got the %s %q, which is not there: add it to %ss, or give a number", what, got, what)
}
