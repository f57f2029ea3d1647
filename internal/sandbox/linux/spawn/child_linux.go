//go:build amd64 || arm64

package spawn

import (
	"syscall"
	"unsafe"
)

// Between clone and execve only functions that are marked nosplit may run: the
// child has one thread, a copy of the memory, and no Go runtime to speak of.
// They must not allocate, call anything but RawSyscall, write pointers, or be
// instrumented.

const (
	clonePidfd   = 0x1000
	sigkill      = 9
	prPdeathsig  = 1
	wordSize     = 8
	opSize       = unsafe.Sizeof(Op{})
	pollHup      = 0x10
	allChildren  = ^uintptr(0)
	rusageOthers = ^uintptr(0) // RUSAGE_CHILDREN
	waitAll      = 0x40000000  // __WALL
)

// relocate makes the script's offsets absolute and fills in the descriptors.
func relocate(script []byte, files []int32) unsafe.Pointer {
	base := uintptr(unsafe.Pointer(&script[0]))
	h := (*Header)(unsafe.Pointer(&script[0]))
	for _, off := range unsafe.Slice((*uint64)(unsafe.Pointer(&script[h.Reloc])), h.Relocs) {
		*(*uint64)(unsafe.Pointer(&script[off])) += uint64(base)
	}
	for i, fd := range files {
		*(*uint64)(unsafe.Pointer(&script[h.Files+uint64(i)*wordSize])) = uint64(fd)
	}
	return unsafe.Pointer(&script[0])
}

// fork makes the child, process 1 of a new pid namespace in a new user namespace.
//
//go:nosplit
//go:norace
//go:noinline
func fork(base unsafe.Pointer, pidfd *int32, lifeline *[2]int32) (uintptr, syscall.Errno) {
	all, old := ^uint64(0), uint64(0)
	_, _, _ = syscall.RawSyscall6(syscall.SYS_RT_SIGPROCMASK, 2, uintptr(unsafe.Pointer(&all)), uintptr(unsafe.Pointer(&old)), wordSize, 0, 0)
	pid, _, e := syscall.RawSyscall6(syscall.SYS_CLONE,
		syscall.CLONE_NEWUSER|syscall.CLONE_NEWPID|clonePidfd|uintptr(syscall.SIGCHLD),
		0, uintptr(unsafe.Pointer(pidfd)), 0, 0, 0)
	if e == 0 && pid == 0 {
		child(base, lifeline[0], lifeline[1])
	}
	_, _, _ = syscall.RawSyscall6(syscall.SYS_RT_SIGPROCMASK, 2, uintptr(unsafe.Pointer(&old)), 0, wordSize, 0, 0)
	return pid, e
}

// child ties the process to the spawner's life and carries out the script.
//
//go:nosplit
//go:norace
func child(base unsafe.Pointer, reader, writer int32) {
	_, _, _ = syscall.RawSyscall(syscall.SYS_PRCTL, prPdeathsig, sigkill, 0)
	// A spawner that ended before that left no writer on the lifeline.
	_, _, _ = syscall.RawSyscall(syscall.SYS_CLOSE, uintptr(writer), 0, 0)
	h := (*Header)(base)
	scratch := unsafe.Add(base, h.Scratch)
	*(*int32)(scratch) = reader
	*(*int32)(unsafe.Add(scratch, 4)) = 0
	for i := uintptr(1); i < 8; i++ {
		*(*uint64)(unsafe.Add(scratch, i*wordSize)) = 0 // a timespec of 0, then sigaction's default
	}
	n, _, _ := syscall.RawSyscall6(syscall.SYS_PPOLL, uintptr(scratch), 1, uintptr(scratch)+8, 0, wordSize, 0)
	if n != 0 {
		die(1)
	}
	for sig := uintptr(1); sig <= 64; sig++ {
		_, _, _ = syscall.RawSyscall6(syscall.SYS_RT_SIGACTION, sig, uintptr(scratch)+16, 0, wordSize, 0, 0)
	}
	interpret(base)
}

// interpret carries out the ops of the script at base. It does not return.
//
//go:nosplit
//go:norace
func interpret(base unsafe.Pointer) {
	h := (*Header)(base)
	noted := syscall.ENOENT // what to report when no execve worked
	var last syscall.Errno  // of the last execve
	for i := uint64(0); i < h.Ops; i++ {
		op := (*Op)(unsafe.Add(base, unsafe.Sizeof(Header{})+uintptr(i)*opSize))
		switch op.Number {
		case OpFork:
			// Arguments in the order of either architecture: nothing but the signal.
			pid, _, e := syscall.RawSyscall6(syscall.SYS_CLONE, uintptr(syscall.SIGCHLD), 0, 0, 0, 0, 0)
			if e != 0 {
				report(base, StatusFailed, i, e)
			}
			if pid != 0 {
				*(*uint64)(unsafe.Add(base, op.Store)) = uint64(pid)
				i = op.Args[0] - 1
			}
			continue
		case OpWait:
			wait(base, uintptr(*(*uint64)(unsafe.Add(base, op.Args[0]))))
		case OpNotFound:
			report(base, StatusFailed, i, noted)
		}
		if op.OnErr == FailOK && last != syscall.ENOENT {
			continue
		}
		r, e := call(base, op)
		switch {
		case e == 0 && op.OnErr == FailOK:
			report(base, StatusFailed, i, syscall.ENOENT)
		case e == 0 && op.Store != 0:
			*(*uint64)(unsafe.Add(base, op.Store)) = uint64(r)
		case e != 0 && op.OnErr == Fail:
			report(base, StatusFailed, i, e)
		case e != 0 && op.OnErr == Exec:
			last = e
			if e != syscall.ENOENT && e != syscall.ENOTDIR {
				noted = e
				if e != syscall.EACCES {
					report(base, StatusFailed, i, e)
				}
			}
		}
	}
	die(1)
}

//go:nosplit
//go:norace
func call(base unsafe.Pointer, op *Op) (uintptr, syscall.Errno) {
	r, _, e := syscall.RawSyscall6(uintptr(op.Number), arg(base, op, 0), arg(base, op, 1), arg(base, op, 2), arg(base, op, 3), arg(base, op, 4), arg(base, op, 5))
	return r, e
}

//go:nosplit
//go:norace
func arg(base unsafe.Pointer, op *Op, i uintptr) uintptr {
	v := *(*uint64)(unsafe.Add(unsafe.Pointer(&op.Args), i*wordSize))
	if op.Load&(1<<i) != 0 {
		return uintptr(*(*uint64)(unsafe.Add(base, v)))
	}
	return uintptr(v)
}

// wait is the life of process 1 once the command runs.
//
//go:nosplit
//go:norace
func wait(base unsafe.Pointer, pid uintptr) {
	h := (*Header)(base)
	scratch := unsafe.Add(base, h.Scratch)
	status := (*Status)(unsafe.Add(base, h.Status))
	for {
		p, _, e := syscall.RawSyscall6(syscall.SYS_WAIT4, allChildren, uintptr(scratch), waitAll, 0, 0, 0)
		if e != 0 {
			report(base, StatusFailed, h.Ops-1, e)
		}
		if p == pid {
			break
		}
	}
	status.Wait = int64(*(*uint32)(scratch))
	// What the command left behind goes before its end is told: afterwards
	// nothing can write to its outputs.
	_, _, _ = syscall.RawSyscall(syscall.SYS_KILL, allChildren, sigkill, 0)
	for {
		_, _, e := syscall.RawSyscall6(syscall.SYS_WAIT4, allChildren, uintptr(scratch), waitAll, 0, 0, 0)
		if e != 0 {
			break
		}
	}
	_, _, _ = syscall.RawSyscall(syscall.SYS_GETRUSAGE, rusageOthers, uintptr(scratch), 0)
	usage := (*syscall.Rusage)(scratch)
	status.User = usage.Utime.Sec*1e6 + usage.Utime.Usec
	status.System = usage.Stime.Sec*1e6 + usage.Stime.Usec
	status.MaxRSS = usage.Maxrss
	for fd := uintptr(0); fd < 3; fd++ {
		_, _, _ = syscall.RawSyscall(syscall.SYS_CLOSE, fd, 0, 0)
	}
	report(base, StatusEnded, 0, 0)
}

// report writes the status and ends the process.
//
//go:nosplit
//go:norace
func report(base unsafe.Pointer, kind int64, op uint64, errno syscall.Errno) {
	h := (*Header)(base)
	status := (*Status)(unsafe.Add(base, h.Status))
	status.Kind, status.Op, status.Errno = kind, int64(op), int64(errno)
	_, _, _ = syscall.RawSyscall(syscall.SYS_WRITE, StatusFD, uintptr(base)+uintptr(h.Status), unsafe.Sizeof(Status{}))
	die(127)
}

//go:nosplit
//go:norace
func die(code uintptr) {
	for {
		_, _, _ = syscall.RawSyscall(syscall.SYS_EXIT_GROUP, code, 0, 0)
	}
}
