// Package rpmdbtest is for tests: databases of packages that rpm wrote. databases/lab.star
// makes them.
package rpmdbtest

import (
	"bytes"
	"compress/gzip"
	"embed"
	"io"
	"testing"
)

//go:embed databases
var files embed.FS

// Database is a database, "rpmdb.sqlite", "Packages.db" or "Packages", with lab-tools and
// lab-part01 to 30, but for 07; or a journal of the first, "rpmdb.sqlite-wal".
func Database(t testing.TB, name string) []byte {
	t.Helper()
	z, err := gzip.NewReader(bytes.NewReader(read(t, name+".gz")))
	if err != nil {
		t.Fatal(err)
	}
	b, err := io.ReadAll(z)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// Labels is what rpm says of the packages of the databases, "labels", and of the first
// with its journal, "labels.journal".
func Labels(t testing.TB, name string) string {
	t.Helper()
	return string(read(t, name))
}

func read(t testing.TB, name string) []byte {
	t.Helper()
	b, err := files.ReadFile("databases/" + name)
	if err != nil {
		t.Fatal(err)
	}
	return b
}
