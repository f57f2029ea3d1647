package main

import (
	"fmt"
	"io"
	"net"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"time"
)

// forward leads an address of this machine to a socket that a booted machine's
// sandbox has in the folder they share.
type forward struct {
	address string // of this machine
	guest   int    // the guest's port; 0 for the display
	socket  string // its name in the folder
}

func (f forward) shown() string {
	if f.guest == 0 {
		return "display: a VNC viewer on " + f.address
	}
	return fmt.Sprintf("port %d of the machine: %s", f.guest, f.address)
}

// parseForward reads HOST:GUEST or ADDRESS:HOST:GUEST; HOST 0 is any free port.
func parseForward(s string) (forward, error) {
	host, guest, ok := cutLast(s)
	g, errGuest := strconv.ParseUint(guest, 10, 16)
	address := "127.0.0.1"
	if at, port, two := cutLast(host); two {
		address, host = at, port
	}
	h, errHost := strconv.ParseUint(host, 10, 16)
	if !ok || errGuest != nil || errHost != nil || g == 0 {
		return forward{}, fmt.Errorf("got %q, want HOST:GUEST, such as 2222:22", s)
	}
	return forward{net.JoinHostPort(address, fmt.Sprint(h)), int(g), fmt.Sprintf("port-%d", g)}, nil
}

func cutLast(s string) (before, after string, ok bool) {
	i := strings.LastIndexByte(s, ':')
	if i < 0 {
		return s, "", false
	}
	return s[:i], s[i+1:], true
}

// parseDisplay reads vnc, vnc=:1 and vnc=0.0.0.0:1, as QEMU's -display does.
func parseDisplay(s string) (forward, error) {
	rest, ok := strings.CutPrefix(s, "vnc")
	rest, valued := strings.CutPrefix(rest, "=")
	host, number, colon := cutLast(rest)
	switch {
	case ok && rest == "" && !valued:
		host, number = "", "0"
	case !ok || !valued || !colon:
		return forward{}, fmt.Errorf("got %q, want vnc or vnc=[HOST]:NUMBER; the machine is in the sandbox, so a window of its own it can't have", s)
	}
	n, err := strconv.ParseUint(number, 10, 16)
	if err != nil || n > 59635 {
		return forward{}, fmt.Errorf("got display %q, want a number of 0 to 59635", number)
	}
	if host == "" {
		host = "127.0.0.1"
	}
	return forward{net.JoinHostPort(host, fmt.Sprint(5900+n)), 0, "vnc"}, nil
}

// serveForwards listens on the addresses until stop is called.
func serveForwards(list []forward, dir string) (stop func(), err error) {
	var listeners []net.Listener
	stop = func() {
		for _, l := range listeners {
			_ = l.Close()
		}
	}
	for i := range list {
		f := &list[i]
		l, err := net.Listen("tcp", f.address)
		if err != nil {
			stop()
			return nil, fmt.Errorf("listening for the machine: %w; choose another port", err)
		}
		f.address = l.Addr().String()
		listeners = append(listeners, l)
		go accept(l, filepath.Join(dir, f.socket))
	}
	return stop, nil
}

func accept(l net.Listener, socket string) {
	for {
		c, err := l.Accept()
		if err != nil {
			return // closed
		}
		go func() {
			defer func() { _ = c.Close() }()
			s, err := dialSocket(socket)
			if err != nil {
				return // the machine is not there, and the caller sees it
			}
			defer func() { _ = s.Close() }()
			join(c, s)
		}()
	}
}

// dialSocket waits a little: the machine may just be starting.
func dialSocket(socket string) (net.Conn, error) {
	for try := 0; ; try++ {
		c, err := net.Dial("unix", socket)
		if err == nil || try == 50 {
			return c, err
		}
		time.Sleep(100 * time.Millisecond)
	}
}

// join copies both ways until both are through.
func join(a, b net.Conn) {
	var wg sync.WaitGroup
	one := func(to, from net.Conn) {
		_, _ = io.Copy(to, from) // an end is an end
		if c, ok := to.(interface{ CloseWrite() error }); ok {
			_ = c.CloseWrite()
		}
	}
	wg.Go(func() { one(a, b) })
	wg.Go(func() { one(b, a) })
	wg.Wait()
}
