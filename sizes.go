package labstar

import (
	"encoding/json"
	"io/fs"
	"path/filepath"

	"github.com/labstar/labstar/action"
)

// TreeSize is what a tree holds.
type TreeSize struct {
	Files int   `json:"files"`
	Bytes int64 `json:"bytes"` // of all files
}

// sizes remembers those of delivered trees, so that only the first delivery of a
// large one has to look at all its files.
type sizes struct {
	owner *Labstar
	known map[string]TreeSize // by digest
	added bool
}

const (
	sizesNote = "tree-sizes"
	mostSizes = 500 // more are forgotten
)

// of returns the size of the tree d, which is in the folder path.
func (s *sizes) of(d action.Digest, path string) (TreeSize, error) {
	if s.known == nil {
		s.known = map[string]TreeSize{}
		if b, err := s.owner.store.Note(sizesNote); err == nil && json.Unmarshal(b, &s.known) != nil {
			s.known = map[string]TreeSize{} // a damaged note only costs the counting
		}
	}
	if size, ok := s.known[d.Hex()]; ok {
		return size, nil
	}
	var size TreeSize
	err := filepath.WalkDir(path, func(_ string, e fs.DirEntry, err error) error {
		if err != nil || !e.Type().IsRegular() {
			return err
		}
		fi, err := e.Info()
		if err == nil {
			size.Files++
			size.Bytes += fi.Size()
		}
		return err
	})
	if err != nil {
		return TreeSize{}, err
	}
	if len(s.known) >= mostSizes {
		s.known = map[string]TreeSize{}
	}
	s.known[d.Hex()], s.added = size, true
	return size, nil
}

// keep writes what was counted.
func (s *sizes) keep() {
	if !s.added {
		return
	}
	if b, err := json.Marshal(s.known); err == nil {
		_ = s.owner.store.PutNote(sizesNote, b) // it is counted again next time
	}
}
