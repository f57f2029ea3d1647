package toolchain

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/labstar/labstar/action"
	"github.com/labstar/labstar/internal/debian"
)

// The kinds of entries in lab.lock:
//
//	deb SUITE/ARCH/NAME VERSION sha256:HEX SIZE PATH [deps=A,B] [conflicts=C]
//	deb SUITE/ARCH/NAME deps=A,B      (a virtual package, or @essential)
//	src SUITE/NAME VERSION FORMAT DIRECTORY FILE=sha256:HEX:SIZE…
const (
	kindPackage = "deb"
	kindSource  = "src"
)

// essentialName is the entry that stands for the packages of a toolchain that
// nobody asks for.
const essentialName = "@essential"

// pin is one locked package.
type pin struct {
	Name, Version string // Version is "" for an entry that only stands for others
	Digest        action.Digest
	Path          string
	Deps          []string
	Conflicts     []string
}

func (p pin) fields() []string {
	var f []string
	if p.Version != "" {
		f = append(f, p.Version, p.Digest.String(), strconv.FormatInt(p.Digest.Size, 10), p.Path)
	}
	if len(p.Deps) > 0 {
		f = append(f, "deps="+strings.Join(p.Deps, ","))
	}
	if len(p.Conflicts) > 0 {
		f = append(f, "conflicts="+strings.Join(p.Conflicts, ","))
	}
	return f
}

// parsePin reads the fields of an entry.
func parsePin(name string, fields []string) (pin, error) {
	p := pin{Name: name}
	bad := func(format string, args ...any) (pin, error) {
		return p, fmt.Errorf("lab.lock: malformed entry of package %s: %w; run `labstar lock --update %s`", name, fmt.Errorf(format, args...), name)
	}
	if len(fields) > 0 && !strings.HasPrefix(fields[0], "deps=") {
		if len(fields) < 4 {
			return bad("got %d fields, want VERSION SHA256 SIZE PATH", len(fields))
		}
		p.Version, p.Path = fields[0], fields[3]
		var err error
		if p.Digest, err = parseDigest(fields[1], fields[2]); err != nil {
			return bad("%w", err)
		}
		if err := debian.CheckPoolPath(p.Path); err != nil {
			return bad("%w", err)
		}
		fields = fields[4:]
	}
	for _, f := range fields {
		key, list, _ := strings.Cut(f, "=")
		switch key {
		case "deps":
			p.Deps = strings.Split(list, ",")
		case "conflicts":
			p.Conflicts = strings.Split(list, ",")
		default:
			return bad("got field %q", f)
		}
	}
	return p, nil
}

func parseDigest(hash, size string) (d action.Digest, err error) {
	if d.Hash, err = action.ParseHash(hash); err != nil {
		return d, err
	}
	if d.Size, err = strconv.ParseInt(size, 10, 64); err != nil || d.Size < 0 {
		return d, fmt.Errorf("got size %q, want a number of bytes", size)
	}
	return d, nil
}

// sourcePin is one locked source package.
type sourcePin struct {
	Name, Version string
	Format        string // quilt, native or 1.0
	Directory     string
	Files         []debian.SourceFile
}

func (p sourcePin) fields() []string {
	f := []string{p.Version, p.Format, p.Directory}
	for _, s := range p.Files {
		f = append(f, fmt.Sprintf("%s=%s:%d", s.Name, s.Digest, s.Digest.Size))
	}
	return f
}

func parseSourcePin(name string, fields []string) (sourcePin, error) {
	p := sourcePin{Name: name}
	bad := func(format string, args ...any) (sourcePin, error) {
		return p, fmt.Errorf("lab.lock: malformed entry of source %s: %w; run `labstar lock --update %s`", name, fmt.Errorf(format, args...), name)
	}
	if len(fields) < 4 {
		return bad("got %d fields, want VERSION FORMAT DIRECTORY FILE…", len(fields))
	}
	p.Version, p.Format, p.Directory = fields[0], fields[1], fields[2]
	if err := debian.CheckPoolPath(p.Directory); err != nil {
		return bad("%w", err)
	}
	for _, f := range fields[3:] {
		file, digest, _ := strings.Cut(f, "=")
		i := strings.LastIndexByte(digest, ':')
		if err := debian.CheckPoolPath(file); err != nil || i < 0 || strings.Contains(file, "/") {
			return bad("got file %q", f)
		}
		d, err := parseDigest(digest[:i], digest[i+1:])
		if err != nil {
			return bad("%w", err)
		}
		p.Files = append(p.Files, debian.SourceFile{Name: file, Digest: d})
	}
	return p, nil
}

// upstream returns the version of the program itself: "1:1.37.0-6" is "1.37.0".
func upstream(version string) string {
	if i := strings.IndexByte(version, ':'); i >= 0 {
		version = version[i+1:]
	}
	if i := strings.LastIndexByte(version, '-'); i >= 0 {
		version = version[:i]
	}
	return version
}
