package storetest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"github.com/labstar/labstar/action"
	"github.com/labstar/labstar/internal/store"
)

func notes(t *testing.T, s store.Store) {
	_, err := s.Note("none")
	wantNotFound(t, "Note", err)
	long := string(bytes.Repeat([]byte("long/"), 200))
	for i, name := range []string{"a", "last run", "../../escape", "a/b", ".", "..", "", long, long + "x", "\x00\xff"} {
		check(t, s.PutNote(name, []byte("old")))
		check(t, s.PutNote(name, fmt.Appendf(nil, "note %d", i)))
		if got := must[[]byte](t)(s.Note(name)); string(got) != fmt.Sprintf("note %d", i) {
			t.Errorf("note %q: got %q", name, got)
		}
	}
	if got := must[[]byte](t)(s.Note("a")); string(got) != "note 0" {
		t.Errorf("note a: got %q", got)
	}
}

func logs(t *testing.T, s store.Store) {
	key := action.Of([]byte("a key"))
	for _, text := range []string{"a longer first run", "second"} {
		l := must[store.Log](t)(s.LogFile(key))
		must[int](t)(l.Write([]byte(text[:3])))
		must[int](t)(l.Write([]byte(text[3:])))
		check(t, l.Close())
		if got := must[[]byte](t)(os.ReadFile(l.Path())); string(got) != text {
			t.Errorf("log: got %q, want %q", got, text)
		}
	}
}

func locks(t *testing.T, s store.Store) {
	key := action.Of([]byte("a key"))
	var inside atomic.Int32
	runs := make(chan int32, 8)
	for range cap(runs) {
		go func() {
			unlock, err := s.Lock(ctx, key)
			if err != nil {
				t.Error(err)
				runs <- 0
				return
			}
			n := inside.Add(1)
			time.Sleep(time.Millisecond)
			inside.Add(-1)
			unlock()
			unlock() // twice is harmless
			runs <- n
		}()
	}
	for range cap(runs) {
		if n := <-runs; n != 1 {
			t.Errorf("%d goroutines hold one lock", n)
		}
	}
	a := must[func()](t)(s.Lock(ctx, key))
	b := must[func()](t)(s.Lock(ctx, action.Of([]byte("another"))))
	b()
	a()
}

func lockCancelled(t *testing.T, s store.Store) {
	key := action.Of([]byte("a key"))
	unlock := must[func()](t)(s.Lock(ctx, key))
	short, cancel := context.WithTimeout(ctx, 20*time.Millisecond)
	defer cancel()
	if _, err := s.Lock(short, key); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("Lock of a held key: got error %v, want %v", err, context.DeadlineExceeded)
	}
	unlock()
	must[func()](t)(s.Lock(ctx, key))()
}

func scratch(t *testing.T, s store.Store) {
	a, b := must[string](t)(s.Scratch(ctx)), must[string](t)(s.Scratch(ctx))
	if a == b {
		t.Error("Scratch gave one folder twice")
	}
	for _, dir := range []string{a, b} {
		if list := must[[]os.DirEntry](t)(os.ReadDir(dir)); len(list) != 0 {
			t.Errorf("scratch folder is not empty: %v", list)
		}
		check(t, os.WriteFile(filepath.Join(dir, "f"), nil, 0o600))
		check(t, os.RemoveAll(dir))
	}
}

func cancelled(t *testing.T, s store.Store) {
	over, cancel := context.WithCancel(ctx)
	w := must[action.TreeWriter](t)(s.CreateTree(over))
	bw := must[action.BlobWriter](t)(s.CreateBlob(over))
	dir := must[string](t)(s.Scratch(ctx))
	check(t, os.WriteFile(filepath.Join(dir, "f"), content(1, 1000), 0o600))
	cancel()
	_, err := s.PutBlob(over, []byte("x"))
	errs := []error{err}
	_, err = w.File("f", action.Attr{}, bytes.NewReader([]byte("x")))
	errs = append(errs, err)
	_, err = w.Commit()
	errs = append(errs, err)
	_, err = bw.Commit()
	errs = append(errs, err)
	_, err = s.Adopt(over, dir)
	errs = append(errs, err)
	for i, err := range errs {
		if !errors.Is(err, context.Canceled) {
			t.Errorf("%d: got error %v, want %v", i, err, context.Canceled)
		}
	}
}
