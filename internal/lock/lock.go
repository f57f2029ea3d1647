// Package lock reads and writes lab.lock, which pins what a script takes from
// outside: packages, sources, remote modules.
//
// The file is text, one line an entry, sorted, so that it merges and diffs well:
//
//	# labstar lock 1
//	deb trixie/amd64/make 4.4.1-2 sha256:0f6e… 463776 pool/main/m/make-dfsg/make_4.4.1-2_amd64.deb deps=libc6
//
// An entry has a kind, a name (unique in its kind) and fields, which are the
// business of the kind's Resolver. An evaluation reads through Pins and never
// touches the network; what is missing is a Want, which Resolvers turn into
// entries.
package lock

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"unicode/utf8"
)

// Header is the first line of the file. The number is the version of the
// format; a reader refuses others.
const Header = "# labstar lock 1"

// maxSize is the largest lock that is read, in bytes; a package is 200.
const maxSize = 64 << 20

// Entry is one line.
type Entry struct {
	Kind, Name string
	Fields     []string // no spaces inside, none empty
}

func (e Entry) String() string {
	return strings.Join(append([]string{e.Kind, e.Name}, e.Fields...), " ")
}

// Check reports why e can't be a line of the file.
func (e Entry) Check() error {
	for _, s := range append([]string{e.Kind, e.Name}, e.Fields...) {
		if s == "" || strings.ContainsFunc(s, func(r rune) bool { return r <= ' ' || r == 0x7f || r == utf8.RuneError }) {
			return fmt.Errorf("invalid lock entry: got field %q of %s %s, want no spaces and nothing empty", s, e.Kind, e.Name)
		}
	}
	if strings.HasPrefix(e.Kind, "#") {
		return fmt.Errorf("invalid lock entry: got kind %q", e.Kind)
	}
	return nil
}

// File is the entries. It is not safe for use by several goroutines while it
// is written to.
type File struct {
	entries map[[2]string]Entry
}

// New returns an empty File.
func New() *File { return &File{entries: map[[2]string]Entry{}} }

// Parse reads the text of a lock; name is the file's, for errors.
func Parse(name string, b []byte) (*File, error) {
	if len(b) > maxSize {
		return nil, fmt.Errorf("reading %s: got %d bytes, want at most %d", name, len(b), maxSize)
	}
	f := New()
	if len(bytes.TrimSpace(b)) == 0 {
		return f, nil
	}
	text := string(b)
	f.entries = make(map[[2]string]Entry, strings.Count(text, "\n"))
	n := 0
	for line := range strings.SplitSeq(text, "\n") {
		n++
		line = strings.TrimSuffix(line, "\r")
		if isConflict(line) {
			return nil, fmt.Errorf("%s:%d: unresolved merge conflict: got %.20q; remove the three marker lines, keep the lines of both sides, and run `labstar lock`", name, n, line)
		}
		if n == 1 {
			if line != Header {
				return nil, fmt.Errorf("%s:1: not a lock of this version: got %.40q, want %q; remove the file and run `labstar lock`, or use the labstar that wrote it", name, line, Header)
			}
			continue
		}
		if line == "" || line[0] == '#' {
			continue
		}
		if err := f.parseLine(line); err != nil {
			return nil, fmt.Errorf("%s:%d: %w; correct the line, or remove it and run `labstar lock`", name, n, err)
		}
	}
	return f, nil
}

func (f *File) parseLine(line string) error {
	parts := strings.Split(line, " ")
	if len(parts) < 3 {
		return fmt.Errorf("malformed entry: got %d words, want KIND NAME FIELD…", len(parts))
	}
	e := Entry{Kind: parts[0], Name: parts[1], Fields: parts[2:]}
	if err := e.Check(); err != nil {
		return err
	}
	k := [2]string{e.Kind, e.Name}
	if old, ok := f.entries[k]; ok && !slices.Equal(old.Fields, e.Fields) {
		return fmt.Errorf("%s %s is locked twice, differently: keep one of the lines", e.Kind, e.Name)
	}
	f.entries[k] = e
	return nil
}

// isConflict reports whether line is one of git's conflict markers.
func isConflict(line string) bool {
	for _, m := range []string{"<<<<<<<", "=======", ">>>>>>>", "|||||||"} {
		if strings.HasPrefix(line, m) {
			return true
		}
	}
	return false
}

// Format returns the text of the file: sorted, the same for the same entries.
func (f *File) Format() []byte {
	var b bytes.Buffer
	b.WriteString(Header + "\n")
	for _, e := range f.Entries() {
		b.WriteString(e.String())
		b.WriteByte('\n')
	}
	return b.Bytes()
}

// ReadFile reads the lock at path; a missing one is empty.
func ReadFile(path string) (*File, error) {
	b, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return New(), nil
	}
	if err != nil {
		return nil, fmt.Errorf("reading lock: %w", err)
	}
	return Parse(filepath.Base(path), b)
}

// WriteFile replaces the lock at path in one step: a reader sees the old or the
// new one, whole.
func WriteFile(path string, f *File) error {
	for _, e := range f.entries {
		if err := e.Check(); err != nil {
			return err
		}
	}
	t, err := os.CreateTemp(filepath.Dir(path), ".lab.lock-*")
	if err != nil {
		return fmt.Errorf("writing lock: %w", err)
	}
	defer func() { _ = os.Remove(t.Name()) }() // fails once it was renamed
	_, err = t.Write(f.Format())
	err = errors.Join(err, t.Chmod(0o644), t.Sync(), t.Close())
	if err == nil {
		err = os.Rename(t.Name(), path)
	}
	if err != nil {
		return fmt.Errorf("writing lock: %w", err)
	}
	return nil
}
