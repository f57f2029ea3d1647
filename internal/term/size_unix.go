//go:build unix

package term

import (
	"os"

	"golang.org/x/sys/unix"
)

func sizeOf(f *os.File) (cols, rows int) {
	ws, err := unix.IoctlGetWinsize(int(f.Fd()), unix.TIOCGWINSZ)
	if err != nil {
		return 0, 0
	}
	return int(ws.Col), int(ws.Row)
}

// prepare has nothing to do: terminals here understand escape sequences.
func prepare(*os.File) bool { return true }
