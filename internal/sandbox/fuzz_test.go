//go:build unix

package sandbox

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// FuzzCollect asks for any output in a build folder with any link in it: what is
// returned never lies outside.
func FuzzCollect(f *testing.F) {
	for _, s := range [][2]string{
		{"link", "dir/file"}, {"link/../../x", "dir"}, {"dir/link", "/build/dir"}, {"link/etc/passwd", "/"}, {"link", ".."}, {"link/file", "/build/../build/dir"}, {"./dir//file", "link"},
	} {
		f.Add(s[0], s[1])
	}
	f.Fuzz(func(t *testing.T, output, target string) {
		scratch, err := filepath.EvalSymlinks(t.TempDir())
		if err != nil {
			t.Fatal(err)
		}
		upper := filepath.Join(scratch, "build")
		if err := os.MkdirAll(filepath.Join(upper, "dir"), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(upper, "dir/file"), []byte("x"), 0o644); err != nil {
			t.Fatal(err)
		}
		for _, name := range []string{"link", "dir/link"} {
			if os.Symlink(target, filepath.Join(upper, name)) != nil {
				t.Skip("no such link can be made")
			}
		}
		p, err := Collect(&Spec{Scratch: scratch}, &Result{Upper: upper}, output)
		if err != nil {
			return
		}
		at, err := filepath.EvalSymlinks(p)
		if err != nil || (at != upper && !strings.HasPrefix(at, scratch+"/")) {
			t.Errorf("output %q with a link to %q: got %s, which is %s (%v)", output, target, p, at, err)
		}
	})
}
