//go:build unix

// Package jobserver is the one budget of jobs that labstar's own actions and
// every make inside the sandboxes share.
//
// It is GNU make's protocol in the form of make 4.4, a FIFO that holds one byte
// for each job that may start (make's manual, "POSIX Jobserver Interaction").
// An action of labstar takes a byte while it runs; that is the job which a make
// started by the action may always run, and for every further one make takes a
// byte from the same FIFO. So eight actions on eight cores run one job each, and
// the last one left runs eight.
//
//	jobs, err := jobserver.New(8, dir)
//	if err := jobs.Acquire(ctx); err != nil { ... }
//	defer jobs.Release()
//	// run make with MakeFlags in MAKEFLAGS and jobs.Path() at MakePath
//
// gcc -flto=jobserver, cargo and ninja 1.13 speak it too.
package jobserver

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// MakePath is where a make finds the FIFO in the sandbox.
const MakePath = "/dev/labstar-jobs"

// MakeFlags is the value of MAKEFLAGS that makes a make (4.4 or newer) a client.
// It is a constant, so it doesn't tell a build how many jobs there are.
func MakeFlags() string { return " -j --jobserver-auth=fifo:" + MakePath }

// Server owns the FIFO. Its methods are safe for use by several goroutines.
type Server struct {
	n    int
	path string
	fifo *os.File // open for both, so that a client's open never blocks
	conn syscall.RawConn
	turn chan struct{} // holds an element while somebody waits for a byte

	mu   sync.Mutex
	held int // bytes taken by Acquire
}

// New makes the FIFO, with n jobs, in the folder dir. n is at least 1.
func New(n int, dir string) (*Server, error) {
	if n < 1 {
		return nil, fmt.Errorf("making the job server: got %d jobs, want at least 1", n)
	}
	path := filepath.Join(dir, "jobs")
	if err := syscall.Mkfifo(path, 0o600); err != nil {
		return nil, fmt.Errorf("making the job server's FIFO %s: %w", path, err)
	}
	f, err := os.OpenFile(path, os.O_RDWR|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil, fmt.Errorf("opening the job server's FIFO: %w", err)
	}
	conn, err := f.SyscallConn()
	if err != nil {
		return nil, err
	}
	s := &Server{n: n, path: path, fifo: f, conn: conn, turn: make(chan struct{}, 1)}
	if err := s.balance(); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return s, nil
}

// Path is the FIFO on the host, for sandbox.Spec.Jobs.
func (s *Server) Path() string { return s.path }

// Acquire waits for a job. The error is ctx's, or says that the server is closed.
func (s *Server) Acquire(ctx context.Context) error {
	select {
	case s.turn <- struct{}{}:
	case <-ctx.Done():
		return ctx.Err()
	}
	defer func() { <-s.turn }()
	if err := ctx.Err(); err != nil {
		return err
	}
	wake := make(chan struct{})
	stop := context.AfterFunc(ctx, func() {
		defer close(wake)
		_ = s.fifo.SetReadDeadline(time.Unix(1, 0))
	})
	err := s.take()
	if !stop() {
		<-wake
		if e := s.fifo.SetReadDeadline(time.Time{}); e != nil && err == nil {
			err = e
		}
	}
	switch {
	case err == nil:
		return nil
	case ctx.Err() != nil:
		return ctx.Err()
	}
	return fmt.Errorf("waiting for a job: %w", err)
}

// take waits for a byte; taking and counting it are one step.
func (s *Server) take() error {
	var failed error
	err := s.conn.Read(func(fd uintptr) bool {
		s.mu.Lock()
		defer s.mu.Unlock()
		var b [1]byte
		_, failed = unix.Read(int(fd), b[:])
		if failed == nil {
			s.held++
		}
		return failed != unix.EAGAIN && failed != unix.EINTR
	})
	return errors.Join(err, failed)
}

// Release gives a job back. When it was the last one, no client is left, and
// the bytes that killed makes took with them are put back.
func (s *Server) Release() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.held == 0 {
		panic("jobserver: Release without Acquire")
	}
	s.held--
	if s.held == 0 {
		// The FIFO can only fail here after Close, when nobody reads it.
		_ = s.balance()
		return
	}
	_, _ = s.fifo.Write([]byte{'+'})
}

// Heal puts back what killed makes took with them and takes away what did not
// come from here. Call it only while no command runs that has the FIFO.
func (s *Server) Heal() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.balance()
}

// balance makes the FIFO hold a byte for each job that Acquire hasn't given
// away. s.mu is held, or nobody else has s yet.
func (s *Server) balance() error {
	var failed error
	err := s.conn.Control(func(fd uintptr) {
		b := make([]byte, 4096)
		for failed == nil {
			_, failed = unix.Read(int(fd), b)
		}
		if failed != unix.EAGAIN {
			return
		}
		_, failed = unix.Write(int(fd), bytes.Repeat([]byte{'+'}, s.n-s.held))
	})
	if err = errors.Join(err, failed); err != nil {
		return fmt.Errorf("filling the job server: %w", err)
	}
	return nil
}

// Close removes the FIFO. Nobody may wait in Acquire.
func (s *Server) Close() error {
	return errors.Join(s.fifo.Close(), os.Remove(s.path))
}
