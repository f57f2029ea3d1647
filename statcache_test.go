package labstar

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/labstar/labstar/action"
)

// old writes a file that is old enough to be trusted: the cache's clock is what
// stands still.
func old(t *testing.T, path, text string) os.FileInfo {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	fi, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	return fi
}

func TestStatCache(t *testing.T) {
	st, dir := NewMemoryStore(), t.TempDir()
	defer st.Close()
	a := old(t, filepath.Join(dir, "a"), "one")
	b := old(t, filepath.Join(dir, "b"), "two")
	if err := os.Symlink("a", filepath.Join(dir, "link")); err != nil {
		t.Fatal(err)
	}

	c := readStatCache(st, dir)
	c.Store("a", a, action.Of([]byte("one")))
	c.now = c.now.Add(-time.Hour)
	c.Store("b", b, action.Of([]byte("two"))) // younger than the cache: not to be trusted
	c.now = time.Now().Add(time.Hour)
	c.Store("a", a, action.Of([]byte("one")))
	c.Store("link", a, action.Of([]byte("one")))
	c.save()

	c = readStatCache(st, dir)
	if d, ok := c.Fresh("a"); !ok || d != action.Of([]byte("one")) {
		t.Errorf("a: got %v, %v", d, ok)
	}
	if d, ok := c.Lookup("a", a); !ok || d != action.Of([]byte("one")) {
		t.Errorf("a: Lookup got %v, %v", d, ok)
	}
	for _, path := range []string{"b", "link", "none", ""} {
		if d, ok := c.Fresh(path); ok {
			t.Errorf("%s: got %v, want nothing", path, d)
		}
	}
	c.now = time.Now().Add(time.Hour)
	c.Store("b", b, action.Of([]byte("two")))
	c.save()

	old(t, filepath.Join(dir, "a"), "ONE")
	c = readStatCache(st, dir)
	defer c.save()
	c.done.Wait() // all is asked for ahead
	if d, ok := c.Fresh("a"); ok {
		t.Errorf("changed: got %v", d)
	}
	if d, ok := c.Fresh("b"); !ok || d != action.Of([]byte("two")) {
		t.Errorf("b: got %v, %v, want what the second run added", d, ok)
	}
}

// A damaged note costs time and nothing else.
func TestStatCacheDamaged(t *testing.T) {
	st, dir := NewMemoryStore(), t.TempDir()
	defer st.Close()
	fi := old(t, filepath.Join(dir, "a"), "one")
	c := readStatCache(st, dir)
	c.now = time.Now().Add(time.Hour)
	c.Store("a", fi, action.Of([]byte("one")))
	c.save()
	note, err := st.Note(c.name)
	if err != nil {
		t.Fatal(err)
	}
	for n := range note {
		if err := st.PutNote(c.name, note[:n]); err != nil {
			t.Fatal(err)
		}
		c := readStatCache(st, dir)
		if d, ok := c.Fresh("a"); ok {
			t.Errorf("%d bytes of the note: got %v", n, d)
		}
		c.save()
	}
}
