package lock

import (
	"cmp"
	"maps"
	"slices"
	"strings"
)

// Get returns the fields of an entry. The caller must not change them.
func (f *File) Get(kind, name string) ([]string, bool) {
	e, ok := f.entries[[2]string{kind, name}]
	return e.Fields, ok
}

// Set adds the entry or replaces the one of its name.
func (f *File) Set(kind, name string, fields ...string) error {
	e := Entry{Kind: kind, Name: name, Fields: fields}
	if err := e.Check(); err != nil {
		return err
	}
	f.entries[[2]string{kind, name}] = e
	return nil
}

// Entries returns all entries, sorted as in the file.
func (f *File) Entries() []Entry {
	return slices.SortedFunc(maps.Values(f.entries), func(a, b Entry) int {
		return cmp.Or(strings.Compare(a.Kind, b.Kind), strings.Compare(a.Name, b.Name))
	})
}

// Names returns what Remove takes: each entry's name and the last part of it,
// sorted, each once.
func (f *File) Names() []string {
	set := map[string]bool{}
	for _, e := range f.entries {
		set[e.Name], set[short(e.Name)] = true, true
	}
	return slices.Sorted(maps.Keys(set))
}

// Remove deletes the entries called name, of any kind, and returns their
// number. "gcc" stands for "trixie/amd64/gcc" and for any other that ends in "/gcc".
func (f *File) Remove(name string) int {
	before := len(f.entries)
	maps.DeleteFunc(f.entries, func(_ [2]string, e Entry) bool { return e.Name == name || short(e.Name) == name })
	return before - len(f.entries)
}

// Keep deletes the entries for which used returns false.
func (f *File) Keep(used func(kind, name string) bool) {
	maps.DeleteFunc(f.entries, func(k [2]string, _ Entry) bool { return !used(k[0], k[1]) })
}

// Clone returns a copy that can be changed by itself.
func (f *File) Clone() *File { return &File{entries: maps.Clone(f.entries)} }

// short is the last part of an entry's name, without the version that the script
// asked for: "linux" of "trixie/linux@6.12".
func short(name string) string {
	name = name[strings.LastIndexByte(name, '/')+1:]
	if i := strings.IndexByte(name, '@'); i > 0 {
		name = name[:i]
	}
	return name
}
