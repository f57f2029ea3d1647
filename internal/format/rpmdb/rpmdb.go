// Package rpmdb reads the database of the packages that rpm has installed: which a system
// image has, without rpm.
//
//	list, err := rpmdb.Read(db, journal)
//	for _, p := range list {
//		fmt.Println(p.Name, p.Version)
//	}
//
// What rpm keeps of a package is its header (header.go). Three kinds of files hold them,
// by number: an SQLite database since rpm 4.16 (rpmdb.sqlite; sqlite.go, journal.go),
// rpm's own format, which SUSE uses (Packages.db; ndb.go), and a hash of Berkeley DB
// before (Packages; bdb.go). Of each only what a table of headers needs is read here, which
// is little; libraries for them are programs' worth of code.
package rpmdb

import (
	"bytes"
	"cmp"
	"errors"
	"slices"
)

// Package is a package that is installed.
type Package struct {
	Name, Version, Release, Arch string
	Epoch                        uint32 // 0 if it has none
	Licence                      string
	Source                       string // the file of the source package
	Vendor                       string
}

// Files are the names that a database may have in its folder, and Journal is what is
// behind the name of the journal of the first.
var Files = []string{"rpmdb.sqlite", "Packages.db", "Packages"}

// Journal is the end of the name of a journal.
const Journal = "-wal"

var (
	errFormat = errors.New("it has none of the formats of rpm's databases")
	errCut    = errors.New("it is damaged or cut short")
)

// Read lists the packages in a database, sorted. journal is the file beside it, if there
// is one.
func Read(db, journal []byte) ([]Package, error) {
	var headers [][]byte
	var err error
	switch {
	case bytes.HasPrefix(db, []byte(sqliteMagic)):
		headers, err = readSQLite(db, journal)
	case bytes.HasPrefix(db, []byte(ndbMagic)):
		headers, err = readNDB(db)
	case isBDB(db):
		headers, err = readBDB(db)
	default:
		err = errFormat
	}
	if err != nil {
		return nil, err
	}
	var list []Package
	size := 0
	for _, h := range headers {
		if size += len(h); size > len(db)+len(journal) {
			return nil, errCut // some are in others
		}
		p, err := parseHeader(h)
		if err != nil {
			return nil, err
		}
		if p.Name != "gpg-pubkey" { // a key, which rpm keeps as a package
			list = append(list, p)
		}
	}
	slices.SortFunc(list, func(a, b Package) int {
		return cmp.Or(cmp.Compare(a.Name, b.Name), cmp.Compare(a.Epoch, b.Epoch), cmp.Compare(a.Version, b.Version), cmp.Compare(a.Release, b.Release), cmp.Compare(a.Arch, b.Arch))
	})
	return list, nil
}

// part is b[from:from+n], or nothing if b has no such part.
func part(b []byte, from, n int) ([]byte, bool) {
	if from < 0 || n < 0 || from > len(b) || n > len(b)-from {
		return nil, false
	}
	return b[from : from+n], true
}
