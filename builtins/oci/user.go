package oci

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"slices"
	"strconv"
	"strings"

	"github.com/labstar/labstar/action"
	"github.com/labstar/labstar/starlark/schema"
)

// user is who the command runs as, as engines find it in the image's /etc.
type user struct {
	shown    string
	uid, gid uint32
	groups   []uint32
}

func (u user) String() string { return fmt.Sprintf("the user %s (%d:%d)", u.shown, u.uid, u.gid) }

// has reports whether the user has all of the permission bits on something.
func (u user) has(a action.Attr, bits uint32) bool {
	switch {
	case u.uid == a.UID:
		return a.Mode>>6&bits == bits
	case u.gid == a.GID || slices.Contains(u.groups, a.GID):
		return a.Mode>>3&bits == bits
	}
	return a.Mode&bits == bits
}

// user finds the user of the configuration, USER or USER:GROUP, by names or numbers.
func (l *linter) user() (user, error) {
	u := user{shown: l.config.User}
	if l.config.User == "" {
		return u, nil
	}
	name, group, hasGroup := strings.Cut(l.config.User, ":")
	passwd, err := l.table("etc/passwd", 4)
	if err != nil {
		return u, err
	}
	groups, err := l.table("etc/group", 3)
	if err != nil {
		return u, err
	}
	number, errNumber := strconv.ParseUint(name, 10, 32)
	u.uid = uint32(number)
	row := slices.IndexFunc(passwd, func(f []string) bool { return f[0] == name || errNumber == nil && f[2] == name })
	if row >= 0 {
		u.uid, u.gid = parseID(passwd[row][2]), parseID(passwd[row][3])
		for _, g := range groups {
			if len(g) > 3 && slices.Contains(strings.Split(g[3], ","), passwd[row][0]) {
				u.groups = append(u.groups, parseID(g[2]))
			}
		}
	} else if errNumber != nil {
		l.unknown("user", name, "etc/passwd", passwd)
		return user{}, nil
	}
	if !hasGroup {
		return u, nil
	}
	gid, errNumber := strconv.ParseUint(group, 10, 32)
	row = slices.IndexFunc(groups, func(f []string) bool { return f[0] == group })
	switch {
	case errNumber == nil:
		u.gid = uint32(gid)
	case row >= 0:
		u.gid = parseID(groups[row][2])
	default:
		l.unknown("group", group, "etc/group", groups)
	}
	return u, nil
}

func (l *linter) unknown(what, name, file string, table [][]string) {
	var names []string
	for _, f := range table {
		names = append(names, f[0])
	}
	if s := schema.Suggest(name, names); s != "" {
		l.fail("user", "checking user: the layers have no %s %q (did you mean %q?)", what, name, s)
		return
	}
	l.fail("user", "checking user: the layers have no %s %q in /%s; add it there, or give its number", what, name, file)
}

func parseID(s string) uint32 {
	n, _ := strconv.ParseUint(s, 10, 32) // 0 for what is damaged
	return uint32(n)
}

// table reads the lines of passwd or group that have so many fields.
func (l *linter) table(file string, fields int) ([][]string, error) {
	n, _, err := l.e.Resolve(l.ctx, file)
	if errors.Is(err, fs.ErrNotExist) || err == nil && n.Kind != action.Regular {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	b, err := l.env.OpenBlob(l.ctx, n.Digest)
	if err != nil {
		return nil, err
	}
	defer b.Close()
	raw, err := io.ReadAll(b)
	if err != nil {
		return nil, err
	}
	var rows [][]string
	for line := range strings.Lines(string(raw)) {
		if f := strings.Split(strings.TrimRight(line, "\n"), ":"); len(f) >= fields {
			rows = append(rows, f)
		}
	}
	return rows, nil
}
