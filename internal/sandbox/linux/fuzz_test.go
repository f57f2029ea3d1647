//go:build linux && (amd64 || arm64)

package linux

import (
	"os"
	"path"
	"path/filepath"
	"strings"
	"testing"
)

// FuzzResolve resolves any target in a root with any link in it: the result is a
// clean path below /, through no link of the root.
func FuzzResolve(f *testing.F) {
	for _, s := range [][2]string{{"/link/x", "dir"}, {"/dir/link/x", "/dir"}, {"/link", "../../.."}, {"/dir/../x", "x"}, {"/link/link", "."}, {"/a/b", "link"}} {
		f.Add(s[0], s[1])
	}
	f.Fuzz(func(t *testing.T, target, to string) {
		root := t.TempDir()
		if err := os.Mkdir(filepath.Join(root, "dir"), 0o755); err != nil {
			t.Fatal(err)
		}
		for _, name := range []string{"link", "dir/link"} {
			if os.Symlink(to, filepath.Join(root, name)) != nil {
				t.Skip("no such link can be made")
			}
		}
		at, fi, err := layers{root}.resolve(target)
		if err != nil {
			return
		}
		if path.Clean(at) != at || !strings.HasPrefix(at, "/") || at == "/" {
			t.Errorf("target %q with a link to %q: got %q", target, to, at)
		}
		if fi != nil {
			if there, err := os.Lstat(root + at); err != nil || !os.SameFile(there, fi) {
				t.Errorf("target %q with a link to %q: got %q, which is not there (%v)", target, to, at, err)
			}
		}
	})
}
