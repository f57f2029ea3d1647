package rootfs

import (
	"context"
	"path"
	"slices"
	"strings"

	"github.com/labstar/labstar/action"
)

// sshServer is the ssh server that a service starts, and what its command line and
// its configuration say about who may log in.
type sshServer struct {
	service  string
	dropbear bool
	flags    string            // single letters of dropbear's
	settings map[string]string // of sshd, by name in lower case
	where    string            // of the settings
}

func (v *sshServer) what() string {
	if v.dropbear {
		return "dropbear"
	}
	return "sshd"
}

// findSSH looks through the services for an ssh server.
func (s *survey) findSSH(ctx context.Context) (*sshServer, error) {
	for _, v := range s.p.Services {
		words := strings.Fields(string(v.Command))
		for i, w := range words {
			switch path.Base(w) {
			case "dropbear":
				server := &sshServer{service: v.Name, dropbear: true}
				for _, arg := range words[i+1:] {
					if strings.ContainsAny(arg, ";|&") {
						break
					}
					server.flags += dropbearFlags(arg)
				}
				return server, nil
			case "sshd":
				if strings.HasPrefix(w, "/run/") || strings.HasPrefix(w, "/var/") || strings.HasPrefix(w, "/etc/") {
					continue // the folder of its name
				}
				server := &sshServer{service: v.Name, settings: map[string]string{}, where: "/etc/ssh/sshd_config"}
				return server, s.sshdSettings(ctx, server, words[i+1:])
			}
		}
	}
	return nil, nil
}

// dropbearFlags returns the letters of one argument; of those that take a value,
// the rest of the argument is it.
func dropbearFlags(arg string) string {
	if !strings.HasPrefix(arg, "-") {
		return ""
	}
	if i := strings.IndexAny(arg, "bcdDIKpPrTWz"); i > 0 {
		return arg[1 : i+1]
	}
	return arg[1:]
}

// sshdSettings reads what sshd will: -o of the command line, then the file, of
// which the first value of a setting counts, up to the first Match.
func (s *survey) sshdSettings(ctx context.Context, v *sshServer, args []string) error {
	for i, a := range args {
		if i+1 < len(args) && a == "-f" {
			v.where = args[i+1]
		}
		o, ok := strings.CutPrefix(a, "-o")
		if ok && o == "" && i+1 < len(args) {
			o = args[i+1]
		}
		if name, value, found := strings.Cut(strings.Trim(o, `"'`), "="); ok && found {
			v.set(name, value)
		}
	}
	return s.sshdFile(ctx, v, v.where, 0)
}

func (v *sshServer) set(name, value string) {
	name = strings.ToLower(name)
	if _, there := v.settings[name]; !there {
		v.settings[name] = value
	}
}

func (s *survey) sshdFile(ctx context.Context, v *sshServer, file string, depth int) error {
	text, err := s.readText(ctx, file)
	if err != nil || depth > 8 {
		return err
	}
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(line)
		name, value, _ := strings.Cut(strings.Replace(line, "=", " ", 1), " ")
		value = strings.Trim(strings.TrimSpace(value), `"`)
		switch {
		case line == "" || line[0] == '#':
		case strings.EqualFold(name, "match"):
			return nil
		case strings.EqualFold(name, "include"):
			for _, pattern := range strings.Fields(value) {
				if !strings.HasPrefix(pattern, "/") {
					pattern = "/etc/ssh/" + pattern
				}
				var files []string
				err := s.below(ctx, path.Dir(pattern), func(p string, n action.Node) error {
					if ok, err := path.Match(pattern, "/"+p); n.Kind == action.Regular && ok && err == nil {
						files = append(files, p)
					}
					return nil
				})
				if err != nil {
					return err
				}
				for _, f := range files {
					if err := s.sshdFile(ctx, v, f, depth+1); err != nil {
						return err
					}
				}
			}
		default:
			v.set(name, value)
		}
	}
	return nil
}

// ways are how a user can prove who it is.
type ways struct{ key, password bool }

func waysOf(u userParams) ways {
	return ways{key: len(u.Keys) > 0, password: strings.HasPrefix(string(u.Hash), "$")}
}

// ssh checks that an ssh server lets in those whom the script gives a key or a
// password: root if it has a key, or if nobody else can log in.
func (s *survey) ssh(ctx context.Context) error {
	v, err := s.findSSH(ctx)
	if err != nil || v == nil {
		return err
	}
	s.sshd, s.login = v, v.what()
	var root userParams
	others := false
	for _, u := range s.p.Accounts.Users {
		if w := waysOf(u); u.Name == "root" {
			root = u
		} else if w.key || w.password && !v.passwordsOff() {
			others = true
		}
	}
	w := waysOf(root)
	switch {
	case !w.key && !w.password && !others:
		s.failAt("service "+v.service, "checking service %q: nobody can log in over ssh, since no user has a password or a key; say users = [user(\"root\", ssh_keys = [file(\"id.pub\")])]", v.service)
	case w.key || w.password && !others:
		if v.dropbear {
			s.dropbear(v, w)
		} else {
			s.openssh(v, w)
		}
	}
	return s.hostKeys(ctx, v)
}

func (v *sshServer) passwordsOff() bool {
	if v.dropbear {
		return strings.Contains(v.flags, "s")
	}
	return v.settings["passwordauthentication"] == "no"
}

func (s *survey) dropbear(v *sshServer, w ways) {
	switch {
	case strings.Contains(v.flags, "w"):
		s.failAt("service "+v.service, "checking service %q: root is to log in over ssh, and -w forbids it; leave -w out", v.service)
	case !w.key && strings.ContainsAny(v.flags, "sg"):
		s.failAt("service "+v.service, "checking service %q: root has a password only, and -%c forbids passwords; give root ssh_keys, or leave it out",
			v.service, v.flags[strings.IndexAny(v.flags, "sg")])
	}
}

func (s *survey) openssh(v *sshServer, w ways) {
	has := "a key"
	if !w.key {
		has = "a password only"
	}
	permit, given := v.settings["permitrootlogin"], true
	if permit == "" {
		permit, given = "prohibit-password", false
	}
	says := v.where + " says PermitRootLogin " + permit
	if !given {
		says = v.where + " does not say PermitRootLogin, which is then prohibit-password"
	}
	want := "prohibit-password"
	if !w.key {
		want = "yes"
	}
	switch {
	case permit == "no" || permit == "forced-commands-only":
		s.failAt("service "+v.service, "checking service %q: root has %s and is to log in over ssh, and %s; say PermitRootLogin %s there", v.service, has, says, want)
	case !w.key && (permit == "prohibit-password" || permit == "without-password"):
		s.failAt("service "+v.service, "checking service %q: root has a password only, and %s; give root ssh_keys, or say PermitRootLogin yes there", v.service, says)
	case !w.key && v.settings["passwordauthentication"] == "no":
		s.failAt("service "+v.service, "checking service %q: root has a password only, and %s says PasswordAuthentication no; give root ssh_keys", v.service, v.where)
	case w.key && v.settings["pubkeyauthentication"] == "no":
		s.failAt("service "+v.service, "checking service %q: root has a key, and %s says PubkeyAuthentication no; say yes there", v.service, v.where)
	}
	if users := v.settings["allowusers"]; users != "" && !slices.ContainsFunc(strings.Fields(users), func(u string) bool {
		name, _, _ := strings.Cut(u, "@")
		ok, err := path.Match(name, "root")
		return ok || err != nil
	}) {
		s.failAt("service "+v.service, "checking service %q: root is to log in over ssh, and %s says AllowUsers %s; add root there", v.service, v.where, users)
	}
	if slices.Contains(strings.Fields(v.settings["denyusers"]), "root") {
		s.failAt("service "+v.service, "checking service %q: root is to log in over ssh, and %s says DenyUsers root; leave root out there", v.service, v.where)
	}
}

// hostKeys checks what the servers need besides users: their own keys, and the
// unprivileged user of sshd.
func (s *survey) hostKeys(ctx context.Context, v *sshServer) error {
	dir, maker, remedy := "etc/ssh", "ssh-keygen", "add a service that runs ssh-keygen -A before it, as openssh_service() of @stdlib//openssh.star does"
	if v.dropbear {
		dir, maker, remedy = "etc/dropbear", "dropbearkey", "say -R, by which dropbear makes them when they are first needed"
	}
	found := strings.Contains(v.flags, "R") || slices.ContainsFunc(s.p.Services, func(o serviceParams) bool {
		return strings.Contains(string(o.Command), maker)
	})
	err := s.below(ctx, dir, func(p string, n action.Node) error {
		base := path.Base(p)
		found = found || strings.Contains(base, "host_key") && !strings.HasSuffix(base, ".pub") || strings.HasPrefix(base, "ssh_host_") && strings.HasSuffix(base, "_key")
		return nil
	})
	if err != nil {
		return err
	}
	if !found {
		s.failAt("service "+v.service, "checking service %q: %s has no host keys; %s", v.service, v.what(), remedy)
	}
	if n, _, err := s.e.Resolve(ctx, dir); v.dropbear && strings.Contains(v.flags, "R") && (err != nil || n.Kind != action.Dir) {
		s.failAt("service "+v.service, "checking service %q: dropbear keeps its host keys in /etc/dropbear, which is not there; say dirs = [\"/etc/dropbear\"]", v.service)
	}
	if _, there := s.p.Accounts.user("sshd"); !v.dropbear && !there {
		s.failAt("service "+v.service, "checking service %q: sshd runs in part as the user sshd, which is not there; say users = [openssh_user()], from @stdlib//openssh.star", v.service)
	}
	return nil
}
