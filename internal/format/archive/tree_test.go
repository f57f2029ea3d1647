package archive

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"

	"github.com/labstar/labstar/action"
)

// memTree is a TreeWriter that remembers entries by path, for tests.
type memTree struct {
	mu sync.Mutex
	m  map[string]memNode
}

type memNode struct {
	kind    action.Kind
	attr    action.Attr
	content string
	target  string
	dev     [2]uint32
}

func newMemTree() *memTree { return &memTree{m: map[string]memNode{"": {kind: action.Dir}}} }

func (t *memTree) put(path string, n memNode) error {
	p, err := action.CleanPath(path)
	if err != nil {
		return err
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	for i := range p {
		if p[i] != '/' {
			continue
		}
		if up, ok := t.m[p[:i]]; ok && up.kind != action.Dir {
			return fmt.Errorf("%q goes through a %s", p, up.kind)
		} else if !ok {
			t.m[p[:i]] = memNode{kind: action.Dir, attr: action.Attr{Mode: action.ModeDir}}
		}
	}
	old, ok := t.m[p]
	if ok && old.kind == action.Dir && n.kind != action.Dir {
		for q := range t.m {
			if under(q, p) {
				delete(t.m, q)
			}
		}
	}
	t.m[p] = n
	return nil
}

func (t *memTree) Mkdir(path string, a action.Attr) error {
	return t.put(path, memNode{kind: action.Dir, attr: a})
}

func (t *memTree) File(path string, a action.Attr, r io.Reader) (action.Digest, error) {
	b, err := io.ReadAll(r)
	if err != nil {
		return action.Digest{}, err
	}
	return action.Of(b), t.put(path, memNode{kind: action.Regular, attr: a, content: string(b)})
}

func (t *memTree) Symlink(path, target string, a action.Attr) error {
	return t.put(path, memNode{kind: action.Symlink, attr: a, target: target})
}

func (t *memTree) Link(path, old string) error {
	t.mu.Lock()
	n, ok := t.m[old]
	t.mu.Unlock()
	if !ok || n.kind == action.Dir {
		return fmt.Errorf("%q is no file of the tree", old)
	}
	return t.put(path, n)
}

func (t *memTree) Device(path string, k action.Kind, major, minor uint32, a action.Attr) error {
	return t.put(path, memNode{kind: k, attr: a, dev: [2]uint32{major, minor}})
}

func (t *memTree) Commit() (action.Digest, error) { return action.Digest{}, nil }
func (t *memTree) Abort()                         {}

// String lists the tree: mode, path, and what is there, a line each.
func (t *memTree) String() string {
	var lines []string
	for p, n := range t.m {
		if p == "" {
			continue
		}
		what := n.kind.String()
		switch n.kind {
		case action.Regular:
			what = fmt.Sprintf("%q", n.content)
			if len(n.content) > 40 {
				what = action.Of([]byte(n.content)).Hex()[:12]
			}
		case action.Symlink:
			what = "-> " + n.target
		case action.Char, action.Block:
			what += fmt.Sprintf(" %d:%d", n.dev[0], n.dev[1])
		}
		if n.attr.UID+n.attr.GID > 0 {
			what += fmt.Sprintf(" owner %d:%d", n.attr.UID, n.attr.GID)
		}
		for _, x := range n.attr.Xattrs {
			what += fmt.Sprintf(" %s=%q", x.Name, x.Value)
		}
		lines = append(lines, fmt.Sprintf("%s %04o %s", p, n.attr.Mode, what))
	}
	slices.Sort(lines)
	return strings.Join(lines, "\n")
}

// discard is a memTree that keeps no content.
type discard struct{ *memTree }

func (d discard) File(path string, a action.Attr, r io.Reader) (action.Digest, error) {
	h := action.NewHasher()
	_, err := io.Copy(h, r)
	return h.Digest(), err
}
