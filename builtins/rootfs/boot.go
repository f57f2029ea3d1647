package rootfs

import (
	_ "embed"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"go.starlark.net/starlark"

	"github.com/labstar/labstar/action"
	"github.com/labstar/labstar/starlark/schema"
)

const (
	rcPath        = "etc/init.d/rcS"
	udhcpcScript  = "usr/share/udhcpc/default.script"
	keymapPath    = "etc/keymap.bmap"
	resolvConf    = "etc/resolv.conf"
	runResolvConf = "../run/resolv.conf"
)

// defaultClock is the date before which no system starts, if the script gives
// none. It is a constant, since nothing may depend on when something is built.
const defaultClock = "2026-01-01"

//go:embed boot/mounts.sh
var mountsScript string

//go:embed boot/udhcpc.sh
var dhcpScript string

// ending are the lines of an inittab for the end of a system. They are no error
// where their programs are not there.
var ending = []action.Late{"::ctrlaltdel:/sbin/reboot", "::shutdown:/bin/umount -a -r"}

// defaultInittab runs the script and then a shell wherever the kernel's console is.
var defaultInittab = append([]action.Late{"::sysinit:/" + rcPath, "::respawn:-/bin/sh"}, ending...)

// booted reports whether the script leaves it to rootfs what is run at boot.
func (a *rootfsArgs) booted() bool {
	return len(a.Services) > 0 || given(a.Network) || a.Keymap != "" || a.Clock != "" || a.Consoles != nil
}

func given(v starlark.Value) bool { return v != nil && v != starlark.None }

// boot makes /etc/inittab, rcS, the services' scripts, and what they use.
func boot(c *schema.Call, a *rootfsArgs, p *composeParams, spec *action.Spec, acc *accounts) error {
	if !a.booted() {
		return nil
	}
	if given(a.RC) {
		return c.ArgErrorf("rc", "got a script for boot with services, network, keymap, clock or consoles, which make one").
			WithHint("give it as a service: services = [service(\"local\", file(\"rc\"))]")
	}
	sorted, errServices := order(c, a.Services)
	nets, errNets := networks(c, a.Network)
	date, errDate := clock(c, a.Clock)
	if err := errors.Join(errServices, errNets, errDate); err != nil {
		return err
	}
	if p.Init == "" {
		p.Init = "/sbin/init"
	}
	own := builtinServices(a, nets, date)
	for _, s := range own {
		for _, program := range uses[s.name] {
			p.Uses = append(p.Uses, use{s.name, program})
		}
	}
	b := booting{p: p, spec: spec}
	for _, s := range slices.Concat(own, sorted) {
		b.add(s)
	}
	p.Texts = append(p.Texts, text{Path: rcPath, Text: b.rc(), Mode: action.ModeExec})
	for _, n := range nets {
		if n.dhcp {
			p.DHCP = append(p.DHCP, n.iface)
			p.Uses = append(p.Uses, use{"network", "udhcpc"})
		}
	}
	p.DefaultLinks = append(p.DefaultLinks, link{"etc/mtab", "../proc/self/mounts"})
	if len(p.DHCP) > 0 {
		p.Defaults = append(p.Defaults, text{Path: udhcpcScript, Text: action.Late(dhcpScript), Mode: action.ModeExec})
		if len(a.Nameservers) == 0 {
			p.DefaultLinks = append(p.DefaultLinks, link{resolvConf, runResolvConf})
		}
	}
	if a.Inittab == nil {
		return lines(c, p, "inittab", "etc/inittab", b.inittab(a, acc))
	}
	if len(b.respawn) > 0 || a.Consoles != nil {
		return c.ArgErrorf("inittab", "got lines with consoles or with services that respawn, which are lines of it too").
			WithHint("leave inittab out")
	}
	return lines(c, p, "inittab", "etc/inittab", a.Inittab)
}

func clock(c *schema.Call, date string) (time.Time, error) {
	if date == "" {
		date = defaultClock
	}
	for _, layout := range []string{time.DateOnly, "2006-01-02 15:04", time.RFC3339} {
		if t, err := time.Parse(layout, date); err == nil {
			if t.Unix() < action.SourceDateEpoch {
				return t, c.ArgErrorf("clock", "got %q, which is before the time that the files have (2020-01-01)", date)
			}
			return t, nil
		}
	}
	return time.Time{}, c.ArgErrorf("clock", "got %q, want a date, as \"2026-01-31\"", date)
}

// builtinServices are those that every system starts with.
func builtinServices(a *rootfsArgs, nets []*Network, date time.Time) []*Service {
	list := []*Service{
		{name: "mounts", command: action.Late(strings.TrimSuffix(mountsScript, "\n"))},
		{name: "clock", command: action.Late(fmt.Sprintf(`# The clock of the machine, and never less than the date of the system: what
# checks certificates fails with one that is in the past.
if [ -e /dev/rtc0 ] && command -v hwclock >/dev/null; then
	hwclock -s -u
fi
if [ "$(date +%%s)" -lt %d ]; then
	date -u -s @%[1]d >/dev/null && echo "clock: set to %s, the date of this system"
fi`, date.Unix(), date.UTC().Format("2006-01-02 15:04 UTC")))},
	}
	if a.Hostname != "" {
		list = append(list, &Service{name: "hostname", command: "hostname -F /etc/hostname"})
	}
	if a.Keymap != "" {
		list = append(list, &Service{name: "keymap", command: "# A system without a screen has no keyboard.\n" +
			"[ -c /dev/tty1 ] || exit 0\nloadkmap </" + keymapPath})
	}
	return append(list, &Service{name: "network", needs: []string{"mounts"}, command: action.Late(networkScript(a, nets))})
}

// uses are the programs that the built-in services call.
var uses = map[string][]string{
	"mounts": {"grep", "mkdir", "mount"}, "clock": {"date"}, "hostname": {"hostname"}, "keymap": {"loadkmap"}, "network": {"ip"},
}

func networkScript(a *rootfsArgs, nets []*Network) string {
	var b strings.Builder
	b.WriteString("ip link set lo up")
	for _, n := range nets {
		fmt.Fprintf(&b, `
# A network card on USB takes a moment.
for try in 1 2 3 4 5; do
	[ -e /sys/class/net/%[1]s ] && break
	sleep 1
done
ip link set %[1]s up || exit`, n.iface)
		if n.dhcp {
			name := ""
			if a.Hostname != "" {
				host, _, _ := strings.Cut(a.Hostname, ".")
				name = " -x hostname:" + host
			}
			fmt.Fprintf(&b, "\nudhcpc -b -R -i %[1]s -s /%[2]s -p /run/udhcpc.%[1]s.pid -t 5 -T 2 -A 10%[3]s", n.iface, udhcpcScript, name)
			continue
		}
		fmt.Fprintf(&b, "\nip addr add %s dev %s || exit", n.address, n.iface)
		if n.gateway != "" {
			fmt.Fprintf(&b, "\nip route add default via %s dev %s || exit", n.gateway, n.iface)
		}
	}
	return b.String()
}

// booting gathers the services in their order.
type booting struct {
	p       *composeParams
	spec    *action.Spec
	once    []string
	respawn []string
}

func (b *booting) add(s *Service) {
	command := s.command
	if s.file != nil {
		path := "etc/init.d/" + s.name + ".run"
		b.p.Files = append(b.p.Files, laidFile{Path: path, Input: "services/" + s.name})
		b.p.Modes = append(b.p.Modes, pathMode{path, action.ModeExec})
		b.spec.Inputs = append(b.spec.Inputs, action.Input{Name: "services/" + s.name, Artifact: s.file.Artifact})
		command = action.Late("/" + path)
	}
	if s.site != nil {
		b.p.Services = append(b.p.Services, serviceParams{Name: s.name, Command: command, Respawn: s.respawn})
	}
	b.p.Texts = append(b.p.Texts, text{Path: "etc/init.d/" + s.name, Text: serviceText(s, command), Mode: action.ModeExec})
	if s.respawn {
		b.respawn = append(b.respawn, s.name)
	} else {
		b.once = append(b.once, s.name)
	}
}

// serviceText is the script of a service. That it succeeded, or was started, is
// told to those that need it by a file in /run/service.
func serviceText(s *Service, command action.Late) action.Late {
	var b strings.Builder
	b.WriteString("#!/bin/sh\n")
	if len(s.needs) > 0 {
		wait := ""
		if s.respawn {
			wait = "sleep 10; "
		}
		fmt.Fprintf(&b, `for need in %s; do
	[ -e /run/service/$need ] || { echo "%s: not started, since $need failed"; %sexit 1; }
done
`, strings.Join(s.needs, " "), s.name, wait)
	}
	if s.respawn {
		fmt.Fprintf(&b, ": >/run/service/%s\n", s.name)
		if simple(string(command)) {
			b.WriteString("exec ")
		}
		return action.Late(b.String()) + command + "\n"
	}
	b.WriteString("(\n")
	return action.Late(b.String()) + command + action.Late(fmt.Sprintf("\n) || exit\n: >/run/service/%s\n", s.name))
}

// simple reports whether a command is one that the shell can be replaced by.
func simple(command string) bool { return !strings.ContainsAny(command, ";|&\n(){}<>") }

func (b *booting) rc() action.Late {
	var rc strings.Builder
	rc.WriteString("#!/bin/sh\n# Runs once at boot, from /etc/inittab: the services in their order.\n" +
		"export PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin\n" +
		"for service in " + strings.Join(b.once, " ") + "; do\n" +
		"\t/etc/init.d/$service || echo \"$service: failed with exit code $?\"\ndone\n")
	return action.Late(rc.String())
}

// inittab is for busybox' init: the first field is a terminal, "" for the
// kernel's console.
func (b *booting) inittab(a *rootfsArgs, acc *accounts) []action.Late {
	list := []action.Late{"::sysinit:/" + rcPath}
	for _, s := range b.respawn {
		list = append(list, action.Late("::respawn:/etc/init.d/"+s))
	}
	switch {
	case a.Consoles != nil:
		for _, tty := range *a.Consoles {
			list = append(list, getty(tty))
		}
	case acc.passwords():
		list = append(list, "::respawn:/sbin/getty -L 0 console linux")
	default:
		list = append(list, "::respawn:-/bin/sh")
	}
	return append(list, ending...)
}

func getty(tty string) action.Late {
	if strings.HasPrefix(tty, "tty") && strings.Trim(tty[3:], "0123456789") == "" {
		return action.Late(fmt.Sprintf("%s::respawn:/sbin/getty 38400 %[1]s linux", tty))
	}
	return action.Late(fmt.Sprintf("%s::respawn:/sbin/getty -L 115200 %[1]s vt100", tty))
}

// consoles checks the argument of that name.
func consoles(c *schema.Call, a *rootfsArgs) error {
	if a.Consoles == nil {
		return nil
	}
	for i, tty := range *a.Consoles {
		if name, ok := strings.CutPrefix(tty, "/dev/"); ok {
			return c.ArgErrorf(fmt.Sprintf("consoles[%d]", i), "got %q, want a name without /dev (did you mean %q?)", tty, name)
		}
		if tty == "" || strings.Trim(tty, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789") != "" {
			return c.ArgErrorf(fmt.Sprintf("consoles[%d]", i), "got %q, want the name of a terminal, as \"tty1\" or \"ttyS0\"", tty)
		}
	}
	return nil
}
