package rootfs

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"github.com/labstar/labstar/action"
	"github.com/labstar/labstar/starlark/schema"
)

// lastChange is the day on which shadow says that passwords were set: that of
// action.SourceDateEpoch.
const lastChange = action.SourceDateEpoch / 86400

// noLogin are the shells of users who don't log in; they need not be there.
var noLogin = []string{"", "/bin/false", "/usr/bin/false", "/sbin/nologin", "/usr/sbin/nologin"}

// generated makes the texts of /etc that arguments of their own describe.
func generated(c *schema.Call, a *rootfsArgs, p *composeParams, acc *accounts) error {
	if acc == nil {
		return nil
	}
	p.Accounts = acc.params()
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
	p.Defaults = append(p.Defaults, text{Path: "etc/shells", Text: shells(acc)})
	if a.Hostname != "" {
		p.Texts = append(p.Texts, text{Path: "etc/hostname", Text: action.Late(a.Hostname + "\n")})
	}
	if a.Hostname != "" || len(a.Hosts) > 0 {
		p.Texts = append(p.Texts, text{Path: "etc/hosts", Text: hostsTable(a.Hostname, a.Hosts)})
	}
	errs := []error{checkHosts(c, a.Hosts), checkFstab(c, a.Fstab), lines(c, p, "fstab", "etc/fstab", a.Fstab), nameservers(c, a, p)}
	if !a.booted() {
		inittab := a.Inittab
		if inittab == nil && given(a.RC) {
			inittab = defaultInittab
		}
		errs = append(errs, lines(c, p, "inittab", "etc/inittab", inittab))
	}
	return errors.Join(errs...)
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

// shells makes /etc/shells, without which dropbear and others let in only those
// whose shell is /bin/sh.
func shells(acc *accounts) action.Late {
	list := []string{"/bin/sh"}
	for _, u := range acc.users {
		if !slices.Contains(noLogin, u.shell) && !slices.Contains(list, u.shell) {
			list = append(list, u.shell)
		}
	}
	return action.Late(strings.Join(list, "\n") + "\n")
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

// checkHosts looks at what hosts(5) would leave out without a word: a line that does
// not begin with an address, or has no name.
func checkHosts(c *schema.Call, hosts schema.Dict[action.Late]) error {
	var errs []error
	for _, h := range hosts {
		arg := fmt.Sprintf("hosts[%q]", h.Key)
		if _, err := netip.ParseAddr(h.Key); err != nil {
			e := c.ArgErrorf(arg, "got the key %q, want an address, as {\"10.0.0.1\": \"gateway\"}", h.Key)
			if _, err := netip.ParseAddr(string(h.Value)); err == nil {
				e = e.WithHint(fmt.Sprintf("the address comes first: {%q: %q}", h.Value, h.Key))
			}
			errs = append(errs, e)
			continue
		}
		if len(strings.Fields(string(h.Value))) == 0 || strings.ContainsAny(string(h.Value), "\n#") {
			errs = append(errs, c.ArgErrorf(arg, "got %q, want a name, or several with spaces between", string(h.Value)))
		}
	}
	return errors.Join(errs...)
}

// checkFstab counts the fields of fstab(5): mount leaves out a line that has too few.
func checkFstab(c *schema.Call, list []action.Late) error {
	var errs []error
	for i, l := range list {
		refs, err := c.Session().Scope.Refs(string(l))
		fields := strings.Fields(string(l))
		if err != nil || len(refs) > 0 || len(fields) == 0 || fields[0][0] == '#' {
			continue
		}
		if len(fields) < 4 || len(fields) > 6 {
			errs = append(errs, c.ArgErrorf(fmt.Sprintf("fstab[%d]", i), "got %d fields in %q, want 4 to 6: DEVICE FOLDER TYPE OPTIONS, as \"/dev/vda2 /srv ext4 defaults\"", len(fields), string(l)))
		}
	}
	return errors.Join(errs...)
}

// nameservers makes /etc/resolv.conf of addresses.
func nameservers(c *schema.Call, a *rootfsArgs, p *composeParams) error {
	var list []action.Late
	for i, n := range a.Nameservers {
		if _, err := netip.ParseAddr(n); err != nil {
			return c.ArgErrorf(fmt.Sprintf("nameservers[%d]", i), "got %q, want an address, as \"1.1.1.1\"", n)
		}
		list = append(list, action.Late("nameserver "+n))
	}
	return lines(c, p, "nameservers", resolvConf, list)
}

// maker names the arguments that make a file of /etc.
func maker(path string) string {
	switch path {
	case "etc/passwd", "etc/group", "etc/shadow":
		return "users"
	case "etc/hosts":
		return "hosts (or hostname)"
	case resolvConf:
		return "nameservers"
	}
	if strings.HasPrefix(path, "etc/init.d/") || path == "etc/inittab" {
		return "services"
	}
	return strings.TrimPrefix(path, "etc/")
}

// owners reads the argument of that name. Whether a user is there is known once
// the trees are, which may bring some along.
func owners(c *schema.Call, a *rootfsArgs, p *composeParams) error {
	var errs []error
	for _, path := range sortedKeys(a.Owners) {
		arg := fmt.Sprintf("owners[%q]", path)
		clean, err := action.CleanPath(path)
		if err != nil {
			errs = append(errs, c.ArgErrorf(arg, "%w", err))
			continue
		}
		p.Owners = append(p.Owners, pathOwner{Path: clean, Owner: a.Owners[path]})
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
