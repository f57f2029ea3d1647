package vm

import (
	"errors"
	"fmt"
	"strconv"
	"strings"

	"go.starlark.net/starlark"

	"github.com/labstar/labstar/action"
	"github.com/labstar/labstar/internal/pattern"
	"github.com/labstar/labstar/starlark/schema"
)

// machine is what a test runs on, with its arguments checked.
type machine struct {
	args     *testArgs
	arch     string
	firmware string
	network  bool
	disks    []disk // the first may be what the machine starts from
	ports    []int  // of the guest, that are forwarded
	keys     map[*schema.Artifact]string
	copies   []string // "FROM>TO", for the driver
	blanks   []string // "SIZE>FILE", too
}

// disk is an artifact, or an empty one of some size.
type disk struct {
	input    string // its name
	artifact *schema.Artifact
	size     int64
}

func newMachine(c *schema.Call, a *testArgs) (*machine, error) {
	m := &machine{args: a, keys: map[*schema.Artifact]string{}}
	errs := []error{m.chooseArch(c), m.chooseFirmware(c), m.chooseDisks(c), m.choosePorts(c), checkNumbers(c, a)}
	for i, pattern := range a.Forbid {
		if err := checkRegex(pattern); err != nil {
			errs = append(errs, c.ArgErrorf(fmt.Sprintf("forbid[%d]", i), "%w", err))
		}
	}
	return m, errors.Join(errs...)
}

// chooseArch takes the architecture from what the machine starts, if it says.
func (m *machine) chooseArch(c *schema.Call) error {
	a := m.args
	m.arch = a.Arch
	for _, from := range []struct {
		arg string
		v   *schema.Artifact
	}{{"kernel", a.Kernel}, {"usb", a.USB}, {"disk", a.Disk}} {
		if from.v == nil {
			continue
		}
		v, _ := from.v.Attr("arch")
		arch, ok := starlark.AsString(v)
		switch {
		case !ok || arch == "":
		case m.arch == "":
			m.arch = arch
		case m.arch != arch:
			return c.ArgErrorf(from.arg, "got a %s for %s, want one for the machine's architecture, %s", from.v.Type(), arch, m.arch)
		}
	}
	if m.arch == "" {
		m.arch = "x86_64"
	}
	return nil
}

func (m *machine) chooseFirmware(c *schema.Call) error {
	a := m.args
	m.firmware = a.Firmware
	switch {
	case a.Kernel == nil && a.Disk == nil && a.USB == nil:
		return c.Errorf("got nothing to start, want a kernel, a disk or a USB stick").WithHint("vm_test(kernel = …, initrd = …), vm_test(disk = …) or vm_test(usb = …)")
	case a.Kernel == nil && a.Initrd != nil:
		return c.ArgErrorf("initrd", "got an initramfs without a kernel that would read it")
	case a.Kernel == nil && a.Append != "":
		return c.ArgErrorf("append", "got a command line without a kernel: what starts from a disk has it in its loader's configuration")
	case m.arch == "arm64" && m.firmware == "bios":
		return c.ArgErrorf("firmware", `got "bios", which arm64 machines don't have, want "uefi"`)
	case m.firmware == "" && m.arch == "arm64" && a.Kernel == nil:
		m.firmware = "uefi"
	case m.firmware == "" && m.arch == "arm64":
		m.firmware = "none"
	case m.firmware == "":
		m.firmware = "bios"
	}
	return nil
}

func (m *machine) chooseDisks(c *schema.Call) error {
	var errs []error
	if m.args.Disk != nil {
		m.disks = append(m.disks, disk{input: "disk", artifact: m.args.Disk})
	}
	for i, v := range m.args.Disks {
		d := disk{input: fmt.Sprintf("disk%d", i+2)}
		switch v := v.(type) {
		case *schema.Artifact:
			if v.Kind() != action.File {
				errs = append(errs, c.ArgErrorf(fmt.Sprintf("disks[%d]", i), "got a %s (a tree), want a disk or a file", v.Type()))
			}
			d.artifact = v
		case starlark.String:
			size, err := parseSize(string(v))
			if err != nil {
				errs = append(errs, c.ArgErrorf(fmt.Sprintf("disks[%d]", i), "%w", err))
			}
			d.size = size
		default:
			errs = append(errs, c.ArgErrorf(fmt.Sprintf("disks[%d]", i), `got %s, want a disk, a file, or a size such as "1G"`, v.Type()))
		}
		m.disks = append(m.disks, d)
	}
	return errors.Join(errs...)
}

var sizePattern = pattern.New(`^([0-9]{1,9})([KMGT])(?:iB)?$`)

// parseSize reads "64M", "1G", "512MiB".
func parseSize(s string) (int64, error) {
	g := sizePattern().FindStringSubmatch(s)
	if g == nil {
		return 0, fmt.Errorf(`got the size %q, want a number and K, M, G or T, such as "512M"`, s)
	}
	n, err := strconv.ParseInt(g[1], 10, 64)
	if n == 0 || err != nil {
		return 0, fmt.Errorf("got the size %q, want more than nothing", s)
	}
	return n << (10 * (1 + strings.Index("KMGT", g[2]))), nil
}

func (m *machine) choosePorts(c *schema.Call) error {
	var errs []error
	for i, s := range m.args.Steps {
		if s.port != 0 {
			m.network = true
			m.hostPort(s.port)
		}
		if s.key != nil && m.keys[s.key] == "" {
			m.keys[s.key] = fmt.Sprintf("ssh-key%d", len(m.keys)+1)
		}
		if s.kind == "poweroff" && i+1 < len(m.args.Steps) {
			errs = append(errs, c.ArgErrorf(fmt.Sprintf("steps[%d]", i), "got %s before %s, and the machine is off then; want it last", s, m.args.Steps[i+1]))
		}
	}
	if n := m.args.Network; n != nil {
		if !*n && m.network {
			errs = append(errs, c.ArgErrorf("network", "got False, and a step needs the network"))
		}
		m.network = m.network || *n
	}
	return errors.Join(errs...)
}

// hostPort is the port of the sandbox' own network that leads to one of the guest.
func (m *machine) hostPort(guest int) int {
	const first = 10001
	for i, p := range m.ports {
		if p == guest {
			return first + i
		}
	}
	m.ports = append(m.ports, guest)
	return first + len(m.ports) - 1
}

var datePattern = pattern.New(`^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}$`)

func checkNumbers(c *schema.Call, a *testArgs) error {
	var errs []error
	for _, n := range []struct {
		arg              string
		got, least, most int
	}{{"memory", a.Memory, 16, 1 << 20}, {"cpus", a.CPUs, 1, 255}, {"timeout", a.Timeout, 1, 86400}} {
		if n.got < n.least || n.got > n.most {
			errs = append(errs, c.ArgErrorf(n.arg, "got %d, want %d to %d", n.got, n.least, n.most))
		}
	}
	if !datePattern().MatchString(a.Date) {
		errs = append(errs, c.ArgErrorf("date", `got %q, want YYYY-MM-DDTHH:MM:SS, such as "2020-01-01T00:00:00"`, a.Date))
	}
	for arg, s := range map[string]string{"cpu": a.CPU, "append": string(a.Append)} {
		if strings.ContainsAny(s, "\x00\n") {
			errs = append(errs, c.ArgErrorf(arg, "got a zero byte or a line break"))
		}
	}
	return errors.Join(errs...)
}

// program is QEMU's for the architecture.
func (m *machine) program() string {
	if m.arch == "arm64" {
		return "/usr/bin/qemu-system-aarch64"
	}
	return "/usr/bin/qemu-system-x86_64"
}

func (m *machine) cpu() string {
	switch {
	case m.args.CPU != "":
		return m.args.CPU
	case m.arch == "arm64":
		return "cortex-a72"
	}
	return "max"
}

// console is the kernel's name of the serial port.
func (m *machine) console() string {
	if m.arch == "arm64" {
		return "ttyAMA0"
	}
	return "ttyS0"
}

// firmwareFiles are the code and the first state of the UEFI variables.
func (m *machine) firmwareFiles() (code, vars string) {
	if m.arch == "arm64" {
		return "/usr/share/AAVMF/AAVMF_CODE.fd", "/usr/share/AAVMF/AAVMF_VARS.fd"
	}
	return "/usr/share/OVMF/OVMF_CODE_4M.fd", "/usr/share/OVMF/OVMF_VARS_4M.fd"
}

// qemu returns QEMU's arguments but for the accelerator, the processor and the
// console, which are the driver's.
func (m *machine) qemu() []string {
	a := m.args
	board := "q35,graphics=off" // SeaBIOS then has the serial port as its screen
	if m.arch == "arm64" {
		board = "virt"
	}
	args := []string{
		"-nodefaults", "-display", "none", "-no-reboot", "-M", board, "-m", fmt.Sprint(a.Memory), "-smp", fmt.Sprint(a.CPUs),
		"-rtc", "base=" + a.Date + ",clock=vm",
	}
	if m.firmware == "uefi" {
		code, vars := m.firmwareFiles()
		m.copies = append(m.copies, vars+">/tmp/vars.fd")
		args = append(args, "-drive", "if=pflash,format=raw,readonly=on,file="+code, "-drive", "if=pflash,format=raw,file=/tmp/vars.fd")
	}
	if a.Kernel != nil {
		args = append(args, "-kernel", place("kernel"), "-append", m.commandLine())
		if a.Initrd != nil {
			args = append(args, "-initrd", place("initrd"))
		}
	}
	// What the machine starts from comes first; a kernel is started by itself.
	boot := 0
	index := func() string {
		boot++
		if a.Kernel != nil {
			return ""
		}
		return fmt.Sprintf(",bootindex=%d", boot)
	}
	if a.USB != nil {
		controller := map[string]string{"2.0": "usb-ehci", "3.1": "qemu-xhci"}[a.USBSpeed]
		args = append(args, "-device", controller+",id=usb", "-drive", drive("stick", place("usb")),
			"-device", "usb-storage,bus=usb.0,drive=stick,removable=on"+index())
	}
	for i, d := range m.disks {
		id, file := fmt.Sprintf("d%d", i), place(d.input)
		if d.artifact == nil {
			file = "/tmp/" + d.input
			m.blanks = append(m.blanks, fmt.Sprintf("%d>%s", d.size, file))
		}
		args = append(args, "-drive", drive(id, file))
		args = append(args, m.diskDevice(i, id, index())...)
	}
	if m.network {
		net := "user,id=net"
		for _, p := range m.ports {
			net += fmt.Sprintf(",hostfwd=tcp:127.0.0.1:%d-:%d", m.hostPort(p), p)
		}
		nic := map[string]string{"virtio": "virtio-net-pci", "e1000e": "e1000e"}[a.NIC]
		args = append(args, "-netdev", net, "-device", nic+",netdev=net,romfile=")
	}
	return args
}

// drive is a disk whose changes are thrown away. The driver finds its format.
func drive(id, file string) string {
	return fmt.Sprintf("if=none,id=%s,file=%s,format=@format(%s),snapshot=on", id, file, file)
}

func (m *machine) diskDevice(i int, id, index string) []string {
	at := "drive=" + id + index
	switch {
	case m.args.DiskBus == "nvme":
		return []string{"-device", "nvme,serial=labstar" + id + "," + at}
	case m.args.DiskBus == "sata" && m.arch == "x86_64":
		return []string{"-device", fmt.Sprintf("ide-hd,bus=ide.%d,%s", i, at)} // q35 has the controller
	case m.args.DiskBus == "sata":
		args := []string{"-device", fmt.Sprintf("ide-hd,bus=ahci.%d,%s", i, at)}
		if i == 0 {
			args = append([]string{"-device", "ahci,id=ahci"}, args...)
		}
		return args
	}
	return []string{"-device", "virtio-blk-pci," + at}
}

// commandLine is the kernel's: the console first, so that the script's own wins.
func (m *machine) commandLine() string {
	return strings.TrimSpace("console=" + m.console() + " panic=-1 " + string(m.args.Append))
}
