package disk

import (
	"context"
	"io"
	"os"

	"github.com/labstar/labstar/action"
	"github.com/labstar/labstar/internal/sparse"
)

// PutBlob stores b.
func (s *Store) PutBlob(ctx context.Context, b []byte) (action.Digest, error) {
	if err := ctx.Err(); err != nil {
		return action.Digest{}, err
	}
	d := action.Of(b)
	if s.Has(d) {
		return d, nil
	}
	if len(b) <= largeBlob {
		return d, s.explain("writing to", s.append(record{typ: recBlob, digest: d, payload: b}))
	}
	w := s.newBlobWriter(ctx)
	defer w.Abort()
	if _, err := w.Write(b); err != nil {
		return action.Digest{}, err
	}
	return w.Commit()
}

// CreateBlob streams a blob in. It is kept in memory while it may still be small;
// a large one has holes where its content is zeros.
func (s *Store) CreateBlob(ctx context.Context) (action.BlobWriter, error) {
	if err := s.writeable("writing to"); err != nil {
		return nil, err
	}
	return s.newBlobWriter(ctx), ctx.Err()
}

// blobWriter gathers what is written to chunks, however small the pieces are.
type blobWriter struct {
	s    *Store
	ctx  context.Context
	h    *action.Hasher
	buf  []byte   // the chunk that is gathered
	f    *os.File // once there is a whole chunk
	out  *sparse.Writer
	side *sideHash
	size int64 // of what is in f
	sent int64 // what the disk was told to begin with
	err  error
}

// sendEvery is how much of a large blob is written before the disk begins with it:
// the sync that makes a result durable then finds little to do.
const sendEvery = 8 << 20

// sendFrom is the size of a blob from which on that is worth a call for it alone.
const sendFrom = 1 << 20

func (s *Store) newBlobWriter(ctx context.Context) *blobWriter {
	return &blobWriter{s: s, ctx: ctx, h: action.NewHasher()}
}

func (w *blobWriter) Write(p []byte) (int, error) {
	if w.err == nil {
		w.err = w.ctx.Err()
	}
	done := 0
	for w.err == nil && done < len(p) {
		n := min(len(p)-done, chunkSize-len(w.buf))
		w.buf = append(w.buf, p[done:done+n]...)
		if done += n; len(w.buf) == chunkSize {
			w.err = w.flush()
		}
	}
	if w.err != nil {
		w.err = w.s.explain("writing to", w.err)
		return 0, w.err
	}
	return done, nil
}

// flush writes what is gathered, and hashes it: beside the writing, once that is
// worth it.
func (w *blobWriter) flush() error {
	if w.f == nil {
		if err := w.spill(); err != nil {
			return err
		}
	}
	if _, err := w.out.Write(w.buf); err != nil {
		return err
	}
	w.size += int64(len(w.buf))
	if w.side == nil && w.size > sideFrom {
		w.side = newSideHash(w.h)
	}
	if w.side != nil {
		w.buf = w.side.write(w.buf)
	} else {
		_, _ = w.h.Write(w.buf)
		w.buf = w.buf[:0]
	}
	if w.size-w.sent >= sendEvery {
		startSync(w.f, w.sent, w.size-w.sent)
		w.sent = w.size
	}
	return nil
}

func (w *blobWriter) spill() error {
	tmp, err := w.s.tmp.name(w.s)
	if err != nil {
		return err
	}
	if w.f, err = os.OpenFile(tmp, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600); err != nil {
		return err
	}
	w.out = sparse.NewWriter(w.f)
	return nil
}

func (w *blobWriter) Commit() (action.Digest, error) {
	if w.err == nil && (w.f != nil || len(w.buf) > largeBlob) {
		w.err = w.s.explain("writing to", w.flush())
	}
	if w.err != nil {
		w.drop()
		return action.Digest{}, w.err
	}
	var d action.Digest
	switch {
	case w.f == nil:
		d = action.Of(w.buf)
	case w.side != nil:
		d = w.side.sum()
		w.side = nil
	default:
		d = w.h.Digest()
	}
	err := w.commit(d)
	w.drop()
	w.err = os.ErrClosed
	if err != nil {
		return action.Digest{}, w.s.explain("writing to", err)
	}
	return d, nil
}

func (w *blobWriter) commit(d action.Digest) error {
	if err := w.ctx.Err(); err != nil {
		return err
	}
	if w.s.Has(d) {
		return nil
	}
	if w.f == nil {
		return w.s.append(record{typ: recBlob, digest: d, payload: w.buf})
	}
	if err := w.out.Close(); err != nil {
		return err
	}
	if err := normalise(w.f, false); err != nil {
		return err
	}
	return w.s.publishBlob(w.f.Name(), d, false)
}

// Abort drops what was written.
func (w *blobWriter) Abort() {
	w.drop()
	w.err = os.ErrClosed
}

func (w *blobWriter) drop() {
	if w.side != nil {
		w.side.sum()
		w.side = nil
	}
	if w.f != nil {
		os.Remove(w.f.Name())
		w.f.Close()
		w.f = nil
	}
	w.buf = nil
}

// normalise gives an open file the mode and the time of every file of the store.
func normalise(f *os.File, exec bool) error {
	if err := f.Chmod(fileMode(exec)); err != nil {
		return err
	}
	return setEpochFD(int(f.Fd()))
}

func fileMode(exec bool) os.FileMode {
	if exec {
		return os.FileMode(action.ModeExec)
	}
	return os.FileMode(action.ModeFile)
}

// copyOut writes what r gives to the new file path.
func copyOut(path string, r io.Reader, exec bool) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	if err = sparse.Copy(f, r); err == nil {
		err = normalise(f, exec)
	}
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	if err != nil {
		os.Remove(path)
	}
	return err
}

// AdoptFile moves the file path, made by a command, into the store as a blob.
func (s *Store) AdoptFile(ctx context.Context, path string) (action.Digest, error) {
	d, err := s.adoptFile(ctx, path)
	return d, s.explain("moving a file into", err)
}

func (s *Store) adoptFile(ctx context.Context, path string) (d action.Digest, err error) {
	if err := s.writeable("moving a file into"); err != nil {
		return d, err
	}
	st, err := os.Lstat(path)
	if err != nil {
		return d, err
	}
	if !st.Mode().IsRegular() {
		return d, &os.PathError{Op: "adopt", Path: path, Err: errKind}
	}
	if st.Mode()&0o600 != 0o600 {
		if err := os.Chmod(path, 0o600); err != nil {
			return d, err
		}
	}
	f, err := os.Open(path)
	if err != nil {
		return d, err
	}
	defer f.Close()
	w := s.newBlobWriter(ctx)
	// A file with another name could be changed by way of it: it is copied.
	if st.Size() <= largeBlob || links(st) > 1 {
		defer w.Abort()
		if _, err := io.Copy(w, f); err != nil {
			return d, err
		}
		if d, err = w.Commit(); err == nil {
			err = os.Remove(path)
		}
		return d, err
	}
	startSync(f, 0, 0)
	if _, err := io.Copy(hashing{ctx, w.h}, f); err != nil {
		return d, err
	}
	d = w.h.Digest()
	if s.Has(d) {
		return d, os.Remove(path)
	}
	dropXattrs(int(f.Fd()))
	if err := normalise(f, false); err != nil {
		return d, err
	}
	return d, s.publishBlob(path, d, false)
}
