package examples

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/labstar/labstar/internal/format/rpmdb"
)

// Databases that Debian's rpm writes in the sandbox are read as rpm reads them.
func TestRPMDatabases(t *testing.T) {
	endToEnd(t)
	l := newLab(t, "../internal/format/rpmdb/rpmdbtest/databases", sharedStore(t))
	l.run()
	read := func(name string) []byte {
		b, err := os.ReadFile(filepath.Join(l.dir, "out/databases", name))
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	for _, name := range rpmdb.Files {
		list, err := rpmdb.Read(read(name), nil)
		if err != nil {
			t.Errorf("%s: %v", name, err)
		}
		got := ""
		for _, p := range list {
			got += fmt.Sprintln(p.Name, p.Epoch, p.Version, p.Release, p.Arch, p.Source, p.Licence)
		}
		if want := string(read("labels")); got != want {
			t.Errorf("%s: got\n%s\nand rpm says\n%s", name, got, want)
		}
	}
}
