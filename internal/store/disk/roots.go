package disk

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/labstar/labstar/action"
)

// A root is a symlink outside the store, such as out/disk, that points into it.
// The file roots/<sha256 of its path> names the link and what it needs: its path
// on the first line, then a digest a line. gc keeps that while the link is there.

// AddRoot keeps the blobs and trees of digests from gc as long as the symlink at
// path points into the store. An earlier root of the same path is replaced.
func (s *Store) AddRoot(path string, digests ...action.Digest) error {
	path, err := filepath.Abs(path)
	if err != nil {
		return s.explain("adding a root to", err)
	}
	if strings.ContainsRune(path, '\n') {
		return fmt.Errorf("adding a root to the store: its path %q has a line break", path)
	}
	b := []byte(path + "\n")
	for _, d := range digests {
		text, _ := d.MarshalText()
		b = append(append(b, text...), '\n')
	}
	file := s.rootFile(path)
	if old, err := os.ReadFile(file); err == nil && string(old) == string(b) {
		return nil
	}
	tmp, err := s.tmp.name(s)
	if err == nil {
		err = writeFile(tmp, file, b, false)
	}
	return s.explain("adding a root to", err)
}

func (s *Store) rootFile(path string) string { return s.path("roots", action.Of([]byte(path)).Hex()) }

// Root is what a link outside keeps.
type Root struct {
	Path    string
	Digests []action.Digest
}

// Roots returns the roots whose links are there. With prune it forgets the others.
func (s *Store) Roots(prune bool) ([]Root, error) {
	list, err := os.ReadDir(s.path("roots"))
	if err != nil {
		return nil, s.explain("reading", err)
	}
	var roots []Root
	for _, de := range list {
		file := s.path("roots", de.Name())
		b, err := os.ReadFile(file)
		if err != nil {
			return nil, s.explain("reading", err)
		}
		r, err := parseRoot(b)
		if err == nil && s.pointsHere(r.Path) {
			roots = append(roots, r)
		} else if prune {
			if err := os.Remove(file); err != nil && !errors.Is(err, fs.ErrNotExist) {
				return nil, s.explain("pruning the roots of", err)
			}
		}
	}
	return roots, nil
}

func parseRoot(b []byte) (r Root, err error) {
	lines := strings.Split(strings.TrimSuffix(string(b), "\n"), "\n")
	r.Path = lines[0]
	if !filepath.IsAbs(r.Path) {
		return r, fmt.Errorf("malformed root: got path %q", r.Path)
	}
	for _, line := range lines[1:] {
		var d action.Digest
		if err := d.UnmarshalText([]byte(line)); err != nil {
			return r, err
		}
		r.Digests = append(r.Digests, d)
	}
	return r, nil
}

// pointsHere reports whether path is a symlink into the store.
func (s *Store) pointsHere(path string) bool {
	target, err := os.Readlink(path)
	if err != nil {
		return false
	}
	if !filepath.IsAbs(target) {
		target = filepath.Join(filepath.Dir(path), target)
	}
	return strings.HasPrefix(filepath.Clean(target), s.dir+string(filepath.Separator))
}
