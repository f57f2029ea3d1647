package labstar

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// place is the output folder. What labstar laid there, and only that, is
// replaced: links, folders of nothing but links, and the copies that the file
// copiesFile lists.
type place struct {
	dir    string
	copies map[string]bool // by path relative to dir
	stale  bool            // the file has to be written
}

// copiesFile is in the output folder if copies were laid there: their names, a
// line each.
const copiesFile = ".labstar-copies"

func openPlace(dir string) (*place, error) {
	p := &place{dir: dir, copies: map[string]bool{}}
	b, err := os.ReadFile(filepath.Join(dir, copiesFile))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("reading the output folder: %w", err)
	}
	for line := range strings.Lines(string(b)) {
		p.copies[strings.TrimSuffix(line, "\n")] = true
	}
	return p, nil
}

func (p *place) rel(path string) string {
	rel, err := filepath.Rel(p.dir, path)
	if err != nil {
		return path
	}
	return rel
}

// check returns an error if something of the user's is at path.
func (p *place) check(path string) error {
	fi, err := os.Lstat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		return fmt.Errorf("laying %s: %w", path, err)
	case fi.Mode()&fs.ModeSymlink != 0, p.copies[p.rel(path)], fi.IsDir() && p.onlyOurs(path):
		return nil
	}
	return fmt.Errorf("laying %s: something that labstar did not put there is in the way; remove it, or choose another folder with --out", path)
}

// onlyOurs reports whether the folder holds nothing but what labstar laid.
func (p *place) onlyOurs(dir string) bool {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return false
	}
	return !slices.ContainsFunc(entries, func(e fs.DirEntry) bool {
		return e.Type()&fs.ModeSymlink == 0 && !p.copies[p.rel(filepath.Join(dir, e.Name()))]
	})
}

// prepare makes way for list. If anything of the user's is in the way, nothing is
// touched. The copies are noted before they are made: a copy that is not noted
// would be taken for the user's by the next run.
func (p *place) prepare(targets []Target, list []Delivered, copies bool) error {
	var errs []error
	for _, t := range targets {
		if len(t.Items) > 0 && t.Items[0].Path != "" {
			errs = append(errs, p.checkFolder(filepath.Join(p.dir, t.Name)))
		}
	}
	for _, d := range list {
		errs = append(errs, p.check(d.Path))
	}
	if err := errors.Join(errs...); err != nil {
		return err
	}
	for _, t := range targets {
		if err := p.tidy(t); err != nil {
			return err
		}
	}
	for _, d := range list {
		p.note(d.Path, copies)
	}
	return p.keep()
}

// checkFolder is check for the folder of a target that is several items: other
// things may be in it.
func (p *place) checkFolder(dir string) error {
	if fi, err := os.Lstat(dir); err == nil && fi.IsDir() {
		return nil
	}
	return p.check(dir)
}

// tidy makes way for a target that is a folder of several items: a link or copy
// of that name goes (a link would lead into the store), and so do the items of an
// earlier run that the target no longer has.
func (p *place) tidy(t Target) error {
	if len(t.Items) == 0 || t.Items[0].Path == "" {
		return nil
	}
	dir := filepath.Join(p.dir, t.Name)
	fi, err := os.Lstat(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err == nil && (!fi.IsDir() || p.copies[p.rel(dir)]) {
		p.note(dir, false)
		err = os.RemoveAll(dir)
		if err == nil {
			return nil
		}
	}
	if err != nil {
		return fmt.Errorf("laying %s: %w", dir, err)
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		return fmt.Errorf("laying %s: %w", dir, err)
	}
	for _, e := range entries {
		path := filepath.Join(dir, e.Name())
		ours := e.Type()&fs.ModeSymlink != 0 || p.copies[p.rel(path)]
		if !ours || slices.ContainsFunc(t.Items, func(i Item) bool { return itemName(i) == e.Name() }) {
			continue
		}
		p.note(path, false)
		if err := os.RemoveAll(path); err != nil {
			return fmt.Errorf("removing %s, which %s no longer has: %w", path, t.Name, err)
		}
	}
	return nil
}

// note records whether what is at path is a copy.
func (p *place) note(path string, isCopy bool) {
	rel := p.rel(path)
	if p.copies[rel] == isCopy {
		return
	}
	p.stale = true
	if isCopy {
		p.copies[rel] = true
	} else {
		delete(p.copies, rel)
	}
}

// keep writes the list of copies if it changed.
func (p *place) keep() error {
	if !p.stale {
		return nil
	}
	name := filepath.Join(p.dir, copiesFile)
	if len(p.copies) == 0 {
		if err := os.Remove(name); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("noting the copies in the output folder: %w", err)
		}
		return nil
	}
	var lines []string
	for rel := range p.copies {
		lines = append(lines, rel+"\n")
	}
	slices.Sort(lines)
	if err := os.WriteFile(name, []byte(strings.Join(lines, "")), 0o644); err != nil {
		return fmt.Errorf("noting the copies in the output folder: %w", err)
	}
	return nil
}
