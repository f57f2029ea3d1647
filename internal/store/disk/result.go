package disk

import (
	"context"

	"github.com/labstar/labstar/action"
)

// Result returns what was published under key, if its outputs are still there.
func (s *Store) Result(ctx context.Context, key action.Digest) (*action.Result, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if r := s.result(key); r != nil {
		return r, nil
	}
	if err := s.refresh(false); err != nil {
		return nil, s.explain("reading", err)
	}
	if r := s.result(key); r != nil {
		return r, nil
	}
	return nil, notFound("result", key)
}

// result looks in what is known. A damaged record is as good as none: the
// action runs again.
func (s *Store) result(key action.Digest) (res *action.Result) {
	s.find(key, recResult, func(p *pack, e entry) bool {
		_, payload, err := p.read(e)
		if err != nil {
			return false
		}
		r, err := action.DecodeResult(payload)
		if err != nil || !s.hasOutputs(r) {
			return false
		}
		p.touched.add(e.pos)
		res = r
		return true
	})
	return res
}

func (s *Store) hasOutputs(r *action.Result) bool {
	for _, o := range r.Outputs {
		if o.Kind == action.Tree && !s.HasTree(o.Digest) || o.Kind != action.Tree && !s.Has(o.Digest) {
			return false
		}
	}
	return true
}

// PutResult publishes r under the keys.
func (s *Store) PutResult(ctx context.Context, r *action.Result, keys ...action.Digest) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	for _, o := range r.Outputs {
		s.rely(o.Digest)
	}
	raw := r.Encode()
	recs := make([]record, len(keys))
	for i, k := range keys {
		recs[i] = record{typ: recResult, digest: k, payload: raw}
	}
	return s.explain("writing to", s.append(recs...))
}

// rely looks for d, so that Sync knows whose it is: the caller may have been told
// of it by other ways than a lookup.
func (s *Store) rely(d action.Digest) {
	for _, typ := range []recType{recDir, recBlob, recFile, recExec} {
		if s.find(d, typ, anyEntry) {
			return
		}
	}
}

// Sync makes everything durable that this process has published, and what it may
// have built on.
func (s *Store) Sync(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	return s.explain("writing to", s.w.sync(s))
}
