//go:build linux

package compile

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/labstar/labstar/action"
)

// A sandbox can't make the server look at anything of the host.
func TestView(t *testing.T) {
	l, _ := project(t)
	secret := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(secret, []byte("host"), 0o644); err != nil {
		t.Fatal(err)
	}
	for name, to := range map[string]string{"out": secret, "up": "../../../../../../../../" + secret, "dir": filepath.Dir(secret), "in": "/in/src/b.h", "loop": "loop", "self": "/build/include/gen.h"} {
		if err := os.Symlink(to, filepath.Join(l.dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	s := l.server()
	defer s.Close()
	for name, want := range map[string]bool{
		"out": false, "up": false, "dir/secret": false, "loop": false, "../../../.." + secret: false, secret: false, "/build/../../" + secret: false,
		"in": true, "self": true, "include/../include/gen.h": true, "/in/src/include/../b.h": true, "./include//gen.h": true, "/in": false,
	} {
		p := s.view.find(action.BuildDir, name)
		_, _, err := s.view.content(p)
		if (err == nil) != want {
			t.Errorf("%s: got %+v, %v, want readable: %v", name, p, err, want)
		}
	}
}

// Names that a folder lacks are known from its listing, until the folder has them.
func TestLacking(t *testing.T) {
	l, _ := project(t)
	l.write("out/a.o", "")
	for name, to := range map[string]string{"link": "include", "dangling": "nowhere"} {
		if err := os.Symlink(to, filepath.Join(l.dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	s := l.server()
	defer s.Close()
	v := s.view
	for name, want := range map[string]string{
		"include/linux/x.h": "linux", "./include//linux/x.h": "linux", "out/b.h": "b.h", "nodir/x.h": "nodir",
		"include/gen.h": "", "link/gen.h": "", "link/x.h": "", "dangling": "", "out/a.o/x": "", "include/../out/x": "", "": "", ".": "", "/": "",
	} {
		w, ok := v.lacking(action.BuildDir + "/" + name)
		if ok != (want != "") || w.lacks != want {
			t.Errorf("%q: got %q, %v, want it to lack %q", name, w.lacks, ok, want)
		}
		if ok && v.find("", action.BuildDir+"/"+name).found() {
			t.Errorf("%q: found, and lacking", name)
		}
	}
	w, _ := v.lacking("/build/out/linux/x.h")
	other := watch{dir: w.dir, version: w.version}
	l.write("out/c.o", "")
	v.begin()
	if !w.holds(v) || other.holds(v) {
		t.Error("another file appeared: got the name there, or the folder as it was")
	}
	l.write("out/linux/x.h", "")
	v.begin()
	if w.holds(v) || !v.find("", "/build/out/linux/x.h").found() {
		t.Error("the name appeared: it was not seen")
	}
}
