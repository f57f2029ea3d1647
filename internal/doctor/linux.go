//go:build linux

package doctor

import (
	"errors"
	"fmt"
	"io/fs"
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
