package toolchain

import (
	"context"
	"debug/elf"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"slices"
	"strings"

	"github.com/labstar/labstar/action"
	"github.com/labstar/labstar/internal/format/ldcache"
)

// abi is what the loader of an architecture looks for.
type abi struct {
	machine elf.Machine
	class   elf.Class
	flags   uint32 // in ld.so.cache
}

// abis are those whose libraries are put into ld.so.cache. The others do with
// the loader's default directories, where nearly all libraries are.
var abis = map[string]abi{
	"amd64":   {elf.EM_X86_64, elf.ELFCLASS64, ldcache.X8664},
	"arm64":   {elf.EM_AARCH64, elf.ELFCLASS64, ldcache.AArch64},
	"i386":    {elf.EM_386, elf.ELFCLASS32, ldcache.I386},
	"riscv64": {elf.EM_RISCV, elf.ELFCLASS64, ldcache.RISCV64},
	"s390x":   {elf.EM_S390, elf.ELFCLASS64, ldcache.S390X},
}

// libraryCache does what ldconfig does: it writes /etc/ld.so.cache for the
// directories that /etc/ld.so.conf names and the default ones, and makes the
// links named by sonames that are missing.
func (m *merge) libraryCache(root action.Digest, arch string) error {
	t := newTree(m.env, root)
	if _, err := t.file(m.ctx, "etc/ld.so.conf"); errors.Is(err, fs.ErrNotExist) {
		return nil // no C library, or one that takes no cache
	}
	a, ok := abis[arch]
	if !ok {
		return nil
	}
	dirs, err := t.libraryDirs(m.ctx, "etc/ld.so.conf", 0)
	if err != nil {
		return err
	}
	for _, d := range []string{"/lib/" + triplets[arch], "/usr/lib/" + triplets[arch], "/lib", "/usr/lib"} {
		dirs = appendNew(dirs, d)
	}
	var libs []ldcache.Library
	seen := map[string]bool{}
	for _, dir := range dirs {
		found, err := t.libraries(m.ctx, dir, a)
		if err != nil {
			return err
		}
		for _, l := range found {
			if l.missing {
				if err := m.link(strings.TrimPrefix(t.real(m.ctx, dir), "/")+"/"+l.name, l.file); err != nil {
					return err
				}
			}
			// The first directory wins, and /lib is /usr/lib once more.
			if !seen[l.name] {
				seen[l.name] = true
				libs = append(libs, ldcache.Library{Name: l.name, Path: dir + "/" + l.name, Flags: a.flags})
			}
		}
	}
	cache, err := ldcache.Encode(libs)
	if err != nil {
		return err
	}
	return m.put("etc/ld.so.cache", cache)
}

func appendNew(list []string, s string) []string {
	if slices.Contains(list, s) {
		return list
	}
	return append(list, s)
}

// library is a name under which a library can be asked for in a directory.
type library struct {
	name    string
	file    string // the directory's entry that has it
	missing bool   // there is no entry of that name
}

// libraries lists what dir offers to the loader, sorted by name.
func (t *tree) libraries(ctx context.Context, dir string, a abi) ([]library, error) {
	d, err := t.dir(ctx, t.real(ctx, dir))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	names := map[string]library{}
	for _, n := range d.Nodes {
		if !isLibraryName(n.Name) || n.Kind != action.Regular && n.Kind != action.Symlink {
			continue
		}
		file, err := t.file(ctx, path.Join(dir, n.Name))
		if err != nil {
			continue // a link that leads nowhere
		}
		soname, ok, err := t.soname(ctx, file, a)
		if err != nil {
			return nil, err
		}
		if !ok {
			continue
		}
		if soname == "" {
			soname = n.Name
		}
		if n.Name == soname || n.Kind == action.Symlink && strings.HasSuffix(n.Name, ".so") {
			names[n.Name] = library{name: n.Name, file: n.Name}
		}
		if _, there := d.Find(soname); !there && names[soname].file < n.Name && !strings.Contains(soname, "/") {
			names[soname] = library{name: soname, file: n.Name, missing: true}
		}
	}
	list := make([]library, 0, len(names))
	for _, l := range names {
		list = append(list, l)
	}
	slices.SortFunc(list, func(a, b library) int { return strings.Compare(a.name, b.name) })
	return list, nil
}

// isLibraryName is ldconfig's rule.
func isLibraryName(s string) bool {
	return (strings.HasPrefix(s, "lib") || strings.HasPrefix(s, "ld-") || strings.HasPrefix(s, "ld64.")) && strings.Contains(s, ".so")
}

// soname reads the soname of a shared library; ok is false if it is none of abi a.
func (t *tree) soname(ctx context.Context, n action.Node, a abi) (name string, ok bool, err error) {
	b, err := t.env.OpenBlob(ctx, n.Digest)
	if err != nil {
		return "", false, err
	}
	defer b.Close()
	var magic [4]byte
	if _, err := b.ReadAt(magic[:], 0); err != nil || string(magic[:]) != elf.ELFMAG {
		return "", false, nil // a linker script
	}
	f, err := elf.NewFile(b)
	if err != nil || f.Machine != a.machine || f.Class != a.class || f.Type != elf.ET_DYN {
		return "", false, nil
	}
	names, err := f.DynString(elf.DT_SONAME)
	if err != nil || len(names) == 0 {
		return "", true, nil
	}
	if err := action.ValidName(names[0]); err != nil {
		return "", false, nil
	}
	return names[0], true, nil
}

// libraryDirs reads a configuration of ldconfig: directories, and patterns of
// further files to include.
func (t *tree) libraryDirs(ctx context.Context, file string, depth int) ([]string, error) {
	if depth > 8 {
		return nil, fmt.Errorf("/%s: includes too deep", file)
	}
	n, err := t.file(ctx, file)
	if err != nil {
		return nil, err
	}
	b, err := t.env.OpenBlob(ctx, n.Digest)
	if err != nil {
		return nil, err
	}
	text, err := io.ReadAll(io.LimitReader(b, 1<<20))
	_ = b.Close()
	if err != nil {
		return nil, err
	}
	var dirs []string
	for line := range strings.SplitSeq(string(text), "\n") {
		line, _, _ = strings.Cut(line, "#")
		line = strings.TrimSpace(line)
		pattern, include := strings.CutPrefix(line, "include ")
		switch {
		case include:
			more, err := t.included(ctx, strings.TrimSpace(pattern), depth)
			if err != nil {
				return nil, err
			}
			for _, d := range more {
				dirs = appendNew(dirs, d)
			}
		case strings.HasPrefix(line, "/"):
			dirs = appendNew(dirs, path.Clean(line))
		}
	}
	return dirs, nil
}

func (t *tree) included(ctx context.Context, pattern string, depth int) ([]string, error) {
	dir, base := path.Split(strings.TrimPrefix(pattern, "/"))
	d, err := t.dir(ctx, dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var dirs []string
	for _, n := range d.Nodes {
		if ok, err := path.Match(base, n.Name); err != nil || !ok {
			continue
		}
		more, err := t.libraryDirs(ctx, dir+n.Name, depth+1)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return nil, err
		}
		dirs = append(dirs, more...)
	}
	return dirs, nil
}
