package rpmdb

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"io"
	"os"
	"strings"
	"testing"
)

// database is a file of testdata that rpm wrote, see lab.star there.
func database(t testing.TB, name string) []byte {
	t.Helper()
	f, err := os.Open("testdata/" + name + ".gz")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	z, err := gzip.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	b, err := io.ReadAll(z)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// What is read is what rpm says of its databases, of each kind.
func TestRead(t *testing.T) {
	for _, tc := range []struct{ db, journal, labels string }{
		{"rpmdb.sqlite", "", "labels"},
		{"rpmdb.sqlite", "rpmdb.sqlite-wal", "labels.journal"},
		{"Packages.db", "", "labels"},
		{"Packages", "", "labels"},
	} {
		var journal []byte
		if tc.journal != "" {
			journal = database(t, tc.journal)
		}
		list, err := Read(database(t, tc.db), journal)
		if err != nil {
			t.Errorf("%s: %v", tc.db, err)
		}
		var got strings.Builder
		for _, p := range list {
			fmt.Fprintln(&got, p.Name, p.Epoch, p.Version, p.Release, p.Arch, p.Source, p.Licence)
		}
		want, err := os.ReadFile("testdata/" + tc.labels)
		if err != nil {
			t.Fatal(err)
		}
		if got.String() != string(want) {
			t.Errorf("%s with the journal %q: got\n%s\nand rpm says\n%s", tc.db, tc.journal, &got, want)
		}
	}
}

// An older journal is behind the end of the newer one; a damaged page ends it.
func TestJournal(t *testing.T) {
	journal := database(t, "rpmdb.sqlite-wal")
	all, err := readJournal(journal, 4096)
	if err != nil || len(all) == 0 {
		t.Fatalf("got %d pages, %v", len(all), err)
	}
	damaged := bytes.Clone(journal)
	damaged[32+frameHeader+100]++ // in the first page
	if pages, err := readJournal(damaged, 4096); err != nil || len(pages) != 0 {
		t.Errorf("got %d pages of a journal whose first is damaged, %v", len(pages), err)
	}
	if pages, err := readJournal(journal[:32+frameHeader+4096], 4096); err != nil || len(pages) != 0 {
		t.Errorf("got %d pages of a transaction that did not end, %v", len(pages), err)
	}
}

// Whatever is wrong with a file is an error.
func TestDamaged(t *testing.T) {
	if _, err := Read([]byte("no database"), nil); err == nil {
		t.Error("got no error for a text")
	}
	for _, name := range Files {
		b := database(t, name)
		if _, err := Read(b[:len(b)/2/4096*4096], nil); err == nil {
			t.Errorf("%s: got no error for half of it", name)
		}
		if _, err := Read(b[:60], nil); err == nil {
			t.Errorf("%s: got no error for its first bytes", name)
		}
	}
}

func FuzzRead(f *testing.F) {
	for _, name := range Files {
		f.Add(database(f, name), []byte{})
	}
	f.Add(database(f, "rpmdb.sqlite"), database(f, "rpmdb.sqlite-wal"))
	f.Fuzz(func(t *testing.T, db, journal []byte) {
		_, _ = Read(db, journal)
	})
}
