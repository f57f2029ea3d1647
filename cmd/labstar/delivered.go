package main

import (
	"fmt"
	"io"
	"path/filepath"

	"github.com/labstar/labstar"
	"github.com/labstar/labstar/action"
	"github.com/labstar/labstar/internal/term"
)

// targetEvent tells of a target: of run, where it was laid; of targets, what it is.
type targetEvent struct {
	Event  string `json:"event"` // "target"
	Name   string `json:"name"`
	Path   string `json:"path,omitempty"`
	Type   string `json:"type,omitempty"`
	Kind   string `json:"kind,omitempty"`
	Digest string `json:"digest,omitempty"`
	Size   int64  `json:"size,omitempty"`  // bytes, of all files of a tree
	Files  int    `json:"files,omitempty"` // of a tree
	At     string `json:"at,omitempty"`
	Items  int    `json:"items,omitempty"`
	Cached *bool  `json:"cached,omitempty"`
	// Seconds is how long all that the target is made of took to build.
	Seconds float64 `json:"seconds,omitempty"`
}

// printDelivered prints one line for each target.
func printDelivered(w io.Writer, out string, list []labstar.Delivered) error {
	type row struct{ path, size string }
	var rows []row
	width := 0
	for i := 0; i < len(list); {
		d, n := list[i], 1
		for i+n < len(list) && list[i+n].Target == d.Target {
			n++
		}
		r := row{path: d.Path, size: sizeOf(d)}
		if whole := filepath.Join(out, d.Target); whole != d.Path {
			r = row{path: whole + string(filepath.Separator), size: plural(n, "item", "items")}
		}
		rows = append(rows, r)
		width = max(width, term.Width(r.path))
		i += n
	}
	for _, r := range rows {
		if _, err := fmt.Fprintf(w, "%-*s  %s\n", width, r.path, r.size); err != nil {
			return err
		}
	}
	return nil
}

func sizeOf(d labstar.Delivered) string {
	if d.Kind == action.File {
		return term.Bytes(d.Size.Bytes)
	}
	return term.Bytes(d.Size.Bytes) + " in " + plural(d.Size.Files, "file", "files")
}
