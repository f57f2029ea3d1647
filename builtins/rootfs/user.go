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
}

// The methods of starlark.Value.
func (u *User) String() string        { return fmt.Sprintf("user(%q)", u.name) }
func (u *User) Type() string          { return "user" }
func (u *User) Freeze()               {}
func (u *User) Truth() starlark.Bool  { return true }
func (u *User) Hash() (uint32, error) { return starlark.String(u.name).Hash() }

type userArgs struct {
	Name    string      `star:"name" doc:"login name: lower-case letters, digits, '_' and '-', at most 32"`
	UID     *uint32     `star:"uid,keyword,optional" doc:"number; by default the first free one from 1000"`
	GID     *uint32     `star:"gid,keyword,optional" doc:"number of the primary group; by default the user has a group of its own, of the same name and number"`
	Home    string      `star:"home,keyword" default:"\"\"" doc:"home folder; by default /home/NAME"`
	Shell   string      `star:"shell,keyword" default:"\"/bin/sh\"" doc:"login shell"`
	Comment string      `star:"comment,keyword" default:"\"\"" doc:"full name"`
	Groups  []string    `star:"groups,keyword,optional" doc:"more groups, by name"`
	Hash    action.Late `star:"password_hash,keyword" default:"\"!\"" doc:"as in shadow(5); \"!\" is no login by password, \"\" login without one"`
}

// NewUser is the builtin `user`.
var NewUser = schema.New("user", `user describes an account for rootfs.

	users = [user("lab", uid = 1000, groups = ["audio"])]`, callUser, schema.Returns("a user"))

func callUser(c *schema.Call, a *userArgs) (starlark.Value, error) {
	u := &User{name: a.Name, home: a.Home, shell: a.Shell, comment: a.Comment, groups: a.Groups, hash: a.Hash, uid: -1, gid: -1}
	var errs []error
	if !validAccount(a.Name) {
		errs = append(errs, c.ArgErrorf("name", "got %q, want lower-case letters, digits, '_' and '-', starting with a letter or '_', at most 32", a.Name))
	}
	for arg, v := range map[string]string{"home": a.Home, "shell": a.Shell} {
		if v != "" && !strings.HasPrefix(v, "/") || strings.ContainsAny(v, ":\n") {
			errs = append(errs, c.ArgErrorf(arg, "got %q, want an absolute path without ':'", v))
		}
	}
	for arg, v := range map[string]string{"comment": a.Comment, "password_hash": string(a.Hash)} {
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
	}
	return u, errors.Join(errs...)
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
		for uid = firstUID; acc.taken(uid) || slices.ContainsFunc(all, func(o *User) bool { return o.uid == uid }); {
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

// owner resolves "user", "user:group" and numbers.
func (acc *accounts) owner(s string) (uid, gid uint32, err error) {
	name, group, hasGroup := strings.Cut(s, ":")
	if u := acc.find(name); u != nil {
		uid, gid = u.uid, u.gid
	} else if n, perr := strconv.ParseUint(name, 10, 32); perr == nil {
		uid, gid = uint32(n), uint32(n)
	} else {
		var names []string
		for _, u := range acc.users {
			names = append(names, u.name)
		}
		return 0, 0, unknown("user", name, names)
	}
	if hasGroup {
		if g, ok := acc.groups[group]; ok {
			gid = g
		} else if n, perr := strconv.ParseUint(group, 10, 32); perr == nil {
			gid = uint32(n)
		} else {
			return 0, 0, unknown("group", group, sortedKeys(acc.groups))
		}
	}
	return uid, gid, nil
}

func unknown(what, got string, all []string) error {
	if s := schema.Suggest(got, all); s != "" {
		return fmt.Errorf("got the %s %q, which is not there (did you mean %q?)", what, got, s)
	}
	return fmt.Errorf("got the %s %q, which is not there: add it to %ss, or give a number", what, got, what)
}
