package rootfs

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strconv"
	"strings"

	"github.com/labstar/labstar/action"
	"github.com/labstar/labstar/internal/format/sysconf"
)

// accountFiles are those that the users make.
var accountFiles = []string{"etc/passwd", "etc/group", "etc/shadow"}

// accountParams are the users and groups of the script, with their numbers.
type accountParams struct {
	Users  []userParams  `json:"users"`
	Groups []groupParams `json:"groups"`
}

type userParams struct {
	Name    string        `json:"name"`
	UID     uint32        `json:"uid"`
	GID     uint32        `json:"gid"`
	Comment string        `json:"comment,omitempty"`
	Home    string        `json:"home"`
	Shell   string        `json:"shell"`
	Hash    action.Late   `json:"hash"`
	Keys    []action.Late `json:"keys,omitempty"`
}

type groupParams struct {
	Name    string   `json:"name"`
	GID     uint32   `json:"gid"`
	Members []string `json:"members,omitempty"`
}

// accounts adds the users and groups that the trees bring along to those of the
// script, and writes passwd(5), group(5) and shadow(5). The trees' are those of
// their own /etc/passwd and /etc/group, and what the packages declare in
// /usr/lib/sysusers.d. The script's come first: its names and numbers are kept.
func (c *composer) accounts(ctx context.Context) error {
	acc := &c.p.Accounts
	acc.addGroups(c.brought.group)
	acc.addUsers(c.brought.passwd)
	if err := c.sysusers(ctx, acc); err != nil {
		return err
	}
	slices.SortStableFunc(acc.Groups, func(x, y groupParams) int { return int(int64(x.GID) - int64(y.GID)) })
	users, groups, shadow := acc.tables()
	_, shadowGID, _ := acc.group("shadow")
	for _, t := range []text{
		{Path: "etc/passwd", Text: users},
		{Path: "etc/group", Text: groups},
		{Path: "etc/shadow", Text: shadow, Mode: 0o640, GID: shadowGID},
	} {
		if err := c.text(ctx, t); err != nil {
			return err
		}
	}
	return nil
}

func (a *accountParams) user(name string) (int, bool) {
	i := slices.IndexFunc(a.Users, func(u userParams) bool { return u.Name == name })
	return i, i >= 0
}

func (a *accountParams) group(name string) (int, uint32, bool) {
	i := slices.IndexFunc(a.Groups, func(g groupParams) bool { return g.Name == name })
	if i < 0 {
		return i, 0, false
	}
	return i, a.Groups[i].GID, true
}

func (a *accountParams) uidTaken(id uint32) bool {
	return slices.ContainsFunc(a.Users, func(u userParams) bool { return u.UID == id })
}

func (a *accountParams) gidTaken(id uint32) bool {
	return slices.ContainsFunc(a.Groups, func(g groupParams) bool { return g.GID == id })
}

// addUsers adds the lines of a passwd whose names and numbers are free.
func (a *accountParams) addUsers(passwd string) {
	for line := range strings.Lines(passwd) {
		f := strings.Split(strings.TrimRight(line, "\n"), ":")
		if len(f) != 7 || !validAccount(f[0]) {
			continue
		}
		uid, err := strconv.ParseUint(f[2], 10, 32)
		gid, err2 := strconv.ParseUint(f[3], 10, 32)
		if _, there := a.user(f[0]); err != nil || err2 != nil || there || a.uidTaken(uint32(uid)) {
			continue
		}
		a.Users = append(a.Users, userParams{Name: f[0], UID: uint32(uid), GID: uint32(gid), Comment: f[4], Home: f[5], Shell: f[6], Hash: "*"})
	}
}

func (a *accountParams) addGroups(group string) {
	for line := range strings.Lines(group) {
		f := strings.Split(strings.TrimRight(line, "\n"), ":")
		if len(f) != 4 || !validAccount(f[0]) {
			continue
		}
		gid, err := strconv.ParseUint(f[2], 10, 32)
		if _, _, there := a.group(f[0]); err != nil || there || a.gidTaken(uint32(gid)) {
			continue
		}
		g := groupParams{Name: f[0], GID: uint32(gid)}
		if f[3] != "" {
			g.Members = strings.Split(f[3], ",")
		}
		a.Groups = append(a.Groups, g)
	}
}

// sysusers adds what packages declare as systemd's sysusers.d(5) has it: lines
// "u NAME ID COMMENT HOME SHELL", "g NAME ID" and "m USER GROUP".
func (c *composer) sysusers(ctx context.Context, acc *accountParams) error {
	var files []string
	err := c.below(ctx, "usr/lib/sysusers.d", func(p string, n action.Node) error {
		if n.Kind == action.Regular && path.Ext(p) == ".conf" {
			files = append(files, p)
		}
		return nil
	})
	if err != nil {
		return err
	}
	for _, file := range files {
		text, err := c.readText(ctx, file)
		if err != nil {
			return err
		}
		for line := range strings.Lines(text) {
			acc.sysuser(sysconf.Fields(line))
		}
	}
	return nil
}

// firstSystemID is where numbers of system users are given out downwards from, as
// systemd does.
const firstSystemID = 999

func (a *accountParams) sysuser(f []string) {
	if len(f) < 2 {
		return
	}
	at := func(i int) string { return sysconf.At(f, i) }
	name := f[1]
	switch strings.TrimRight(f[0], "!") {
	case "g":
		if _, _, there := a.group(name); !there && validAccount(name) {
			a.Groups = append(a.Groups, groupParams{Name: name, GID: a.freeID(at(2))})
		}
	case "u":
		if _, there := a.user(name); there || !validAccount(name) {
			return
		}
		id, group, hasGroup := strings.Cut(at(2), ":")
		u := userParams{Name: name, UID: a.freeID(id), Comment: at(3), Home: at(4), Shell: at(5), Hash: "!*"}
		if u.Home == "" {
			u.Home = "/"
		}
		if u.Shell == "" {
			u.Shell = "/usr/sbin/nologin"
		}
		switch _, gid, there := a.group(name); {
		case hasGroup:
			u.GID = a.groupID(group)
		case there:
			u.GID = gid
		default:
			u.GID = u.UID
			a.Groups = append(a.Groups, groupParams{Name: name, GID: u.GID})
		}
		a.Users = append(a.Users, u)
	case "m":
		if i, _, there := a.group(at(2)); there && !slices.Contains(a.Groups[i].Members, name) {
			a.Groups[i].Members = append(a.Groups[i].Members, name)
		}
	}
}

func (a *accountParams) groupID(s string) uint32 {
	if n, err := strconv.ParseUint(s, 10, 32); err == nil {
		return uint32(n)
	}
	_, gid, _ := a.group(s)
	return gid
}

// freeID returns the number that is asked for, if it is free, else one that is.
func (a *accountParams) freeID(want string) uint32 {
	if n, err := strconv.ParseUint(want, 10, 32); err == nil && !a.uidTaken(uint32(n)) && !a.gidTaken(uint32(n)) {
		return uint32(n)
	}
	id := uint32(firstSystemID)
	for id > 1 && (a.uidTaken(id) || a.gidTaken(id)) {
		id--
	}
	return id
}

// tables writes passwd(5), group(5) and shadow(5).
func (a *accountParams) tables() (passwd, group, shadow action.Late) {
	for _, u := range a.Users {
		passwd += action.Late(fmt.Sprintf("%s:x:%d:%d:%s:%s:%s\n", u.Name, u.UID, u.GID, u.Comment, u.Home, u.Shell))
		shadow += action.Late(u.Name+":") + u.Hash + action.Late(fmt.Sprintf(":%d:0:99999:7:::\n", lastChange))
	}
	for _, g := range a.Groups {
		group += action.Late(fmt.Sprintf("%s:x:%d:%s\n", g.Name, g.GID, strings.Join(g.Members, ",")))
	}
	return passwd, group, shadow
}

// keys writes the users' authorized_keys, as sshd wants them: nobody but the user
// may write the file or the folders on the way to it.
func (c *composer) keys(ctx context.Context) error {
	for _, u := range c.p.Accounts.Users {
		if len(u.Keys) == 0 {
			continue
		}
		var b strings.Builder
		for _, k := range u.Keys {
			for line := range strings.Lines(string(k)) {
				line = strings.TrimSpace(line)
				if line == "" || strings.HasPrefix(line, "#") {
					continue
				}
				if err := publicKey(line); err != nil {
					return &action.PartError{Part: "user " + u.Name, Err: fmt.Errorf("reading ssh_keys of user %q: %w", u.Name, err)}
				}
				b.WriteString(line + "\n")
			}
		}
		home, err := action.CleanPath(u.Home)
		if err != nil {
			return err
		}
		_, home, err = c.e.Resolve(ctx, home)
		if err != nil {
			return &action.PartError{Part: "user " + u.Name, Err: fmt.Errorf("writing ssh_keys of user %q: there is no home folder %q", u.Name, u.Home)}
		}
		dir := path.Join(home, ".ssh")
		err = c.text(ctx, text{Path: dir + "/authorized_keys", Text: action.Late(b.String()), Mode: 0o600, UID: u.UID, GID: u.GID})
		if err != nil {
			return err
		}
		err = c.e.SetAttr(ctx, dir, func(_ action.Kind, a *action.Attr) { a.Mode, a.UID, a.GID = 0o700, u.UID, u.GID })
		if err != nil {
			return err
		}
	}
	return nil
}

// readText returns a small file, "" if there is none.
func (c *composer) readText(ctx context.Context, p string) (string, error) {
	n, _, err := c.e.Resolve(ctx, p)
	if errors.Is(err, fs.ErrNotExist) || err == nil && n.Kind != action.Regular {
		return "", nil
	}
	if err != nil {
		return "", err
	}
	b, err := readAll(ctx, c.env, n.Digest)
	return string(b), err
}

// below calls f for what is in a folder, if there is one, links in the way to it
// followed.
func (c *composer) below(ctx context.Context, dir string, f func(p string, n action.Node) error) error {
	n, at, err := c.e.Resolve(ctx, dir)
	if errors.Is(err, fs.ErrNotExist) || err == nil && n.Kind != action.Dir {
		return nil
	}
	if err != nil {
		return err
	}
	return c.e.Walk(ctx, func(p string, n action.Node) error {
		switch {
		case strings.HasPrefix(p, at+"/") || p == at:
			return f(p, n)
		case n.Kind == action.Dir && p != "" && !strings.HasPrefix(at, p+"/"):
			return fs.SkipDir
		}
		return nil
	})
}
