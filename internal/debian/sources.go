package debian

import (
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"

	"github.com/labstar/labstar/action"
)

// Source is one paragraph of a Sources index.
type Source struct {
	Name, Version string
	Format        string // "3.0 (quilt)", "3.0 (native)", "1.0"
	Directory     string // in the archive
	Files         []SourceFile
}

// SourceFile is one file of a source package, without signatures and the .dsc.
type SourceFile struct {
	Name   string
	Digest action.Digest
}

// FindSources reads an uncompressed Sources file and returns the versions of each
// package in names, the newest first: a suite may have several. What is missing
// is an *UnknownError.
func FindSources(r io.Reader, suite string, names []string) (map[string][]*Source, error) {
	found := map[string][]*Source{}
	seen := map[string]bool{}
	s := NewStanzaReader(r, "Sources", "Package", "Version", "Format", "Directory", "Checksums-Sha256")
	for {
		err := s.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return nil, err
		}
		name := s.String(0)
		seen[name] = true
		if !slices.Contains(names, name) {
			continue
		}
		src, err := readSource(s)
		if err != nil {
			return nil, s.Errorf("reading source %s: %w", name, err)
		}
		found[name] = append(found[name], src)
	}
	for _, list := range found {
		slices.SortStableFunc(list, func(a, b *Source) int { return CompareVersions(b.Version, a.Version) })
	}
	var unknown []error
	for _, n := range names {
		if found[n] == nil {
			unknown = append(unknown, &UnknownError{Name: n, Suite: suite, Source: true, Similar: similar(n, func(yield func(string) bool) {
				for s := range seen {
					if !yield(s) {
						return
					}
				}
			})})
		}
	}
	return found, errors.Join(unknown...)
}

func readSource(s *StanzaReader) (*Source, error) {
	src := &Source{Name: s.String(0), Version: s.String(1), Format: s.String(2), Directory: s.String(3)}
	if err := errors.Join(CheckName(src.Name), CheckVersion(src.Version), CheckPoolPath(src.Directory)); err != nil {
		return nil, err
	}
	for line := range strings.SplitSeq(s.String(4), "\n") {
		f := strings.Fields(line)
		if len(f) == 0 {
			continue
		}
		if len(f) != 3 {
			return nil, fmt.Errorf("got %q, want HASH SIZE NAME", line)
		}
		if strings.HasSuffix(f[2], ".dsc") || strings.HasSuffix(f[2], ".asc") {
			continue
		}
		if err := CheckPoolPath(f[2]); err != nil || strings.ContainsAny(f[2], "/=,") {
			return nil, fmt.Errorf("got file name %q", f[2])
		}
		file := SourceFile{Name: f[2]}
		var err error
		if file.Digest.Hash, err = action.ParseHash(f[0]); err != nil {
			return nil, err
		}
		if file.Digest.Size, err = strconv.ParseInt(f[1], 10, 64); err != nil || file.Digest.Size < 0 {
			return nil, fmt.Errorf("got size %q of %s", f[1], f[2])
		}
		src.Files = append(src.Files, file)
	}
	if len(src.Files) == 0 {
		return nil, errors.New("got no files")
	}
	slices.SortFunc(src.Files, func(a, b SourceFile) int { return strings.Compare(a.Name, b.Name) })
	return src, nil
}
