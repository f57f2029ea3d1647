package rootfs

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"strings"

	"go.starlark.net/starlark"

	"github.com/labstar/labstar/action"
	"github.com/labstar/labstar/starlark/schema"
)

// Device is a device node, as a value of the language.
type Device struct {
	kind         action.Kind
	major, minor uint32
	mode         uint32
}

// The methods of starlark.Value.
func (d *Device) String() string        { return fmt.Sprintf("device(%q, %d, %d)", d.kind, d.major, d.minor) }
func (d *Device) Type() string          { return "device" }
func (d *Device) Freeze()               {}
func (d *Device) Truth() starlark.Bool  { return true }
func (d *Device) Hash() (uint32, error) { return d.major<<12 ^ d.minor, nil }

type deviceArgs struct {
	Kind  string `star:"kind" enum:"char,block" doc:"what it is"`
	Major uint32 `star:"major" doc:"number of the driver, as in the kernel's Documentation/admin-guide/devices.txt"`
	Minor uint32 `star:"minor" doc:"number of the device"`
	Mode  uint32 `star:"mode,keyword" default:"0o600" doc:"permission bits"`
}

// NewDevice is the builtin `device`.
var NewDevice = schema.New("device", `device describes a device node for rootfs.

A system whose kernel has CONFIG_DEVTMPFS needs none: they come by themselves.

	devices = {"/dev/console": device("char", 5, 1)}`, callDevice, schema.Returns("a device"))

func callDevice(c *schema.Call, a *deviceArgs) (starlark.Value, error) {
	d := &Device{kind: action.Char, major: a.Major, minor: a.Minor, mode: a.Mode}
	if a.Kind == "block" {
		d.kind = action.Block
	}
	var errs []error
	if a.Major > 0xfff {
		errs = append(errs, c.ArgErrorf("major", "got %d, want at most %d", a.Major, 0xfff))
	}
	if a.Minor > 0xfffff {
		errs = append(errs, c.ArgErrorf("minor", "got %d, want at most %d", a.Minor, 0xfffff))
	}
	if a.Mode > 0o777 {
		errs = append(errs, c.ArgErrorf("mode", "got 0o%o, want permission bits, as 0o600", a.Mode))
	}
	return d, errors.Join(errs...)
}

type devicePath struct {
	Path  string      `json:"path"`
	Kind  action.Kind `json:"kind"`
	Major uint32      `json:"major"`
	Minor uint32      `json:"minor"`
	Mode  uint32      `json:"mode"`
}

func (c *composer) devices(ctx context.Context) error {
	for _, d := range c.p.Devices {
		n := action.Node{Kind: d.Kind, Major: d.Major, Minor: d.Minor, Attr: action.Attr{Mode: d.Mode}}
		if err := c.e.Put(ctx, d.Path, n, action.Replace); err != nil {
			return fmt.Errorf("making device: %w", err)
		}
	}
	return nil
}

func devices(c *schema.Call, a *rootfsArgs, p *composeParams) error {
	var errs []error
	for _, at := range sortedKeys(a.Devices) {
		path, err := action.CleanPath(at)
		if err != nil || path == "" {
			errs = append(errs, c.ArgErrorf(fmt.Sprintf("devices[%q]", at), "got %q, want a path in the tree", at))
			continue
		}
		d := a.Devices[at]
		p.Devices = append(p.Devices, devicePath{path, d.kind, d.major, d.minor, d.mode})
	}
	return errors.Join(errs...)
}

// capabilityNames are those of linux/capability.h, by number.
var capabilityNames = strings.Fields(`chown dac_override dac_read_search fowner fsetid kill setgid setuid setpcap
	linux_immutable net_bind_service net_broadcast net_admin net_raw ipc_lock ipc_owner sys_module sys_rawio sys_chroot
	sys_ptrace sys_pacct sys_admin sys_boot sys_nice sys_resource sys_time sys_tty_config mknod lease audit_write
	audit_control setfcap mac_override mac_admin syslog wake_alarm block_suspend audit_read perfmon bpf checkpoint_restore`)

// capabilities reads a clause as setcap takes it, "cap_net_raw,cap_net_admin+ep",
// and returns the value of the attribute security.capability (struct
// vfs_cap_data of revision 2).
func capabilities(clause string) ([]byte, error) {
	at := strings.IndexAny(clause, "+=")
	if at < 0 {
		return nil, fmt.Errorf("got %q, want names and sets, as \"cap_net_raw+ep\"", clause)
	}
	var bits uint64
	for name := range strings.SplitSeq(clause[:at], ",") {
		n := -1
		for i, known := range capabilityNames {
			if name == "cap_"+known {
				n = i
			}
		}
		if n < 0 {
			all := make([]string, len(capabilityNames))
			for i, known := range capabilityNames {
				all[i] = "cap_" + known
			}
			return nil, fmt.Errorf("got the capability %q, which there is not%s", name, suggestion(name, all))
		}
		bits |= 1 << n
	}
	var magic uint32 = 0x02000000
	var permitted, inheritable uint64
	for _, set := range clause[at+1:] {
		switch set {
		case 'e':
			magic |= 1
		case 'p':
			permitted = bits
		case 'i':
			inheritable = bits
		default:
			return nil, fmt.Errorf("got the set %q, want e (effective), p (permitted) or i (inheritable)", set)
		}
	}
	if permitted|inheritable == 0 {
		return nil, fmt.Errorf("got %q, which grants nothing: want p or i among the sets, as in \"cap_net_raw+ep\"", clause)
	}
	b := binary.LittleEndian.AppendUint32(nil, magic)
	for _, shift := range []int{0, 32} {
		b = binary.LittleEndian.AppendUint32(b, uint32(permitted>>shift))
		b = binary.LittleEndian.AppendUint32(b, uint32(inheritable>>shift))
	}
	return b, nil
}

type pathXattr struct {
	Path  string `json:"path"`
	Name  string `json:"name"`
	Value []byte `json:"value"`
	Arg   string `json:"arg"` // for messages
}

// xattrs reads the arguments capabilities and xattrs.
func xattrs(c *schema.Call, a *rootfsArgs, p *composeParams) error {
	var errs []error
	add := func(arg, at, name string, value []byte) {
		path, err := action.CleanPath(at)
		if err != nil {
			errs = append(errs, c.ArgErrorf(fmt.Sprintf("%s[%q]", arg, at), "%w", err))
		}
		p.Xattrs = append(p.Xattrs, pathXattr{path, name, value, arg})
	}
	for _, at := range sortedKeys(a.Capabilities) {
		value, err := capabilities(a.Capabilities[at])
		if err != nil {
			errs = append(errs, c.ArgErrorf(fmt.Sprintf("capabilities[%q]", at), "%w", err))
			continue
		}
		add("capabilities", at, "security.capability", value)
	}
	for _, at := range sortedKeys(a.Xattrs) {
		for _, name := range sortedKeys(a.Xattrs[at]) {
			ns, _, ok := strings.Cut(name, ".")
			if !ok || ns != "user" && ns != "trusted" && ns != "security" && ns != "system" {
				errs = append(errs, c.ArgErrorf(fmt.Sprintf("xattrs[%q][%q]", at, name), "got %q, want a name that starts with user., trusted., security. or system.", name))
			}
			add("xattrs", at, name, []byte(a.Xattrs[at][name]))
		}
	}
	return errors.Join(errs...)
}

func (c *composer) xattrs(ctx context.Context) error {
	for _, x := range c.p.Xattrs {
		n, at, err := c.e.Resolve(ctx, x.Path)
		if err != nil {
			return fmt.Errorf("setting %s of %q: there is no such path; see %s", x.Name, "/"+x.Path, x.Arg)
		}
		if x.Name == "security.capability" && n.Kind != action.Regular {
			return fmt.Errorf("setting capabilities of %q: it is a %s, want a program", "/"+x.Path, n.Kind)
		}
		err = c.e.SetAttr(ctx, at, func(_ action.Kind, a *action.Attr) {
			list := []action.Xattr{}
			for _, old := range a.Xattrs {
				if old.Name != x.Name {
					list = append(list, old)
				}
			}
			i := 0
			for i < len(list) && list[i].Name < x.Name {
				i++
			}
			list = append(list[:i], append([]action.Xattr{{Name: x.Name, Value: x.Value}}, list[i:]...)...)
			a.Xattrs = list
		})
		if err != nil {
			return err
		}
	}
	return nil
}
