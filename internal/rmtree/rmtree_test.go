package rmtree_test

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/labstar/labstar/internal/rmtree"
)

// fill makes a folder of 400 files, with a link out of it.
func fill(t testing.TB, dir, outside string) {
	t.Helper()
	for i := range 100 {
		sub := filepath.Join(dir, fmt.Sprint(i%5), fmt.Sprint(i%20), fmt.Sprint(i))
		if err := os.MkdirAll(sub, 0o755); err != nil {
			t.Fatal(err)
		}
		for j := range 4 {
			if err := os.WriteFile(filepath.Join(sub, fmt.Sprint(j)), nil, 0o644); err != nil {
				t.Fatal(err)
			}
		}
		if err := os.Symlink(outside, filepath.Join(sub, "out")); err != nil {
			t.Fatal(err)
		}
	}
}

func TestRemove(t *testing.T) {
	outside := t.TempDir()
	kept := filepath.Join(outside, "kept")
	if err := os.WriteFile(kept, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	dir := filepath.Join(t.TempDir(), "d")
	fill(t, dir, outside)
	for _, mode := range []os.FileMode{0, 0o100, 0o400, 0o500} { // at several depths
		for _, p := range []string{"1", "2/2", "3/3/23"} {
			if err := os.Chmod(filepath.Join(dir, p), mode); err != nil && mode != 0 && !errors.Is(err, fs.ErrPermission) {
				t.Fatal(err)
			}
		}
	}
	// As deep as no path can name.
	deep := dir
	for len(deep) < 3500 {
		deep = filepath.Join(deep, strings.Repeat("d", 200))
	}
	if err := os.MkdirAll(deep, 0o755); err != nil {
		t.Fatal(err)
	}
	back, err := os.Open(".")
	if err != nil {
		t.Fatal(err)
	}
	defer back.Close()
	if err := os.Chdir(deep); err != nil {
		t.Fatal(err)
	}
	for range 10 {
		name := strings.Repeat("e", 200)
		if err := errors.Join(os.Mkdir(name, 0o755), os.Chdir(name)); err != nil {
			t.Fatal(err)
		}
	}
	if err := back.Chdir(); err != nil {
		t.Fatal(err)
	}

	if err := rmtree.Remove(dir); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Lstat(dir); !errors.Is(err, syscall.ENOENT) {
		t.Errorf("got %v, want nothing left", err)
	}
	if _, err := os.Stat(kept); err != nil {
		t.Errorf("what a link pointed to is gone: %v", err)
	}
	if err := rmtree.Remove(dir); err != nil {
		t.Errorf("what is not there: got %v", err)
	}
}
