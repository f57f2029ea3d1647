//go:build unix

package jobserver

import (
	"context"
	"errors"
	"os"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

func server(t *testing.T, n int) *Server {
	t.Helper()
	s, err := New(n, t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

// free counts the jobs that can be had right now, and gives them back.
func free(t *testing.T, s *Server) int {
	t.Helper()
	n := 0
	for {
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
		err := s.Acquire(ctx)
		cancel()
		if err != nil {
			break
		}
		n++
	}
	for range n {
		s.Release()
	}
	return n
}

func TestBudgetIsKept(t *testing.T) {
	s := server(t, 3)
	var running, most atomic.Int64
	var wg sync.WaitGroup
	for range 50 {
		wg.Go(func() {
			if err := s.Acquire(t.Context()); err != nil {
				t.Error(err)
				return
			}
			defer s.Release()
			n := running.Add(1)
			for m := most.Load(); n > m && !most.CompareAndSwap(m, n); m = most.Load() {
			}
			time.Sleep(time.Millisecond)
			running.Add(-1)
		})
	}
	wg.Wait()
	if most.Load() != 3 {
		t.Errorf("got %d side by side, want 3", most.Load())
	}
	if n := free(t, s); n != 3 {
		t.Errorf("got %d jobs free, want 3", n)
	}
}

func TestAcquireEndsWithContext(t *testing.T) {
	s := server(t, 1)
	if err := s.Acquire(t.Context()); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error)
	go func() { done <- s.Acquire(ctx) }()
	time.Sleep(10 * time.Millisecond)
	cancel()
	if err := <-done; !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want canceled", err)
	}
	s.Release()
	if n := free(t, s); n != 1 {
		t.Errorf("after a canceled Acquire got %d jobs, want 1", n)
	}
}

// TestLostTokens plays a make that is killed while it holds two jobs, and one
// that gives back more than it took.
func TestLostTokens(t *testing.T) {
	s := server(t, 4)
	if err := s.Acquire(t.Context()); err != nil {
		t.Fatal(err)
	}
	f, err := os.OpenFile(s.Path(), os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if _, err := f.Read(make([]byte, 2)); err != nil {
		t.Fatal(err)
	}
	if err := s.Heal(); err != nil {
		t.Fatal(err)
	}
	if n := free(t, s); n != 3 {
		t.Errorf("after Heal got %d jobs free, want 3", n)
	}
	if _, err := f.Write([]byte("+++++")); err != nil {
		t.Fatal(err)
	}
	s.Release()
	if n := free(t, s); n != 4 {
		t.Errorf("after the last Release got %d jobs free, want 4", n)
	}
}

func TestNewRefusesNoJobs(t *testing.T) {
	if _, err := New(0, t.TempDir()); err == nil {
		t.Error("got no error for 0 jobs")
	}
}
