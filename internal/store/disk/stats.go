package disk

import (
	"context"
	"os"

	"github.com/labstar/labstar/action"
)

// Stats counts what is in a store.
type Stats struct {
	Dir         string `json:"dir"`
	Results     int    `json:"results"`
	Blobs       int    `json:"blobs"`       // different ones, wherever they are
	Directories int    `json:"directories"` // different ones
	Trees       int    `json:"trees"`       // folders that can be mounted
	Bytes       int64  `json:"bytes"`       // of different content
	PackBytes   int64  `json:"pack_bytes"`
	Packs       int    `json:"packs"`
	FreeBytes   uint64 `json:"free_bytes"` // on the disk
	FreeFiles   uint64 `json:"free_files"`
	Roots       int    `json:"roots"` // links outside that keep content
	ReadOnly    bool   `json:"read_only"`
}

// Stats counts what is in the store, from the packs alone.
func (s *Store) Stats(ctx context.Context) (*Stats, error) {
	if err := s.refresh(true); err != nil {
		return nil, s.explain("reading", err)
	}
	st := &Stats{Dir: s.dir, ReadOnly: s.readOnly}
	content := make(map[[32]byte]struct{})
	others := make(map[liveKey]struct{})
	for _, p := range *s.packs.Load() {
		st.Packs++
		if fi, err := os.Stat(p.path); err == nil {
			st.PackBytes += fi.Size()
		}
		err := p.each(func(e entry) error {
			if e.typ != recTree && e.typ != recResult && e.typ != recDir {
				if _, ok := content[e.hash]; !ok {
					content[e.hash] = struct{}{}
					st.Blobs++
					st.Bytes += e.size
				}
				return ctx.Err()
			}
			k := liveKey{e.hash, e.typ}
			if _, ok := others[k]; ok {
				return ctx.Err()
			}
			others[k] = struct{}{}
			switch e.typ {
			case recDir:
				st.Directories++
				st.Bytes += e.size
			case recTree:
				st.Trees++
			case recResult:
				st.Results++
			}
			return ctx.Err()
		})
		if err != nil {
			return nil, err
		}
	}
	roots, err := s.Roots(false)
	if err != nil {
		return nil, err
	}
	st.Roots = len(roots)
	st.FreeBytes, st.FreeFiles, err = freeSpace(s.dir)
	return st, s.explain("reading", err)
}

// ResultKeys calls f with every key under which a result is kept.
func (s *Store) ResultKeys(ctx context.Context, f func(key action.Digest) error) error {
	seen := make(map[[32]byte]struct{})
	for _, p := range *s.packs.Load() {
		err := p.each(func(e entry) error {
			if _, ok := seen[e.hash]; ok || e.typ != recResult {
				return ctx.Err()
			}
			seen[e.hash] = struct{}{}
			return f(action.Digest{Hash: e.hash, Size: e.size})
		})
		if err != nil {
			return err
		}
	}
	return nil
}
