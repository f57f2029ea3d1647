package debian

import (
	"errors"
	"fmt"
	"io"
	"path"
	"slices"
	"strconv"
	"strings"

	"github.com/labstar/labstar/action"
)

// Package is one paragraph of a Packages index. The relation fields are as
// they stand there: they are parsed when a resolution needs them.
type Package struct {
	Name, Version, Arch string
	Source              string // the source package's name
	Essential           bool
	Priority            string // required, important, standard, optional, extra
	MultiArch           string // no, same, foreign, allowed
	PreDepends, Depends string
	Provides            string
	Conflicts, Breaks   string
	Filename            string        // path in the archive, from its root
	Digest              action.Digest // of the .deb
}

// Index is the packages of one suite for one architecture.
type Index struct {
	Suite, Arch string

	packages  []Package
	byName    map[string]int32
	providers map[string][]int32 // by virtual name; made at first use
}

// packageFields are those kept of a Packages index, in the order of readPackage.
var packageFields = []string{"Package", "Version", "Architecture", "Source", "Essential", "Priority", "Multi-Arch",
	"Pre-Depends", "Depends", "Provides", "Conflicts", "Breaks", "Filename", "Size", "SHA256"}

// maxPackages ends the reading of an index that claims absurdly many.
const maxPackages = 1 << 20

// ReadIndex reads an uncompressed Packages file. Of a package that is there in
// several versions it keeps the newest.
func ReadIndex(r io.Reader, suite, arch string) (*Index, error) {
	// A suite has about 70,000 packages; growing to that would leave twice as
	// much behind.
	return readIndex(r, suite, arch, 72<<10)
}

func readIndex(r io.Reader, suite, arch string, expect int) (*Index, error) {
	x := &Index{Suite: suite, Arch: arch, packages: make([]Package, 0, expect), byName: make(map[string]int32, expect)}
	s := NewStanzaReader(r, "Packages", packageFields...)
	for {
		err := s.Next()
		if errors.Is(err, io.EOF) {
			return x, nil
		}
		if err != nil {
			return nil, err
		}
		p, err := readPackage(s)
		if err != nil {
			return nil, s.Errorf("reading the index of %s: %w", suite, err)
		}
		if p.Arch != arch && p.Arch != "all" {
			continue
		}
		if i, ok := x.byName[p.Name]; ok {
			if CompareVersions(p.Version, x.packages[i].Version) > 0 {
				x.packages[i] = p
			}
			continue
		}
		if len(x.packages) == maxPackages {
			return nil, s.Errorf("reading the index of %s: got more than %d packages", suite, maxPackages)
		}
		x.byName[p.Name] = int32(len(x.packages))
		x.packages = append(x.packages, p)
	}
}

// readPackage copies the paragraph's fields: one allocation for all of them.
func readPackage(s *StanzaReader) (Package, error) {
	all := string(s.buf)
	get := func(i int) string { return all[s.spans[i][0]:s.spans[i][1]] }
	for _, i := range []int{0, 1, 2, 12, 13, 14} {
		if !s.Has(i) {
			return Package{}, fmt.Errorf("got a paragraph without %s", packageFields[i])
		}
	}
	p := Package{
		Name: get(0), Version: get(1), Arch: get(2), Priority: get(5), MultiArch: get(6),
		PreDepends: get(7), Depends: get(8), Provides: get(9), Conflicts: get(10), Breaks: get(11), Filename: get(12),
	}
	p.Source, p.Essential = p.Name, get(4) == "yes"
	if s.Has(3) {
		p.Source, _, _ = strings.Cut(get(3), " ")
	}
	if err := errors.Join(CheckName(p.Name), CheckVersion(p.Version), CheckPoolPath(p.Filename)); err != nil {
		return p, err
	}
	var err error
	if p.Digest.Size, err = strconv.ParseInt(get(13), 10, 64); err != nil || p.Digest.Size <= 0 {
		return p, fmt.Errorf("got size %q of %s, want a number of bytes", get(13), p.Name)
	}
	p.Digest.Hash, err = action.ParseHash(get(14))
	return p, err
}

// CheckPoolPath reports why p is no clean relative path inside an archive.
func CheckPoolPath(p string) error {
	if p == "" || p[0] == '/' || path.Clean(p) != p || strings.HasPrefix(p, "../") || p == ".." ||
		strings.ContainsAny(p, "\x00\n\r\t ?#%\\") {
		return fmt.Errorf("got path %q, want a clean relative path in the archive", p)
	}
	return nil
}

// Len returns the number of packages.
func (x *Index) Len() int { return len(x.packages) }

// Find returns the package called name.
func (x *Index) Find(name string) (*Package, bool) {
	i, ok := x.byName[name]
	if !ok {
		return nil, false
	}
	return &x.packages[i], true
}

// Essential returns the packages marked Essential: yes, by name.
func (x *Index) Essential() []*Package {
	var list []*Package
	for i := range x.packages {
		if x.packages[i].Essential {
			list = append(list, &x.packages[i])
		}
	}
	slices.SortFunc(list, func(a, b *Package) int { return strings.Compare(a.Name, b.Name) })
	return list
}

// Providers returns the packages that provide the virtual name, those of the
// highest priority first, then by name.
func (x *Index) Providers(name string) []*Package {
	if x.providers == nil {
		x.indexProviders()
	}
	list := make([]*Package, 0, len(x.providers[name]))
	for _, i := range x.providers[name] {
		list = append(list, &x.packages[i])
	}
	slices.SortFunc(list, func(a, b *Package) int {
		if d := rank(a.Priority) - rank(b.Priority); d != 0 {
			return d
		}
		return strings.Compare(a.Name, b.Name)
	})
	return list
}

// indexProviders notes the names only; the versions are parsed when asked for.
func (x *Index) indexProviders() {
	x.providers = map[string][]int32{}
	for i := range x.packages {
		for part := range strings.SplitSeq(x.packages[i].Provides, ",") {
			name := strings.TrimSpace(part)
			if j := strings.IndexAny(name, " :("); j >= 0 {
				name = name[:j]
			}
			if list := x.providers[name]; name != "" && (len(list) == 0 || list[len(list)-1] != int32(i)) {
				x.providers[name] = append(list, int32(i))
			}
		}
	}
}

func rank(priority string) int {
	if i := slices.Index([]string{"required", "important", "standard", "optional"}, priority); i >= 0 {
		return i
	}
	return 4
}

// Satisfies reports whether p fulfils r for packages of arch: by its own name
// and version, or by what it provides (which has a version only if it says so).
func (p *Package) Satisfies(r Relation, arch string) bool {
	if p.Name == r.Name {
		return p.qualifies(r.Arch, arch) && r.Allows(p.Version)
	}
	return p.provides(r)
}

// provides reports whether p's Provides field fulfils r.
func (p *Package) provides(r Relation) bool {
	if !strings.Contains(p.Provides, r.Name) {
		return false
	}
	groups, err := ParseRelations(p.Provides)
	if err != nil {
		return false
	}
	for _, g := range groups {
		if v := g[0]; v.Name == r.Name && (r.Op == "" || v.Op == "=" && r.Allows(v.Version)) {
			return true
		}
	}
	return false
}

// qualifies judges an architecture qualifier. Within one architecture ":any"
// is as good as none.
func (p *Package) qualifies(qualifier, arch string) bool {
	switch qualifier {
	case "", "any", "native", arch:
		return true
	}
	return qualifier == p.Arch
}
