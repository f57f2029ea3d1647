//go:build amd64 || arm64

package linux

import (
	"strings"

	"github.com/labstar/labstar/internal/sandbox/linux/spawn"
	"golang.org/x/sys/unix"
)

// start forks the command's process, gives every privilege away in it, and
// executes the command; process 1 goes on to wait.
func (p *plan) start() {
	p.step = "starting the command"
	// Nobody inside may look into process 1, which keeps its capabilities.
	p.call(unix.SYS_PRCTL, unix.PR_SET_DUMPABLE, 0)
	p.call(unix.SYS_CLOSE_RANGE, spawn.StatusFD+1, int(^uint32(0)), 0)
	p.command = p.keep(spawn.OpFork)
	fork := len(p.ops) - 1
	if p.spec.Terminal {
		p.foreground()
	} else {
		p.call(unix.SYS_SETSID)
		null := p.open("/dev/null", unix.O_RDWR, 0)
		p.call(unix.SYS_DUP3, null, 0, 0)
		p.call(unix.SYS_CLOSE, null)
	}
	p.step = "entering the working folder " + p.dir()
	p.call(unix.SYS_CHDIR, p.dir())
	p.limits()
	p.drop()
	p.exec()
	p.step = "waiting for the command"
	p.ops[fork].Args[0] = uint64(len(p.ops))
	p.call(spawn.OpWait, p.command)
	p.last().Load = 0 // OpWait reads the slot itself
}

// foreground makes the command a foreground job of the user's terminal.
func (p *plan) foreground() {
	p.call(unix.SYS_SETPGID, 0, 0)
	group := p.keep(unix.SYS_GETPGID, 0)
	p.try(unix.SYS_IOCTL, 0, unix.TIOCSPGRP, addr(group))
}

// limits makes those resource limits that programs look at the same everywhere,
// as far as the user's own hard limits allow, and memory addresses as well.
func (p *plan) limits() {
	p.step = "setting limits"
	for _, l := range []struct {
		resource  int
		soft, max uint64
	}{
		{unix.RLIMIT_CORE, 0, 0}, {unix.RLIMIT_NOFILE, 1024, 65536}, {unix.RLIMIT_STACK, 8 << 20, unix.RLIM_INFINITY},
	} {
		hard := l.max
		var own unix.Rlimit
		if unix.Getrlimit(l.resource, &own) == nil {
			hard = min(hard, own.Max)
		}
		limit := unix.Rlimit{Cur: min(l.soft, hard), Max: hard}
		p.call(unix.SYS_PRLIMIT64, 0, l.resource, p.bytes(asBytes(&limit)), 0)
	}
	const addrNoRandomize = 0x0040000
	p.try(unix.SYS_PERSONALITY, addrNoRandomize) // containers may forbid it
}

// drop gives up every capability and the ways to get one back, and ends with
// the seccomp filter.
func (p *plan) drop() {
	p.step = "dropping privileges"
	p.call(unix.SYS_PRCTL, unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
	for c := range 64 { // those that this kernel doesn't know fail
		p.try(unix.SYS_PRCTL, unix.PR_CAPBSET_DROP, c, 0, 0, 0)
	}
	// No root magic, no capabilities kept or raised, all of it locked.
	const secure = 0x01 | 0x02 | 0x04 | 0x08 | 0x20 | 0x40 | 0x80
	p.call(unix.SYS_PRCTL, unix.PR_SET_SECUREBITS, secure, 0, 0, 0)
	header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	p.call(unix.SYS_CAPSET, p.bytes(asBytes(&header)), p.bytes(make([]byte, 24)))
	code := filter(p.spec.Terminal)
	codeAt := p.bytes(code)
	program := p.word(uint64(len(code) / 8)) // struct sock_fprog
	p.link(codeAt)
	p.call(unix.SYS_SECCOMP, unix.SECCOMP_SET_MODE_FILTER, 0, program)
	p.call(unix.SYS_RT_SIGPROCMASK, unix.SIG_SETMASK, p.word(0), 0, wordSize)
}

// exec executes the command, looked up in its own PATH.
func (p *plan) exec() {
	argv, env := p.texts(p.spec.Argv), p.texts(p.spec.Env)
	for _, name := range p.candidates() {
		p.step = execStep + name
		at := p.text(name)
		p.call(unix.SYS_EXECVE, at, argv, env).OnErr = spawn.Exec
		p.step = interpreterStep + name
		p.call(unix.SYS_FACCESSAT, unix.AT_FDCWD, at, unix.F_OK).OnErr = spawn.FailOK
	}
	p.step = notFoundStep
	p.call(spawn.OpNotFound)
}

// Steps of which a failure is the command's: see commandError.
const (
	execStep        = "executing "
	interpreterStep = "executing its interpreter "
	notFoundStep    = "finding the command"
)

// candidates are the paths that may be the command, in order.
func (p *plan) candidates() []string {
	name := p.spec.Argv[0]
	if strings.Contains(name, "/") {
		return []string{name}
	}
	var list []string
	for _, dir := range strings.Split(searchPath(p.spec.Env), ":") {
		if dir == "" {
			dir = "."
		}
		list = append(list, dir+"/"+name)
	}
	return list
}

// searchPath is the value of PATH, as the C library of a command sees it.
func searchPath(env []string) string {
	for _, e := range env {
		if v, ok := strings.CutPrefix(e, "PATH="); ok {
			return v
		}
	}
	return "/bin:/usr/bin"
}
