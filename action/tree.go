package action

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
)

// Kind is what a node of a tree is.
type Kind uint8

// The kinds of nodes.
const (
	Regular Kind = iota + 1
	Dir
	Symlink
	Char
	Block
	Fifo
)

var kindNames = [...]string{"", "file", "directory", "symlink", "character device", "block device", "fifo"}

func (k Kind) String() string { return kindNames[k] }

// Attr is what a node carries besides its content. Most nodes are owned by root
// and have the default mode of their kind, which the encoding leaves out.
type Attr struct {
	Mode     uint32 // permission, set-id and sticky bits (07777); see ModeFile and the others
	UID, GID uint32
	Xattrs   []Xattr // sorted by name
}

// Xattr is one extended attribute.
type Xattr struct {
	Name  string
	Value []byte
}

// Node is one entry of a Directory. It has no time: every format that wants
// one writes the same constant.
type Node struct {
	Name string
	Kind Kind
	// Digest is a regular file's content, or a directory's encoded Directory.
	Digest Digest
	// Target is where a symlink points.
	Target string
	// Attr is that of a file, symlink or device. A directory's own is in its
	// Directory message, so that a directory is its digest and nothing else.
	Attr Attr
	// Major and Minor number a device.
	Major, Minor uint32
}

// Directory is one directory of a tree: its own attributes and its entries,
// sorted by name. A tree is named by the digest of its root Directory.
type Directory struct {
	Attr  Attr
	Nodes []Node
}

// Default modes, which are left out of the encoding.
const (
	ModeFile    uint32 = 0o644
	ModeExec    uint32 = 0o755
	ModeDir     uint32 = 0o755
	ModeSymlink uint32 = 0o777
	ModeDevice  uint32 = 0o600
)

// Find returns the entry called name.
func (d *Directory) Find(name string) (Node, bool) {
	i, ok := slices.BinarySearchFunc(d.Nodes, name, func(n Node, s string) int { return cmp.Compare(n.Name, s) })
	if !ok {
		return Node{}, false
	}
	return d.Nodes[i], true
}

// Sort puts the entries in order.
func (d *Directory) Sort() {
	slices.SortFunc(d.Nodes, func(a, b Node) int { return cmp.Compare(a.Name, b.Name) })
}

// Validate reports the first thing that no directory can hold: an entry with
// an empty name, ".", "..", a slash or a NUL in it, one that is there twice or
// is out of order.
func (d *Directory) Validate() error {
	for i, n := range d.Nodes {
		if err := ValidName(n.Name); err != nil {
			return err
		}
		if n.Kind < Regular || n.Kind > Fifo {
			return fmt.Errorf("invalid kind %d of %q", n.Kind, n.Name)
		}
		if n.Kind == Symlink && (n.Target == "" || strings.ContainsRune(n.Target, 0)) {
			return fmt.Errorf("invalid target %q of symlink %q", n.Target, n.Name)
		}
		if i > 0 && d.Nodes[i-1].Name >= n.Name {
			return fmt.Errorf("entries out of order: %q before %q", d.Nodes[i-1].Name, n.Name)
		}
	}
	return nil
}

// ValidName reports why s can't name an entry of a directory.
func ValidName(s string) error {
	switch {
	case s == "":
		return fmt.Errorf("empty file name")
	case s == "." || s == "..":
		return fmt.Errorf("invalid file name %q", s)
	case len(s) > 255:
		return fmt.Errorf("file name of %d bytes, want at most 255: %q…", len(s), s[:40])
	case strings.ContainsAny(s, "/\x00"):
		return fmt.Errorf("file name with a slash or NUL: %q", s)
	}
	return nil
}

// CleanPath makes a tree path of p: no leading, trailing or double slashes, no
// "." parts; "" is the root. A ".." part, a NUL, or a part too long is an error.
func CleanPath(p string) (string, error) {
	clean := p != "" && p[0] != '/' && p[len(p)-1] != '/'
	for start := 0; clean && start < len(p); {
		end := strings.IndexByte(p[start:], '/')
		if end < 0 {
			end = len(p) - start
		}
		if ValidName(p[start:start+end]) != nil {
			clean = false
		}
		start += end + 1
	}
	if clean {
		return p, nil
	}
	var parts []string
	for part := range strings.SplitSeq(p, "/") {
		if part == "" || part == "." {
			continue
		}
		if err := ValidName(part); err != nil {
			return "", fmt.Errorf("invalid path %q: %w", p, err)
		}
		parts = append(parts, part)
	}
	return strings.Join(parts, "/"), nil
}
