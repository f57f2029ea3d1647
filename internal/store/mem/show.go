package mem

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/labstar/labstar/action"
)

var epoch = time.Unix(action.SourceDateEpoch, 0)

// TreePath writes the tree out, once.
func (s *Store) TreePath(ctx context.Context, root action.Digest) (string, error) {
	s.shown.Lock()
	defer s.shown.Unlock()
	if _, err := s.Directory(ctx, root); err != nil {
		return "", err
	}
	return s.showOnce(root.Hex(), func(path string) error { return s.lay(ctx, root, path) })
}

// Shown reports whether TreePath has written the tree out.
func (s *Store) Shown(root action.Digest) bool {
	s.shown.Lock()
	defer s.shown.Unlock()
	tmp, err := s.path()
	if err == nil {
		_, err = os.Lstat(filepath.Join(filepath.Dir(tmp), root.Hex()))
	}
	return err == nil
}

// showOnce makes the file or folder name in the temporary folder, if it is not there.
func (s *Store) showOnce(name string, make func(path string) error) (string, error) {
	tmp, err := s.path()
	if err != nil {
		return "", err
	}
	path := filepath.Join(filepath.Dir(tmp), name)
	if _, err := os.Lstat(path); err == nil {
		return path, nil
	}
	if err := make(tmp); err != nil {
		os.RemoveAll(tmp)
		return "", err
	}
	return path, os.Rename(tmp, path)
}

func (s *Store) lay(ctx context.Context, digest action.Digest, path string) error {
	dir, err := s.Directory(ctx, digest)
	if err != nil {
		return err
	}
	if err := os.Mkdir(path, 0o755); err != nil {
		return err
	}
	for _, n := range dir.Nodes {
		at := filepath.Join(path, n.Name)
		switch n.Kind {
		case action.Dir:
			err = s.lay(ctx, n.Digest, at)
		case action.Symlink:
			if err = os.Symlink(n.Target, at); err == nil {
				err = setLinkTime(at)
			}
		case action.Regular:
			err = s.write(n.Digest, at, n.Attr.Mode&0o100 != 0)
		}
		if err != nil {
			return err
		}
	}
	if err := os.Chmod(path, 0o755); err != nil {
		return err
	}
	return os.Chtimes(path, epoch, epoch)
}

func (s *Store) write(d action.Digest, path string, exec bool) error {
	s.mu.Lock()
	b, ok := s.blobs[d]
	s.mu.Unlock()
	if !ok && d != action.Empty {
		return notFound("blob", d)
	}
	mode := fs.FileMode(action.ModeFile)
	if exec {
		mode = fs.FileMode(action.ModeExec)
	}
	if err := os.WriteFile(path, b, mode); err != nil {
		return err
	}
	if err := os.Chmod(path, mode); err != nil {
		return err
	}
	return os.Chtimes(path, epoch, epoch)
}

// BlobPath writes the blob out, once for each mode.
func (s *Store) BlobPath(ctx context.Context, d action.Digest, exec bool) (string, error) {
	if err := ctx.Err(); err != nil {
		return "", err
	}
	s.shown.Lock()
	defer s.shown.Unlock()
	name := d.Hex() + ".file"
	if exec {
		name += ".x"
	}
	return s.showOnce(name, func(path string) error { return s.write(d, path, exec) })
}

// AdoptFile takes in one regular file, and removes it.
func (s *Store) AdoptFile(ctx context.Context, path string) (action.Digest, error) {
	if err := ctx.Err(); err != nil {
		return action.Digest{}, err
	}
	st, err := os.Lstat(path)
	if err != nil {
		return action.Digest{}, err
	}
	b, err := take(path, st)
	if err != nil {
		return action.Digest{}, err
	}
	return s.put(b), os.Remove(path)
}

// take reads a regular file whatever its mode is.
func take(path string, st fs.FileInfo) ([]byte, error) {
	if !st.Mode().IsRegular() {
		return nil, &os.PathError{Op: "adopt", Path: path, Err: errors.New("it is not a regular file")}
	}
	if st.Mode()&0o400 == 0 {
		if err := os.Chmod(path, 0o600); err != nil {
			return nil, err
		}
	}
	return os.ReadFile(path)
}

// Adopt takes in the folder dir, and removes it.
func (s *Store) Adopt(ctx context.Context, dir string) (action.Digest, error) {
	if st, err := os.Lstat(dir); err != nil {
		return action.Digest{}, err
	} else if !st.IsDir() {
		return action.Digest{}, &os.PathError{Op: "adopt", Path: dir, Err: errors.New("it is not a folder")}
	}
	root, err := s.adopt(ctx, dir, "")
	if err != nil {
		return root, err
	}
	return root, os.RemoveAll(dir)
}

func (s *Store) adopt(ctx context.Context, dir, rel string) (action.Digest, error) {
	if err := os.Chmod(dir, 0o700); err != nil {
		return action.Digest{}, err
	}
	list, err := os.ReadDir(dir)
	if err != nil {
		return action.Digest{}, err
	}
	d := &action.Directory{Attr: action.Attr{Mode: action.ModeDir}}
	for _, de := range list {
		n, err := s.adoptEntry(ctx, filepath.Join(dir, de.Name()), rel+de.Name(), de)
		if err != nil {
			return action.Digest{}, err
		}
		d.Nodes = append(d.Nodes, n)
	}
	d.Sort()
	return s.PutDirectory(ctx, d)
}

func (s *Store) adoptEntry(ctx context.Context, path, rel string, de fs.DirEntry) (n action.Node, err error) {
	n.Name = de.Name()
	st, err := de.Info()
	if err != nil {
		return n, err
	}
	switch st.Mode().Type() {
	case 0:
		n.Kind, n.Attr.Mode = action.Regular, action.ModeFile
		if st.Mode()&0o100 != 0 {
			n.Attr.Mode = action.ModeExec
		}
		var b []byte
		if b, err = take(path, st); err == nil {
			n.Digest = s.put(b)
		}
	case fs.ModeDir:
		n.Kind = action.Dir
		n.Digest, err = s.adopt(ctx, path, rel+"/")
	case fs.ModeSymlink:
		n.Kind, n.Attr.Mode = action.Symlink, action.ModeSymlink
		n.Target, err = os.Readlink(path)
	default:
		err = fmt.Errorf("adopting %s: only files, directories and symlinks can be an output", rel)
	}
	return n, err
}
