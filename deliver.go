package labstar

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/labstar/labstar/action"
	"github.com/labstar/labstar/internal/engine"
	"github.com/labstar/labstar/internal/history"
	"github.com/labstar/labstar/internal/sparse"
)

// Report is what a build did.
type Report struct {
	*engine.Report
	lab     *Lab
	targets []Target
	owner   *Labstar

	before []byte         // the record of the run before, if this one is different
	graph  *history.Graph // of this one, then
}

// Delivered is a target that was laid in the output folder.
type Delivered struct {
	Target string
	Path   string // as given: below the folder passed to Deliver
	Kind   action.OutputKind
	Digest action.Digest
	Size   TreeSize // of what is there; Files is 1 for a file
}

// Deliver lays every target that was built under dir, by name: as a link into
// the store, which keeps it alive there, or with copies as files of its own. A
// target that is a list or dict is a folder with a link for each item. What was
// at the place is replaced if it is a link, or a folder of links, that labstar
// made; anything else is an error, with copies too unless it was a copy.
func (r *Report) Deliver(ctx context.Context, dir string, copies bool) ([]Delivered, error) {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, fmt.Errorf("making the output folder: %w", err)
	}
	at, err := openPlace(dir)
	if err != nil {
		return nil, err
	}
	list := r.deliveries(dir)
	if err := at.prepare(r.targets, list, copies); err != nil {
		return nil, err
	}
	size := sizes{owner: r.owner}
	defer size.keep()
	for i := range list {
		if err := r.lay(ctx, &list[i], &size, copies); err != nil {
			return list[:i], err
		}
	}
	return list, nil
}

// deliveries lists what there is to lay; what failed or was skipped is not.
func (r *Report) deliveries(dir string) []Delivered {
	var list []Delivered
	for _, t := range r.targets {
		for _, item := range t.Items {
			if out, ok := r.Output(item.Artifact); ok {
				path := filepath.Join(dir, t.Name, itemName(item)) // without the latter if that is ""
				list = append(list, Delivered{Target: t.Name, Path: path, Kind: out.Kind, Digest: out.Digest})
			}
		}
	}
	return list
}

// itemName is an item's name in its target's folder.
func itemName(item Item) string { return strings.ReplaceAll(item.Path, "/", "_") }

// lay puts one artifact at its place.
func (r *Report) lay(ctx context.Context, d *Delivered, size *sizes, copies bool) error {
	if err := os.MkdirAll(filepath.Dir(d.Path), 0o755); err != nil {
		return fmt.Errorf("laying %s: %w", d.Path, err)
	}
	var from string
	var err error
	if d.Kind == action.Tree {
		if from, err = r.owner.store.TreePath(ctx, d.Digest); err == nil {
			d.Size, err = size.of(d.Digest, from)
		}
	} else {
		d.Size = TreeSize{Files: 1, Bytes: d.Digest.Size}
		from, err = r.filePath(ctx, d.Digest)
	}
	if err != nil {
		return err
	}
	if !copies {
		return r.link(*d, from)
	}
	tmp := d.Path + ".labstar-new"
	if err := errors.Join(os.RemoveAll(tmp), copyAll(tmp, from)); err != nil {
		return errors.Join(fmt.Errorf("copying %s: %w", d.Path, err), os.RemoveAll(tmp))
	}
	return replace(tmp, d.Path)
}

// filePath returns where the store holds a file, with its run bit set if it is a
// program or a script: a file of its own has no mode.
func (r *Report) filePath(ctx context.Context, d action.Digest) (string, error) {
	b, err := r.owner.store.OpenBlob(ctx, d)
	if err != nil {
		return "", err
	}
	head := make([]byte, 4)
	n, err := b.ReadAt(head, 0)
	if err := errors.Join(ignoreEOF(err), b.Close()); err != nil {
		return "", err
	}
	head = head[:n]
	exec := bytes.HasPrefix(head, []byte("#!")) || bytes.Equal(head, []byte("\x7fELF"))
	return r.owner.store.BlobPath(ctx, d, exec)
}

func ignoreEOF(err error) error {
	if errors.Is(err, io.EOF) {
		return nil
	}
	return err
}

func (r *Report) link(d Delivered, from string) error {
	if have, err := os.Readlink(d.Path); err == nil && have == from {
		return nil // nothing changed
	}
	tmp := d.Path + ".labstar-new"
	if err := os.Remove(tmp); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("laying %s: %w", d.Path, err)
	}
	if err := os.Symlink(from, tmp); err != nil {
		return fmt.Errorf("laying %s: %w", d.Path, err)
	}
	if err := replace(tmp, d.Path); err != nil {
		return err
	}
	if s, ok := r.owner.store.(rooter); ok && !s.ReadOnly() {
		abs, err := filepath.Abs(d.Path)
		if err != nil {
			return err
		}
		return s.AddRoot(abs, d.Digest)
	}
	return nil
}

// rooter is a store that keeps content alive while a link to it is there.
type rooter interface {
	AddRoot(link string, digests ...action.Digest) error
	ReadOnly() bool
}

// replace renames tmp over path; a folder or file in the way is moved aside
// first and then removed.
func replace(tmp, path string) error {
	fi, err := os.Lstat(path)
	if err == nil && (fi.IsDir() || fi.Mode().IsRegular()) {
		old := path + ".labstar-old"
		if err := errors.Join(os.RemoveAll(old), os.Rename(path, old)); err != nil {
			return fmt.Errorf("replacing %s: %w", path, err)
		}
		defer os.RemoveAll(old)
	}
	if err == nil && fi.Mode()&fs.ModeSymlink != 0 {
		if to, err := os.Lstat(tmp); err == nil && to.IsDir() { // which can't be renamed over a link
			if err := os.Remove(path); err != nil {
				return fmt.Errorf("replacing %s: %w", path, err)
			}
		}
	}
	if err := os.Rename(tmp, path); err != nil {
		return fmt.Errorf("laying %s: %w", path, err)
	}
	return nil
}

// copyAll copies a file or a folder with its modes, links and nothing else.
func copyAll(to, from string) error {
	fi, err := os.Lstat(from)
	if err != nil {
		return err
	}
	switch {
	case fi.Mode()&fs.ModeSymlink != 0:
		target, err := os.Readlink(from)
		if err != nil {
			return err
		}
		return os.Symlink(target, to)
	case fi.IsDir():
		entries, err := os.ReadDir(from)
		if err != nil {
			return err
		}
		if err := os.Mkdir(to, 0o755); err != nil {
			return err
		}
		for _, e := range entries {
			if err := copyAll(filepath.Join(to, e.Name()), filepath.Join(from, e.Name())); err != nil {
				return err
			}
		}
		return nil
	}
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer in.Close()
	out, err := os.OpenFile(to, os.O_CREATE|os.O_EXCL|os.O_WRONLY, fi.Mode().Perm()|0o200)
	if err != nil {
		return err
	}
	return errors.Join(sparse.Copy(out, in), out.Close())
}
