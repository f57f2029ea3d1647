// Package rmtree removes folders that may be large, and whose permissions may have
// been taken away by what filled them: a scratch folder, a tree that was not
// finished. It removes several parts at once, which on most file systems is
// faster and makes the difference between Ctrl-C and a wait.
package rmtree

import (
	"io/fs"
	"os"
	"path/filepath"
	"sync"
)

// workers is how many folders are emptied at once: more than cores, since some
// will wait for the disk.
const workers = 4

// Remove removes path and all that is below it, whatever the modes are. A path
// that is not there is no error.
func Remove(path string) error {
	parallel(path)
	err := os.RemoveAll(path)
	if err == nil {
		return nil
	}
	unlock(path)
	return os.RemoveAll(path)
}

// parallel empties the folders two levels down, as far as it can.
func parallel(path string) {
	var parts []string
	for _, dir := range folders(path) {
		parts = append(parts, folders(dir)...)
	}
	if len(parts) < 2*workers {
		return // too little to be worth it
	}
	next := make(chan string)
	var all sync.WaitGroup
	for range workers {
		all.Go(func() {
			for p := range next {
				_ = os.RemoveAll(p)
			}
		})
	}
	for _, p := range parts {
		next <- p
	}
	close(next)
	all.Wait()
}

func folders(dir string) []string {
	list, err := os.ReadDir(dir)
	if err != nil {
		return nil
	}
	var dirs []string
	for _, e := range list {
		if e.IsDir() {
			dirs = append(dirs, filepath.Join(dir, e.Name()))
		}
	}
	return dirs
}

// unlock makes the folders below path its owner's again, from the top, so that
// each can be looked into.
func unlock(path string) {
	_ = filepath.WalkDir(path, func(p string, d fs.DirEntry, err error) error {
		if d == nil || !d.IsDir() {
			return nil
		}
		if err == nil {
			return os.Chmod(p, 0o700) // before it is read
		}
		// It could be read by nobody until a moment ago.
		for _, sub := range folders(p) {
			unlock(sub)
		}
		return fs.SkipDir
	})
}
