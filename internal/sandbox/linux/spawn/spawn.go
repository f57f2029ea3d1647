//go:build linux && (amd64 || arm64)

// Package spawn is the small process between labstar and its sandboxes.
//
// Forking a process whose heap is large is slow (70 ms at 1 GB with a user
// namespace), so labstar executes itself once more, under the name Name, with
// one end of a socket as descriptor Socket. That copy never gets as far as
// main: the init function below recognises it and serves the socket for ever.
// For every action it receives a script (a list of system calls, see Op) and
// some descriptors, forks a child in new user and pid namespaces, and answers
// with a pidfd of it. The child carries out the script: it mounts, pivots, drops
// its capabilities, starts the command, and reports how that ended. No Go code
// that allocates, blocks or grows its stack runs in the child, so no second
// exec of this large program is needed: an isolated process costs little more
// than what the kernel takes to make the namespaces.
//
// Everything dies with its parent: the spawner when its socket closes, a child
// when the spawner ends (PR_SET_PDEATHSIG), and all that the child has started
// because the child is process 1 of their pid namespace.
//
// The package imports nothing but syscall and unsafe, so Go initialises it
// before anything that takes time.
package spawn

import (
	"syscall"
	"unsafe"
)

// Name is argv[0] of the spawner.
const Name = "labstar-sandbox"

// Socket is the spawner's end of the socket (SOCK_SEQPACKET).
const Socket = 3

// MaxInline is the size in bytes of the largest script that is sent in the
// message itself. A larger one is sent as a memfd, as the last descriptor.
const MaxInline = 96 << 10

// MaxFiles is how many descriptors a request may carry.
const MaxFiles = 8

// Request is the head of a message to the spawner; the script follows.
type Request struct {
	Size  uint64 // of the script in bytes
	Memfd uint64 // 1 if the script is in the last descriptor
}

// Reply is the answer; the pidfd comes with it if Errno is 0.
type Reply struct {
	Pid   int64 // as the spawner sees it
	Errno int64 // of clone
}

func init() {
	if !isSpawner() {
		return
	}
	serve()
}

// isSpawner looks at descriptor 3 first, which costs one system call in every
// other process.
func isSpawner() bool {
	var kind, size uint32 = 0, 4
	_, _, e := syscall.RawSyscall6(syscall.SYS_GETSOCKOPT, Socket, syscall.SOL_SOCKET, syscall.SO_TYPE,
		uintptr(unsafe.Pointer(&kind)), uintptr(unsafe.Pointer(&size)), 0)
	if e != 0 || kind != syscall.SOCK_SEQPACKET {
		return false
	}
	fd, err := syscall.Open("/proc/self/cmdline", syscall.O_RDONLY|syscall.O_CLOEXEC, 0)
	if err != nil {
		return false
	}
	defer func() { _ = syscall.Close(fd) }()
	var b [len(Name) + 1]byte
	n, err := syscall.Read(fd, b[:])
	return err == nil && n == len(b) && string(b[:]) == Name+"\x00"
}

// server is the spawner's state. All of it is made once: serving allocates
// nothing, so the process stays as small as it started.
type server struct {
	script   []byte // mapped memory, grows
	control  [256]byte
	lifeline [2]int32
}

func serve() {
	s := &server{script: mapMemory(1 << 20)}
	if _, _, e := syscall.RawSyscall(syscall.SYS_PIPE2, uintptr(unsafe.Pointer(&s.lifeline)), syscall.O_CLOEXEC, 0); e != 0 {
		exit(1)
	}
	ignoreSignals()
	// Where that is allowed (as root) the user's further groups are dropped.
	_, _, _ = syscall.RawSyscall(syscall.SYS_SETGROUPS, 0, 0, 0)
	for {
		files, ok := s.receive()
		if !ok {
			exit(0)
		}
		s.answer(files)
		for _, fd := range files {
			_, _, _ = syscall.RawSyscall(syscall.SYS_CLOSE, uintptr(fd), 0, 0)
		}
	}
}

// ignoreSignals keeps the terminal's signals, which are for labstar, from ending
// its actions untidily; SIGCHLD ignored makes the kernel reap the children.
func ignoreSignals() {
	for _, sig := range []syscall.Signal{syscall.SIGINT, syscall.SIGQUIT, syscall.SIGHUP, syscall.SIGTERM,
		syscall.SIGPIPE, syscall.SIGTSTP, syscall.SIGTTIN, syscall.SIGTTOU, syscall.SIGCHLD} {
		act := [4]uint64{1} // SIG_IGN
		_, _, _ = syscall.RawSyscall6(syscall.SYS_RT_SIGACTION, uintptr(sig), uintptr(unsafe.Pointer(&act)), 0, 8, 0, 0)
	}
}

// receive takes the next request: its script is then in s.script. It reports
// false when the other end is gone.
func (s *server) receive() (files []int32, ok bool) {
	var req Request
	iov := [2]syscall.Iovec{
		{Base: (*byte)(unsafe.Pointer(&req)), Len: uint64(unsafe.Sizeof(req))},
		{Base: &s.script[0], Len: uint64(len(s.script))},
	}
	msg := syscall.Msghdr{Iov: &iov[0], Iovlen: 2, Control: &s.control[0], Controllen: uint64(len(s.control))}
	n, e := uintptr(0), syscall.EINTR
	for e == syscall.EINTR {
		n, _, e = syscall.RawSyscall(syscall.SYS_RECVMSG, Socket, uintptr(unsafe.Pointer(&msg)), 0x40000000) // MSG_CMSG_CLOEXEC
	}
	if e != 0 || n < unsafe.Sizeof(req) {
		return nil, false
	}
	files = descriptors(s.control[:msg.Controllen])
	if req.Memfd != 0 && len(files) > 0 {
		last := files[len(files)-1]
		if uint64(len(s.script)) < req.Size {
			s.script = mapMemory(int(req.Size) + 1<<20)
		}
		for got := uint64(0); got < req.Size; {
			n, _, e := syscall.RawSyscall6(syscall.SYS_PREAD64, uintptr(last), uintptr(unsafe.Pointer(&s.script[got])), uintptr(req.Size-got), uintptr(got), 0, 0)
			if e != 0 || n == 0 {
				return files, false
			}
			got += uint64(n)
		}
	}
	return files, true
}

// descriptors reads the SCM_RIGHTS of a received message.
func descriptors(control []byte) []int32 {
	head := unsafe.Sizeof(syscall.Cmsghdr{})
	if uintptr(len(control)) < head {
		return nil
	}
	h := (*syscall.Cmsghdr)(unsafe.Pointer(&control[0]))
	if h.Level != syscall.SOL_SOCKET || h.Type != syscall.SCM_RIGHTS {
		return nil
	}
	return unsafe.Slice((*int32)(unsafe.Pointer(&control[head])), (uintptr(h.Len)-head)/4)
}

// answer forks the child for the script and tells the other end.
func (s *server) answer(files []int32) {
	base := relocate(s.script, files)
	pidfd := int32(-1)
	pid, errno := fork(base, &pidfd, &s.lifeline)
	reply := Reply{Pid: int64(pid), Errno: int64(errno)}
	iov := syscall.Iovec{Base: (*byte)(unsafe.Pointer(&reply)), Len: uint64(unsafe.Sizeof(reply))}
	msg := syscall.Msghdr{Iov: &iov, Iovlen: 1}
	var control struct {
		syscall.Cmsghdr
		fd  int32
		pad int32
	}
	if errno == 0 {
		control.Level, control.Type = syscall.SOL_SOCKET, syscall.SCM_RIGHTS
		control.Len = uint64(unsafe.Sizeof(control.Cmsghdr)) + 4
		control.fd = pidfd
		msg.Control, msg.Controllen = (*byte)(unsafe.Pointer(&control)), uint64(unsafe.Sizeof(control))
	}
	_, _, e := syscall.RawSyscall(syscall.SYS_SENDMSG, Socket, uintptr(unsafe.Pointer(&msg)), syscall.MSG_NOSIGNAL)
	if pidfd >= 0 {
		_, _, _ = syscall.RawSyscall(syscall.SYS_CLOSE, uintptr(pidfd), 0, 0)
	}
	if e != 0 {
		exit(1)
	}
}

func mapMemory(size int) []byte {
	p, _, e := syscall.RawSyscall6(syscall.SYS_MMAP, 0, uintptr(size), syscall.PROT_READ|syscall.PROT_WRITE,
		syscall.MAP_PRIVATE|syscall.MAP_ANON, ^uintptr(0), 0)
	if e != 0 {
		exit(1)
	}
	return unsafe.Slice((*byte)(*(*unsafe.Pointer)(unsafe.Pointer(&p))), size)
}

func exit(code uintptr) {
	for {
		_, _, _ = syscall.RawSyscall(syscall.SYS_EXIT_GROUP, code, 0, 0)
	}
}
