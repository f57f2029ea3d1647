//go:build unix

package disk_test

import (
	"os"
	"syscall"
)

// allocated returns what a file takes on the disk.
func allocated(fi os.FileInfo) int64 { return fi.Sys().(*syscall.Stat_t).Blocks * 512 }
