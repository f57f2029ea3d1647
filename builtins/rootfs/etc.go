package rootfs

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/labstar/labstar/action"
	"github.com/labstar/labstar/starlark/schema"
)

const rcPath = "etc/init.d/rcS"

// lastChange is the day on which shadow says that passwords were set: that of
// action.SourceDateEpoch.
const lastChange = action.SourceDateEpoch / 86400

// noLogin are the shells of users who don't log in; they need not be there.
var noLogin = []string{"", "/bin/false", "/usr/bin/false", "/sbin/nologin", "/usr/sbin/nologin"}

// defaultInittab runs the script and then a shell wherever the kernel's console is.
var defaultInittab = []action.Late{
	"::sysinit:/" + rcPath,
	"::respawn:-/bin/sh",
	"::ctrlaltdel:/sbin/reboot",
	"::shutdown:/bin/umount -a -r",
}

// generated makes the texts of /etc that arguments of their own describe.
func generated(c *schema.Call, a *rootfsArgs, p *composeParams, acc *accounts) error {
	if acc == nil {
		return nil
	}
	passwd, group, shadow := acc.tables()
	p.Texts = append(p.Texts,
		text{Path: "etc/passwd", Text: passwd},
		text{Path: "etc/group", Text: group},
		text{Path: "etc/shadow", Text: shadow, Mode: 0o640, GID: acc.groups["shadow"]},
	)
	for _, u := range acc.users {
		if home, err := action.CleanPath(u.home); err == nil && home != "" && u.home != "/nonexistent" {
			p.Homes = append(p.Homes, home)
			p.Owners = append(p.Owners, pathOwner{Path: home, UID: u.uid, GID: u.gid})
		}
	}
	for _, u := range a.Users {
		if !slices.Contains(noLogin, u.shell) {
			p.Shells = append(p.Shells, userShell{u.name, u.shell})
		}
	}
	if a.Hostname != "" {
		p.Texts = append(p.Texts, text{Path: "etc/hostname", Text: action.Late(a.Hostname + "\n")})
	}
	if a.Hostname != "" || len(a.Hosts) > 0 {
		p.Texts = append(p.Texts, text{Path: "etc/hosts", Text: hostsTable(a.Hostname, a.Hosts)})
	}
	inittab := a.Inittab
	if inittab == nil && a.RC != nil {
		inittab = defaultInittab
	}
	return errors.Join(lines(c, p, "inittab", "etc/inittab", inittab), lines(c, p, "fstab", "etc/fstab", a.Fstab))
}

// lines adds a file of lines, if there are any.
func lines(c *schema.Call, p *composeParams, arg, path string, list []action.Late) error {
	if len(list) == 0 {
		return nil
	}
	var b strings.Builder
	for i, l := range list {
		if strings.ContainsRune(strings.TrimSuffix(string(l), "\n"), '\n') {
			return c.ArgErrorf(fmt.Sprintf("%s[%d]", arg, i), "got several lines in one string, want a list of lines")
		}
		b.WriteString(strings.TrimSuffix(string(l), "\n"))
		b.WriteByte('\n')
	}
	p.Texts = append(p.Texts, text{Path: path, Text: action.Late(b.String())})
	return nil
}

func hostsTable(hostname string, hosts schema.Dict[action.Late]) action.Late {
	b := "127.0.0.1\tlocalhost\n::1\tlocalhost\n"
	if hostname != "" {
		b += "127.0.1.1\t" + hostname + "\n"
	}
	for _, h := range hosts {
		b += h.Key + "\t" + string(h.Value) + "\n"
	}
	return action.Late(b)
}

// tables writes passwd(5), group(5) and shadow(5).
func (acc *accounts) tables() (passwd, group, shadow action.Late) {
	for _, u := range acc.users {
		passwd += action.Late(fmt.Sprintf("%s:x:%d:%d:%s:%s:%s\n", u.name, u.uid, u.gid, u.comment, u.home, u.shell))
		shadow += action.Late(u.name+":") + u.hash + action.Late(fmt.Sprintf(":%d:0:99999:7:::\n", lastChange))
	}
	names := sortedKeys(acc.groups)
	slices.SortStableFunc(names, func(x, y string) int { return int(int64(acc.groups[x]) - int64(acc.groups[y])) })
	for _, n := range names {
		group += action.Late(fmt.Sprintf("%s:x:%d:%s\n", n, acc.groups[n], strings.Join(acc.members[n], ",")))
	}
	return passwd, group, shadow
}

// maker names the arguments that make a file of /etc.
func maker(path string) string {
	switch path {
	case "etc/passwd", "etc/group", "etc/shadow":
		return "users"
	case "etc/hosts":
		return "hosts (or hostname)"
	}
	return strings.TrimPrefix(path, "etc/")
}

// owners resolves the argument of that name.
func owners(c *schema.Call, a *rootfsArgs, p *composeParams, acc *accounts) error {
	var errs []error
	for _, path := range sortedKeys(a.Owners) {
		arg := fmt.Sprintf("owners[%q]", path)
		clean, err := action.CleanPath(path)
		if err != nil {
			errs = append(errs, c.ArgErrorf(arg, "%w", err))
			continue
		}
		uid, gid, err := acc.owner(a.Owners[path])
		if err != nil {
			errs = append(errs, c.ArgErrorf(arg, "%w", err))
		}
		p.Owners = append(p.Owners, pathOwner{Path: clean, UID: uid, GID: gid, Must: true})
	}
	return errors.Join(errs...)
}

// modes reads the argument of that name. A number such as 755 is one whose 0o
// was forgotten: no mode that anybody wants looks like that in decimal.
func modes(c *schema.Call, a *rootfsArgs, p *composeParams) error {
	var errs []error
	for _, path := range sortedKeys(a.Modes) {
		arg := fmt.Sprintf("modes[%q]", path)
		m := a.Modes[path]
		clean, err := action.CleanPath(path)
		digits := strconv.FormatUint(uint64(m), 10)
		switch {
		case err != nil:
			errs = append(errs, c.ArgErrorf(arg, "%w", err))
		case forgotten(digits):
			errs = append(errs, c.ArgErrorf(arg, "got %s, which is 0o%o, want octal (did you mean 0o%s?)", digits, m, digits))
		case m > 0o7777:
			errs = append(errs, c.ArgErrorf(arg, "got 0o%o, want permission bits of at most 0o7777", m))
		}
		p.Modes = append(p.Modes, pathMode{clean, m})
	}
	return errors.Join(errs...)
}

// forgotten reports whether the digits are a usual mode whose 0o is missing. It
// is a list, since 420 is 0o644 and 511 is 0o777.
func forgotten(digits string) bool {
	return slices.Contains([]string{
		"400", "440", "444", "500", "555", "600", "640", "644", "660", "664", "700", "711", "750", "755", "770", "775", "777",
		"1777", "2755", "4755", "6755",
	}, digits)
}
