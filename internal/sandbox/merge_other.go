//go:build !unix

package sandbox

import (
	"errors"
	"io/fs"
	"os"
)

// There are no overlays here, so nothing is ever merged.

func isWhiteout(fs.FileInfo) bool { return false }

func isOpaque(string) bool { return false }

func copyEntry(entry, string) error { return errors.New("merging an output: want Linux") }

// RemoveAll is os.RemoveAll.
func RemoveAll(dir string) error { return os.RemoveAll(dir) }
