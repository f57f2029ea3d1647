package disk

import (
	"cmp"
	"context"
	"crypto/sha256"
	"os"
	"runtime"
	"slices"
	"sync/atomic"

	"golang.org/x/sync/errgroup"

	"github.com/labstar/labstar/action"
	"github.com/labstar/labstar/internal/sparse"
	"github.com/labstar/labstar/internal/store"
	"github.com/labstar/labstar/internal/twosum"
)

// TakeIn stores contents whose digests are known, on all cores and two at a time on
// each, the largest first.
func (s *Store) TakeIn(ctx context.Context, list []store.Intake) error {
	if err := s.writeable("writing to"); err != nil {
		return err
	}
	list = slices.Clone(list)
	slices.SortStableFunc(list, func(a, b store.Intake) int { return cmp.Compare(b.Digest.Size, a.Digest.Size) })
	g, ctx := errgroup.WithContext(ctx)
	var taken atomic.Int64
	for range min(runtime.GOMAXPROCS(0), len(list)) {
		g.Go(func() error {
			return twosum.Streams(func() *twosum.Stream {
				i := int(taken.Add(1)) - 1
				if i >= len(list) {
					return nil
				}
				return s.takeIn(ctx, list[i])
			})
		})
	}
	return g.Wait()
}

// intake is one content that is being taken in.
type intake struct {
	store.Intake
	s     *Store
	small []byte   // all of it, while it may be for a pack
	f     *os.File // else where it is
	out   *sparse.Writer
	size  int64
}

func (s *Store) takeIn(ctx context.Context, in store.Intake) *twosum.Stream {
	t := &intake{Intake: in, s: s}
	r, err := in.Open()
	if err != nil {
		fails := func([]byte) (int, error) { return 0, err }
		return &twosum.Stream{Read: fails, End: func(err error) error { return err }}
	}
	h := sha256.New()
	return &twosum.Stream{
		Hash: h,
		Read: func(b []byte) (int, error) {
			if err := ctx.Err(); err != nil {
				return 0, err
			}
			return r.Read(b)
		},
		Took: func(b []byte) error { return s.explain("writing to", t.took(b)) },
		End: func(err error) error {
			defer r.Close()
			defer t.drop()
			if err == nil {
				got := action.Digest{Hash: [32]byte(h.Sum(nil)), Size: t.size}
				if got != in.Digest {
					return in.Differs(got)
				}
				err = s.explain("writing to", t.commit())
			}
			return err
		},
	}
}

// took writes what was read.
func (t *intake) took(b []byte) error {
	t.size += int64(len(b))
	if t.f == nil && t.size <= largeBlob {
		t.small = append(t.small, b...)
		return nil
	}
	if t.f == nil {
		tmp, err := t.s.tmp.name(t.s)
		if err != nil {
			return err
		}
		if t.f, err = os.OpenFile(tmp, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600); err != nil {
			return err
		}
		t.out = sparse.NewWriter(t.f)
		if _, err := t.out.Write(t.small); err != nil {
			return err
		}
	}
	_, err := t.out.Write(b)
	return err
}

// commit publishes what was written.
func (t *intake) commit() error {
	if t.s.Has(t.Digest) {
		return nil
	}
	if t.f == nil {
		return t.s.append(record{typ: recBlob, digest: t.Digest, payload: t.small})
	}
	if err := t.out.Close(); err != nil {
		return err
	}
	if err := normalise(t.f, false); err != nil {
		return err
	}
	if t.size >= sendFrom {
		startSync(t.f, 0, 0)
	}
	return t.s.publishBlob(t.f.Name(), t.Digest, false)
}

func (t *intake) drop() {
	if t.f != nil {
		os.Remove(t.f.Name())
		t.f.Close()
	}
}
