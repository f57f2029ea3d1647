//go:build linux && (amd64 || arm64)

package linux

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"unsafe"

	"github.com/labstar/labstar/internal/sandbox"
	"golang.org/x/sys/unix"
)

// attempt is one way out of the sandbox (or into something it must not touch).
type attempt struct {
	name string
	want []error // what it must end with, one of these
	// outside says that the same attempt works outside, which the test checks, so
	// that it is the sandbox which refuses it.
	outside bool
	try     func(args []string) error
}

var (
	refused = []error{syscall.EPERM, syscall.EACCES}
	absent  = []error{syscall.ENOENT}
	rofs    = []error{syscall.EROFS}
)

// attempts get these arguments: the port of a service on the host's loopback,
// the name of its abstract socket, the path of a secret file of the host, the
// pid of the test.
var attempts = []attempt{
	{"connect to the host's loopback", []error{syscall.ECONNREFUSED}, true, func(args []string) error {
		port, _ := strconv.Atoi(args[0])
		return connect(syscall.AF_INET, &syscall.SockaddrInet4{Port: port, Addr: [4]byte{127, 0, 0, 1}})
	}},
	{"connect to the outside", []error{syscall.ENETUNREACH}, false, func([]string) error {
		return connect(syscall.AF_INET, &syscall.SockaddrInet4{Port: 80, Addr: [4]byte{192, 0, 2, 1}})
	}},
	{"connect to the outside by IPv6", []error{syscall.ENETUNREACH, syscall.EADDRNOTAVAIL, syscall.EAFNOSUPPORT}, false, func([]string) error {
		return connect(syscall.AF_INET6, &syscall.SockaddrInet6{Port: 80, Addr: [16]byte{0x20, 0x01, 0x0d, 0xb8, 15: 1}})
	}},
	{"connect to an abstract socket", []error{syscall.ECONNREFUSED}, true, func(args []string) error {
		return connect(syscall.AF_UNIX, &syscall.SockaddrUnix{Name: "@" + args[1]})
	}},
	{"AF_VSOCK", []error{syscall.EAFNOSUPPORT}, false, func([]string) error { return socket(unix.AF_VSOCK) }},
	{"AF_ALG", []error{syscall.EAFNOSUPPORT}, false, func([]string) error { return socket(unix.AF_ALG) }},
	{"AF_PACKET", []error{syscall.EAFNOSUPPORT, syscall.EPERM}, false, func([]string) error { return socket(unix.AF_PACKET) }},
	{"io_uring", []error{syscall.ENOSYS}, false, func([]string) error {
		var params [120]byte
		_, _, e := syscall.Syscall(unix.SYS_IO_URING_SETUP, 4, uintptr(unsafe.Pointer(&params)), 0)
		return orNil(e)
	}},
	{"read a host file", absent, true, func(args []string) error { return read(args[2]) }},
	{"read /etc/shadow", absent, false, func([]string) error { return read("/etc/shadow") }},
	{"read a host file through process 1's root", refused, false, func(args []string) error { return read("/proc/1/root" + args[2]) }},
	{"read process 1's memory", refused, false, func([]string) error { return read("/proc/1/mem") }},
	{"read process 1's environment", refused, false, func([]string) error { return read("/proc/1/environ") }},
	{"open /dev/mem", absent, false, func([]string) error { return read("/dev/mem") }},
	{"open /dev/kmsg", absent, false, func([]string) error { return read("/dev/kmsg") }},
	{"read /proc/kcore", append(refused, syscall.ENOENT), false, func([]string) error { return read("/proc/kcore") }},
	{"read the kernel's log", refused, false, func([]string) error {
		b := make([]byte, 100)
		_, err := unix.Klogctl(3, b)
		return err
	}},
	{"find /sys", absent, false, func([]string) error { return read("/sys/kernel/mm") }},
	{"signal a host process", []error{syscall.ESRCH}, true, func(args []string) error {
		pid, _ := strconv.Atoi(args[3])
		return syscall.Kill(pid, 0)
	}},
	{"see a host process", absent, true, func(args []string) error { return read("/proc/" + args[3] + "/cmdline") }},
	{"see more than its own processes", nil, false, onlyOwnProcesses},
	{"trace process 1", refused, false, func([]string) error { return syscall.PtraceAttach(1) }},
	{"kill process 1", nil, false, func([]string) error {
		// Sending succeeds and does nothing: process 1 has no handlers.
		return errors.Join(syscall.Kill(1, syscall.SIGTERM), syscall.Kill(1, syscall.SIGKILL))
	}},
	{"write to the root", rofs, false, func([]string) error { return create("/made") }},
	{"write to a folder of the root", rofs, false, func([]string) error { return create("/bin/made") }},
	{"overwrite a file of the root", rofs, false, func([]string) error { return overwrite("/bin/data") }},
	{"write to an input", rofs, false, func([]string) error { return create("/in/tree/made") }},
	{"overwrite an input", rofs, false, func([]string) error { return overwrite("/in/tree/file") }},
	{"change an input's mode", rofs, false, func([]string) error { return os.Chmod("/in/tree/file", 0o777) }},
	{"change an input's time", rofs, false, func([]string) error { return syscall.Utimes("/in/tree/file", make([]syscall.Timeval, 2)) }},
	{"remove an input", rofs, false, func([]string) error { return os.Remove("/in/tree/file") }},
	{"hard-link an input", []error{syscall.EXDEV, syscall.EPERM}, false, func([]string) error { return os.Link("/in/tree/file", "/build/link") }},
	{"change /dev/null's mode", rofs, false, func([]string) error { return os.Chmod("/dev/null", 0o600) }},
	{"write to /proc/sys", append(rofs, refused...), false, func([]string) error { return overwrite("/proc/sys/kernel/core_pattern") }},
	{"write to /proc/sysrq-trigger", append(absent, append(rofs, refused...)...), false, func([]string) error { return overwrite("/proc/sysrq-trigger") }},
	{"remount an input writable", refused, false, func([]string) error {
		return syscall.Mount("", "/in/tree", "", syscall.MS_REMOUNT|syscall.MS_BIND, "")
	}},
	{"remount the root writable", refused, false, func([]string) error { return syscall.Mount("", "/", "", syscall.MS_REMOUNT, "") }},
	{"mount_setattr", refused, false, func([]string) error {
		return unix.MountSetattr(unix.AT_FDCWD, "/in/tree", 0, &unix.MountAttr{Attr_clr: unix.MOUNT_ATTR_RDONLY})
	}},
	{"unmount an input", refused, false, func([]string) error { return syscall.Unmount("/in/tree", syscall.MNT_DETACH) }},
	{"mount a tmpfs", refused, false, func([]string) error { return syscall.Mount("t", "/tmp", "tmpfs", 0, "") }},
	{"fsopen", refused, false, func([]string) error { _, err := unix.Fsopen("tmpfs", 0); return err }},
	{"chroot", refused, false, func([]string) error { return syscall.Chroot("/tmp") }},
	{"pivot_root", refused, false, func([]string) error { return syscall.PivotRoot("/tmp", "/tmp") }},
	{"a mount namespace", refused, false, func([]string) error { return syscall.Unshare(syscall.CLONE_NEWNS) }},
	{"a user namespace", []error{syscall.ENOSPC, syscall.EPERM}, true, func([]string) error { return userNamespace() }},
	{"mknod", refused, false, func([]string) error { return syscall.Mknod("/build/disk", syscall.S_IFBLK|0o600, 8<<8) }},
	{"setuid", []error{syscall.EINVAL, syscall.EPERM}, false, func([]string) error { return syscall.Setuid(1) }},
	{"setgroups", refused, false, func([]string) error { return syscall.Setgroups([]int{0}) }},
	{"chown", []error{syscall.EINVAL, syscall.EPERM}, false, func([]string) error { return errors.Join(create("/build/own"), os.Chown("/build/own", 1, 1)) }},
	{"sethostname", refused, false, func([]string) error { return syscall.Sethostname([]byte("x")) }},
	{"raise a capability", refused, false, raiseCapability},
	{"keyctl", []error{syscall.ENOSYS}, false, func([]string) error { _, err := unix.KeyctlGetKeyringID(-3, true); return err }},
	{"bpf", refused, false, func([]string) error {
		_, _, e := syscall.Syscall(unix.SYS_BPF, 0, 0, 0)
		return orNil(e)
	}},
	{"perf_event_open", refused, false, func([]string) error {
		_, err := unix.PerfEventOpen(&unix.PerfEventAttr{Type: unix.PERF_TYPE_SOFTWARE, Size: 120}, 0, -1, -1, 0)
		return err
	}},
	{"userfaultfd", refused, false, func([]string) error {
		_, _, e := syscall.Syscall(unix.SYS_USERFAULTFD, 1, 0, 0)
		return orNil(e)
	}},
	{"type into a terminal", []error{syscall.ENOTTY, syscall.ENXIO}, false, func([]string) error {
		tty, err := os.OpenFile("/dev/tty", os.O_RDWR, 0)
		if err != nil {
			return err
		}
		b := byte('x')
		_, _, e := syscall.Syscall(syscall.SYS_IOCTL, tty.Fd(), unix.TIOCSTI, uintptr(unsafe.Pointer(&b)))
		return orNil(e)
	}},
	{"leave through .. of the root", absent, false, func(args []string) error {
		return read("/../../../../../../.." + args[2])
	}},
	{"an inherited descriptor", nil, false, onlyOwnDescriptors},
}

func orNil(e syscall.Errno) error {
	if e == 0 {
		return nil
	}
	return e
}

func socket(family int) error {
	fd, err := syscall.Socket(family, syscall.SOCK_DGRAM, 0)
	if err == nil {
		syscall.Close(fd)
	}
	return err
}

func connect(family int, to syscall.Sockaddr) error {
	fd, err := syscall.Socket(family, syscall.SOCK_STREAM, 0)
	if err != nil {
		return err
	}
	defer syscall.Close(fd)
	return syscall.Connect(fd, to)
}

func read(name string) error {
	f, err := os.Open(name)
	if err != nil {
		return err
	}
	defer f.Close()
	if fi, err := f.Stat(); err != nil || fi.IsDir() {
		return err
	}
	_, err = f.Read(make([]byte, 1))
	return err
}

func create(name string) error {
	f, err := os.Create(name)
	if err != nil {
		return err
	}
	return f.Close()
}

func overwrite(name string) error {
	f, err := os.OpenFile(name, os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	return f.Close()
}

// onlyOwnProcesses lists /proc: process 1 and the command, number 2.
func onlyOwnProcesses([]string) error {
	list, err := os.ReadDir("/proc")
	if err != nil {
		return err
	}
	var pids []string
	for _, e := range list {
		if _, err := strconv.Atoi(e.Name()); err == nil {
			pids = append(pids, e.Name())
		}
	}
	if !slices.Equal(pids, []string{"1", "2"}) {
		return fmt.Errorf("got processes %v, want 1 and 2", pids)
	}
	return nil
}

// onlyOwnDescriptors looks for descriptors other than the standard ones.
func onlyOwnDescriptors([]string) error {
	for fd := 3; fd < 1024; fd++ {
		name, err := os.Readlink(fmt.Sprintf("/proc/self/fd/%d", fd))
		// The Go runtime's own, made after the program started.
		if err == nil && !strings.HasPrefix(name, "anon_inode:") && !strings.HasPrefix(name, "/proc/") {
			return fmt.Errorf("got descriptor %d: %s", fd, name)
		}
	}
	return nil
}

func userNamespace() error {
	p, err := os.StartProcess("/proc/self/exe", []string{"/bin/probe:hello"}, &os.ProcAttr{
		Sys: &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWUSER},
	})
	if err != nil {
		return err
	}
	_, err = p.Wait()
	return err
}

func raiseCapability([]string) error {
	header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var data [2]unix.CapUserData
	if err := unix.Capget(&header, &data[0]); err != nil {
		return err
	}
	if data != [2]unix.CapUserData{} {
		return fmt.Errorf("got capabilities %+v, want none", data)
	}
	data[0].Effective, data[0].Permitted = 1<<unix.CAP_SYS_ADMIN, 1<<unix.CAP_SYS_ADMIN
	return unix.Capset(&header, &data[0])
}

func init() {
	probes["escape"] = func(args []string) int {
		for _, a := range attempts {
			if a.name != args[0] {
				continue
			}
			err := a.try(args[1:])
			fmt.Println(verdict(a, err))
		}
		return 0
	}
}

// verdict is "" if an attempt ended as it must inside.
func verdict(a attempt, err error) string {
	if len(a.want) == 0 && err == nil {
		return "refused"
	}
	for _, w := range a.want {
		if errors.Is(err, w) {
			return "refused"
		}
	}
	return fmt.Sprintf("got %v, want one of %v", err, a.want)
}

func TestEscape(t *testing.T) {
	args := hostServices(t)
	r, tree := runner(t), scratch(t)
	if err := os.WriteFile(filepath.Join(tree, "file"), []byte("input"), 0o644); err != nil {
		t.Fatal(err)
	}
	for _, a := range attempts {
		t.Run(strings.ReplaceAll(a.name, "/", "_"), func(t *testing.T) {
			if a.outside {
				if err := a.try(args); err != nil {
					t.Fatalf("outside of the sandbox got %v, want it to work there", err)
				}
			}
			spec, out := probe(t, "escape", append([]string{a.name}, args...)...)
			spec.Inputs = append(spec.Inputs, sandbox.Mount{Source: tree, Target: "/in/tree"})
			if got := strings.TrimSpace(mustRun(t, r, spec, out)); got != "refused" {
				t.Error(got)
			}
		})
	}
	if b, err := os.ReadFile(filepath.Join(tree, "file")); err != nil || string(b) != "input" {
		t.Errorf("afterwards the input holds %q (%v)", b, err)
	}
}

// hostServices starts what the attempts try to reach, and returns their arguments.
func hostServices(t *testing.T) []string {
	t.Helper()
	listen := func(family int, at syscall.Sockaddr) int {
		fd, err := syscall.Socket(family, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, 0)
		if err == nil {
			err = errors.Join(syscall.Bind(fd, at), syscall.Listen(fd, 100))
		}
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { syscall.Close(fd) })
		return fd
	}
	tcp := listen(syscall.AF_INET, &syscall.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}})
	name, err := syscall.Getsockname(tcp)
	if err != nil {
		t.Fatal(err)
	}
	abstract := fmt.Sprintf("labstar-test-%d", os.Getpid())
	listen(syscall.AF_UNIX, &syscall.SockaddrUnix{Name: "@" + abstract})
	secret := filepath.Join(scratch(t), "secret")
	if err := os.WriteFile(secret, []byte("secret"), 0o644); err != nil {
		t.Fatal(err)
	}
	return []string{strconv.Itoa(name.(*syscall.SockaddrInet4).Port), abstract, secret, strconv.Itoa(os.Getpid())}
}
