//go:build unix

package mem

import (
	"github.com/labstar/labstar/action"
	"golang.org/x/sys/unix"
)

// setLinkTime gives a symlink the time that every file of a tree has.
func setLinkTime(path string) error {
	ts := unix.Timespec{Sec: action.SourceDateEpoch}
	return unix.UtimesNanoAt(unix.AT_FDCWD, path, []unix.Timespec{ts, ts}, unix.AT_SYMLINK_NOFOLLOW)
}
