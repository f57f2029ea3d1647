//go:build amd64 || arm64

package linux

import (
	"errors"
	"fmt"
	"io"
	"os"
	"syscall"
	"unsafe"

	"github.com/labstar/labstar/internal/sandbox/linux/spawn"
	"golang.org/x/sys/unix"
)

// spawner is this side of the helper process (see package spawn).
type spawner struct {
	socket  int
	process *os.Process
}

// errGone says that the helper process has ended.
var errGone = errors.New("the sandbox's helper process has ended")

// startSpawner executes this program once more, as the spawner.
func startSpawner() (*spawner, error) {
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("starting the sandbox's helper process: %w", err)
	}
	theirs := os.NewFile(uintptr(pair[1]), "socket")
	defer func() { _ = theirs.Close() }()
	null, err := os.OpenFile(os.DevNull, os.O_RDWR, 0)
	if err != nil {
		_ = unix.Close(pair[0])
		return nil, fmt.Errorf("starting the sandbox's helper process: %w", err)
	}
	defer func() { _ = null.Close() }()
	p, err := os.StartProcess("/proc/self/exe", []string{spawn.Name}, &os.ProcAttr{
		Dir: "/", Env: []string{}, Files: []*os.File{null, null, null, theirs},
		// A process group of its own, so that Ctrl-C is labstar's alone to handle;
		// the same session, so that a debug shell can have the terminal.
		Sys: &syscall.SysProcAttr{Setpgid: true},
	})
	if err != nil {
		_ = unix.Close(pair[0])
		return nil, fmt.Errorf("starting the sandbox's helper process from /proc/self/exe: %w; is /proc mounted?", err)
	}
	return &spawner{socket: pair[0], process: p}, nil
}

// fork has the spawner fork a child that carries out script with files, and
// returns the child's pidfd. The error wraps a syscall.Errno if clone failed,
// and errGone if there is no spawner any more.
func (s *spawner) fork(script []byte, files []int) (int, error) {
	req := spawn.Request{Size: uint64(len(script))}
	body := script
	if len(script) > spawn.MaxInline {
		fd, err := scriptFile(script)
		if err != nil {
			return -1, err
		}
		defer func() { _ = unix.Close(fd) }()
		files = append(files, fd)
		req.Memfd, body = 1, nil
	}
	msg := append(append(make([]byte, 0, len(body)+16), asBytes(&req)...), body...)
	if err := retry(func() error { return unix.Sendmsg(s.socket, msg, unix.UnixRights(files...), nil, unix.MSG_NOSIGNAL) }); err != nil {
		return -1, fmt.Errorf("%w (%w)", errGone, err)
	}
	var reply spawn.Reply
	control := make([]byte, unix.CmsgSpace(4))
	var n, oobn int
	err := retry(func() (err error) {
		n, oobn, _, _, err = unix.Recvmsg(s.socket, asBytes(&reply), control, unix.MSG_CMSG_CLOEXEC)
		return err
	})
	switch {
	case err != nil:
		return -1, fmt.Errorf("%w (%w)", errGone, err)
	case n != int(unsafe.Sizeof(reply)):
		return -1, errGone
	case reply.Errno != 0:
		return -1, syscall.Errno(reply.Errno)
	}
	messages, err := unix.ParseSocketControlMessage(control[:oobn])
	if err == nil && len(messages) == 1 {
		if fds, err := unix.ParseUnixRights(&messages[0]); err == nil && len(fds) == 1 {
			return fds[0], nil
		}
	}
	return -1, errors.New("the sandbox's helper process sent no descriptor; are too many files open? (ulimit -n)")
}

// scriptFile holds a script that is too long for a message.
func scriptFile(script []byte) (int, error) {
	fd, err := unix.MemfdCreate("labstar-script", unix.MFD_CLOEXEC)
	if err != nil {
		return -1, fmt.Errorf("making a memfd for the sandbox: %w", err)
	}
	for len(script) > 0 {
		n, err := unix.Write(fd, script)
		if err != nil {
			_ = unix.Close(fd)
			return -1, fmt.Errorf("writing the sandbox's script: %w", err)
		}
		if n == 0 {
			_ = unix.Close(fd)
			return -1, io.ErrShortWrite
		}
		script = script[n:]
	}
	return fd, nil
}

// close ends the spawner, and with it whatever still runs below.
func (s *spawner) close() {
	_ = unix.Close(s.socket)
	_, _ = s.process.Wait()
}

func retry(f func() error) error {
	for {
		if err := f(); !errors.Is(err, unix.EINTR) {
			return err
		}
	}
}
