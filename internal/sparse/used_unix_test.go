//go:build unix

package sparse_test

import (
	"os"
	"syscall"
)

// allocated returns what a file takes on the disk.
func allocated(fi os.FileInfo) (int64, bool) {
	st, ok := fi.Sys().(*syscall.Stat_t)
	if !ok {
		return 0, false
	}
	return int64(st.Blocks) * 512, true
}
