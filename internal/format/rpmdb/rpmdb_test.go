package rpmdb

import (
	"bytes"
	"fmt"
	"strings"
	"testing"

	"github.com/labstar/labstar/internal/format/rpmdb/rpmdbtest"
)

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
			journal = rpmdbtest.Database(t, tc.journal)
		}
		list, err := Read(rpmdbtest.Database(t, tc.db), journal)
		if err != nil {
			t.Errorf("%s: %v", tc.db, err)
		}
		var got strings.Builder
		for _, p := range list {
			fmt.Fprintln(&got, p.Name, p.Epoch, p.Version, p.Release, p.Arch, p.Source, p.Licence)
		}
		if want := rpmdbtest.Labels(t, tc.labels); got.String() != want {
			t.Errorf("%s with the journal %q: got\n%s\nand rpm says\n%s", tc.db, tc.journal, &got, want)
		}
	}
}

// An older journal is behind the end of the newer one; a damaged page ends it.
func TestJournal(t *testing.T) {
	journal := rpmdbtest.Database(t, "rpmdb.sqlite-wal")
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
		b := rpmdbtest.Database(t, name)
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
		f.Add(rpmdbtest.Database(f, name), []byte{})
	}
	f.Add(rpmdbtest.Database(f, "rpmdb.sqlite"), rpmdbtest.Database(f, "rpmdb.sqlite-wal"))
	f.Fuzz(func(t *testing.T, db, journal []byte) {
		_, _ = Read(db, journal)
	})
}
