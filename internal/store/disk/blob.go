package disk

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/labstar/labstar/action"
)

// blobPath is where a blob that is a file of its own is kept.
func (s *Store) blobPath(hash [32]byte, exec bool) string {
	name := action.Digest{Hash: hash}.Hex()
	if exec {
		return s.path("blobs", name[:2], name+".x")
	}
	return s.path("blobs", name[:2], name)
}

// locate returns the path that a recFile or recExec record tells.
func (s *Store) locate(p *pack, e entry) (string, error) {
	if e.plen == 0 {
		return s.blobPath(e.hash, e.typ == recExec), nil
	}
	_, payload, err := p.read(e)
	if err != nil {
		return "", err
	}
	l, err := parseLocation(payload)
	if err != nil {
		return "", p.damaged(e.off, err)
	}
	return s.path("trees", action.Digest{Hash: l.root}.Hex(), filepath.FromSlash(l.path)), nil
}

// find calls f for what the packs tell about d with a record of type typ, newest
// first, until f returns true.
func (s *Store) find(d action.Digest, typ recType, f func(*pack, entry) bool) bool {
	for _, p := range *s.packs.Load() {
		e, ok := p.find(&d.Hash, typ)
		if !ok || e.size != d.Size {
			continue
		}
		if !p.own && !p.durable(e.off) {
			s.w.relies.Store(true)
		}
		if f(p, e) {
			return true
		}
	}
	return false
}

func anyEntry(*pack, entry) bool { return true }

// findFile returns a file that holds d, of mode 0755 if exec is set, else 0644.
func (s *Store) findFile(d action.Digest, exec bool) (path string, ok bool) {
	typ := recFile
	if exec {
		typ = recExec
	}
	ok = s.find(d, typ, func(p *pack, e entry) bool {
		at, err := s.locate(p, e)
		if err != nil {
			return false
		}
		st, err := os.Lstat(at)
		if err != nil || !st.Mode().IsRegular() || st.Size() != d.Size {
			return false
		}
		path = at
		return true
	})
	return path, ok
}

// Has reports whether the content of d is there.
func (s *Store) Has(d action.Digest) bool {
	if d == action.Empty || s.find(d, recBlob, anyEntry) || s.find(d, recDir, anyEntry) {
		return true
	}
	_, ok := s.findFile(d, false)
	if !ok {
		_, ok = s.findFile(d, true)
	}
	return ok
}

// damaged says that the content of d can't be read as it was written.
func damaged(d action.Digest, err error) error {
	return fmt.Errorf("reading %s from the store: %w; run \"labstar cache verify --repair\"", d, err)
}

// readPacked returns the content of d if a pack holds it.
func (s *Store) readPacked(d action.Digest, types ...recType) (b []byte, ok bool, err error) {
	for _, typ := range types {
		if s.find(d, typ, func(p *pack, e entry) bool {
			var perr error
			if _, b, perr = p.read(e); perr != nil {
				err = perr
				return false
			}
			return true
		}) {
			return b, true, nil
		}
	}
	return nil, false, err
}

// OpenBlob reads a blob, or an encoded directory. The checksum of what comes
// from a pack is checked, of a file the size; Verify checks all.
func (s *Store) OpenBlob(ctx context.Context, d action.Digest) (action.Blob, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	b, err := s.openBlob(d)
	if b == nil && err == nil {
		if err = s.refresh(false); err != nil {
			return nil, s.explain("reading", err)
		}
		b, err = s.openBlob(d)
	}
	if err != nil {
		return nil, damaged(d, err)
	}
	if b == nil {
		return nil, notFound("blob", d)
	}
	return b, nil
}

// openBlob returns nil if d is not there. A damaged copy is an error only when
// there is no good one.
func (s *Store) openBlob(d action.Digest) (action.Blob, error) {
	if d == action.Empty {
		return packedBlob{bytes.NewReader(nil)}, nil
	}
	b, ok, bad := s.readPacked(d, recBlob, recDir)
	if ok {
		return packedBlob{bytes.NewReader(b)}, nil
	}
	for _, typ := range []recType{recFile, recExec} {
		var blob action.Blob
		s.find(d, typ, func(p *pack, e entry) bool {
			path, err := s.locate(p, e)
			if err == nil {
				blob, err = openFileBlob(path, d.Size)
			}
			if err != nil && !errors.Is(err, fs.ErrNotExist) {
				bad = err
			}
			return blob != nil
		})
		if blob != nil {
			return blob, nil
		}
	}
	return nil, bad
}

// packedBlob is a blob that was read from a pack.
type packedBlob struct{ *bytes.Reader }

func (packedBlob) Close() error { return nil }

// fileBlob is a blob that is a file.
type fileBlob struct {
	*os.File
	size int64
}

func (b fileBlob) Size() int64 { return b.size }

func openFileBlob(path string, size int64) (action.Blob, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	st, err := f.Stat()
	if err == nil && (!st.Mode().IsRegular() || st.Size() != size) {
		err = fmt.Errorf("%s has %d bytes, want %d", path, st.Size(), size)
	}
	if err != nil {
		f.Close()
		return nil, err
	}
	return fileBlob{f, size}, nil
}

// BlobPath returns the file in blobs/ that holds the blob, made if need be.
func (s *Store) BlobPath(ctx context.Context, d action.Digest, exec bool) (string, error) {
	if err := ctx.Err(); err != nil {
		return "", err
	}
	if path, ok := s.findFile(d, exec); ok {
		return s.outsideTree(path, d, exec)
	}
	blob, err := s.OpenBlob(ctx, d)
	if err != nil {
		return "", err
	}
	defer blob.Close()
	tmp, err := s.tmp.name(s)
	if err == nil {
		err = copyOut(tmp, blob, exec)
	}
	if err == nil {
		err = s.publishBlob(tmp, d, exec)
	}
	if err != nil {
		return "", s.explain("writing to", err)
	}
	return s.blobPath(d.Hash, exec), nil
}

// outsideTree returns a name in blobs/ for a file that may be a tree's: the file
// then stays where it is when gc drops the tree. In a store that can't be written
// to the tree's will do.
func (s *Store) outsideTree(path string, d action.Digest, exec bool) (string, error) {
	to := s.blobPath(d.Hash, exec)
	if path == to || s.readOnly {
		return path, nil
	}
	tmp, err := s.tmp.name(s)
	if err == nil {
		err = os.Link(path, tmp)
	}
	if crossLink(err) {
		return path, nil
	}
	if err == nil {
		err = s.publishBlob(tmp, d, exec)
	}
	return to, s.explain("writing to", err)
}

// publishBlob moves the file tmp, which holds d and has the right mode, into blobs/.
func (s *Store) publishBlob(tmp string, d action.Digest, exec bool) error {
	path := s.blobPath(d.Hash, exec)
	s.step()
	err := os.Rename(tmp, path)
	if errors.Is(err, fs.ErrNotExist) {
		if err = os.Mkdir(filepath.Dir(path), 0o777); err == nil || errors.Is(err, fs.ErrExist) {
			err = os.Rename(tmp, path)
		}
	}
	if err != nil {
		os.Remove(tmp)
		return err
	}
	typ := recFile
	if exec {
		typ = recExec
	}
	s.step()
	return s.append(record{typ: typ, digest: d})
}
