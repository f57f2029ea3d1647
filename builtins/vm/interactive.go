package vm

import (
	"fmt"
	"slices"
	"strings"

	"github.com/labstar/labstar/action"
)

// HostDir is where a machine that a person uses finds the folder that it shares
// with labstar: sockets of its display and ports, and disks that are kept.
const HostDir = "/host"

// Interactive is how a person uses the machine of a test.
type Interactive struct {
	VNC   bool  // a screen and a keyboard, offered on the socket vnc of HostDir
	Ports []int // of the guest, each offered on the socket port-N of HostDir
	// Kept are the disks whose changes are kept, by input: they are files of that
	// name in HostDir.
	Kept []string
}

// Apply changes the command of a test: its machine starts with the console on the
// terminal, no step is gone through and no time limit holds.
func (o Interactive) Apply(cmd *action.Command) {
	args := cmd.Argv[4:] // after perl -e DRIVER --
	if i := slices.IndexFunc(args, func(s string) bool { return strings.HasPrefix(s, "+") }); i >= 0 {
		args = args[:i]
	}
	out := slices.Clone(cmd.Argv[:4])
	for _, arg := range args {
		for _, name := range o.Kept {
			from := "file=" + place(name) + ",format=@format(" + place(name) + "),snapshot=on"
			to := "file=" + HostDir + "/" + name + ",format=@format(" + HostDir + "/" + name + ")"
			arg = strings.Replace(arg, from, to, 1)
		}
		if o.VNC {
			arg = strings.Replace(arg, "qemu=none", "qemu=vnc=unix:"+HostDir+"/vnc", 1)
			arg = strings.Replace(arg, "qemu=q35,graphics=off", "qemu=q35", 1)
		}
		out = append(out, arg)
	}
	if o.VNC {
		out = append(out, screen(slices.Contains(args, "arch=arm64"))...)
	}
	if len(o.Ports) > 0 {
		out = o.forward(out)
	}
	cmd.Argv = append(out, "interactive=1")
	cmd.Timeout, cmd.Secrets = 0, nil
}

// screen is what a person sees and types on besides the serial port.
func screen(arm64 bool) []string {
	if arm64 {
		return []string{"qemu=-device", "qemu=virtio-gpu-pci", "qemu=-device", "qemu=qemu-xhci,id=hid",
			"qemu=-device", "qemu=usb-kbd,bus=hid.0", "qemu=-device", "qemu=usb-tablet,bus=hid.0"}
	}
	return []string{"qemu=-vga", "qemu=std"}
}

// forward adds the ports to those of the machine's network card, which it gets if
// it has none.
func (o Interactive) forward(args []string) []string {
	const first = 20001
	var forwards string
	for i, p := range o.Ports {
		forwards += fmt.Sprintf(",hostfwd=tcp:127.0.0.1:%d-:%d", first+i, p)
		args = append(args, fmt.Sprintf("forward=%d:%d", p, first+i))
	}
	i := slices.IndexFunc(args, func(s string) bool { return strings.HasPrefix(s, "qemu=user,id=net") })
	if i < 0 {
		return append(args, "qemu=-netdev", "qemu=user,id=net"+forwards, "qemu=-device", "qemu=virtio-net-pci,netdev=net,romfile=")
	}
	args[i] += forwards
	return args
}

// Disks returns the inputs of a test's command that are disks, in order.
func Disks(cmd *action.Command) []string {
	var names []string
	for _, m := range cmd.Mounts {
		if m.Input == "usb" || strings.HasPrefix(m.Input, "disk") {
			names = append(names, m.Input)
		}
	}
	return names
}
