//go:build linux || darwin

package doctor

import (
	"fmt"

	"golang.org/x/sys/unix"
)

// What a first build of a kernel with its toolchain takes.
const (
	wantBytes  = 10 << 30
	wantInodes = 300_000
)

func space(dir, at string) []Check {
	var fs unix.Statfs_t
	if err := unix.Statfs(at, &fs); err != nil {
		return []Check{{Name: "disk", Status: Warning, Detail: fmt.Sprintf("asking for the space of %s: %v", dir, err)}}
	}
	free := int64(fs.Bavail) * int64(fs.Bsize) //nolint:unconvert // the types differ by system
	c := Check{Name: "disk", Status: OK, Detail: fmt.Sprintf("%.1f GB free", float64(free)/1e9)}
	if free < wantBytes {
		c.Status = Warning
		c.Remedy = fmt.Sprintf("a kernel with its toolchain takes up to %.0f GB: make room with `labstar cache gc --max-size 10GB`, or put the store elsewhere with LABSTAR_CACHE", float64(wantBytes)/1e9)
	}
	list := []Check{c}
	if fs.Files == 0 {
		return list // a file system without a table of inodes
	}
	c = Check{Name: "inodes", Status: OK, Detail: fmt.Sprintf("%d free", fs.Ffree)}
	if fs.Ffree < wantInodes {
		c.Status = Warning
		c.Remedy = fmt.Sprintf("unpacked sources are many small files, a kernel alone 86,000; want %d: put the store on another file system with LABSTAR_CACHE", wantInodes)
	}
	return append(list, c)
}
