//go:build linux

package doctor

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

func kernelRelease() (string, error) {
	var u unix.Utsname
	if err := unix.Uname(&u); err != nil {
		return "", err
	}
	return unix.ByteSliceToString(u.Release[:]), nil
}

// sysctl returns a kernel setting, "" if the kernel hasn't got it.
func sysctl(name string) string {
	b, err := os.ReadFile("/proc/sys/" + name)
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(b))
}

// namespaces reads the three switches that forbid user namespaces; whether they
// work in the end is what the sandbox check tells.
func namespaces() []Check {
	c := Check{Name: "user namespaces", Status: OK, Detail: "allowed"}
	root := os.Geteuid() == 0
	switch {
	case sysctl("user/max_user_namespaces") == "0":
		c.Status, c.Detail = Failed, "switched off: user.max_user_namespaces is 0"
		c.Remedy = "sudo sysctl -w user.max_user_namespaces=15000\nto keep it: echo user.max_user_namespaces=15000 | sudo tee /etc/sysctl.d/60-labstar.conf"
	case sysctl("kernel/unprivileged_userns_clone") == "0" && !root:
		c.Status, c.Detail = Failed, "forbidden to users: kernel.unprivileged_userns_clone is 0"
		c.Remedy = "sudo sysctl -w kernel.unprivileged_userns_clone=1\nto keep it: echo kernel.unprivileged_userns_clone=1 | sudo tee /etc/sysctl.d/60-labstar.conf"
	}
	return []Check{c, appArmor(root)}
}

func appArmor(root bool) Check {
	c := Check{Name: "AppArmor", Status: OK, Detail: "does not restrict user namespaces"}
	if sysctl("kernel/apparmor_restrict_unprivileged_userns") != "1" || root {
		return c
	}
	exe, err := os.Executable()
	if err != nil {
		exe = "/usr/local/bin/labstar"
	}
	if b, err := os.ReadFile("/proc/self/attr/apparmor/current"); err == nil && !strings.HasPrefix(string(b), "unconfined\n") {
		c.Detail = "restricts user namespaces; labstar runs under the profile " + strings.TrimSpace(string(b))
		return c
	}
	c.Status = Warning
	c.Detail = "restricts user namespaces to programs with a profile (Ubuntu 23.10 and later); labstar has none"
	c.Remedy = fmt.Sprintf(`give labstar a profile, once:
printf 'abi <abi/4.0>,\ninclude <tunables/global>\nprofile labstar %s flags=(unconfined) {\n  userns,\n}\n' | sudo tee /etc/apparmor.d/labstar
sudo apparmor_parser -r /etc/apparmor.d/labstar
or allow it to all programs: sudo sysctl -w kernel.apparmor_restrict_unprivileged_userns=0`, exe)
	return c
}

// The ioctl numbers of linux/kvm.h: _IO(0xAE, 0x00) and _IO(0xAE, 0x01).
const (
	kvmGetAPIVersion = 0xae00
	kvmCreateVM      = 0xae01
	kvmAPIVersion    = 12 // since Linux 2.6.22, for ever
)

// kvm makes a virtual machine, which nothing short of it proves possible.
func kvm() Check {
	c := Check{Name: "KVM", Status: OK, Detail: "virtual machines run at full speed"}
	bad := func(detail, remedy string) Check {
		return Check{Name: "KVM", Status: Warning, Detail: detail + "; virtual machines are emulated, some 10 times slower", Remedy: remedy}
	}
	fd, err := unix.Open("/dev/kvm", unix.O_RDWR|unix.O_CLOEXEC, 0)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return bad("there is no /dev/kvm", "load the module (sudo modprobe kvm_intel, or kvm_amd); if that fails, enable virtualisation in the firmware or, in a virtual machine, nested virtualisation")
	case errors.Is(err, fs.ErrPermission):
		return bad("/dev/kvm may not be opened", "sudo usermod -aG kvm \"$USER\", then log in again")
	case err != nil:
		return bad(fmt.Sprintf("opening /dev/kvm: %v", err), "check the virtualisation settings of the firmware")
	}
	defer unix.Close(fd)
	version, _, errno := syscall.Syscall(syscall.SYS_IOCTL, uintptr(fd), kvmGetAPIVersion, 0)
	if errno != 0 || version != kvmAPIVersion {
		return bad(fmt.Sprintf("/dev/kvm has version %d (%v), want %d", version, errno, kvmAPIVersion), "use a kernel with KVM of its own")
	}
	vm, _, errno := syscall.Syscall(syscall.SYS_IOCTL, uintptr(fd), kvmCreateVM, 0)
	if errno != 0 {
		return bad(fmt.Sprintf("/dev/kvm makes no virtual machine: %v", errno), "end other hypervisors, and check the virtualisation settings of the firmware")
	}
	if err := unix.Close(int(vm)); err != nil {
		return bad(fmt.Sprintf("closing a virtual machine: %v", err), "")
	}
	return c
}
