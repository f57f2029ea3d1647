//go:build amd64 || arm64

package linux

import (
	"encoding/binary"
	"runtime"

	"golang.org/x/sys/unix"
)

// filter is the seccomp program of every command. Namespaces and the lack of
// capabilities already refuse most; the filter closes what they leave open:
//
//   - sockets of families that a network namespace does not isolate (AF_VSOCK
//     reaches the hypervisor, AF_ALG and others the host's kernel);
//   - io_uring, which makes sockets past the filter;
//   - keyrings, which belong to the user and not to a namespace;
//   - bpf, perf_event_open, userfaultfd: little use in a build, much in attacks;
//   - syslog: the host's kernel messages;
//   - system calls of other architectures, which have other numbers;
//   - with a terminal, typing into it (TIOCSTI, TIOCLINUX).
//
// Calls that are refused by number or not at all cost nothing: the kernel keeps
// a bitmap of those that are always allowed.
func filter(terminal bool) []byte {
	f := &bpf{}
	f.load(4) // seccomp_data.arch
	f.skipIf(unix.BPF_JEQ, nativeArch, 1)
	f.refuse(unix.ENOSYS)
	f.load(0) // seccomp_data.nr
	if runtime.GOARCH == "amd64" {
		f.skipUnless(unix.BPF_JGE, 0x40000000, 1) // x32
		f.refuse(unix.ENOSYS)
	}
	for _, d := range []struct {
		call  uint32
		errno unix.Errno
	}{
		{unix.SYS_IO_URING_SETUP, unix.ENOSYS},
		{unix.SYS_KEYCTL, unix.ENOSYS}, {unix.SYS_ADD_KEY, unix.ENOSYS}, {unix.SYS_REQUEST_KEY, unix.ENOSYS},
		{unix.SYS_BPF, unix.EPERM}, {unix.SYS_PERF_EVENT_OPEN, unix.EPERM}, {unix.SYS_USERFAULTFD, unix.EPERM},
		{unix.SYS_SYSLOG, unix.EPERM},
	} {
		f.skipUnless(unix.BPF_JEQ, d.call, 1)
		f.refuse(d.errno)
	}
	families := []uint32{unix.AF_UNIX, unix.AF_INET, unix.AF_INET6, unix.AF_NETLINK}
	f.skipUnless(unix.BPF_JEQ, unix.SYS_SOCKET, len(families)+2)
	f.load(16) // the low half of the first argument
	for i, family := range families {
		f.skipIf(unix.BPF_JEQ, family, len(families)-i)
	}
	f.refuse(unix.EAFNOSUPPORT)
	if terminal {
		f.load(0)
		f.skipUnless(unix.BPF_JEQ, unix.SYS_IOCTL, 4)
		f.load(24) // the low half of the second
		f.skipIf(unix.BPF_JEQ, unix.TIOCSTI, 1)
		f.skipUnless(unix.BPF_JEQ, 0x541c, 1) // TIOCLINUX
		f.refuse(unix.EPERM)
	}
	f.add(unix.BPF_RET|unix.BPF_K, 0, 0, unix.SECCOMP_RET_ALLOW)
	return f.code
}

// bpf assembles classic BPF.
type bpf struct{ code []byte }

func (f *bpf) add(op uint16, whenTrue, whenFalse uint8, k uint32) {
	f.code = binary.NativeEndian.AppendUint16(f.code, op)
	f.code = append(f.code, whenTrue, whenFalse)
	f.code = binary.NativeEndian.AppendUint32(f.code, k)
}

func (f *bpf) load(offset uint32) { f.add(unix.BPF_LD|unix.BPF_W|unix.BPF_ABS, 0, 0, offset) }

func (f *bpf) skipIf(cond uint16, k uint32, n int) {
	f.add(unix.BPF_JMP|cond|unix.BPF_K, uint8(n), 0, k)
}

func (f *bpf) skipUnless(cond uint16, k uint32, n int) {
	f.add(unix.BPF_JMP|cond|unix.BPF_K, 0, uint8(n), k)
}

func (f *bpf) refuse(e unix.Errno) {
	f.add(unix.BPF_RET|unix.BPF_K, 0, 0, unix.SECCOMP_RET_ERRNO|uint32(e))
}
